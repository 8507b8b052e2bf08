//! Development commands of Purlin.
fn main() {}

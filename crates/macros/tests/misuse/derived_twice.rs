#[purlin_macros::message(serde = "::serde")]
#[derive(Debug, serde::Serialize)]
struct Get;

fn main() {}

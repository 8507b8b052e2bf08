//! The registered services of a node that other nodes talk to.

pub mod global;

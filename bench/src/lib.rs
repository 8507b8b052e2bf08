//! Purlin measured beside other systems, each row as `docs/decisions/` and the table define it.

pub mod codec;
pub mod local;
pub mod remote;
mod turns;

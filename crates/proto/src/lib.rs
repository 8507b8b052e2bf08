//! The Erlang distribution protocol as pure machines.
//!
//! Everything a node that is not a BEAM must say and understand to be one node among Erlang nodes,
//! as values that are told what happened and answer what to do. Nothing in this crate opens a
//! socket, reads a clock, draws a random number or starts a task: time is an argument
//! ([`core::time::Duration`] since an origin that the caller chooses), and so is randomness.
//!
//! In the order in which a connection meets them:
//!
//! 1. [`epmd`]: find the port of a node by its name, and be the daemon that answers;
//! 2. [`handshake`]: prove the cookie, agree on names, creations and [`flags`];
//! 3. [`frame`]: cut the byte stream into frames;
//! 4. [`tick`]: notice that the peer has fallen silent, and keep it from thinking so of us;
//! 5. [`channel`]: frames to [`signal`]s and back, by way of [`control`] messages.
//!
//! Calling order, the same for each machine: `handle_*` with what happened, then `poll_*` until
//! it answers `None`, then sleep until `poll_timeout`. Bounds stand together in [`limits`].
//!
//! Source: the *Distribution Protocol* page of OTP's ERTS manual; where OTP 25 and 28 were seen to
//! differ from it, the module that deviates says so.

pub mod channel;
pub mod control;
pub mod digest;
pub mod epmd;

pub mod flags;
pub mod frame;
pub mod handshake;

pub mod limits;
pub mod signal;
pub mod tick;

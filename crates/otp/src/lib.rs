//! OTP's rules as pure machines.
//!
//! Values that are told what happened and answer what to do, as in `purlin-proto`: no sockets, no
//! clock, no randomness, no tasks. Whoever runs the processes feeds them and carries out what they
//! answer.
//!
//! - [`relations`]: one process and its links, monitors, aliases and spawn requests;
//! - [`signal`]: what such processes tell each other, and what answers for one that is not there;
//! - [`statem`]: which event a state machine handles next, and its timeouts;
//! - [`supervisor`]: how a supervisor starts, restarts and ends its children;
//! - [`reason`]: the exit reasons that OTP gives a meaning.

pub mod reason;
pub mod relations;
pub mod signal;
pub mod statem;
pub mod supervisor;

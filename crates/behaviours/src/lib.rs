//! OTP's behaviours, on processes of `purlin-runtime`.
//!
//! - [`GenServer`]: a process with a state that answers calls and takes casts;
//! - [`GenStatem`]: a process with a state and a handler that goes from one state to the next;
//! - [`gen_event`]: a process that hands each event to the handlers that were added to it;
//! - [`ServerRef`]: how others ask it, by type; [`call`] and [`cast`]: how they ask whatever answers
//!   `gen_server:call`, by pid or name, here or on another node.
//! - [`Registry`]: servers of this node by keys of the program's own;
//! - [`supervisor`]: processes that start others and restart them, also many of one kind, each for a part of the keys;
//! - [`task`]: computations in processes of their own, one or many;
//! - [`Agent`]: state in a process, by closures;
//! - [`application`]: what a node runs, by name, with what it depends on;
//! - [`skeleton`]: farm, pipe, map, reduce.
//!
//! What is said on the wire, and here between untyped addresses, is OTP's: `{'$gen_call', From, Request}`
//! and its siblings ([`envelope`]). An OTP shell looks into these processes with `sys`.

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod agent;
mod alarm;
mod answers;
pub mod application;
mod bounded;
pub mod by;
mod call;
mod due;
pub mod envelope;
pub mod gen_event;
mod gen_server;
mod gen_statem;
mod messages;
mod registry;
mod reply_to;
mod request;
mod requests;
mod room;
mod server_ref;
pub mod skeleton;
mod slot;
mod status;
mod stop;
pub mod supervisor;
#[doc(hidden)]
pub mod sys;
pub mod task;

pub use agent::Agent;
pub use call::{CALL_TIMEOUT, CallError, call, call_from, cast, cast_from};
pub use due::Due;
pub use gen_server::{
    Context, GenServer, HandleCall, HandleCallFrom, HandleCast, HandleContinue, HandleInfo,
    InitError, Other, ServerMessage, ServerOptions, StartError, Starter,
};
#[doc(hidden)]
pub use gen_server::{Parent, Starting};
#[doc(hidden)]
pub use gen_statem::{Decoded, EventList};
pub use gen_statem::{
    EventFrom, Events, GenStatem, POSTPONED_MAX, Statem, StatemContext, StatemRef, Timer,
};
#[doc(hidden)]
pub use messages::{Entry, Form};
pub use messages::{Has, Messages};
pub use registry::{AlreadyRegistered, Registry};
pub use reply_to::ReplyTo;
pub use request::Request;
pub use requests::{Requests, Response};
pub use server_ref::ServerRef;
pub use status::{ServerStatus, StatemStatus};
pub use stop::stop;

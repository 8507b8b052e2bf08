//! OTP's behaviours, on processes of `purlin-runtime`.
//!
//! - [`GenServer`]: a process with a state that answers calls and takes casts;
//! - [`ServerRef`]: how others ask it, by type; [`call`] and [`cast`]: how they ask whatever answers
//!   `gen_server:call`, by pid or name, here or on another node.
//!
//! What is said on the wire, and here between untyped addresses, is OTP's: `{'$gen_call', From, Request}`
//! and its siblings ([`envelope`]). An OTP shell looks into these processes with `sys`.

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod alarm;
pub mod by;
mod call;
pub mod envelope;
mod gen_server;
mod messages;
mod reply_to;
mod request;
mod server_ref;
mod stop;
pub mod supervisor;
pub mod sys;

pub use call::{CALL_PATIENCE, CallError, call, call_from, cast, cast_from};
pub use gen_server::{
    Context, GenServer, HandleCall, HandleCallFrom, HandleCast, HandleContinue, HandleInfo,
    InitError, Other, ServerMessage, ServerOptions, StartError, Starter,
};
#[doc(hidden)]
pub use gen_server::{Parent, Starting};
pub use messages::{Has, Messages};
pub use reply_to::ReplyTo;
pub use request::Request;
pub use server_ref::{Response, ServerRef};
pub use stop::stop;

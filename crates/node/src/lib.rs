//! A Purlin node: a member of Erlang and Elixir clusters without a BEAM.
//!
//! Start at [`Node::builder`]. A node registers its name with the port mapper (or is the port
//! mapper, where none runs), accepts and dials peers, answers what OTP asks of every node, and
//! runs the functions that were exported with [`Node::export`].

mod builtins;
mod client;
mod config;
mod connection;
pub mod epmd;
mod export;
pub mod host;
mod limits;
mod node;
mod process;
mod remote_call;
mod services;
mod start;

pub use client::{Answers, Arguments, RemoteError};
pub use config::{Config, EPMD_PORT};
#[cfg(feature = "planted-bugs")]
pub use connection::PlantedBug;
pub use connection::{ConnectError, ConnectionInfo, DownReason, HandshakeError, SendError};
pub use export::{Answer, CallContext, ExportOptions, FunctionName, Handler, Outcome, Raise};
pub use host::{Host, TokioHost};
pub use node::{MonitorNodes, Node, NodeType, SpawnOnError};
pub use process::{Caller, Delivery, Envelope, Mailbox, NodeEvent, NodeMessage};
pub use purlin_behaviours::CallError;
pub use purlin_proto::control::EncodeSignalError;
pub use purlin_proto::digest::{Cookie, CookieError};
pub use purlin_proto::flags::Flags;
pub use purlin_proto::handshake::{FullName, NodeNameError};
pub use purlin_runtime::{
    AliasMode, Destination, MonitorOptions, RegisterError, RequestOptions, Target,
    TooManyProcesses, panics,
};
pub use purlin_term::{Atom, NodeName, Pid, Reference, Term, atom};
#[doc(hidden)]
pub use services::global;
pub use start::{NodeBuilder, StartError};

/// The version of this crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

//! Distributed Erlang in Rust.
//!
//! A Purlin node is a member of Erlang and Elixir clusters without a BEAM: `net_adm:ping` finds
//! it, `nodes()` lists it, messages reach its processes, and `erpc` calls what it exports.
//!
//! ```no_run
//! use purlin::prelude::*;
//!
//! # async fn example() -> Result<(), purlin::node::StartError> {
//! let node = Node::builder("shop@127.0.0.1").cookie("secret").start().await?;
//! node.export("shop", "price", |item: String, pieces: u32| async move {
//!     match item.as_str() {
//!         "nail" => Ok(3 * pieces),
//!         _ => Err(Raise::badarg()),
//!     }
//! });
//! // In Erlang: erpc:call('shop@127.0.0.1', shop, price, [<<"nail">>, 12]).
//! # Ok(())
//! # }
//! ```
//!
//! Messages are Rust types; [`macro@message`] gives them the form that Erlang expects:
//!
//! ```
//! use purlin::term::{from_term, to_term};
//!
//! #[purlin::message]
//! #[derive(Debug, PartialEq)]
//! enum Command {
//!     Stop,
//!     Add(i64, i64),
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let term = to_term(&Command::Add(1, 2))?;
//! assert_eq!(term.to_string(), "{add,1,2}");
//! assert_eq!(from_term::<Command>(&term)?, Command::Add(1, 2));
//! # Ok(())
//! # }
//! ```
//!
//! [`node`] is the node and its processes, [`term`] the values they exchange. The binary `purlin`
//! runs a node, and asks others, from the command line.

pub use purlin_behaviours as behaviours;
pub use purlin_macros::{events, gen_server, message};
pub use purlin_node as node;
pub use purlin_runtime as runtime;
pub use purlin_term as term;

/// What the code that macros write refers to. No part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use serde;
}

/// What most programs use.
pub mod prelude {
    pub use purlin_behaviours::application::Application;
    pub use purlin_behaviours::supervisor::{
        Child, Supervisor, dynamic, one_for_all, one_for_one, partitioned, rest_for_one,
    };
    pub use purlin_behaviours::task::{Task, async_stream};
    pub use purlin_behaviours::{
        Agent, CallError, Context, GenServer, GenStatem, HandleCall, HandleCallFrom, HandleCast,
        HandleContinue, HandleInfo, InitError, Registry, ReplyTo, Request, Requests, Response,
        ServerOptions, ServerRef, StatemContext, StatemRef, by,
    };
    pub use purlin_node::{
        CallContext, Delivery, Destination, Envelope, ExportOptions, Mailbox, Node, NodeEvent,
        Raise, Target,
    };
    pub use purlin_runtime::{Process, Reason};
    pub use purlin_term::{Atom, NodeName, Pid, Reference, Term, atom};
}

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
//! node.export("shop", "price", 1, |_call, args| async move {
//!     match args[..] {
//!         [Term::Int(pieces)] => Ok(Term::Int(pieces * 12)),
//!         _ => Err(Raise::badarg()),
//!     }
//! });
//! // In Erlang: erpc:call('shop@127.0.0.1', shop, price, [3]).
//! # Ok(())
//! # }
//! ```
//!
//! [`node`] is the node and its processes, [`term`] the values they exchange. The binary `purlin`
//! runs a node, and asks others, from the command line.

pub use purlin_macros::message;
pub use purlin_node as node;
pub use purlin_term as term;

/// What [`macro@message`] writes refers to; not for users.
#[doc(hidden)]
pub mod __private {
    pub use serde;
}

/// What most programs use.
pub mod prelude {
    pub use purlin_node::{
        Call, Delivery, Destination, Envelope, Mailbox, Node, Outcome, Raise, Watched,
    };
    pub use purlin_term::{Atom, NodeName, Pid, Reference, Term, atom};
}

//! Asking other nodes: ping, calls and casts of the `gen_server` family, and calls of functions.
//!
//! The verbs have OTP's names: `call`, `cast`, `abcast` and `multi_call` are those of `gen_server` and
//! address processes; `erpc_call`, `erpc_cast`, `erpc_multicall` and `erpc_multicast` are those of
//! `erpc` and address functions. `spawn_on`, which starts a function as a process, is with the node
//! (`node/spawn_on.rs`), and `erpc` goes by it.
//!
//! Each question is asked by a process of its own, whose mailbox nobody else knows: an answer that
//! comes too late finds it gone. A timeout says that the outcome is unknown; the question may have
//! been, or yet be, carried out.
//!
//! - `gen_server`: to processes; `erpc`: to functions; `multi`: to many nodes at once;
//! - `arguments`: what functions are given.

mod arguments;
mod erpc;
mod gen_server;
mod multi;

use std::time::Duration;

use purlin_runtime::TooManyProcesses;
use purlin_term::{Atom, NodeName, Term, atom};

pub use arguments::Arguments;
pub(crate) use arguments::ListOf;
pub use multi::Answers;

use crate::connection::{ConnectError, SendError};
use crate::node::Node;

/// How what was asked of another node ended without an answer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// There is no connection to the node; nothing was asked.
    #[error(transparent)]
    NotConnected(#[from] ConnectError),
    /// A call is asked by a process, and there may be no more; nothing was asked.
    #[error(transparent)]
    TooManyProcesses(#[from] TooManyProcesses),
    /// The question could not be sent; nothing was asked.
    #[error("the request could not be sent: {0}")]
    NotSent(SendError),
    /// The connection ended before the answer came. Whether the call took place is unknown.
    #[error(
        "the connection to {0} ended before it answered; whether the call took place is unknown"
    )]
    Disconnected(NodeName),
    /// No answer in time. Whether the call took place, or will, is unknown.
    #[error("no answer within {} ms; whether the call took place is unknown", .0.as_millis())]
    TimedOut(Duration),
    /// There is no such process.
    #[error("there is no such process")]
    NoProcess,
    /// The process that was asked ended before it answered.
    #[error("the process ended before it answered: {0}")]
    Ended(Term),
    /// The peer started no process for the call, and says why.
    #[error("the node refused the call: {0}")]
    Refused(Atom),
    /// The function raised.
    #[error("the function raised {class}: {reason}")]
    Raised {
        /// `throw`, `exit` or `error`.
        class: Atom,
        /// The value thrown, or the reason.
        reason: Term,
        /// The stack trace; empty but for `error`.
        stack: Term,
    },
    /// The answer is not one that the protocol knows, or does not decode.
    #[error("the answer cannot be understood: {0}")]
    Malformed(String),
}

impl From<SendError> for RemoteError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::NotConnected(error) => Self::NotConnected(error),
            SendError::TooManyProcesses(error) => Self::TooManyProcesses(error),
            other => Self::NotSent(other),
        }
    }
}

impl Node {
    /// Asks whether `peer` is there, connecting if need be: `net_adm:ping`.
    ///
    /// # Errors
    /// [`RemoteError`]: why the peer is not there.
    pub async fn ping(
        &self,
        peer: impl Into<NodeName>,
        timeout: Duration,
    ) -> Result<(), RemoteError> {
        let peer = peer.into();
        let request = (atom!("is_auth"), Term::from(self.name()));
        let server = (atom!("net_kernel"), peer);
        let reply = self.call_term_timeout(server, &request, timeout).await?;
        match reply.is_atom("yes") {
            true => Ok(()),
            false => Err(RemoteError::Malformed(reply.to_string())),
        }
    }
}

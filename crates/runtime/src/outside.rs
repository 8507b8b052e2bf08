//! The way to other nodes, as a runtime sees it.
//!
//! A node implements [`Outside`] on its connections. What is for a node that cannot be reached is
//! answered like what is for a dead process, with `noconnection`.

use purlin_otp::reason::Reason;
use purlin_otp::signal::{Epoch, Signal, Target};
use purlin_term::{Atom, EncodedTerm, NodeName, Pid, Reference};

use crate::executor::BoxFuture;
use crate::send::SendError;

/// To whom a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A process.
    Pid(Pid),
    /// Whoever has this name on that node.
    Name(Atom, NodeName),
    /// The process behind an alias.
    Alias(Reference),
}

impl Destination {
    /// The node that the message goes to.
    pub fn node(&self) -> NodeName {
        match self {
            Self::Pid(pid) => pid.node,
            Self::Name(_, node) => *node,
            Self::Alias(reference) => reference.node(),
        }
    }

    /// As the target of a signal that may have an answer; `None` for an alias, by which nobody makes ties.
    pub fn target(&self) -> Option<Target> {
        match self {
            Self::Pid(pid) => Some(Target::Pid(*pid)),
            Self::Name(name, node) => Some(Target::Name(name.clone(), *node)),
            Self::Alias(_) => None,
        }
    }
}

impl From<Pid> for Destination {
    fn from(pid: Pid) -> Self {
        Self::Pid(pid)
    }
}

impl From<Target> for Destination {
    fn from(target: Target) -> Self {
        match target {
            Target::Pid(pid) => Self::Pid(pid),
            Target::Name(name, node) => Self::Name(name, node),
        }
    }
}

/// An alias.
impl From<Reference> for Destination {
    fn from(alias: Reference) -> Self {
        Self::Alias(alias)
    }
}

/// `{Name, Node}`.
impl<A: Into<Atom>, N: Into<NodeName>> From<(A, N)> for Destination {
    fn from((name, node): (A, N)) -> Self {
        Self::Name(name.into(), node.into())
    }
}

/// Carries signals and messages to other nodes.
///
/// All that one process sends to one other arrives in the order sent.
pub trait Outside: Send + Sync {
    /// Sends a signal for `from`. Never waits: where there is no connection and none is being made the
    /// answer, if one is due, comes back as a signal to `from`. A signal that asks something of a process
    /// (`Exit2`, `GroupLeader`) has a connection made.
    ///
    /// A signal that makes a tie goes `over` the connection for which the tie was noted, and is answered
    /// like one for which there is none when that is not the current one: so a tie never ends with
    /// another connection than the one that carried it.
    fn signal(&self, from: Pid, to: Destination, signal: Signal, over: Option<Epoch>);

    /// The connection to a node that is current, or is being made; [`Epoch::LOCAL`] if there is none.
    fn epoch(&self, node: NodeName) -> Epoch;

    /// The connection that a tie to be made now goes over: the current one, or one that is made from now
    /// on. Never waits: signals over it are sent when it is there.
    fn connect(&self, node: NodeName) -> Epoch;

    /// Whether a node is of OTP 28 or later, or means the same as those: for what older releases say
    /// differently. True of one that is not connected.
    fn is_of_otp28(&self, node: NodeName) -> bool {
        let _ = node;
        true
    }

    /// The reply to a spawn request of a process that has ended is to be refused with `reason`.
    fn adopt_orphan(&self, reference: Reference, node: NodeName, reason: Reason);

    /// Sends a message for `from`, waiting while the road is full. Dropped before it is ready, it has sent
    /// nothing.
    fn send(
        &self,
        from: Pid,
        to: Destination,
        message: EncodedTerm,
    ) -> BoxFuture<'_, Result<(), SendError>>;

    /// Sends a message for `from` at once or not at all. Where there is no connection one is made, and the
    /// message waits for it, in order with all else that `from` sends there; it is dropped if there is none to be
    /// had.
    ///
    /// # Errors
    /// [`SendError::Busy`] while the road is full, or as much as may waits for the connection.
    fn try_send(&self, from: Pid, to: Destination, message: EncodedTerm) -> Result<(), SendError>;

    /// As [`Outside::try_send`], to a node that is connected: OTP's option `noconnect`.
    ///
    /// # Errors
    /// [`SendError::NotConnected`] if it is not, [`SendError::Busy`] while the road is full.
    fn try_send_noconnect(
        &self,
        from: Pid,
        to: Destination,
        message: EncodedTerm,
    ) -> Result<(), SendError>;
}

//! What a process receives.

use purlin_otp::reason::Reason;
use purlin_otp::relations::Info;
use purlin_otp::signal::Target;
use purlin_term::Reference;

use super::cell::Encoded;

/// What a process receives.
#[derive(Debug)]
pub enum Received<M> {
    /// A message of the process's type.
    Message(M),
    /// What became of a link, a monitor or a spawn request.
    Info(Info),
    /// A message that is not of the process's type; only for one that asked for those
    /// ([`Process::take_foreign`](super::Process::take_foreign)).
    Foreign(Encoded),
}

/// What waits in a mailbox, by reference: for choosing what to receive.
#[derive(Debug)]
pub enum Peek<'a, M> {
    /// A message of the process's type.
    Message(&'a M),
    /// What became of a link, a monitor or a spawn request.
    Info(&'a Info),
    /// A message that is not of the process's type.
    Foreign(&'a Encoded),
}

impl<M> Received<M> {
    /// The message, if it is one.
    pub fn message(self) -> Option<M> {
        match self {
            Self::Message(message) => Some(message),
            _ => None,
        }
    }

    /// The end of what was monitored, if it is that: the monitor, what it watched, and the reason.
    pub fn down(self) -> Option<(Reference, Target, Reason)> {
        match self {
            Self::Info(Info::Down {
                reference,
                target,
                reason,
                ..
            }) => Some((reference, target, reason)),
            _ => None,
        }
    }
}

impl<M> Peek<'_, M> {
    /// Whether it is the end of what this monitor watched.
    pub fn is_down(&self, monitor: &Reference) -> bool {
        matches!(self, Self::Info(Info::Down { reference, .. }) if reference == monitor)
    }

    /// Whether it is the reply to this spawn request.
    pub fn is_spawn_reply(&self, request: &Reference) -> bool {
        matches!(
            self,
            Self::Info(Info::Spawned { reference, .. } | Info::SpawnFailed { reference, .. })
                if reference == request
        )
    }
}

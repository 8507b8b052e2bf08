//! What can be wrong with a control message, and why a signal is not sent.

use purlin_term::EncodeError;

use super::op::Op;
use crate::flags::Flags;

/// A well-formed term that is not a control message. OTP closes the connection on it; so do we.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The control message is not a tuple.
    #[error("the control message is not a tuple")]
    NotATuple,
    /// The tuple does not start with a small integer.
    #[error("the control message does not start with an integer")]
    NoNumber,
    /// No control message has that number.
    #[error("control message {0} is unknown")]
    UnknownNumber(i64),
    /// The tuple has another size than this kind of control message.
    #[error("{op} is a tuple of {found} elements")]
    Arity {
        /// The kind of control message.
        op: Op,
        /// The elements it came with.
        found: usize,
    },
    /// An element is of another type than it must be.
    #[error("element {element} of {op} is not {expected}")]
    Element {
        /// The kind of control message.
        op: Op,
        /// Which element, the first being 1.
        element: usize,
        /// What it must be.
        expected: &'static str,
    },
    /// The payload that follows this kind of control message is not there.
    #[error("{0} came without its payload")]
    MissingPayload(Op),
    /// Something follows a kind of control message that has no payload.
    #[error("{0} has no payload, but bytes follow it")]
    UnexpectedPayload(Op),
}

/// A signal that cannot be sent to this peer. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeSignalError {
    /// The peer does not know this kind of signal. OTP's answers in this case: a spawn request
    /// fails with `notsup`; monitors are not sent; a message to an alias is dropped, or goes to
    /// the pid where the caller knows it; an unlinked link is forgotten at once.
    #[error("the peer does not take this signal: it lacks {0}")]
    NotSupported(Flags),
    /// [`Signal::UnlinkObsolete`](crate::signal::Signal::UnlinkObsolete) is only ever received.
    #[error("unlinking without an id is not sent any more")]
    Obsolete,
    /// A message to a name or an alias needs a sender.
    #[error("a message to a name or alias needs a sender")]
    NoSender,
    /// The message is larger than the format can say.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

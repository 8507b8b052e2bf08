//! Why a connection must be closed.

use purlin_term::DecodeError;

use crate::control::{ControlError, Op};

/// A frame that breaks the protocol or a limit: what is wrong, and where. The receiver is of no
/// further use, nothing of the frame was delivered, and the connection is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The frame ends inside its header.
    #[error("the frame ends inside its header, at byte {at}")]
    Truncated {
        /// The offset in the frame.
        at: usize,
    },
    /// The first bytes are none of the forms that were negotiated.
    #[error("a frame that starts with {first} and {second} was not negotiated on this connection")]
    Form {
        /// The first byte.
        first: u8,
        /// The second byte; 0 where there is none.
        second: u8,
    },
    /// The header has atoms, but no cache was negotiated.
    #[error("the header of the frame has {0} atoms, but no atom cache was negotiated")]
    CacheNotNegotiated(u8),
    /// The header refers to a slot of the cache that was never filled.
    #[error("atom {reference} of the header is in slot {slot} of the cache, which is empty")]
    EmptySlot {
        /// Which atom of the header.
        reference: u8,
        /// The slot.
        slot: u16,
    },
    /// A text in the header is not UTF-8, or has more than 255 characters.
    #[error("atom {reference} of the header has a text that is no atom, at byte {at}")]
    BadAtom {
        /// Which atom of the header.
        reference: u8,
        /// The offset in the frame.
        at: usize,
    },
    /// The control message is not a well-formed term. Offsets count from where it starts.
    #[error("malformed control message: {0}")]
    ControlTerm(DecodeError),
    /// The control message is a term, but not one of the protocol.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The payload is not a well-formed term. Offsets count from where it starts.
    #[error("malformed payload of {op}: {error}")]
    Payload {
        /// The kind of control message that it follows.
        op: Op,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// A fragment with number 0.
    #[error("sequence {sequence} has a fragment with number 0")]
    FragmentZero {
        /// The sequence.
        sequence: u64,
    },
    /// A first fragment of a sequence that is not at its end.
    #[error("sequence {sequence} starts again before its end")]
    SequenceStartsAgain {
        /// The sequence.
        sequence: u64,
    },
    /// A later fragment of a sequence that was not begun, or is at its end.
    #[error("fragment {number} is of sequence {sequence}, which is not begun")]
    UnknownSequence {
        /// The sequence.
        sequence: u64,
        /// The fragment's number.
        number: u64,
    },
    /// Fragments count down to 1 by one, and this one does not.
    #[error("fragment {number} of sequence {sequence} came in the place of {expected}")]
    FragmentOrder {
        /// The sequence.
        sequence: u64,
        /// The fragment's number.
        number: u64,
        /// The number that was due.
        expected: u64,
    },
    /// More sequences are begun and not at their end than the limit allows.
    #[error("more than {0} messages arrive in fragments at once")]
    TooManySequences(usize),
    /// One message in fragments is larger than the limit allows.
    #[error("the message of sequence {sequence} is larger than {len_max} bytes")]
    SequenceTooLong {
        /// The sequence.
        sequence: u64,
        /// The limit.
        len_max: usize,
    },
    /// The messages that arrive in fragments are together larger than the limit allows.
    #[error("the messages that arrive in fragments are together larger than {0} bytes")]
    SequencesTooLong(usize),
    /// An earlier frame was malformed.
    #[error("an earlier frame of this connection was malformed")]
    Poisoned,
}

//! How a handshake ends when it does not end well, in words for an operator.

use core::fmt;
use core::time::Duration;

use super::name::{FullName, NodeNameError};
use crate::flags::Flags;

/// What a side of the handshake waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The acceptor waits for the name of who dials.
    Name,
    /// The acceptor waits for its own node to decide about that name.
    Verdict,
    /// The acceptor waits whether the dialler insists although a connection exists.
    AliveAnswer,
    /// The acceptor waits for the upper half of an old dialler's flags.
    Complement,
    /// The acceptor waits for the proof of the cookie.
    ChallengeReply,
    /// The dialler waits whether it is welcome.
    Status,
    /// The dialler waits for its own node to say whether it still wants the connection.
    AliveVerdict,
    /// The dialler waits for the name and the challenge of the acceptor.
    Challenge,
    /// The dialler waits for the proof of the cookie.
    ChallengeAck,
    /// Nothing more is expected.
    Done,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Name => "the peer's name",
            Step::Verdict => "our node's decision about the peer",
            Step::AliveAnswer => "the peer's answer to `alive`",
            Step::Complement => "the upper half of the peer's flags",
            Step::ChallengeReply => "the peer's challenge reply",
            Step::Status => "the peer's status",
            Step::AliveVerdict => "our node's decision about the peer's `alive`",
            Step::Challenge => "the peer's challenge",
            Step::ChallengeAck => "the peer's challenge acknowledgement",
            Step::Done => "nothing more",
        })
    }
}

/// Why a handshake failed. In every case nothing was connected, the machine has come to its end
/// and the connection is to be closed, after what is left to send has been sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The peer's digest is not the one of our cookie.
    #[error("{peer} has another cookie; give both nodes the same one")]
    WrongCookie {
        /// Who dialled, or was dialled.
        peer: FullName,
    },
    /// The peer closed where OTP does so for a wrong cookie.
    #[error("{peer} closed the connection after our challenge reply: its cookie is likely another")]
    ClosedAfterReply {
        /// Who was dialled.
        peer: FullName,
    },
    /// The peer answered `not_allowed`.
    #[error(
        "{peer} does not allow this node to connect; its log says why (net_kernel:allow/1 there, \
         or distribution flags this node lacks)"
    )]
    NotAllowed {
        /// Who was dialled.
        peer: FullName,
    },
    /// Our node refused the peer.
    #[error("this node does not allow {peer} to connect")]
    Refused {
        /// Who dialled.
        peer: FullName,
    },
    /// The peer lacks flags we cannot do without.
    #[error(
        "{peer} lacks distribution flags this node needs ({missing}); it must be OTP 25 or later"
    )]
    MissingFlags {
        /// Who dialled or was dialled, as far as it said.
        peer: String,
        /// What it lacks.
        missing: Flags,
    },
    /// The node at the other end has another name than was dialled.
    #[error("dialled {dialled}, but the node there is called `{answered}`; use that name")]
    NameMismatch {
        /// Who was dialled.
        dialled: FullName,
        /// The name that answered, shortened.
        answered: String,
    },
    /// The peer has our name, or we dialled ourselves.
    #[error("{name} is this node's own name; a node does not connect to itself or to a namesake")]
    OwnName {
        /// Our name.
        name: FullName,
    },
    /// The peer's name, or the name it gave us, is not a node name.
    #[error("the peer sent an unusable node name: {0}")]
    InvalidName(#[source] NodeNameError),
    /// The peer answered `nok`: it dials us at the same time and its dial goes on.
    #[error("{peer} is dialling this node at the same time; its connection goes on, this one ends")]
    Nok {
        /// Who was dialled.
        peer: FullName,
    },
    /// We answered `nok`: our own dial to the peer goes on.
    #[error(
        "this node is dialling {peer} at the same time; that connection goes on, this one ends"
    )]
    OwnDialGoesOn {
        /// Who dialled.
        peer: FullName,
    },
    /// The connection that exists is kept.
    #[error("{peer} is connected already and that connection is kept")]
    AlreadyConnected {
        /// Who dialled or was dialled.
        peer: FullName,
    },
    /// A name that was generated for the peer is in use.
    #[error("the name {name} generated for the peer is in use; the peer may dial again")]
    NameTaken {
        /// The generated name.
        name: FullName,
    },
    /// We asked for a name and got none.
    #[error(
        "{peer} was asked to give this node a name and did not; give the node a name of its own"
    )]
    NotNamed {
        /// Who was dialled.
        peer: FullName,
    },
    /// A status this node does not know, or not at this place.
    #[error("the peer answered the unknown status `{status}`")]
    UnknownStatus {
        /// The status, shortened.
        status: String,
    },
    /// The peer speaks a version of the handshake from before OTP 23.
    #[error("the peer speaks an older handshake than version 6; it must be OTP 25 or later")]
    OldVersion,
    /// The whole handshake took too long.
    #[error("timed out after {} ms waiting for {step}", after.as_millis())]
    TimedOut {
        /// What was waited for.
        step: Step,
        /// The time the handshake was given.
        after: Duration,
    },
    /// The connection was closed by the peer or lost.
    #[error("the connection was closed while waiting for {step}")]
    Closed {
        /// What was waited for.
        step: Step,
    },
    /// A message that cannot be read.
    #[error("malformed message where {step} was expected: {what}")]
    Malformed {
        /// What was waited for.
        step: Step,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A message that is too long to be part of a handshake.
    #[error(
        "a message of {len} bytes came where {step} was expected, the limit is {len_max}; likely \
         something other than an Erlang node"
    )]
    TooLong {
        /// What was waited for.
        step: Step,
        /// Bytes announced.
        len: usize,
        /// Bytes allowed.
        len_max: usize,
    },
    /// The peer sends on and on without waiting for us.
    #[error("the peer sent more than {len_max} bytes ahead of {step}")]
    TooMuch {
        /// What was waited for.
        step: Step,
        /// Bytes allowed.
        len_max: usize,
    },
}

//! Signals: what one process tells another, whatever form it has on the wire.
//!
//! A [`Signal`] is the meaning of a control message. The wire has several forms of most of them
//! (with or without sender, reason in the control tuple or after it, with or without a trace
//! token); which form is used depends on the flags of the connection and is nobody's business but
//! [`control`](crate::control)'s. Signals are what the channel answers and what it is given.
//!
//! Terms that a user chose (messages, reasons, arguments) stay encoded: who sends encodes once,
//! who receives decodes, and the channel between them only walks the bytes.
//!
//! Names follow OTP's (ERTS, *Distribution Protocol*, "Protocol between Connected Nodes").
//! Deviations: `DOWN` is [`Signal::MonitorExit`] after `MONITOR_P_EXIT`; a sequential trace token
//! is kept as it came and has no effect here.

use std::num::NonZeroU64;

use purlin_term::{Atom, EncodedTerm, Pid, Reference};

/// The token of a sequential trace, `{Flags, Label, Serial, From, Previous}`, if there is one.
/// Boxed, since there nearly never is.
pub type TraceToken = Option<Box<EncodedTerm>>;

/// What one process tells another.
///
/// `from` is the process that the signal speaks for, `to` whom it is for. Neither was checked to
/// exist, nor that `from` is of the node at the other end.
#[derive(Debug, Clone)]
pub enum Signal {
    /// `from` links itself to `to`.
    Link {
        /// Who links.
        from: Pid,
        /// To whom.
        to: Pid,
    },
    /// `from` ends its link to `to`, and wants an [`Signal::UnlinkAck`] with the same id back
    /// before any other signal of `to`.
    Unlink {
        /// Chosen by `from`, unique for the pair.
        id: NonZeroU64,
        /// Who unlinks.
        from: Pid,
        /// From whom.
        to: Pid,
    },
    /// `from` has seen the [`Signal::Unlink`] of `to`.
    UnlinkAck {
        /// The id of that signal.
        id: NonZeroU64,
        /// Who acknowledges.
        from: Pid,
        /// Who unlinked.
        to: Pid,
    },
    /// The unlinking of before OTP 23, without id and acknowledgement. Received only: OTP 25
    /// ignores it and OTP 28 closes the connection on it; it is never sent.
    UnlinkObsolete {
        /// Who unlinks.
        from: Pid,
        /// From whom.
        to: Pid,
    },
    /// The link between `from` and `to` broke.
    Exit {
        /// Who ended.
        from: Pid,
        /// Who was linked to it.
        to: Pid,
        /// Why.
        reason: EncodedTerm,
        /// See [`TraceToken`].
        token: TraceToken,
    },
    /// `from` asks `to` to exit: `exit/2`.
    Exit2 {
        /// Who asks.
        from: Pid,
        /// Whom. Anything but a pid needs a peer of OTP 28 or later.
        to: Recipient,
        /// The reason asked for.
        reason: EncodedTerm,
        /// Sent as a priority signal (OTP 28). Peers without that get an ordinary one.
        priority: bool,
        /// See [`TraceToken`].
        token: TraceToken,
    },
    /// A message.
    Send {
        /// Who sent it; peers without SEND_SENDER do not say, and need not be told.
        from: Option<Pid>,
        /// For whom.
        to: Recipient,
        /// What.
        message: EncodedTerm,
        /// Sent as a priority message (OTP 28). Peers without that get an ordinary one.
        priority: bool,
        /// See [`TraceToken`].
        token: TraceToken,
    },
    /// `leader` becomes the group leader of `to`.
    GroupLeader {
        /// The new group leader.
        leader: Pid,
        /// Whose.
        to: Pid,
    },
    /// `from` monitors `to`.
    Monitor {
        /// Who monitors.
        from: Pid,
        /// Whom.
        to: Monitored,
        /// The monitor.
        reference: Reference,
    },
    /// `from` no longer monitors `to`.
    Demonitor {
        /// Who monitored.
        from: Pid,
        /// Whom, in the words of [`Signal::Monitor`].
        to: Monitored,
        /// The monitor.
        reference: Reference,
    },
    /// What `to` monitored is gone, or never was: `DOWN`.
    MonitorExit {
        /// Who ended, in the words of [`Signal::Monitor`].
        from: Monitored,
        /// Who monitored.
        to: Pid,
        /// The monitor.
        reference: Reference,
        /// Why.
        reason: EncodedTerm,
    },
    /// A process is to be spawned.
    SpawnRequest(Box<SpawnRequest>),
    /// What became of a spawn request.
    SpawnReply {
        /// The request's id.
        id: Reference,
        /// Who asked.
        to: Pid,
        /// The new process is linked to `to`.
        linked: bool,
        /// The new process is monitored by `to`, under the request's id.
        monitored: bool,
        /// The new process, or why there is none (`badopt`, `system_limit`, `notsup`).
        result: Result<Pid, Atom>,
        /// See [`TraceToken`].
        token: TraceToken,
    },
}

/// For whom a message is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Recipient {
    /// A process.
    Pid(Pid),
    /// Whoever has registered this name on the receiving node.
    Name(Atom),
    /// A process, by an alias that it made.
    Alias(Reference),
}

/// What a monitor watches.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Monitored {
    /// A process.
    Pid(Pid),
    /// Whoever has registered this name on the monitored node.
    Name(Atom),
}

/// What [`Signal::SpawnRequest`] asks for.
#[derive(Debug, Clone)]
pub struct SpawnRequest {
    /// The request's id; also the monitor's reference, where a monitor is asked for.
    pub id: Reference,
    /// Who asks.
    pub from: Pid,
    /// The group leader of the new process.
    pub group_leader: Pid,
    /// The module of the function to call.
    pub module: Atom,
    /// The function to call.
    pub function: Atom,
    /// Its number of arguments. Nothing holds the peer to a list of that length.
    pub arity: u32,
    /// A list of options: `link`, `monitor`, `{priority, high}`, ...
    pub options: EncodedTerm,
    /// The list of arguments.
    pub arguments: EncodedTerm,
    /// See [`TraceToken`].
    pub token: TraceToken,
}

impl Signal {
    /// The term that a user chose: the message, the reason, or the list of arguments.
    pub fn payload(&self) -> Option<&EncodedTerm> {
        match self {
            Self::Send { message, .. } => Some(message),
            Self::Exit { reason, .. }
            | Self::Exit2 { reason, .. }
            | Self::MonitorExit { reason, .. } => Some(reason),
            Self::SpawnRequest(request) => Some(&request.arguments),
            _ => None,
        }
    }

    /// The trace token, if there is one.
    pub fn token(&self) -> Option<&EncodedTerm> {
        match self {
            Self::Exit { token, .. }
            | Self::Exit2 { token, .. }
            | Self::Send { token, .. }
            | Self::SpawnReply { token, .. } => token.as_deref(),
            Self::SpawnRequest(request) => request.token.as_deref(),
            _ => None,
        }
    }
}

/// Signals are moved through queues: large ones would cost every message.
const _: () = assert!(size_of::<Signal>() <= 128);

//! Processes of this node whose messages are terms, and the envelopes of OTP's behaviours.
//!
//! The processes are the runtime's. One is started by [`Node::spawn`](crate::Node::spawn), or is a
//! [`Mailbox`] that code outside of processes holds ([`Node::attach`](crate::Node::attach)).

mod mailbox;
mod node_event;
mod unwind;

use purlin_term::{EncodeError, EncodedTerm, Term};

pub use mailbox::{Delivery, Mailbox};
pub use node_event::{NodeEvent, NodeMessage};
pub use purlin_behaviours::envelope::Caller;
pub(crate) use purlin_runtime::Destination;
pub(crate) use unwind::CatchUnwind;

/// `{Tag, Reply}`.
pub(crate) fn encode_reply(caller: &Caller, reply: &Term) -> Result<EncodedTerm, EncodeError> {
    EncodedTerm::encode(&Term::tuple([caller.tag.clone(), reply.clone()]))
}

/// The envelopes of the `gen_server` family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Envelope {
    /// `{'$gen_call', {Pid, Tag}, Request}`.
    Call(Caller, Term),
    /// `{'$gen_cast', Message}`.
    Cast(Term),
    /// `{system, {Pid, Tag}, Request}`.
    System(Caller, Term),
    /// Any other message.
    Info(Term),
}

impl Envelope {
    /// Takes `message` out of its envelope.
    pub fn open(message: Term) -> Self {
        let from = |term: &Term| match term.as_tuple() {
            Some([Term::Pid(pid), tag]) => Some(Caller {
                pid: *pid,
                tag: tag.clone(),
            }),
            _ => None,
        };
        match message.as_tuple() {
            Some([tag, who, request]) if tag.is_atom("$gen_call") => {
                from(who).map(|from| Self::Call(from, request.clone()))
            }
            Some([tag, who, request]) if tag.is_atom("system") => {
                from(who).map(|from| Self::System(from, request.clone()))
            }
            Some([tag, content]) if tag.is_atom("$gen_cast") => Some(Self::Cast(content.clone())),
            _ => None,
        }
        .unwrap_or(Self::Info(message))
    }

    /// Decodes a message and takes it out of its envelope; `None` for a map with a key twice.
    pub fn decode(message: &EncodedTerm) -> Option<Self> {
        message.to_term().ok().map(Self::open)
    }
}

#[cfg(test)]
mod tests {
    use purlin_term::atom;

    use super::*;

    #[test]
    fn envelopes_open_only_in_their_exact_form() {
        let cast = Term::tuple([atom!("$gen_cast").into(), 1.into()]);
        assert_eq!(Envelope::open(cast), Envelope::Cast(1.into()));
        let broken = Term::tuple([atom!("$gen_call").into(), 1.into(), 2.into()]);
        assert_eq!(Envelope::open(broken.clone()), Envelope::Info(broken));
    }
}

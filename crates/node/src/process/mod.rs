//! Processes of this node whose messages are terms, and the envelopes of OTP's behaviours.
//!
//! The processes are the runtime's. One is started by [`Node::spawn`](crate::Node::spawn), or is a
//! [`Mailbox`] that code outside of processes holds ([`Node::attach`](crate::Node::attach)).

mod mailbox;
mod node_event;
mod unwind;

use purlin_term::{EncodeError, EncodedTerm, Pid, Term};

pub use mailbox::{Delivery, Mailbox};
pub use node_event::{NodeEvent, NodeMessage};
pub(crate) use purlin_runtime::Destination;
pub(crate) use unwind::CatchUnwind;

/// A request that waits for a reply: what `gen_server:call` sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The process that waits.
    pub pid: Pid,
    /// What names the request, to be given back with the reply.
    pub tag: Term,
}

impl Caller {
    /// Where the reply goes: to the alias inside the tag if there is one, else to the process
    /// (distribution document, section 9).
    pub fn reply_to(&self) -> Destination {
        let alias_of = |tag: &Term| match tag {
            Term::ImproperList(list) if list.items().first()?.is_atom("alias") => {
                list.tail().as_reference().copied()
            }
            _ => None,
        };
        let nested = |tag: &Term| match tag {
            Term::ImproperList(list) => alias_of(list.items().first()?),
            Term::List(items) => alias_of(items.first()?),
            _ => None,
        };
        match alias_of(&self.tag).or_else(|| nested(&self.tag)) {
            Some(alias) => Destination::Alias(alias),
            None => Destination::Pid(self.pid),
        }
    }

    /// `{Tag, Reply}`.
    pub(crate) fn encode_reply(&self, reply: &Term) -> Result<EncodedTerm, EncodeError> {
        EncodedTerm::encode(&Term::tuple([self.tag.clone(), reply.clone()]))
    }
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
    use purlin_term::{NodeName, Reference, atom};

    use super::*;

    fn reference() -> Reference {
        let node = NodeName::new(&atom!("tags@host")).unwrap();
        Reference::new(node, 1, &[1, 2, 3]).unwrap()
    }

    fn from(tag: Term) -> Caller {
        let node = NodeName::new(&atom!("tags@host")).unwrap();
        Caller {
            pid: Pid {
                node,
                creation: 1,
                id: 1,
                serial: 0,
            },
            tag,
        }
    }

    #[test]
    fn a_reply_goes_to_the_alias_in_the_tag_or_else_to_the_process() {
        let alias = Term::list_with_tail([atom!("alias").into()], reference().into());
        let to_alias = Destination::Alias(reference());
        assert_eq!(from(alias.clone()).reply_to(), to_alias);
        let newer = Term::list_with_tail([alias], reference().into());
        assert_eq!(from(newer).reply_to(), to_alias);
        let plain = from(Term::tuple([reference().into(), atom!("node").into()]));
        assert_eq!(plain.reply_to(), Destination::Pid(plain.pid));
        assert_eq!(
            from(reference().into()).reply_to(),
            Destination::Pid(plain.pid)
        );
    }

    #[test]
    fn envelopes_open_only_in_their_exact_form() {
        let cast = Term::tuple([atom!("$gen_cast").into(), 1.into()]);
        assert_eq!(Envelope::open(cast), Envelope::Cast(1.into()));
        let broken = Term::tuple([atom!("$gen_call").into(), 1.into(), 2.into()]);
        assert_eq!(Envelope::open(broken.clone()), Envelope::Info(broken));
    }
}

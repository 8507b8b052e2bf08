//! The envelopes of OTP's behaviours.
//!
//! Source: OTP's `gen.erl` and `sys.erl`; the distribution document, section 9, for the roads by which a
//! reply goes back. An envelope is opened in its exact form only; anything else is a plain message.

use purlin_runtime::Destination;
use purlin_term::{Pid, Term, View};

/// A request that waits for a reply: what `gen_server:call` sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The process that waits.
    pub pid: Pid,
    /// What names the request, to be given back with the reply.
    pub tag: Term,
}

impl Caller {
    /// Where the reply goes: to the alias inside the tag if there is one, else to the process.
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

    /// `{Pid, Tag}`; `None` for anything else.
    pub(crate) fn read(from: View<'_>) -> Option<Self> {
        let [pid, tag] = from.as_tuple_of()?;
        Some(Self {
            pid: pid.as_pid()?,
            tag: tag.to_term().ok()?,
        })
    }
}

/// A message, out of its envelope.
#[derive(Clone)]
#[doc(hidden)]
pub enum Opened<'a> {
    /// `{'$gen_call', From, Request}`.
    Call(Caller, View<'a>),
    /// `{'$gen_cast', Message}`.
    Cast(View<'a>),
    /// `{system, From, Request}`.
    System(Caller, View<'a>),
    /// Any other message.
    Info(View<'a>),
}

impl<'a> Opened<'a> {
    /// Takes a message out of its envelope.
    pub fn open(message: View<'a>) -> Self {
        if let Some([tag, from, request]) = message.as_tuple_of() {
            if tag.is_atom("$gen_call")
                && let Some(caller) = Caller::read(from)
            {
                return Self::Call(caller, request);
            }
            if tag.is_atom("system")
                && let Some(caller) = Caller::read(from)
            {
                return Self::System(caller, request);
            }
        } else if let Some([tag, content]) = message.as_tuple_of()
            && tag.is_atom("$gen_cast")
        {
            return Self::Cast(content);
        }
        Self::Info(message)
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
}

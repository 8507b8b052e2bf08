//! Processes, as far as a first node needs them: a task with a pid and a mailbox.
//!
//! A process is started by [`Node::spawn`](crate::Node::spawn), or is a [`Mailbox`] that code
//! outside any process holds ([`Node::attach`](crate::Node::attach)). Its body receives signals in
//! the order of their arrival and ends with an exit reason; a panic ends it with
//! `{panic, Message}`. The runtime that the next steps build replaces this module behind the same
//! rules.

mod mailbox;
mod table;
mod unwind;

use purlin_term::{Atom, EncodedTerm, NodeName, Pid, Reference, Term, atom};

pub(crate) use mailbox::Queue;
pub use mailbox::{BYTES_MAX, Delivery, MESSAGES_MAX, Watched};
pub use table::RegisterError;
pub(crate) use table::{Effect, ExitKind, Processes};
pub(crate) use unwind::CatchUnwind;

use crate::connection::SendError;
use crate::node::Node;

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
}

impl From<Pid> for Destination {
    fn from(pid: Pid) -> Self {
        Self::Pid(pid)
    }
}

impl From<(Atom, NodeName)> for Destination {
    fn from((name, node): (Atom, NodeName)) -> Self {
        Self::Name(name, node)
    }
}

/// A process seen from inside: who it is, and what arrives.
pub struct Mailbox {
    node: Node,
    pid: Pid,
    group_leader: Pid,
    queue: Queue,
    /// True for a mailbox outside any task: the process ends when it is dropped.
    ends_on_drop: bool,
}

impl Mailbox {
    pub(crate) fn new(
        node: Node,
        pid: Pid,
        group_leader: Pid,
        queue: Queue,
        ends_on_drop: bool,
    ) -> Self {
        Self {
            node,
            pid,
            group_leader,
            queue,
            ends_on_drop,
        }
    }

    /// The node this process lives on.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// This process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Where output of this process goes.
    pub fn group_leader(&self) -> Pid {
        self.group_leader
    }

    /// The next signal. Cancel-safe: a signal is either returned or still in the mailbox.
    ///
    /// A process that was ended from outside receives nothing more: for one with a task this never
    /// returns, since the task is being dropped.
    pub async fn receive(&mut self) -> Delivery {
        match self.queue.recv().await {
            Some(delivery) => delivery,
            None => std::future::pending().await,
        }
    }

    /// Sends `message`, waiting while the connection's queue is full.
    ///
    /// # Errors
    /// [`SendError`] when the message cannot be sent; whether a sent message arrives is unknown.
    pub async fn send(&self, to: impl Into<Destination>, message: &Term) -> Result<(), SendError> {
        self.node.send_from(self.pid, to.into(), message).await
    }

    /// Turns exit signals from links into [`Delivery::Exit`], or back.
    pub fn trap_exit(&self, trap: bool) {
        self.node.set_trap_exit(self.pid, trap);
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        if self.ends_on_drop {
            self.node.end_process(self.pid, atom!("normal").into());
        }
    }
}

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

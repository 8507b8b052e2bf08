//! The messages as terms: what is sent, in the shapes of `global.erl`, and how parts are read.

use purlin_term::{Atom, List, NodeName, Pid, Term, atom};

use super::limits::VERSION;

/// Why a message was not acted upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ignored {
    /// No message of this protocol.
    Unknown,
    /// One of its messages with a part of the wrong type.
    Malformed,
    /// It names a node that is not the one it came from.
    Forged,
}

/// `{Tag, Rest...}`.
pub(super) fn tagged(tag: Atom, rest: impl IntoIterator<Item = Term>) -> Term {
    Term::tuple(std::iter::once(Term::Atom(tag)).chain(rest))
}

pub(super) fn cast(message: Term) -> Term {
    tagged(atom!("$gen_cast"), [message])
}

/// A call whose answer comes to `from` as `{Id, Reply}`.
pub(super) fn call(from: Pid, id: i64, request: Term) -> Term {
    tagged(
        atom!("$gen_call"),
        [Term::tuple([from.into(), id.into()]), request],
    )
}

pub(super) fn init_connect(me: NodeName, tag: i64, known: Term, locker: Pid) -> Term {
    let version = Term::tuple([VERSION.into(), tag.into()]);
    let locker = tagged(
        atom!("locker"),
        [atom!("no_longer_a_pid").into(), known, locker.into()],
    );
    cast(tagged(atom!("init_connect"), [version, me.into(), locker]))
}

/// Raw: the tag of the receiver first.
pub(super) fn init_connect_ack(me: NodeName, his_tag: Term, my_tag: i64) -> Term {
    tagged(
        atom!("init_connect_ack"),
        [me.into(), his_tag, my_tag.into()],
    )
}

/// Raw.
pub(super) fn cancel_connect(me: NodeName, his_tag: Term) -> Term {
    tagged(atom!("cancel_connect"), [me.into(), his_tag])
}

pub(super) fn exchange(me: NodeName, names: Term, his_tag: Term) -> Term {
    cast(tagged(
        atom!("exchange"),
        [me.into(), names, Term::nil(), his_tag],
    ))
}

pub(super) fn resolved(
    me: NodeName,
    resolved: Term,
    known: Term,
    externals: Term,
    his_tag: Term,
) -> Term {
    let unused = atom!("unused").into();
    cast(tagged(
        atom!("resolved"),
        [me.into(), resolved, known, unused, externals, his_tag],
    ))
}

pub(super) fn new_nodes(
    me: NodeName,
    ops: Term,
    externals: Term,
    nodes: Term,
    extra: Term,
) -> Term {
    cast(tagged(
        atom!("new_nodes"),
        [me.into(), ops, externals, nodes, extra],
    ))
}

pub(super) fn in_sync(me: NodeName) -> Term {
    cast(tagged(atom!("in_sync"), [me.into(), atom!("true").into()]))
}

/// Not wrapped: to the other locker it goes as it is, to the name server as a cast.
pub(super) fn lock_set(locker: Pid, is_set: bool, known: Term, his_tag: Option<Term>) -> Term {
    let parts = [locker.into(), is_set.into(), known];
    tagged(atom!("lock_set"), parts.into_iter().chain(his_tag))
}

pub(super) fn set_lock(id: Term) -> Term {
    tagged(atom!("set_lock"), [id])
}

pub(super) fn del_lock(id: Term) -> Term {
    tagged(atom!("del_lock"), [id])
}

/// Raw.
pub(super) fn remove_connection(me: NodeName) -> Term {
    tagged(atom!("remove_connection"), [me.into()])
}

/// A list of nodes without versions.
pub(super) fn nodes(nodes: impl IntoIterator<Item = NodeName>) -> Term {
    Term::list(nodes.into_iter().map(Term::from))
}

/// `[{Node, Version}]`.
pub(super) fn versioned(nodes: impl IntoIterator<Item = (NodeName, i64)>) -> Term {
    Term::list(
        nodes
            .into_iter()
            .map(|(node, version)| Term::tuple([node.into(), version.into()])),
    )
}

/// The tag and the other elements of a tagged tuple.
pub(super) fn parts(term: &Term) -> Result<(&str, &[Term]), Ignored> {
    match term.as_tuple() {
        Some([Term::Atom(tag), rest @ ..]) => Ok((tag.as_str(), rest)),
        _ => Err(Ignored::Unknown),
    }
}

pub(super) fn list(term: &Term) -> Result<&List, Ignored> {
    term.as_list().ok_or(Ignored::Malformed)
}

pub(super) fn pid(term: &Term) -> Result<Pid, Ignored> {
    term.as_pid().ok_or(Ignored::Malformed)
}

pub(super) fn pair(term: &Term) -> Result<(&Term, &Term), Ignored> {
    match term.as_tuple() {
        Some([first, second]) => Ok((first, second)),
        _ => Err(Ignored::Malformed),
    }
}

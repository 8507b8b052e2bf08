//! `global` driven by hand, by a scripted OTP-like peer, and as whole meshes in virtual time.

mod hostile;
mod mesh;
mod network;
mod partitions;
mod scripted;
mod tables;

use std::time::Duration;

use purlin_term::{Atom, NodeName, Pid, Term};

use super::{Config, Global, Output};

fn node(name: &str) -> NodeName {
    NodeName::new(Atom::new(name).unwrap()).unwrap()
}

fn pid(node_name: &str, id: u32) -> Pid {
    Pid {
        node: node(node_name),
        creation: 1,
        id,
        serial: 0,
    }
}

fn atom(text: &str) -> Term {
    Atom::new(text).unwrap().into()
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// `tuple!["exchange", node, 3]`: text is an atom.
macro_rules! tuple {
    ($($item:expr),* $(,)?) => {
        purlin_term::Term::tuple([$($crate::services::global::tests::IntoTerm::into_term($item)),*])
    };
}
macro_rules! list {
    ($($item:expr),* $(,)?) => {
        purlin_term::Term::list([$($crate::services::global::tests::IntoTerm::into_term($item)),*])
    };
}
pub(super) use {list, tuple};

pub(super) trait IntoTerm {
    fn into_term(self) -> Term;
}

impl IntoTerm for &str {
    fn into_term(self) -> Term {
        atom(self)
    }
}

impl IntoTerm for &Term {
    fn into_term(self) -> Term {
        self.clone()
    }
}

macro_rules! into_term {
    ($($type:ty)*) => {$(
        impl IntoTerm for $type {
            fn into_term(self) -> Term {
                self.into()
            }
        }
    )*};
}

into_term!(Term NodeName Pid i64 i32 bool);

fn cast(message: Term) -> Term {
    tuple!["$gen_cast", message]
}

fn call(from: Pid, request: Term) -> Term {
    tuple!["$gen_call", tuple![from, "tag"], request]
}

fn global(name: &str) -> Global {
    Global::new(Config {
        locker: pid(name, 7),
        random: 0x1234_5678_9abc_def0,
        connect_all: true,
        prevent_overlapping_partitions: true,
    })
}

fn outputs(global: &mut Global) -> Vec<Output> {
    std::iter::from_fn(|| global.poll_output()).collect()
}

/// What is sent to the name server of `to`, in order.
fn sent(outputs: &[Output], to: NodeName) -> Vec<Term> {
    let to_him = outputs.iter().filter_map(|output| match output {
        Output::Send { node, message } if *node == to => Some(message.clone()),
        _ => None,
    });
    to_him.collect()
}

/// Answers, for each peer, the question that goes before a report; gives what follows.
fn confirmed(global: &mut Global, asked: &[Output]) -> Vec<Output> {
    for output in asked {
        let Output::Send { message, .. } = output else {
            continue;
        };
        if let Some([tag, from, request]) = message.as_tuple()
            && tag.is_atom("$gen_call")
            && request.is_atom("get_protocol_version")
        {
            let id = from.as_tuple().unwrap()[1].clone();
            global.handle_locker_message(ms(40_001), &tuple![id, 8]);
        }
    }
    outputs(global)
}

/// What a call from `caller` with the tag `tag` is answered.
fn ask(global: &mut Global, now: Duration, caller: Pid, request: Term) -> Option<Term> {
    global.handle_message(now, Some(caller), &call(caller, request));
    outputs(global).into_iter().find_map(|output| match output {
        Output::Reply { to, tag, reply } if to == caller && tag.is_atom("tag") => Some(reply),
        _ => None,
    })
}

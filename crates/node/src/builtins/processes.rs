//! What a process is asked about from elsewhere: `process_info` and `is_process_alive`.

use purlin_runtime::ProcessInfo;
use purlin_term::{Atom, Pid, Term, atom};

use super::{atom_arg, few, pair};
use crate::export::{Outcome, Raise};
use crate::node::Node;
use purlin_runtime::Target;

/// The keys of `process_info/1`, in OTP's order; those that have no meaning here are left out.
const KEYS: [Atom; 14] = [
    REGISTERED_NAME,
    atom!("current_function"),
    atom!("initial_call"),
    atom!("status"),
    atom!("message_queue_len"),
    atom!("links"),
    atom!("dictionary"),
    atom!("trap_exit"),
    atom!("priority"),
    atom!("group_leader"),
    atom!("total_heap_size"),
    atom!("heap_size"),
    atom!("stack_size"),
    atom!("reductions"),
];

/// What `process_info/2` answers besides.
const MORE_KEYS: [Atom; 4] = [
    atom!("label"),
    atom!("memory"),
    atom!("monitored_by"),
    atom!("monitors"),
];

const REGISTERED_NAME: Atom = atom!("registered_name");

fn local_pid(node: &Node, pid: &Term) -> Result<Pid, Raise> {
    pid.as_pid()
        .filter(|pid| pid.node == node.name())
        .ok_or_else(Raise::badarg)
}

pub(super) fn is_process_alive(node: &Node, pid: &Term) -> Outcome {
    Ok(node.is_process_alive(local_pid(node, pid)?).into())
}

pub(super) async fn process_info(node: &Node, pid: &Term) -> Outcome {
    let Some(info) = node.process_info(local_pid(node, pid)?).await else {
        return Ok(atom!("undefined").into());
    };
    // OTP leaves the name out where there is none.
    let is_told = |key: &Atom| *key != REGISTERED_NAME || info.registered_name.is_some();
    let told = KEYS.into_iter().filter(is_told);
    Ok(Term::list(told.map(|key| item(&info, &key))))
}

pub(super) async fn process_info_items(node: &Node, pid: &Term, items: &Term) -> Outcome {
    let pid = local_pid(node, pid)?;
    let known = |item: &Term| -> Result<Atom, Raise> {
        let key = atom_arg(item)?;
        let is_known = KEYS.contains(key) || MORE_KEYS.contains(key);
        is_known.then(|| key.clone()).ok_or_else(Raise::badarg)
    };
    let keys = match items.as_list() {
        None => vec![known(items)?],
        Some(list) => few(list)?.iter().map(known).collect::<Result<_, _>>()?,
    };
    let Some(info) = node.process_info(pid).await else {
        return Ok(atom!("undefined").into());
    };
    Ok(match (items.as_list(), &keys[..]) {
        // As OTP has it: the one key that answers without its tag when it has no value.
        (None, [key]) if *key == REGISTERED_NAME && info.registered_name.is_none() => Term::nil(),
        (None, [key]) => item(&info, key),
        _ => Term::list(keys.iter().map(|key| item(&info, key))),
    })
}

/// `{Key, Value}`.
fn item(info: &ProcessInfo, key: &Atom) -> Term {
    let pids = |pids: &[Pid]| Term::list(pids.iter().map(|pid| Term::from(*pid)));
    let value = match key.as_str() {
        "registered_name" => {
            let name = info.registered_name.clone();
            name.map_or_else(Term::nil, Term::from)
        }
        "message_queue_len" => Term::Int(info.message_queue_len as i64),
        "links" => pids(&info.links),
        "monitored_by" => pids(&info.monitored_by),
        "monitors" => Term::list(info.monitors.iter().map(monitored)),
        "group_leader" => info.group_leader.into(),
        "trap_exit" => info.trap_exit.into(),
        "dictionary" => {
            let pairs = info.dictionary.iter().cloned();
            Term::list(pairs.map(|(key, value)| Term::tuple([key, value])))
        }
        "label" => {
            let label = info.label.as_deref();
            label.map_or_else(|| atom!("undefined").into(), Term::from)
        }
        // It answered, so it was between two steps of its work.
        "status" => atom!("waiting").into(),
        "priority" => atom!("normal").into(),
        // What OTP says of a process that runs a fun, and where it knows of no function.
        "initial_call" => Term::tuple([atom!("erlang").into(), atom!("apply").into(), 2.into()]),
        "current_function" => atom!("undefined").into(),
        // Heaps, stacks and reductions are an emulator's.
        _ => 0.into(),
    };
    pair(key.clone(), value)
}

/// `{process, Pid}` or `{process, {Name, Node}}`.
fn monitored(target: &Target) -> Term {
    let whom = match target {
        Target::Pid(pid) => Term::from(*pid),
        Target::Name(name, node) => Term::tuple([name.clone().into(), (*node).into()]),
    };
    pair(atom!("process"), whom)
}

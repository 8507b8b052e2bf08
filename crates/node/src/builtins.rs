//! The functions of OTP that every node answers, whoever calls.
//!
//! OTP's shells, `observer`, `rabbitmqctl` and the like ask a node these before anything else
//! (distribution document, sections 7, 10 and 13). Shapes are OTP's. Values that only an emulator
//! has (reductions, schedulers' run queues, atoms in a table) are given as a constant that does no
//! harm, never invented figures: `0`, `[]` or `undefined`, as each comment says.

use std::time::Duration;

use purlin_runtime::ProcessInfo;
use purlin_term::{Atom, List, NodeName, Pid, Term, atom};

use crate::export::{FunctionName, Outcome, Raise};
use crate::node::Node;

/// Answers a built-in; `None` if `name` is not one.
pub(crate) async fn call(node: &Node, name: &FunctionName, args: &[Term]) -> Option<Outcome> {
    let outcome = match (name.module.as_str(), name.function.as_str(), args) {
        ("net_adm", "ping", [peer]) => ping(node, peer).await,
        ("erlang", "process_info", [pid]) => process_info(node, pid).await,
        ("erlang", "process_info", [pid, items]) => process_info_items(node, pid, items).await,
        ("erlang", function, args) => return erlang(node, function, args),
        ("net_adm", "localhost", []) => Ok(Term::string(node.host_name())),
        ("net_kernel", "get_net_ticktime", []) => {
            Ok(Term::Int(node.net_ticktime().as_secs() as i64))
        }
        ("code", "ensure_loaded", [module]) => ensure_loaded(node, module),
        ("application", "which_applications", [] | [_]) => Ok(applications()),
        ("init", "get_status", []) => Ok(pair(atom!("started"), atom!("started").into())),
        ("global", "resolve_it", [_, _, _, _]) => resolve(node, args).await,
        ("purlin", "version", []) => Ok(Term::from(crate::VERSION)),
        ("purlin", "exports", []) => Ok(exports(node)),
        _ => return None,
    };
    Some(outcome)
}

/// True if `name` is a built-in.
pub(crate) fn is_builtin(name: &FunctionName) -> bool {
    let known: &[(&str, usize)] = match name.module.as_str() {
        "erlang" => &[
            ("node", 0),
            ("nodes", 0),
            ("nodes", 1),
            ("registered", 0),
            ("whereis", 1),
            ("processes", 0),
            ("process_info", 1),
            ("process_info", 2),
            ("is_process_alive", 1),
            ("system_info", 1),
            ("statistics", 1),
            ("memory", 0),
            ("memory", 1),
            ("system_time", 0),
            ("system_time", 1),
            ("function_exported", 3),
        ],
        "net_adm" => &[("ping", 1), ("localhost", 0)],
        "net_kernel" => &[("get_net_ticktime", 0)],
        "code" => &[("ensure_loaded", 1)],
        "application" => &[("which_applications", 0), ("which_applications", 1)],
        "init" => &[("get_status", 0)],
        "global" => &[("resolve_it", 4)],
        "purlin" => &[("version", 0), ("exports", 0)],
        _ => &[],
    };
    known
        .iter()
        .any(|&(function, arity)| name.function == *function && name.arity == arity)
}

fn erlang(node: &Node, function: &str, args: &[Term]) -> Option<Outcome> {
    Some(match (function, args) {
        ("node", []) => Ok(node.name().into()),
        ("nodes", []) => Ok(names(node.nodes())),
        ("nodes", [kind]) => nodes_of(node, kind),
        ("registered", []) => Ok(Term::list(node.registered().into_iter().map(Term::from))),
        ("whereis", [name]) => whereis(node, name),
        ("processes", []) => Ok(Term::list(node.processes().into_iter().map(Term::from))),
        ("is_process_alive", [pid]) => {
            let pid = pid.as_pid().filter(|pid| pid.node == node.name());
            pid.ok_or_else(Raise::badarg)
                .map(|pid| node.is_process_alive(pid).into())
        }
        ("system_info", [item]) => system_info(node, item),
        ("statistics", [item]) => statistics(node, item),
        ("memory", []) => Ok(Term::list(
            memory(node)
                .into_iter()
                .map(|(kind, bytes)| pair(kind, Term::Int(bytes))),
        )),
        ("memory", [kind]) => memory_of(node, kind),
        ("system_time", []) => Ok(nanoseconds(node.wall_clock())),
        ("system_time", [unit]) => system_time(node.wall_clock(), unit),
        ("function_exported", [module, function, arity]) => {
            function_exported(node, module, function, arity)
        }
        _ => return None,
    })
}

fn pair(tag: Atom, value: Term) -> Term {
    Term::tuple([tag.into(), value])
}

fn names(nodes: Vec<NodeName>) -> Term {
    Term::list(nodes.into_iter().map(Term::from))
}

fn atom_arg(term: &Term) -> Result<&Atom, Raise> {
    term.as_atom().ok_or_else(Raise::badarg)
}

async fn ping(node: &Node, peer: &Term) -> Outcome {
    let peer = node.intern(atom_arg(peer)?).map_err(|_| Raise::badarg())?;
    let pong = peer == node.name() || node.ping(peer, Duration::from_secs(7)).await.is_ok();
    Ok(if pong { atom!("pong") } else { atom!("pang") }.into())
}

/// Items that a list argument of a built-in may have: several times those there are.
const ITEMS_MAX: usize = 64;

/// The elements of a list argument of reasonable length.
fn few(list: &List) -> Result<&List, Raise> {
    if list.len() > ITEMS_MAX {
        return Err(Raise::badarg());
    }
    Ok(list)
}

fn nodes_of(node: &Node, kind: &Term) -> Outcome {
    if let Some(kinds) = kind.as_list() {
        let mut found = Vec::new();
        for kind in few(kinds)? {
            if kind.as_list().is_some() {
                return Err(Raise::badarg());
            }
            let more = nodes_of(node, kind)?;
            found.extend(more.as_list().unwrap_or_default().iter().cloned());
        }
        found.sort();
        found.dedup();
        return Ok(Term::list(found));
    }
    let all = || node.nodes().into_iter().chain(node.hidden_nodes());
    Ok(match atom_arg(kind)?.as_str() {
        "visible" => names(node.nodes()),
        "hidden" => names(node.hidden_nodes()),
        "connected" => names(all().collect()),
        "this" => names(vec![node.name()]),
        "known" => names(all().chain([node.name()]).collect()),
        _ => return Err(Raise::badarg()),
    })
}

fn whereis(node: &Node, name: &Term) -> Outcome {
    let name = atom_arg(name)?;
    Ok(node
        .whereis(name)
        .map_or_else(|| atom!("undefined").into(), Term::from))
}

fn local_pid(node: &Node, pid: &Term) -> Result<Pid, Raise> {
    pid.as_pid()
        .filter(|pid| pid.node == node.name())
        .ok_or_else(Raise::badarg)
}

/// The keys of `process_info/1` that mean something here.
const PROCESS_KEYS: [Atom; 7] = [
    atom!("registered_name"),
    atom!("message_queue_len"),
    atom!("links"),
    atom!("monitored_by"),
    atom!("group_leader"),
    atom!("trap_exit"),
    atom!("status"),
];

async fn process_info(node: &Node, pid: &Term) -> Outcome {
    let info = node.process_info(local_pid(node, pid)?).await;
    let info = info.map(|info| {
        let items = PROCESS_KEYS
            .into_iter()
            .map(|key| process_item(node, &info, &key));
        Term::list(items)
    });
    Ok(info.unwrap_or_else(|| atom!("undefined").into()))
}

async fn process_info_items(node: &Node, pid: &Term, items: &Term) -> Outcome {
    let pid = local_pid(node, pid)?;
    let known = |item: &Term| -> Result<Atom, Raise> {
        let key = atom_arg(item)?;
        let is_known = PROCESS_KEYS.contains(key);
        is_known.then(|| key.clone()).ok_or_else(Raise::badarg)
    };
    let keys = match items.as_list() {
        None => vec![known(items)?],
        Some(list) => few(list)?.iter().map(known).collect::<Result<_, _>>()?,
    };
    let Some(info) = node.process_info(pid).await else {
        return Ok(atom!("undefined").into());
    };
    let mut found = keys.iter().map(|key| process_item(node, &info, key));
    Ok(match items.as_list() {
        None => found.next().unwrap_or_else(Term::nil),
        Some(_) => Term::list(found),
    })
}

/// `{Key, Value}`.
fn process_item(node: &Node, info: &ProcessInfo, key: &Atom) -> Term {
    let pids = |pids: &[Pid]| Term::list(pids.iter().map(|pid| Term::from(*pid)));
    let value = match key.as_str() {
        "registered_name" => {
            let name = node.runtime().name_of(info.pid);
            name.map_or_else(Term::nil, Term::from)
        }
        "message_queue_len" => Term::Int(info.message_queue_len as i64),
        "links" => pids(&info.links),
        "monitored_by" => pids(&info.monitored_by),
        "group_leader" => info.group_leader.into(),
        "trap_exit" => info.trap_exit.into(),
        // It answered, so it was between two steps of its work.
        _ => atom!("waiting").into(),
    };
    pair(key.clone(), value)
}

fn system_info(node: &Node, item: &Term) -> Outcome {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from) as i64;
    Ok(match atom_arg(item)?.as_str() {
        "otp_release" => Term::string("purlin"),
        "version" => Term::string(crate::VERSION),
        "system_version" => Term::string(&format!("Purlin {}\n", crate::VERSION)),
        "system_architecture" => Term::string(std::env::consts::ARCH),
        "process_count" => Term::Int(node.runtime().process_count() as i64),
        "process_limit" => Term::Int(crate::limits::PROCESSES_MAX as i64),
        "creation" => Term::Int(node.creation().into()),
        "schedulers" | "schedulers_online" | "logical_processors" => Term::Int(cores()),
        "wordsize" => Term::Int(size_of::<usize>() as i64),
        "node" => node.name().into(),
        // There are none of these here.
        "port_count" | "ets_count" | "atom_count" => Term::Int(0),
        _ => return Err(Raise::badarg()),
    })
}

fn statistics(node: &Node, item: &Term) -> Outcome {
    Ok(match atom_arg(item)?.as_str() {
        "wall_clock" => {
            let total = Term::Int(node.uptime().as_millis() as i64);
            Term::tuple([total, 0.into()])
        }
        "io" => {
            let (read, written) = node.bytes_read_and_written();
            Term::tuple([
                pair(atom!("input"), (read as i64).into()),
                pair(atom!("output"), (written as i64).into()),
            ])
        }
        // Run queues and reductions belong to an emulator.
        "run_queue" | "total_run_queue_lengths" => 0.into(),
        "reductions" => Term::tuple([0.into(), 0.into()]),
        _ => return Err(Raise::badarg()),
    })
}

/// Resident memory as the operating system tells it, and what is not known as zero.
fn memory(node: &Node) -> Vec<(Atom, i64)> {
    let resident = node.resident_bytes() as i64;
    vec![
        (atom!("total"), resident),
        (atom!("processes"), 0),
        (atom!("processes_used"), 0),
        (atom!("system"), resident),
        (atom!("atom"), 0),
        (atom!("atom_used"), 0),
        (atom!("binary"), 0),
        (atom!("code"), 0),
        (atom!("ets"), 0),
    ]
}

fn memory_of(node: &Node, kind: &Term) -> Outcome {
    let all = memory(node);
    let bytes = |kind: &Term| {
        let kind = atom_arg(kind)?;
        let found = all.iter().find(|(known, _)| known == kind);
        found.map(|(_, bytes)| *bytes).ok_or_else(Raise::badarg)
    };
    match kind.as_list() {
        None => bytes(kind).map(Term::Int),
        Some(kinds) => {
            let pairs = few(kinds)?
                .iter()
                .map(|kind| Ok(Term::tuple([kind.clone(), Term::Int(bytes(kind)?)])));
            Ok(Term::list(pairs.collect::<Result<Vec<_>, Raise>>()?))
        }
    }
}

fn nanoseconds(since_epoch: Duration) -> Term {
    Term::from(since_epoch.as_nanos() as u64)
}

fn system_time(since_epoch: Duration, unit: &Term) -> Outcome {
    let nanos = since_epoch.as_nanos();
    let per_second = match unit {
        Term::Int(parts) => u128::try_from(*parts).ok().filter(|&p| p > 0),
        Term::Atom(unit) => match unit.as_str() {
            "second" | "seconds" => Some(1),
            "millisecond" | "milli_seconds" => Some(1_000),
            "microsecond" | "micro_seconds" => Some(1_000_000),
            "nanosecond" | "nano_seconds" | "native" => Some(1_000_000_000),
            _ => None,
        },
        _ => None,
    };
    let per_second = per_second.ok_or_else(Raise::badarg)?;
    Ok(purlin_term::BigInt::from(nanos * per_second / 1_000_000_000).into())
}

fn function_exported(node: &Node, module: &Term, function: &Term, arity: &Term) -> Outcome {
    let arity = arity.as_int().and_then(|arity| usize::try_from(arity).ok());
    let name = FunctionName {
        module: atom_arg(module)?.clone(),
        function: atom_arg(function)?.clone(),
        arity: arity.ok_or_else(Raise::badarg)?,
    };
    Ok((is_builtin(&name) || node.is_exported(&name)).into())
}

fn ensure_loaded(node: &Node, module: &Term) -> Outcome {
    let module = atom_arg(module)?;
    Ok(if node.is_module(module) {
        pair(atom!("module"), module.clone().into())
    } else {
        pair(atom!("error"), atom!("nofile").into())
    })
}

fn applications() -> Term {
    let application = |name: Atom, text: &str| {
        let (text, version) = (Term::string(text), Term::string(crate::VERSION));
        Term::tuple([name.into(), text, version])
    };
    Term::list([application(atom!("purlin"), "Purlin")])
}

fn exports(node: &Node) -> Term {
    let function = |name: FunctionName| {
        let arity = Term::Int(name.arity as i64);
        Term::tuple([name.module.into(), name.function.into(), arity])
    };
    Term::list(node.exports().into_iter().map(function))
}

/// `global` asks the node of the second process to settle a clash of names.
async fn resolve(node: &Node, args: &[Term]) -> Outcome {
    let arguments = args.to_vec().try_into().map_err(|_| Raise::badarg())?;
    let kept = crate::services::global_name_server::resolve(node, &arguments).await;
    kept.ok_or_else(Raise::badarg)
}

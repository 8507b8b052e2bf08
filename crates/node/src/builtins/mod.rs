//! The functions of OTP that every node answers, whoever calls.
//!
//! OTP's shells, `observer`, `rabbitmqctl` and the like ask a node these before anything else
//! (distribution document, sections 7, 10 and 13). Shapes are OTP's. Values that only an emulator
//! has (reductions, schedulers' run queues, atoms in a table) are given as a constant that does no
//! harm, never invented figures: `0`, `[]` or `undefined`, as each comment says.
//!
//! [`ALL`] lists them; the functions are here, in `processes` and in `system`.

mod processes;
mod system;

use std::time::Duration;

use purlin_term::{Atom, List, NodeName, Term, atom};

use crate::export::{FunctionName, Outcome, Raise};
use crate::host::BoxFuture;
use crate::node::Node;
use processes::{is_process_alive, process_info, process_info_items};
use system::{memory, memory_of, statistics, system_info, system_time};

/// A built-in, given as many arguments as it takes.
enum Builtin {
    Now(fn(&Node, &[Term]) -> Outcome),
    Waiting(for<'a> fn(&'a Node, &'a [Term]) -> BoxFuture<'a, Outcome>),
}

use Builtin::{Now, Waiting};

/// Module, function, arity, and what it does.
const ALL: [(&str, &str, usize, Builtin); 26] = [
    (
        "application",
        "which_applications",
        0,
        Now(|node, _| Ok(applications(node))),
    ),
    (
        "application",
        "which_applications",
        1,
        Now(|node, _| Ok(applications(node))),
    ),
    (
        "code",
        "ensure_loaded",
        1,
        Now(|node, args| ensure_loaded(node, &args[0])),
    ),
    ("erlang", "function_exported", 3, Now(function_exported)),
    (
        "erlang",
        "is_process_alive",
        1,
        Now(|node, args| is_process_alive(node, &args[0])),
    ),
    ("erlang", "memory", 0, Now(|node, _| Ok(memory(node)))),
    (
        "erlang",
        "memory",
        1,
        Now(|node, args| memory_of(node, &args[0])),
    ),
    ("erlang", "node", 0, Now(|node, _| Ok(node.name().into()))),
    ("erlang", "nodes", 0, Now(|node, _| Ok(names(node.nodes())))),
    (
        "erlang",
        "nodes",
        1,
        Now(|node, args| nodes_of(node, &args[0])),
    ),
    (
        "erlang",
        "process_info",
        1,
        Waiting(|node, args| Box::pin(process_info(node, &args[0]))),
    ),
    (
        "erlang",
        "process_info",
        2,
        Waiting(|node, args| Box::pin(process_info_items(node, &args[0], &args[1]))),
    ),
    (
        "erlang",
        "processes",
        0,
        Now(|node, _| Ok(Term::list(node.processes().into_iter().map(Term::from)))),
    ),
    (
        "erlang",
        "registered",
        0,
        Now(|node, _| Ok(Term::list(node.registered().into_iter().map(Term::from)))),
    ),
    (
        "erlang",
        "statistics",
        1,
        Now(|node, args| statistics(node, &args[0])),
    ),
    (
        "erlang",
        "system_info",
        1,
        Now(|node, args| system_info(node, &args[0])),
    ),
    (
        "erlang",
        "system_time",
        0,
        Now(|node, _| Ok(Term::from(node.wall_clock().as_nanos() as u64))),
    ),
    (
        "erlang",
        "system_time",
        1,
        Now(|node, args| system_time(node.wall_clock(), &args[0])),
    ),
    (
        "erlang",
        "whereis",
        1,
        Now(|node, args| whereis(node, &args[0])),
    ),
    (
        "global",
        "resolve_it",
        4,
        Waiting(|node, args| Box::pin(resolve(node, args))),
    ),
    (
        "init",
        "get_status",
        0,
        Now(|_, _| Ok(pair(atom!("started"), atom!("started").into()))),
    ),
    (
        "net_adm",
        "localhost",
        0,
        Now(|node, _| Ok(Term::string(node.host_name()))),
    ),
    (
        "net_adm",
        "ping",
        1,
        Waiting(|node, args| Box::pin(ping(node, &args[0]))),
    ),
    (
        "net_kernel",
        "get_net_ticktime",
        0,
        Now(|node, _| Ok(Term::Int(node.net_ticktime().as_secs() as i64))),
    ),
    ("purlin", "exports", 0, Now(|node, _| Ok(exports(node)))),
    (
        "purlin",
        "version",
        0,
        Now(|_, _| Ok(Term::from(crate::VERSION))),
    ),
];

/// Answers a built-in; `None` if `name` is not one.
pub(crate) async fn call(node: &Node, name: &FunctionName, args: &[Term]) -> Option<Outcome> {
    Some(match find(name)? {
        Now(answer) => answer(node, args),
        Waiting(answer) => answer(node, args).await,
    })
}

/// True if `name` is a built-in.
pub(crate) fn is_builtin(name: &FunctionName) -> bool {
    find(name).is_some()
}

/// True if there are built-ins of this module.
pub(crate) fn is_module(module: &Atom) -> bool {
    ALL.iter().any(|(known, ..)| *module == **known)
}

fn find(name: &FunctionName) -> Option<&'static Builtin> {
    let is_it = |(module, function, arity, _): &&(&str, &str, usize, Builtin)| {
        name.arity == *arity && name.function == **function && name.module == **module
    };
    ALL.iter().find(is_it).map(|(.., builtin)| builtin)
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

fn function_exported(node: &Node, args: &[Term]) -> Outcome {
    let [module, function, arity] = args else {
        return Err(Raise::badarg());
    };
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
    Ok(if is_module(module) || node.is_module(module) {
        pair(atom!("module"), module.clone().into())
    } else {
        pair(atom!("error"), atom!("nofile").into())
    })
}

/// Those that the program started, the youngest first, and Purlin itself.
fn applications(node: &Node) -> Term {
    let application = |name: Atom, text: &str, version: &str| {
        let (text, version) = (Term::string(text), Term::string(version));
        Term::tuple([name.into(), text, version])
    };
    let purlin = application(atom!("purlin"), "Purlin", crate::VERSION);
    let started = node.which_applications().into_iter();
    let started = started.map(|of| application(of.name, &of.description, &of.version));
    Term::list(started.chain([purlin]))
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

//! What the node is asked about as a whole: `system_info`, `statistics`, `memory`, `system_time`.

use std::time::Duration;

use purlin_term::{Atom, Term, atom};

use super::{atom_arg, few, pair};
use crate::export::{Outcome, Raise};
use crate::node::Node;

/// The release whose protocol and answers these are: the older of those the tests run.
const OTP_RELEASE: &str = "25";

pub(super) fn system_info(node: &Node, item: &Term) -> Outcome {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from) as i64;
    Ok(match atom_arg(item)?.as_str() {
        // Tools read a number here, and decide by it what a node understands.
        "otp_release" => Term::string(OTP_RELEASE),
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

pub(super) fn statistics(node: &Node, item: &Term) -> Outcome {
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
        // Run queues, reductions and collections of garbage belong to an emulator.
        "run_queue" | "total_run_queue_lengths" | "total_active_tasks" => 0.into(),
        "run_queue_lengths" | "active_tasks" => Term::list([Term::Int(0)]),
        "reductions" | "exact_reductions" | "context_switches" => Term::tuple([0.into(), 0.into()]),
        "garbage_collection" => Term::tuple([0.into(), 0.into(), 0.into()]),
        // What OTP says while this is not counted.
        "scheduler_wall_time" | "scheduler_wall_time_all" => atom!("undefined").into(),
        _ => return Err(Raise::badarg()),
    })
}

/// `[{Kind, Bytes}]`.
pub(super) fn memory(node: &Node) -> Term {
    let kinds = memory_by_kind(node).into_iter();
    Term::list(kinds.map(|(kind, bytes)| pair(kind, Term::Int(bytes))))
}

/// Resident memory as the operating system tells it, and what is not known as zero.
fn memory_by_kind(node: &Node) -> Vec<(Atom, i64)> {
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

pub(super) fn memory_of(node: &Node, kind: &Term) -> Outcome {
    let all = memory_by_kind(node);
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

pub(super) fn system_time(since_epoch: Duration, unit: &Term) -> Outcome {
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

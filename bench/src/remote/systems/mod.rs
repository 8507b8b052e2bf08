//! The systems: what serves, what is the client, and in whose words each load is done.
//!
//! What all have in common:
//!
//! - Two threads run processes, or two schedulers.
//! - The connection is made, and the server has answered once, before the clock runs; loads that are
//!   measured by the operation warm up for a tenth of their operations.
//! - The clock of messages one way stops when the server has said that it has the last.
//! - Every message arrives as a value of the system's own that a receiver can use.

mod purlin;
mod raw;

use super::loads::{Job, Kind};

/// The systems of a round, in turn.
pub(super) const ALL: &[System] = &[
    System {
        name: PURLIN,
        server: PURLIN_HALF,
        client: PURLIN_HALF,
        does: everything,
        note: as_described,
    },
    System {
        name: PURLIN_TO_BEAM,
        server: OTP25,
        client: PURLIN_HALF,
        does: everything,
        note: as_described,
    },
    System {
        name: BEAM_TO_PURLIN,
        server: PURLIN_HALF,
        client: OTP25,
        does: everything,
        note: as_described,
    },
    System {
        name: BEAM,
        server: OTP25,
        client: OTP25,
        does: everything,
        note: as_described,
    },
    System {
        name: "OTP 28",
        server: OTP28,
        client: OTP28,
        does: everything,
        note: as_described,
    },
    System {
        name: RACTOR,
        server: RACTOR_HALF,
        client: RACTOR_HALF,
        does: |kind, _| !matches!(kind, Kind::Spawn | Kind::Erpc),
        note: |kind| match kind {
            Kind::PingPong => Some("an RPC: an actor's address cannot be sent"),
            _ => None,
        },
    },
    System {
        name: RAW,
        server: Half::Here(&raw::ONE_WRITE_EACH),
        client: Half::Here(&raw::ONE_WRITE_EACH),
        does: |kind, _| matches!(kind, Kind::PingPong | Kind::OneWay),
        note: no_processes,
    },
    System {
        name: RAW_BATCHED,
        server: Half::Here(&raw::BATCHES),
        client: Half::Here(&raw::BATCHES),
        does: |kind, size| kind == Kind::OneWay && size < raw::BATCH_LEN as u64,
        note: no_processes,
    },
];

/// The names that goals refer to.
pub(super) const PURLIN: &str = "purlin";
pub(super) const PURLIN_TO_BEAM: &str = "purlin to OTP 25";
pub(super) const BEAM_TO_PURLIN: &str = "OTP 25 to purlin";
pub(super) const BEAM: &str = "OTP 25";
pub(super) const RACTOR: &str = "ractor_cluster";
pub(super) const RAW: &str = "raw sockets";
pub(super) const RAW_BATCHED: &str = "raw, 64 KiB batches";

const PURLIN_HALF: Half = Half::Here(&purlin::Purlin);

/// `erl/remote_bench.erl` does the loads, and says how.
const OTP25: Half = Half::Erl {
    variable: "PURLIN_OTP25",
    default: Some("erl"),
};

const OTP28: Half = Half::Erl {
    variable: "PURLIN_OTP28",
    default: None,
};

/// A program of its own: ractor has other types of messages when it is built for clusters.
const RACTOR_HALF: Half = Half::Beside("ractor_cluster_bench");

pub(super) struct System {
    pub(super) name: &'static str,
    pub(super) server: Half,
    pub(super) client: Half,
    /// Whether it has a part in a load of this kind and size.
    pub(super) does: fn(Kind, u64) -> bool,
    /// How its work differs from the load as described, if it does.
    pub(super) note: fn(Kind) -> Option<&'static str>,
}

impl System {
    /// What `--only` looks in.
    pub(super) fn described(&self) -> String {
        self.name.to_owned()
    }
}

/// What runs one half of a pair.
#[derive(Clone, Copy)]
pub(super) enum Half {
    /// This program.
    Here(&'static dyn Here),
    /// A program in the same folder.
    Beside(&'static str),
    /// An `erl` that this variable of the environment names, or the default one.
    Erl {
        variable: &'static str,
        default: Option<&'static str>,
    },
}

/// Both halves of a system that is in this program. `mapper` is the port of the port mapper.
pub(super) trait Here: Sync {
    /// Writes `ready` and an address, and serves for good.
    fn serve(&self, mapper: u16);
    /// Does a load with the server there; answers nanoseconds, one number for each column.
    fn drive(&self, mapper: u16, address: &str, job: Job) -> Vec<u64>;
}

/// Nanoseconds of the median and of one in a hundred.
fn percentiles(mut nanoseconds: Vec<u64>) -> Vec<u64> {
    nanoseconds.sort_unstable();
    let at = |hundredths: usize| nanoseconds[(nanoseconds.len() - 1) * hundredths / 100];
    vec![at(50), at(99)]
}

/// Operations before the clock runs.
fn warm_up(operations: u64) -> u64 {
    operations / 10
}

/// Runs one half on two worker threads, as a task of theirs.
fn run<T: Send + 'static>(half: impl Future<Output = T> + Send + 'static) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("two threads can be started");
    let answer = runtime.block_on(async { tokio::spawn(half).await });
    runtime.shutdown_background();
    answer.expect("no half of a run panics")
}

fn everything(_: Kind, _: u64) -> bool {
    true
}

fn as_described(_: Kind) -> Option<&'static str> {
    None
}

fn no_processes(_: Kind) -> Option<&'static str> {
    Some("no processes, no terms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        assert_eq!(percentiles((0..=100).rev().collect()), [50, 99]);
        assert_eq!(percentiles(vec![7]), [7, 7]);
    }
}

//! The systems, each in a file of its own that does every load in that system's words.
//!
//! To add one: write its file, with a [`Loads`] and a [`System`], and put it into [`ALL`].
//!
//! What all have in common:
//!
//! - Two threads run processes, unless the name says otherwise.
//! - Processes are started and at rest before the clock runs, except where starting is the load.
//! - The clock stops when the last message, DOWN or death has arrived, as a [`Latch`] tells.
//! - Every mailbox is unbounded and every send one-way; what differs is said in a note.
//!
//! [`Latch`]: super::measure::Latch

mod actix;
mod beam;
mod kameo;
mod purlin;
mod ractor;
mod threads;
mod tokio;

use super::loads::{Job, Kind};
use super::measure::Answer;

/// The systems of a round, in turn.
pub(super) const ALL: &[System] = &[
    purlin::SYSTEM,
    tokio::SYSTEM,
    beam::OTP25,
    beam::OTP28,
    ractor::SYSTEM,
    kameo::SYSTEM,
    actix::ONE_THREAD,
    actix::TWO_THREADS,
];

/// The names that goals refer to; the first is measured against them.
pub(super) const PURLIN: &str = "purlin";
pub(super) const TOKIO: &str = tokio::SYSTEM.name;
pub(super) const BEAM: &str = beam::OTP25.name;

pub(super) struct System {
    pub(super) name: &'static str,
    pub(super) runs: Runs,
    /// How its work differs from the load as described, if it does.
    pub(super) note: fn(Kind) -> Option<&'static str>,
    /// It does one operation where others do so many: for those so slow that no round would end.
    pub(super) share: fn(Kind) -> u64,
}

impl System {
    /// What `--only` looks in.
    pub(super) fn described(&self) -> String {
        self.name.to_owned()
    }
}

pub(super) enum Runs {
    /// In this program.
    Here(&'static dyn Loads),
    /// In an `erl` that this variable of the environment names, or in the default one.
    Erl {
        variable: &'static str,
        default: Option<&'static str>,
    },
}

/// The loads, as [`Kind`] describes them. Whoever leaves one out cannot do it.
pub(super) trait Loads: Sync {
    /// `round_trips` for each pair.
    fn ping_pong(&self, pairs: u64, round_trips: u64) -> Answer;
    /// `messages` from each sender.
    fn fan_in(&self, senders: u64, messages: u64) -> Answer;
    fn ring(&self, processes: u64, hops: u64) -> Answer;
    /// `calls` of each client, of one server.
    fn call(&self, clients: u64, calls: u64) -> Answer;
    fn spawn(&self, processes: u64) -> Answer;
    fn idle(&self, processes: u64) -> Answer;
    fn watch_many(&self, _watched: u64) -> Answer {
        Err("has no monitors")
    }
    fn many_watch(&self, _watchers: u64) -> Answer {
        Err("has no monitors")
    }
    fn linked(&self, _linked: u64) -> Answer {
        Err("has no links")
    }
}

/// Does one job with one system in this program.
pub(super) fn perform(loads: &dyn Loads, job: Job) -> Answer {
    let Job {
        kind,
        size,
        operations,
    } = job;
    match kind {
        Kind::PingPong => loads.ping_pong(size, operations / size),
        Kind::FanIn => loads.fan_in(size, operations / size),
        Kind::Ring => loads.ring(size, operations),
        Kind::Call => loads.call(size, operations / size),
        Kind::Spawn => loads.spawn(size),
        Kind::Idle => loads.idle(size),
        Kind::WatchMany => loads.watch_many(size),
        Kind::ManyWatch => loads.many_watch(size),
        Kind::Linked => loads.linked(size),
    }
}

/// For a system that does every load as described.
fn as_described(_: Kind) -> Option<&'static str> {
    None
}

/// For a system that is fast enough for all operations.
fn all_of_it(_: Kind) -> u64 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Peers change: whoever does a load still comes to its end.
    #[test]
    fn every_system_of_this_program_does_its_loads() {
        for system in ALL {
            let Runs::Here(loads) = system.runs else {
                continue;
            };
            for kind in Kind::ALL {
                let job = Job {
                    kind,
                    size: 3,
                    operations: 12,
                };
                let answer = perform(loads, job);
                let none = answer.is_err_and(|reason| !reason.starts_with("has no "));
                // So few idle processes are lost in what the other tests allocate.
                assert!(
                    !none || kind == Kind::Idle,
                    "{} {}",
                    system.name,
                    kind.name()
                );
            }
        }
    }
}

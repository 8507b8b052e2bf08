//! The systems, each in a file of its own that does every load in that system's words.
//!
//! To add one: write its file, with a [`System`], and put it into [`ALL`].
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
    /// In this program: does the job, as [`Kind`] describes it, or says why it cannot.
    Here(fn(Job) -> Answer),
    /// In an `erl` that this variable of the environment names, or in the default one.
    Erl {
        variable: &'static str,
        default: Option<&'static str>,
    },
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
            let Runs::Here(perform) = system.runs else {
                continue;
            };
            for kind in Kind::ALL {
                let job = Job {
                    kind,
                    size: 3,
                    operations: 12,
                };
                let answer = perform(job);
                let none = answer.is_err_and(|reason| !reason.starts_with("has no "));
                // So few idle processes are lost in what the other tests allocate.
                assert!(
                    !none || matches!(kind, Kind::Idle | Kind::ChildBytes),
                    "{} {}",
                    system.name,
                    kind.name()
                );
            }
        }
    }
}

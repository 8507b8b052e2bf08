//! Tests one process under a stateful generator, with its peers scripted.
//!
//! A [`Model`] says which commands there are and what each does to a process and to what is known of it; a
//! [`TestProbe`] stands where a peer of the process would. [`Check`] makes random lists of commands, runs
//! each in virtual time on a runtime of its own, and shrinks a list that fails: the [`Failure`] says the
//! shortest that was found and the seed that replays it.
//!
//! Guarantees:
//! - `P1` a seed stands for one list of commands, and the lists of a check follow from its seeds alone;
//! - `P2` a command whose precondition does not hold is passed over, so that each part of a list is a list;
//! - `P3` time passes only while nothing can go on.
//!
//! Not guaranteed: that the shortest list is found, or that the same seed stands for the same list under
//! another version of `proptest`.
//!
//! Source: QuickCheck's `eqc_statem` and `proptest-state-machine`; here commands are generated without the
//! state, and preconditions decide when they run.

mod check;
mod probe;

pub use check::{Check, Failure, Model};
pub use probe::{Heard, ProbeError, Question, TestProbe};

//! The simulator: many whole nodes on one thread, in virtual time, under a seed.
//!
//! A [`Sim`] makes a [`World`] from a seed and runs a scenario in it. The scenario adds
//! [`Machine`]s, boots processes of the operating system on them ([`SimHost`], which is a
//! [`Host`](purlin_node::Host)), starts nodes there, and lets things go wrong: paths are cut,
//! silenced and healed, processes are paused, slowed and killed, machines lose power, clocks jump.
//!
//! What it guarantees: the same seed takes the same course, in any process on any machine, and
//! [`Run::hash`] says whether two runs did. What it does not: that every order possible on real
//! machines comes up; a task never runs beside another one, so data races are other tools' to find.
//!
//! It rests on rules for the code that runs here, `docs/simulation.md` names them.

mod events;
mod host;
pub mod judge;
mod machine;
mod network;
mod random;
mod scenario;
mod sim;
mod tasks;
mod trace;
mod world;

pub use host::SimHost;
pub use machine::Machine;
pub use network::{Latency, Link, NetworkConfig};
pub use random::Random;
pub use scenario::{Options, Outcome, run_seed};
pub use sim::{Config, Run, Sim};
pub use trace::Sink;
pub use world::{Cut, World};

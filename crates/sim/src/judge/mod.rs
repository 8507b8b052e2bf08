//! Judges: what must hold, whatever happens in a world.
//!
//! Ordinary processes of the nodes under test say what they do and see, as [`Observation`]s; each
//! [`Judge`] is told of all of them, in order, and knows nothing else. It speaks up at once where
//! something can never be right (safety), and when the world was healed and has come to rest, where
//! something that was due has not come (convergence).
//!
//! A judge may be silent about a fault, never wrong about one: where what processes can see does
//! not tell a lost connection from a lost message, it gives the benefit of the doubt.

mod endings;
mod lives;
mod names;
mod nodes;
mod observation;
mod order;
mod spawns;

use std::sync::{Arc, Mutex, PoisonError};

pub use endings::Endings;
use lives::Lives;
pub use names::Names;
pub use nodes::Nodes;
pub use observation::{Alias, Fate, Observation, Peer, Way};
pub use order::SignalOrder;
pub use spawns::Spawns;

use crate::world::World;

/// Holds a world to something.
pub trait Judge: Send {
    /// Its name, for failures.
    fn name(&self) -> &'static str;

    /// Something happened.
    ///
    /// # Errors
    /// What must never happen and did.
    fn observe(&mut self, observation: &Observation) -> Result<(), String>;

    /// True while something is under way that may yet arrive, if only slowly.
    fn is_waiting(&self) -> bool {
        false
    }

    /// The world was healed and has come to rest: what should have happened and has not.
    fn converge(&mut self) -> Vec<String>;
}

/// The judges of a world at work. A handle, which every process that observes has.
#[derive(Clone)]
pub struct Court(Arc<Inner>);

struct Inner {
    world: World,
    sitting: Mutex<Sitting>,
}

struct Sitting {
    judges: Vec<Box<dyn Judge>>,
    failures: Vec<String>,
}

/// Failures that are kept: the first ones say what went wrong.
const FAILURES_MAX: usize = 20;

impl Court {
    /// A court of all judges.
    pub fn new(world: &World) -> Self {
        let judges: Vec<Box<dyn Judge>> = vec![
            Box::new(SignalOrder::default()),
            Box::new(Endings::default()),
            Box::new(Nodes::default()),
            Box::new(Spawns::default()),
            Box::new(Names::default()),
        ];
        let sitting = Sitting {
            judges,
            failures: Vec::new(),
        };
        Self(Arc::new(Inner {
            world: world.clone(),
            sitting: Mutex::new(sitting),
        }))
    }

    /// Tells all judges.
    pub fn observe(&self, observation: &Observation) {
        self.0.world.note(format_args!("{observation}"));
        let mut sitting = self
            .0
            .sitting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Sitting { judges, failures } = &mut *sitting;
        for judge in judges {
            if let Err(failure) = judge.observe(observation) {
                self.fail(failures, &**judge, &failure);
            }
        }
    }

    /// True while a judge waits for something that may yet arrive.
    pub fn is_waiting(&self) -> bool {
        let sitting = self.0.sitting.lock();
        let sitting = sitting.unwrap_or_else(PoisonError::into_inner);
        sitting.judges.iter().any(|judge| judge.is_waiting())
    }

    /// Asks all judges, when the world has come to rest; answers all failures.
    pub fn converge(&self) -> Vec<String> {
        let mut sitting = self
            .0
            .sitting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Sitting { judges, failures } = &mut *sitting;
        for judge in judges {
            for failure in judge.converge() {
                self.fail(failures, &**judge, &failure);
            }
        }
        std::mem::take(failures)
    }

    fn fail(&self, failures: &mut Vec<String>, judge: &dyn Judge, failure: &str) {
        let at = self.0.world.now().as_secs_f64();
        let failure = format!("{}: {failure} (at {at:.9} s)", judge.name());
        self.0.world.note(format_args!("FAILURE {failure}"));
        if failures.len() < FAILURES_MAX {
            failures.push(failure);
        }
    }
}

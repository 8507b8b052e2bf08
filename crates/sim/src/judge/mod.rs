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
mod order;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use purlin_node::{NodeName, Pid, Reference, Term};

pub use endings::Endings;
pub use order::SignalOrder;

use crate::world::World;

/// How a message is addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To a pid.
    Pid(Pid),
    /// To the name that the receiver of each node is registered with.
    Name,
}

/// What a process did or saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// A process is about to send a numbered message, having read all that was in its mailbox.
    Sending {
        /// Who sends.
        from: Pid,
        /// To which node.
        to: NodeName,
        /// To whom there.
        way: Way,
        /// Counts up for each `from` and `to`.
        number: u64,
    },
    /// The send returned, and the process has read all that was in its mailbox since.
    Sent {
        /// Who sent.
        from: Pid,
        /// To which node.
        to: NodeName,
        /// Which message.
        number: u64,
        /// False when the error said that nothing was sent.
        is_sent: bool,
    },
    /// A numbered message arrived.
    Received {
        /// At whom.
        by: Pid,
        /// From whom.
        from: Pid,
        /// Which.
        number: u64,
    },
    /// A process sets a monitor, having read all that was in its mailbox.
    Monitoring {
        /// Who watches.
        watcher: Pid,
        /// Whom.
        watched: Pid,
        /// The monitor.
        reference: Reference,
        /// Whether their nodes are connected, or one.
        is_connected: bool,
    },
    /// A monitor fired.
    Down {
        /// Who watches.
        watcher: Pid,
        /// The monitor.
        reference: Reference,
        /// Why.
        reason: Term,
    },
    /// A process links itself to another, for the first time, having read all that was in its
    /// mailbox. It traps exits, and so does the other.
    Linking {
        /// Who links itself.
        from: Pid,
        /// To whom.
        to: Pid,
        /// Whether their nodes are connected, or one.
        is_connected: bool,
    },
    /// An exit signal arrived at a process that traps them.
    Exit {
        /// At whom.
        at: Pid,
        /// From whom.
        from: Pid,
        /// Why.
        reason: Term,
    },
    /// A process was told that a node is no longer connected.
    NodeDown {
        /// Who was told.
        at: Pid,
        /// Which node.
        node: NodeName,
    },
    /// A process ends now.
    Ended {
        /// Which.
        pid: Pid,
        /// Why.
        reason: Term,
    },
    /// A node ends now, with all its processes and without a word from them.
    Gone {
        /// Its name.
        node: NodeName,
        /// Which incarnation of it.
        creation: u32,
    },
}

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

/// What several judges need to know about nodes and processes.
#[derive(Default)]
struct Lives {
    ended: BTreeMap<Pid, Term>,
    gone: BTreeSet<(NodeName, u32)>,
    /// How often a process was told that a node is down.
    node_downs: BTreeMap<(Pid, NodeName), u64>,
}

impl Lives {
    fn observe(&mut self, observation: &Observation) {
        match observation {
            Observation::Ended { pid, reason } => {
                self.ended.insert(*pid, reason.clone());
            }
            Observation::Gone { node, creation } => {
                self.gone.insert((*node, *creation));
            }
            Observation::NodeDown { at, node } => {
                *self.node_downs.entry((*at, *node)).or_default() += 1;
            }
            _ => {}
        }
    }

    /// True when the node that the process was on has gone.
    fn is_gone(&self, pid: Pid) -> bool {
        self.gone.contains(&(pid.node, pid.creation))
    }

    fn is_alive(&self, pid: Pid) -> bool {
        !self.is_gone(pid) && !self.ended.contains_key(&pid)
    }

    fn node_downs(&self, at: Pid, node: NodeName) -> u64 {
        self.node_downs.get(&(at, node)).copied().unwrap_or(0)
    }

    /// How often processes of the node of `pid` were told that `node` is down, all together.
    fn node_downs_around(&self, pid: Pid, node: NodeName) -> u64 {
        let here = |told: &Pid| (told.node, told.creation) == (pid.node, pid.creation);
        let told = self.node_downs.iter();
        told.filter(|((at, down), _)| here(at) && *down == node)
            .map(|(_, times)| times)
            .sum()
    }
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sending {
                from,
                to,
                way,
                number,
            } => {
                write!(f, "{from} sends {number} to {to} by ")?;
                match way {
                    Way::Pid(pid) => write!(f, "pid {pid}"),
                    Way::Name => f.write_str("name"),
                }
            }
            Self::Sent {
                from,
                to,
                number,
                is_sent,
            } => {
                let outcome = if *is_sent { "sent" } else { "did not send" };
                write!(f, "{from} {outcome} {number} to {to}")
            }
            Self::Received { by, from, number } => write!(f, "{by} received {number} of {from}"),
            Self::Monitoring {
                watcher,
                watched,
                reference,
                is_connected,
            } => {
                let connected = if *is_connected { "" } else { ", not connected" };
                write!(f, "{watcher} monitors {watched} as {reference}{connected}")
            }
            Self::Down {
                watcher,
                reference,
                reason,
            } => {
                write!(f, "{watcher} got DOWN of {reference}: {reason}")
            }
            Self::Linking {
                from,
                to,
                is_connected,
            } => {
                let connected = if *is_connected { "" } else { ", not connected" };
                write!(f, "{from} links to {to}{connected}")
            }
            Self::Exit { at, from, reason } => write!(f, "{at} got EXIT of {from}: {reason}"),
            Self::NodeDown { at, node } => write!(f, "{at} was told that {node} is down"),
            Self::Ended { pid, reason } => write!(f, "{pid} ends: {reason}"),
            Self::Gone { node, creation } => write!(f, "{node} of creation {creation} is gone"),
        }
    }
}

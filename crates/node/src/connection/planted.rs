//! Bugs on purpose: whoever judges nodes is trusted only after it has found them.
//!
//! They are made where signals leave for a peer, and only in tests that ask for one
//! ([`Config::planted_bug`](crate::Config::planted_bug)).

use std::sync::{Mutex, PoisonError};

use purlin_proto::control::{OutMessage, encode_signal};
use purlin_proto::signal::{Recipient, Signal};
use purlin_term::Pid;

use super::{Connection, SendError};

/// A bug that a node can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlantedBug {
    /// Now and then two messages of one process change places.
    Reordered,
    /// Now and then the end of a process is not told to one who watches it.
    LostDown,
    /// Now and then the end of a process is told twice to one who is linked to it.
    DoubleExit,
}

/// One in so many signals suffers: rare, as real bugs are.
const ONE_IN: u64 = 16;

#[derive(Default)]
pub(super) struct Planted {
    bug: Option<PlantedBug>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    seen: u64,
    held: Option<(Pid, OutMessage)>,
}

impl Connection {
    /// The same, with a bug.
    pub(super) fn with_bug(mut self, bug: Option<PlantedBug>) -> Self {
        self.planted.bug = bug;
        self
    }

    /// What goes out for a signal, the bug included.
    pub(super) fn encode(&self, flow: Pid, signal: &Signal) -> Result<Vec<OutMessage>, SendError> {
        let message = encode_signal(signal, self.flags)?;
        let planted = &self.planted;
        let mut state = planted.state.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match (planted.bug, signal) {
            (Some(PlantedBug::Reordered), Signal::Send { .. }) => state.swap(flow, message),
            (Some(PlantedBug::LostDown), Signal::MonitorExit { .. }) if state.is_turn() => vec![],
            (
                Some(PlantedBug::DoubleExit),
                Signal::Exit {
                    from, to, reason, ..
                },
            ) if state.is_turn() => {
                let again = Signal::Exit2 {
                    from: *from,
                    to: Recipient::Pid(*to),
                    reason: reason.clone(),
                    priority: false,
                    token: None,
                };
                vec![message, encode_signal(&again, self.flags)?]
            }
            _ => vec![message],
        })
    }
}

impl State {
    fn is_turn(&mut self) -> bool {
        self.seen += 1;
        self.seen.is_multiple_of(ONE_IN)
    }

    /// Holds a message back until the next one of its process.
    fn swap(&mut self, flow: Pid, message: OutMessage) -> Vec<OutMessage> {
        if let Some((_, held)) = self.held.take_if(|(holder, _)| *holder == flow) {
            return vec![message, held];
        }
        if self.held.is_none() && self.is_turn() {
            self.held = Some((flow, message));
            return vec![];
        }
        vec![message]
    }
}

//! Bugs on purpose: whoever judges nodes is trusted only after it has found them.
//!
//! They are made where signals leave for a peer, where the end of a connection is told, and where names
//! are looked up; and only in tests that ask for one
//! ([`Config::planted_bug`](crate::Config::planted_bug)).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use purlin_proto::channel::Sender;
use purlin_proto::control::{EncodeSignalError, OutMessage, encode_signal};
use purlin_proto::signal::{Recipient, Signal};
use purlin_runtime::Epoch;
use purlin_term::{Atom, Pid};

use super::{Connection, flow_of};

/// A bug that a node can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlantedBug {
    /// Now and then two messages of one process change places.
    Reordered,
    /// Now and then the end of a process is not told to one who watches it.
    LostDown,
    /// Now and then the end of a process is told twice to one who is linked to it.
    DoubleExit,
    /// Now and then the reply to a spawn request comes after the first signal of the new process.
    LateSpawnReply,
    /// Now and then the end of a connection is not told to who wants to know of nodes.
    LostNodeDown,
    /// Now and then links and monitors outlive their connection: its end is told of the one before it.
    StaleTies,
    /// Now and then a name leads to the process that had it last, also when that has ended.
    KeptName,
}

/// One in so many signals suffers: rare, as real bugs are.
const ONE_IN: u64 = 16;

/// The same of what is seldom: a connection has some ten of these, a node some ten connections.
const ONE_IN_FEW: u64 = 4;

#[derive(Default)]
pub(super) struct Planted {
    bug: Option<PlantedBug>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    seen: u64,
    held: Option<(Pid, OutMessage)>,
    held_reply: Option<(Pid, OutMessage)>,
}

impl Connection {
    /// The same, with a bug.
    pub(super) fn with_bug(mut self, bug: Option<PlantedBug>) -> Self {
        self.planted.bug = bug;
        self
    }

    /// What goes out for a signal, the bug included.
    pub(super) fn queue_in(
        &self,
        sender: &mut Sender,
        flow: Pid,
        signal: &Signal,
    ) -> Result<(), EncodeSignalError> {
        for message in self.encode(flow, signal)? {
            sender.push(flow_of(flow), message);
        }
        Ok(())
    }

    fn encode(&self, flow: Pid, signal: &Signal) -> Result<Vec<OutMessage>, EncodeSignalError> {
        let message = encode_signal(signal, self.flags)?;
        let planted = &self.planted;
        let mut state = planted.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, held)) = state.held_reply.take_if(|(child, _)| *child == flow) {
            return Ok(vec![message, held]);
        }
        Ok(match (planted.bug, signal) {
            (Some(PlantedBug::Reordered), Signal::Send { .. }) => state.swap(flow, message),
            (Some(PlantedBug::LostDown), Signal::MonitorExit { .. }) if state.is_turn(ONE_IN) => {
                vec![]
            }
            (Some(PlantedBug::LateSpawnReply), Signal::SpawnReply { result: Ok(_), .. })
                if state.is_turn(ONE_IN_FEW) =>
            {
                state.held_reply = Some((flow, message));
                vec![]
            }
            (
                Some(PlantedBug::DoubleExit),
                Signal::Exit {
                    from, to, reason, ..
                },
            ) if state.is_turn(ONE_IN) => {
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

    /// Whether this connection's end is told to who wants to know of nodes.
    pub(crate) fn tells_of_its_end(&self) -> bool {
        self.planted.bug != Some(PlantedBug::LostNodeDown) || !self.is_one_in_few()
    }

    /// The epoch that ends with this connection, as those who have ties over it are told.
    pub(crate) fn ended_epoch(&self) -> Epoch {
        let Epoch(epoch) = self.epoch();
        match self.planted.bug {
            Some(PlantedBug::StaleTies) if self.is_one_in_few() => Epoch(epoch - 1),
            _ => Epoch(epoch),
        }
    }

    fn is_one_in_few(&self) -> bool {
        self.epoch().0.is_multiple_of(ONE_IN_FEW)
    }
}

/// Names that a node keeps for longer than it should.
#[derive(Default)]
pub(crate) struct KeptNames(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    last: BTreeMap<Atom, Pid>,
    state: State,
}

impl KeptNames {
    /// Who has a name, the bug included.
    pub(crate) fn lead(
        &self,
        bug: Option<PlantedBug>,
        name: &Atom,
        to: Option<Pid>,
    ) -> Option<Pid> {
        if bug != Some(PlantedBug::KeptName) {
            return to;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = match to {
            Some(pid) => kept.last.insert(name.clone(), pid),
            None => kept.last.get(name).copied(),
        };
        last.filter(|_| kept.state.is_turn(ONE_IN)).or(to)
    }
}

impl State {
    fn is_turn(&mut self, one_in: u64) -> bool {
        self.seen += 1;
        self.seen.is_multiple_of(one_in)
    }

    /// Holds a message back until the next one of its process.
    fn swap(&mut self, flow: Pid, message: OutMessage) -> Vec<OutMessage> {
        if let Some((_, held)) = self.held.take_if(|(holder, _)| *holder == flow) {
            return vec![message, held];
        }
        if self.held.is_none() && self.is_turn(ONE_IN) {
            self.held = Some((flow, message));
            return vec![];
        }
        vec![message]
    }
}

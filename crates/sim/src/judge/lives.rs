//! What several judges need to know about nodes and processes: who lives, and who was told what.

use std::collections::{BTreeMap, BTreeSet};

use purlin_node::{NodeName, Pid, Term};

use super::Observation;

/// What is known of lives and ends.
#[derive(Default)]
pub(super) struct Lives {
    /// Those that said that they end, were killed on their own node, or of whose end somebody was told.
    pub(super) ended: BTreeMap<Pid, Term>,
    /// Those that were killed from elsewhere. Whether the signal reached them is unknown.
    doomed: BTreeSet<Pid>,
    /// Children that have been told of and have not said a word: a link may end one before it can.
    unborn: BTreeSet<Pid>,
    born: BTreeSet<Pid>,
    gone: BTreeSet<(NodeName, u32)>,
    /// How often a process was told that a node is down.
    node_downs: BTreeMap<(Pid, NodeName), u64>,
}

impl Lives {
    pub(super) fn observe(&mut self, observation: &Observation) {
        match observation {
            Observation::Ended { pid, reason } => {
                self.ended.insert(*pid, reason.clone());
            }
            Observation::Killing { victim, .. } => {
                self.doomed.insert(*victim);
            }
            Observation::Born { pid, .. } => {
                self.unborn.remove(pid);
                self.born.insert(*pid);
            }
            Observation::Spawned { pid, .. } if !self.born.contains(pid) => {
                self.unborn.insert(*pid);
            }
            Observation::Gone { node, creation } => {
                self.gone.insert((*node, *creation));
            }
            Observation::NodeDown { at, node, .. } => {
                *self.node_downs.entry((*at, *node)).or_default() += 1;
            }
            _ => {}
        }
    }

    /// Somebody was told that a process was killed, so it was.
    pub(super) fn note_killed(&mut self, pid: Pid, reason: &Term) {
        self.ended.entry(pid).or_insert_with(|| reason.clone());
    }

    /// True when the node that the process was on has gone.
    pub(super) fn is_gone(&self, pid: Pid) -> bool {
        self.is_node_gone(pid.node, pid.creation)
    }

    pub(super) fn is_node_gone(&self, node: NodeName, creation: u32) -> bool {
        self.gone.contains(&(node, creation))
    }

    pub(super) fn is_alive(&self, pid: Pid) -> bool {
        !self.is_gone(pid) && !self.ended.contains_key(&pid)
    }

    pub(super) fn is_doomed(&self, pid: Pid) -> bool {
        self.doomed.contains(&pid)
    }

    pub(super) fn is_unborn(&self, pid: Pid) -> bool {
        self.unborn.contains(&pid)
    }

    pub(super) fn node_downs(&self, at: Pid, node: NodeName) -> u64 {
        self.node_downs.get(&(at, node)).copied().unwrap_or(0)
    }

    /// How often processes of the node of `pid` were told that `node` is down, all together.
    pub(super) fn node_downs_around(&self, pid: Pid, node: NodeName) -> u64 {
        let here = |told: &Pid| (told.node, told.creation) == (pid.node, pid.creation);
        let told = self.node_downs.iter();
        told.filter(|((at, down), _)| here(at) && *down == node)
            .map(|(_, times)| times)
            .sum()
    }
}

//! `monitor_nodes`: who asked is told of every change, in turn, and nothing comes of a node that it is not
//! connected to.
//!
//! Source: OTP, `net_kernel:monitor_nodes/2` ("nodeup" before anything of the node, "nodedown" after
//! everything of its connection), and `docs/SEMANTICS.md`.
//!
//! - safety: up and down alternate for each watcher, each down has the number of the connection that its
//!   up had, and later connections have higher numbers; no incarnation comes back after a newer one; what
//!   is connected when one asks is what one was told; a message, and the end of a process there, comes
//!   only from the incarnation that is connected;
//! - convergence: the watchers of a node were told the same, both ends of a connection know of it, and
//!   nobody is connected to a node that has gone.

use std::collections::{BTreeMap, BTreeSet};

use purlin_node::{NodeName, Pid, Term};

use super::observation::List;
use super::{Judge, Lives, Observation, Peer};

/// What one watcher was told.
#[derive(Default)]
struct Watcher {
    connected: BTreeMap<NodeName, Peer>,
    last: BTreeMap<NodeName, Peer>,
    /// Incarnations after which it was told of another.
    superseded: BTreeSet<(NodeName, u32)>,
}

/// Holds nodes to what they tell of one another.
#[derive(Default)]
pub struct Nodes {
    lives: Lives,
    watchers: BTreeMap<Pid, Watcher>,
}

impl Watcher {
    fn begin(&mut self, peers: &[Peer]) {
        let known: BTreeMap<_, _> = peers.iter().map(|peer| (peer.node, *peer)).collect();
        (self.connected, self.last) = (known.clone(), known);
    }

    fn up(&mut self, peer: Peer) -> Result<(), String> {
        if let Some(before) = self.connected.insert(peer.node, peer) {
            return Err(format!("{peer} is up, and {before} was not down"));
        }
        if self.superseded.contains(&(peer.node, peer.creation)) {
            return Err(format!("{peer} is up, and a newer incarnation was known"));
        }
        let Some(last) = self.last.insert(peer.node, peer) else {
            return Ok(());
        };
        if last.creation != peer.creation {
            self.superseded.insert((last.node, last.creation));
        }
        match last.connection < peer.connection {
            true => Ok(()),
            false => Err(format!(
                "{peer} is up after {last}, which has a lower number"
            )),
        }
    }

    fn down(&mut self, node: NodeName, connection: Option<u64>) -> Result<(), String> {
        match self.connected.remove(&node) {
            Some(peer) if Some(peer.connection) == connection => Ok(()),
            Some(peer) => Err(format!("{node} is down, but not {peer}, which was up")),
            None => Err(format!("{node} is down, and it was not up")),
        }
    }

    fn asked(&self, peers: &[Peer]) -> Result<(), String> {
        let told: Vec<Peer> = self.connected.values().copied().collect();
        match told == peers {
            true => Ok(()),
            false => Err(format!(
                "asked what is connected, it is told {}, and it was told of {}",
                List(peers),
                List(&told)
            )),
        }
    }

    /// Something of a process came, `what`.
    fn came(&self, from: Pid, what: &str) -> Result<(), String> {
        match self.connected.get(&from.node) {
            Some(peer) if peer.creation == from.creation => Ok(()),
            Some(peer) => Err(format!("{what} of {from} came while {peer} was connected")),
            None => Err(format!(
                "{what} of {from} came while its node was not connected"
            )),
        }
    }
}

impl Nodes {
    fn came(&self, at: Pid, from: Pid, what: &str) -> Result<(), String> {
        match self.watchers.get(&at) {
            Some(watcher) if from.node != at.node => watcher.came(from, what),
            _ => Ok(()),
        }
    }

    /// An end: `noconnection` is the own node's word, and `noproc` may be said of an older incarnation.
    fn end_came(&self, at: Pid, of: Pid, reason: &Term) -> Result<(), String> {
        match reason.is_atom("noconnection") || reason.is_atom("noproc") {
            true => Ok(()),
            false => self.came(at, of, "the end"),
        }
    }

    /// What the living watchers of a node know, the first of them for all.
    fn views(&self) -> BTreeMap<(NodeName, u32), (&Pid, &Watcher)> {
        let mut views = BTreeMap::new();
        for (pid, watcher) in &self.watchers {
            if self.lives.is_alive(*pid) {
                views
                    .entry((pid.node, pid.creation))
                    .or_insert((pid, watcher));
            }
        }
        views
    }

    fn disagreements(&self) -> Vec<String> {
        let views = self.views();
        let mut failures = Vec::new();
        for (pid, watcher) in &self.watchers {
            let Some((other, view)) = views.get(&(pid.node, pid.creation)) else {
                continue;
            };
            if self.lives.is_alive(*pid) && view.connected != watcher.connected {
                failures.push(format!("{pid} and {other} were told of different nodes"));
            }
        }
        for (&(node, _), (pid, view)) in &views {
            for peer in view.connected.values() {
                failures.extend(self.one_sided(node, **pid, peer, &views));
            }
        }
        failures
    }

    /// What is wrong with a connection of `node`, now that all is at rest.
    fn one_sided(
        &self,
        node: NodeName,
        told: Pid,
        peer: &Peer,
        views: &BTreeMap<(NodeName, u32), (&Pid, &Watcher)>,
    ) -> Option<String> {
        if self.lives.is_node_gone(peer.node, peer.creation) {
            return Some(format!(
                "{told} was never told that {peer} is down, which has gone"
            ));
        }
        let (other, view) = views.get(&(peer.node, peer.creation))?;
        let back = view.connected.get(&node);
        let is_mutual = back.is_some_and(|back| back.creation == told.creation);
        (!is_mutual)
            .then(|| format!("{told} was told of {peer}, where {other} knows of no such thing"))
    }
}

impl Judge for Nodes {
    fn name(&self) -> &'static str {
        "nodes"
    }

    fn observe(&mut self, observation: &Observation) -> Result<(), String> {
        self.lives.observe(observation);
        let (at, result) = match observation {
            Observation::MonitoringNodes { by, peers } => {
                self.watchers.entry(*by).or_default().begin(peers);
                return Ok(());
            }
            Observation::NodeUp { at, peer } => {
                (at, self.watchers.entry(*at).or_default().up(*peer))
            }
            Observation::NodeDown {
                at,
                node,
                connection,
            } => {
                let watcher = self.watchers.entry(*at).or_default();
                (at, watcher.down(*node, *connection))
            }
            Observation::NodesAsked { by, peers } => {
                (by, self.watchers.entry(*by).or_default().asked(peers))
            }
            Observation::Received { by, from, .. } => (by, self.came(*by, *from, "a message")),
            Observation::Heard { by, from, .. } => (by, self.came(*by, *from, "a message")),
            Observation::Spawned { by, pid, .. } => (by, self.came(*by, *pid, "a reply")),
            Observation::Exit { at, from, reason } => (at, self.end_came(*at, *from, reason)),
            Observation::Down {
                watcher,
                watched,
                reason,
                ..
            } => (watcher, self.end_came(*watcher, *watched, reason)),
            _ => return Ok(()),
        };
        result.map_err(|wrong| format!("{at}: {wrong}"))
    }

    fn converge(&mut self) -> Vec<String> {
        self.disagreements()
    }
}

#[cfg(test)]
mod tests {
    use purlin_node::{Atom, atom};

    use super::*;

    fn pid(name: &str, creation: u32) -> Pid {
        let node = NodeName::new(Atom::new(name).unwrap()).unwrap();
        let (id, serial) = (1, 0);
        Pid {
            node,
            creation,
            id,
            serial,
        }
    }

    fn peer(creation: u32, connection: u64) -> Peer {
        Peer {
            node: pid("b@nodes", creation).node,
            creation,
            connection,
        }
    }

    fn here() -> Pid {
        pid("a@nodes", 1)
    }

    fn up(judge: &mut Nodes, peer: Peer) -> Result<(), String> {
        judge.observe(&Observation::NodeUp { at: here(), peer })
    }

    fn down(judge: &mut Nodes, connection: u64) -> Result<(), String> {
        let (at, node, connection) = (here(), peer(1, 1).node, Some(connection));
        judge.observe(&Observation::NodeDown {
            at,
            node,
            connection,
        })
    }

    fn watching(peers: Vec<Peer>) -> Nodes {
        let mut judge = Nodes::default();
        let by = here();
        judge
            .observe(&Observation::MonitoringNodes { by, peers })
            .unwrap();
        judge
    }

    #[test]
    fn up_and_down_alternate() {
        let mut judge = watching(vec![peer(1, 1)]);
        assert!(up(&mut judge, peer(1, 2)).is_err(), "it was up");
        let mut judge = watching(vec![]);
        assert!(down(&mut judge, 1).is_err(), "it was not up");
        assert!(up(&mut judge, peer(1, 1)).is_ok() && down(&mut judge, 1).is_ok());
        assert!(up(&mut judge, peer(1, 1)).is_err(), "that connection was");
        assert!(down(&mut judge, 2).is_err(), "another one is up");
    }

    #[test]
    fn an_old_incarnation_does_not_come_back_nor_anything_of_it() {
        let mut judge = watching(vec![peer(1, 1)]);
        let (by, number) = (here(), 1);
        let from = pid("b@nodes", 1);
        let message = Observation::Received { by, from, number };
        judge.observe(&message).unwrap();
        down(&mut judge, 1).unwrap();
        assert!(judge.observe(&message).is_err(), "it is not connected");
        up(&mut judge, peer(2, 2)).unwrap();
        assert!(judge.observe(&message).is_err(), "another one is");
        let reason = atom!("bye").into();
        let at = here();
        assert!(
            judge
                .observe(&Observation::Exit { at, from, reason })
                .is_err()
        );
        down(&mut judge, 2).unwrap();
        assert!(up(&mut judge, peer(1, 3)).is_err());
    }

    #[test]
    fn what_is_connected_is_what_one_was_told() {
        let mut judge = watching(vec![]);
        up(&mut judge, peer(1, 1)).unwrap();
        let asked = |peers| Observation::NodesAsked { by: here(), peers };
        assert!(judge.observe(&asked(vec![peer(1, 1)])).is_ok());
        assert!(judge.observe(&asked(vec![])).is_err());
        assert!(judge.observe(&asked(vec![peer(1, 2)])).is_err());
    }

    #[test]
    fn at_rest_all_watchers_and_both_ends_know_the_same() {
        let mut judge = watching(vec![peer(1, 1)]);
        assert_eq!(judge.converge().len(), 0, "nobody else watches");
        let by = pid("b@nodes", 1);
        judge
            .observe(&Observation::MonitoringNodes { by, peers: vec![] })
            .unwrap();
        assert_eq!(judge.converge().len(), 1, "the other end does not know");
        let (node, creation) = (by.node, 1);
        judge
            .observe(&Observation::Gone { node, creation })
            .unwrap();
        assert_eq!(judge.converge().len(), 1, "it has gone");
    }
}

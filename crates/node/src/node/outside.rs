//! The way out: signals and messages of processes here, for peers.
//!
//! What the runtime wants carried is put into its form on the wire and queued on the connection to
//! the node, in the flow of the process that it speaks for. Where there is none, what asks something of a
//! process has the node dialled, and waits for the connection (`connection/held.rs`); so does a message whose
//! sender does not wait. What can not go, or not over the connection that a tie was made for, is answered with
//! `noconnection`, and messages are dropped.

use std::sync::{Arc, PoisonError, Weak};

use purlin_proto::flags::Flags;
use purlin_proto::signal::{Monitored, Recipient, Signal as Wire};
use purlin_runtime::{
    BoxFuture, Destination, Epoch, Outside, Reason, SendError, Signal, Target, reason,
};
use purlin_term::{EncodedTerm, NodeName, Pid, Reference};

use super::signals::OBSOLETE_UNLINK;
use super::{Inner, Node, State};
use crate::connection::{
    self, ConnectError, Connection, EndedAttempt, Outgoing, OutgoingMessage, Waiting,
};

/// The roads from a runtime to other nodes. It does not keep the node: the node has the runtime.
pub(super) struct Roads(Weak<Inner>);

impl Roads {
    pub(super) fn to(node: &Node) -> Self {
        Self(Arc::downgrade(&node.0))
    }

    fn node(&self) -> Option<Node> {
        self.0.upgrade().map(Node)
    }
}

impl Outside for Roads {
    fn signal(&self, from: Pid, to: Destination, signal: Signal, over: Option<Epoch>) {
        if let Some(node) = self.node() {
            node.send_signal(from, to, signal, over);
        }
    }

    fn epoch(&self, peer: NodeName) -> Epoch {
        let epoch = self.node().and_then(|node| node.state().peers.epoch(peer));
        epoch.unwrap_or(Epoch::LOCAL)
    }

    fn is_of_otp28(&self, peer: NodeName) -> bool {
        let connection = self.node().and_then(|node| node.state().peers.get(peer));
        connection.is_none_or(|connection| connection.flags().contains(Flags::ALTACT_SIG))
    }

    fn connect(&self, peer: NodeName) -> Epoch {
        let Some(node) = self.node() else {
            return Epoch::LOCAL;
        };
        let mut state = node.state();
        node.dial_for_signals(&mut state, peer);
        state.peers.epoch(peer).unwrap_or(Epoch::LOCAL)
    }

    fn adopt_orphan(&self, reference: Reference, peer: NodeName, reason: Reason) {
        let connection = self.node().and_then(|node| node.state().peers.get(peer));
        if let Some(connection) = connection {
            connection.ties.adopt_orphan(reference, reason);
        }
    }

    fn send(
        &self,
        from: Pid,
        to: Destination,
        message: EncodedTerm,
    ) -> BoxFuture<'_, Result<(), SendError>> {
        Box::pin(async move {
            let peer = to.node();
            let Some(node) = self.node() else {
                return Err(not_connected(peer, &"this node is gone"));
            };
            let sent = node.send_outside(from, to, message).await;
            sent.map_err(|error| send_error(peer, error))
        })
    }

    fn try_send(&self, from: Pid, to: Destination, message: EncodedTerm) -> Result<(), SendError> {
        let peer = to.node();
        let Some(node) = self.node() else {
            return Err(not_connected(peer, &"this node is gone"));
        };
        let sent = node.try_send_outside(from, to, message);
        sent.map_err(|error| send_error(peer, error))
    }

    fn try_send_noconnect(
        &self,
        from: Pid,
        to: Destination,
        message: EncodedTerm,
    ) -> Result<(), SendError> {
        let peer = to.node();
        let connection = self.node().and_then(|node| node.state().peers.get(peer));
        let connection =
            connection.ok_or_else(|| not_connected(peer, &"there is no connection yet"))?;
        let sent = connection.try_send(from, &message_signal(from, recipient(to), message));
        sent.map_err(|error| send_error(peer, error))
    }
}

fn not_connected(node: NodeName, why: &dyn std::fmt::Display) -> SendError {
    SendError::NotConnected {
        node,
        why: why.to_string(),
    }
}

fn send_error(peer: NodeName, error: connection::SendError) -> SendError {
    use connection::SendError as Error;
    match error {
        Error::Here(error) => error,
        Error::Busy(node) => SendError::Busy(node),
        Error::Encode(error) => SendError::Encode(error.to_string()),
        Error::Signal(error) => SendError::Encode(error.to_string()),
        error @ (Error::Serialize(_) | Error::TooManyProcesses(_)) => {
            SendError::Encode(error.to_string())
        }
        error @ (Error::NotConnected(_) | Error::Disconnected(_)) => not_connected(peer, &error),
    }
}

/// How a message goes to a peer.
enum Way {
    Connected(Arc<Connection>, OutgoingMessage),
    /// It waits for the connection.
    Held,
    /// As much as may waits for the connection already.
    Full(OutgoingMessage),
}

fn outgoing_message(from: Pid, to: Destination, message: EncodedTerm) -> OutgoingMessage {
    let peer = to.node();
    let wire = message_signal(from, recipient(to), message);
    OutgoingMessage { from, peer, wire }
}

impl Node {
    /// Carries a signal of `from` to a peer, has it wait for the connection, or answers it.
    fn send_signal(&self, from: Pid, to: Destination, signal: Signal, over: Option<Epoch>) {
        let Some(wire) = self.on_the_wire(&to, &signal) else {
            return;
        };
        let outgoing = Outgoing {
            from,
            to,
            signal,
            wire,
        };
        let connection = {
            let mut state = self.state();
            let Some(current) = state.peers.get(outgoing.to.node()) else {
                return self.hold(&mut state, outgoing, over);
            };
            let is_meant = over.is_none_or(|epoch| epoch == current.epoch());
            if !is_meant || !self.note_ties(&current, &outgoing.to, &outgoing.signal) {
                // Under the lock: nothing of a connection to come may get there first.
                return self.refuse(&outgoing, over.unwrap_or(Epoch::LOCAL));
            }
            current
        };
        self.push_signal(&connection, &outgoing);
    }

    /// A connection that is ending tells of that end whoever was noted. One whose queue is over its bound
    /// even for these does not read: it closes itself, and there is nobody to tell.
    fn push_signal(&self, connection: &Connection, outgoing: &Outgoing) {
        let pushed = connection.push(outgoing.from, &outgoing.wire);
        if let Err(connection::SendError::Signal(_)) = pushed {
            // The peer does not know such signals, so nothing will ever come of it.
            self.refuse(outgoing, connection.epoch());
        }
    }

    /// Has a signal wait for the connection that is being made, and be made if it is worth one.
    fn hold(&self, state: &mut State, outgoing: Outgoing, over: Option<Epoch>) {
        // For a tie the attempt was begun before it was noted. That it is over says that it failed.
        if over.is_none() && outgoing.asks() {
            self.dial_for_signals(state, outgoing.to.node());
        }
        if let Some(outgoing) = state.peers.hold(outgoing, over) {
            self.refuse(&outgoing, over.unwrap_or(Epoch::LOCAL));
        }
    }

    /// The way of a message whose sender does not wait for a connection: the one that there is, or a place
    /// among what waits for it. One lock for both, so that the connection does not come in between.
    fn way_of(&self, message: OutgoingMessage) -> Result<Way, connection::SendError> {
        let mut state = self.state();
        if let Some(connection) = state.peers.get(message.peer) {
            return Ok(Way::Connected(connection, message));
        }
        if self.is_stopping() {
            return Err(ConnectError::Stopping.into());
        }
        self.begin_dial(&mut state, message.peer);
        let back = state.peers.hold_message(message);
        Ok(back.map_or(Way::Held, Way::Full))
    }

    /// Sends a message to another node for `from`, at once. Where there is no connection one is made, and the
    /// message waits for it in its sender's place.
    fn try_send_outside(
        &self,
        from: Pid,
        to: Destination,
        message: EncodedTerm,
    ) -> Result<(), connection::SendError> {
        match self.way_of(outgoing_message(from, to, message))? {
            Way::Connected(connection, message) => connection.try_send(from, &message.wire),
            Way::Held => Ok(()),
            Way::Full(message) => Err(connection::SendError::Busy(message.peer)),
        }
    }

    /// As [`Node::try_send_outside`], waiting while the road is full, and for the connection where as much
    /// as may waits for it already.
    pub(crate) async fn cast_outside(
        &self,
        from: Pid,
        to: Destination,
        message: EncodedTerm,
    ) -> Result<(), connection::SendError> {
        let (connection, message) = match self.way_of(outgoing_message(from, to, message))? {
            Way::Connected(connection, message) => (connection, message),
            Way::Held => return Ok(()),
            Way::Full(message) => (self.connect(message.peer).await?, message),
        };
        connection.send(from, &message.wire).await
    }

    fn dial_for_signals(&self, state: &mut State, peer: NodeName) {
        if !self.is_stopping() {
            self.begin_dial(state, peer);
        }
    }

    /// There is a connection: what waited for it goes out before anything that whoever waits sends now.
    /// Called under the lock, so also before anything of those who find it there. The terms in it are encoded
    /// already, and bounded.
    pub(crate) fn send_held(&self, connection: &Arc<Connection>, ended: Option<EndedAttempt>) {
        let Some(mut ended) = ended else { return };
        for waiting in std::mem::take(&mut ended.held) {
            match waiting {
                Waiting::Signal(outgoing) => {
                    self.note_ties(connection, &outgoing.to, &outgoing.signal);
                    self.push_signal(connection, &outgoing);
                }
                // What the peer does not take reaches nobody, like what is sent to the dead.
                Waiting::Message(message) => drop(connection.push(message.from, &message.wire)),
            }
        }
        ended.answer(&Ok(connection.clone()));
    }

    /// There will be no connection: what waited for it is answered, before anything of a later one, or
    /// dropped.
    pub(crate) fn dial_failed(&self, peer: NodeName, number: u64, error: ConnectError) {
        let mut state = self.state();
        let Some(mut ended) = state.peers.fail(peer, number) else {
            return;
        };
        let mut dropped = 0;
        for waiting in std::mem::take(&mut ended.held) {
            match waiting {
                Waiting::Signal(outgoing) => self.refuse(&outgoing, ended.epoch),
                Waiting::Message(_) => dropped += 1,
            }
        }
        if dropped > 0 {
            tracing::debug!(%peer, dropped, "messages that waited for the connection");
        }
        ended.answer(&Err(error));
    }

    /// What the connection has to know of a signal; false if it has ended.
    fn note_ties(&self, connection: &Connection, to: &Destination, signal: &Signal) -> bool {
        let ties = &connection.ties;
        let note = |pid| ties.note(pid, |pid| self.is_process_alive(pid));
        match (signal, to) {
            (Signal::Link { from } | Signal::Monitor { from, .. }, _) => note(*from),
            (Signal::Unlink { from, .. }, Destination::Pid(to)) => {
                // Until the peer has seen it, the process has something to lose with the connection.
                let is_open = note(*from);
                ties.end_link(*to, *from);
                is_open
            }
            (Signal::Exit { from, .. }, Destination::Pid(to)) => {
                ties.end_link(*to, *from);
                true
            }
            (Signal::Down { reference, .. }, _) => {
                ties.end_monitor(reference);
                true
            }
            _ => true,
        }
    }

    fn refuse(&self, outgoing: &Outgoing, epoch: Epoch) {
        let Some(to) = outgoing.to.target() else {
            return;
        };
        let reason = reason::noconnection();
        for (whom, answer) in purlin_otp::signal::refuse(&to, &outgoing.signal, &reason) {
            self.runtime().deliver_signal(whom.into(), answer, epoch);
        }
    }

    /// The form of a signal between nodes; `None` for what has none.
    fn on_the_wire(&self, to: &Destination, signal: &Signal) -> Option<Wire> {
        let pid = match to {
            Destination::Pid(pid) => Some(*pid),
            Destination::Name(..) | Destination::Alias(_) => None,
        };
        Some(match signal {
            Signal::Link { from } => Wire::Link {
                from: *from,
                to: pid?,
            },
            // Who unlinked in the old way does not know the answer to the new one.
            Signal::UnlinkAck { id, .. } if *id == OBSOLETE_UNLINK => return None,
            Signal::Unlink { from, id } => Wire::Unlink {
                id: *id,
                from: *from,
                to: pid?,
            },
            Signal::UnlinkAck { from, id } => Wire::UnlinkAck {
                id: *id,
                from: *from,
                to: pid?,
            },
            Signal::Exit { from, reason } => Wire::Exit {
                from: *from,
                to: pid?,
                reason: self.encode_reason(reason)?,
                token: None,
            },
            Signal::Exit2 { from, reason } => Wire::Exit2 {
                from: *from,
                to: recipient(to.clone()),
                reason: self.encode_reason(reason)?,
                priority: false,
                token: None,
            },
            Signal::GroupLeader { leader } => Wire::GroupLeader {
                leader: *leader,
                to: pid?,
            },
            Signal::Monitor {
                from, reference, ..
            } => Wire::Monitor {
                from: *from,
                to: monitored(&to.target()?),
                reference: *reference,
            },
            Signal::Demonitor { from, reference } => Wire::Demonitor {
                from: *from,
                to: monitored(&to.target()?),
                reference: *reference,
            },
            Signal::Down {
                from,
                reference,
                reason,
            } => Wire::MonitorExit {
                from: monitored(from),
                to: pid?,
                reference: *reference,
                reason: self.encode_reason(reason)?,
            },
            // The node answers spawn requests itself, before the process runs.
            Signal::Spawned { .. } | Signal::SpawnFailed { .. } => return None,
        })
    }

    /// Encodes an exit reason, once for all who are told of one end. `None` only if even a word for
    /// it had no encoding.
    fn encode_reason(&self, reason: &Reason) -> Option<EncodedTerm> {
        if reason.is_normal() {
            return Some(self.0.encoded_normal.clone());
        }
        if reason.as_atom().is_some() {
            return EncodedTerm::encode(reason).ok();
        }
        let last = || {
            let last = self.0.encoded_reason.lock();
            last.unwrap_or_else(PoisonError::into_inner)
        };
        if let Some((known, encoded)) = &*last()
            && known.is_same(reason)
        {
            return Some(encoded.clone());
        }
        let opaque = || EncodedTerm::encode(&purlin_term::atom!("reason_too_large").into());
        let encoded = EncodedTerm::encode(reason).or_else(|_| opaque()).ok()?;
        *last() = Some((reason.clone(), encoded.clone()));
        Some(encoded)
    }
}

fn monitored(target: &Target) -> Monitored {
    match target {
        Target::Pid(pid) => Monitored::Pid(*pid),
        Target::Name(name, _) => Monitored::Name(name.clone()),
    }
}

pub(super) fn recipient(to: Destination) -> Recipient {
    match to {
        Destination::Pid(pid) => Recipient::Pid(pid),
        Destination::Name(name, _) => Recipient::Name(name),
        Destination::Alias(reference) => Recipient::Alias(reference),
    }
}

pub(super) fn message_signal(from: Pid, to: Recipient, message: EncodedTerm) -> Wire {
    Wire::Send {
        from: Some(from),
        to,
        message,
        priority: false,
        token: None,
    }
}

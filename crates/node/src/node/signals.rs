//! What peers do: a signal that arrived on a connection is carried out here.

use std::sync::Arc;

use purlin_proto::signal::{Monitored, Recipient, Signal};
use purlin_term::{Atom, EncodedTerm, NodeName, Pid, Reference, Term, atom};

use super::{Node, State};
use crate::connection::Connection;
use crate::export::FunctionName;
use crate::limits::LINKS_AND_MONITORS_MAX;
use crate::process::{Delivery, ExitKind, Mailbox, Watched};
use crate::remote_call::{self, SpawnOptions, SpawnRequest};

impl Node {
    /// Carries out a signal that arrived on `connection`.
    ///
    /// A signal in the name of another node than the peer ends the connection: links and monitors
    /// are counted by the node that holds them, and nobody may break those of others.
    pub(crate) fn handle_signal(&self, connection: &Arc<Connection>, signal: Signal) {
        if let Some(other) = self.forged(connection.peer(), &signal) {
            return connection.close(&format_args!("it spoke for {other}"));
        }
        match signal {
            Signal::Send { to, message, .. } => self.deliver_message(&to, message),
            Signal::Link { from, to } => {
                let mut state = self.state();
                let effect = state.processes.link(from, to);
                limit_held(connection, &state);
                self.carry_out(state, effect.into_iter().collect());
            }
            Signal::Unlink { id, from, to } => {
                self.state().processes.unlink(from, to);
                let _ = connection.push(
                    to,
                    &Signal::UnlinkAck {
                        id,
                        from: to,
                        to: from,
                    },
                );
            }
            Signal::UnlinkObsolete { from, to } => self.state().processes.unlink(from, to),
            // Only who unlinks is acknowledged, and no process of this node does so yet.
            Signal::UnlinkAck { .. } => {}
            Signal::Exit {
                from, to, reason, ..
            } => {
                self.exit_signal(from, to, &reason, ExitKind::Link);
            }
            Signal::Exit2 {
                from, to, reason, ..
            } => {
                if let Some(pid) = self.recipient(&to) {
                    self.exit_signal(from, pid, &reason, ExitKind::Explicit);
                }
            }
            Signal::GroupLeader { leader, to } => {
                self.state().processes.set_group_leader(to, leader);
            }
            Signal::Monitor {
                from,
                to,
                reference,
            } => {
                let watched = self.watched(to);
                let mut state = self.state();
                let effect = state.processes.monitor(from, watched, reference);
                limit_held(connection, &state);
                self.carry_out(state, effect.into_iter().collect());
            }
            Signal::Demonitor { to, reference, .. } => {
                let watched = self.watched(to);
                self.state().processes.demonitor(&watched, &reference);
            }
            Signal::MonitorExit {
                from,
                to,
                reference,
                reason,
            } => {
                let watched = match from {
                    Monitored::Pid(pid) => Watched::Pid(pid),
                    Monitored::Name(name) => Watched::Name(name, connection.peer()),
                };
                let reason = decode_reason(&reason);
                let mut state = self.state();
                let down = Delivery::Down {
                    watched,
                    reference,
                    reason,
                };
                if state.processes.deliver(to, down) {
                    state.processes.remove_alias(&reference);
                }
            }
            Signal::SpawnRequest(request) => self.spawn_for(connection, *request),
            Signal::SpawnReply {
                id,
                to,
                monitored,
                result,
                ..
            } => {
                self.spawn_reply(id, to, monitored, result);
            }
        }
    }

    /// The node, other than `peer`, in whose name `signal` speaks.
    fn forged(&self, peer: NodeName, signal: &Signal) -> Option<NodeName> {
        let expected_from = |to, reference| {
            let expected = self.state().processes.expects_from(to, reference);
            [expected.unwrap_or(peer); 2]
        };
        let nodes = match signal {
            Signal::Link { from, .. }
            | Signal::Unlink { from, .. }
            | Signal::UnlinkAck { from, .. }
            | Signal::UnlinkObsolete { from, .. }
            | Signal::Exit { from, .. }
            | Signal::Exit2 { from, .. } => [from.node; 2],
            Signal::Monitor {
                from, reference, ..
            }
            | Signal::Demonitor {
                from, reference, ..
            } => [from.node, reference.node()],
            Signal::SpawnRequest(request) => [request.from.node, request.id.node()],
            Signal::MonitorExit { to, reference, .. } => expected_from(*to, reference),
            Signal::SpawnReply { to, id, .. } => expected_from(*to, id),
            // Who sends is not looked at, and a group leader may be anywhere.
            Signal::Send { .. } | Signal::GroupLeader { .. } => return None,
        };
        nodes.into_iter().find(|node| *node != peer)
    }

    fn recipient(&self, to: &Recipient) -> Option<Pid> {
        let state = self.state();
        match to {
            Recipient::Pid(pid) => Some(*pid),
            Recipient::Name(name) => state.processes.whereis(name),
            Recipient::Alias(reference) => state.processes.alias(reference),
        }
    }

    fn watched(&self, monitored: Monitored) -> Watched {
        match monitored {
            Monitored::Pid(pid) => Watched::Pid(pid),
            Monitored::Name(name) => Watched::Name(name, self.name()),
        }
    }

    fn exit_signal(&self, from: Pid, to: Pid, reason: &EncodedTerm, kind: ExitKind) {
        let reason = decode_reason(reason);
        let mut state = self.state();
        let effects = state.processes.exit(from, to, reason, kind);
        self.carry_out(state, effects);
    }

    fn spawn_reply(&self, id: Reference, to: Pid, monitored: bool, result: Result<Pid, Atom>) {
        let mut state = self.state();
        match result {
            Ok(pid) => {
                state
                    .processes
                    .deliver(to, Delivery::Spawned { reference: id, pid });
                if !monitored {
                    state.processes.forget(to, &id);
                }
            }
            Err(reason) => {
                state.processes.deliver(
                    to,
                    Delivery::SpawnFailed {
                        reference: id,
                        reason,
                    },
                );
            }
        }
    }

    /// Starts a process for a peer. The reply is queued before the process runs, so that nothing
    /// of the process can overtake it.
    fn spawn_for(&self, connection: &Arc<Connection>, request: purlin_proto::signal::SpawnRequest) {
        let id = request.id;
        let (from, leader) = (request.from, request.group_leader);
        let bytes = request.arguments.bytes().len();
        let reply = |linked, monitored, result| Signal::SpawnReply {
            id,
            to: from,
            linked,
            monitored,
            result,
            token: None,
        };
        let parsed = request
            .options
            .to_term()
            .ok()
            .and_then(|o| SpawnOptions::parse(&o));
        let (Some(options), Some(request)) = (parsed, decode_request(request)) else {
            let _ = connection.push(from, &reply(false, false, Err(atom!("badopt"))));
            return;
        };
        let mut state = self.state();
        let peer = connection.peer();
        let Some((pid, queue)) = state.processes.insert_for(peer, bytes, leader) else {
            drop(state);
            let _ = connection.push(from, &reply(false, false, Err(atom!("system_limit"))));
            return;
        };
        if options.link {
            state.processes.link(from, pid);
        }
        if options.monitor {
            state.processes.monitor(from, Watched::Pid(pid), id);
        }
        limit_held(connection, &state);
        // Queued before anybody can end the process, so that its end cannot overtake the reply.
        let _ = connection.push(pid, &reply(options.link, options.monitor, Ok(pid)));
        drop(state);
        let node = self.clone();
        let mailbox = Mailbox::new(self.clone(), pid, leader, queue, false);
        self.start_process(pid, mailbox, move |mailbox| async move {
            let _mailbox = mailbox;
            remote_call::run(&node, request).await
        });
    }
}

/// Ends the connection to a peer that holds more than it may.
fn limit_held(connection: &Connection, state: &State) {
    if state.processes.held_from(connection.peer()) > LINKS_AND_MONITORS_MAX {
        connection.close(&format_args!(
            "it holds more than {LINKS_AND_MONITORS_MAX} links and monitors of processes here"
        ));
    }
}

fn decode_request(request: purlin_proto::signal::SpawnRequest) -> Option<SpawnRequest> {
    let args = request.arguments.to_term().ok()?.as_list()?.to_vec();
    let name = FunctionName {
        module: request.module,
        function: request.function,
        arity: args.len(),
    };
    let (from, group_leader) = (request.from, request.group_leader);
    Some(SpawnRequest {
        from,
        group_leader,
        name,
        args,
    })
}

/// A reason that does not decode (a map with a key twice) is replaced, never lost.
fn decode_reason(reason: &EncodedTerm) -> Term {
    reason
        .to_term()
        .unwrap_or_else(|_| atom!("undecodable_reason").into())
}

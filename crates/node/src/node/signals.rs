//! The way in: what peers do, a signal at a time, as their connections read it.

use std::num::NonZeroU64;
use std::sync::Arc;

use purlin_proto::signal::{Monitored, Recipient, Signal as Wire};
use purlin_runtime::{Destination, Signal, Target, reason};
use purlin_term::{Atom, EncodedTerm, NodeName, Pid, Reference};

use super::Node;
use super::leave::is_leave;
use crate::connection::{Connection, TieRefused};
use crate::limits::SIGNALS_MAX;

/// The id that stands for none: links were ended without one before OTP 23. Nobody who counts ids up
/// reaches it.
pub(super) const OBSOLETE_UNLINK: NonZeroU64 = NonZeroU64::MAX;

impl Node {
    /// Carries out a signal that arrived on `connection`.
    ///
    /// A signal in the name of another node than the peer ends the connection: links and monitors
    /// are counted by the node that holds them, and nobody may break those of others.
    pub(crate) fn handle_signal(&self, connection: &Arc<Connection>, signal: Wire) {
        if let Some(other) = forged(connection.peer(), &signal) {
            return connection.close(&format_args!("it spoke for {other}"));
        }
        match self.take_in(connection, signal) {
            Ok(waiting) if waiting > SIGNALS_MAX => connection.close(&format_args!(
                "more than {SIGNALS_MAX} signals wait for a process here that does not handle them"
            )),
            Ok(_) => {}
            Err(refused) => connection.close(&refused),
        }
    }

    /// Answers how many signals wait for the receiver now.
    fn take_in(&self, connection: &Arc<Connection>, signal: Wire) -> Result<usize, TieRefused> {
        let ties = &connection.ties;
        let deliver = |to: Pid, signal| {
            let epoch = connection.epoch();
            self.runtime().deliver_signal(to.into(), signal, epoch)
        };
        Ok(match signal {
            Wire::Send {
                to: Recipient::Name(name),
                ..
            } if is_leave(&name) => {
                connection.handle_leave();
                0
            }
            Wire::Send {
                from, to, message, ..
            } => {
                let from = from.filter(|from| from.node == connection.peer());
                let to = self.destination(to);
                self.runtime().deliver_encoded(from, &to, message)
            }
            Wire::Link { from, to } => {
                ties.hold_link(from, to)?;
                deliver(to, Signal::Link { from })
            }
            Wire::Unlink { id, from, to } => {
                ties.end_link(from, to);
                deliver(to, Signal::Unlink { from, id })
            }
            Wire::UnlinkObsolete { from, to } => {
                ties.end_link(from, to);
                let id = OBSOLETE_UNLINK;
                deliver(to, Signal::Unlink { from, id })
            }
            Wire::UnlinkAck { id, from, to } => deliver(to, Signal::UnlinkAck { from, id }),
            Wire::Exit {
                from, to, reason, ..
            } => {
                ties.end_link(from, to);
                let reason = self.decode_reason(connection.peer(), &reason);
                deliver(to, Signal::Exit { from, reason })
            }
            Wire::Exit2 {
                from, to, reason, ..
            } => self.exit2(connection, from, to, &reason),
            Wire::GroupLeader { leader, to } => deliver(to, Signal::GroupLeader { leader }),
            Wire::Monitor {
                from,
                to,
                reference,
            } => self.monitor_for(connection, from, to, reference)?,
            Wire::Demonitor {
                from, reference, ..
            } => match ties.take_monitor(&reference, from) {
                Some(to) => deliver(to, Signal::Demonitor { from, reference }),
                None => 0,
            },
            Wire::MonitorExit {
                from,
                to,
                reference,
                reason,
            } => {
                let from = match from {
                    Monitored::Pid(pid) => Target::Pid(pid),
                    Monitored::Name(name) => Target::Name(name, connection.peer()),
                };
                let reason = self.decode_reason(connection.peer(), &reason);
                let down = Signal::Down {
                    from,
                    reference,
                    reason,
                };
                deliver(to, down)
            }
            Wire::SpawnRequest(request) => {
                self.spawn_for(connection, *request);
                0
            }
            Wire::SpawnReply {
                id,
                to,
                linked,
                monitored,
                result,
                ..
            } => {
                let is = purlin_otp::signal::ChildIs { linked, monitored };
                self.spawn_reply(connection, id, to, is, result)
            }
        })
    }

    fn exit2(
        &self,
        connection: &Connection,
        from: Pid,
        to: Recipient,
        reason: &EncodedTerm,
    ) -> usize {
        let reason = self.decode_reason(connection.peer(), reason);
        let (exit, epoch) = (Signal::Exit2 { from, reason }, connection.epoch());
        let runtime = self.runtime();
        match to {
            Recipient::Pid(pid) => runtime.deliver_signal(pid.into(), exit, epoch),
            Recipient::Name(name) => {
                runtime.deliver_signal(Target::Name(name, self.name()), exit, epoch)
            }
            Recipient::Alias(alias) => runtime.deliver_signal_to_alias(alias, exit, epoch),
        }
    }

    /// A monitor by a name is of whoever has the name now, and its end goes to that process.
    fn monitor_for(
        &self,
        connection: &Connection,
        from: Pid,
        to: Monitored,
        reference: Reference,
    ) -> Result<usize, TieRefused> {
        let (pid, name) = match to {
            Monitored::Pid(pid) => (Some(pid), None),
            Monitored::Name(name) => (self.whereis(&name), Some(name)),
        };
        let monitor = Signal::Monitor {
            from,
            reference,
            name: name.clone(),
        };
        if let Some(pid) = pid {
            connection.ties.hold_monitor(reference, from, pid)?;
            let epoch = connection.epoch();
            return Ok(self.runtime().deliver_signal(pid.into(), monitor, epoch));
        }
        if let Some(name) = name {
            let nobody = Target::Name(name, self.name());
            self.runtime()
                .answer_for(&nobody, &monitor, &reason::noproc());
        }
        Ok(0)
    }

    fn spawn_reply(
        &self,
        connection: &Connection,
        reference: Reference,
        to: Pid,
        is: purlin_otp::signal::ChildIs,
        result: Result<Pid, Atom>,
    ) -> usize {
        let reply = match result {
            Ok(child) => Signal::Spawned {
                reference,
                child,
                is,
            },
            Err(reason) => Signal::SpawnFailed {
                reference,
                node: connection.peer(),
                reason,
            },
        };
        let runtime = self.runtime();
        if let Some(reason) = connection.ties.take_orphan(&reference) {
            runtime.answer_for(&to.into(), &reply, &reason);
            return 0;
        }
        runtime.deliver_signal(to.into(), reply, connection.epoch())
    }

    fn destination(&self, to: Recipient) -> Destination {
        match to {
            Recipient::Pid(pid) => Destination::Pid(pid),
            Recipient::Name(name) => Destination::Name(name, self.name()),
            Recipient::Alias(reference) => Destination::Alias(reference),
        }
    }
}

/// The node, other than `peer`, in whose name `signal` speaks.
///
/// That a reply was asked of the peer is the receiver's to see: it drops one that was not.
fn forged(peer: NodeName, signal: &Wire) -> Option<NodeName> {
    let nodes = match signal {
        Wire::Link { from, .. }
        | Wire::Unlink { from, .. }
        | Wire::UnlinkAck { from, .. }
        | Wire::UnlinkObsolete { from, .. }
        | Wire::Exit { from, .. }
        | Wire::Exit2 { from, .. }
        | Wire::MonitorExit {
            from: Monitored::Pid(from),
            ..
        }
        | Wire::SpawnReply {
            result: Ok(from), ..
        } => [from.node; 2],
        Wire::Monitor {
            from, reference, ..
        }
        | Wire::Demonitor {
            from, reference, ..
        } => [from.node, reference.node()],
        Wire::SpawnRequest(request) => [request.from.node, request.id.node()],
        // A name is one of the peer, and so is a failure. Who sends is not looked at, and a group
        // leader may be anywhere.
        Wire::MonitorExit { .. }
        | Wire::SpawnReply { .. }
        | Wire::Send { .. }
        | Wire::GroupLeader { .. } => return None,
    };
    nodes.into_iter().find(|node| *node != peer)
}

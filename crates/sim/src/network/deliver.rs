//! What segments do when they arrive, and what becomes of them when they cannot.

use std::time::Duration;

use super::connection::{Direction, EndId, Phase, Segment};
use super::{Around, BACKLOG_MAX, MachineId, Network};
use crate::events::Event;

/// After this time a dialler tries again: TCP's first retransmission timeout (RFC 6298, 2.1).
const DIAL_AGAIN: Duration = Duration::from_secs(1);

/// What waits for a cut to heal is sent again within this time after it. A guess: Linux doubles
/// the timeout from 200 ms on, so after a long cut it would be more.
const SEND_AGAIN_WITHIN: Duration = Duration::from_secs(1);

/// Kinds of deliveries in the trace.
const DATA: u8 = 1;
const OTHER: u8 = 2;

impl Network {
    /// The next segment of a direction may have arrived.
    pub(crate) fn handle_arrival(&mut self, around: &mut Around<'_>, direction: Direction) {
        let from = direction.0;
        let Some(path) = self.path(from) else {
            return;
        };
        // What is under way on a cut path waits for `heal`.
        if self.links.is_cut(path) {
            return;
        }
        let end = self.end_mut(from).expect("it has a path");
        // Sent again later than this event says, or nothing was under way any more.
        if end
            .under_way
            .front()
            .is_none_or(|(arrival, _)| *arrival > around.now)
        {
            return;
        }
        let (_, segment) = end.under_way.pop_front().expect("it was just there");
        self.record(around, path, from, &segment);
        self.deliver(around, from, segment);
        self.forget_if_done(from.connection);
    }

    fn record(
        &self,
        around: &mut Around<'_>,
        path: (MachineId, MachineId),
        from: EndId,
        segment: &Segment,
    ) {
        let ends = u64::from(path.0.0) << 32 | u64::from(path.1.0);
        let direction = from.connection << 1 | from.side as u64;
        match segment {
            Segment::Data(bytes) => around
                .trace
                .event(around.now, DATA, [ends, direction], bytes),
            other => {
                let text = format!("{other:?}");
                let trace = &mut around.trace;
                trace.event(around.now, OTHER, [ends, direction], text.as_bytes());
            }
        }
        let (near, far) = (self.name(path.0), self.name(path.1));
        let connection = from.connection;
        let shown: &dyn std::fmt::Debug = match segment {
            Segment::Data(bytes) => &bytes.len(),
            other => other,
        };
        let line = format_args!("{near} -> {far}  connection {connection}: {shown:?}");
        around.trace.line(around.now, line);
    }

    fn deliver(&mut self, around: &mut Around<'_>, from: EndId, segment: Segment) {
        let to = from.other();
        if matches!(segment, Segment::Open) {
            return self.open(around, from);
        }
        let Some(end) = self.end(to) else {
            return;
        };
        if !self.machine(end.machine).is_up {
            return;
        }
        if end.is_closed || end.phase == Phase::Reset {
            return self.deliver_to_nobody(around, to, &segment);
        }
        let end = self.end_mut(to).expect("it was just there");
        match segment {
            Segment::Accepted => end.phase = Phase::Open,
            Segment::Refused => end.phase = Phase::Refused,
            Segment::Data(bytes) => end.received.extend_from_slice(&bytes),
            Segment::Credit(bytes) => end.window += bytes,
            Segment::End => end.has_got_end = true,
            Segment::Reset => {
                end.phase = Phase::Reset;
                end.received.clear();
            }
            Segment::Open => {}
        }
        end.wake();
    }

    /// Who sends to an end that is gone is told so, but never in answer to a reset.
    fn deliver_to_nobody(&mut self, around: &mut Around<'_>, to: EndId, segment: &Segment) {
        if matches!(segment, Segment::Data(_) | Segment::Accepted) {
            self.send(around, to, Segment::Reset);
        }
    }

    /// Somebody dials in.
    fn open(&mut self, around: &mut Around<'_>, from: EndId) {
        let to = from.other();
        let Some(end) = self.end(to) else {
            return;
        };
        let (id, address) = (end.machine, end.address);
        let machine = self.machine(id);
        let listener = machine.listener(address);
        let is_full =
            listener.is_some_and(|at| machine.listeners[&at].backlog.len() >= BACKLOG_MAX);
        if !machine.is_up || is_full {
            return self.dial_again(around, from);
        }
        let Some(listener) = listener else {
            self.end_mut(to).expect("it was just there").is_closed = true;
            return self.send(around, to, Segment::Refused);
        };
        let machine = self.machine_mut(id);
        let listening = machine.listeners.get_mut(&listener).expect("just found");
        listening.backlog.push_back(to);
        let (owner, waker) = (listening.owner, listening.waker.take());
        if let Some(waker) = waker {
            waker.wake();
        }
        self.end_mut(to).expect("it was just there").owner = Some(owner);
        self.send(around, to, Segment::Accepted);
    }

    /// Nobody answered a dialler. It tries again as long as it wants the connection.
    fn dial_again(&mut self, around: &mut Around<'_>, from: EndId) {
        let Some(end) = self.end_mut(from).filter(|end| !end.is_closed) else {
            if let Some(end) = self.end_mut(from.other()) {
                end.is_closed = true;
            }
            return;
        };
        let at = around.now + DIAL_AGAIN;
        end.under_way.push_front((at, Segment::Open));
        around.events.add(at, Event::Arrival(Direction(from)));
    }

    /// Connections over these paths are reset at both ends, as by a firewall that says so.
    pub(crate) fn reset(&mut self, paths: &[(MachineId, MachineId)]) {
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        for connection in ids {
            let id = EndId {
                connection,
                side: 0,
            };
            if self.path(id).is_none_or(|path| !paths.contains(&path)) {
                continue;
            }
            for id in [id, id.other()] {
                let end = self.end_mut(id).expect("it has a path");
                end.under_way.clear();
                end.phase = Phase::Reset;
                end.received.clear();
                end.wake();
            }
            self.forget_if_done(connection);
        }
    }

    /// What waits on these paths is sent again.
    pub(crate) fn send_again(&mut self, around: &mut Around<'_>, paths: &[(MachineId, MachineId)]) {
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        for connection in ids {
            for side in [0, 1] {
                let id = EndId { connection, side };
                if self.path(id).is_some_and(|path| paths.contains(&path)) {
                    self.send_end_again(around, id);
                }
            }
        }
    }

    fn send_end_again(&mut self, around: &mut Around<'_>, id: EndId) {
        let waited = self.random.within(Duration::ZERO, SEND_AGAIN_WITHIN);
        let path = self.path(id).expect("it has one");
        let base = around.now + waited;
        let mut at = self.links.arrival(path, 0, base, &mut self.random);
        let end = self.end_mut(id).expect("it has a path");
        for (arrival, _) in &mut end.under_way {
            at = at.max(*arrival);
            *arrival = at;
            around.events.add(at, Event::Arrival(Direction(id)));
        }
    }
}

//! What is to happen, ordered by (virtual time, sequence number).
//!
//! Times have nanoseconds: tokio's timers round to milliseconds, so nothing that the world itself
//! does is one of them.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Duration;

use crate::network::Direction;
use crate::tasks::OsProcessId;

/// Something that happens at a time.
#[derive(Debug)]
pub(crate) enum Event {
    /// The next segment of a direction of a connection is due.
    Arrival(Direction),
    /// A metered process of the operating system may run its next task.
    Turn(OsProcessId),
    /// Somebody waits for this time.
    Wake(Waker),
}

/// Events that are yet to happen.
#[derive(Default)]
pub(crate) struct Events {
    queue: BTreeMap<(Duration, u64), Event>,
    next: u64,
}

impl Events {
    /// Adds an event; of those at one time, the first added happens first.
    pub(crate) fn add(&mut self, at: Duration, event: Event) {
        self.queue.insert((at, self.next), event);
        self.next += 1;
    }

    /// When the next event happens.
    pub(crate) fn next_time(&self) -> Option<Duration> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    /// The next event, if its time has come.
    pub(crate) fn pop_due(&mut self, now: Duration) -> Option<Event> {
        let entry = self.queue.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_one_nanosecond_happen_in_the_order_they_were_added() {
        let mut events = Events::default();
        let turn = |n| Event::Turn(OsProcessId(n));
        let at = Duration::from_nanos;
        events.add(at(20), turn(1));
        events.add(at(10), turn(2));
        events.add(at(20), turn(3));
        let mut order = Vec::new();
        while let Some(Event::Turn(OsProcessId(number))) = events.pop_due(at(20)) {
            order.push(number);
        }
        assert_eq!(order, [2, 1, 3]);
        events.add(at(30), turn(4));
        assert!(events.pop_due(at(29)).is_none(), "not before its time");
    }
}

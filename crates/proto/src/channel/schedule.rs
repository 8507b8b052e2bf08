//! Whose turn it is to send: fair by bytes among flows, in order within one.
//!
//! Deficit round robin with two lists, as in FQ-CoDel (RFC 8290, section 4.1): a flow that had
//! nothing queued joins `new` and is served before those in `old`; when it has sent a
//! [`QUANTUM`] it goes to the end of `old`. A flow that runs empty stays known until it has paid
//! for what it sent, so stopping and starting again gains nothing.
//!
//! Deviation: the new flows together send at most one quantum between two turns of old ones (to
//! send, or to pay what they owe), so a crowd of them slows bulk down but does not stop it.
//!
//! I1. A flow is in exactly one of the lists, and once; a place that is in neither is free.
//! I2. What a flow holds leaves in the order it came.

use std::collections::{BTreeMap, VecDeque};

use super::limits::QUANTUM;

/// A sequence of messages that stay in order: one sending process towards the peer's node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub u64);

/// Queues of `T` by flow.
#[derive(Debug)]
pub(super) struct Schedule<T> {
    flows: Vec<Flow<T>>,
    index: BTreeMap<FlowId, usize>,
    free: Vec<usize>,
    new: VecDeque<usize>,
    old: VecDeque<usize>,
    /// Bytes that new flows sent since an old one had its turn, to send or to pay.
    new_sent: usize,
}

#[derive(Debug)]
struct Flow<T> {
    id: FlowId,
    queue: VecDeque<T>,
    /// Bytes that it may still send in this turn; below zero it owes them.
    credit: isize,
}

/// Queues that grew past this many messages give their memory back when the flow is forgotten. A
/// guess, unmeasured.
const QUEUE_KEPT_MAX: usize = 64;

const CREDIT: isize = QUANTUM as isize;

impl<T> Schedule<T> {
    pub(super) fn new() -> Self {
        Self {
            flows: Vec::new(),
            index: BTreeMap::new(),
            free: Vec::new(),
            new: VecDeque::new(),
            old: VecDeque::new(),
            new_sent: 0,
        }
    }

    pub(super) fn push(&mut self, id: FlowId, item: T) {
        let place = match self.index.get(&id) {
            Some(&place) => place,
            None => self.insert(id),
        };
        self.flows[place].queue.push_back(item);
    }

    fn insert(&mut self, id: FlowId) -> usize {
        let place = self.free.pop().unwrap_or(self.flows.len());
        if place == self.flows.len() {
            self.flows.push(Flow {
                id,
                queue: VecDeque::new(),
                credit: CREDIT,
            });
        } else {
            self.flows[place].id = id;
            self.flows[place].credit = CREDIT;
        }
        self.index.insert(id, place);
        self.new.push_back(place);
        place
    }

    /// The first item of the flow whose turn it is. It stays that flow's turn until the next call;
    /// [`sent`](Schedule::sent) says what became of it.
    pub(super) fn turn(&mut self) -> Option<&mut T> {
        loop {
            let (place, is_new) = self.head()?;
            let flow = &mut self.flows[place];
            if flow.credit <= 0 {
                flow.credit += CREDIT;
                self.rotate(is_new);
            } else if !flow.queue.is_empty() {
                return self.flows[place].queue.front_mut();
            } else if is_new && !self.old.is_empty() {
                self.rotate(is_new);
            } else {
                self.forget(place, is_new);
            }
        }
    }

    /// The item that [`turn`](Schedule::turn) answered has sent `len` bytes, and is `done` or not.
    pub(super) fn sent(&mut self, len: usize, done: bool) {
        let (place, is_new) = self.head().expect("it is the turn of a flow");
        let flow = &mut self.flows[place];
        flow.credit -= len as isize;
        if done {
            flow.queue.pop_front();
        }
        self.new_sent = if is_new { self.new_sent + len } else { 0 };
    }

    fn head(&self) -> Option<(usize, bool)> {
        let new = self.new.front().map(|&place| (place, true));
        let old = self.old.front().map(|&place| (place, false));
        if self.new_sent >= QUANTUM {
            old.or(new)
        } else {
            new.or(old)
        }
    }

    fn pop(&mut self, is_new: bool) -> usize {
        let list = if is_new { &mut self.new } else { &mut self.old };
        list.pop_front().expect("it is at the head of this list")
    }

    fn rotate(&mut self, is_new: bool) {
        let place = self.pop(is_new);
        self.old.push_back(place);
        if !is_new {
            self.new_sent = 0;
        }
    }

    fn forget(&mut self, place: usize, is_new: bool) {
        self.pop(is_new);
        let flow = &mut self.flows[place];
        flow.queue.shrink_to(QUEUE_KEPT_MAX);
        self.index.remove(&flow.id);
        self.free.push(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends all that is queued, each item at once; answers what left, by flow and length.
    fn drain(schedule: &mut Schedule<(u64, usize)>) -> Vec<(u64, usize)> {
        let mut left = Vec::new();
        while let Some(&mut item) = schedule.turn() {
            schedule.sent(item.1, true);
            left.push(item);
        }
        assert!(schedule.index.is_empty() && schedule.new.is_empty() && schedule.old.is_empty());
        left
    }

    fn push(schedule: &mut Schedule<(u64, usize)>, flow: u64, len: usize) {
        schedule.push(FlowId(flow), (flow, len));
    }

    #[test]
    fn a_small_flow_that_comes_later_passes_the_bulk() {
        let mut schedule = Schedule::new();
        for _ in 0..10 {
            push(&mut schedule, 1, QUANTUM);
            push(&mut schedule, 2, QUANTUM);
        }
        for _ in 0..4 {
            let &mut item = schedule.turn().unwrap();
            schedule.sent(item.1, true);
        }
        push(&mut schedule, 3, 50);
        assert!(drain(&mut schedule).iter().position(|&(flow, _)| flow == 3) <= Some(1));
    }

    #[test]
    fn flows_share_by_bytes_not_by_messages() {
        let mut schedule = Schedule::new();
        for _ in 0..1000 {
            push(&mut schedule, 1, 1000);
            push(&mut schedule, 2, 10_000);
        }
        let mut sent = [0, 0, 0];
        for (flow, len) in drain(&mut schedule) {
            sent[flow as usize] += len;
            if sent[1] < 1_000_000 {
                let apart = sent[1].abs_diff(sent[2]);
                assert!(apart <= 2 * QUANTUM + 20_000, "{sent:?}");
            }
        }
    }

    #[test]
    fn a_crowd_of_new_flows_does_not_stop_bulk() {
        let mut schedule = Schedule::new();
        for _ in 0..100 {
            push(&mut schedule, 0, QUANTUM);
        }
        let (mut next, mut bulk) = (1, 0);
        for _ in 0..1000 {
            push(&mut schedule, next, 1000);
            next += 1;
            let &mut item = schedule.turn().unwrap();
            schedule.sent(item.1, true);
            bulk += usize::from(item.0 == 0);
        }
        assert!((5..=20).contains(&bulk), "bulk sent {bulk} times");
    }

    #[test]
    fn a_flow_that_stops_and_starts_again_still_owes() {
        let mut schedule = Schedule::new();
        for _ in 0..100 {
            push(&mut schedule, 1, QUANTUM);
        }
        let mut sent = [0, 0, 0];
        for _ in 0..60 {
            if schedule
                .index
                .get(&FlowId(2))
                .is_none_or(|&p| schedule.flows[p].queue.is_empty())
            {
                push(&mut schedule, 2, QUANTUM);
            }
            let &mut item = schedule.turn().unwrap();
            schedule.sent(item.1, true);
            sent[item.0 as usize] += 1;
        }
        assert!(sent[1] >= 29, "{sent:?}");
    }

    #[test]
    fn a_flow_that_sends_a_little_less_than_its_turn_does_not_count_as_new_each_time() {
        let mut schedule = Schedule::new();
        for flow in 1..=3 {
            for _ in 0..100 {
                push(&mut schedule, flow, QUANTUM);
            }
        }
        let (mut queued, mut sent) = (0, 0);
        for _ in 0..200 {
            if queued == 0 {
                push(&mut schedule, 4, QUANTUM - 5000);
                queued += 1;
            }
            let &mut item = schedule.turn().unwrap();
            schedule.sent(item.1, true);
            if item.0 == 4 {
                queued -= 1;
                sent += 1;
            }
        }
        assert!(
            (40..=60).contains(&sent),
            "a fair share are 50 turns: {sent}"
        );
    }

    #[test]
    fn a_debt_larger_than_a_turn_is_paid_over_several() {
        let mut schedule = Schedule::new();
        push(&mut schedule, 1, 5 * QUANTUM);
        push(&mut schedule, 1, 1);
        for _ in 0..5 {
            push(&mut schedule, 2, QUANTUM);
        }
        let order: Vec<u64> = drain(&mut schedule).iter().map(|item| item.0).collect();
        let again = order.iter().rposition(|&flow| flow == 1).unwrap();
        assert!(again >= 4, "{order:?}");
    }
}

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

use std::collections::VecDeque;

use super::chains::Chains;
use super::limits::QUANTUM;

/// A sequence of messages that stay in order: one sending process towards the peer's node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub u64);

/// What a flow has queued, in its order.
pub(super) trait Backlog: Default {
    fn is_empty(&self) -> bool;
    /// Bytes that it holds on to when it is empty.
    fn memory(&self) -> usize;
}

/// Queues by flow.
#[derive(Debug)]
pub(super) struct Schedule<Q> {
    flows: Vec<Flow<Q>>,
    /// The places of flows by their ids.
    index: Chains,
    free: Vec<usize>,
    new: VecDeque<usize>,
    old: VecDeque<usize>,
    /// Bytes that new flows sent since an old one had its turn, to send or to pay.
    new_sent: usize,
    /// Empty queues of flows that were forgotten, for flows to come.
    spares: Vec<Q>,
    /// Bytes of memory of all spares.
    spare_memory: usize,
}

#[derive(Debug)]
struct Flow<Q> {
    id: FlowId,
    queue: Q,
    /// Bytes that it may still send in this turn; below zero it owes them.
    credit: isize,
}

/// Bytes of memory that spares keep, together. A flow that starts and stops would grow its queue
/// anew each time: a quarter of a connection's budget is as much as stops and starts in practice. A
/// guess, unmeasured.
const SPARE_MEMORY_MAX: usize = 256 << 10;

const CREDIT: isize = QUANTUM as isize;

/// A guess, unmeasured: flows of a connection of few processes.
const INDEX_MIN: usize = 16;

/// Ids are our own, and differ in their low bits: a product carries each into the others.
fn hash(id: FlowId) -> u32 {
    (id.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

impl<Q: Backlog> Schedule<Q> {
    pub(super) fn new() -> Self {
        Self {
            flows: Vec::new(),
            index: Chains::new(INDEX_MIN),
            free: Vec::new(),
            new: VecDeque::new(),
            old: VecDeque::new(),
            new_sent: 0,
            spares: Vec::new(),
            spare_memory: 0,
        }
    }

    /// The queue of a flow, which the caller is about to add to.
    pub(super) fn queue(&mut self, id: FlowId) -> &mut Q {
        let place = match self.find(id) {
            Some(place) => place,
            None => self.insert(id),
        };
        &mut self.flows[place].queue
    }

    fn find(&self, id: FlowId) -> Option<usize> {
        self.index
            .find(hash(id), |place| self.flows[place].id == id)
    }

    fn insert(&mut self, id: FlowId) -> usize {
        let place = self.free.pop().unwrap_or(self.flows.len());
        let flow = Flow {
            id,
            queue: self.spare(),
            credit: CREDIT,
        };
        match self.flows.get_mut(place) {
            Some(free) => *free = flow,
            None => self.flows.push(flow),
        }
        self.index.insert(place, hash(id));
        self.new.push_back(place);
        place
    }

    /// The queue of the flow whose turn it is, which is not empty. It stays that flow's turn until
    /// the next call; [`sent`](Schedule::sent) says what was taken from it.
    pub(super) fn turn(&mut self) -> Option<&mut Q> {
        loop {
            let (place, is_new) = self.head()?;
            let flow = &mut self.flows[place];
            if flow.credit <= 0 {
                flow.credit += CREDIT;
                self.rotate(is_new);
            } else if !flow.queue.is_empty() {
                return Some(&mut self.flows[place].queue);
            } else if is_new && !self.old.is_empty() {
                self.rotate(is_new);
            } else {
                self.forget(place, is_new);
            }
        }
    }

    /// The flow whose queue [`turn`](Schedule::turn) answered has sent `len` bytes.
    pub(super) fn sent(&mut self, len: usize) {
        let (place, is_new) = self.head().expect("it is the turn of a flow");
        let flow = &mut self.flows[place];
        flow.credit -= len as isize;
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
        self.index.remove(place);
        self.free.push(place);
        let spare = std::mem::take(&mut flow.queue);
        self.keep(spare);
    }

    fn keep(&mut self, spare: Q) {
        let memory = self.spare_memory + spare.memory();
        if memory <= SPARE_MEMORY_MAX {
            self.spare_memory = memory;
            self.spares.push(spare);
        }
    }

    fn spare(&mut self) -> Q {
        let spare = self.spares.pop().unwrap_or_default();
        self.spare_memory -= spare.memory();
        spare
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages of so many bytes, each with its flow.
    type Messages = VecDeque<(u64, usize)>;

    impl Backlog for Messages {
        fn is_empty(&self) -> bool {
            VecDeque::is_empty(self)
        }

        fn memory(&self) -> usize {
            self.capacity() * size_of::<(u64, usize)>()
        }
    }

    /// The next message in turn.
    fn send(schedule: &mut Schedule<Messages>) -> Option<(u64, usize)> {
        let message = schedule.turn()?.pop_front().expect("it is not empty");
        schedule.sent(message.1);
        Some(message)
    }

    /// Sends all that is queued, each item at once; answers what left, by flow and length.
    fn drain(schedule: &mut Schedule<Messages>) -> Vec<(u64, usize)> {
        let mut left = Vec::new();
        while let Some(message) = send(schedule) {
            left.push(message);
        }
        assert!(schedule.index.len() == 0 && schedule.new.is_empty() && schedule.old.is_empty());
        left
    }

    fn push(schedule: &mut Schedule<Messages>, flow: u64, len: usize) {
        schedule.queue(FlowId(flow)).push_back((flow, len));
    }

    #[test]
    fn a_small_flow_that_comes_later_passes_the_bulk() {
        let mut schedule = Schedule::new();
        for _ in 0..10 {
            push(&mut schedule, 1, QUANTUM);
            push(&mut schedule, 2, QUANTUM);
        }
        for _ in 0..4 {
            send(&mut schedule).unwrap();
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
            let item = send(&mut schedule).unwrap();
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
                .find(FlowId(2))
                .is_none_or(|place| schedule.flows[place].queue.is_empty())
            {
                push(&mut schedule, 2, QUANTUM);
            }
            let item = send(&mut schedule).unwrap();
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
            let item = send(&mut schedule).unwrap();
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

    #[test]
    fn queues_of_forgotten_flows_are_used_again_and_keep_bounded_memory() {
        let mut schedule = Schedule::new();
        for flow in 0..100 {
            for _ in 0..1000 {
                push(&mut schedule, flow, 10);
            }
        }
        drain(&mut schedule);
        let kept: usize = schedule.spares.iter().map(Backlog::memory).sum();
        assert_eq!(kept, schedule.spare_memory);
        assert!(
            (SPARE_MEMORY_MAX / 2..=SPARE_MEMORY_MAX).contains(&kept),
            "{kept}"
        );
        let spares = schedule.spares.len();
        push(&mut schedule, 1, 10);
        assert_eq!(schedule.spares.len(), spares - 1);
        assert!(schedule.queue(FlowId(1)).capacity() >= 1000);
    }
}

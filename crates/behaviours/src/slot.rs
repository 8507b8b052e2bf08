//! Where the reply to a call on the same node is put: a channel for one reply after another, which the caller
//! keeps from call to call.
//!
//! What a reply lies in, a [`Ticket`], goes to the server with the request and comes back with the reply, through
//! the one place that both sides exchange with. So a call allocates nothing, and its reply is four exchanges with
//! shared memory. A channel of tokio's for each call is an allocation and twice as many; and each reply of it
//! is one of the 128 things after which tokio has a runner of processes step back, about every 40 µs.
//!
//! Whom the reply wakes is known before it is asked for. Where another task waits by then, its waker lies in the
//! place instead.
//!
//! Invariants:
//! - `T1` there is one ticket of a slot, and only who has it back uses the slot again: no reply that comes late
//!   is taken for that of another call;
//! - `T2` who puts something into the place takes out what lay there, so of a reply and a new waker the one that
//!   comes second finds the other;
//! - `T3` a ticket comes back, whatever becomes of the request: with a reply, or without.

use std::any::Any;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use crossbeam_utils::atomic::AtomicCell;

/// What the two sides share.
struct Slot<T> {
    place: AtomicCell<Option<Box<Ticket<T>>>>,
    /// Whom a reply wakes that finds no other waker in the place.
    wakes: Waker,
}

/// What is handed to and fro.
struct Ticket<T> {
    /// None while it lies in the place, where it would keep itself.
    slot: Option<Arc<Slot<T>>>,
    /// Never locked: who has a ticket has it alone, but lends it to others by reference, and a reply need not be
    /// `Sync`.
    left: Mutex<Left<T>>,
}

/// What lies in a ticket.
enum Left<T> {
    Nothing,
    Reply(T),
    /// The ticket is not that of the slot: it brings the waker of who waits now.
    Waiter(Waker),
}

impl<T> Ticket<T> {
    fn new(slot: Option<Arc<Slot<T>>>, left: Left<T>) -> Box<Self> {
        let left = Mutex::new(left);
        Box::new(Self { slot, left })
    }

    fn left(&mut self) -> &mut Left<T> {
        let left = self.left.get_mut();
        left.unwrap_or_else(PoisonError::into_inner)
    }

    /// It is the slot's own, and so has what the server left.
    fn is_own(&mut self) -> bool {
        !matches!(self.left(), Left::Waiter(_))
    }
}

impl<T> Slot<T> {
    fn new(waker: &Waker) -> Arc<Self> {
        Arc::new(Self {
            place: AtomicCell::new(None),
            wakes: waker.clone(),
        })
    }
}

/// Slots that wait for the next call, one for each type of replies.
#[derive(Default)]
pub(crate) struct Slots {
    /// That of the last call, mostly the only one: here it lies beside the timer, which each call needs too.
    last: Option<Box<dyn Any + Send>>,
    /// The last used last.
    others: Vec<Box<dyn Any + Send>>,
}

impl Slots {
    /// Kept at most: who asks for more types of replies in turn pays an allocation or two. A guess, unmeasured.
    const KEPT_MAX: usize = 8;

    /// Both sides of a slot, for a call of the task that `waker` wakes.
    pub(crate) fn open<T: Send + 'static>(&mut self, waker: &Waker) -> (Answer<T>, Waiting<T>) {
        let mut ticket = self
            .take()
            .unwrap_or_else(|| Ticket::new(None, Left::Nothing));
        let kept = ticket.slot.take();
        let slot = kept.filter(|slot| slot.wakes.will_wake(waker));
        let slot = slot.unwrap_or_else(|| Slot::new(waker));
        ticket.slot = Some(slot.clone());
        let waiting = Waiting {
            slot,
            has_begun: false,
        };
        (Answer(Some(ticket)), waiting)
    }

    fn take<T: Send + 'static>(&mut self) -> Option<Box<Ticket<T>>> {
        if let Some(last) = self.last.take() {
            match last.downcast() {
                Ok(ticket) => return Some(ticket),
                Err(other) => self.others.push(other),
            }
        }
        let at = self
            .others
            .iter()
            .rposition(|kept| kept.is::<Ticket<T>>())?;
        self.others.remove(at).downcast().ok()
    }

    /// The reply that has come back with the ticket; none where the server has dropped the duty to answer. The
    /// slot can be used again.
    pub(crate) fn close<T: Send + 'static>(
        &mut self,
        waiting: Waiting<T>,
        Came(mut ticket): Came<T>,
    ) -> Option<T> {
        let left = mem::replace(ticket.left(), Left::Nothing);
        ticket.slot = Some(waiting.slot);
        if self.others.len() >= Self::KEPT_MAX {
            self.others.remove(0);
        }
        self.last = Some(ticket);
        match left {
            Left::Reply(reply) => Some(reply),
            Left::Nothing | Left::Waiter(_) => None,
        }
    }
}

/// The server's side: it answers once. Dropped before, it says so.
pub(crate) struct Answer<T>(Option<Box<Ticket<T>>>);

impl<T> Answer<T> {
    #[inline]
    pub(crate) fn give(mut self, reply: T) {
        if let Some(mut ticket) = self.0.take() {
            *ticket.left() = Left::Reply(reply);
            hand_back(ticket);
        }
    }

    /// Whether nobody waits any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        let slot = self.0.as_ref().and_then(|ticket| ticket.slot.as_ref());
        slot.is_none_or(|slot| Arc::strong_count(slot) == 1)
    }
}

impl<T> Drop for Answer<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(ticket) = self.0.take() {
            hand_back(ticket);
        }
    }
}

fn hand_back<T>(mut ticket: Box<Ticket<T>>) {
    let Some(slot) = ticket.slot.take() else {
        return;
    };
    if let Some(mut waiter) = slot.place.swap(Some(ticket)) {
        if let Left::Waiter(waker) = waiter.left() {
            waker.wake_by_ref();
        }
        return;
    }
    // Who has given up would be woken for nothing.
    if Arc::strong_count(&slot) > 1 {
        slot.wakes.wake_by_ref();
    }
}

/// The caller's side. Dropped before the ticket has come back, it gives the slot up.
pub(crate) struct Waiting<T> {
    slot: Arc<Slot<T>>,
    has_begun: bool,
}

/// A ticket that has come back.
pub(crate) struct Came<T>(Box<Ticket<T>>);

impl<T> Came<T> {
    fn of(left: Option<Box<Ticket<T>>>) -> Option<Self> {
        let mut ticket = left?;
        ticket.is_own().then(|| Self(ticket))
    }
}

impl<T> Waiting<T> {
    /// Waits for the ticket: after the request was sent, and until it is there.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<Came<T>> {
        let wakes = self.slot.wakes.will_wake(cx.waker());
        // It was just asked for: if it is there already, this task is woken.
        if !mem::replace(&mut self.has_begun, true) && wakes {
            return Poll::Pending;
        }
        let left = Came::of(self.slot.place.take());
        let came = match left {
            None if !wakes => Came::of(self.leave(cx.waker())),
            left => left,
        };
        came.map_or(Poll::Pending, Poll::Ready)
    }

    /// Another task waits now: its waker is put into the place; answers what lay there.
    #[cold]
    fn leave(&self, waker: &Waker) -> Option<Box<Ticket<T>>> {
        let waiter = Ticket::new(None, Left::Waiter(waker.clone()));
        self.slot.place.swap(Some(waiter))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::task::Wake;
    use std::thread;

    use super::*;

    /// Counts how often it is woken, and goes on then.
    #[derive(Default)]
    struct Woken {
        times: AtomicUsize,
        thread: Option<thread::Thread>,
    }

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.times.fetch_add(1, Ordering::SeqCst);
            self.thread.iter().for_each(thread::Thread::unpark);
        }
    }

    impl Woken {
        fn new() -> (Arc<Self>, Waker) {
            let woken = Arc::new(Self::default());
            (woken.clone(), Waker::from(woken))
        }

        fn times(&self) -> usize {
            self.times.load(Ordering::SeqCst)
        }
    }

    fn poll<T>(waiting: &mut Waiting<T>, waker: &Waker) -> Poll<Came<T>> {
        waiting.poll(&Context::from_waker(waker))
    }

    /// What came, if anything did.
    fn came<T>(waiting: &mut Waiting<T>, waker: &Waker) -> Option<Came<T>> {
        match poll(waiting, waker) {
            Poll::Ready(came) => Some(came),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_reply_wakes_who_waits_and_the_slot_is_used_again() {
        let (mut slots, (woken, waker)) = (Slots::default(), Woken::new());
        let mut first = None;
        for call in 1..=3_usize {
            let (answer, mut waiting) = slots.open::<usize>(&waker);
            assert!(!answer.is_abandoned());
            assert!(came(&mut waiting, &waker).is_none());
            answer.give(call);
            assert_eq!(woken.times(), call);
            let slot = Arc::as_ptr(&waiting.slot);
            assert_eq!(*first.get_or_insert(slot), slot);
            let came = came(&mut waiting, &waker).unwrap();
            assert_eq!(slots.close(waiting, came), Some(call));
        }
    }

    #[test]
    fn who_drops_the_duty_to_answer_says_so() {
        let (mut slots, (woken, waker)) = (Slots::default(), Woken::new());
        let (answer, mut waiting) = slots.open::<String>(&waker);
        assert!(came(&mut waiting, &waker).is_none());
        drop(answer);
        assert_eq!(woken.times(), 1);
        let came = came(&mut waiting, &waker).unwrap();
        assert_eq!(slots.close(waiting, came), None);
    }

    #[test]
    fn who_gives_up_is_not_woken_and_its_reply_is_not_taken_for_another() {
        let (mut slots, (woken, waker)) = (Slots::default(), Woken::new());
        let (late, mut given_up) = slots.open::<Arc<()>>(&waker);
        assert!(came(&mut given_up, &waker).is_none());
        drop(given_up);
        assert!(late.is_abandoned());
        let (_answer, mut waiting) = slots.open::<Arc<()>>(&waker);
        assert!(came(&mut waiting, &waker).is_none());
        let reply = Arc::new(());
        late.give(reply.clone());
        assert_eq!((woken.times(), Arc::strong_count(&reply)), (0, 1));
        assert!(came(&mut waiting, &waker).is_none());
    }

    #[test]
    fn what_is_given_up_when_the_reply_is_there_is_dropped_with_it() {
        let (mut slots, (_, waker)) = (Slots::default(), Woken::new());
        let (answer, waiting) = slots.open(&waker);
        let reply = Arc::new(());
        answer.give(reply.clone());
        drop(waiting);
        assert_eq!(Arc::strong_count(&reply), 1);
    }

    #[test]
    fn the_task_that_waited_last_is_woken() {
        for changes in 1..4 {
            let (mut slots, (first, waker)) = (Slots::default(), Woken::new());
            let (answer, mut waiting) = slots.open(&waker);
            assert!(came(&mut waiting, &waker).is_none());
            let others: Vec<_> = (0..changes).map(|_| Woken::new()).collect();
            for (_, other) in &others {
                // Twice: the second time its waker lies there.
                assert!(came(&mut waiting, other).is_none());
                assert!(came(&mut waiting, other).is_none());
            }
            answer.give(7);
            let times: Vec<_> = others.iter().map(|(woken, _)| woken.times()).collect();
            assert_eq!(times.iter().sum::<usize>(), 1);
            assert_eq!((times.last(), first.times()), (Some(&1), 0));
            let (_, last) = others.last().unwrap();
            let came = came(&mut waiting, last).unwrap();
            assert_eq!(slots.close(waiting, came), Some(7));
        }
    }

    #[test]
    fn a_task_that_waits_again_after_another_is_woken() {
        let (mut slots, (first, waker)) = (Slots::default(), Woken::new());
        let (answer, mut waiting) = slots.open(&waker);
        assert!(came(&mut waiting, &waker).is_none());
        assert!(came(&mut waiting, &Woken::new().1).is_none());
        assert!(came(&mut waiting, &waker).is_none());
        answer.give(7);
        assert_eq!(first.times(), 1);
        assert!(came(&mut waiting, &waker).is_some());
    }

    #[test]
    fn another_task_finds_a_reply_that_was_there_before_it_came() {
        let (mut slots, (_, waker)) = (Slots::default(), Woken::new());
        let (answer, mut waiting) = slots.open(&waker);
        answer.give(7);
        assert!(came(&mut waiting, &Woken::new().1).is_some());
    }

    #[test]
    fn there_is_a_slot_for_each_type_of_replies_up_to_a_bound() {
        fn call<const N: usize>(slots: &mut Slots, waker: &Waker) -> Arc<dyn Any + Send + Sync> {
            let (answer, mut waiting) = slots.open::<[u8; N]>(waker);
            assert!(came(&mut waiting, waker).is_none());
            answer.give([0; N]);
            let slot = waiting.slot.clone();
            let came = came(&mut waiting, waker).unwrap();
            assert!(slots.close(waiting, came).is_some());
            slot
        }
        let (mut slots, (_, waker)) = (Slots::default(), Woken::new());
        let calls = [
            call::<1>, call::<2>, call::<3>, call::<4>, call::<5>, call::<6>, call::<7>, call::<8>,
        ];
        let once = calls.map(|call| call(&mut slots, &waker));
        for (call, slot) in calls.iter().zip(&once) {
            assert!(Arc::ptr_eq(&call(&mut slots, &waker), slot));
        }
        call::<9>(&mut slots, &waker);
        assert_eq!(slots.others.len() + 1, Slots::KEPT_MAX);
    }

    /// Another waker every time that it is woken or looks again.
    #[test]
    fn no_reply_is_lost_on_another_thread_whoever_waits() {
        const CALLS: usize = 20_000;
        let (ask, asked) = mpsc::channel::<(usize, Answer<usize>)>();
        let server = thread::spawn(move || {
            for (call, answer) in asked {
                match call % 7 {
                    0 => drop(answer),
                    _ => answer.give(call),
                }
            }
        });
        let waker = || {
            let thread = Some(thread::current());
            let times = AtomicUsize::default();
            Waker::from(Arc::new(Woken { times, thread }))
        };
        let (mut slots, kept) = (Slots::default(), waker());
        for call in 0..CALLS {
            let (answer, mut waiting) = slots.open(&kept);
            ask.send((call, answer)).unwrap();
            let mut waits = kept.clone();
            for looks in 1.. {
                if let Some(came) = came(&mut waiting, &waits) {
                    let reply = slots.close(waiting, came);
                    assert_eq!(reply, (call % 7 != 0).then_some(call));
                    break;
                }
                match (call + looks) % 3 {
                    0 => waits = waker(),
                    _ => thread::park(),
                }
            }
        }
        drop(ask);
        server.join().unwrap();
    }
}

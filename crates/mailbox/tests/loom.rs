//! Models of the queue under all interleavings, and all values that atomics may read.
//!
//!     RUSTFLAGS="--cfg purlin_loom" cargo test -p purlin-mailbox --release --test loom
//!
//! Under this cfg the first block has one slot and the others two, so that few items cross blocks.
//! Loom also checks that each slot, the waker and each block are accessed by one at a time, and that
//! all memory is freed. The larger models are bounded to so many preemptions by [`model`].

#![cfg(purlin_loom)]

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::Arc;
use loom::thread;
use purlin_mailbox::{Closed, Receiver, Shared, mailbox};

/// A number, and a count of the items that are not dropped: not one of loom's, whose every change
/// would be one more place to switch threads.
type Item = (usize, Option<StdArc<()>>);

fn item(number: usize) -> Item {
    (number, None)
}

/// All interleavings with at most that many preemptions.
fn model(preemptions: usize, f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(f);
}

/// Wakes a thread of the model. Loom's own `block_on` makes wakers that `will_wake` does not know
/// again, so that the receiver would replace them each time.
struct Unpark {
    thread: loom::thread::Thread,
    by_itself: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: StdArc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &StdArc<Self>) {
        if thread::current().id() == self.thread.id() {
            self.by_itself.store(true, SeqCst);
        } else {
            self.thread.unpark();
        }
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let unpark = StdArc::new(Unpark {
        thread: thread::current(),
        by_itself: AtomicBool::new(false),
    });
    let waker = Waker::from(StdArc::clone(&unpark));
    let mut future = pin!(future);
    loop {
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        match polled {
            Poll::Ready(output) => return output,
            // A scheduler would run others first.
            Poll::Pending if unpark.by_itself.swap(false, SeqCst) => thread::yield_now(),
            Poll::Pending => thread::park(),
        }
    }
}

fn push_all(shared: &Arc<Shared<Item, ()>>, numbers: &'static [usize]) -> thread::JoinHandle<()> {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        for &number in numbers {
            shared.push(item(number)).unwrap();
        }
    })
}

/// The next item, waiting for it.
async fn receive(receiver: &mut Receiver<Item, ()>) -> Option<usize> {
    let item = poll_fn(|cx| receiver.poll_pop(cx)).await;
    item.map(|(number, _)| number)
}

fn receive_all(receiver: &mut Receiver<Item, ()>, count: usize) -> Vec<usize> {
    block_on(async {
        let mut received = Vec::new();
        while received.len() < count {
            received.push(receive(receiver).await.unwrap());
        }
        received
    })
}

fn drain(receiver: &mut Receiver<Item, ()>) -> Vec<usize> {
    std::iter::from_fn(|| receiver.pop().map(|(number, _)| number)).collect()
}

fn in_order(received: &[usize], of_one: &[usize]) -> bool {
    let found = received.iter().filter(|number| of_one.contains(number));
    found.eq(of_one.iter())
}

#[test]
fn a_waiting_receiver_gets_the_items_of_one_sender() {
    model(3, || {
        let (shared, mut receiver) = mailbox(());
        let sender = push_all(&shared, &[1, 2, 3]);
        assert_eq!(receive_all(&mut receiver, 3), [1, 2, 3]);
        sender.join().unwrap();
    });
}

#[test]
fn a_waiting_receiver_gets_the_items_of_two_senders() {
    model(2, || {
        let (shared, mut receiver) = mailbox(());
        let senders = [push_all(&shared, &[1]), push_all(&shared, &[11])];
        let received = receive_all(&mut receiver, 2);
        assert!(in_order(&received, &[1]) && in_order(&received, &[11]));
        for sender in senders {
            sender.join().unwrap();
        }
    });
}

#[test]
fn blocks_are_used_again_while_senders_look_for_theirs() {
    model(2, || {
        let (shared, mut receiver) = mailbox(());
        let senders = [push_all(&shared, &[1, 2, 3]), push_all(&shared, &[11])];
        let mut received = Vec::new();
        for _ in 0..3 {
            received.extend(receiver.pop().map(|(number, _)| number));
        }
        for sender in senders {
            sender.join().unwrap();
        }
        received.extend(drain(&mut receiver));
        assert_eq!(received.len(), 4);
        assert!(in_order(&received, &[1, 2, 3]) && in_order(&received, &[11]));
    });
}

#[test]
fn a_sender_that_is_held_up_holds_the_blocks_it_may_see() {
    model(2, || {
        let (shared, mut receiver) = mailbox(());
        shared.push(item(0)).unwrap();
        let mut received = drain(&mut receiver);
        let sender = push_all(&shared, &[11]);
        for number in [1, 2] {
            shared.push(item(number)).unwrap();
            received.extend(drain(&mut receiver));
        }
        sender.join().unwrap();
        received.extend(drain(&mut receiver));
        assert_eq!(received.len(), 4);
        assert!(in_order(&received, &[0, 1, 2]));
    });
}

#[test]
fn an_item_that_arrives_is_found_in_the_middle() {
    model(2, || {
        let (shared, mut receiver) = mailbox(());
        shared.push(item(0)).unwrap();
        let mut cursor = receiver.end();
        let sender = push_all(&shared, &[1, 2, 3]);
        for expected in [1, 2, 3] {
            block_on(poll_fn(|cx| receiver.poll_arrival(cx, &cursor)));
            let (number, _) = receiver.next(&mut cursor).unwrap();
            assert_eq!(*number, expected);
            receiver.take(&cursor).unwrap();
        }
        sender.join().unwrap();
        assert_eq!(drain(&mut receiver), [0]);
    });
}

/// Pushes until it is refused; the numbers that were accepted.
fn push_until_closed(
    shared: &Arc<Shared<Item, ()>>,
    numbers: &'static [usize],
) -> thread::JoinHandle<Vec<usize>> {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let mut accepted = Vec::new();
        for &number in numbers {
            match shared.push(item(number)) {
                Ok(()) => accepted.push(number),
                Err(Closed((refused, _))) => assert_eq!(refused, number),
            }
        }
        accepted
    })
}

#[test]
fn what_a_closing_receiver_drains_is_what_was_accepted() {
    model(2, || {
        let (shared, mut receiver) = mailbox(());
        let senders = [
            push_until_closed(&shared, &[1, 2]),
            push_until_closed(&shared, &[11, 12]),
        ];
        receiver.close();
        let mut drained = drain(&mut receiver);
        assert!(receiver.is_ended());
        let accepted = senders.map(|sender| sender.join().unwrap());
        assert!(in_order(&drained, &accepted[0]) && in_order(&drained, &accepted[1]));
        let mut accepted = accepted.concat();
        accepted.sort_unstable();
        drained.sort_unstable();
        assert_eq!(drained, accepted);
        assert_eq!(receiver.pop().map(|(number, _)| number), None);
        assert_eq!(shared.len(), 0);
    });
}

#[test]
fn a_closing_receiver_drains_behind_what_it_took() {
    model(4, || {
        let (shared, mut receiver) = mailbox(());
        let sender = push_until_closed(&shared, &[1, 2, 3]);
        let mut received = Vec::from_iter(receiver.pop().map(|(number, _)| number));
        receiver.close();
        received.extend(drain(&mut receiver));
        assert_eq!(received, sender.join().unwrap());
    });
}

#[test]
fn a_sender_that_is_given_up_finds_its_way_back() {
    model(2, || {
        let (shared, mut receiver) = mailbox(());
        let sender = push_until_closed(&shared, &[11]);
        // Over three blocks, which the receiver then is done with, one after the other.
        for number in [1, 2, 3, 4, 5] {
            shared.push(item(number)).unwrap();
        }
        receiver.close();
        let drained = drain(&mut receiver);
        let accepted = sender.join().unwrap();
        assert!(in_order(&drained, &[1, 2, 3, 4, 5]) && in_order(&drained, &accepted));
        assert_eq!(drained.len(), 5 + accepted.len());
    });
}

#[test]
fn dropping_the_receiver_drops_what_was_accepted() {
    model(2, || {
        let (shared, mut receiver) = mailbox(());
        let alive = StdArc::new(());
        let senders = [[1, 2], [11, 12]].map(|numbers| {
            let (shared, alive) = (Arc::clone(&shared), StdArc::clone(&alive));
            thread::spawn(move || {
                for number in numbers {
                    let _ = shared.push((number, Some(StdArc::clone(&alive))));
                }
            })
        });
        let start = receiver.start();
        let waker = Waker::from(StdArc::new(Woken::default()));
        let _ = receiver.poll_arrival(&mut Context::from_waker(&waker), &start);
        drop(receiver);
        for sender in senders {
            sender.join().unwrap();
        }
        // Nothing waits for the last address to go.
        assert_eq!(StdArc::strong_count(&alive), 1);
        drop(shared);
    });
}

#[test]
fn a_sender_closes_behind_its_items_and_wakes() {
    model(3, || {
        let (shared, mut receiver) = mailbox(());
        let sender = thread::spawn(move || {
            shared.push(item(1)).unwrap();
            shared.close();
            assert!(shared.push(item(2)).is_err());
        });
        block_on(async {
            assert_eq!(receive(&mut receiver).await, Some(1));
            assert_eq!(receive(&mut receiver).await, None);
        });
        assert!(receiver.is_ended());
        sender.join().unwrap();
    });
}

#[test]
fn both_halves_close_at_once() {
    model(2, || {
        let (shared, mut receiver) = mailbox(());
        let sender = push_until_closed(&shared, &[1]);
        let closer = thread::spawn(move || shared.close());
        receiver.close();
        let drained = drain(&mut receiver);
        assert!(receiver.is_ended());
        closer.join().unwrap();
        assert_eq!(drained, sender.join().unwrap());
    });
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: StdArc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn the_task_that_polled_last_is_woken() {
    model(3, || {
        let (shared, mut receiver) = mailbox(());
        let sender = push_all(&shared, &[1, 2]);
        let woken = [(); 3].map(|()| StdArc::new(Woken::default()));
        let mut cursor = receiver.start();
        let mut seen = 0;
        for woken in &woken {
            let waker = Waker::from(StdArc::clone(woken));
            let mut cx = Context::from_waker(&waker);
            if receiver.poll_arrival(&mut cx, &cursor).is_ready() {
                seen += receiver.next(&mut cursor).is_some() as usize;
            }
        }
        let waker = Waker::from(StdArc::clone(&woken[2]));
        let waits = receiver.poll_arrival(&mut Context::from_waker(&waker), &cursor);
        sender.join().unwrap();
        if waits.is_pending() {
            let now = receiver.poll_arrival(&mut Context::from_waker(&waker), &cursor);
            assert_eq!(now.is_ready(), seen < 2);
            assert!(seen == 2 || woken[2].0.load(SeqCst) > 0);
        }
        drop((receiver, shared, waker));
        assert!(woken.iter().all(|woken| StdArc::strong_count(woken) == 1));
    });
}

/// A waker that the model knows: what happened before it was used is seen by who finds it used.
struct Seen(loom::sync::atomic::AtomicBool);

impl Wake for Seen {
    fn wake(self: StdArc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// So who rests, having waited for whatever comes, looks again only when that is so.
#[test]
fn who_was_woken_sees_that_the_place_it_waits_for_was_reached() {
    model(2, || {
        let (shared, mut receiver) = mailbox(());
        let seen = StdArc::new(Seen(loom::sync::atomic::AtomicBool::new(false)));
        let waker = Waker::from(StdArc::clone(&seen));
        let senders = [&[1], &[2]].map(|number| push_all(&shared, number));
        let end = receiver.end();
        let mut cx = Context::from_waker(&waker);
        if receiver.poll_arrival(&mut cx, &end).is_pending() {
            let place = receiver.awaited().unwrap();
            let was_woken = seen.0.load(SeqCst);
            let is_reached = shared.has_reached(place);
            assert!(is_reached || !was_woken);
            senders.map(|sender| sender.join().unwrap());
            assert!(shared.has_reached(place) == seen.0.load(SeqCst));
        } else {
            senders.map(|sender| sender.join().unwrap());
        }
    });
}

#[test]
fn the_waker_goes_when_the_receiver_and_the_last_push_are_gone() {
    model(3, || {
        let (shared, mut receiver) = mailbox(());
        let woken = StdArc::new(Woken::default());
        let sender = push_until_closed(&shared, &[1]);
        let waker = Waker::from(StdArc::clone(&woken));
        let start = receiver.start();
        let polled = receiver.poll_arrival(&mut Context::from_waker(&waker), &start);
        drop((receiver, waker));
        let accepted = sender.join().unwrap();
        assert_eq!(StdArc::strong_count(&woken), 1);
        let waited = polled == Poll::Pending;
        assert_eq!(woken.0.load(SeqCst) == 1, waited && !accepted.is_empty());
        drop(shared);
    });
}

#[test]
fn one_at_a_time_owns_the_receiving_side() {
    model(4, || {
        let shared = Arc::new(Shared::<Item, (), Vec<usize>>::new((), Vec::new()));
        shared.push(item(1)).unwrap();
        shared.push(item(2)).unwrap();
        let pop = |shared: &Shared<Item, (), Vec<usize>>| {
            let mut owner = shared.owner();
            let popped = owner.pop().map(|(number, _)| number);
            owner.extend(popped);
        };
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || pop(&shared))
        };
        pop(&shared);
        other.join().unwrap();
        assert_eq!(**shared.owner(), [1, 2]);
    });
}

#[test]
fn what_is_pushed_while_the_owner_finishes_goes_with_the_mailbox() {
    model(3, || {
        let alive = StdArc::new(());
        let shared = Arc::new(Shared::<Item, ()>::new((), ()));
        let sender = {
            let (shared, alive) = (Arc::clone(&shared), StdArc::clone(&alive));
            thread::spawn(move || {
                let _ = shared.push((1, Some(StdArc::clone(&alive))));
                let _ = shared.push((2, Some(alive)));
            })
        };
        shared.owner().finish();
        sender.join().unwrap();
        assert_eq!(StdArc::strong_count(&alive), 1);
        assert!(shared.owner().is_ended() && shared.owner().pop().is_none());
    });
}

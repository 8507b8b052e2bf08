//! The queue by itself, without threads: order, selective receive, closing, waking, and what is
//! dropped when.

#![cfg(not(purlin_loom))]

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use purlin_mailbox::{Closed, Cursor, Receiver, Shared, mailbox};

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Woken {
    fn new() -> (Arc<Self>, Waker) {
        let woken = Arc::new(Self::default());
        let waker = Waker::from(Arc::clone(&woken));
        (woken, waker)
    }

    fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn poll<T, H>(receiver: &mut Receiver<T, H>, waker: &Waker, cursor: &Cursor) -> Poll<()> {
    receiver.poll_arrival(&mut Context::from_waker(waker), cursor)
}

/// Visits the first item after the cursor that fits.
fn find<H>(receiver: &mut Receiver<u32, H>, cursor: &mut Cursor, fits: fn(u32) -> bool) -> bool {
    while let Some(item) = receiver.next(cursor) {
        if fits(*item) {
            return true;
        }
    }
    false
}

fn filled(count: u32) -> Receiver<u32, ()> {
    let (shared, receiver) = mailbox(());
    (0..count).for_each(|number| shared.push(number).unwrap());
    receiver
}

fn drain<T, H>(receiver: &mut Receiver<T, H>) -> Vec<T> {
    std::iter::from_fn(|| receiver.pop()).collect()
}

#[test]
fn items_come_in_the_order_they_were_pushed() {
    let mut receiver = filled(1000);
    assert_eq!(receiver.len(), 1000);
    assert_eq!(drain(&mut receiver), Vec::from_iter(0..1000));
    assert!(receiver.shared().is_empty());
}

#[test]
fn a_shallow_queue_goes_on_for_long() {
    let (shared, mut receiver) = mailbox(());
    for number in 0..10_000 {
        shared.push(number).unwrap();
        assert_eq!(receiver.pop(), Some(number));
        assert_eq!(receiver.pop(), None);
    }
}

#[test]
fn items_are_taken_from_the_middle() {
    let mut receiver = filled(200);
    let mut cursor = receiver.start();
    let mut odd = Vec::new();
    while find(&mut receiver, &mut cursor, |item| item % 2 == 1) {
        odd.push(receiver.take(&cursor).unwrap());
    }
    assert!(odd.into_iter().eq((0..200).filter(|n| n % 2 == 1)));
    assert_eq!(receiver.len(), 100);
    assert!(
        drain(&mut receiver)
            .into_iter()
            .eq((0..200).filter(|n| n % 2 == 0))
    );
}

#[test]
fn an_item_is_taken_once_and_only_after_it_was_visited() {
    let mut receiver = filled(3);
    let mut cursor = receiver.start();
    assert_eq!(receiver.take(&cursor), None);
    assert_eq!(receiver.take(&receiver.end()), None);
    assert_eq!(receiver.next(&mut cursor), Some(&mut 0));
    assert_eq!(receiver.take(&cursor), Some(0));
    assert_eq!(receiver.take(&cursor), None);
    assert_eq!(drain(&mut receiver), [1, 2]);
}

#[test]
fn a_visited_item_can_be_changed_in_its_place() {
    let mut receiver = filled(3);
    let mut cursor = receiver.start();
    while let Some(item) = receiver.next(&mut cursor) {
        *item += 10;
    }
    assert_eq!(drain(&mut receiver), [10, 11, 12]);
}

#[test]
fn a_cursor_stays_valid_while_items_around_it_go() {
    let mut receiver = filled(100);
    let mut cursor = receiver.start();
    for expected in 0..50 {
        assert_eq!(receiver.next(&mut cursor), Some(&mut { expected }));
    }
    let before = cursor;
    for _ in 0..70 {
        receiver.pop();
    }
    assert_eq!(receiver.take(&before), None);
    assert_eq!(receiver.next(&mut cursor), Some(&mut 70));
    let shared = Arc::clone(receiver.shared());
    shared.push(100).unwrap();
    assert_eq!(receiver.take(&cursor), Some(70));
    assert_eq!(drain(&mut receiver), Vec::from_iter(71..=100));
    assert_eq!(receiver.next(&mut cursor), None);
    shared.push(101).unwrap();
    assert_eq!(receiver.next(&mut cursor), Some(&mut 101));
}

#[test]
fn the_end_skips_what_came_before() {
    let mut receiver = filled(100);
    let mut cursor = receiver.end();
    assert_eq!(receiver.next(&mut cursor), None);
    receiver.shared().push(100).unwrap();
    assert_eq!(receiver.next(&mut cursor), Some(&mut 100));
    assert_eq!(receiver.take(&cursor), Some(100));
    assert_eq!(receiver.len(), 100);
}

#[test]
fn a_thousand_answers_pass_a_message_that_nobody_takes() {
    let (shared, mut receiver) = mailbox(());
    shared.push(0).unwrap();
    for number in 1..=1000 {
        let mut cursor = receiver.end();
        shared.push(number).unwrap();
        assert_eq!(receiver.next(&mut cursor), Some(&mut { number }));
        assert_eq!(receiver.take(&cursor), Some(number));
    }
    assert_eq!(drain(&mut receiver), [0]);
}

#[test]
fn closing_refuses_later_items_and_gives_them_back() {
    let (shared, mut receiver) = mailbox(());
    shared.push(1).unwrap();
    shared.push(2).unwrap();
    receiver.close();
    assert!(shared.is_closed());
    assert_eq!(shared.push(3), Err(Closed(3)));
    assert_eq!(shared.len(), 2);
    assert_eq!(drain(&mut receiver), [1, 2]);
    assert!(receiver.is_ended());
    assert_eq!(shared.len(), 0);
    receiver.close();
}

#[test]
fn the_shared_half_closes_behind_what_was_pushed() {
    for count in 0..100 {
        let mut receiver = filled(count);
        let shared = Arc::clone(receiver.shared());
        shared.close();
        shared.close();
        assert_eq!(shared.push(7), Err(Closed(7)));
        assert_eq!(shared.len(), count as usize);
        assert_eq!(drain(&mut receiver), Vec::from_iter(0..count));
        assert!(receiver.is_ended());
        assert_eq!(shared.len(), 0);
        if count % 2 == 0 {
            receiver.close();
            assert_eq!(receiver.pop(), None);
        }
    }
}

#[test]
fn a_waiting_receiver_is_woken_once_by_the_first_item() {
    let (shared, mut receiver) = mailbox(());
    let (woken, waker) = Woken::new();
    for round in 0..100 {
        let start = receiver.start();
        assert_eq!(poll(&mut receiver, &waker, &start), Poll::Pending);
        assert_eq!(poll(&mut receiver, &waker, &start), Poll::Pending);
        shared.push(1).unwrap();
        shared.push(2).unwrap();
        assert_eq!(woken.times(), round + 1);
        assert_eq!(poll(&mut receiver, &waker, &start), Poll::Ready(()));
        assert_eq!(drain(&mut receiver), [1, 2]);
    }
}

#[test]
fn a_receiver_that_does_not_wait_is_not_woken() {
    let (shared, mut receiver) = mailbox(());
    let (woken, waker) = Woken::new();
    let start = receiver.start();
    shared.push(1).unwrap();
    assert_eq!(poll(&mut receiver, &waker, &start), Poll::Ready(()));
    shared.push(2).unwrap();
    assert_eq!(drain(&mut receiver), [1, 2]);
    shared.push(3).unwrap();
    assert_eq!(woken.times(), 0);
}

#[test]
fn waiting_behind_items_that_nobody_takes_is_for_new_ones() {
    let (shared, mut receiver) = mailbox(());
    let (woken, waker) = Woken::new();
    for round in 0..100 {
        let end = receiver.end();
        assert_eq!(poll(&mut receiver, &waker, &end), Poll::Pending);
        shared.push(round).unwrap();
        assert_eq!(woken.times(), round + 1);
        assert_eq!(poll(&mut receiver, &waker, &end), Poll::Ready(()));
    }
}

#[test]
fn the_waker_that_polled_last_is_woken() {
    // Each count puts the wait at another place of the blocks, the link between two among them.
    for count in 0..40 {
        let (shared, mut receiver) = mailbox(());
        (0..count).for_each(|number| shared.push(number).unwrap());
        let (first, first_waker) = Woken::new();
        let (second, second_waker) = Woken::new();
        let end = receiver.end();
        assert_eq!(poll(&mut receiver, &first_waker, &end), Poll::Pending);
        assert_eq!(poll(&mut receiver, &second_waker, &end), Poll::Pending);
        shared.push(1).unwrap();
        assert_eq!((first.times(), second.times()), (0, 1));
        // The first waker is held by nobody any more but the test.
        drop(first_waker);
        assert_eq!(Arc::strong_count(&first), 1);
    }
}

#[test]
fn closing_wakes_a_waiting_receiver() {
    for count in 0..40 {
        let (shared, mut receiver) = mailbox(());
        (0..count).for_each(|number| shared.push(number).unwrap());
        let (woken, waker) = Woken::new();
        let end = receiver.end();
        assert_eq!(poll(&mut receiver, &waker, &end), Poll::Pending);
        shared.close();
        assert_eq!(woken.times(), 1);
        assert_eq!(poll(&mut receiver, &waker, &end), Poll::Ready(()));
        assert!(receiver.is_ended());
    }
}

#[test]
fn an_address_does_not_keep_the_task_of_a_dead_process() {
    for count in 0..10 {
        let (shared, mut receiver) = mailbox(());
        (0..count).for_each(|number| shared.push(number).unwrap());
        let (woken, waker) = Woken::new();
        let end = receiver.end();
        assert_eq!(poll(&mut receiver, &waker, &end), Poll::Pending);
        if count % 2 == 0 {
            shared.push(1).unwrap();
        }
        drop((receiver, waker));
        assert_eq!(Arc::strong_count(&woken), 1);
        assert_eq!(shared.push(2), Err(Closed(2)));
    }
}

/// Counts its drops; the one with a fuse panics when dropped.
struct Counted {
    drops: Rc<Cell<usize>>,
    fuse: bool,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.drops.set(self.drops.get() + 1);
        assert!(!self.fuse, "the fuse");
    }
}

#[test]
fn what_is_queued_is_dropped_with_the_receiver_and_once() {
    for count in [0, 1, 3, 4, 5, 100] {
        let drops = Rc::new(Cell::new(0));
        let (shared, mut receiver) = mailbox(());
        for _ in 0..count {
            let drops = Rc::clone(&drops);
            assert!(shared.push(Counted { drops, fuse: false }).is_ok());
        }
        let mut cursor = receiver.start();
        let _ = receiver.next(&mut cursor);
        let _ = receiver.next(&mut cursor);
        drop(receiver.take(&cursor));
        drop(receiver);
        assert_eq!(drops.get(), count);
        drop(shared);
        assert_eq!(drops.get(), count);
    }
}

#[test]
fn an_item_that_panics_when_dropped_does_not_keep_the_others() {
    let drops = Rc::new(Cell::new(0));
    let (shared, receiver) = mailbox(());
    for number in 0..50 {
        let drops = Rc::clone(&drops);
        let fuse = number == 20;
        assert!(shared.push(Counted { drops, fuse }).is_ok());
    }
    let dropping = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(receiver)));
    assert!(dropping.is_err());
    assert_eq!(drops.get(), 50);
    assert_eq!(Rc::strong_count(&drops), 1);
}

#[test]
fn items_may_have_no_size_or_a_large_alignment() {
    #[derive(Debug, PartialEq)]
    #[repr(align(128))]
    struct Wide(u32);

    let (shared, mut receiver) = mailbox(());
    (0..100).for_each(|_| shared.push(()).unwrap());
    assert_eq!(drain(&mut receiver).len(), 100);

    let (shared, mut receiver) = mailbox(());
    (0..100).for_each(|number| shared.push(Wide(number)).unwrap());
    let mut cursor = receiver.start();
    assert!(std::ptr::from_ref(receiver.next(&mut cursor).unwrap()).is_aligned());
    assert!(drain(&mut receiver).into_iter().eq((0..100).map(Wide)));
}

trait Address: Send + Sync {
    fn pid(&self) -> u64;
    fn tell(&self, number: u32) -> bool;
}

impl Address for purlin_mailbox::Shared<u32, u64> {
    fn pid(&self) -> u64 {
        *self.header()
    }

    fn tell(&self, number: u32) -> bool {
        self.push(number).is_ok()
    }
}

#[test]
fn the_shared_half_can_be_a_trait_object() {
    let (shared, mut receiver) = mailbox::<u32, u64>(7);
    let address: Arc<dyn Address> = shared;
    assert!(address.tell(1) && address.pid() == 7);
    assert_eq!(receiver.pop(), Some(1));
    drop(receiver);
    assert!(!address.tell(2));
}

#[test]
fn both_halves_cross_threads_with_what_they_carry() {
    fn send<T: Send>(_: &T) {}
    fn sync<T: Sync>(_: &T) {}
    // An item need not be Sync.
    let (shared, receiver) = mailbox::<Cell<u32>, u64>(0);
    send(&shared);
    sync(&shared);
    send(&receiver);
    sync(&receiver);
}

#[test]
fn an_owner_has_its_state_and_leaves_both_to_the_next() {
    let shared = Arc::new(Shared::<u32, (), Vec<u32>>::new((), Vec::new()));
    shared.push(1).unwrap();
    shared.push(2).unwrap();
    for expected in 1..=2 {
        let mut owner = shared.owner();
        let popped = owner.pop();
        owner.extend(popped);
        assert_eq!(owner.last(), Some(&expected));
    }
    assert_eq!(*shared.owner(), [1, 2]);
}

#[test]
fn a_mailbox_that_is_finished_is_ended_for_later_owners() {
    let shared = Shared::<u32, ()>::new((), ());
    shared.push(1).unwrap();
    shared.owner().finish();
    let mut owner = shared.owner();
    owner.finish();
    assert!(owner.is_ended() && owner.pop().is_none());
    assert!(shared.push(2).is_err());
}

#[test]
fn what_is_queued_is_dropped_with_a_mailbox_that_nobody_owned() {
    let alive = Arc::new(());
    let shared = Shared::<Arc<()>, ()>::new((), ());
    for _ in 0..100 {
        shared.push(Arc::clone(&alive)).unwrap();
    }
    drop(shared.owner().pop());
    drop(shared);
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn a_panic_gives_the_receiving_side_back() {
    let shared = Shared::<u32, ()>::new((), ());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _owner = shared.owner();
        panic!("while it owns");
    }));
    assert!(panicked.is_err());
    assert!(shared.owner().pop().is_none());
}

/// Pushes so many, and answers before which of them the queue was told to pile up.
fn told(shared: &Shared<u32, ()>, count: u32) -> Vec<u32> {
    let mut told = Vec::new();
    for number in 0..count {
        shared.push_watched(number, || told.push(number)).unwrap();
    }
    told
}

#[test]
fn a_queue_that_piles_up_says_so_at_least_every_32_pushes() {
    let (shared, _receiver) = mailbox(());
    let told = told(&shared, 1_000);
    assert_eq!(told[..4], [4, 12, 28, 60]);
    assert!(
        told.windows(2).all(|pair| pair[1] - pair[0] <= 32),
        "{told:?}"
    );
    assert!(
        told.last().is_some_and(|last| *last >= 1_000 - 32),
        "{told:?}"
    );
}

#[test]
fn a_queue_whose_receiver_keeps_up_does_not_say_that_it_piles_up() {
    let (shared, mut receiver) = mailbox(());
    for number in 0..1_000 {
        assert_eq!(told(&shared, 1), []);
        assert_eq!(receiver.pop(), Some(0), "{number}");
    }
}

#[test]
fn a_mailbox_that_somebody_has_is_not_tried_for() {
    let shared = Shared::<u32, (), u32>::new((), 7);
    let owner = shared.owner();
    for _ in 0..2 {
        assert!(shared.try_owner().is_none());
    }
    drop(owner);
    assert_eq!(shared.try_owner().map(|owner| *owner), Some(7));
    assert!(shared.try_owner().is_some());
}

/// Who waits there need not look before something has come there.
#[test]
fn the_place_that_is_waited_for_is_reached_by_the_next_push() {
    let mut receiver = filled(0);
    let (woken, waker) = Woken::new();
    for pushed in 0..20 {
        assert_eq!(receiver.awaited(), None, "nobody has polled");
        let end = receiver.end();
        assert!(poll(&mut receiver, &waker, &end).is_pending());
        let place = receiver.awaited().unwrap();
        assert!(!receiver.shared().has_reached(place));
        receiver.shared().push(pushed).unwrap();
        assert!(receiver.shared().has_reached(place));
        assert_eq!(woken.times(), pushed as usize + 1);
        assert!(poll(&mut receiver, &waker, &end).is_ready());
    }
}

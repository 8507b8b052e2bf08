//! Models of how runners sleep, are woken and end, under all interleavings.
//!
//! The module here is the crate's, with loom's primitives in place of std's. The runners around it are
//! threads that do what the scheduler's do, but for the queues of their own.

use std::sync::Arc;

use loom::sync::Condvar;
use loom::thread;

#[path = "../src/scheduler/sleep.rs"]
#[allow(dead_code, reason = "the scheduler uses more of it")]
mod sleep;
#[path = "primitives/mod.rs"]
mod sync;

use sleep::{Common, Sleeper, Sleepers};
use sync::{AtomicBool, AtomicU64, Mutex, Ordering, model};

/// The common queue: a bit for each piece of work. It orders no more than crossbeam's does, so that
/// nothing is seen because of it that the protocol has to see by itself.
struct Pile(AtomicU64);

impl Common for Pile {
    type Work = u64;

    fn push(&self, work: u64) {
        self.0.fetch_or(1 << work, Ordering::AcqRel);
    }

    fn take(&self) -> Option<u64> {
        let first = |works: u64| (works != 0).then(|| works & works.wrapping_sub(1));
        let taken = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, first);
        taken.ok().map(|works| u64::from(works.trailing_zeros()))
    }

    fn is_empty(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}

/// Something that is waited for.
struct Flag(Mutex<bool>, Condvar);

impl Flag {
    fn new(is_set: bool) -> Self {
        Self(Mutex::new(is_set), Condvar::new())
    }

    fn set(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }

    fn wait(&self) {
        let mut is_set = self.0.lock().unwrap();
        while !*is_set {
            is_set = self.1.wait(is_set).unwrap();
        }
    }

    /// Waits until it is set, and takes it back.
    fn take(&self) {
        self.wait();
        *self.0.lock().unwrap() = false;
    }
}

/// A runner's task, as tokio sees it: it is polled at first and whenever it was woken since.
struct Seat {
    has_waker: AtomicBool,
    is_woken: Flag,
}

struct Shared {
    sleepers: Sleepers<Pile>,
    seats: Vec<Seat>,
    is_done: Vec<Flag>,
}

impl Shared {
    fn new(runners: usize, works: usize) -> Arc<Self> {
        let seat = |_| Seat {
            has_waker: AtomicBool::new(false),
            is_woken: Flag::new(true),
        };
        Arc::new(Self {
            sleepers: Sleepers::new(Pile(AtomicU64::new(0))),
            seats: (0..runners).map(seat).collect(),
            is_done: (0..works).map(|_| Flag::new(false)).collect(),
        })
    }

    fn wake(&self, runner: usize) {
        if self.seats[runner].has_waker.load(Ordering::Acquire) {
            self.seats[runner].is_woken.set();
        }
    }

    fn inject(&self, work: u64) {
        if let Some(runner) = self.sleepers.inject(work) {
            self.wake(runner);
        }
    }

    fn close(&self) {
        self.sleepers
            .close(|| (0..self.seats.len()).for_each(|runner| self.wake(runner)));
    }

    /// A runner until it ends.
    fn run(&self, index: usize, work: fn(&Self, u64)) {
        let seat = &self.seats[index];
        let mut sleeper = Sleeper::new(index);
        loop {
            seat.is_woken.take();
            let leave_waker = || seat.has_waker.store(true, Ordering::Release);
            if !self.sleepers.enter(leave_waker) {
                return;
            }
            sleeper.awake(&self.sleepers);
            loop {
                match self.search(&mut sleeper) {
                    Some(found) => work(self, found),
                    None if sleeper.sleep(&self.sleepers) => break,
                    None => {}
                }
            }
        }
    }

    fn search(&self, sleeper: &mut Sleeper) -> Option<u64> {
        let look = || self.sleepers.common.take();
        let (found, other) =
            sleeper.search(&self.sleepers, look, || !self.sleepers.common.is_empty());
        other.inspect(|other| self.wake(*other));
        found
    }

    fn is_done(&self, work: u64) -> &Flag {
        &self.is_done[work as usize]
    }
}

fn start(shared: &Arc<Shared>, act: impl FnOnce(&Shared) + 'static) -> thread::JoinHandle<()> {
    let shared = Arc::clone(shared);
    thread::spawn(move || act(&shared))
}

fn done(shared: &Shared, work: u64) {
    shared.is_done(work).set();
}

#[test]
fn nothing_waits_while_the_only_runner_sleeps() {
    model(2, || {
        let shared = Shared::new(1, 2);
        let runner = start(&shared, |shared| shared.run(0, done));
        let other = start(&shared, |shared| shared.inject(0));
        shared.inject(1);
        shared.is_done(0).wait();
        shared.is_done(1).wait();
        other.join().unwrap();
        shared.close();
        runner.join().unwrap();
    });
}

#[test]
fn a_runner_that_slept_is_woken_for_what_comes_next() {
    model(3, || {
        let shared = Shared::new(1, 2);
        let runner = start(&shared, |shared| shared.run(0, done));
        for work in 0..2 {
            shared.inject(work);
            shared.is_done(work).wait();
        }
        shared.close();
        runner.join().unwrap();
    });
}

/// The first piece of work holds its runner until the other is done.
fn hold(shared: &Shared, work: u64) {
    if work == 0 {
        shared.is_done(1).wait();
    }
    shared.is_done(work).set();
}

#[test]
fn nothing_waits_for_a_runner_that_is_held_while_another_sleeps() {
    model(2, || {
        let shared = Shared::new(2, 2);
        let runners = [0, 1].map(|index| start(&shared, move |shared| shared.run(index, hold)));
        shared.inject(0);
        shared.inject(1);
        shared.is_done(0).wait();
        shared.close();
        for runner in runners {
            runner.join().unwrap();
        }
    });
}

#[test]
fn every_runner_ends_when_the_scheduler_closes() {
    model(3, || {
        let shared = Shared::new(2, 0);
        let runners = [0, 1].map(|index| start(&shared, move |shared| shared.run(index, done)));
        shared.close();
        for runner in runners {
            runner.join().unwrap();
        }
    });
}

#[test]
fn nothing_is_left_when_a_runner_ends_before_its_time() {
    model(2, || {
        let shared = Shared::new(1, 0);
        let others = [0, 1].map(|work| start(&shared, move |shared| shared.inject(work)));
        shared.sleepers.bereave([2].into_iter());
        for other in others {
            other.join().unwrap();
        }
        assert!(shared.sleepers.common.is_empty());
    });
}

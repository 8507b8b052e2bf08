//! A vital task: one future that two threads may take forward.
//!
//! It runs as a task of tokio's, where that is quickest: next to the processes it serves. While that task
//! does not get its turn, since processes hold the threads, the [stand-in](super::stand_in) polls the
//! same future in its place. Whoever polls, what the future waits for wakes tokio's task.
//!
//! - `V1` the future is polled by one thread at a time, and never again once it is done, was aborted or
//!   has panicked;
//! - `V2` a wake is never lost: the future's waker always wakes tokio's task, which polls again; but perhaps
//!   after processes that the waking task has woken ([`purlin_runtime::wake_later`]). The stand-in knows of it
//!   meanwhile, since that thread may be held;
//! - `V3` the future is dropped with no lock held, by its task, or by the stand-in where it was that found
//!   its end.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake, Waker};

use super::BoxFuture;

/// How long a task has waited for its turn, in looks of the stand-in.
const WAITS_FOR_NOTHING: u8 = 0;
const WOKEN: u8 = 1;
const WOKEN_BEFORE_A_LOOK: u8 = 2;

/// Lets the processes that were just woken go first. What waits for itself like that is one thing that is ready;
/// tokio's own `yield_now` has another thread woken for it.
pub(crate) async fn yield_turn() {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A future, and how its task stands.
pub(super) struct Vital {
    /// `None` when it is done.
    future: Mutex<Option<BoxFuture<'static, ()>>>,
    /// The task of tokio's, from its first turn on.
    task: OnceLock<Waker>,
    waiting: AtomicU8,
    /// It was woken long ago and has not had its turn.
    is_stuck: AtomicBool,
    is_aborted: AtomicBool,
}

impl Vital {
    pub(super) fn new(future: BoxFuture<'static, ()>) -> Arc<Self> {
        Arc::new(Self {
            future: Mutex::new(Some(future)),
            task: OnceLock::new(),
            waiting: AtomicU8::new(WOKEN),
            is_stuck: AtomicBool::new(false),
            is_aborted: AtomicBool::new(false),
        })
    }

    /// The turn of tokio's task.
    pub(super) fn poll_by_task(self: &Arc<Self>, task: &Waker) -> Poll<()> {
        self.task.get_or_init(|| task.clone());
        self.is_stuck.store(false, Ordering::Relaxed);
        let mut future = self.lock();
        let polled = self.poll(&mut future);
        if polled.is_ready() {
            let done = future.take();
            drop(future);
            drop(done);
        }
        polled
    }

    /// A turn in the place of tokio's task, unless that has one just now.
    pub(super) fn poll_in_place(self: &Arc<Self>) {
        let mut future = match self.future.try_lock() {
            Ok(future) => future,
            // It panicked there: its task is about to drop it.
            Err(TryLockError::Poisoned(_)) | Err(TryLockError::WouldBlock) => return,
        };
        let is_aborted = self.is_aborted.load(Ordering::Acquire);
        // A panic ends the future, as it does in a task of tokio's; the hook has reported it.
        let polled = || is_aborted || self.poll(&mut future).is_ready();
        if catch_unwind(AssertUnwindSafe(polled)).unwrap_or(true) {
            let done = future.take();
            drop(future);
            let _ = catch_unwind(AssertUnwindSafe(|| drop(done)));
            self.wake_task();
        }
    }

    fn poll(self: &Arc<Self>, future: &mut Option<BoxFuture<'static, ()>>) -> Poll<()> {
        self.waiting.store(WAITS_FOR_NOTHING, Ordering::Relaxed);
        let Some(future) = future else {
            return Poll::Ready(());
        };
        let waker = Waker::from(self.clone());
        // All that is vital waits for sockets and timers mostly, and yields after some frames.
        purlin_runtime::briefly(|| Pin::new(future).poll(&mut Context::from_waker(&waker)))
    }

    /// Its task was dropped, and so is the future.
    pub(super) fn dismiss(&self) {
        let future = self.lock().take();
        drop(future);
    }

    /// Nobody polls it any more.
    pub(super) fn abort(&self) {
        self.is_aborted.store(true, Ordering::Release);
        self.note_woken();
    }

    /// Counts a look of the stand-in.
    pub(super) fn look(&self) {
        let (from, to) = (WOKEN, WOKEN_BEFORE_A_LOOK);
        let waiting = &self.waiting;
        if let Err(WOKEN_BEFORE_A_LOOK) =
            waiting.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
        {
            self.is_stuck.store(true, Ordering::Relaxed);
        }
    }

    /// True from when it has waited for a whole look until its task has its turn.
    pub(super) fn is_stuck(&self) -> bool {
        self.is_stuck.load(Ordering::Relaxed)
    }

    fn note_woken(&self) {
        let (from, to) = (WAITS_FOR_NOTHING, WOKEN);
        let _ = self
            .waiting
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Before its first turn the task needs no waking: it has one coming.
    fn wake_task(&self) {
        if let Some(task) = self.task.get() {
            purlin_runtime::wake_later(task);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<BoxFuture<'static, ()>>> {
        self.future.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Vital {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.note_woken();
        self.wake_task();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::thread;
    use std::time::Duration;

    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use super::*;

    /// Counts of what happens to a future.
    #[derive(Default)]
    struct Seen {
        is_polled: AtomicBool,
        is_dropped: AtomicBool,
    }

    struct Watched(Arc<Seen>);

    impl Drop for Watched {
        fn drop(&mut self) {
            self.0.is_dropped.store(true, Ordering::SeqCst);
        }
    }

    fn watched(body: impl Future<Output = ()> + Send + 'static) -> (Arc<Vital>, Arc<Seen>) {
        let seen = Arc::new(Seen::default());
        let watched = Watched(seen.clone());
        let future = async move {
            watched.0.is_polled.store(true, Ordering::SeqCst);
            body.await;
        };
        (Vital::new(Box::pin(future)), seen)
    }

    async fn as_task(vital: Arc<Vital>) {
        poll_fn(|context| vital.poll_by_task(context.waker())).await;
    }

    /// What the stand-in leaves waiting is taken forward by the task.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_wake_is_lost_when_the_stand_in_polled_last() {
        const ITEMS: u32 = 10_000;
        let (sender, mut items) = mpsc::unbounded_channel();
        let (taken, mut takes) = mpsc::unbounded_channel();
        let vital = Vital::new(Box::pin(async move {
            while let Some(item) = items.recv().await {
                taken.send(item).unwrap();
            }
        }));
        let task = tokio::spawn(as_task(vital.clone()));
        for item in 0..ITEMS {
            vital.poll_in_place();
            sender.send(item).unwrap();
            let next = timeout(Duration::from_secs(20), takes.recv()).await;
            assert_eq!(next.expect("a wake was lost"), Some(item));
        }
        drop(sender);
        task.await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn both_may_take_turns_at_any_time() {
        const ITEMS: u32 = 20_000;
        let (sender, mut items) = mpsc::unbounded_channel();
        let vital = Vital::new(Box::pin(async move {
            for expected in 0..ITEMS {
                assert_eq!(items.recv().await, Some(expected));
            }
        }));
        let task = tokio::spawn(as_task(vital.clone()));
        let standing_in = thread::spawn(move || {
            for _ in 0..ITEMS {
                vital.poll_in_place();
            }
        });
        for item in 0..ITEMS {
            let _ = sender.send(item);
        }
        let done = timeout(Duration::from_secs(20), task).await;
        done.expect("a wake was lost").unwrap();
        standing_in.join().unwrap();
    }

    #[test]
    fn an_aborted_one_is_dropped_in_place_and_not_polled() {
        let (vital, seen) = watched(pending());
        vital.abort();
        vital.poll_in_place();
        assert!(seen.is_dropped.load(Ordering::SeqCst));
        assert!(!seen.is_polled.load(Ordering::SeqCst));
    }

    #[test]
    fn a_panic_in_place_ends_it_for_its_task_too() {
        let (vital, seen) = watched(async { panic!("as the test wants") });
        vital.poll_in_place();
        assert!(seen.is_dropped.load(Ordering::SeqCst));
        assert!(vital.poll_by_task(Waker::noop()).is_ready());
    }

    /// The thread on which it waits to be woken may be held before that.
    #[test]
    fn one_that_yields_is_stuck_when_it_is_not_woken() {
        let (vital, _) = watched(async {
            yield_turn().await;
            pending().await
        });
        assert!(vital.poll_by_task(Waker::noop()).is_pending());
        vital.look();
        vital.look();
        assert!(vital.is_stuck());
        assert!(vital.poll_by_task(Waker::noop()).is_pending());
        vital.look();
        vital.look();
        assert!(!vital.is_stuck());
    }

    #[test]
    fn it_is_stuck_from_a_whole_look_without_a_turn_until_its_task_has_one() {
        let (vital, _) = watched(pending());
        vital.look();
        assert!(!vital.is_stuck());
        vital.look();
        assert!(vital.is_stuck());
        vital.poll_in_place();
        assert!(vital.is_stuck());
        assert!(vital.poll_by_task(Waker::noop()).is_pending());
        vital.look();
        vital.look();
        assert!(!vital.is_stuck());
    }
}

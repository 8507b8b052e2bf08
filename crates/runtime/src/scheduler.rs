//! Where processes run: on *runners*, a few long-lived tasks of the tokio runtime, one for each of its
//! worker threads.
//!
//! A runner has a queue of processes that can go on, takes them in turn, and steals from others or from
//! the common queue when it has none. To tokio a runner is one task that is always ready or asleep, so a
//! process that is woken costs a push into the queue of the runner it was woken on, not a round through
//! tokio's scheduler; and an idle process costs no task of tokio's. Everything of tokio's works in a
//! process all the same, since it runs inside a task: timers, sockets, `block_in_place`.
//!
//! Fairness: a runner gives its thread back after [`TURNS`] processes, or when tokio's budget for
//! its task is used up; now and then so that tokio looks at sockets and timers before it goes on. It
//! looks into the common queue every [`COMMON_INTERVAL`] turns, so that nobody there waits for ever.
//!
//! Waking others: who wakes a process from elsewhere, or a second one on a runner, wakes a sleeping
//! runner unless one is searching for work already. A single process in a runner's own queue wakes
//! nobody: mostly it goes on at once, when the one that woke it awaits its answer. If instead that one
//! holds its thread, the single process is found by the next runner that searches, at the latest when
//! the watch for long steps sends one ([`Scheduler::rescue`]). And where one process yields to another
//! and they go on so, a second runner comes only after [`CROWDED`]: one that sends a lot and one that
//! receives it are faster in turns on one core than side by side on two.
//!
//! Invariants:
//! - `I1` a runner sleeps only after it was seen in `idle` and then found the common queue empty; who
//!   pushes there looks at `idle` afterwards. All of that is sequentially consistent, so one of the two
//!   sees the other, and nothing lies in the common queue while all sleep.
//! - `I2` a runner that sleeps has nothing in its own queue.
//! - `I3` `searching` counts the runners that are awake and have found nothing yet, those included that
//!   were just woken.

use std::cell::RefCell;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_task::{ScheduleInfo, WithInfo};
use crossbeam_deque::{Injector, Steal, Stealer, Worker};
use tokio::runtime::Handle;

/// A process that can go on.
type Runnable = async_task::Runnable<Arc<Shared>>;

/// Processes that a runner lets run before other tasks of its thread have their turn. Many enough that
/// tokio's own work between is small beside them, few enough that it comes often: at 64 it is about a
/// tenth of a microsecond for each 6 microseconds of processes that only pass a message on.
const TURNS: u32 = 64;

/// How often the runner steps back so that its thread looks at sockets and timers first, in times of
/// [`TURNS`]. Else tokio looks there every 61 tasks, and a runner counts for one.
const DRIVER_INTERVAL: u32 = 4;

/// Turns between two looks into the common queue. Tokio's number for the same.
const COMMON_INTERVAL: u32 = 61;

/// How long processes that yield share a runner before another is woken. Some times what it costs to
/// wake a core and to move a process there.
const CROWDED: Duration = Duration::from_micros(50);

/// Runners that can be told apart in a word.
const RUNNERS_MAX: usize = 64;

/// Who is told when tokio has ended the runners: no process can run any more.
pub(crate) trait Bereaved: Send + Sync {
    /// Wakes every process once.
    fn wake_all(&self);
}

/// The runners of a runtime. They end when this is dropped.
pub(crate) struct Scheduler(Arc<Shared>);

struct Shared {
    /// Processes that were woken elsewhere than on a runner.
    common: Injector<Runnable>,
    seats: Box<[Seat]>,
    /// A bit for each runner that sleeps.
    idle: AtomicU64,
    searching: AtomicUsize,
    /// Woken after a runner: see [`Shared::wake`].
    decoy: OnceLock<Waker>,
    is_closed: AtomicBool,
    /// Tokio has ended a runner: processes are dropped instead of run, by whoever has the lock.
    is_bereft: AtomicBool,
    burial: Mutex<()>,
    bereaved: Weak<dyn Bereaved>,
}

/// What others need to know of a runner.
struct Seat {
    stealer: Stealer<Runnable>,
    waker: OnceLock<Waker>,
}

impl Scheduler {
    /// Starts runners on the worker threads of a tokio runtime.
    pub(crate) fn start(tokio: &Handle, bereaved: Weak<dyn Bereaved>) -> Self {
        let count = tokio.metrics().num_workers().clamp(1, RUNNERS_MAX);
        let queues: Vec<_> = (0..count).map(|_| Worker::new_fifo()).collect();
        let seat = |queue: &Worker<Runnable>| Seat {
            stealer: queue.stealer(),
            waker: OnceLock::new(),
        };
        let shared = Arc::new(Shared {
            common: Injector::new(),
            seats: queues.iter().map(seat).collect(),
            idle: AtomicU64::new(0),
            searching: AtomicUsize::new(0),
            decoy: OnceLock::new(),
            is_closed: AtomicBool::new(false),
            is_bereft: AtomicBool::new(false),
            burial: Mutex::default(),
            bereaved,
        });
        for (index, queue) in queues.into_iter().enumerate() {
            tokio.spawn(Runner {
                local: Some(Box::new(Local::new(shared.clone(), queue, index))),
                batches: 0,
            });
        }
        if count > 1 {
            tokio.spawn(Decoy(shared.clone()));
        }
        Self(shared)
    }

    /// Runs a future until it is ready.
    pub(crate) fn spawn(&self, process: impl Future<Output = ()> + Send + 'static) {
        let (runnable, task) = async_task::Builder::new()
            .metadata(self.0.clone())
            .spawn(|_| process, WithInfo(schedule));
        task.detach();
        runnable.schedule();
    }

    /// Wakes a sleeping runner if work waits behind one that is held up.
    pub(crate) fn rescue(&self) {
        if self.0.seats.iter().any(|seat| !seat.stealer.is_empty()) {
            self.0.wake_one();
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.0.is_closed.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        for seat in &self.0.seats {
            seat.waker.get().inspect(|waker| waker.wake_by_ref());
        }
        self.0.decoy.get().inspect(|waker| waker.wake_by_ref());
    }
}

thread_local! {
    /// The runner that runs on this thread.
    static HERE: RefCell<Option<Box<Local>>> = const { RefCell::new(None) };
}

/// A process was woken, or has just begun, or yields.
fn schedule(process: Runnable, info: ScheduleInfo) {
    let elsewhere = HERE.try_with(|here| match &mut *here.borrow_mut() {
        Some(local) if Arc::ptr_eq(&local.shared, process.metadata()) => {
            local.push(process, info.woken_while_running);
            None
        }
        _ => Some(process),
    });
    // At the end of a thread its queue is gone, and `process` with it; no process runs there.
    if let Ok(Some(process)) = elsewhere {
        let shared = process.metadata().clone();
        shared.inject(process);
    }
}

impl Shared {
    fn inject(&self, process: Runnable) {
        self.common.push(process);
        fence(Ordering::SeqCst);
        match self.is_bereft.load(Ordering::SeqCst) {
            true => self.bury(),
            false => self.wake_one(),
        }
    }

    /// Wakes a sleeping runner, unless one is searching.
    fn wake_one(&self) {
        if self.searching.load(Ordering::SeqCst) != 0 {
            return;
        }
        let first = |idle: u64| (idle != 0).then(|| idle & (idle - 1));
        let claimed = self
            .idle
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, first);
        if let Ok(idle) = claimed {
            self.searching.fetch_add(1, Ordering::SeqCst);
            self.wake(idle.trailing_zeros() as usize);
        }
    }

    /// Tokio keeps the task that was woken last for the thread that woke it, however long that one is
    /// busy. The decoy is woken after the runner, so the runner is what other threads can have.
    fn wake(&self, runner: usize) {
        self.seats[runner]
            .waker
            .get()
            .inspect(|waker| waker.wake_by_ref());
        if tokio::task::try_id().is_some() {
            self.decoy.get().inspect(|waker| waker.wake_by_ref());
        }
    }

    /// Drops what can never run. By one at a time and in a loop, since dropping a process wakes others.
    fn bury(&self) {
        while !self.common.is_empty() {
            let Ok(_only) = self.burial.try_lock() else {
                return;
            };
            while let Some(process) = taken(|| self.common.steal()) {
                drop(process);
            }
        }
    }
}

/// What a runner has for itself. It lies in the thread while the runner runs there.
struct Local {
    shared: Arc<Shared>,
    queue: Worker<Runnable>,
    index: usize,
    turns: u32,
    is_searching: bool,
    is_asleep: bool,
    /// Since when there was always a second process, as far as those that yielded have seen.
    crowded_since: Option<Instant>,
}

impl Local {
    fn new(shared: Arc<Shared>, queue: Worker<Runnable>, index: usize) -> Self {
        Self {
            shared,
            queue,
            index,
            turns: 0,
            is_searching: false,
            is_asleep: false,
            crowded_since: None,
        }
    }

    fn bit(&self) -> u64 {
        1 << self.index
    }

    #[inline]
    fn push(&mut self, process: Runnable, yields: bool) {
        self.queue.push(process);
        // Only whether others are woken sooner or later depends on this: relaxed will do.
        let may_share = self.shared.idle.load(Ordering::Relaxed) != 0 && self.queue.len() > 1;
        if may_share && (!yields || self.is_crowded()) {
            self.share();
        }
    }

    #[cold]
    fn share(&mut self) {
        self.crowded_since = None;
        self.shared.wake_one();
    }

    #[cold]
    fn is_crowded(&mut self) -> bool {
        let since = *self.crowded_since.get_or_insert_with(Instant::now);
        since.elapsed() > CROWDED
    }

    fn next(&mut self) -> Option<Runnable> {
        self.turns = self.turns.wrapping_add(1);
        // One that was just woken searches instead, and then counts as searching no more (`I3`).
        if self.turns.is_multiple_of(COMMON_INTERVAL)
            && !self.is_searching
            && let Some(process) = taken(|| self.shared.common.steal())
        {
            return Some(process);
        }
        let next = self.queue.pop();
        if self.crowded_since.is_some() && self.queue.is_empty() {
            self.crowded_since = None;
        }
        next.or_else(|| self.search())
    }

    #[cold]
    fn search(&mut self) -> Option<Runnable> {
        if !self.is_searching {
            self.is_searching = true;
            self.shared.searching.fetch_add(1, Ordering::SeqCst);
        }
        let shared = &self.shared;
        let common = || shared.common.steal_batch_and_pop(&self.queue);
        let found = taken(common).or_else(|| {
            let count = shared.seats.len();
            let others = (1..count).map(|step| (self.index + step) % count);
            let mut stealers = others.map(|other| &shared.seats[other].stealer);
            stealers.find_map(|stealer| taken(|| stealer.steal_batch_and_pop(&self.queue)))
        });
        self.stop_searching(found.is_some());
        found
    }

    fn stop_searching(&mut self, found: bool) {
        self.is_searching = false;
        let others = self.shared.searching.fetch_sub(1, Ordering::SeqCst) - 1;
        // Where there was one thing there may be more, and nobody else was sent.
        let has_more = || !self.queue.is_empty() || !self.shared.common.is_empty();
        if found && others == 0 && has_more() {
            self.shared.wake_one();
        }
    }

    /// Goes to sleep; false if something came meanwhile.
    fn sleep(&mut self) -> bool {
        self.shared.idle.fetch_or(self.bit(), Ordering::SeqCst);
        self.is_asleep = true;
        fence(Ordering::SeqCst);
        if self.shared.common.is_empty() {
            return true;
        }
        self.awake();
        false
    }

    /// Is awake, whether it was woken or not.
    fn awake(&mut self) {
        if !self.is_asleep {
            return;
        }
        self.is_asleep = false;
        let idle = self.shared.idle.fetch_and(!self.bit(), Ordering::SeqCst);
        // Whoever has woken it has counted it.
        self.is_searching = idle & self.bit() == 0;
    }
}

/// Repeats what others interfered with.
fn taken(mut steal: impl FnMut() -> Steal<Runnable>) -> Option<Runnable> {
    loop {
        match steal() {
            Steal::Success(process) => return Some(process),
            Steal::Empty => return None,
            Steal::Retry => {}
        }
    }
}

/// A runner, as a task of tokio's.
struct Runner {
    /// Here while it does not run.
    local: Option<Box<Local>>,
    batches: u32,
}

/// Puts a runner into its thread, and takes it out again.
struct Scope<'r> {
    runner: &'r mut Runner,
    /// A runner that a nested call of tokio's has interrupted.
    before: Option<Box<Local>>,
}

impl<'r> Scope<'r> {
    fn enter(runner: &'r mut Runner) -> Self {
        let before = HERE.replace(runner.local.take());
        Self { runner, before }
    }
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        self.runner.local = HERE.replace(self.before.take());
    }
}

/// How a runner's time on its thread ended.
enum Rest {
    /// Nothing is left to do.
    Sleep,
    /// Others have their turn.
    Yield,
}

impl Runner {
    fn run(&mut self) -> Rest {
        let _scope = Scope::enter(self);
        for _ in 0..TURNS {
            while here(Local::next).map(Runnable::run).is_none() {
                if here(Local::sleep) {
                    return Rest::Sleep;
                }
            }
            if !tokio::task::coop::has_budget_remaining() {
                break;
            }
        }
        Rest::Yield
    }
}

/// The runner of this thread. It is let go of before a process runs.
fn here<R>(ask: impl FnOnce(&mut Local) -> R) -> R {
    HERE.with_borrow_mut(|here| ask(here.as_mut().expect("its runner has entered it")))
}

impl Future for Runner {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(local) = &mut self.local {
            // In this order: who closes wakes those that it can.
            let waker = &local.shared.seats[local.index].waker;
            waker.get_or_init(|| cx.waker().clone());
            fence(Ordering::SeqCst);
            if local.shared.is_closed.load(Ordering::SeqCst) {
                return Poll::Ready(());
            }
            local.awake();
        }
        if let Rest::Sleep = self.run() {
            return Poll::Pending;
        }
        self.batches = self.batches.wrapping_add(1);
        if self.batches.is_multiple_of(DRIVER_INTERVAL) {
            return pin!(tokio::task::yield_now()).poll(cx);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Runner {
    /// Before its time only when tokio ends: the processes go with it.
    fn drop(&mut self) {
        let Some(local) = self.local.take() else {
            return;
        };
        let shared = &local.shared;
        if shared.is_closed.load(Ordering::SeqCst) {
            return;
        }
        shared.is_bereft.store(true, Ordering::SeqCst);
        while let Some(process) = local.queue.pop() {
            shared.common.push(process);
        }
        shared.bury();
        if let Some(bereaved) = shared.bereaved.upgrade() {
            bereaved.wake_all();
        }
    }
}

/// A task that does nothing: see [`Shared::wake`].
struct Decoy(Arc<Shared>);

impl Future for Decoy {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.decoy.get_or_init(|| cx.waker().clone());
        fence(Ordering::SeqCst);
        match self.0.is_closed.load(Ordering::SeqCst) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

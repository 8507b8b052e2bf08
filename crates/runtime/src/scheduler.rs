//! Where processes run: on *runners*, a few long-lived tasks of the tokio runtime, one for each of its
//! worker threads.
//!
//! A runner has a queue of processes that can go on, takes them in turn, and steals from others or from
//! the common queue when it has none. To tokio a runner is one task that is always ready or asleep, so a
//! process that is woken costs a push into the queue of the runner it was woken on, not a round through
//! tokio's scheduler; and an idle process costs no task of tokio's. Everything of tokio's works in a
//! process all the same, since it runs inside a task: timers, sockets, `block_in_place`.
//!
//! Fairness: a runner gives its thread back after [`STINT`] or [`LONG_STINT`], or when tokio's budget for
//! its task is used up; now and then so that tokio looks at sockets and timers before it goes on. It
//! looks into the common queue every [`COMMON_INTERVAL`] turns, so that nobody there waits for ever.
//!
//! The process that was woken last goes first, while all runners are awake: what it is to read is still in
//! the cache, and ten thousand pairs that talk are three times as fast. No other runner takes it, save
//! when what waits behind a held thread is looked for ([`Scheduler::rescue`]), and after [`FAVOURS_MAX`]
//! of them the queue has its turn.
//!
//! Waking others: who wakes a process from elsewhere, or a second one on a runner, wakes a sleeping
//! runner unless one is searching for work already. A single process in a runner's own queue wakes
//! nobody: mostly it goes on at once, when the one that woke it awaits its answer. If instead that one
//! holds its thread, the single process is found by the next runner that searches, at the latest when
//! the watch for long steps sends one ([`Scheduler::rescue`]). And where one process yields to another
//! and they go on so, a second runner comes only after [`CROWDED`]: one that sends a lot and one that
//! receives it are faster in turns on one core than side by side on two.
//!
//! Nor do others come for what will soon have had its turn ([`pace`]): where turns are short and few processes wait,
//! a second core costs more in messages between the two than it takes over. That goes for waking a runner as for
//! taking from another's queue. Who leaves processes waiting so tells the watch, which looks every millisecond
//! then whether one has come to hold the thread.
//!
//! Tasks that a brief one wakes ([`wake_later`]) are woken by the runner that comes for the processes which
//! that one wakes too: as the one thing that is ready then, they follow the processes on their thread. Two
//! things that are ready have tokio wake another thread for one of them, which takes longer than both.
//!
//! Invariants:
//! - `I1` a runner sleeps only after it was seen in `idle` and then found the common queue empty; who
//!   pushes there looks at `idle` afterwards. All of that is sequentially consistent, so one of the two
//!   sees the other, and nothing lies in the common queue while all sleep.
//! - `I2` a runner that sleeps has nothing in its own queue.
//! - `I3` `searching` counts the runners that are awake and have found nothing yet, those included that
//!   were just woken;
//! - `I4` what is to be woken later was handed over before a process came into the common queue, and whoever
//!   takes from there looks for it afterwards: before it sleeps, and with each of its turns of tokio's.
//!
//! How they sleep, wake and end is decided in [`sleep`], which is modelled.

mod pace;
mod sleep;

use std::cell::{Cell, RefCell};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_task::{ScheduleInfo, WithInfo};
use crossbeam_deque::{Injector, Steal, Stealer, Worker};
use crossbeam_utils::CachePadded;
use crossbeam_utils::atomic::AtomicCell;
use pace::{Meter, Pace};
use sleep::{Common, Sleeper, Sleepers};
use tokio::runtime::Handle;

use crate::schedule::Watch;

/// A process that can go on.
type Runnable = async_task::Runnable<Arc<Shared>>;

/// Turns of processes between two looks at the clock, and all that a runner lets run at a time where it is the
/// only one: that goes by no clock, so that a simulation repeats itself.
const TURNS: u32 = 64;

/// How long a runner lets processes run before other tasks of its thread have their turn. Some times what
/// tokio takes to look for them, for sockets and for timers; well below what a network takes.
const STINT: Duration = Duration::from_micros(100);

/// The same where no task of a connection, nor any other brief one, has had a turn on the thread since it stepped back
/// last: as far as can be seen, the thread has nothing else to do. A step back costs a look at the sockets, and mostly
/// another thread that tokio wakes: 5 to 8 % of what one client's calls took, or two processes that talk. Below the
/// resolution of timers.
const LONG_STINT: Duration = Duration::from_micros(400);

/// How often the only runner steps back so that its thread looks at sockets and timers first, in times of
/// [`TURNS`]. Else tokio looks there every 61 tasks, and a runner counts for one.
const DRIVER_INTERVAL: u32 = 4;

/// Turns between two looks into the common queue. Tokio's number for the same.
const COMMON_INTERVAL: u32 = 61;

/// How many processes that were woken last go before the others of the queue, in a row. Tokio's number
/// for the same.
const FAVOURS_MAX: u32 = 3;

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
    /// With the processes that were woken elsewhere than on a runner.
    sleepers: Sleepers<Injector<Runnable>>,
    seats: Box<[Seat]>,
    /// Woken after a runner: see [`Shared::wake`].
    decoy: OnceLock<Waker>,
    /// Whoever searches next looks at what other runners have next, too.
    is_rescuing: AtomicBool,
    later: Later,
    watch: Arc<Watch>,
    bereaved: Weak<dyn Bereaved>,
}

/// Tasks that the next runner wakes.
#[derive(Default)]
struct Later {
    has_some: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
}

impl Later {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Waker>> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cold]
    fn take_over(&self, wakers: Vec<Waker>) {
        self.lock().extend(wakers);
        self.has_some.store(true, Ordering::Release);
    }

    #[inline]
    fn take(&self) -> Vec<Waker> {
        if !self.has_some.load(Ordering::Acquire) {
            return Vec::new();
        }
        // Before they are taken: what is handed over after that says so anew.
        self.has_some.store(false, Ordering::Relaxed);
        std::mem::take(&mut *self.lock())
    }
}

impl Common for Injector<Runnable> {
    type Work = Runnable;

    fn push(&self, process: Runnable) {
        Injector::push(self, process);
    }

    fn take(&self) -> Option<Runnable> {
        taken(|| self.steal())
    }

    fn is_empty(&self) -> bool {
        Injector::is_empty(self)
    }
}

/// What others need to know of a runner.
struct Seat {
    stealer: Stealer<Runnable>,
    /// The process that was woken last, where nobody sleeps who could have had it.
    next_up: CachePadded<AtomicCell<Option<Runnable>>>,
    waker: OnceLock<Waker>,
    pace: CachePadded<Pace>,
}

impl Scheduler {
    /// Starts runners on the worker threads of a tokio runtime.
    pub(crate) fn start(tokio: &Handle, watch: Arc<Watch>, bereaved: Weak<dyn Bereaved>) -> Self {
        let count = tokio.metrics().num_workers().clamp(1, RUNNERS_MAX);
        let queues: Vec<_> = (0..count).map(|_| Worker::new_fifo()).collect();
        let seat = |queue: &Worker<Runnable>| Seat {
            stealer: queue.stealer(),
            next_up: CachePadded::default(),
            waker: OnceLock::new(),
            pace: CachePadded::new(Pace::unknown()),
        };
        let shared = Arc::new(Shared {
            sleepers: Sleepers::new(Injector::new()),
            seats: queues.iter().map(seat).collect(),
            decoy: OnceLock::new(),
            is_rescuing: AtomicBool::new(false),
            later: Later::default(),
            watch,
            bereaved,
        });
        for (index, queue) in queues.into_iter().enumerate() {
            tokio.spawn(Runner {
                local: Some(Box::new(Local::new(shared.clone(), queue, index))),
                batches: 0,
                is_only: count == 1,
                brief_turns: 0,
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

    /// Wakes a sleeping runner, since work may wait behind a process that holds its thread. What is next
    /// up cannot be seen without taking it, so whoever is woken looks.
    pub(crate) fn rescue(&self) {
        self.0.is_rescuing.store(true, Ordering::Relaxed);
        self.0.wake_one();
    }

    /// Whether processes wait for a runner that runs others.
    pub(crate) fn is_any_waiting(&self) -> bool {
        let mut seats = self.0.seats.iter();
        seats.any(|seat| !seat.stealer.is_empty()) || !self.0.sleepers.common.is_empty()
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.0.sleepers.close(|| {
            let of_seats = self.0.seats.iter().map(|seat| &seat.waker);
            for waker in of_seats.chain([&self.0.decoy]) {
                waker.get().inspect(|waker| waker.wake_by_ref());
            }
        });
    }
}

thread_local! {
    /// The runner that runs on this thread.
    static HERE: RefCell<Option<Box<Local>>> = const { RefCell::new(None) };
    /// The task that runs on this thread gives it back soon.
    static BRIEF: Cell<bool> = const { Cell::new(false) };
    /// How many turns such tasks have had on this thread.
    static BRIEF_TURNS: Cell<u32> = const { Cell::new(0) };
    /// What that task has woken.
    static LATER: Cell<Vec<Waker>> = const { Cell::new(Vec::new()) };
}

/// Polls a task that gives its thread back soon, whatever it finds to do: a process that it wakes
/// goes on after it, on the same thread. Waking another thread for it takes longer than that.
pub fn briefly<R>(poll: impl FnOnce() -> R) -> R {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            BRIEF.set(self.0);
            if !self.0 {
                wake_all(LATER.take());
            }
        }
    }
    let _before = Before(BRIEF.replace(true));
    BRIEF_TURNS.set(BRIEF_TURNS.get().wrapping_add(1));
    poll()
}

/// Wakes a task: at once, or if a brief one does it, at that one's end or, where it wakes processes, when their
/// runner begins. On that thread the task then has its turn after them.
pub fn wake_later(task: &Waker) {
    if !BRIEF.get() {
        return task.wake_by_ref();
    }
    let mut later = LATER.take();
    later.push(task.clone());
    LATER.set(later);
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
        if BRIEF.get() && !self.sleepers.is_closed() {
            let later = LATER.take();
            if !later.is_empty() {
                self.later.take_over(later);
                // Or the runners ended meanwhile: then nobody else looks.
                fence(Ordering::SeqCst);
                if self.sleepers.is_closed() {
                    wake_all(self.later.take());
                }
            }
        }
        if let Some(runner) = self.sleepers.inject(process) {
            self.wake(runner);
        }
    }

    /// Wakes a sleeping runner, unless one is searching.
    fn wake_one(&self) {
        if let Some(runner) = self.sleepers.claim() {
            self.wake(runner);
        }
    }

    /// Tokio keeps the task that was woken last for the thread that woke it, however long that one is
    /// busy. The decoy is woken after the runner, so the runner is what other threads can have. Where the
    /// waking task gives its thread back at once ([`briefly`]), that thread is the best to go on with.
    fn wake(&self, runner: usize) {
        self.seats[runner]
            .waker
            .get()
            .inspect(|waker| waker.wake_by_ref());
        if tokio::task::try_id().is_some() && !BRIEF.get() {
            self.decoy.get().inspect(|waker| waker.wake_by_ref());
        }
    }
}

/// What a runner has for itself. It lies in the thread while the runner runs there.
// Written in every turn: no other runner's may lie in the same cache line, or in the next one, which
// processors fetch with it.
#[repr(align(128))]
struct Local {
    shared: Arc<Shared>,
    queue: Worker<Runnable>,
    sleeper: Sleeper,
    turns: u32,
    /// One was put there since this runner looked last: others only take. Looking costs an exchange.
    may_have_next_up: bool,
    /// Turns in a row of processes that were next up.
    favours: u32,
    /// Since when there was always a second process, as far as those that yielded have seen.
    crowded_since: Option<Instant>,
    /// When that was over, it had lasted for long.
    was_crowded: bool,
    meter: Meter,
}

impl Local {
    fn new(shared: Arc<Shared>, queue: Worker<Runnable>, index: usize) -> Self {
        Self {
            shared,
            queue,
            sleeper: Sleeper::new(index),
            turns: 0,
            may_have_next_up: false,
            favours: 0,
            crowded_since: None,
            was_crowded: false,
            meter: Meter::default(),
        }
    }

    #[inline]
    fn push(&mut self, process: Runnable, yields: bool) {
        // Only whether others are woken sooner or later depends on this: relaxed will do.
        let may_sleep = self.shared.sleepers.may_sleep();
        if !yields && !may_sleep {
            self.may_have_next_up = true;
            if let Some(before) = self.next_up().swap(Some(process)) {
                self.queue.push(before);
            }
            return;
        }
        self.queue.push(process);
        let waiting = self.queue.len();
        if !may_sleep || waiting < 2 {
            return;
        }
        if !self.seat().pace.is_worth_sharing(waiting) {
            self.shared.watch.leave_waiting();
        } else if !yields || self.is_crowded() {
            self.share();
        }
    }

    #[inline(always)]
    fn seat(&self) -> &Seat {
        &self.shared.seats[self.sleeper.index()]
    }

    #[inline(always)]
    fn next_up(&self) -> &AtomicCell<Option<Runnable>> {
        &self.seat().next_up
    }

    /// The process that was woken last, unless another runner has taken it.
    #[inline(always)]
    fn take_next_up(&mut self) -> Option<Runnable> {
        match std::mem::take(&mut self.may_have_next_up) {
            true => self.next_up().take(),
            false => None,
        }
    }

    #[cold]
    fn share(&mut self) {
        self.crowded_since = None;
        self.was_crowded = false;
        self.shared.wake_one();
    }

    #[cold]
    fn is_crowded(&mut self) -> bool {
        let since = *self.crowded_since.get_or_insert_with(Instant::now);
        self.was_crowded || since.elapsed() > CROWDED
    }

    /// Nobody waits for the one whose turn it is.
    #[cold]
    fn end_crowd(&mut self) {
        let since = self.crowded_since.take();
        self.was_crowded = since.is_some_and(|since| since.elapsed() > CROWDED);
    }

    #[inline(always)]
    fn next(&mut self) -> Option<Runnable> {
        self.turns = self.turns.wrapping_add(1);
        let next_up = self.take_next_up();
        if self.favours < FAVOURS_MAX && next_up.is_some() {
            self.favours += 1;
            return next_up;
        }
        self.favours = 0;
        if let Some(process) = next_up {
            self.queue.push(process);
        }
        // One that was just woken searches instead, and then counts as searching no more (`I3`).
        if self.turns.is_multiple_of(COMMON_INTERVAL)
            && !self.sleeper.is_searching()
            && let Some(process) = self.shared.sleepers.common.take()
        {
            return Some(process);
        }
        let next = self.queue.pop();
        if self.crowded_since.is_some() && self.queue.is_empty() {
            self.end_crowd();
        }
        next.or_else(|| self.search())
    }

    #[cold]
    fn search(&mut self) -> Option<Runnable> {
        let (shared, queue, index) = (&self.shared, &self.queue, self.sleeper.index());
        let common = || shared.sleepers.common.steal_batch_and_pop(queue);
        let of_others = || {
            let count = shared.seats.len();
            let others = (1..count).map(|step| (index + step) % count);
            let mut seats = others.map(|other| &shared.seats[other]);
            let rescues = shared.is_rescuing.swap(false, Ordering::Relaxed);
            seats.find_map(|seat| {
                let waiting = seat.stealer.len();
                let stolen = match rescues || seat.pace.is_worth_sharing(waiting) {
                    true => taken(|| seat.stealer.steal_batch_and_pop(queue)),
                    false if waiting > 0 => {
                        shared.watch.leave_waiting();
                        None
                    }
                    false => None,
                };
                stolen.or_else(|| rescues.then(|| seat.next_up.take()).flatten())
            })
        };
        let look = || taken(common).or_else(of_others);
        let pace = &shared.seats[index].pace;
        let has_more = || {
            let waiting = queue.len() + shared.sleepers.common.len();
            let is_worth = pace.is_worth_sharing(waiting);
            if !is_worth && waiting > 0 {
                shared.watch.leave_waiting();
            }
            is_worth
        };
        let (found, other) = self.sleeper.search(&shared.sleepers, look, has_more);
        if let Some(other) = other {
            shared.wake(other);
        }
        found
    }

    fn note_stint(&mut self, turns: u32, took: Duration) {
        let pace = &self.shared.seats[self.sleeper.index()].pace;
        self.meter.note(turns, took, pace);
    }

    /// Goes to sleep; false if something came meanwhile.
    fn sleep(&mut self) -> bool {
        self.sleeper.sleep(&self.shared.sleepers)
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
    is_only: bool,
    /// [`BRIEF_TURNS`] of its thread when it stepped back last.
    brief_turns: u32,
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
        let began = (!self.is_only).then(Instant::now);
        let stint = match BRIEF_TURNS.get() == self.brief_turns {
            true => LONG_STINT,
            false => STINT,
        };
        let scope = Scope::enter(self);
        let mut turns = 0;
        let rest = Self::take_turns(&mut turns, began, stint);
        if let Some(began) = began {
            here(|local| local.note_stint(turns, began.elapsed()));
        }
        drop(scope);
        self.brief_turns = BRIEF_TURNS.get();
        rest
    }

    fn take_turns(turns: &mut u32, began: Option<Instant>, stint: Duration) -> Rest {
        loop {
            for _ in 0..TURNS {
                while here(Local::next).map(Runnable::run).is_none() {
                    wake_all(here(|local| local.shared.later.take()));
                    if here(Local::sleep) {
                        return Rest::Sleep;
                    }
                }
                *turns += 1;
                if !tokio::task::coop::has_budget_remaining() {
                    return Rest::Yield;
                }
            }
            if began.is_none_or(|began| began.elapsed() >= stint) {
                return Rest::Yield;
            }
        }
    }
}

fn wake_all(tasks: Vec<Waker>) {
    tasks.into_iter().for_each(Waker::wake);
}

/// The runner of this thread. It is let go of before a process runs, and before a task is woken.
#[inline(always)]
fn here<R>(ask: impl FnOnce(&mut Local) -> R) -> R {
    HERE.with_borrow_mut(|here| ask(here.as_mut().expect("its runner has entered it")))
}

impl Future for Runner {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(local) = &mut self.local {
            let sleepers = &local.shared.sleepers;
            let waker = &local.shared.seats[local.sleeper.index()].waker;
            if !sleepers.enter(|| waker.get_or_init(|| cx.waker().clone())) {
                fence(Ordering::SeqCst);
                wake_all(local.shared.later.take());
                return Poll::Ready(());
            }
            local.sleeper.awake(sleepers);
            wake_all(local.shared.later.take());
        }
        if let Rest::Sleep = self.run() {
            return Poll::Pending;
        }
        self.batches = self.batches.wrapping_add(1);
        // Who wakes itself has tokio wake another thread, which takes the runner away from what is in the
        // cache here.
        if !self.is_only || self.batches.is_multiple_of(DRIVER_INTERVAL) {
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
        if shared.sleepers.is_closed() {
            return;
        }
        shared.sleepers.bereave(std::iter::from_fn(|| {
            local.next_up().take().or_else(|| local.queue.pop())
        }));
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
        let leave_waker = || self.0.decoy.get_or_init(|| cx.waker().clone());
        match self.0.sleepers.enter(leave_waker) {
            false => Poll::Ready(()),
            true => Poll::Pending,
        }
    }
}

//! The stand-in: a thread that goes on with vital tasks while processes hold every other.
//!
//! There is no preemption (DESIGN, "Without preemption"): processes that compute hold the threads that
//! also run a node's connections. A thread for connections alone would cost every message a wake of
//! another thread (`docs/decisions/a-stand-in-for-held-threads.md`), so they stay where they are, and
//! one thread of each host stands by:
//!
//! - It asks the runtime for a sign of life every [`LOOK`]. While one is owed, it polls all vital tasks
//!   itself, every [`PAUSE`]. Since tokio's reactor may not be served either, sockets are then tried
//!   without asking whether they are ready (`tokio_host`).
//! - It polls a task alone that was woken and did not get its turn for a whole [`LOOK`]: one may be kept
//!   in the slot of a single thread that is held while others are free.
//! - It runs the tickers, with timers of its own.
//!
//! A stand-in that errs costs time and nothing else: a vital task may be polled by both
//! (`vital`, V1). Timers of vital tasks other than tickers belong to tokio's runtime, and wait with it.
//!
//! Without vital tasks the thread sleeps. It ends with its host and their last handle.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::task::{Context, Poll};
use std::thread::{self, ThreadId};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, yield_now};
use tokio::time::{Instant, sleep_until};
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

use super::vital::Vital;
use super::{BoxFuture, TaskHandle};

/// How often the runtime is asked for a sign of life, and so half of how long peers may wait until the
/// stand-in comes. A guess: far below the second in which OTP's shortest `net_ticktime` looks four times, and
/// far above what processes that behave hold a thread for.
const LOOK: Duration = Duration::from_millis(100);

/// Between two rounds over vital tasks. A guess: an answer in a few milliseconds for a few hundred looks at
/// sockets in a second.
const PAUSE: Duration = Duration::from_millis(5);

/// The thread, as its host and the tasks it may have to go on with hold it.
#[derive(Clone)]
pub(super) struct StandIn(Arc<Shared>);

struct Shared {
    /// Where vital tasks run when all is well.
    main: Handle,
    /// Where tickers run.
    own: Handle,
    thread: ThreadId,
    vital: Arc<VitalTasks>,
    /// The main runtime's task that gives signs of life.
    answering: AbortHandle,
}

/// The vital tasks of a host, by age, and what is owed by the runtime that they run on.
#[derive(Default)]
struct VitalTasks {
    tasks: Mutex<Tasks>,
    /// The first task came, or the thread is to end.
    changed: Notify,
    is_ended: AtomicBool,
    life: SignOfLife,
}

#[derive(Default)]
struct Tasks {
    next: u64,
    by_age: BTreeMap<u64, Arc<Vital>>,
}

impl StandIn {
    /// Starts the thread that stands in for the runtime `main`.
    pub(super) fn start(main: &Handle) -> std::io::Result<Self> {
        let vital = Arc::new(VitalTasks::default());
        let (started, start) = mpsc::sync_channel(1);
        let (held, runtime) = (vital.clone(), main.clone());
        // Logs go where they go here, also where that is for this thread alone.
        let log = tracing::dispatcher::get_default(Dispatch::clone);
        let stand_in = move || {
            let _log = (!log.is::<NoSubscriber>()).then(|| tracing::dispatcher::set_default(&log));
            let own = match Builder::new_current_thread().enable_time().build() {
                Ok(own) => own,
                Err(error) => return drop(started.send(Err(error))),
            };
            let _ = started.send(Ok(own.handle().clone()));
            own.block_on(stand_by(&held, &runtime));
        };
        let thread = thread::Builder::new().name("purlin-stand-in".into());
        let thread = thread.spawn(stand_in)?.thread().id();
        let own = start
            .recv()
            .unwrap_or(Err(std::io::ErrorKind::Other.into()))?;
        let answering = main.spawn(answer(Arc::downgrade(&vital))).abort_handle();
        let main = main.clone();
        Ok(Self(Arc::new(Shared {
            main,
            own,
            thread,
            vital,
            answering,
        })))
    }

    /// The thread: what runs on it stands in for another.
    pub(super) fn thread(&self) -> ThreadId {
        self.0.thread
    }

    /// Runs a vital task.
    pub(super) fn spawn_vital(&self, future: BoxFuture<'static, ()>) -> Box<dyn TaskHandle> {
        let vital = Vital::new(future);
        let place = Place {
            number: self.0.vital.enter(&vital),
            vital: vital.clone(),
            stand_in: self.clone(),
        };
        let task = self.0.main.spawn(place).abort_handle();
        Box::new(VitalHandle { vital, task })
    }

    /// Runs a task on the thread that stands by.
    pub(super) fn spawn_ticker(&self, task: BoxFuture<'static, ()>) -> Box<dyn TaskHandle> {
        let stand_in = self.clone();
        let task = self.0.own.spawn(async move {
            // The thread is there as long as the task.
            let _stand_in = stand_in;
            task.await;
        });
        Box::new(TickerHandle(task.abort_handle()))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.answering.abort();
        self.vital.is_ended.store(true, Ordering::Release);
        self.vital.changed.notify_one();
    }
}

/// Tokio's task of a vital one.
struct Place {
    number: u64,
    vital: Arc<Vital>,
    stand_in: StandIn,
}

impl Future for Place {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.vital.poll_by_task(context.waker())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.vital.dismiss();
        self.stand_in.0.vital.leave(self.number);
    }
}

struct VitalHandle {
    vital: Arc<Vital>,
    task: AbortHandle,
}

impl TaskHandle for VitalHandle {
    fn abort(&self) {
        self.vital.abort();
        self.task.abort();
    }
}

struct TickerHandle(AbortHandle);

impl TaskHandle for TickerHandle {
    fn abort(&self) {
        self.0.abort();
    }
}

impl VitalTasks {
    fn lock(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, vital: &Arc<Vital>) -> u64 {
        let mut tasks = self.lock();
        let number = tasks.next;
        tasks.next += 1;
        tasks.by_age.insert(number, vital.clone());
        drop(tasks);
        self.changed.notify_one();
        number
    }

    fn leave(&self, number: u64) {
        self.lock().by_age.remove(&number);
    }

    fn is_empty(&self) -> bool {
        self.lock().by_age.is_empty()
    }

    fn all(&self) -> Vec<Arc<Vital>> {
        self.lock().by_age.values().cloned().collect()
    }

    fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Acquire)
    }
}

/// What the runtime is asked for.
#[derive(Default)]
struct SignOfLife {
    asked: Notify,
    is_owed: AtomicBool,
}

impl SignOfLife {
    /// Asks; true if an earlier one is still owed.
    fn ask(&self) -> bool {
        let was_owed = self.is_owed.swap(true, Ordering::Relaxed);
        self.asked.notify_one();
        was_owed
    }

    fn is_owed(&self) -> bool {
        self.is_owed.load(Ordering::Relaxed)
    }
}

/// Gives signs of life, as a task of the runtime that is to give them. That it is woken from outside also
/// makes a thread that is free serve the reactor, when the one that did is held.
async fn answer(vital: Weak<VitalTasks>) {
    while let Some(vital) = vital.upgrade() {
        vital.life.asked.notified().await;
        vital.life.is_owed.store(false, Ordering::Relaxed);
    }
}

/// What the thread does.
async fn stand_by(vital: &VitalTasks, main: &Handle) {
    let mut next_look = Instant::now() + LOOK;
    let (mut is_held, mut pause) = (false, LOOK);
    while !vital.is_ended() {
        if vital.is_empty() {
            vital.changed.notified().await;
            next_look = Instant::now() + LOOK;
            continue;
        }
        sleep_until(next_look.min(Instant::now() + pause)).await;
        if Instant::now() >= next_look {
            is_held = vital.life.ask();
            vital.all().iter().for_each(|task| task.look());
            next_look = Instant::now() + LOOK;
        }
        is_held &= vital.life.is_owed();
        pause = go_round(vital, main, is_held).await;
    }
}

/// Polls the vital tasks that do not get their turns, and answers how long to pause.
async fn go_round(vital: &VitalTasks, main: &Handle, is_held: bool) -> Duration {
    let start = Instant::now();
    let mut pause = LOOK;
    for task in vital.all() {
        if is_held || task.is_stuck() {
            {
                // Sockets and timers that it makes are the main runtime's.
                let _main = main.enter();
                task.poll_in_place();
            }
            // A budget of its own for each, and a turn for the tickers.
            yield_now().await;
            // As long as it works at the most, so that very many take no whole processor.
            pause = PAUSE.max(start.elapsed());
        }
    }
    pause
}

//! Processes that hold their threads.
//!
//! There is no preemption: a process that computes without coming to an await keeps the others of its
//! thread waiting. Each step of a process leaves its number in a slot of its thread, which costs two
//! stores; a thread of the runtime looks at the slots and reports a process that has been in one step for
//! longer than [`Config::long_schedule`](crate::Config::long_schedule), with its label and where it was
//! started, once for each step.
//!
//! Threads find their slots by the address of a thread-local value, so two threads may share one: then a
//! long step may go unreported, and none is reported that was not one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::process::Table;
use crate::report;

/// Slots for threads. A guess: many times the threads that run processes.
const SLOTS: usize = 128;

/// How often it is looked for processes that wait behind one that holds its thread: rarely enough to
/// cost nothing, often enough for who waits for an answer. A guess, unmeasured.
const RESCUE_INTERVAL: Duration = Duration::from_millis(250);

/// What the threads of a runtime are doing.
pub(crate) struct Schedule {
    slots: Box<[Slot]>,
    stop: Arc<Stop>,
}

// Two lines: processors fetch lines in pairs.
#[repr(align(128))]
struct Slot {
    /// The process that is in a step, or 0.
    process: AtomicU64,
    /// Counts the steps.
    step: AtomicU64,
}

#[derive(Default)]
struct Stop {
    is_stopped: Mutex<bool>,
    changed: Condvar,
}

impl Schedule {
    pub(crate) fn new() -> Self {
        let slot = |_| Slot {
            process: AtomicU64::new(0),
            step: AtomicU64::new(0),
        };
        Self {
            slots: (0..SLOTS).map(slot).collect(),
            stop: Arc::default(),
        }
    }

    /// Runs a step of a process.
    #[inline]
    pub(crate) fn step<R>(&self, process: u64, step: impl FnOnce() -> R) -> R {
        let slot = &self.slots[slot_of_thread()];
        let count = slot.step.load(Ordering::Relaxed);
        slot.step.store(count + 1, Ordering::Relaxed);
        slot.process.store(process, Ordering::Relaxed);
        let done = step();
        slot.process.store(0, Ordering::Relaxed);
        done
    }

    /// Whether a process is in a step now.
    fn is_in_step(&self) -> bool {
        let is_in_step = |slot: &Slot| slot.process.load(Ordering::Relaxed) != 0;
        self.slots.iter().any(is_in_step)
    }

    fn looks(&self) -> Vec<(u64, u64)> {
        let look = |slot: &Slot| {
            let process = slot.process.load(Ordering::Relaxed);
            (process, slot.step.load(Ordering::Relaxed))
        };
        self.slots.iter().map(look).collect()
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        *self.stop.lock() = true;
        self.stop.changed.notify_all();
    }
}

impl Stop {
    fn lock(&self) -> std::sync::MutexGuard<'_, bool> {
        self.is_stopped
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits; true when it is time to stop.
    fn wait(&self, time: Duration) -> bool {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), time, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Starts the thread that looks; it ends with the runtime. Long steps are reported if there is a limit.
pub(crate) fn watch(
    schedule: &Schedule,
    runtime: impl Fn() -> Option<Arc<dyn Watched>> + Send + 'static,
    limit: Option<Duration>,
) {
    let interval = limit.map_or(RESCUE_INTERVAL, |limit| RESCUE_INTERVAL.min(limit / 2));
    let stop = schedule.stop.clone();
    let watching = move || {
        let mut seen = vec![Seen::default(); SLOTS];
        while !stop.wait(interval) {
            let Some(runtime) = runtime() else { return };
            runtime.rescue(runtime.schedule().is_in_step());
            let Some(limit) = limit else { continue };
            for (seen, look) in seen.iter_mut().zip(runtime.schedule().looks()) {
                seen.note(look, limit, runtime.table());
            }
        }
    };
    let named = thread::Builder::new().name("purlin-schedule".into());
    if let Err(error) = named.spawn(watching) {
        tracing::warn!(%error, "long steps of processes will not be reported");
    }
}

/// A runtime as the watching thread sees it.
pub(crate) trait Watched: Send + Sync {
    fn schedule(&self) -> &Schedule;
    fn table(&self) -> &Table;
    /// Lets others have what waits behind a process that holds its thread, if one may.
    fn rescue(&self, is_held: bool);
}

/// What was seen in a slot the last times.
#[derive(Clone, Default)]
struct Seen {
    look: (u64, u64),
    since: Option<Instant>,
    is_reported: bool,
}

impl Seen {
    fn note(&mut self, look: (u64, u64), limit: Duration, table: &Table) {
        let since = match self.since {
            Some(since) if self.look == look => since,
            _ => {
                *self = Self {
                    look,
                    since: Some(Instant::now()),
                    is_reported: false,
                };
                return;
            }
        };
        let held = since.elapsed();
        let (process, _) = look;
        if process == 0 || self.is_reported || held < limit {
            return;
        }
        self.is_reported = true;
        if let Some(process) = table.get(process) {
            report::long_schedule(process.head(), held);
        }
    }
}

thread_local! {
    static HERE: u8 = const { 0 };
}

#[inline]
fn slot_of_thread() -> usize {
    // Thread-local blocks of different threads are pages apart.
    HERE.with(|here| (std::ptr::from_ref(here) as usize >> 12) % SLOTS)
}

/// Whether the runtime is still there.
pub(crate) fn upgrade<T: Watched + 'static>(weak: &Weak<T>) -> Option<Arc<dyn Watched>> {
    weak.upgrade().map(|runtime| runtime as Arc<dyn Watched>)
}

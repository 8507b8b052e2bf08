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

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::process::Table;
use crate::report;

/// Slots for threads. A guess: many times the threads that run processes.
const SLOTS: usize = 128;

/// How often it is looked for processes that wait behind one that holds its thread: rarely enough to
/// cost nothing, often enough for who waits for an answer. A guess, unmeasured.
const RESCUE_INTERVAL: Duration = Duration::from_millis(250);

/// How often that is done while processes wait that another thread could have had: the longest that they do so
/// behind one that does not come to an await. A guess: a thread that wakes so often costs next to nothing.
const TICK: Duration = Duration::from_millis(1);

/// What the threads of a runtime are doing.
pub(crate) struct Schedule {
    slots: Box<[Slot]>,
    watch: Arc<Watch>,
}

// Two lines: processors fetch lines in pairs.
#[repr(align(128))]
struct Slot {
    /// The process that is in a step, or 0.
    process: AtomicU64,
    /// Counts the steps.
    step: AtomicU64,
}

/// What is said to the thread that looks.
///
/// Invariant `W1`: while processes are left waiting for a thread that is busy, it looks every [`TICK`]. Who leaves
/// them says so before it looks whether the thread is at rest; the thread says that it rests before it
/// looks whether some were left.
#[derive(Default)]
pub(crate) struct Watch {
    /// Processes were left where they are since the last look.
    has_left: AtomicBool,
    /// The thread looks rarely.
    is_at_rest: AtomicBool,
    asked: Mutex<Asked>,
    changed: Condvar,
}

#[derive(Default)]
struct Asked {
    is_stopped: bool,
    is_wanted: bool,
}

impl Schedule {
    pub(crate) fn new() -> Self {
        let slot = |_| Slot {
            process: AtomicU64::new(0),
            step: AtomicU64::new(0),
        };
        Self {
            slots: (0..SLOTS).map(slot).collect(),
            watch: Arc::default(),
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
        self.looks().any(|(process, _)| process != 0)
    }

    /// Whether a process is in the same step as at the last look.
    fn is_held(&self, seen: &[Seen]) -> bool {
        let mut both = self.looks().zip(seen);
        both.any(|(look, seen)| look.0 != 0 && look == seen.look)
    }

    fn looks(&self) -> impl Iterator<Item = (u64, u64)> {
        let look = |slot: &Slot| {
            let process = slot.process.load(Ordering::Relaxed);
            (process, slot.step.load(Ordering::Relaxed))
        };
        self.slots.iter().map(look)
    }

    /// Who is told when processes are left waiting.
    pub(crate) fn watch(&self) -> Arc<Watch> {
        self.watch.clone()
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.watch.lock().is_stopped = true;
        self.watch.changed.notify_all();
    }
}

impl Watch {
    /// Processes wait behind others of their thread, and nobody was woken for them.
    #[inline]
    pub(crate) fn leave_waiting(&self) {
        if !self.has_left.load(Ordering::Relaxed) {
            self.want();
        }
    }

    #[cold]
    fn want(&self) {
        self.has_left.store(true, Ordering::SeqCst);
        if self.is_at_rest.swap(false, Ordering::SeqCst) {
            self.lock().is_wanted = true;
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next look: a tick, or at most `rest` where nobody was left waiting.
    fn wait(&self, rest: Duration) -> Waited {
        let may_rest = !self.has_left.swap(false, Ordering::SeqCst) && {
            self.is_at_rest.store(true, Ordering::SeqCst);
            !self.has_left.load(Ordering::SeqCst)
        };
        let time = if may_rest { rest } else { TICK.min(rest) };
        let goes_on = |asked: &mut Asked| !asked.is_stopped && !asked.is_wanted;
        let waited = self.changed.wait_timeout_while(self.lock(), time, goes_on);
        let (mut asked, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let was_wanted = std::mem::take(&mut asked.is_wanted);
        self.is_at_rest.store(false, Ordering::SeqCst);
        match () {
            () if asked.is_stopped => Waited::Stopped,
            () if was_wanted => Waited::Wanted,
            () if may_rest => Waited::Rested,
            () => Waited::Ticked,
        }
    }
}

/// Why the thread looks.
enum Waited {
    Stopped,
    /// Its rest is over.
    Rested,
    /// Somebody was left waiting while it rested.
    Wanted,
    Ticked,
}

/// Starts the thread that looks; it ends with the runtime. Long steps are reported if there is a limit.
pub(crate) fn watch(
    schedule: &Schedule,
    runtime: impl Fn() -> Option<Arc<dyn Watched>> + Send + 'static,
    limit: Option<Duration>,
) {
    let interval = limit.map_or(RESCUE_INTERVAL, |limit| RESCUE_INTERVAL.min(limit / 2));
    let watch = schedule.watch.clone();
    let watching = move || {
        let mut seen = vec![Seen::default(); SLOTS];
        loop {
            let waited = watch.wait(interval);
            let Some(runtime) = runtime() else { return };
            let is_held = match waited {
                Waited::Stopped => return,
                Waited::Wanted => false,
                Waited::Rested => runtime.schedule().is_in_step(),
                Waited::Ticked => runtime.schedule().is_held(&seen),
            };
            if is_held {
                runtime.rescue();
            }
            if runtime.is_any_waiting() {
                watch.leave_waiting();
            }
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
    /// Lets others have what waits behind a process that holds its thread, if any does.
    fn rescue(&self);
    /// Whether processes wait for a thread that runs others.
    fn is_any_waiting(&self) -> bool;
}

/// What was seen in a slot the last times.
#[derive(Clone, Default)]
struct Seen {
    look: (u64, u64),
    since: Option<Instant>,
    is_reported: bool,
}

impl Seen {
    fn note(&mut self, look: (u64, u64), limit: Option<Duration>, table: &Table) {
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
        if process == 0 || self.is_reported || limit.is_none_or(|limit| held < limit) {
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

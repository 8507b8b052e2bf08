//! The tasks of a world, and the gates that they run behind.
//!
//! Tasks are not tokio's: the world polls them itself, one at a time, and the seed chooses which of
//! those that are woken is next. So orders that a scheduler of many threads could take are all
//! there, and each can be had again. Tokio's timers and channels work as ever, since they only ask
//! for a waker.
//!
//! Each task belongs to a process of the operating system ([`OsProcessId`]), which has a [`Gate`].
//!
//! Invariants:
//! - `I1` no task runs while the gate of its process is shut or the process is gone;
//! - `I2` a future is polled and dropped with no lock of the world held, since its code comes back;
//! - `I3` an aborted task is dropped as a step of its own, as tokio does, never inside `abort`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};
use std::time::Duration;

use purlin_node::host::BoxFuture;

use crate::events::{Event, Events};
use crate::random::Random;

/// A process of the operating system: its tasks share a fate. The first one is the scenario's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OsProcessId(pub(crate) u64);

/// Whoever runs the scenario: it belongs to no machine, and nothing happens to it.
pub(crate) const OUTSIDE: OsProcessId = OsProcessId(0);

/// Whether the tasks of a process run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    /// None runs until the gate opens.
    Shut,
    /// One at a time, and each poll takes this long.
    Metered(Duration),
    /// The process ended: none will ever run.
    Gone,
}

/// A task of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TaskId(u64);

struct Task {
    owner: OsProcessId,
    waker: Arc<TaskWaker>,
    /// None while it is polled.
    future: Option<BoxFuture<'static, ()>>,
    is_aborted: bool,
}

struct OsProcess {
    gate: Gate,
    /// Woken, but not let through yet.
    waiting: Vec<TaskId>,
    /// A metered process is at work until then.
    busy_until: Duration,
    has_turn_coming: bool,
}

/// All tasks and gates.
pub(crate) struct Tasks {
    tasks: BTreeMap<TaskId, Task>,
    processes: BTreeMap<OsProcessId, OsProcess>,
    /// Woken, and free to run.
    runnable: Vec<TaskId>,
    woken: Arc<Woken>,
    random: Random,
    next_task: u64,
    next_process: u64,
}

/// What is to be done with a task that was chosen, with the lock released (`I2`).
pub(crate) enum Step {
    Poll(TaskId, BoxFuture<'static, ()>, Waker),
    /// It was aborted.
    Drop(TaskId, BoxFuture<'static, ()>),
}

/// The tasks that were woken since the world last looked, and the way to wake the world.
#[derive(Default)]
pub(crate) struct Woken(Mutex<(Vec<TaskId>, Option<Waker>)>);

impl Woken {
    fn push(&self, task: TaskId) {
        let mut woken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        woken.0.push(task);
        if let Some(world) = woken.1.take() {
            world.wake();
        }
    }

    fn take(&self) -> Vec<TaskId> {
        let mut woken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut woken.0)
    }

    /// True if a task was woken; else `waker` is woken when one is.
    pub(crate) fn is_any(&self, waker: &Waker) -> bool {
        let mut woken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        woken.1 = Some(waker.clone());
        !woken.0.is_empty()
    }
}

struct TaskWaker {
    task: TaskId,
    is_woken: AtomicBool,
    woken: Arc<Woken>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_woken.swap(true, Ordering::AcqRel) {
            self.woken.push(self.task);
        }
    }
}

impl Tasks {
    pub(crate) fn new(random: Random) -> Self {
        let mut tasks = Self {
            tasks: BTreeMap::new(),
            processes: BTreeMap::new(),
            runnable: Vec::new(),
            woken: Arc::default(),
            random,
            next_task: 0,
            next_process: 0,
        };
        let outside = tasks.add_process();
        debug_assert_eq!(outside, OUTSIDE);
        tasks
    }

    pub(crate) fn woken(&self) -> Arc<Woken> {
        self.woken.clone()
    }

    pub(crate) fn add_process(&mut self) -> OsProcessId {
        let id = OsProcessId(self.next_process);
        self.next_process += 1;
        let process = OsProcess {
            gate: Gate::Open,
            waiting: Vec::new(),
            busy_until: Duration::ZERO,
            has_turn_coming: false,
        };
        self.processes.insert(id, process);
        id
    }

    /// Starts a task; the future comes back when its process is gone, to be dropped elsewhere.
    pub(crate) fn spawn(
        &mut self,
        owner: OsProcessId,
        future: BoxFuture<'static, ()>,
    ) -> Result<TaskId, BoxFuture<'static, ()>> {
        if self.gate(owner) == Gate::Gone {
            return Err(future);
        }
        let task = TaskId(self.next_task);
        self.next_task += 1;
        let waker = Arc::new(TaskWaker {
            task,
            is_woken: AtomicBool::new(false),
            woken: self.woken.clone(),
        });
        waker.wake_by_ref();
        let entry = Task {
            owner,
            waker,
            future: Some(future),
            is_aborted: false,
        };
        self.tasks.insert(task, entry);
        Ok(task)
    }

    pub(crate) fn abort(&mut self, task: TaskId) {
        if let Some(task) = self.tasks.get_mut(&task) {
            task.is_aborted = true;
            task.waker.wake_by_ref();
        }
    }

    pub(crate) fn gate(&self, process: OsProcessId) -> Gate {
        self.processes
            .get(&process)
            .map_or(Gate::Gone, |process| process.gate)
    }

    /// Sets a gate; what waits behind it passes when it opens.
    pub(crate) fn set_gate(
        &mut self,
        process: OsProcessId,
        gate: Gate,
        now: Duration,
        events: &mut Events,
    ) {
        let Some(entry) = self.processes.get_mut(&process) else {
            return;
        };
        if entry.gate == Gate::Gone {
            return;
        }
        entry.gate = gate;
        let waiting = std::mem::take(&mut entry.waiting);
        for task in waiting {
            self.admit(task, now, events);
        }
    }

    /// Ends a process; its tasks come back, to be dropped with the lock released (`I2`). One that
    /// is just polled is dropped when that returns.
    pub(crate) fn end_process(&mut self, process: OsProcessId) -> Vec<BoxFuture<'static, ()>> {
        if let Some(entry) = self.processes.get_mut(&process) {
            entry.gate = Gate::Gone;
            entry.waiting.clear();
        }
        let mut dropped = Vec::new();
        self.tasks.retain(|_, task| {
            if task.owner != process {
                return true;
            }
            dropped.extend(task.future.take());
            false
        });
        dropped
    }

    /// Lets a woken task through the gate of its process, or makes it wait there.
    fn admit(&mut self, task: TaskId, now: Duration, events: &mut Events) {
        let Some(owner) = self.tasks.get(&task).map(|task| task.owner) else {
            return;
        };
        let Some(process) = self.processes.get_mut(&owner) else {
            return;
        };
        match process.gate {
            Gate::Open => self.runnable.push(task),
            Gate::Shut => process.waiting.push(task),
            Gate::Metered(_) => {
                process.waiting.push(task);
                if !std::mem::replace(&mut process.has_turn_coming, true) {
                    events.add(process.busy_until.max(now), Event::Turn(owner));
                }
            }
            Gate::Gone => {}
        }
    }

    /// A metered process may run one more task.
    pub(crate) fn handle_turn(&mut self, owner: OsProcessId, now: Duration, events: &mut Events) {
        let Some(process) = self.processes.get_mut(&owner) else {
            return;
        };
        process.has_turn_coming = false;
        let Gate::Metered(cost) = process.gate else {
            return;
        };
        if process.waiting.is_empty() {
            return;
        }
        let chosen = self.random.index(process.waiting.len());
        self.runnable.push(process.waiting.swap_remove(chosen));
        process.busy_until = now + cost;
        if !process.waiting.is_empty() {
            process.has_turn_coming = true;
            events.add(process.busy_until, Event::Turn(owner));
        }
    }

    /// The next task to run, chosen by the seed; `None` when all wait.
    pub(crate) fn next_step(&mut self, now: Duration, events: &mut Events) -> Option<Step> {
        for task in self.woken.take() {
            self.admit(task, now, events);
        }
        while !self.runnable.is_empty() {
            let chosen = self.random.index(self.runnable.len());
            let id = self.runnable.swap_remove(chosen);
            let Some(owner) = self.tasks.get(&id).map(|task| task.owner) else {
                continue;
            };
            if self.gate(owner) == Gate::Shut {
                // It was free to run, and the gate shut before its turn.
                self.admit(id, now, events);
                continue;
            }
            if let Some(step) = self.step(id) {
                return Some(step);
            }
        }
        None
    }

    fn step(&mut self, id: TaskId) -> Option<Step> {
        let task = self.tasks.get_mut(&id)?;
        task.waker.is_woken.store(false, Ordering::Release);
        let future = task.future.take()?;
        if task.is_aborted {
            self.tasks.remove(&id);
            return Some(Step::Drop(id, future));
        }
        Some(Step::Poll(id, future, Waker::from(task.waker.clone())))
    }

    /// Takes a task back that is not done; the future returns when the task ended meanwhile.
    pub(crate) fn put_back(
        &mut self,
        id: TaskId,
        future: BoxFuture<'static, ()>,
    ) -> Option<BoxFuture<'static, ()>> {
        match self.tasks.get_mut(&id) {
            Some(task) if !task.is_aborted => {
                task.future = Some(future);
                None
            }
            _ => {
                self.tasks.remove(&id);
                Some(future)
            }
        }
    }

    /// Forgets a task that is done.
    pub(crate) fn remove(&mut self, id: TaskId) {
        self.tasks.remove(&id);
    }

    /// Any process that has not ended; for the end of the world.
    pub(crate) fn any_process(&self) -> Option<OsProcessId> {
        let mut live = self.processes.iter();
        live.find(|(_, process)| process.gate != Gate::Gone)
            .map(|(id, _)| *id)
    }

    /// A number for the trace.
    pub(crate) fn number(id: TaskId) -> u64 {
        id.0
    }
}

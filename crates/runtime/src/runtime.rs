//! A runtime: the processes of one node, and what they share.
//!
//! A [`Runtime`] is a handle, cheap to clone; nothing of it is static, so many of them fit into one OS
//! process. It knows its own processes only. Whatever is for another node goes through an
//! [`Outside`], which a node provides; without one there is no other node.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use purlin_otp::reason::{self, Reason};
use purlin_otp::signal::{Epoch, Signal};
use purlin_term::{Atom, NodeName, Pid, Reference};

use crate::executor::Executor;
use crate::limits::PROCESSES_MAX;
use crate::outside::Outside;
use crate::process::{AnyProcess, Incoming, RegisterError, Table, Watermark, number_of, pid_of};
use crate::schedule::{self, Schedule, Watched};
use crate::scheduler::{Bereaved, Scheduler};
use crate::system::SystemMonitors;
use crate::timer::Timers;

/// How a runtime is set up.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Processes that live at once.
    pub processes_max: usize,
    /// A process that does not come to an await for so long is reported; without it none is.
    pub long_schedule: Option<Duration>,
    /// When the queue of a process is told to be long that has neither a bound nor a watermark of its
    /// own; `None`: never.
    pub watermark: Option<Watermark>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            processes_max: PROCESSES_MAX,
            long_schedule: Some(crate::limits::LONG_SCHEDULE),
            watermark: Some(crate::limits::WATERMARK),
        }
    }
}

/// The processes of one node.
#[derive(Clone)]
pub struct Runtime(Arc<Inner>);

struct Inner {
    node: NodeName,
    creation: u32,
    executor: Arc<dyn Executor>,
    /// Where processes run, if the executor is tokio.
    scheduler: Option<Scheduler>,
    table: Table,
    timers: Timers,
    schedule: Schedule,
    watermark: Option<Watermark>,
    system_monitors: SystemMonitors,
    outside: OnceLock<Arc<dyn Outside>>,
    references: AtomicU64,
    /// Kept: it is answered for every process that is not there.
    noproc: Reason,
}

impl Watched for Inner {
    fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    fn table(&self) -> &Table {
        &self.table
    }

    fn rescue(&self) {
        if let Some(scheduler) = &self.scheduler {
            scheduler.rescue();
        }
    }

    fn is_any_waiting(&self) -> bool {
        self.scheduler
            .as_ref()
            .is_some_and(Scheduler::is_any_waiting)
    }
}

impl Bereaved for Inner {
    fn wake_all(&self) {
        let killed = reason::kill();
        for process in self.table.all() {
            let from = process.head().pid();
            let signal = Signal::Exit2 {
                from,
                reason: killed.clone(),
            };
            let _ = process.push_signal(Incoming::Signal(signal, Epoch::LOCAL));
        }
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Runtime({})", self.0.node)
    }
}

impl Runtime {
    /// A runtime for the processes of `node` in its incarnation `creation`.
    pub fn new(node: NodeName, creation: u32, executor: Arc<dyn Executor>, config: Config) -> Self {
        let schedule = Schedule::new();
        let inner = Arc::new_cyclic(|inner: &Weak<Inner>| Inner {
            node,
            creation,
            table: Table::new(config.processes_max),
            scheduler: executor
                .tokio()
                .map(|tokio| Scheduler::start(tokio, schedule.watch(), inner.clone())),
            executor,
            timers: Timers::new(),
            schedule,
            watermark: config.watermark,
            system_monitors: SystemMonitors::default(),
            outside: OnceLock::new(),
            references: AtomicU64::new(1),
            noproc: reason::noproc(),
        });
        // A scheduler wants it also where nobody is to be reported.
        if inner.scheduler.is_some() || config.long_schedule.is_some() {
            let weak = Arc::downgrade(&inner);
            schedule::watch(
                &inner.schedule,
                move || schedule::upgrade(&weak),
                config.long_schedule,
            );
        }
        Self(inner)
    }

    pub(crate) fn table(&self) -> &Table {
        &self.0.table
    }

    pub(crate) fn timers(&self) -> &Timers {
        &self.0.timers
    }

    /// When queues are long that have no watermark of their own.
    pub(crate) fn watermark(&self) -> Option<Watermark> {
        self.0.watermark
    }

    pub(crate) fn system_monitors(&self) -> &SystemMonitors {
        &self.0.system_monitors
    }

    /// Connects the runtime to other nodes, once.
    #[doc(hidden)]
    pub fn set_outside(&self, outside: Arc<dyn Outside>) {
        let _ = self.0.outside.set(outside);
    }

    pub(crate) fn outside(&self) -> Option<&dyn Outside> {
        self.0.outside.get().map(|outside| &**outside)
    }

    pub(crate) fn noproc(&self) -> &Reason {
        &self.0.noproc
    }

    /// The connection to a node that is current, or is being made.
    pub(crate) fn epoch(&self, node: NodeName) -> Epoch {
        match self.outside() {
            Some(outside) if node != self.node() => outside.epoch(node),
            _ => Epoch::LOCAL,
        }
    }

    /// The connection to a node that a tie to be made now goes over.
    pub(crate) fn connect(&self, node: NodeName) -> Epoch {
        match self.outside() {
            Some(outside) if node != self.node() => outside.connect(node),
            _ => Epoch::LOCAL,
        }
    }

    /// Whether a node is of OTP 28 or later, or means the same as those, as this one does.
    #[doc(hidden)]
    pub fn is_of_otp28(&self, node: NodeName) -> bool {
        self.outside()
            .is_none_or(|outside| outside.is_of_otp28(node))
    }

    /// A spawn request whose process has ended: the reply is answered in its place.
    pub(crate) fn adopt_orphan(&self, reference: Reference, node: NodeName, reason: Reason) {
        if let Some(outside) = self.outside() {
            outside.adopt_orphan(reference, node, reason);
        }
    }

    /// The node that these processes belong to.
    pub fn node(&self) -> NodeName {
        self.0.node
    }

    /// The number of this incarnation of the node.
    pub fn creation(&self) -> u32 {
        self.0.creation
    }

    pub(crate) fn schedule(&self) -> &Schedule {
        &self.0.schedule
    }

    pub(crate) fn scheduler(&self) -> Option<&Scheduler> {
        self.0.scheduler.as_ref()
    }

    /// What the processes run on.
    pub fn executor(&self) -> &Arc<dyn Executor> {
        &self.0.executor
    }

    /// How many threads run processes, at least one. Where the executor is not tokio, it is one.
    pub fn worker_threads(&self) -> usize {
        let tokio = self.executor().tokio();
        tokio.map_or(1, |tokio| tokio.metrics().num_workers().max(1))
    }

    /// Makes a new reference.
    pub fn make_reference(&self) -> Reference {
        let words = self.fresh_words();
        Reference::new(self.node(), self.creation(), &words).expect("three words")
    }

    /// Makes a reference that names the process it belongs to, for an alias: a message to it finds
    /// its way without a table.
    pub(crate) fn make_alias(&self, owner: u64) -> Reference {
        let [a, b, c] = self.fresh_words();
        let words = [a, b, c, owner as u32, (owner >> 32) as u32];
        Reference::new(self.node(), self.creation(), &words).expect("five words")
    }

    fn fresh_words(&self) -> [u32; 3] {
        let number = self.0.references.fetch_add(1, Ordering::Relaxed);
        // Releases before the 64-bit forms keep 18 bits of the first word.
        [
            (number & 0x3_ffff) as u32,
            (number >> 18) as u32,
            (number >> 50) as u32,
        ]
    }

    /// The process behind an alias of this node.
    pub(crate) fn owner_of(&self, alias: &Reference) -> Option<Arc<dyn AnyProcess>> {
        let [_, _, _, low, high] = alias.words() else {
            return None;
        };
        self.0.table.get(u64::from(*high) << 32 | u64::from(*low))
    }

    /// Whether `pid` belongs to this incarnation of this node.
    pub fn is_local(&self, pid: Pid) -> bool {
        pid.node == self.node() && pid.creation == self.creation()
    }

    pub(crate) fn find(&self, pid: Pid) -> Option<Arc<dyn AnyProcess>> {
        if !self.is_local(pid) {
            return None;
        }
        self.0.table.get(number_of(pid))
    }

    /// Gives a process of this node a name.
    ///
    /// # Errors
    /// [`RegisterError`]; nothing was changed.
    pub fn register(&self, name: impl Into<Atom>, pid: Pid) -> Result<(), RegisterError> {
        if !self.is_local(pid) {
            return Err(RegisterError::NoProcess);
        }
        self.0.table.register(name.into(), number_of(pid))
    }

    /// Frees a name; answers whether a process had it.
    pub fn unregister(&self, name: impl Into<Atom>) -> bool {
        self.0.table.unregister(&name.into())
    }

    /// Takes the name of a process, if it has one; answers whether it had.
    pub fn unregister_process(&self, pid: Pid) -> bool {
        self.is_local(pid) && self.0.table.unregister_process(number_of(pid))
    }

    /// The process that has a name.
    pub fn whereis(&self, name: impl Into<Atom>) -> Option<Pid> {
        let process = self.0.table.whereis(&name.into())?;
        Some(process.head().pid())
    }

    /// The registered name of a process of this node, if it has one.
    pub fn name_of(&self, pid: Pid) -> Option<Atom> {
        self.is_local(pid)
            .then(|| self.0.table.name_of(number_of(pid)))?
    }

    /// All registered names, sorted.
    pub fn registered(&self) -> Vec<Atom> {
        self.0.table.registered()
    }

    /// All processes, in the order in which they started.
    pub fn processes(&self) -> Vec<Pid> {
        let all = self.0.table.all().into_iter();
        all.map(|process| process.head().pid()).collect()
    }

    /// How many processes live.
    pub fn process_count(&self) -> usize {
        self.0.table.len()
    }

    /// True if `pid` is a process of this incarnation of this node that has not begun to end.
    pub fn is_process_alive(&self, pid: Pid) -> bool {
        self.find(pid)
            .is_some_and(|process| !process.head().has_begun_to_end())
    }

    /// A pid of this node that no process has: it speaks for code outside of processes.
    #[doc(hidden)]
    pub fn nobody(&self) -> Pid {
        pid_of(self, 0)
    }
}

//! What others see of a process without asking it: its pid, and a few flags.
//!
//! The head lies beside the queue, in the one allocation that addresses of the process share.

use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use purlin_mailbox::Lazy;
use purlin_term::Pid;

use super::bound::{Bound, MailboxBound};
use super::cell::AnyProcess;
use super::standing::{Listed, Standing};
use super::watermark::{QueueState, Watermark};
use crate::limits::{RECEIVES_MAX, SENDS_MAX};
use crate::report;
use crate::runtime::Runtime;

/// Bits of a process number that go into a pid's id; those above go into its serial.
///
/// OTP's own pids have 28, and tools print them so.
const ID_BITS: u32 = 28;

/// The head of a process.
pub(crate) struct Head {
    runtime: Runtime,
    number: u64,
    spawned_at: &'static Location<'static>,
    /// Signals that were sent, and those of them that were handled: while they differ, the process
    /// looks through its queue before it runs.
    signals_sent: AtomicU32,
    signals_handled: AtomicU32,
    standing: Standing,
    /// The queue wakes the process already, since its body waits for a message.
    waits: AtomicBool,
    /// It does so since an earlier turn, for whatever comes, and the body has not waited for messages since.
    rests: AtomicBool,
    /// Code outside of processes has it: no task handles its signals.
    is_attached: AtomicBool,
    /// Messages of other types are received too. Set and read by the process alone.
    takes_foreign: AtomicBool,
    /// Messages that may be received before the task has to yield. Set and read by the process alone.
    budget: AtomicU8,
    queue_state: QueueState,
    rare: Lazy<Rare>,
}

/// What the mailbox of a process is to be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct MailboxOptions {
    pub(crate) bound: Option<MailboxBound>,
    pub(crate) watermark: Option<Watermark>,
}

/// What others see of few processes.
#[derive(Default)]
struct Rare {
    label: Mutex<Option<String>>,
    bound: Option<Bound>,
    watermark: Option<Watermark>,
    /// Bytes of encoded messages that came from other nodes and wait.
    foreign_bytes: AtomicUsize,
    /// Messages that were refused or dropped since the mailbox was full.
    overruns: AtomicU64,
}

const _: () = assert!(SENDS_MAX < RECEIVES_MAX && RECEIVES_MAX <= u8::MAX as u32);

impl Head {
    pub(crate) fn new(
        runtime: Runtime,
        number: u64,
        spawned_at: &'static Location<'static>,
        mailbox: MailboxOptions,
    ) -> Self {
        let rare = Lazy::new();
        if mailbox != MailboxOptions::default() {
            rare.get_or_init(|| Rare {
                bound: mailbox.bound.map(Bound::new),
                watermark: mailbox.watermark,
                ..Rare::default()
            });
        }
        Self {
            runtime,
            number,
            spawned_at,
            signals_sent: AtomicU32::new(0),
            signals_handled: AtomicU32::new(0),
            standing: Standing::new(),
            waits: AtomicBool::new(false),
            rests: AtomicBool::new(false),
            is_attached: AtomicBool::new(false),
            takes_foreign: AtomicBool::new(false),
            budget: AtomicU8::new(RECEIVES_MAX as u8),
            queue_state: QueueState::new(),
            rare,
        }
    }

    fn rare(&self) -> &Rare {
        self.rare.get_or_init(Rare::default)
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    #[inline]
    pub(crate) fn bound(&self) -> Option<&Bound> {
        self.rare.get()?.bound.as_ref()
    }

    /// From when on the queue is long, if it may become long.
    pub(super) fn watermark(&self) -> Option<Watermark> {
        match self.rare.get() {
            Some(rare) if rare.watermark.is_some() => rare.watermark,
            Some(rare) if rare.bound.is_some() => None,
            _ => self.runtime.watermark(),
        }
    }

    #[inline]
    pub(super) fn queue_state(&self) -> &QueueState {
        &self.queue_state
    }

    /// Makes room for bytes of another node; false if there is none. One message always has room.
    pub(crate) fn admit_bytes(&self, weight: usize, max: usize) -> bool {
        let before = self
            .rare()
            .foreign_bytes
            .fetch_add(weight, Ordering::Relaxed);
        let is_admitted = before == 0 || before + weight <= max;
        if !is_admitted {
            self.release_bytes(weight);
        }
        is_admitted
    }

    /// A message of another node leaves the queue.
    pub(crate) fn release_bytes(&self, weight: usize) {
        if weight > 0 {
            self.rare()
                .foreign_bytes
                .fetch_sub(weight, Ordering::Relaxed);
        }
    }

    /// Something was refused or dropped, since the mailbox is full. Told whenever the number has
    /// doubled: a flood is not to fill the log.
    #[cold]
    pub(crate) fn note_overrun(&self, what: &dyn std::fmt::Display) {
        let overruns = self.rare().overruns.fetch_add(1, Ordering::Relaxed) + 1;
        if overruns.is_power_of_two() {
            report::mailbox_full(self, overruns, what);
        }
    }

    /// What was refused or dropped so far, since the mailbox was full.
    pub(crate) fn overruns(&self) -> u64 {
        let overruns = |rare: &Rare| rare.overruns.load(Ordering::Relaxed);
        self.rare.get().map_or(0, overruns)
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn pid(&self) -> Pid {
        pid_of(&self.runtime, self.number)
    }

    /// Where in the program the process was started.
    pub(crate) fn spawned_at(&self) -> &'static Location<'static> {
        self.spawned_at
    }

    /// Called before a signal enters the queue, so that it is never there unannounced.
    pub(crate) fn announce_signal(&self) {
        self.signals_sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Called by the process for each signal that it took out of the queue.
    pub(crate) fn signal_handled(&self) {
        let handled = self.signals_handled.load(Ordering::Relaxed);
        self.signals_handled
            .store(handled.wrapping_add(1), Ordering::Relaxed);
    }

    /// Signals that were sent and are not handled yet.
    #[inline]
    pub(crate) fn signals_waiting(&self) -> usize {
        // Acquire by the queue: a signal that is in the queue was announced before.
        let sent = self.signals_sent.load(Ordering::Relaxed);
        sent.wrapping_sub(self.signals_handled.load(Ordering::Relaxed)) as usize
    }

    /// Whether the queue wakes the process already. Set and read by the process alone.
    pub(crate) fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    pub(crate) fn set_waits(&self, waits: bool) {
        self.waits.store(waits, Ordering::Relaxed);
        self.rests.store(false, Ordering::Relaxed);
    }

    /// Whether the queue still wakes the process unless something has come. Set and read by the process alone.
    #[inline]
    pub(crate) fn rests(&self) -> bool {
        self.rests.load(Ordering::Relaxed)
    }

    pub(crate) fn set_rests(&self) {
        self.rests.store(true, Ordering::Relaxed);
    }

    /// The task of the process runs: it may receive again.
    #[inline]
    pub(crate) fn begin_turn(&self) {
        self.waits.store(false, Ordering::Relaxed);
        self.budget.store(RECEIVES_MAX as u8, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn has_budget(&self) -> bool {
        self.budget.load(Ordering::Relaxed) > 0
    }

    #[inline]
    pub(crate) fn spend(&self) {
        let budget = self.budget.load(Ordering::Relaxed);
        self.budget
            .store(budget.saturating_sub(1), Ordering::Relaxed);
    }

    /// Counts a send; false once in a while, when others are to have their turn before it.
    #[inline]
    pub(crate) fn spend_or_renew(&self) -> bool {
        let budget = self.budget.load(Ordering::Relaxed);
        let is_spent = budget <= (RECEIVES_MAX - SENDS_MAX) as u8;
        let left = if is_spent {
            RECEIVES_MAX as u8
        } else {
            budget - 1
        };
        self.budget.store(left, Ordering::Relaxed);
        !is_spent
    }

    pub(crate) fn takes_foreign(&self) -> bool {
        self.takes_foreign.load(Ordering::Relaxed)
    }

    pub(crate) fn set_takes_foreign(&self, takes: bool) {
        self.takes_foreign.store(takes, Ordering::Relaxed);
    }

    /// Said by who makes it.
    pub(crate) fn set_attached(&self) {
        self.is_attached.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_attached(&self) -> bool {
        self.is_attached.load(Ordering::Relaxed)
    }

    pub(crate) fn is_apart(&self) -> bool {
        self.standing.is_apart()
    }

    pub(crate) fn has_begun_to_end(&self) -> bool {
        self.standing.is_closed()
    }

    pub(crate) fn set_label(&self, label: String) {
        let place = &self.rare().label;
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(label);
    }

    pub(crate) fn label(&self) -> Option<String> {
        let label = &self.rare.get()?.label;
        label.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Listed for Head {
    fn number(&self) -> u64 {
        self.number
    }

    fn standing(&self) -> &Standing {
        &self.standing
    }
}

impl Listed for dyn AnyProcess {
    fn number(&self) -> u64 {
        self.head().number
    }

    fn standing(&self) -> &Standing {
        &self.head().standing
    }
}

/// The pid of a process number on a node.
pub(crate) fn pid_of(runtime: &Runtime, number: u64) -> Pid {
    Pid {
        node: runtime.node(),
        creation: runtime.creation(),
        id: (number & ((1 << ID_BITS) - 1)) as u32,
        serial: (number >> ID_BITS) as u32,
    }
}

/// The process number of a pid of this node.
pub(crate) fn number_of(pid: Pid) -> u64 {
    u64::from(pid.serial) << ID_BITS | u64::from(pid.id)
}

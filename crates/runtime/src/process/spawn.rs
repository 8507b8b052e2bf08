//! Starting processes.

use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll};

use purlin_otp::reason::{self, Reason};
use purlin_otp::relations::MonitorOptions;
use purlin_otp::signal::{Epoch, Signal};
use purlin_term::{Atom, Pid, Reference, Term};

use super::bound::{MailboxBound, Overflow};
use super::cell::Cell;
use super::exit::IntoExit;
use super::head::{Head, MailboxOptions, pid_of};
use super::inside::{Inside, Own};
use super::prepared::Prepared;
use super::task::{Life, Task};
use super::watermark::{self, Watermark};
use super::{Peek, Process, Received, RegisterError, TooManyProcesses};
use crate::message::Message;
use crate::runtime::Runtime;
use crate::send::Address;

/// How a process is started.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SpawnOptions {
    /// A name for people.
    pub label: Option<String>,
    /// A registered name, which it has before it runs.
    pub name: Option<Atom>,
    /// Where its output goes; else to where its parent's does.
    pub group_leader: Option<Pid>,
    /// It runs on a thread of its own, since it blocks.
    pub own_thread: bool,
    /// How many messages may wait for it.
    pub mailbox: Option<MailboxBound>,
    /// When its queue is told to be long; else as [`Config::watermark`](crate::Config::watermark) says,
    /// or never if it has a bound.
    pub watermark: Option<Watermark>,
}

/// Why a process was not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// As many processes live as may, or the runtime is stopping.
    #[error(transparent)]
    TooManyProcesses(#[from] TooManyProcesses),
    /// The name cannot be given; the process was not started.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

impl SpawnOptions {
    /// The process blocks its thread, or computes for long: it gets one of its own.
    pub fn own_thread(mut self) -> Self {
        self.own_thread = true;
        self
    }

    /// A bound for its mailbox.
    pub fn mailbox(mut self, messages_max: usize, overflow: Overflow) -> Self {
        self.mailbox = Some(MailboxBound {
            messages_max,
            overflow,
        });
        self
    }

    /// When its queue is told to be long, and when no more.
    pub fn watermark(mut self, watermark: Watermark) -> Self {
        self.watermark = Some(watermark);
        self
    }

    /// A name for people.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// A registered name, which the process has before it runs.
    pub fn name(mut self, name: impl Into<Atom>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Where its output goes.
    pub fn group_leader(mut self, leader: Pid) -> Self {
        self.group_leader = Some(leader);
        self
    }
}

impl Runtime {
    /// Starts a process that runs `body`.
    ///
    /// # Errors
    /// [`TooManyProcesses`] when as many live as may; nothing was started.
    #[track_caller]
    pub fn spawn<M, B, F>(&self, body: B) -> Result<Address<M>, TooManyProcesses>
    where
        M: Message,
        B: FnOnce(Process<M>) -> F + Send + 'static,
        F: Future<Output: IntoExit> + Send + 'static,
    {
        let cell = new_cell(self, Location::caller(), None, MailboxOptions::default())?;
        Ok(start(Life::new(cell), body))
    }

    /// As [`Runtime::spawn`], with options.
    ///
    /// # Errors
    /// [`SpawnError`]; nothing was started.
    #[track_caller]
    pub fn spawn_with<M, B, F>(
        &self,
        options: SpawnOptions,
        body: B,
    ) -> Result<Address<M>, SpawnError>
    where
        M: Message,
        B: FnOnce(Process<M>) -> F + Send + 'static,
        F: Future<Output: IntoExit> + Send + 'static,
    {
        Ok(self.prepare(options)?.start(body))
    }

    /// A process for code that is not one: it has a pid and a mailbox, and ends when it is dropped.
    ///
    /// # Errors
    /// [`TooManyProcesses`] when as many live as may.
    #[track_caller]
    pub fn attach<M: Message>(&self) -> Result<Attached<M>, TooManyProcesses> {
        let cell = new_cell(self, Location::caller(), None, MailboxOptions::default())?;
        self.table().set_apart(cell.header());
        cell.header().set_attached();
        Ok(Attached {
            process: Process { cell: cell.clone() },
            life: Life::new(cell),
        })
    }
}

impl<M: Message> Process<M> {
    /// Starts a process that is linked to this one from the beginning.
    ///
    /// # Errors
    /// [`TooManyProcesses`] when as many live as may; nothing was started.
    #[track_caller]
    pub fn spawn_link<N, B, F>(&self, body: B) -> Result<Address<N>, TooManyProcesses>
    where
        N: Message,
        B: FnOnce(Process<N>) -> F + Send + 'static,
        F: Future<Output: IntoExit> + Send + 'static,
    {
        Ok(self.link_child(self.child(Location::caller())?).start(body))
    }

    /// As [`Process::spawn_link`], with options. A name is taken before the process is linked: where
    /// that fails there is neither process nor link.
    ///
    /// # Errors
    /// [`SpawnError`]; nothing was started.
    #[track_caller]
    pub fn spawn_link_with<N, B, F>(
        &self,
        options: SpawnOptions,
        body: B,
    ) -> Result<Address<N>, SpawnError>
    where
        N: Message,
        B: FnOnce(Process<N>) -> F + Send + 'static,
        F: Future<Output: IntoExit> + Send + 'static,
    {
        let child = self.child_with(Location::caller(), options)?;
        Ok(self.link_child(child).start(body))
    }

    /// Starts a process that this one monitors from the beginning.
    ///
    /// # Errors
    /// [`TooManyProcesses`] when as many live as may; nothing was started.
    #[track_caller]
    pub fn spawn_monitor<N, B, F>(
        &self,
        body: B,
    ) -> Result<(Address<N>, Reference), TooManyProcesses>
    where
        N: Message,
        B: FnOnce(Process<N>) -> F + Send + 'static,
        F: Future<Output: IntoExit> + Send + 'static,
    {
        let (child, monitor) = self.monitor_child(self.child(Location::caller())?);
        Ok((child.start(body), monitor))
    }

    /// As [`Process::spawn_monitor`], with options. A name is taken before the process is monitored:
    /// where that fails there is neither process nor monitor.
    ///
    /// # Errors
    /// [`SpawnError`]; nothing was started.
    #[track_caller]
    pub fn spawn_monitor_with<N, B, F>(
        &self,
        options: SpawnOptions,
        body: B,
    ) -> Result<(Address<N>, Reference), SpawnError>
    where
        N: Message,
        B: FnOnce(Process<N>) -> F + Send + 'static,
        F: Future<Output: IntoExit> + Send + 'static,
    {
        let child = self.child_with(Location::caller(), options)?;
        let (child, monitor) = self.monitor_child(child);
        Ok((child.start(body), monitor))
    }

    /// A process whose output goes where this one's does, and that does not run yet.
    fn child<N: Message>(
        &self,
        place: &'static Location<'static>,
    ) -> Result<Prepared<N>, TooManyProcesses> {
        let leader = Some(self.group_leader());
        Prepared::new(self.runtime(), place, leader, MailboxOptions::default())
    }

    fn child_with<N: Message>(
        &self,
        place: &'static Location<'static>,
        mut options: SpawnOptions,
    ) -> Result<Prepared<N>, SpawnError> {
        options
            .group_leader
            .get_or_insert_with(|| self.group_leader());
        Prepared::with(self.runtime(), place, options)
    }

    fn link_child<N: Message>(&self, child: Prepared<N>) -> Prepared<N> {
        child.link(self.pid(), Epoch::LOCAL);
        self.note_link(child.pid());
        child
    }

    /// It is linked to a process of this node that is linked to it already ([`Prepared::link`]): nothing is sent.
    pub fn note_link(&self, to: Pid) {
        self.tie(|inside, _| {
            let relations = &mut inside.owner.relations;
            relations.link(to, Epoch::LOCAL, &mut Vec::new());
        });
    }

    fn monitor_child<N: Message>(&self, child: Prepared<N>) -> (Prepared<N>, Reference) {
        let reference = self.runtime().make_reference();
        child.monitor(self.pid(), reference, Epoch::LOCAL);
        self.tie(|inside, _| {
            let options = MonitorOptions::default();
            let (target, epoch) = (child.pid().into(), Epoch::LOCAL);
            inside
                .owner
                .relations
                .monitor(target, reference, options, epoch, &mut Vec::new());
        });
        (child, reference)
    }
}

/// A process that is found under its pid, and does not run yet.
pub(super) fn new_cell<M: Message>(
    runtime: &Runtime,
    place: &'static Location<'static>,
    group_leader: Option<Pid>,
    mailbox: MailboxOptions,
) -> Result<Arc<Cell<M>>, TooManyProcesses> {
    let number = runtime.table().reserve()?;
    let head = Head::new(runtime.clone(), number, place, mailbox);
    let own = Own::new(number, pid_of(runtime, number));
    let cell = Arc::new(Cell::new(head, own));
    runtime.table().insert(number, cell.clone());
    if let Some(leader) = group_leader {
        Inside::of(&cell).set_group_leader(leader);
    }
    Ok(cell)
}

/// A tie that the process has from the beginning, made over the connection of that epoch.
pub(super) fn prepare<M: Message>(cell: &Cell<M>, signal: Signal, epoch: Epoch) {
    Inside::of(cell).handle_at(signal, epoch);
}

pub(super) fn start<M, B, F>(mut life: Life<M>, body: B) -> Address<M>
where
    M: Message,
    B: FnOnce(Process<M>) -> F + Send + 'static,
    F: Future<Output: IntoExit> + Send + 'static,
{
    let cell = life.cell.clone();
    let head = cell.header();
    let executor = head.runtime().executor();
    match head.runtime().scheduler() {
        // Other nodes rely on the processes that no exit signal ends.
        _ if head.is_apart() => drop(executor.spawn_vital(Box::pin(Task::new(life, body)))),
        Some(scheduler) => {
            life.has_one_waker = true;
            scheduler.spawn(Task::new(life, body));
        }
        None => drop(executor.spawn(Box::pin(Task::new(life, body)))),
    }
    Address::here(cell.header().pid(), cell)
}

pub(super) fn start_on_thread<M, B, F>(life: Life<M>, body: B) -> Address<M>
where
    M: Message,
    B: FnOnce(Process<M>) -> F + Send + 'static,
    F: Future<Output: IntoExit> + Send + 'static,
{
    let cell = life.cell.clone();
    let executor = cell.header().runtime().executor();
    executor.spawn_on_thread(Box::pin(Task::new(life, body)));
    Address::here(cell.header().pid(), cell)
}

/// A process that code outside of any process holds: see [`Runtime::attach`].
///
/// Signals act when it receives, and when somebody asks for its
/// [`process_info`](Runtime::process_info).
pub struct Attached<M: Message> {
    process: Process<M>,
    life: Life<M>,
}

/// An attached process was ended by an exit signal, and receives nothing more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the process was ended: {0}")]
pub struct Ended(pub Reason);

impl<M: Message> Attached<M> {
    /// The next message. Cancel-safe: dropped before it is ready, it has taken nothing.
    ///
    /// # Errors
    /// [`Ended`] when an exit signal ended the process.
    pub async fn receive(&mut self) -> Result<Received<M>, Ended> {
        self.take_turns(|inside, cx| inside.poll_receive(cx)).await
    }

    /// As [`Process::receive_where`].
    ///
    /// # Errors
    /// [`Ended`] when an exit signal ended the process.
    pub async fn receive_where(
        &mut self,
        mut wanted: impl FnMut(Peek<'_, M>) -> bool,
    ) -> Result<Received<M>, Ended> {
        let mut cursor = self.process.inside().owner.start();
        self.take_turns(move |inside, cx| inside.poll_find(cx, &mut cursor, &mut wanted))
            .await
    }

    /// Signals act, and then `poll` looks for a message, until it finds one.
    async fn take_turns(
        &mut self,
        mut poll: impl FnMut(&mut Inside<'_, M>, &mut Context<'_>) -> Poll<Received<M>>,
    ) -> Result<Received<M>, Ended> {
        std::future::poll_fn(|cx| {
            let mut inside = self.process.inside();
            inside.head().begin_turn();
            inside.handle_signals();
            let polled = poll(&mut inside, cx);
            if inside.head().queue_state().may_be_long() {
                watermark::look(inside.cell());
            }
            match (polled, inside.owner.ending()) {
                (_, Some(reason)) => Poll::Ready(Err(Ended(reason.clone()))),
                (Poll::Ready(received), None) => Poll::Ready(Ok(received)),
                (Poll::Pending, None) => Poll::Pending,
            }
        })
        .await
    }

    /// A message that waits already.
    ///
    /// # Errors
    /// [`Ended`] when an exit signal ended the process.
    pub fn try_receive(&mut self) -> Result<Option<Received<M>>, Ended> {
        self.process.inside().handle_signals();
        let received = self.process.try_receive();
        match self.process.inside().owner.ending() {
            Some(reason) => Err(Ended(reason.clone())),
            None => Ok(received),
        }
    }

    /// Ends the process with a reason; dropped, it ends with `normal`.
    pub fn end(mut self, reason: impl Into<Term>) {
        self.life.end_with(Reason::new(reason.into()));
    }
}

impl<M: Message> std::ops::Deref for Attached<M> {
    type Target = Process<M>;

    fn deref(&self) -> &Process<M> {
        &self.process
    }
}

impl<M: Message> Drop for Attached<M> {
    fn drop(&mut self) {
        let ending = self.process.inside().owner.take_ending();
        if !self.life.has_ended() {
            self.life.end_with(ending.unwrap_or_else(reason::normal));
        }
    }
}

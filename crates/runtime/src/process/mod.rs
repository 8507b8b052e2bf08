//! Processes: a body, a pid, a queue, and ties to others.
//!
//! A process is a task of the runtime's own scheduler that runs a body. The body gets a [`Process`],
//! through which it receives, sends and ties itself to others. It ends with what the body returns
//! ([`IntoExit`]), with a panic, or with an exit signal, which acts at the next await of the body.
//!
//! ```text
//! spawn -> Table (pid -> queue)         Address, pid, name
//!             |                                | push
//!           task -> Inside (receive, ties) <- Cell (purlin-mailbox)
//! ```
//!
//! - `cell`: the queue, and what may lie in it; `head`: what others see of a process;
//! - `prepared`: a process before it runs;
//! - `inside`: receiving, and signals; `task`: the life of a process from its first step to its end;
//! - `watermark`: queues that become long; `bound`: those that may not;
//! - `farewell`: how its end is told; `outputs`: what follows from a signal, for a moment;
//! - `table`: pids and names.

mod bound;
mod cell;
mod exit;
mod farewell;
mod head;
mod inside;
mod inspect;
mod outputs;
mod prepared;
mod received;
mod sending;
mod show;
mod spawn;
mod standing;
mod table;
mod task;
mod watermark;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use purlin_mailbox::Cursor;
use purlin_otp::reason::{self, Reason};
use purlin_otp::relations::{AliasMode, MonitorOptions, Output, SpawnOptions as RequestOptions};
use purlin_otp::signal::{Epoch, Signal, Target};
use purlin_term::{NodeName, Pid, Reference, Term};

pub use bound::{MailboxBound, Overflow};
pub use cell::Encoded;
pub(crate) use cell::{AnyProcess, Cell, Entry, Incoming, Refused, Unsent, push_message};
pub use exit::IntoExit;
pub(crate) use head::{Head, number_of, pid_of};
pub(crate) use inside::Inside;
pub use inspect::ProcessInfo;
pub use prepared::Prepared;
pub use received::{Peek, Received};
pub use spawn::{Attached, Ended, SpawnError, SpawnOptions};
pub(crate) use table::Seen;
pub use table::{RegisterError, TooManyProcesses};
pub(crate) use task::shown;
pub use watermark::Watermark;

use outputs::Outputs;
use sending::Sending;

use crate::message::Message;
use crate::outside::Destination;
use crate::runtime::Runtime;
use crate::send::{Address, Connect, Recipient, SendError};

/// The processes of a runtime.
pub(crate) type Table = table::Table<dyn AnyProcess>;

/// A process seen from inside: its body has it, and nobody else.
pub struct Process<M> {
    cell: Arc<Cell<M>>,
}

/// A place in a mailbox: after everything that had arrived when it was made.
#[derive(Debug, Clone)]
pub struct Mark(Cursor);

/// No exit signal ends the process or is seen by it.
fn keep<M>(cell: &Cell<M>) {
    let head = cell.header();
    head.runtime().table().set_apart(head);
    Inside::of(cell).owner.relations.keep();
}

impl<M: Message> Process<M> {
    /// The body of a process and the task around it take turns here: neither waits for the other,
    /// unless a body lends its process to another thread.
    pub(crate) fn inside(&self) -> Inside<'_, M> {
        Inside::of(&self.cell)
    }

    /// The runtime it lives in.
    pub fn runtime(&self) -> &Runtime {
        self.cell.header().runtime()
    }

    /// This process.
    pub fn pid(&self) -> Pid {
        self.cell.header().pid()
    }

    /// The typed address of this process.
    pub fn address(&self) -> Address<M> {
        Address::here(self.pid(), self.cell.clone())
    }

    /// The next message, in the order of arrival.
    ///
    /// Cancel-safe: dropped before it is ready, it has taken nothing.
    // Not an async function, here and below: each level of those is a state of its own in the future of
    // the body, and its messages are moved through it.
    pub fn receive(&mut self) -> impl Future<Output = Received<M>> + Send {
        std::future::poll_fn(|cx| self.poll_receive(cx))
    }

    /// As [`Process::receive`], for futures written by hand.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Received<M>> {
        self.inside().poll_receive(cx)
    }

    /// The next message of the process's own type. What became of links and monitors is passed over
    /// and lost: for processes that have none.
    ///
    /// Cancel-safe but for that: dropped before it is ready, it has taken no message.
    pub fn receive_message(&mut self) -> impl Future<Output = M> + Send {
        std::future::poll_fn(|cx| self.inside().poll_message(cx))
    }

    /// The next message, if one comes in time; to the millisecond, as [timers](Runtime::send_after) go.
    ///
    /// Cancel-safe: dropped before it is ready, or when the time is over, it has taken nothing.
    pub async fn receive_timeout(&mut self, timeout: Duration) -> Option<Received<M>> {
        tokio::time::timeout(timeout, self.receive()).await.ok()
    }

    /// A message that waits already.
    pub fn try_receive(&mut self) -> Option<Received<M>> {
        let mut inside = self.inside();
        let mut cursor = inside.owner.start();
        inside.find(&mut cursor, &mut |_| true)
    }

    /// The first message that `wanted` picks, whatever waits before it: Erlang's selective receive.
    /// What is passed over stays where it is.
    ///
    /// Cancel-safe: dropped before it is ready, it has taken nothing. What `wanted` has seen, it may
    /// be asked about again.
    pub async fn receive_where(&mut self, wanted: impl FnMut(Peek<'_, M>) -> bool) -> Received<M> {
        let start = self.inside().owner.start();
        self.receive_from(start, wanted).await
    }

    /// As [`Process::receive_where`], passing over what had arrived when `mark` was made without looking
    /// at it: for an answer to a question that was asked after that.
    ///
    /// Cancel-safe, as [`Process::receive_where`]; the mark can be used again.
    pub async fn receive_after(
        &mut self,
        mark: &Mark,
        wanted: impl FnMut(Peek<'_, M>) -> bool,
    ) -> Received<M> {
        self.receive_from(mark.0, wanted).await
    }

    async fn receive_from(
        &mut self,
        mut cursor: Cursor,
        mut wanted: impl FnMut(Peek<'_, M>) -> bool,
    ) -> Received<M> {
        std::future::poll_fn(|cx| self.inside().poll_find(cx, &mut cursor, &mut wanted)).await
    }

    /// The place after everything that has arrived so far.
    pub fn mark(&self) -> Mark {
        Mark(self.inside().owner.end())
    }

    /// Whether messages of other types are received, as [`Received::Foreign`], instead of being dropped.
    #[doc(hidden)]
    pub fn take_foreign(&mut self, take: bool) {
        self.cell.header().set_takes_foreign(take);
    }

    /// Sends `message`, waiting while the road or the mailbox is full, and for the connection to a node that
    /// has none.
    ///
    /// Cancel-safe: dropped before it is ready, it has sent nothing, and the message is gone with it. Who
    /// waits again waits behind all others.
    ///
    /// # Errors
    /// [`SendError`]: it was not sent.
    pub fn send<T: Message>(
        &self,
        to: impl Recipient<T>,
        message: T,
    ) -> impl Future<Output = Result<(), SendError>> {
        Sending::new(self.cell.header(), to, message)
    }

    /// As [`Process::send`], waiting no longer than `timeout`, to the millisecond.
    ///
    /// Cancel-safe: dropped before it is ready, or when the time is over, it has sent nothing.
    ///
    /// # Errors
    /// [`SendError::TimedOut`], or what [`Process::send`] says: it was not sent.
    pub async fn send_timeout<T: Message>(
        &self,
        to: impl Recipient<T>,
        message: T,
        timeout: Duration,
    ) -> Result<(), SendError> {
        let sent = tokio::time::timeout(timeout, self.send(to, message)).await;
        sent.unwrap_or(Err(SendError::TimedOut(timeout)))
    }

    /// Sends `message` at once or not at all.
    ///
    /// A node that is not connected is dialled, and the message waits for the connection, in order with all
    /// else that this process sends there. If there is none to be had it is dropped, as a message to the
    /// dead is.
    ///
    /// # Errors
    /// [`SendError`]: it was not sent. [`SendError::Busy`] says that as much as may waits for the node.
    pub fn try_send<T: Message>(&self, to: impl Recipient<T>, message: T) -> Result<(), SendError> {
        self.runtime().try_send_from(
            || self.pid(),
            &to,
            message,
            Entry::Counted,
            Connect::IfNeeded,
        )
    }

    /// Links this process to another, here or elsewhere: the end of one is an exit signal to the other. A
    /// node that is not connected is dialled, here and for a monitor; the process does not wait for it.
    pub fn link(&self, to: Pid) {
        let epoch = self.runtime().connect(to.node);
        self.tie_over(Some(epoch), |inside, out| {
            inside.owner.relations.link(to, epoch, out);
        });
    }

    /// Ends a link: no exit signal of it acts or is received any more.
    pub fn unlink(&self, from: Pid) {
        let epoch = self.runtime().epoch(from.node);
        self.tie(|inside, out| inside.owner.relations.unlink(from, epoch, out));
    }

    /// Watches a process: its end, or its absence, is received as `Info::Down`.
    pub fn monitor(&self, target: impl Into<Target>) -> Reference {
        self.monitor_with(target, MonitorOptions::default())
    }

    /// As [`Process::monitor`], with a tag or an alias.
    pub fn monitor_with(&self, target: impl Into<Target>, options: MonitorOptions) -> Reference {
        let target = target.into();
        let epoch = self.runtime().connect(target.node());
        self.monitor_over(target, options, epoch)
    }

    /// As [`Process::monitor`], but a node that is not connected stays so: the monitor fires at once, with
    /// `noconnection`. For whoever watches what others name.
    #[doc(hidden)]
    pub fn monitor_connected(&self, target: impl Into<Target>) -> Reference {
        let target = target.into();
        let epoch = self.runtime().epoch(target.node());
        self.monitor_over(target, MonitorOptions::default(), epoch)
    }

    fn monitor_over(&self, target: Target, mut options: MonitorOptions, epoch: Epoch) -> Reference {
        let runtime = self.runtime();
        let reference = self.reference_for(options.alias);
        if let Target::Name(name, node) = &target
            && *node == runtime.node()
        {
            options.holder = runtime.whereis(name);
        }
        self.tie_over(Some(epoch), |inside, out| {
            inside
                .owner
                .relations
                .monitor(target, reference, options, epoch, out);
        });
        reference
    }

    /// Takes a monitor back: it does not fire any more, and a `Down` that was not received yet is gone.
    /// Answers whether it had not fired.
    pub fn demonitor(&self, reference: Reference) -> bool {
        let had_not_fired = self.demonitor_keeping(reference);
        if !had_not_fired {
            let mut inside = self.inside();
            let mut cursor = inside.owner.start();
            let _ = inside.find(&mut cursor, &mut |peek| peek.is_down(&reference));
        }
        had_not_fired
    }

    /// As [`Process::demonitor`], without taking a `Down` out of the mailbox: `demonitor/1` of OTP.
    pub fn demonitor_keeping(&self, reference: Reference) -> bool {
        self.tie(|inside, out| inside.owner.relations.demonitor(&reference, out))
    }

    /// Makes an alias: an address of this process that can be taken back.
    pub fn alias(&self, mode: AliasMode) -> Reference {
        let reference = self.runtime().make_alias(number_of(self.pid()));
        self.inside().owner.relations.alias(reference, mode);
        reference
    }

    /// Takes an alias back: what is sent to it from now on, or was sent and has not arrived, is dropped.
    pub fn unalias(&self, alias: Reference) -> bool {
        self.inside().owner.relations.unalias(&alias)
    }

    /// Whether exit signals are received, as `Info::Exit`, instead of ending this process; answers what
    /// was set before.
    pub fn trap_exit(&self, trap: bool) -> bool {
        self.inside().owner.relations.set_trap_exit(trap)
    }

    /// From now on no exit signal ends this process or is seen by it, `kill` included: for the services of
    /// a node. [`Runtime::stop`](crate::Runtime::stop) leaves it to whoever started it.
    #[doc(hidden)]
    pub fn keep(&self) {
        keep(&self.cell);
    }

    /// The process holds a value for as long as it lives: it is dropped after the body, and before the
    /// registered name is free and anybody is told of the end. For what others find the process by.
    pub fn hold(&self, value: impl Send + 'static) {
        self.inside().owner.extra().held.push(Box::new(value));
    }

    /// Lets go of what others find it by before it ends, and not after: what it holds is dropped, its registered
    /// name is free. For who says by a message that it ends, so that whoever hears that can start another at once.
    pub fn let_go(&self) {
        task::let_go(&self.cell);
        let head = self.cell.header();
        head.runtime().table().unregister_process(head.number());
    }

    /// Notes a request to spawn a process on another node, which the caller sends there at once, over the
    /// connection of the epoch that this answers. The reply is received as `Info::Spawned` or
    /// `Info::SpawnFailed`, as the options say.
    #[doc(hidden)]
    pub fn note_spawn_request(
        &self,
        node: NodeName,
        options: RequestOptions,
    ) -> (Reference, Epoch) {
        let alias = options.monitor.as_ref().and_then(|monitor| monitor.alias);
        let reference = self.reference_for(alias);
        let epoch = self.runtime().epoch(node);
        self.inside()
            .owner
            .relations
            .spawn_request(node, reference, options, epoch);
        (reference, epoch)
    }

    /// Gives a spawn request up: its reply is not received, and a process that was to be linked is told to
    /// exit. True if it was under way.
    pub fn spawn_request_abandon(&self, request: Reference) -> bool {
        self.inside().owner.relations.abandon(&request)
    }

    /// Sends an exit signal: `exit/2`. To this process itself it acts at the next await. By a name or an
    /// alias it reaches a node of OTP 28 or later, and is dropped before an older one.
    pub fn exit(&self, to: impl Into<Destination>, reason: impl Into<Term>) {
        let (to, from, reason) = (to.into(), self.pid(), Reason::new(reason.into()));
        let signal = Signal::Exit2 { from, reason };
        if to == Destination::Pid(from) {
            return self.inside().handle_own(signal);
        }
        self.runtime().send_signal(from, to, signal, None);
    }

    /// As [`Process::exit`], but a node that is not connected stays so, and nothing is sent. For whoever
    /// ends what others name.
    #[doc(hidden)]
    pub fn exit_connected(&self, to: Pid, reason: impl Into<Term>) {
        let (from, reason) = (self.pid(), Reason::new(reason.into()));
        let epoch = self.runtime().epoch(to.node);
        let signal = Signal::Exit2 { from, reason };
        self.runtime()
            .send_signal(from, to.into(), signal, Some(epoch));
    }

    /// Where output of this process goes.
    pub fn group_leader(&self) -> Pid {
        self.inside().group_leader()
    }

    /// Makes `leader` the process where output of `of` goes: `group_leader/2`.
    pub fn set_group_leader(&self, of: Pid, leader: Pid) {
        if of == self.pid() {
            return self.inside().set_group_leader(leader);
        }
        let signal = Signal::GroupLeader { leader };
        self.runtime()
            .send_signal(self.pid(), of.into(), signal, None);
    }

    /// Names this process for people: in reports and in `process_info`.
    pub fn set_label(&self, label: impl Into<String>) {
        self.cell.header().set_label(label.into());
    }

    /// A value of this process's own dictionary.
    pub fn get(&self, key: &Term) -> Option<Term> {
        let inside = self.inside();
        inside.owner.extra.as_ref()?.dictionary.get(key).cloned()
    }

    /// Puts a value into this process's own dictionary; answers the one that was there.
    pub fn put(&self, key: Term, value: Term) -> Option<Term> {
        let mut inside = self.inside();
        inside.owner.extra().dictionary.insert(key, value)
    }

    /// Takes a value out of this process's own dictionary.
    pub fn erase(&self, key: &Term) -> Option<Term> {
        self.inside().owner.extra.as_mut()?.dictionary.remove(key)
    }

    /// A new reference, and one that leads here if it is to be an alias.
    fn reference_for(&self, alias: Option<AliasMode>) -> Reference {
        match alias {
            Some(_) => self.runtime().make_alias(number_of(self.pid())),
            None => self.runtime().make_reference(),
        }
    }

    fn tie<R>(&self, verb: impl FnOnce(&mut Inside<M>, &mut Vec<Output>) -> R) -> R {
        self.tie_over(None, verb)
    }

    /// As `tie`, for a verb that makes a tie over the connection of that epoch.
    fn tie_over<R>(
        &self,
        over: Option<Epoch>,
        verb: impl FnOnce(&mut Inside<M>, &mut Vec<Output>) -> R,
    ) -> R {
        let mut inside = self.inside();
        let mut out = Outputs::new();
        let answer = verb(&mut inside, &mut out);
        inside.deliver_own(out, over);
        answer
    }
}

impl Runtime {
    /// Sends an exit signal in nobody's name: `exit/2`.
    pub fn exit(&self, to: impl Into<Destination>, reason: impl Into<Term>) {
        let (from, reason) = (self.nobody(), Reason::new(reason.into()));
        self.send_signal(from, to.into(), Signal::Exit2 { from, reason }, None);
    }

    /// Asks a process of this node about itself; `None` if it has ended, or was ended by an exit signal of
    /// which its [`Attached`] has not heard yet.
    ///
    /// It answers at its next await: this waits for it, however long it computes. An attached one answers at
    /// once, and signals that wait for it act.
    pub async fn process_info(&self, pid: Pid) -> Option<ProcessInfo> {
        let (sender, mut receiver) = tokio::sync::oneshot::channel();
        let question = Incoming::Ask(Box::new(move |inspect: &mut dyn inspect::Inspect| {
            let _ = sender.send(inspect.info());
        }));
        let process = self.find(pid)?;
        process.push_signal(question).ok()?;
        if !process.head().is_attached() {
            return receiver.await.ok();
        }
        // Whoever has it may never receive, so it answers by who asks; its verbs never take long.
        while !process.try_handle_signals() {
            tokio::task::yield_now().await;
        }
        receiver.try_recv().ok()
    }

    /// Makes another process the place where output of `pid` goes, in nobody's name.
    pub fn set_group_leader(&self, pid: Pid, leader: Pid) {
        let signal = Signal::GroupLeader { leader };
        self.send_signal(self.nobody(), pid.into(), signal, None);
    }

    /// Carries a signal to a process here or elsewhere; the dead are answered for.
    pub(crate) fn send_signal(
        &self,
        from: Pid,
        to: Destination,
        signal: Signal,
        over: Option<Epoch>,
    ) {
        if to.node() != self.node() {
            if let Some(outside) = self.outside() {
                outside.signal(from, to, signal, over);
            } else if let Some(to) = to.target() {
                self.answer_for(&to, &signal, &reason::noconnection());
            }
            return;
        }
        match to {
            Destination::Pid(pid) => self.deliver_signal(pid.into(), signal, Epoch::LOCAL),
            Destination::Name(name, node) => {
                self.deliver_signal(Target::Name(name, node), signal, Epoch::LOCAL)
            }
            Destination::Alias(alias) => self.deliver_signal_to_alias(alias, signal, Epoch::LOCAL),
        };
    }

    /// Delivers a signal to a process of this node, which came over a connection of that epoch.
    ///
    /// Answers how many signals wait for the process now: a process handles them at each of its awaits,
    /// an attached one when it receives. Who lets others send signals here bounds them by that.
    #[doc(hidden)]
    pub fn deliver_signal(&self, to: Target, signal: Signal, epoch: Epoch) -> usize {
        let process = match &to {
            Target::Pid(pid) => self.find(*pid),
            Target::Name(name, _) => self.table().whereis(name),
        };
        let Some(process) = process else {
            self.answer_for(&to, &signal, self.noproc());
            return 0;
        };
        if let Err(Incoming::Signal(signal, _)) =
            process.push_signal(Incoming::Signal(signal, epoch))
        {
            self.answer_for(&to, &signal, self.noproc());
        }
        process.head().signals_waiting()
    }

    /// Delivers a signal to whoever has the alias, if it is active then. Answers as
    /// [`Runtime::deliver_signal`].
    #[doc(hidden)]
    pub fn deliver_signal_to_alias(&self, alias: Reference, signal: Signal, epoch: Epoch) -> usize {
        let Some(process) = self.owner_of(&alias) else {
            return 0;
        };
        let _ = process.push_signal(Incoming::SignalToAlias(alias, signal, epoch));
        process.head().signals_waiting()
    }

    /// Answers a signal in the place of whom it did not reach.
    #[doc(hidden)]
    pub fn answer_for(&self, to: &Target, signal: &Signal, reason: &Reason) {
        for (whom, answer) in purlin_otp::signal::refuse(to, signal, reason) {
            let speaker = match to {
                Target::Pid(pid) => *pid,
                Target::Name(..) => self.nobody(),
            };
            self.send_signal(speaker, whom.into(), answer, None);
        }
    }

    /// Tells a process that the connection to a node is gone.
    #[doc(hidden)]
    pub fn connection_lost(&self, pid: Pid, node: NodeName, epoch: Epoch) {
        if let Some(process) = self.find(pid) {
            let _ = process.push_signal(Incoming::ConnectionLost(node, epoch));
        }
    }
}

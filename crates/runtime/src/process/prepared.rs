//! A process between its birth and its first step.
//!
//! Whoever starts a process for another may have to tell of it before it can do anything, its end
//! included: a node answers a spawn request before the new process runs. So the process exists
//! first, with its pid, name and ties; what is sent to it waits, exit signals as well.

use std::panic::Location;

use purlin_otp::reason::{self, Reason};
use purlin_otp::signal::{Epoch, Signal};
use purlin_term::{Pid, Reference};

use super::exit::IntoExit;
use super::head::MailboxOptions;
use super::inside::Inside;
use super::keep;
use super::spawn::{SpawnError, SpawnOptions, new_cell, prepare, start, start_on_thread};
use super::task::Life;
use super::{Process, TooManyProcesses};
use crate::message::Message;
use crate::runtime::Runtime;
use crate::send::Address;

/// A process that does not run yet. Dropped, it ends as if it had been killed.
pub struct Prepared<M: Message> {
    life: Life<M>,
    has_own_thread: bool,
}

impl Runtime {
    /// Makes a process that runs once [`Prepared::start`] gives it a body.
    ///
    /// # Errors
    /// [`SpawnError`]; nothing was made.
    #[track_caller]
    #[doc(hidden)]
    pub fn prepare<M: Message>(&self, options: SpawnOptions) -> Result<Prepared<M>, SpawnError> {
        Prepared::with(self, Location::caller(), options)
    }
}

impl<M: Message> Prepared<M> {
    pub(super) fn new(
        runtime: &Runtime,
        place: &'static Location<'static>,
        leader: Option<Pid>,
        mailbox: MailboxOptions,
    ) -> Result<Self, TooManyProcesses> {
        let cell = new_cell(runtime, place, leader, mailbox)?;
        Ok(Self {
            life: Life::new(cell),
            has_own_thread: false,
        })
    }

    pub(super) fn with(
        runtime: &Runtime,
        place: &'static Location<'static>,
        options: SpawnOptions,
    ) -> Result<Self, SpawnError> {
        let mailbox = MailboxOptions {
            bound: options.mailbox,
            watermark: options.watermark,
        };
        let mut prepared = Self::new(runtime, place, options.group_leader, mailbox)?;
        prepared.has_own_thread = options.own_thread;
        let head = prepared.life.cell.header();
        if let Some(label) = options.label {
            head.set_label(label);
        }
        if let Some(name) = options.name
            && let Err(refused) = runtime.table().register(name, head.number())
        {
            prepared.discard();
            return Err(refused.into());
        }
        Ok(prepared)
    }

    /// The process.
    pub fn pid(&self) -> Pid {
        self.life.cell.header().pid()
    }

    /// It is linked to `from`, which knows, over the connection of that epoch.
    pub fn link(&self, from: Pid, epoch: Epoch) {
        prepare(&self.life.cell, Signal::Link { from }, epoch);
    }

    /// It is monitored by `from`, which knows, over the connection of that epoch.
    pub fn monitor(&self, from: Pid, reference: Reference, epoch: Epoch) {
        let monitor = Signal::Monitor {
            from,
            reference,
            name: None,
        };
        prepare(&self.life.cell, monitor, epoch);
    }

    /// No exit signal ends it or is seen by it: see [`Process::keep`]. Started after this, it goes on while
    /// other processes hold all threads, where the executor can do that ([`Executor::spawn_vital`]).
    ///
    /// [`Executor::spawn_vital`]: crate::Executor::spawn_vital
    pub fn keep(&self) {
        keep(&self.life.cell);
    }

    /// Its typed address.
    pub fn address(&self) -> Address<M> {
        Address::here(self.pid(), self.life.cell.clone())
    }

    /// As [`Process::hold`].
    pub fn hold(&self, value: impl Send + 'static) {
        let held = &mut Inside::of(&self.life.cell).owner;
        held.extra().held.push(Box::new(value));
    }

    /// It never runs, and has ended when this returns, with `normal`: nobody is to start it, and the log need
    /// not say so.
    pub fn discard(mut self) {
        self.life.end_with(reason::normal());
    }

    /// When it has ended, and all who are tied to it were told, `heard` is called with the reason: for those
    /// that wait for its end without a mailbox. It is called where the end is told, so it must not block.
    pub fn at_end(&self, heard: impl FnOnce(&Reason) + Send + 'static) {
        Inside::of(&self.life.cell).owner.extra().at_end = Some(Box::new(heard));
    }

    /// It runs from now on.
    pub fn start<B, F>(self, body: B) -> Address<M>
    where
        B: FnOnce(Process<M>) -> F + Send + 'static,
        F: Future<Output: IntoExit> + Send + 'static,
    {
        match self.has_own_thread {
            true => start_on_thread(self.life, body),
            false => start(self.life, body),
        }
    }
}

//! What a runtime tells of its processes when they do not keep up: OTP's `system_monitor`.
//!
//! Each event is a line of the log, and a [`SystemEvent`] for whoever asked by
//! [`Runtime::system_monitor`]. Events are told where they are noticed, by the sender of a message for
//! instance: so they are messages, which enter a full mailbox as a timer's do, and nobody waits.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use purlin_term::{Atom, Pid};
use serde::{Deserialize, Serialize};

use crate::runtime::Runtime;
use crate::send::{Recipient, Route};

/// Something that a process does or suffers, and that somebody should see to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SystemEvent {
    /// The process.
    pub pid: Pid,
    /// Its registered name.
    pub registered_name: Option<Atom>,
    /// The label it was given, for people.
    pub label: Option<String>,
    /// What it is.
    pub kind: SystemEventKind,
}

/// Kinds of [`SystemEvent`]s.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SystemEventKind {
    /// Its message queue became longer than the [`Watermark`](crate::Watermark) says, or short again.
    LongMessageQueue {
        /// Messages that wait.
        len: usize,
        /// Whether it became long.
        is_long: bool,
    },
    /// It holds its thread: see [`Config::long_schedule`](crate::Config::long_schedule).
    LongSchedule {
        /// For how long it has until now, in milliseconds.
        held_ms: u64,
    },
    /// Its mailbox is full. Told of the first message that is refused or dropped for that, and again
    /// each time that their number has doubled.
    MailboxFull {
        /// Messages that were refused or dropped so far.
        refused: u64,
    },
}

/// Gives an event to whoever asked for it.
type Tell = dyn Fn(&Runtime, SystemEvent) + Send + Sync;

/// Who is told.
#[derive(Default)]
pub(crate) struct SystemMonitors {
    next: AtomicU64,
    told: Mutex<BTreeMap<u64, Arc<Tell>>>,
}

impl SystemMonitors {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Tell>>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody is told any more.
    pub(crate) fn stop(&self) {
        let told = std::mem::take(&mut *self.lock());
        // Outside the lock: what is dropped may be the last address of a process.
        drop(told);
    }
}

/// Somebody is told of [`SystemEvent`]s until this is dropped.
#[must_use = "nothing is told once it is dropped"]
#[derive(Debug)]
pub struct SystemMonitor {
    runtime: Runtime,
    number: u64,
}

impl Drop for SystemMonitor {
    fn drop(&mut self) {
        let removed = self.runtime.system_monitors().lock().remove(&self.number);
        drop(removed);
    }
}

impl Runtime {
    /// Sends every [`SystemEvent`] of this runtime to `to`, until what it answers is dropped, or the
    /// runtime is stopped. Several may be told; a process of another node is not, since an event may be
    /// noticed while the connections are being worked on.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use purlin_runtime::{Process, Runtime, SystemEvent, SystemEventKind};
    /// # async fn watch(runtime: &Runtime) -> Result<(), Box<dyn std::error::Error>> {
    /// runtime.spawn(|mut me: Process<SystemEvent>| async move {
    ///     let _monitor = me.runtime().system_monitor(me.address());
    ///     loop {
    ///         let event = me.receive_message().await;
    ///         if let SystemEventKind::LongMessageQueue { len, is_long: true } = event.kind {
    ///             println!("{} has {len} messages to go", event.pid);
    ///         }
    ///     }
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn system_monitor(
        &self,
        to: impl Recipient<SystemEvent> + Send + Sync + 'static,
    ) -> SystemMonitor {
        let monitors = self.system_monitors();
        let number = monitors.next.fetch_add(1, Ordering::Relaxed);
        let tell = move |runtime: &Runtime, event| {
            let elsewhere = |route| matches!(route, Route::To(to) if to.node() != runtime.node());
            if !elsewhere(to.route()) {
                runtime.notify(&to, event);
            }
        };
        monitors.lock().insert(number, Arc::new(tell));
        SystemMonitor {
            runtime: self.clone(),
            number,
        }
    }

    /// Tells all who asked, outside the lock: it may cause another event.
    pub(crate) fn tell_system_event(&self, event: &SystemEvent) {
        let told: Vec<_> = self.system_monitors().lock().values().cloned().collect();
        for tell in told {
            tell(self, event.clone());
        }
    }
}

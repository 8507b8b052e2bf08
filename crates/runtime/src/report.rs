//! What the log says of processes: crashes, and what [`SystemEvent`]s tell.
//!
//! A crash report has what OTP's `proc_lib` reports of a process: pid, name, label, reason, links, the
//! length of its queue and the first messages that wait there. It does not have the message that the
//! process was at. That one was moved into the body, and to be shown it would have to be written down
//! before, at a cost for each message of every process, or be kept, in memory that the body has given up.
//! OTP's plain processes do not tell it either, only behaviours do, which have the message at hand.
//!
//! What waits is written down for the report alone, and only its beginning: by its encoding if it has
//! one.
//!
//! A behaviour that knows more of its process's end reports it itself, with what this one would have told
//! ([`Process::crash_report`]): one end is one line.

use std::fmt::{self, Display};
use std::time::Duration;

use purlin_otp::reason::Reason;
use purlin_term::{Atom, Pid};

use crate::limits::{LINKS_SHOWN_MAX, MESSAGES_SHOWN_MAX};
use crate::message::Message;
use crate::panics;
use crate::process::{Head, Inside, Process, shown};
use crate::system::{SystemEvent, SystemEventKind};

/// What a crash report tells of a process, beside its pid and why it ends.
#[doc(hidden)]
#[derive(Debug)]
#[non_exhaustive]
pub struct CrashReport {
    pub label: Option<String>,
    pub name: Option<Atom>,
    /// The length of its queue.
    pub queued: usize,
    /// The first messages that wait there.
    pub messages: Vec<String>,
    pub links: LinkList,
}

impl CrashReport {
    /// With the first messages that wait, at most so many.
    fn of<M: Message>(inside: &mut Inside<'_, M>, messages_max: usize) -> Self {
        let head = inside.head();
        Self {
            label: head.label(),
            name: head.runtime().table().name_of(head.number()),
            queued: inside.owner.len() + inside.owner.beyond(),
            messages: inside.show_messages(messages_max),
            links: LinkList::of(inside.owner.relations.links()),
        }
    }
}

impl<M: Message> Process<M> {
    /// For a behaviour that is about to end, and reports that itself: the runtime does not report it again.
    #[doc(hidden)]
    pub fn crash_report(&mut self) -> CrashReport {
        let mut inside = self.inside();
        inside.owner.extra().is_reported = true;
        CrashReport::of(&mut inside, MESSAGES_SHOWN_MAX)
    }
}

/// Reports the end of a process, before its queue is emptied.
pub(crate) fn ended<M: Message>(
    head: &Head,
    inside: &mut Inside<'_, M>,
    reason: &Reason,
    is_crash: bool,
) {
    // A remote call ends with its result for a reason: too much to print for nobody.
    if !is_crash && !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let messages_max = if is_crash { MESSAGES_SHOWN_MAX } else { 0 };
    let CrashReport {
        label,
        name,
        queued,
        messages,
        links,
    } = CrashReport::of(inside, messages_max);
    let name = name.map(tracing::field::display);
    let (pid, place, reason) = (head.pid(), head.spawned_at(), shown(reason));
    if is_crash {
        let backtrace = panics::last_backtrace();
        tracing::error!(
            %pid, label, name, %reason, queued, ?messages, %links, spawned_at = %place, backtrace,
            "a process crashed"
        );
    } else {
        tracing::debug!(
            %pid, label, name, %reason, queued, %links, spawned_at = %place,
            "a process was ended"
        );
    }
}

/// The first pids of many, and how many there are.
#[doc(hidden)]
#[derive(Debug)]
pub struct LinkList {
    first: Vec<Pid>,
    count: usize,
}

impl LinkList {
    fn of(pids: impl Iterator<Item = Pid>) -> Self {
        let (mut first, mut count) = (Vec::new(), 0);
        for pid in pids {
            count += 1;
            if count <= LINKS_SHOWN_MAX {
                first.push(pid);
            }
        }
        Self { first, count }
    }
}

impl Display for LinkList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (index, pid) in self.first.iter().enumerate() {
            write!(f, "{}{pid}", if index == 0 { "" } else { ", " })?;
        }
        match self.count - self.first.len() {
            0 => f.write_str("]"),
            more => write!(f, " and {more} more]"),
        }
    }
}

/// The queue of a process has become long, or short again.
pub(crate) fn message_queue(head: &Head, len: usize, is_long: bool) {
    let kind = SystemEventKind::LongMessageQueue { len, is_long };
    let event = tell(head, kind);
    let (pid, label) = (event.pid, event.label);
    let name = event.registered_name.map(tracing::field::display);
    if is_long {
        tracing::warn!(%pid, label, name, len, "a message queue is long");
    } else {
        tracing::info!(%pid, label, name, len, "a message queue is not long any more");
    }
}

/// A process has been in one step for so long.
pub(crate) fn long_schedule(head: &Head, held: Duration) {
    let held_ms = held.as_millis() as u64;
    let event = tell(head, SystemEventKind::LongSchedule { held_ms });
    let (pid, label, place) = (event.pid, event.label, head.spawned_at());
    tracing::warn!(%pid, label, spawned_at = %place, held_ms, "a process holds its thread");
}

/// Messages to a process are refused or dropped, so many by now.
pub(crate) fn mailbox_full(head: &Head, refused: u64, what: &dyn Display) {
    let event = tell(head, SystemEventKind::MailboxFull { refused });
    let (pid, label) = (event.pid, event.label);
    let name = event.registered_name.map(tracing::field::display);
    tracing::warn!(
        %pid, label, name, refused,
        "a mailbox is full: what is sent to it is refused or dropped, now {what}"
    );
}

/// Tells whoever asked for events of the runtime.
fn tell(head: &Head, kind: SystemEventKind) -> SystemEvent {
    let runtime = head.runtime();
    let event = SystemEvent {
        pid: head.pid(),
        registered_name: runtime.table().name_of(head.number()),
        label: head.label(),
        kind,
    };
    runtime.tell_system_event(&event);
    event
}

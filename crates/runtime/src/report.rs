//! What the log says of processes: crashes, and what [`SystemEvent`]s tell.

use std::fmt::Display;
use std::time::Duration;

use purlin_otp::reason::Reason;

use crate::message::Message;
use crate::panics;
use crate::process::{Head, Inside, shown};
use crate::system::{SystemEvent, SystemEventKind};

/// Reports the end of a process, before its queue is emptied.
pub(crate) fn ended<M: Message>(
    head: &Head,
    inside: &Inside<'_, M>,
    reason: &Reason,
    is_crash: bool,
) {
    // A remote call ends with its result for a reason: too much to print for nobody.
    if !is_crash && !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let place = head.spawned_at();
    let label = head.label();
    let pid = head.pid();
    let queued = inside.cell().len();
    let links = inside.owner.relations.links().count();
    let reason = shown(reason);
    if is_crash {
        let backtrace = panics::last_backtrace();
        tracing::error!(%pid, label, %reason, queued, links, spawned_at = %place, backtrace, "a process crashed");
    } else {
        tracing::debug!(%pid, label, %reason, queued, links, spawned_at = %place, "a process was ended");
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

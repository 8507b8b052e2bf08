//! Crash reports: what the log says of a process that did not end in good order.

use purlin_otp::reason::Reason;

use crate::message::Message;
use crate::panics;
use crate::process::{Head, Inside, shown};

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
    let queued = inside.owner.len();
    let links = inside.owner.relations.links().count();
    let reason = shown(reason);
    if is_crash {
        let backtrace = panics::last_backtrace();
        tracing::error!(%pid, label, %reason, queued, links, spawned_at = %place, backtrace, "a process crashed");
    } else {
        tracing::debug!(%pid, label, %reason, queued, links, spawned_at = %place, "a process was ended");
    }
}

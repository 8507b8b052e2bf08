//! Processes that this one has started: here, or by a request to another node.
//!
//! A request is under way until its reply, its abandoning or the loss of its connection. What the
//! reply says of link and monitor is what the other node did, so that is what holds.

use purlin_term::{Atom, NodeName, Pid, Reference, atom};

use super::held::{Monitor, Request};
use super::{Info, MonitorOptions, Output, Relations, SpawnOptions, send};
use crate::reason;
use crate::signal::{ChildIs, Epoch, Signal};

impl Relations {
    /// Notes a spawn request to another node, under a fresh reference. The caller sends it, or
    /// answers with [`Signal::SpawnFailed`] and `noconnection` when there is no connection.
    pub fn spawn_request(
        &mut self,
        node: NodeName,
        reference: Reference,
        options: SpawnOptions,
        epoch: Epoch,
    ) {
        let MonitorOptions { alias, tag, .. } = options.monitor.unwrap_or_default();
        let request = Request {
            node,
            epoch,
            link: options.link,
            reply_on_success: options.reply_on_success,
            reply_on_error: options.reply_on_error,
            is_abandoned: false,
            reply_tag: options.reply_tag,
        };
        self.inner().held.request(reference, request, alias, tag);
    }

    /// Gives a spawn request up; a process that it links is told to exit. True if it was under way.
    pub fn abandon(&mut self, reference: &Reference) -> bool {
        let inner = self.inner.as_mut();
        inner.is_some_and(|inner| inner.held.abandon(reference))
    }

    /// A process was spawned here, by this one. The child is told by [`Signal::Link`] and
    /// [`Signal::Monitor`] before anything else.
    pub fn spawned(
        &mut self,
        child: Pid,
        link: bool,
        monitor: Option<(Reference, MonitorOptions)>,
    ) {
        if link {
            self.inner().links.handle_link(child, Epoch::LOCAL);
        }
        if let Some((reference, MonitorOptions { alias, tag, .. })) = monitor {
            let monitor = Monitor {
                target: child.into(),
                holder: None,
                epoch: Epoch::LOCAL,
            };
            self.inner().held.monitor(reference, monitor, alias, tag);
        }
    }

    /// The reply to a request that succeeded. Links and monitors of an abandoned one are undone.
    pub(super) fn handle_spawned(
        &mut self,
        reference: Reference,
        child: Pid,
        is: ChildIs,
        epoch: Epoch,
        out: &mut Vec<Output>,
    ) {
        let monitored = is.monitored.then_some(child);
        let Some(request) = self.take_request(&reference, child.node, monitored) else {
            return;
        };
        if request.is_abandoned {
            return self.undo_spawn(reference, child, is, epoch, out);
        }
        if is.linked {
            self.inner().links.handle_link(child, epoch);
        }
        if request.reply_on_success {
            let spawned = Info::Spawned {
                reference,
                pid: child,
                tag: request.reply_tag,
            };
            self.deliver(spawned, out);
        }
    }

    /// The reply to a request that failed.
    pub(super) fn handle_spawn_failed(
        &mut self,
        reference: Reference,
        node: NodeName,
        error: Atom,
        out: &mut Vec<Output>,
    ) {
        if let Some(request) = self.take_request(&reference, node, None) {
            self.spawn_failed(reference, request, error, out);
        }
    }

    /// The connection that a request went over was lost.
    pub(super) fn lose_request(
        &mut self,
        reference: Reference,
        request: Request,
        out: &mut Vec<Output>,
    ) {
        self.spawn_failed(reference, request, atom!("noconnection"), out);
    }

    fn spawn_failed(
        &mut self,
        reference: Reference,
        request: Request,
        reason: Atom,
        out: &mut Vec<Output>,
    ) {
        if request.reply_on_error && !request.is_abandoned {
            let failed = Info::SpawnFailed {
                reference,
                reason,
                tag: request.reply_tag,
            };
            self.deliver(failed, out);
        }
    }

    /// Tells the child, and undoes its ties, as `abandoned` by `exit/2` and an ordinary unlink.
    ///
    /// OTP breaks the link with an `Exit`. That says that its sender has ended, and where the child
    /// unlinked and linked anew meanwhile, or this process linked to the child by itself, it leaves
    /// a link that has one end. To the child it looks the same.
    fn undo_spawn(
        &mut self,
        reference: Reference,
        child: Pid,
        is: ChildIs,
        epoch: Epoch,
        out: &mut Vec<Output>,
    ) {
        let from = self.me;
        if is.linked {
            let reason = reason::abandoned();
            send(out, child, Signal::Exit2 { from, reason });
            let id = self.next_unlink();
            if self.inner().links.decline(child, epoch, id) {
                self.unlinks = id.get();
                send(out, child, Signal::Unlink { from, id });
            }
        }
        if is.monitored {
            send(out, child, Signal::Demonitor { from, reference });
        }
    }

    fn take_request(
        &mut self,
        reference: &Reference,
        node: NodeName,
        monitored: Option<Pid>,
    ) -> Option<Request> {
        let held = &mut self.inner.as_mut()?.held;
        held.handle_spawn_reply(reference, node, monitored)
    }
}

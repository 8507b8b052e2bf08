//! The life of a process: its body runs, signals act between its steps, and its end is told.
//!
//! The end, in this order: the body is dropped; the process leaves names and table; its queue closes,
//! and what still came is answered for; links and monitors are told. So whoever hears of an end finds
//! nobody under the pid or the name, and nothing that the process sent can follow it.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use purlin_otp::reason::{self, Reason};
use purlin_otp::relations::{Farewell, Relations};
use purlin_term::Term;

use super::cell::{Incoming, Slot};
use super::exit::{IntoExit, is_quiet, of_panic};
use super::{Core, Process};
use crate::message::Message;
use crate::panics;
use crate::runtime::Runtime;

/// Runs `body` as the process whose `life` it is, to its end.
pub(super) async fn run<M, B, F>(mut life: Life<M>, body: B)
where
    M: Message,
    B: FnOnce(Process<M>) -> F,
    F: Future<Output: IntoExit>,
{
    let end = {
        let core = life.core.clone();
        // Inside the future, so that a panic of the closure itself is the process's.
        let body = async move { body(Process { core }).await.into_exit() };
        let mut body = pin!(body);
        poll_fn(|cx| step(&life.core, body.as_mut(), cx)).await
    };
    life.is_crash = matches!(end, End::Panic(_));
    life.reason = match end {
        End::Returned(reason) => Some(reason.unwrap_or_else(|| life.runtime().normal().clone())),
        End::Panic(reason) | End::Signal(reason) => Some(reason),
    };
}

/// How a body came to its end.
enum End {
    Returned(Option<Reason>),
    Panic(Reason),
    Signal(Reason),
}

/// Polls the body once, signals first and last.
fn step<M: Message>(
    core: &Core<M>,
    body: Pin<&mut impl Future<Output = Option<Reason>>>,
    cx: &mut Context<'_>,
) -> Poll<End> {
    core.cell.header().set_waits(false);
    {
        let mut inside = core.inside();
        inside.begin_turn();
        inside.handle_signals();
        if let Some(reason) = inside.ending.take() {
            return Poll::Ready(End::Signal(reason));
        }
    }
    let polled = panics::in_process(|| catch_unwind(AssertUnwindSafe(|| body.poll(cx))));
    match polled {
        Ok(Poll::Ready(reason)) => Poll::Ready(End::Returned(reason)),
        Err(panic) => Poll::Ready(End::Panic(of_panic(&*panic))),
        Ok(Poll::Pending) if core.cell.header().waits() => Poll::Pending,
        Ok(Poll::Pending) => rest(core, cx),
    }
}

/// The body waits for something else than messages: signals are to be seen all the same.
fn rest<M: Message>(core: &Core<M>, cx: &mut Context<'_>) -> Poll<End> {
    let mut inside = core.inside();
    let came = inside.watch_queue(cx);
    if let Some(reason) = inside.ending.take() {
        return Poll::Ready(End::Signal(reason));
    }
    if came {
        cx.waker().wake_by_ref();
    }
    Poll::Pending
}

/// Ends the process when dropped, however its task came to an end.
pub(super) struct Life<M: Message> {
    pub(super) core: Arc<Core<M>>,
    pub(super) reason: Option<Reason>,
    is_crash: bool,
}

impl<M: Message> Life<M> {
    pub(super) fn new(core: Arc<Core<M>>) -> Self {
        Self {
            core,
            reason: None,
            is_crash: false,
        }
    }

    fn runtime(&self) -> &Runtime {
        self.core.cell.header().runtime()
    }
}

impl<M: Message> Drop for Life<M> {
    fn drop(&mut self) {
        // A task that is dropped unfinished was ended by its executor.
        let reason = self.reason.take().unwrap_or_else(reason::killed);
        let head = self.core.cell.header();
        let runtime = head.runtime();
        if self.is_crash || !is_quiet(&reason) {
            crate::report::ended(head, &self.core.inside(), &reason, self.is_crash);
        }
        runtime.table().remove(head);
        let mut inside = self.core.inside();
        inside.receiver.close();
        while let Some(slot) = inside.receiver.pop() {
            if let Slot::Signal(signal) = slot {
                answer_after_end(runtime, &mut inside.relations, *signal);
            }
        }
        let relations = std::mem::replace(&mut inside.relations, Relations::new(head.pid()));
        drop(inside);
        for farewell in relations.exit(reason) {
            match farewell {
                Farewell::Send { to, signal } => runtime.send_signal(head.pid(), to, signal),
                Farewell::Orphan {
                    reference,
                    node,
                    reason,
                } => runtime.adopt_orphan(reference, node, reason),
            }
        }
    }
}

/// A signal that came before the queue closed, and was not handled: it belongs to the life of the
/// process, which ends only now, save that nothing ends it again.
fn answer_after_end(runtime: &Runtime, relations: &mut Relations, signal: Incoming) {
    let Incoming::Signal(signal, epoch) = signal else {
        return;
    };
    let mut out = Vec::new();
    let me = relations.me();
    relations.handle_signal(signal, epoch, &mut out);
    for output in out {
        if let purlin_otp::relations::Output::Send { to, signal } = output {
            runtime.send_signal(me, to, signal);
        }
    }
}

/// The reason as the log shows it.
pub(crate) fn shown(reason: &Term) -> String {
    let text = reason.to_string();
    match text.char_indices().nth(crate::limits::REASON_SHOWN_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

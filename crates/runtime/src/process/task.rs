//! The life of a process: its body runs, signals act between its steps, and its end is told.
//!
//! The end, in this order: the body is dropped, then what the process holds; it leaves names and table; its
//! queue closes, and what still came is answered for; links and monitors are told. So whoever hears of an
//! end finds nobody under the pid or the name, and nothing that the process sent can follow it.

use std::fmt::{Display, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use purlin_mailbox::Awaited;
use purlin_otp::reason::{self, Reason};
use purlin_otp::relations::{Output, Relations};

use super::Process;
use super::cell::{Cell, Incoming};
use super::exit::{IntoExit, is_quiet};
use super::farewell;
use super::inside::Inside;
use super::watermark;
use crate::message::Message;
use crate::panics;
use crate::runtime::Runtime;

pin_project_lite::pin_project! {
    /// A process as a task. Written by hand, since an async block would hold the body several times.
    pub(super) struct Task<M: Message, B, F> {
        #[pin]
        body: Body<B, F>,
        // After the body, so that it is dropped after it.
        life: Life<M>,
    }

    impl<M: Message, B, F> PinnedDrop for Task<M, B, F> {
        fn drop(this: Pin<&mut Self>) {
            // Who drops it unfinished is no process, and not to fall with it.
            let mut body = this.project().body;
            if !matches!(*body, Body::Gone) {
                let _ = catch_unwind(AssertUnwindSafe(|| body.set(Body::Gone)));
            }
        }
    }
}

pin_project_lite::pin_project! {
    /// The body of a process: before its first step, running, and gone.
    #[project = Stage]
    enum Body<B, F> {
        Start { body: Option<B> },
        Running { #[pin] future: F },
        Gone,
    }
}

impl<M: Message, B, F> Task<M, B, F> {
    pub(super) fn new(life: Life<M>, body: B) -> Self {
        let body = Body::Start { body: Some(body) };
        Self { body, life }
    }
}

impl<M, B, F> Future for Task<M, B, F>
where
    M: Message,
    B: FnOnce(Process<M>) -> F,
    F: Future<Output: IntoExit>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let (life, mut body) = (this.life, this.body);
        let Poll::Ready(end) = step(life, body.as_mut(), cx) else {
            return Poll::Pending;
        };
        life.end(end);
        // The body goes first: what its values do when they are dropped is still the process's.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body.set(Body::Gone))) {
            life.end(End::Panic(panics::exit_reason(&*panic)));
        }
        life.tell();
        Poll::Ready(())
    }
}

impl<B, F> Body<B, F> {
    /// Runs the body on, from its beginning if it has not begun.
    fn poll<M>(
        mut self: Pin<&mut Self>,
        cell: &Arc<Cell<M>>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Reason>>
    where
        B: FnOnce(Process<M>) -> F,
        F: Future<Output: IntoExit>,
    {
        loop {
            let future = match self.as_mut().project() {
                Stage::Running { future } => {
                    return future.poll(cx).map(IntoExit::into_exit);
                }
                Stage::Start { body } => {
                    let cell = cell.clone();
                    body.take().map(|body| body(Process { cell }))
                }
                Stage::Gone => None,
            };
            match future {
                Some(future) => self.set(Body::Running { future }),
                None => return Poll::Pending,
            }
        }
    }
}

/// How a body came to its end.
enum End {
    Returned(Option<Reason>),
    Panic(Reason),
    Signal(Reason),
}

/// Polls the body once, signals first and last.
fn step<M, B, F>(life: &mut Life<M>, body: Pin<&mut Body<B, F>>, cx: &mut Context<'_>) -> Poll<End>
where
    M: Message,
    B: FnOnce(Process<M>) -> F,
    F: Future<Output: IntoExit>,
{
    let cell = &life.cell;
    let head = cell.header();
    head.begin_turn();
    if head.signals_waiting() > 0
        && let Some(reason) = handle_signals(cell)
    {
        return Poll::Ready(End::Signal(reason));
    }
    let polled = head.runtime().schedule().step(head.number(), || {
        panics::in_process(|| catch_unwind(AssertUnwindSafe(|| body.poll(cell, cx))))
    });
    match polled {
        Ok(Poll::Ready(reason)) => Poll::Ready(End::Returned(reason)),
        Err(panic) => Poll::Ready(End::Panic(panics::exit_reason(&*panic))),
        Ok(Poll::Pending) => {
            if head.queue_state().may_be_long() {
                Inside::of(cell).owner.tell_taken();
                watermark::look(cell);
            }
            match head.waits() || life.still_rests() {
                true => Poll::Pending,
                false => rest(life, cx),
            }
        }
    }
}

/// Signals act; answers why the process is to end, if it is.
#[inline(never)]
fn handle_signals<M: Message>(cell: &Cell<M>) -> Option<Reason> {
    let mut inside = Inside::of(cell);
    inside.handle_signals();
    inside.owner.take_ending()
}

/// The body waits for something else than messages: signals are to be seen all the same.
fn rest<M: Message>(life: &mut Life<M>, cx: &mut Context<'_>) -> Poll<End> {
    let mut inside = Inside::of(&life.cell);
    let came = inside.watch_queue(cx);
    if let Some(reason) = inside.owner.take_ending() {
        return Poll::Ready(End::Signal(reason));
    }
    if came {
        cx.waker().wake_by_ref();
    } else if life.has_one_waker
        && let Some(place) = inside.owner.awaited()
    {
        life.awaited = place;
        inside.head().set_rests();
    }
    Poll::Pending
}

/// A process that has not ended yet. It ends when this is dropped, if nobody ended it before.
pub(super) struct Life<M: Message> {
    pub(super) cell: Arc<Cell<M>>,
    /// Where the queue wakes the process while it rests.
    awaited: Awaited,
    /// It is polled with the same waker each time, as a process of a runner is.
    pub(super) has_one_waker: bool,
    /// Why it has ended, once it has.
    reason: Reason,
    has_ended: bool,
    is_crash: bool,
    is_told: bool,
}

/// What every process has of it, beside its body.
const _: () = assert!(size_of::<Life<()>>() == 24);

impl<M: Message> Life<M> {
    pub(super) fn new(cell: Arc<Cell<M>>) -> Self {
        Self {
            cell,
            awaited: Awaited::default(),
            has_one_waker: false,
            reason: reason::normal(),
            has_ended: false,
            is_crash: false,
            is_told: false,
        }
    }

    fn end(&mut self, end: End) {
        self.is_crash |= matches!(end, End::Panic(_));
        self.end_with(match end {
            End::Returned(reason) => reason.unwrap_or_else(reason::normal),
            End::Panic(reason) | End::Signal(reason) => reason,
        });
    }

    /// It has ended, whatever was said before.
    pub(super) fn end_with(&mut self, reason: Reason) {
        self.has_ended = true;
        self.reason = reason;
    }

    /// Whether the queue still wakes the process, since it has rested in an earlier turn and nothing has come.
    #[inline]
    fn still_rests(&self) -> bool {
        self.cell.header().rests() && !self.cell.has_reached(self.awaited)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether what runs in it has told the log of its end. A panic is told all the same: it came later.
    fn is_reported(&self) -> bool {
        let inside = Inside::of(&self.cell);
        let extra = inside.owner.extra.as_ref();
        extra.is_some_and(|extra| extra.is_reported)
    }

    /// Tells of the end, once.
    fn tell(&mut self) {
        if std::mem::replace(&mut self.is_told, true) {
            return;
        }
        let head = self.cell.header();
        let runtime = head.runtime();
        let reason = match self.has_ended {
            true => std::mem::replace(&mut self.reason, reason::normal()),
            // A task that is dropped unfinished was ended by its executor.
            false => reason::killed(),
        };
        if !reason.is_normal() && (self.is_crash || !(is_quiet(&reason) || self.is_reported())) {
            crate::report::ended(head, &mut Inside::of(&self.cell), &reason, self.is_crash);
        }
        let_go(&self.cell);
        runtime.table().remove(head);
        let mut inside = Inside::of(&self.cell);
        let relations = close(runtime, &mut inside);
        let extra = inside.owner.extra.as_mut();
        let at_end = extra.and_then(|extra| extra.at_end.take());
        drop(inside);
        let heard = at_end.map(|at_end| (at_end, reason.clone()));
        if relations.has_ties() {
            farewell::bid(head, relations, reason);
        }
        if let Some((at_end, reason)) = heard {
            at_end(&reason);
        }
    }
}

/// Drops what the process holds. Whatever that does, the process goes on, and its end is told.
pub(super) fn let_go<M: Message>(cell: &Cell<M>) {
    let mut inside = Inside::of(cell);
    let extra = inside.owner.extra.as_mut();
    let held = extra.map(|extra| std::mem::take(&mut extra.held));
    drop(inside);
    for held in held.into_iter().flatten() {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(held)));
    }
}

impl<M: Message> Drop for Life<M> {
    fn drop(&mut self) {
        self.tell();
    }
}

/// Closes the queue and answers what still came; what is left are the ties to others.
fn close<M: Message>(runtime: &Runtime, inside: &mut Inside<M>) -> Relations {
    inside.owner.close();
    if let Some(bound) = inside.head().bound() {
        bound.close();
    }
    while let Some(slot) = inside.owner.pop() {
        if let Ok(signal) = slot.into_signal() {
            answer_after_end(runtime, &mut inside.owner.relations, signal);
        }
    }
    inside.owner.finish();
    let empty = Relations::new(inside.owner.relations.me());
    std::mem::replace(&mut inside.owner.relations, empty)
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
        if let Output::Send { to, signal } = output {
            runtime.send_signal(me, to.into(), signal, None);
        }
    }
}

/// A reason or a message as the log shows it.
pub(crate) fn shown(what: &(impl Display + ?Sized)) -> String {
    let mut shown = Shown(String::new());
    if write!(shown, "{what}").is_err() {
        shown.0.push_str("...");
    }
    shown.0
}

/// The beginning of a text: a term may be of any size, and is not to be printed whole for that.
struct Shown(String);

impl Write for Shown {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = crate::limits::REASON_SHOWN_MAX.saturating_sub(self.0.len());
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        let end = (0..=room).rev().find(|end| text.is_char_boundary(*end));
        self.0.push_str(&text[..end.unwrap_or(0)]);
        Err(std::fmt::Error)
    }
}

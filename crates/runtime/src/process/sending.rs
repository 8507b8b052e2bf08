//! The future of a send.
//!
//! Nearly always the first poll ends it, so what waiting needs is on the heap, and the body of a process
//! that sends stays small.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::cell::Entry;
use super::head::Head;
use crate::executor::BoxFuture;
use crate::message::Message;
use crate::send::{Recipient, SendError, Step};

/// Sends a message when it is polled.
pub(super) struct Sending<'p, T, R> {
    head: &'p Head,
    to: R,
    /// Until it was sent, or handed to `rest`.
    message: Option<T>,
    rest: Option<BoxFuture<'p, Result<(), SendError>>>,
}

impl<'p, T, R> Sending<'p, T, R> {
    pub(super) fn new(head: &'p Head, to: R, message: T) -> Self {
        Self {
            head,
            to,
            message: Some(message),
            rest: None,
        }
    }
}

/// Nothing in it is pinned.
impl<T, R> Unpin for Sending<'_, T, R> {}

impl<T: Message, R: Recipient<T>> Future for Sending<'_, T, R> {
    type Output = Result<(), SendError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(rest) = &mut self.rest {
            return rest.as_mut().poll(cx);
        }
        // Who only ever sends is not to keep others waiting either.
        if !self.head.spend_or_renew() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let message = self.message.take().expect("it was not ready yet");
        let (runtime, from) = (self.head.runtime(), || self.head.pid());
        match runtime.begin_send(from, &self.to, message, Entry::Counted) {
            Step::Done(done) => Poll::Ready(done),
            step => self.wait(step, cx),
        }
    }
}

impl<T: Message, R> Sending<'_, T, R> {
    #[cold]
    fn wait(&mut self, step: Step<T>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let rest = self.head.runtime().finish_send(self.head.pid(), step);
        self.rest.insert(Box::pin(rest)).as_mut().poll(cx)
    }
}

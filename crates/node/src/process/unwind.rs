//! A panic of a process ends that process only.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use purlin_term::{Term, atom};

#[cfg(panic = "abort")]
compile_error!("Purlin needs panic = \"unwind\": a panic must end one process, not the node");

/// Runs a future; a panic in it becomes `Err` with what the panic said.
///
/// The future is dropped after a panic and never polled again, so nothing sees its broken state.
pub(crate) struct CatchUnwind<F>(pub(crate) Pin<Box<F>>);

impl<F: Future> Future for CatchUnwind<F> {
    type Output = Result<F::Output, Term>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let inner = self.0.as_mut();
        match catch_unwind(AssertUnwindSafe(|| inner.poll(context))) {
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(payload) => Poll::Ready(Err(panic_reason(payload.as_ref()))),
        }
    }
}

/// `{panic, Message}`, the message as a binary.
fn panic_reason(payload: &(dyn std::any::Any + Send)) -> Term {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    Term::tuple([atom!("panic").into(), text.into()])
}

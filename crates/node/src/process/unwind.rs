//! A panic of a process ends that process only.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use purlin_runtime::panics;
use purlin_term::Term;

#[cfg(panic = "abort")]
compile_error!("Purlin needs panic = \"unwind\": a panic must end one process, not the node");

/// Runs a future; a panic in it becomes `Err` with what the panic said.
///
/// The future is dropped after a panic and never polled again, so nothing sees its broken state.
pub(crate) struct CatchUnwind<F: ?Sized>(pub(crate) Pin<Box<F>>);

impl<F: Future + ?Sized> Future for CatchUnwind<F> {
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

/// The reason, which is logged as well: where the program has the hook of [`panics`], nobody else does.
fn panic_reason(payload: &(dyn std::any::Any + Send)) -> Term {
    let reason = panics::exit_reason(payload);
    let backtrace = panics::last_backtrace();
    tracing::error!(%reason, backtrace, "a function that was called panicked");
    Term::clone(&reason)
}

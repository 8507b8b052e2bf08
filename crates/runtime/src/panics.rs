//! Where a panic happened.
//!
//! Rust tells a panic's place only to the panic hook, which belongs to the program: [`install_hook`] is
//! for its `main`. Without it processes end with the panic's text alone.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;

use purlin_otp::reason::Reason;
use purlin_term::{Term, atom};

/// A place in a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) backtrace: Option<String>,
}

thread_local! {
    /// The place of the last panic on this thread, until somebody asks.
    static LAST: RefCell<Option<Place>> = const { RefCell::new(None) };
    /// A process runs on this thread: its panics are reported by its end, not by the hook.
    static IN_PROCESS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Makes panics of processes carry their place into exit reasons and crash reports, and keeps the hook
/// that was there for all other panics. Once, at the beginning of a program, after it has set a hook of its
/// own.
///
/// A backtrace is taken when `RUST_BACKTRACE` asks for one.
pub fn install_hook() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !IN_PROCESS.get() {
            return before(info);
        }
        let place = info.location().map(|location| Place {
            file: location.file().into(),
            line: location.line(),
            backtrace: backtrace(),
        });
        LAST.with_borrow_mut(|last| *last = place);
    }));
}

fn backtrace() -> Option<String> {
    let backtrace = Backtrace::capture();
    (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string())
}

/// Why a process ends that panicked with this: `{panic, Text}`, or `{panic, Text, {File, Line}}` where
/// [`install_hook`] has seen to it. For the panic that was just caught on this thread.
pub fn exit_reason(payload: &(dyn Any + Send)) -> Reason {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a text");
    let mut parts = vec![Term::from(atom!("panic")), text.into()];
    if let Some(place) = last_place() {
        let line = Term::from(i64::from(place.line));
        parts.push(Term::tuple([Term::from(place.file.as_str()), line]));
    }
    Reason::new(Term::tuple(parts))
}

/// Runs a step of a process.
#[inline]
pub(crate) fn in_process<R>(step: impl FnOnce() -> R) -> R {
    let before = IN_PROCESS.replace(true);
    let done = step();
    IN_PROCESS.set(before);
    done
}

/// The place of that panic.
fn last_place() -> Option<Place> {
    LAST.with_borrow(Clone::clone)
}

/// The backtrace of that panic, where one was asked for. Forgets the panic.
pub fn last_backtrace() -> Option<String> {
    LAST.take()?.backtrace
}

//! How a process ends: its exit reason.

use std::convert::Infallible;

use purlin_otp::reason::{self, Reason};
use purlin_term::{Term, atom};

/// What the body of a process may return: its exit reason.
pub trait IntoExit {
    /// The reason; `None` for `normal`.
    fn into_exit(self) -> Option<Reason>;
}

/// `normal`.
impl IntoExit for () {
    fn into_exit(self) -> Option<Reason> {
        None
    }
}

/// The type of a body that loops for ever, which stable Rust has no name for.
type Never = <fn() -> ! as Returns>::Value;

/// Names what a function returns.
pub trait Returns {
    /// That.
    type Value;
}

impl<T> Returns for fn() -> T {
    type Value = T;
}

/// Ends by a signal or a panic only.
impl IntoExit for Never {
    fn into_exit(self) -> Option<Reason> {
        self
    }
}

/// Ends by a signal or a panic only.
impl IntoExit for Infallible {
    fn into_exit(self) -> Option<Reason> {
        match self {}
    }
}

impl IntoExit for Reason {
    fn into_exit(self) -> Option<Reason> {
        Some(self)
    }
}

impl IntoExit for Term {
    fn into_exit(self) -> Option<Reason> {
        Some(Reason::new(self))
    }
}

/// `normal`, or `{error, Text}` with the error's text.
impl<T: IntoExit, E: std::fmt::Display> IntoExit for Result<T, E> {
    fn into_exit(self) -> Option<Reason> {
        match self {
            Ok(value) => value.into_exit(),
            Err(error) => {
                let text = Term::from(error.to_string().as_str());
                Some(Reason::new(Term::tuple([atom!("error").into(), text])))
            }
        }
    }
}

/// Whether nobody needs to hear of an end so.
pub(super) fn is_quiet(reason: &Term) -> bool {
    reason::is_orderly(reason)
}

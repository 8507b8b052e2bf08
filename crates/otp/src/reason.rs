//! The exit reasons that OTP gives a meaning, as terms.
//!
//! Source: reference manual, "Processes", "Termination" and "Signals"; for `shutdown`, the design
//! principles' "Supervisor Behaviour". A reason is shared: one death may tell many.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Weak};

use purlin_term::{Term, atom};

/// An exit reason: a term. Shared, since one death may tell a hundred thousand processes.
///
/// `normal` is shared by all without being counted: it is nearly every reason, and a count of it would
/// be written by every thread at every end. Invariant `R1`: no counted reason is `normal`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reason(Option<Arc<Term>>);

static NORMAL: Term = Term::Atom(atom!("normal"));

/// A reason as far as somebody else holds it.
#[derive(Debug, Clone)]
pub struct WeakReason(Weak<Term>);

impl Reason {
    /// A reason to be shared.
    pub fn new(reason: Term) -> Self {
        Self((!is_normal(&reason)).then(|| Arc::new(reason)))
    }

    /// Whether it is `normal`.
    pub fn is_normal(&self) -> bool {
        self.0.is_none()
    }

    /// Whether both are the same one, shared: equal ones may not be.
    pub fn is_same(&self, other: &Self) -> bool {
        std::ptr::eq::<Term>(&**self, &**other)
    }

    /// How many hold it; `None` for `normal`, which is not counted.
    pub fn holders(&self) -> Option<usize> {
        self.0.as_ref().map(Arc::strong_count)
    }

    /// What tells whether anybody holds it, without holding it. Nobody counts as holding `normal`.
    pub fn downgrade(&self) -> WeakReason {
        WeakReason(self.0.as_ref().map(Arc::downgrade).unwrap_or_default())
    }
}

impl WeakReason {
    /// Whether anybody holds the reason.
    pub fn is_held(&self) -> bool {
        self.0.strong_count() > 0
    }
}

impl Deref for Reason {
    type Target = Term;

    fn deref(&self) -> &Term {
        self.0.as_deref().unwrap_or(&NORMAL)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

impl From<Term> for Reason {
    fn from(reason: Term) -> Self {
        Self::new(reason)
    }
}

/// Its parts are shared, so this is cheap.
impl From<Reason> for Term {
    fn from(reason: Reason) -> Self {
        Self::clone(&reason)
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name() -> Reason {
            Reason::new(atom!($text).into())
        }
    )*};
}

reasons! {
    /// The process had nothing more to do. As an exit signal it ends nobody but its own sender.
    normal = "normal";
    /// The process was told to end in good order, by its supervisor.
    shutdown = "shutdown";
    /// Asks a process to end whatever it traps, when sent by `exit/2`.
    kill = "kill";
    /// What `kill` by `exit/2` made of a process: links and monitors see this.
    killed = "killed";
    /// The process is not there.
    noproc = "noproc";
    /// The node is not connected, or its connection broke.
    noconnection = "noconnection";
    /// The process came of a spawn request that was abandoned.
    abandoned = "abandoned";
}

/// Whether `reason` is `normal`.
pub fn is_normal(reason: &Term) -> bool {
    reason.is_atom("normal")
}

/// Whether a process that ends so ended as it should: `normal`, `shutdown` or `{shutdown, _}`.
///
/// Supervisors restart no transient child for it, and nothing is logged.
pub fn is_orderly(reason: &Term) -> bool {
    let is_tagged = |pair: &[Term]| pair.len() == 2 && pair[0].is_atom("shutdown");
    is_normal(reason) || reason.is_atom("shutdown") || reason.as_tuple().is_some_and(is_tagged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_and_shutdown_with_or_without_a_word_are_orderly() {
        let tagged = |tag: Reason, len: usize| {
            let rest = (1..len).map(|n| Term::from(n as i64));
            Term::tuple([Term::clone(&tag)].into_iter().chain(rest))
        };
        assert!(is_orderly(&normal()) && is_orderly(&shutdown()));
        assert!(is_orderly(&tagged(shutdown(), 2)));
        assert!(!is_orderly(&tagged(shutdown(), 3)) && !is_orderly(&tagged(shutdown(), 1)));
        assert!(!is_orderly(&tagged(normal(), 2)));
        assert!(!is_orderly(&kill()) && !is_orderly(&noproc()));
    }

    #[test]
    fn normal_is_equal_however_it_was_made_and_is_not_counted() {
        let made = Reason::new(atom!("normal").into());
        assert!(made == normal() && made.is_same(&normal()));
        assert_eq!((made.holders(), shutdown().holders()), (None, Some(1)));
        assert!(!made.downgrade().is_held());
        assert!(made.is_atom("normal") && made != shutdown());
    }

    #[test]
    fn a_reason_is_held_until_the_last_lets_go() {
        let reason = shutdown();
        let (weak, other) = (reason.downgrade(), reason.clone());
        assert!(other.is_same(&reason) && !other.is_same(&shutdown()));
        drop(reason);
        assert!(weak.is_held());
        drop(other);
        assert!(!weak.is_held());
    }

    #[test]
    fn only_the_atom_normal_is_normal() {
        assert!(is_normal(&normal()));
        assert!(!is_normal(&shutdown()) && !is_normal(&"normal".into()));
    }
}

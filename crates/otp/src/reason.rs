//! The exit reasons that OTP gives a meaning, as terms.
//!
//! Source: reference manual, "Processes", "Termination" and "Signals"; for `shutdown`, the design
//! principles' "Supervisor Behaviour". A reason is shared: one death may tell many.

use std::sync::Arc;

use purlin_term::{Term, atom};

/// An exit reason. Shared, since one death may tell a hundred thousand processes.
pub type Reason = Arc<Term>;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name() -> Reason {
            Arc::new(atom!($text).into())
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
    fn only_the_atom_normal_is_normal() {
        assert!(is_normal(&normal()));
        assert!(!is_normal(&shutdown()) && !is_normal(&"normal".into()));
    }
}

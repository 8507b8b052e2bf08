//! Child specs: what a supervisor knows of a child, and OTP's checks of it.
//!
//! Source: `supervisor`'s manual page, "Child specification", and `check_childspecs/2` of OTP 28.
//! What starts a child is the driver's: any type `S`. [`terms`](super::terms) reads OTP's terms.

use std::collections::BTreeSet;
use std::time::Duration;

use purlin_term::{Atom, Term, atom};

use super::flags::AutoShutdown;

/// The shutdown time of a worker, OTP's default.
pub const WORKER_SHUTDOWN: Duration = Duration::from_millis(5000);

/// When a child that has ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Restart {
    /// Always.
    #[default]
    Permanent,
    /// When it ended with another reason than `normal`, `shutdown` or `{shutdown, _}`.
    Transient,
    /// Never: it is forgotten.
    Temporary,
}

/// How a child is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// With `kill`.
    BrutalKill,
    /// With `shutdown`, and with `kill` when it has not ended after that time.
    Timeout(Duration),
    /// With `shutdown`, however long it takes.
    Infinity,
}

/// What a child is: OTP's `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// A process without children.
    #[default]
    Worker,
    /// A supervisor.
    Supervisor,
}

/// The modules of a child: only told, by `which_children`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Modules {
    /// They change, as those of an event manager.
    Dynamic,
    /// These.
    List(Vec<Atom>),
}

/// What a supervisor knows of a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildSpec<S> {
    /// What the child is called in its supervisor. Dynamic children have no use for it.
    pub id: Term,
    /// What starts it.
    pub start: S,
    /// When it is started again.
    pub restart: Restart,
    /// Whether its end may end the supervisor: see [`AutoShutdown`].
    pub significant: bool,
    /// How it is ended.
    pub shutdown: Shutdown,
    /// Worker or supervisor.
    pub kind: Kind,
    /// Its modules.
    pub modules: Modules,
}

/// Why a child spec is refused; nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// Two children have this id.
    #[error("two children have the id {0}")]
    Duplicate(Term),
    /// A significant child, where the supervisor never shuts down by itself.
    #[error("a child cannot be significant to a supervisor whose auto_shutdown is never")]
    SignificantForNever,
    /// A significant child that is permanent.
    #[error("a permanent child cannot be significant, since its end is never for good")]
    SignificantPermanent,
    /// The map has no `id`.
    #[error("the child spec has no id")]
    MissingId,
    /// The map has no `start`.
    #[error("the child spec has no start")]
    MissingStart,
    /// A value that is none for its key.
    #[error("the child spec is not valid: {error}, {value}")]
    Invalid {
        /// OTP's word: `invalid_restart_type` and so on.
        error: Atom,
        /// The value.
        value: Term,
    },
}

impl<S> ChildSpec<S> {
    /// A permanent worker, with OTP's defaults.
    pub fn worker(id: impl Into<Term>, start: S) -> Self {
        Self {
            id: id.into(),
            start,
            restart: Restart::Permanent,
            significant: false,
            shutdown: Shutdown::Timeout(WORKER_SHUTDOWN),
            kind: Kind::Worker,
            modules: Modules::List(Vec::new()),
        }
    }

    /// A permanent supervisor, with OTP's defaults.
    pub fn supervisor(id: impl Into<Term>, start: S) -> Self {
        Self {
            shutdown: Shutdown::Infinity,
            kind: Kind::Supervisor,
            ..Self::worker(id, start)
        }
    }

    /// The spec with another start, and the start that it had.
    pub fn with_start<N>(self, start: N) -> (ChildSpec<N>, S) {
        let spec = ChildSpec {
            id: self.id,
            start,
            restart: self.restart,
            significant: self.significant,
            shutdown: self.shutdown,
            kind: self.kind,
            modules: self.modules,
        };
        (spec, self.start)
    }

    /// Whether it is never started again.
    pub fn is_temporary(&self) -> bool {
        self.restart == Restart::Temporary
    }

    /// OTP's check of one spec, as far as types leave something to check. `None` stands for
    /// `check_childspecs/1`, which does not know the supervisor.
    ///
    /// # Errors
    /// `SignificantForNever` and `SignificantPermanent`.
    pub fn check(&self, auto_shutdown: Option<AutoShutdown>) -> Result<(), SpecError> {
        match self.significant {
            true if auto_shutdown == Some(AutoShutdown::Never) => {
                Err(SpecError::SignificantForNever)
            }
            true if self.restart == Restart::Permanent => Err(SpecError::SignificantPermanent),
            _ => Ok(()),
        }
    }
}

/// `check_childspecs`: each spec, and that no two have one id.
///
/// # Errors
/// That of the first that is refused.
pub fn check_childspecs<S>(
    specs: &[ChildSpec<S>],
    auto_shutdown: Option<AutoShutdown>,
) -> Result<(), SpecError> {
    let mut ids = BTreeSet::new();
    for spec in specs {
        spec.check(auto_shutdown)?;
        if !ids.insert(&spec.id) {
            return Err(SpecError::Duplicate(spec.id.clone()));
        }
    }
    Ok(())
}

impl SpecError {
    /// As OTP says it.
    pub fn to_term(&self) -> Term {
        match self {
            Self::Duplicate(id) => pair(atom!("duplicate_child_name"), id.clone()),
            Self::SignificantForNever => {
                bad_combination([pair(atom!("auto_shutdown"), atom!("never")), significant()])
            }
            Self::SignificantPermanent => {
                bad_combination([pair(atom!("restart"), atom!("permanent")), significant()])
            }
            Self::MissingId => atom!("missing_id").into(),
            Self::MissingStart => atom!("missing_start").into(),
            Self::Invalid { error, value } => pair(error.clone(), value.clone()),
        }
    }
}

pub(super) fn pair(first: impl Into<Term>, second: impl Into<Term>) -> Term {
    Term::tuple([first.into(), second.into()])
}

pub(super) fn bad_combination(options: [Term; 2]) -> Term {
    pair(atom!("bad_combination"), Term::list(options))
}

fn significant() -> Term {
    pair(atom!("significant"), true)
}

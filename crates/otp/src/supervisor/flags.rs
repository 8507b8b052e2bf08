//! The flags of a supervisor: strategy, restart intensity, automatic shutdown, and our additions.
//!
//! Source: `supervisor`'s manual page, "Supervisor flags"; `max_children` is that of Elixir's
//! `DynamicSupervisor`, the back-off is ours.

use std::time::Duration;

use purlin_term::{Atom, Term, atom};

use super::spec::{bad_combination, pair};

/// Who is restarted when a child has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// That child.
    #[default]
    OneForOne,
    /// All children.
    OneForAll,
    /// That child and those that were started after it.
    RestForOne,
    /// That child. All children are instances of one spec, without an order among them, and are
    /// known by their pids.
    SimpleOneForOne,
    /// That child: Elixir's `DynamicSupervisor`. As `SimpleOneForOne`, but each child comes with a
    /// spec of its own.
    Dynamic,
}

/// When a supervisor ends because of children that have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AutoShutdown {
    /// Never; no child may be significant.
    #[default]
    Never,
    /// When a significant child has ended and is not restarted.
    AnySignificant,
    /// When the last active significant child has ended and is not restarted.
    AllSignificant,
}

/// A delay before each restart of a child, which grows while the child keeps ending. An addition to
/// OTP.
///
/// The first restart waits for `min`, each further one `factor` times as long, up to `max`. A child
/// that was not to be restarted for longer than `max` begins anew. The restart is counted when
/// the child ends. Children that the strategy ends with it are ended at once, and are started
/// again with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first delay.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
    /// By what each is longer than the last; 1 keeps it.
    pub factor: u32,
}

/// The properties of a supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flags {
    /// Who is restarted when a child has ended.
    pub strategy: Strategy,
    /// How many restarts within `period` the supervisor takes; one more ends it.
    pub intensity: u32,
    /// See `intensity`.
    pub period: Duration,
    /// When the supervisor ends because of children that have.
    pub auto_shutdown: AutoShutdown,
    /// How many dynamic children there may be; for the dynamic strategies.
    pub max_children: Option<usize>,
    /// The delay before restarts; none, as in OTP, where there is none.
    pub backoff: Option<Backoff>,
}

/// Why flags are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlagsError {
    /// Dynamic children cannot be significant.
    #[error("dynamic children cannot be significant, so auto_shutdown has to be never")]
    AutoShutdownOfDynamic(AutoShutdown),
    /// A value that is none for its key.
    #[error("a flag is not valid: {error}, {value}")]
    Invalid {
        /// OTP's word: `invalid_period` and so on.
        error: Atom,
        /// The value.
        value: Term,
    },
}

impl Default for Flags {
    /// OTP's: one for one, one restart in five seconds, no automatic shutdown.
    fn default() -> Self {
        Self {
            strategy: Strategy::OneForOne,
            intensity: 1,
            period: Duration::from_secs(5),
            auto_shutdown: AutoShutdown::Never,
            max_children: None,
            backoff: None,
        }
    }
}

impl Strategy {
    /// Whether children have no order, and are known by their pids.
    pub fn is_dynamic(self) -> bool {
        matches!(self, Self::SimpleOneForOne | Self::Dynamic)
    }
}

impl AutoShutdown {
    /// As OTP says it.
    pub fn to_atom(self) -> Atom {
        match self {
            Self::Never => atom!("never"),
            Self::AnySignificant => atom!("any_significant"),
            Self::AllSignificant => atom!("all_significant"),
        }
    }
}

impl Backoff {
    /// The delay after `earlier` delays without a pause.
    pub fn delay(&self, earlier: u32) -> Duration {
        let factor = self.factor.checked_pow(earlier).unwrap_or(u32::MAX);
        self.min
            .checked_mul(factor)
            .map_or(self.max, |delay| delay.min(self.max))
    }
}

impl Flags {
    /// OTP's checks, as far as types leave something to check, and ours of the back-off.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check(&self) -> Result<(), FlagsError> {
        if self.period.is_zero() {
            return Err(invalid(atom!("invalid_period"), 0));
        }
        if self.strategy.is_dynamic() && self.auto_shutdown != AutoShutdown::Never {
            return Err(FlagsError::AutoShutdownOfDynamic(self.auto_shutdown));
        }
        match self.backoff {
            Some(backoff) if backoff.factor == 0 => Err(invalid(atom!("invalid_backoff"), 0)),
            Some(backoff) if backoff.max < backoff.min => {
                Err(invalid(atom!("invalid_backoff"), millis(backoff.max)))
            }
            _ => Ok(()),
        }
    }
}

impl FlagsError {
    /// As OTP says it.
    pub fn to_term(&self) -> Term {
        match self {
            Self::AutoShutdownOfDynamic(auto_shutdown) => bad_combination([
                pair(atom!("auto_shutdown"), auto_shutdown.to_atom()),
                pair(atom!("strategy"), atom!("simple_one_for_one")),
            ]),
            Self::Invalid { error, value } => pair(error.clone(), value.clone()),
        }
    }
}

fn invalid(error: Atom, value: impl Into<Term>) -> FlagsError {
    let value = value.into();
    FlagsError::Invalid { error, value }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

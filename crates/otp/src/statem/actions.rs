//! What a callback asks for.

use std::time::Duration;

use super::Timer;

/// The state after an event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Next<S> {
    /// The same: `keep_state`.
    #[default]
    Keep,
    /// The same, which is entered once more: `repeat_state`.
    Repeat,
    /// This one: `next_state`. An equal one is kept, and not entered.
    State(S),
}

/// When a timeout is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// After this time; after none it is an event at once, behind those that wait.
    After(Duration),
    /// At this time; the past is due at once.
    At(Duration),
}

/// What is asked of a timeout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timeout<E> {
    /// It runs, anew if it did, and ends with this event.
    Start(When, E),
    /// If it runs it ends with this event; else it does so at once: `update`.
    Update(E),
    /// It does not run.
    Cancel,
}

/// All that a callback asks for: OTP's action list, with the state that comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actions<S, E, N> {
    /// The state that comes next.
    pub next: Next<S>,
    /// The event that was handled, if it is to be handled again after the next change of state.
    pub postponed: Option<E>,
    /// Events to be handled before those that wait, in this order: `next_event`.
    pub inserted: Vec<E>,
    /// Timeouts, in this order.
    pub timeouts: Vec<(Timer<N>, Timeout<E>)>,
}

impl<S, E, N> Default for Actions<S, E, N> {
    fn default() -> Self {
        Self {
            next: Next::Keep,
            postponed: None,
            inserted: Vec::new(),
            timeouts: Vec::new(),
        }
    }
}

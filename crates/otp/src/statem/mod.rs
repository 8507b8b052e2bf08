//! A state machine: which event is handled next, and when a timeout is one.
//!
//! Source: OTP's `gen_statem` (manual page, and its module where that leaves something open).
//! `docs/otp-suites/gen_statem.md` goes through OTP's own tests. What a state is, and what happens in it, the
//! machine does not know: a driver holds the callbacks and the data.
//!
//! The driver makes a [`Machine`] of the first state, tells it what `init` asked for
//! ([`Machine::handled`]), and then repeats: [`Machine::poll_step`] says what to call back; what that asked for,
//! as [`Actions`], goes to [`Machine::handled`]; [`Machine::poll_output`] starts and stops timers. When
//! there is no step, and only then, it takes what comes: [`Machine::handle_event`], or [`Machine::handle_timer`]. `now`
//! is the time since any one moment.
//!
//! One event is handled like this, in this order:
//! 1. its callback is called, and the entry of the state if the state changed, is repeated or is the first;
//! 2. the event is postponed, if that was asked for; the event timeout is cancelled, whatever event it was;
//! 3. if the state changed, all postponed events go before those that wait, the oldest first, and the state
//!    timeout is cancelled;
//! 4. timeouts are started, cancelled and updated; of several for one timer the last counts. One of zero is
//!    an event behind those that wait, and before any that comes from outside;
//! 5. inserted events go before all that wait, in the order in which they were inserted.
//!
//! Deviations: a zero timeout that is started again with another time waits for that (OTP 25 loses it).
//! Hibernation means nothing here.
//!
//! Invariants:
//! - `M1` a step is answered by [`Machine::handled`] before there is the next;
//! - `M2` an event that came is handled once, and again only after it was postponed and the state changed;
//! - `M3` there is at most one timeout of each [`Timer`], and none fires that was cancelled or replaced;
//! - `M4` the entry of a state cannot change the state;
//! - `M5` the order of all steps follows from the inputs alone.
//!
//! - `actions`: what a callback asks for; `timers`: the timeouts that run.

mod actions;
mod timers;

use std::collections::VecDeque;
use std::time::Duration;

pub use actions::{Actions, Next, Timeout, When};
pub use timers::{Timer, Token};

use timers::Timers;

/// What is to be called back next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<E> {
    /// The entry of the state: [`Machine::state`], from [`Machine::old_state`].
    Enter,
    /// This event is to be handled.
    Handle(E),
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// [`Machine::handle_timer`] with this token is due then.
    Start(Token, Duration),
    /// It is not due any more; coming late it does no harm.
    Stop(Token),
}

/// What was called back and has not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// `init`, before the first state is entered.
    Initial,
    /// The entry is due.
    EnterDue,
    Entering,
    Idle,
    Handling,
}

/// A state machine: see the module. `S` are its states, `E` its events, `N` names its generic timeouts.
#[derive(Debug, Clone)]
pub struct Machine<S, E, N> {
    state: S,
    /// The state before, during a change.
    old: Option<S>,
    phase: Phase,
    /// What the callbacks of this transition have asked for.
    asked: Actions<S, E, N>,
    events: VecDeque<E>,
    /// Oldest first.
    postponed: VecDeque<E>,
    timers: Timers<E, N>,
}

impl<S: PartialEq, E, N: Ord + Clone> Machine<S, E, N> {
    /// A machine in its first state; what `init` asked for is to be told by [`Machine::handled`].
    pub fn new(state: S) -> Self {
        Self {
            state,
            old: None,
            phase: Phase::Initial,
            asked: Actions::default(),
            events: VecDeque::new(),
            postponed: VecDeque::new(),
            timers: Timers::default(),
        }
    }

    /// An event came from outside; to be told when there is no step, as it is behind all that wait.
    pub fn handle_event(&mut self, event: E) {
        self.events.push_back(event);
    }

    /// A timer is due: [`Output::Start`]. One that was stopped is no event. To be told when there is no step.
    pub fn handle_timer(&mut self, token: Token) {
        self.events.extend(self.timers.fired(token));
    }

    /// The callback of the last step, or `init`, asked for this.
    ///
    /// # Panics
    /// If no callback was called (`M1`), or the entry of a state asks for another state or postpones (`M4`).
    pub fn handled(&mut self, now: Duration, actions: Actions<S, E, N>) {
        let Actions {
            next,
            postponed,
            inserted,
            timeouts,
        } = actions;
        self.asked.inserted.extend(inserted);
        self.asked.timeouts.extend(timeouts);
        let is_repeated = matches!(next, Next::Repeat);
        let enters = match self.phase {
            Phase::Initial => true,
            Phase::Handling => {
                self.asked.postponed = postponed;
                self.change(next) || is_repeated
            }
            Phase::Entering => {
                let changes = matches!(next, Next::State(_)) || postponed.is_some();
                assert!(
                    !changes,
                    "the entry of a state neither changes the state nor postpones"
                );
                is_repeated
            }
            Phase::Idle | Phase::EnterDue => panic!("nothing was called back"),
        };
        match enters {
            true => self.phase = Phase::EnterDue,
            false => self.complete(now),
        }
    }

    /// The state was replaced from outside, as `sys:replace_state` does: nothing follows from that.
    pub fn replace_state(&mut self, state: S) {
        self.state = state;
    }

    /// As [`Machine::replace_state`], in place: for what `sys:change_code` makes of it.
    pub fn state_mut(&mut self) -> &mut S {
        &mut self.state
    }

    /// What is to be called back next; `None` until something comes, or while a callback has not answered.
    pub fn poll_step(&mut self) -> Option<Step<E>> {
        match self.phase {
            Phase::EnterDue => {
                self.phase = Phase::Entering;
                Some(Step::Enter)
            }
            Phase::Idle => {
                let event = self
                    .events
                    .pop_front()
                    .or_else(|| self.timers.next_zero())?;
                self.phase = Phase::Handling;
                Some(Step::Handle(event))
            }
            Phase::Initial | Phase::Entering | Phase::Handling => None,
        }
    }

    /// What the driver is to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.timers.poll_output()
    }

    /// The state it is in.
    pub fn state(&self) -> &S {
        &self.state
    }

    /// While a state is entered, the one before: the same if it is repeated or the first.
    pub fn old_state(&self) -> &S {
        self.old.as_ref().unwrap_or(&self.state)
    }

    /// The events that were postponed, the oldest first.
    pub fn postponed(&self) -> impl ExactSizeIterator<Item = &E> {
        self.postponed.iter()
    }

    /// The timeouts that run, with their events.
    pub fn timeouts(&self) -> impl Iterator<Item = (&Timer<N>, &E)> {
        self.timers.iter()
    }

    /// Goes to the next state; answers whether that is another one.
    fn change(&mut self, next: Next<S>) -> bool {
        match next {
            Next::State(state) if state != self.state => {
                self.old = Some(std::mem::replace(&mut self.state, state));
                true
            }
            // OTP takes the new value of an equal state, which need not be the same in all parts.
            Next::State(state) => {
                self.state = state;
                false
            }
            Next::Keep | Next::Repeat => false,
        }
    }

    /// All callbacks of this transition have answered.
    fn complete(&mut self, now: Duration) {
        let asked = std::mem::take(&mut self.asked);
        self.postponed.extend(asked.postponed);
        self.timers.cancel(&Timer::Event);
        if self.old.take().is_some() {
            while let Some(event) = self.postponed.pop_back() {
                self.events.push_front(event);
            }
            self.timers.cancel(&Timer::State);
        }
        self.timers.ask(now, asked.timeouts);
        for event in asked.inserted.into_iter().rev() {
            self.events.push_front(event);
        }
        self.phase = Phase::Idle;
    }
}

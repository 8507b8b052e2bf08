//! The timeouts that run: `M3`.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{Output, Timeout, When};

/// Which timeout; of each there is one at most.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer<N> {
    /// Cancelled by a change of the state: `state_timeout`.
    State,
    /// Cancelled by any event: `timeout`.
    Event,
    /// Cancelled by nothing else: `{timeout, Name}`.
    Named(N),
}

/// Names one start of a timer, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(u64);

#[derive(Debug, Clone)]
struct Running<E> {
    event: E,
    /// `None` for one of zero, which waits in line.
    token: Option<Token>,
}

#[derive(Debug, Clone)]
pub(super) struct Timers<E, N> {
    running: BTreeMap<Timer<N>, Running<E>>,
    by_token: BTreeMap<Token, Timer<N>>,
    /// Those of zero, in the order in which they were started.
    zero: VecDeque<Timer<N>>,
    outputs: VecDeque<Output>,
    next_token: u64,
}

impl<E, N> Default for Timers<E, N> {
    fn default() -> Self {
        Self {
            running: BTreeMap::new(),
            by_token: BTreeMap::new(),
            zero: VecDeque::new(),
            outputs: VecDeque::new(),
            next_token: 0,
        }
    }
}

impl<E, N: Ord + Clone> Timers<E, N> {
    /// Does what was asked; of several for one timer the last counts.
    pub(super) fn ask(&mut self, now: Duration, asked: Vec<(Timer<N>, Timeout<E>)>) {
        let last: BTreeMap<Timer<N>, usize> = asked
            .iter()
            .enumerate()
            .map(|(place, (timer, _))| (timer.clone(), place))
            .collect();
        for (place, (timer, what)) in asked.into_iter().enumerate() {
            if last.get(&timer) == Some(&place) {
                self.ask_one(now, timer, what);
            }
        }
    }

    fn ask_one(&mut self, now: Duration, timer: Timer<N>, what: Timeout<E>) {
        match what {
            Timeout::Cancel => self.cancel(&timer),
            Timeout::Start(When::After(Duration::ZERO), event) => {
                self.cancel(&timer);
                self.start_zero(timer, event);
            }
            Timeout::Start(When::After(after), event) => {
                self.start(timer, now.saturating_add(after), event);
            }
            Timeout::Start(When::At(at), event) => self.start(timer, at, event),
            Timeout::Update(event) => match self.running.get_mut(&timer) {
                Some(running) => running.event = event,
                None => self.start_zero(timer, event),
            },
        }
    }

    fn start_zero(&mut self, timer: Timer<N>, event: E) {
        self.zero.push_back(timer.clone());
        let token = None;
        self.running.insert(timer, Running { event, token });
    }

    fn start(&mut self, timer: Timer<N>, at: Duration, event: E) {
        self.cancel(&timer);
        let token = Token(self.next_token);
        self.next_token += 1;
        self.outputs.push_back(Output::Start(token, at));
        self.by_token.insert(token, timer.clone());
        let token = Some(token);
        self.running.insert(timer, Running { event, token });
    }

    pub(super) fn cancel(&mut self, timer: &Timer<N>) {
        match self.running.remove(timer).map(|running| running.token) {
            Some(Some(token)) => {
                self.by_token.remove(&token);
                self.outputs.push_back(Output::Stop(token));
            }
            Some(None) => self.zero.retain(|waiting| waiting != timer),
            None => {}
        }
    }

    /// The event of a timer that is due; `None` if it was stopped.
    pub(super) fn fired(&mut self, token: Token) -> Option<E> {
        let timer = self.by_token.remove(&token)?;
        self.running.remove(&timer).map(|running| running.event)
    }

    /// The event of the first timeout of zero.
    pub(super) fn next_zero(&mut self) -> Option<E> {
        let timer = self.zero.pop_front()?;
        self.running.remove(&timer).map(|running| running.event)
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Timer<N>, &E)> {
        self.running
            .iter()
            .map(|(timer, running)| (timer, &running.event))
    }
}

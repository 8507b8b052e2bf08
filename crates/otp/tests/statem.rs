//! State machines beside a model of `gen_statem`, and one by one what a user relies on.
//!
//! The model is OTP's loop as its manual tells it, over plain lists: no tokens, no phases. Both are given the
//! same table of what each callback asks for, and the same events and times from outside; what they call
//! back has to be the same, in the same order, and so has what is left at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use purlin_otp::statem::{Actions, Machine, Next, Output, Step, Timeout, Timer, Token, When};

type Which = Timer<u8>;

/// What a callback asks for, one thing of it.
#[derive(Debug, Clone, PartialEq)]
enum Op {
    Next(u8),
    Repeat,
    Postpone,
    Insert(u8),
    After(Which, u8, u8),
    At(Which, u8, u8),
    Update(Which, u8),
    Cancel(Which),
}

/// What comes from outside.
#[derive(Debug, Clone)]
enum Input {
    Event(u8),
    Pass(u8),
}

const STATES: u8 = 3;
const EVENTS: u8 = 5;

/// Callbacks that ask for anything; those after them ask for nothing, so that every run ends.
const CALLBACKS: usize = 60;

/// What each callback asks for: by state and event, and by state for its entry and for `init`.
#[derive(Debug, Clone)]
struct Table {
    handle: Vec<Vec<Op>>,
    enter: Vec<Vec<Op>>,
    init: Vec<Op>,
}

/// What was called back: `enter` from a state, or an event; the state; when.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Called {
    Enter { old: u8, state: u8, at: u64 },
    Handle { event: u8, state: u8, at: u64 },
}

impl Table {
    fn ops(&self, called: &[Called]) -> Vec<Op> {
        let last = called.last().expect("something was called");
        match last {
            _ if called.len() > CALLBACKS => Vec::new(),
            Called::Enter { state, .. } => self.enter[usize::from(*state)].clone(),
            Called::Handle { event, state, .. } => {
                self.handle[usize::from(state * EVENTS + event)].clone()
            }
        }
    }
}

/// The model: OTP's loop.
#[derive(Debug, Default)]
struct Model {
    now: u64,
    state: u8,
    /// Newest first, as OTP keeps them.
    postponed: Vec<u8>,
    /// When each is due, and a number that orders those of one moment; `None` for those of zero.
    timers: BTreeMap<Which, (Option<(u64, usize)>, u8)>,
    zero: Vec<Which>,
    started: usize,
    called: Vec<Called>,
}

impl Model {
    fn run(table: &Table, inputs: &[Input]) -> Self {
        let mut model = Self::default();
        let after = model.callbacks(table, None, table.init.clone(), true);
        model.settle(table, after);
        for input in inputs {
            match input {
                Input::Event(event) => model.settle(table, vec![*event]),
                Input::Pass(ms) => {
                    let until = model.now + u64::from(*ms);
                    while let Some((due, which)) = model.next_due(until) {
                        model.now = model.now.max(due);
                        let (_, event) = model.timers.remove(&which).unwrap();
                        model.settle(table, vec![event]);
                    }
                    model.now = until;
                }
            }
        }
        model
    }

    fn next_due(&self, until: u64) -> Option<(u64, Which)> {
        let timed = self.timers.iter();
        let timed = timed.filter_map(|(which, (due, _))| due.map(|due| (due, which.clone())));
        let ((due, _), which) = timed.min()?;
        (due <= until).then_some((due, which))
    }

    /// Handles events until none waits.
    fn settle(&mut self, table: &Table, mut events: Vec<u8>) {
        loop {
            if events.is_empty() {
                if self.zero.is_empty() {
                    return;
                }
                let which = self.zero.remove(0);
                events.push(self.timers.remove(&which).unwrap().1);
            }
            let event = events.remove(0);
            let (state, at) = (self.state, self.now);
            self.called.push(Called::Handle { event, state, at });
            let ops = table.ops(&self.called);
            let mut first = self.callbacks(table, Some(event), ops, false);
            // Postponed events are among those to be inserted, behind them.
            first.extend(events);
            events = first;
        }
    }

    /// The transition after a callback; answers the events that go before those that wait.
    fn callbacks(
        &mut self,
        table: &Table,
        event: Option<u8>,
        ops: Vec<Op>,
        is_first: bool,
    ) -> Vec<u8> {
        let old = self.state;
        for op in &ops {
            if let (Op::Next(state), Some(_)) = (op, event) {
                self.state = *state;
            }
        }
        let changed = self.state != old;
        let is_postponed = event.is_some() && ops.contains(&Op::Postpone);
        let mut enters = is_first || changed || repeats(&ops);
        let mut all = ops;
        while enters {
            let (state, at) = (self.state, self.now);
            self.called.push(Called::Enter { old, state, at });
            let ops = table.ops(&self.called);
            enters = repeats(&ops);
            all.extend(ops);
        }
        if let (true, Some(event)) = (is_postponed, event) {
            self.postponed.insert(0, event);
        }
        self.cancel(&Timer::Event);
        let mut retried = Vec::new();
        if changed {
            self.cancel(&Timer::State);
            retried.extend(std::mem::take(&mut self.postponed).into_iter().rev());
        }
        self.timeouts(&all);
        let inserted = all.iter().filter_map(|op| match op {
            Op::Insert(event) => Some(*event),
            _ => None,
        });
        inserted.chain(retried).collect()
    }

    fn timeouts(&mut self, ops: &[Op]) {
        for (place, op) in ops.iter().enumerate() {
            let Some(which) = timer_of(op) else { continue };
            if ops[place + 1..]
                .iter()
                .any(|op| timer_of(op) == Some(which))
            {
                continue;
            }
            match op {
                Op::Update(_, event) if self.timers.contains_key(which) => {
                    self.timers.get_mut(which).unwrap().1 = *event;
                }
                Op::After(_, 0, event) | Op::Update(_, event) => {
                    self.cancel(which);
                    self.zero.push(which.clone());
                    self.timers.insert(which.clone(), (None, *event));
                }
                Op::After(_, ms, event) => self.start(which, self.now + u64::from(*ms), *event),
                Op::At(_, ms, event) => self.start(which, u64::from(*ms), *event),
                _ => self.cancel(which),
            }
        }
    }

    fn start(&mut self, which: &Which, due: u64, event: u8) {
        self.cancel(which);
        self.started += 1;
        self.timers
            .insert(which.clone(), (Some((due, self.started)), event));
    }

    fn cancel(&mut self, which: &Which) {
        self.timers.remove(which);
        self.zero.retain(|waiting| waiting != which);
    }
}

fn timer_of(op: &Op) -> Option<&Which> {
    match op {
        Op::After(which, ..) | Op::At(which, ..) | Op::Update(which, _) | Op::Cancel(which) => {
            Some(which)
        }
        _ => None,
    }
}

/// The last word on the state counts.
fn repeats(ops: &[Op]) -> bool {
    let of_state = |op: &&Op| matches!(op, Op::Next(_) | Op::Repeat);
    matches!(ops.iter().rev().find(of_state), Some(Op::Repeat))
}

/// The machine with a driver in virtual time.
struct Driven {
    machine: Machine<u8, u8, u8>,
    now: u64,
    due: BTreeMap<(u64, Token), ()>,
    called: Vec<Called>,
}

impl Driven {
    fn new(init: &[Op]) -> Self {
        let mut driven = Self {
            machine: Machine::new(0),
            now: 0,
            due: BTreeMap::new(),
            called: Vec::new(),
        };
        driven.machine.handled(Duration::ZERO, actions(None, init));
        driven
    }

    fn run(table: &Table, inputs: &[Input]) -> Self {
        let mut driven = Self::new(&table.init);
        driven.settle(table);
        for input in inputs {
            match input {
                Input::Event(event) => driven.machine.handle_event(*event),
                Input::Pass(ms) => driven.pass(u64::from(*ms), table),
            }
            driven.settle(table);
        }
        driven
    }

    fn pass(&mut self, ms: u64, table: &Table) {
        let until = self.now + ms;
        while let Some((&(due, token), ())) = self.due.first_key_value()
            && due <= until
        {
            self.now = self.now.max(due);
            self.due.pop_first();
            self.machine.handle_timer(token);
            self.settle(table);
        }
        self.now = until;
    }

    fn settle(&mut self, table: &Table) {
        loop {
            // Stops are not heard: a timer that was stopped comes all the same, and late.
            while let Some(output) = self.machine.poll_output() {
                if let Output::Start(token, due) = output {
                    self.due.insert((due.as_millis() as u64, token), ());
                }
            }
            let (state, at) = (*self.machine.state(), self.now);
            let (event, called) = match self.machine.poll_step() {
                None => return,
                Some(Step::Enter) => {
                    let old = *self.machine.old_state();
                    (None, Called::Enter { old, state, at })
                }
                Some(Step::Handle(event)) => (Some(event), Called::Handle { event, state, at }),
            };
            assert_eq!(self.machine.poll_step(), None, "M1");
            self.called.push(called);
            let ops = table.ops(&self.called);
            let now = Duration::from_millis(self.now);
            self.machine.handled(now, actions(event, &ops));
        }
    }
}

/// The entry of a state and `init` do not change the state.
fn actions(event: Option<u8>, ops: &[Op]) -> Actions<u8, u8, u8> {
    let mut actions = Actions::default();
    let ms = |ms: &u8| Duration::from_millis(u64::from(*ms));
    for op in ops {
        match op {
            Op::Next(state) if event.is_some() => actions.next = Next::State(*state),
            Op::Next(_) => actions.next = Next::Keep,
            Op::Repeat => actions.next = Next::Repeat,
            Op::Postpone => actions.postponed = event,
            Op::Insert(event) => actions.inserted.push(*event),
            Op::After(which, after, event) => {
                let start = Timeout::Start(When::After(ms(after)), *event);
                actions.timeouts.push((which.clone(), start));
            }
            Op::At(which, at, event) => {
                let start = Timeout::Start(When::At(ms(at)), *event);
                actions.timeouts.push((which.clone(), start));
            }
            Op::Update(which, event) => {
                actions
                    .timeouts
                    .push((which.clone(), Timeout::Update(*event)));
            }
            Op::Cancel(which) => actions.timeouts.push((which.clone(), Timeout::Cancel)),
        }
    }
    actions
}

fn timer() -> impl Strategy<Value = Which> {
    prop_oneof![
        Just(Timer::State),
        Just(Timer::Event),
        (0..2u8).prop_map(Timer::Named)
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let event = || 0..EVENTS;
    prop_oneof![
        2 => (0..STATES).prop_map(Op::Next),
        1 => Just(Op::Repeat),
        2 => Just(Op::Postpone),
        1 => event().prop_map(Op::Insert),
        3 => (timer(), 0..6u8, event()).prop_map(|(t, ms, e)| Op::After(t, ms, e)),
        1 => (timer(), 0..30u8, event()).prop_map(|(t, ms, e)| Op::At(t, ms, e)),
        1 => (timer(), event()).prop_map(|(t, e)| Op::Update(t, e)),
        1 => timer().prop_map(Op::Cancel),
    ]
}

/// At most one word on the state: OTP's callbacks answer one.
fn ops(len: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(), 0..=len).prop_map(|ops| {
        let mut said = false;
        let once = |op: &Op| {
            !matches!(op, Op::Next(_) | Op::Repeat) || !std::mem::replace(&mut said, true)
        };
        ops.into_iter().filter(once).collect()
    })
}

fn table() -> impl Strategy<Value = Table> {
    let (handle, enter) = (usize::from(STATES * EVENTS), usize::from(STATES));
    let handle = prop::collection::vec(ops(3), handle);
    let enter = prop::collection::vec(ops(2), enter);
    let without_state = |ops: Vec<Op>| {
        let keeps = |op: &Op| !matches!(op, Op::Next(_) | Op::Postpone);
        ops.into_iter().filter(keeps).collect::<Vec<_>>()
    };
    (handle, enter, ops(2)).prop_map(move |(handle, enter, init)| {
        let init = without_state(init)
            .into_iter()
            .filter(|op| *op != Op::Repeat);
        Table {
            handle,
            enter: enter.into_iter().map(without_state).collect(),
            init: init.collect(),
        }
    })
}

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let input = prop_oneof![
        (0..EVENTS).prop_map(Input::Event),
        (0..8u8).prop_map(Input::Pass)
    ];
    prop::collection::vec(input, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn a_machine_calls_back_what_gen_statem_does_in_its_order(table in table(), inputs in inputs()) {
        let model = Model::run(&table, &inputs);
        let driven = Driven::run(&table, &inputs);
        prop_assert_eq!(&driven.called, &model.called);
        prop_assert_eq!(driven.machine.state(), &model.state);
        let postponed: Vec<u8> = driven.machine.postponed().copied().collect();
        let expected: Vec<u8> = model.postponed.iter().rev().copied().collect();
        prop_assert_eq!(postponed, expected);
        let timeouts: Vec<_> = driven.machine.timeouts().map(|(t, e)| (t.clone(), *e)).collect();
        let expected: Vec<_> = model.timers.iter().map(|(t, (_, e))| (t.clone(), *e)).collect();
        prop_assert_eq!(timeouts, expected);
    }
}

/// A table in which the callback of one state and event asks for that, and all others for nothing.
fn only(asks: &[(u8, u8, &[Op])]) -> Table {
    let mut table = Table {
        handle: vec![Vec::new(); usize::from(STATES * EVENTS)],
        enter: vec![Vec::new(); usize::from(STATES)],
        init: Vec::new(),
    };
    for (state, event, ops) in asks {
        table.handle[usize::from(state * EVENTS + event)] = ops.to_vec();
    }
    table
}

fn events(called: &[Called]) -> Vec<(u8, u8)> {
    let event = |called: &Called| match called {
        Called::Handle { event, state, .. } => Some((*event, *state)),
        Called::Enter { .. } => None,
    };
    called.iter().filter_map(event).collect()
}

/// OTP's own test of that name.
#[test]
fn inserted_events_come_before_postponed_ones_and_both_cancel_an_event_timeout() {
    let change = [
        Op::Next(1),
        Op::Insert(3),
        Op::Insert(4),
        Op::After(Timer::Event, 0, 0),
    ];
    let table = only(&[(0, 1, &[Op::Postpone]), (0, 2, &change)]);
    let inputs = [1, 1, 2].map(Input::Event);
    let called = events(&Driven::run(&table, &inputs).called);
    assert_eq!(
        called,
        [(1, 0), (1, 0), (2, 0), (3, 1), (4, 1), (1, 1), (1, 1)]
    );
}

/// The zero timeouts of OTP's test `state_timeout`.
#[test]
fn zero_timeouts_are_handled_in_order_and_any_event_cancels_the_event_timeout() {
    let (state, event) = (Timer::State, Timer::Event);
    let zero = |timer: &Which, event| Op::After(timer.clone(), 0, event);
    let enter = [Op::Next(1), zero(&event, 4), zero(&state, 1), Op::Insert(0)];
    let table = only(&[
        (0, 0, &enter),
        (1, 0, &[zero(&event, 4)]),
        (1, 1, &[zero(&event, 2), zero(&state, 4)]),
        (1, 2, &[zero(&state, 3), zero(&event, 4)]),
        (1, 3, &[Op::Next(2)]),
    ]);
    let called = events(&Driven::run(&table, &[Input::Event(0)]).called);
    assert_eq!(called, [(0, 0), (0, 1), (1, 1), (2, 1), (3, 1)]);
}

#[test]
fn a_change_of_state_cancels_the_state_timeout_and_leaves_the_named_one() {
    let start = [
        Op::After(Timer::State, 5, 3),
        Op::After(Timer::Named(0), 5, 4),
    ];
    let table = only(&[
        (0, 0, &start),
        (0, 1, &[Op::Next(1)]),
        (0, 2, &[Op::Next(0)]),
    ]);
    let kept = [Input::Event(0), Input::Event(2), Input::Pass(9)];
    assert_eq!(
        events(&Driven::run(&table, &kept).called),
        [(0, 0), (2, 0), (3, 0), (4, 0)]
    );
    let changed = [Input::Event(0), Input::Event(1), Input::Pass(9)];
    assert_eq!(
        events(&Driven::run(&table, &changed).called),
        [(0, 0), (1, 0), (4, 1)]
    );
}

#[test]
fn a_zero_timeout_started_again_with_a_time_waits_for_it() {
    let zero = Op::After(Timer::Named(0), 0, 1);
    let again = Op::After(Timer::Named(0), 4, 2);
    let table = only(&[(0, 0, &[zero, Op::Insert(3)]), (0, 3, &[again])]);
    let inputs = [
        Input::Event(0),
        Input::Pass(3),
        Input::Event(4),
        Input::Pass(3),
    ];
    let called = Driven::run(&table, &inputs).called;
    assert_eq!(events(&called), [(0, 0), (3, 0), (4, 0), (2, 0)]);
    let fired = Called::Handle {
        event: 2,
        state: 0,
        at: 4,
    };
    assert_eq!(called.last(), Some(&fired));
}

/// As in OTP's test `timeout_cancel_and_update`: the timer is due while the callback runs.
#[test]
fn a_timeout_that_is_due_and_was_not_handled_ends_with_its_new_event_or_not_at_all() {
    let mut machine: Machine<u8, u8, u8> = Machine::new(0);
    let start = || Timeout::Start(When::After(Duration::from_millis(5)), 1);
    let ask = |timer: Which, what| Actions {
        timeouts: vec![(timer, what)],
        ..Actions::default()
    };
    let late = Duration::from_millis(10);
    machine.handled(Duration::ZERO, ask(Timer::State, start()));
    assert_eq!(machine.poll_step(), Some(Step::Enter));
    machine.handled(Duration::ZERO, ask(Timer::Named(0), start()));
    let mut started = || match machine.poll_output() {
        Some(Output::Start(token, _)) => token,
        other => panic!("{other:?}"),
    };
    let (state, named) = (started(), started());
    machine.handle_event(3);
    assert_eq!(machine.poll_step(), Some(Step::Handle(3)));
    let mut both = ask(Timer::State, Timeout::Update(2));
    both.timeouts.push((Timer::Named(0), Timeout::Cancel));
    machine.handled(late, both);
    machine.handle_timer(named);
    machine.handle_timer(state);
    assert_eq!(machine.poll_step(), Some(Step::Handle(2)));
    machine.handled(late, Actions::default());
    assert_eq!(machine.poll_step(), None);
}

#[test]
#[should_panic(expected = "the entry of a state neither changes the state nor postpones")]
fn the_entry_of_a_state_cannot_change_the_state() {
    let mut machine: Machine<u8, u8, u8> = Machine::new(0);
    machine.handled(Duration::ZERO, Actions::default());
    assert_eq!(machine.poll_step(), Some(Step::Enter));
    let next = Actions {
        next: Next::State(1),
        ..Actions::default()
    };
    machine.handled(Duration::ZERO, next);
}

//! The world that machines live in, as its tasks and its scenario see it.
//!
//! A [`World`] is a handle. The scenario adds machines with it, boots processes on them, and lets
//! things happen: cuts, silence, splits. Everything lies behind one lock, which is never held while
//! code of a task runs, is dropped or is woken into.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::events::{Event, Events};
use crate::machine::Machine;
use crate::network::{Around, Link, MachineId, Network};
use crate::random::Random;
use crate::sim::Config;
use crate::tasks::{OsProcessId, Step, Tasks, Woken};
use crate::trace::{Sink, Trace};

/// What happens to connections on a path that is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// They are reset at both ends; new ones get no answer.
    Reset,
    /// They fall silent, and go on where they were if the path is mended in time.
    Silent,
}

/// A simulated world. See the [crate](crate) for what it does.
#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    start: Instant,
    state: Mutex<State>,
    woken: Arc<Woken>,
}

/// Everything behind the lock.
pub(crate) struct State {
    pub(crate) now: Duration,
    pub(crate) events: Events,
    pub(crate) trace: Trace,
    pub(crate) tasks: Tasks,
    pub(crate) network: Network,
    random: Random,
}

/// Kinds of events in the trace, beside the network's.
const POLL: u8 = 3;
const NOTE: u8 = 4;

impl World {
    /// An empty world; within a runtime whose clock is paused.
    pub(crate) fn new(config: &Config, sink: Option<Sink>) -> Self {
        let mut random = Random::new(config.seed);
        let tasks = Tasks::new(random.split());
        let network = Network::new(config.network, random.split());
        let woken = tasks.woken();
        let state = State {
            now: Duration::ZERO,
            events: Events::default(),
            trace: Trace::new(sink),
            tasks,
            network,
            random,
        };
        Self(Arc::new(Inner {
            start: Instant::now(),
            state: Mutex::new(state),
            woken,
        }))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.now = self.now();
        state
    }

    /// Virtual time since the world began.
    pub fn now(&self) -> Duration {
        self.0.start.elapsed()
    }

    pub(crate) fn instant(&self, at: Duration) -> Instant {
        self.0.start + at
    }

    pub(crate) fn woken(&self) -> &Woken {
        &self.0.woken
    }

    /// A generator of random numbers that the seed determines, a new one each time.
    pub fn random(&self) -> Random {
        self.state().random.split()
    }

    /// Puts a line into the trace and its hash.
    pub fn note(&self, text: fmt::Arguments<'_>) {
        self.state().note(text);
    }

    /// Adds a machine that is called `name`; it is on, and nothing runs on it.
    pub fn machine(&self, name: &str) -> Machine {
        let mut state = self.state();
        let (id, address) = state.network.add_machine(name);
        let random = state.random.split();
        drop(state);
        Machine::new(self.clone(), id, name, address, random)
    }

    /// Sets the path from one machine to another.
    pub fn set_link(&self, from: &Machine, to: &Machine, link: Link) {
        self.state().network.set_link((from.id(), to.id()), link);
    }

    /// Cuts each of `these` off from each of `those`, both ways.
    pub fn cut(&self, these: &[&Machine], those: &[&Machine], how: Cut) {
        let ids = |machines: &[&Machine]| machines.iter().map(|m| m.id()).collect::<Vec<_>>();
        self.state().cut(&ids(these), &ids(those), how);
    }

    /// Splits the world into groups that do not reach one another.
    pub fn split(&self, groups: &[&[&Machine]], how: Cut) {
        for (number, these) in groups.iter().enumerate() {
            for those in &groups[number + 1..] {
                self.cut(these, those, how);
            }
        }
    }

    /// Lets nothing through from one machine to another; the way back stays open.
    pub fn silence(&self, from: &Machine, to: &Machine) {
        let mut state = self.state();
        state.network.links.cut((from.id(), to.id()));
        let (from, to) = (from.name(), to.name());
        state.note(format_args!("silence: {from} -> {to}"));
    }

    /// Mends the paths between two machines, both ways.
    pub fn mend(&self, one: &Machine, other: &Machine) {
        let paths = [(one.id(), other.id()), (other.id(), one.id())];
        let mut state = self.state();
        for path in paths {
            state.network.links.mend(path);
        }
        let (one, other) = (one.name(), other.name());
        state.note(format_args!("mend: {one} <-> {other}"));
        state.send_again(&paths);
    }

    /// Mends all paths.
    pub fn heal(&self) {
        let mut state = self.state();
        state.network.links.heal();
        let machines = state.network.machines();
        let paths: Vec<_> = machines
            .flat_map(|from| state.network.machines().map(move |to| (from, to)))
            .collect();
        state.note(format_args!("heal"));
        state.send_again(&paths);
    }

    /// Waits in virtual time, to the nanosecond.
    pub fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send + use<> {
        Sleep {
            world: self.clone(),
            until: self.now() + time,
        }
    }

    /// Runs the next task, if one can run.
    pub(crate) fn run_next_task(&self) -> bool {
        let mut state = self.state();
        let state_ref = &mut *state;
        let step = state_ref
            .tasks
            .next_step(state_ref.now, &mut state_ref.events);
        let Some(step) = step else {
            return false;
        };
        let (Step::Poll(id, ..) | Step::Drop(id, _)) = &step;
        let (now, number) = (state.now, Tasks::number(*id));
        state.trace.event(now, POLL, [number, 0], &[]);
        drop(state);
        match step {
            Step::Drop(_, future) => drop(future),
            Step::Poll(id, mut future, waker) => {
                let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
                let over = match polled {
                    Poll::Pending => self.state().tasks.put_back(id, future),
                    Poll::Ready(()) => {
                        self.state().tasks.remove(id);
                        Some(future)
                    }
                };
                // With the lock released: what it holds may come back to the world.
                drop(over);
            }
        }
        true
    }

    /// Lets the next event happen that is due; false when none is.
    pub(crate) fn run_next_event(&self) -> bool {
        let mut state = self.state();
        let now = state.now;
        let Some(event) = state.events.pop_due(now) else {
            return false;
        };
        match event {
            Event::Arrival(direction) => {
                let (network, mut around) = state.network();
                network.handle_arrival(&mut around, direction);
            }
            Event::Turn(process) => {
                let State { tasks, events, .. } = &mut *state;
                tasks.handle_turn(process, now, events);
            }
            Event::Wake(waker) => waker.wake(),
        }
        true
    }

    pub(crate) fn next_event_time(&self) -> Option<Duration> {
        self.state().events.next_time()
    }

    /// Ends a process: first away from the network, so that what its tasks do while they are
    /// dropped reaches nobody.
    pub(crate) fn end_process(&self, machine: MachineId, process: OsProcessId, tells_peers: bool) {
        let mut state = self.state();
        let (network, mut around) = state.network();
        network.detach(&mut around, machine, process, tells_peers);
        let dropped = state.tasks.end_process(process);
        drop(state);
        drop(dropped);
    }

    /// Ends everything: no task is left afterwards.
    pub(crate) fn end(&self) {
        while let Some(process) = self.any_process() {
            let dropped = self.state().tasks.end_process(process);
            drop(dropped);
        }
    }

    fn any_process(&self) -> Option<OsProcessId> {
        self.state().tasks.any_process()
    }

    pub(crate) fn hash(&self) -> u64 {
        self.state().trace.hash()
    }

    pub(crate) fn events(&self) -> u64 {
        self.state().trace.events()
    }
}

impl State {
    /// The network, and what it needs of the rest.
    pub(crate) fn network(&mut self) -> (&mut Network, Around<'_>) {
        let around = Around {
            now: self.now,
            events: &mut self.events,
            trace: &mut self.trace,
        };
        (&mut self.network, around)
    }

    pub(crate) fn note(&mut self, text: fmt::Arguments<'_>) {
        let line = text.to_string();
        self.trace.event(self.now, NOTE, [0, 0], line.as_bytes());
        self.trace.line(self.now, text);
    }

    fn cut(&mut self, these: &[MachineId], those: &[MachineId], how: Cut) {
        let pairs = these
            .iter()
            .flat_map(|a| those.iter().map(move |b| (*a, *b)));
        let paths: Vec<_> = pairs
            .filter(|(a, b)| a != b)
            .flat_map(|(a, b)| [(a, b), (b, a)])
            .collect();
        for path in &paths {
            self.network.links.cut(*path);
        }
        let names = |ids: &[MachineId]| {
            let names: Vec<&str> = ids.iter().map(|id| self.network.name(*id)).collect();
            names.join(", ")
        };
        let text = format!("cut ({how:?}): {} | {}", names(these), names(those));
        self.note(format_args!("{text}"));
        if how == Cut::Reset {
            self.network.reset(&paths);
        }
    }

    fn send_again(&mut self, paths: &[(MachineId, MachineId)]) {
        let (network, mut around) = self.network();
        network.send_again(&mut around, paths);
    }
}

struct Sleep {
    world: World,
    until: Duration,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.world.state();
        if state.now >= self.until {
            return Poll::Ready(());
        }
        let waker = context.waker().clone();
        state.events.add(self.until, Event::Wake(waker));
        Poll::Pending
    }
}

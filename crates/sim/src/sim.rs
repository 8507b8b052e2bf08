//! Running a world: the loop that takes it from event to event.
//!
//! Everything runs in one future on tokio's `current_thread` runtime with its clock paused. The
//! loop runs tasks until none can, then lets the next event happen, and only then moves time: to
//! the nanosecond of the world's own events, and in whole milliseconds to tokio's timers, which
//! have no finer ones. Before it leaves the clock to tokio it stands on a whole millisecond, since
//! tokio moves it by whole ones.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{advance, sleep_until};

use crate::network::NetworkConfig;
use crate::tasks::OUTSIDE;
use crate::trace::Sink;
use crate::world::World;

/// What a world is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Everything that is left to chance follows from it.
    pub seed: u64,
    /// The network.
    pub network: NetworkConfig,
    /// Virtual time after which a scenario that has not ended is a failure.
    pub time_max: Duration,
}

impl Config {
    /// The usual world, under a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            network: NetworkConfig::default(),
            time_max: Duration::from_secs(24 * 3600),
        }
    }
}

/// A world that is yet to run.
pub struct Sim {
    config: Config,
    sink: Option<Sink>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run<T> {
    /// What the scenario answered; `None` when it had not ended at [`Config::time_max`].
    pub output: Option<T>,
    /// The hash over all that happened.
    pub hash: u64,
    /// How many things happened.
    pub events: u64,
    /// How long it took, in the world.
    pub virtual_time: Duration,
}

impl Sim {
    /// A world that is made from `config`.
    pub fn new(config: Config) -> Self {
        Self { config, sink: None }
    }

    /// Also writes a line for each event.
    #[must_use]
    pub fn trace(mut self, sink: Sink) -> Self {
        self.sink = Some(sink);
        self
    }

    /// Runs a scenario to its end. Nothing of the world is left running afterwards.
    ///
    /// # Panics
    /// When a task panics outside a process, and when the runtime cannot be built.
    pub fn run<F, T>(self, scenario: impl FnOnce(World) -> F) -> Run<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without sockets needs nothing of the system");
        let Self { config, sink } = self;
        runtime.block_on(async move {
            let world = World::new(&config, sink);
            let result = Arc::new(Mutex::new(None));
            let (scenario, slot) = (scenario(world.clone()), result.clone());
            let outside = Box::pin(async move {
                let output = scenario.await;
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(output);
            });
            let spawned = world.state().tasks.spawn(OUTSIDE, outside);
            debug_assert!(spawned.is_ok(), "nothing has ended yet");
            let has_ended = || {
                let output = result.lock().unwrap_or_else(PoisonError::into_inner);
                output.is_some()
            };
            drive(&world, config.time_max, has_ended).await;
            let (hash, events, virtual_time) = (world.hash(), world.events(), world.now());
            world.end();
            let output = result.lock().unwrap_or_else(PoisonError::into_inner).take();
            Run {
                output,
                hash,
                events,
                virtual_time,
            }
        })
    }
}

const TICK: Duration = Duration::from_millis(1);

/// Runs the world until the scenario has ended or time is up.
async fn drive(world: &World, time_max: Duration, has_ended: impl Fn() -> bool) {
    loop {
        // One task at a time, so that each has tokio's whole cooperative budget.
        while world.run_next_task() {
            if has_ended() {
                return;
            }
            pass().await;
        }
        // What tokio put off until now, a `yield_now` for instance, is woken by passing.
        pass().await;
        if world.run_next_task() || world.run_next_event() {
            if has_ended() {
                return;
            }
            continue;
        }
        if world.now() >= time_max {
            return;
        }
        let next = world.next_event_time().unwrap_or(time_max).min(time_max);
        move_time(world, next).await;
    }
}

/// Moves time towards the next event, or until a timer wakes a task.
async fn move_time(world: &World, next: Duration) {
    let now = world.now();
    let next_tick = floor(now) + TICK;
    if next < next_tick {
        advance(next - now).await;
    } else if now != floor(now) {
        advance(next_tick - now).await;
    } else {
        let mut sleep = pin!(sleep_until(world.instant(floor(next))));
        std::future::poll_fn(|context| {
            if world.woken().is_any(context.waker()) {
                return Poll::Ready(());
            }
            sleep.as_mut().poll(context)
        })
        .await;
    }
}

fn floor(time: Duration) -> Duration {
    Duration::from_millis(time.as_millis() as u64)
}

/// Gives tokio a turn.
async fn pass() {
    let mut has_passed = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut has_passed, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

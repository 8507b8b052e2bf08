//! Random lists of commands: made, run, shrunk.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::{Config as Settings, RngAlgorithm, TestRng, TestRunner};
use purlin_runtime::{Config, Runtime, TokioExecutor, panics};
use purlin_term::{NodeName, atom};
use tokio::time::timeout;

/// Lists that a check runs if nothing else is said: `proptest`'s number of cases.
const CASES: u64 = 256;

/// Commands in a list at most, if nothing else is said: a guess, unmeasured.
const COMMANDS_MAX: usize = 50;

/// Lists that are tried to shorten one that fails: `proptest` tries four for each case.
const SHRINKS_MAX: usize = 1024;

/// How long, in virtual time, the start or a command of a model may take: it is over as soon as all wait for
/// something that never comes, so longer than anything that does. A guess.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// The variable of the environment that has one seed replayed.
const SEED: &str = "PURLIN_TEST_SEED";

/// What is known of a process, the commands that it is given, and what each has to do.
pub trait Model: Sized {
    /// One step: a call, a cast, a message, an answer of a peer, time that passes.
    type Command: fmt::Debug + Clone + 'static;

    /// The process under test and the probes around it.
    type System;

    /// What commands are drawn from.
    fn commands() -> BoxedStrategy<Self::Command>;

    /// Starts the process, and says what is known of it then.
    fn start(runtime: &Runtime) -> impl Future<Output = (Self, Self::System)>;

    /// Whether a command makes sense now; one that does not is passed over.
    fn precondition(&self, command: &Self::Command) -> bool {
        let _ = command;
        true
    }

    /// Carries out a command, compares what came of it with what is known, and learns from it.
    ///
    /// # Errors
    /// What is wrong; a panic says so too.
    fn run(
        &mut self,
        system: &mut Self::System,
        command: &Self::Command,
    ) -> impl Future<Output = Result<(), String>>;
}

/// How a model is checked.
#[derive(Debug, Clone)]
pub struct Check {
    cases: u64,
    commands_max: usize,
    first_seed: u64,
}

impl Default for Check {
    fn default() -> Self {
        Self {
            cases: CASES,
            commands_max: COMMANDS_MAX,
            first_seed: 0,
        }
    }
}

/// A list of commands that fails.
pub struct Failure<C> {
    /// The seed of the list that failed first.
    pub seed: u64,
    /// The shortest list that was found to fail.
    pub commands: Vec<C>,
    /// What is wrong at its end.
    pub why: String,
}

impl<C: fmt::Debug> fmt::Display for Failure<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, after", self.why)?;
        for command in &self.commands {
            writeln!(f, "    {command:?}")?;
        }
        write!(f, "replay with {SEED}={}", self.seed)
    }
}

impl<C: fmt::Debug> fmt::Debug for Failure<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Check {
    /// How many lists are run.
    pub fn cases(mut self, cases: u64) -> Self {
        self.cases = cases;
        self
    }

    /// How long a list is at most.
    pub fn commands_max(mut self, max: usize) -> Self {
        self.commands_max = max;
        self
    }

    /// The seed of the first list; those after it count up.
    pub fn seed(mut self, seed: u64) -> Self {
        self.first_seed = seed;
        self
    }

    /// Panics if a list fails, with the [`Failure`]. With `PURLIN_TEST_SEED` in the environment it runs that
    /// seed alone.
    pub fn check<M: Model>(self) {
        let replayed = std::env::var(SEED).ok();
        let check = match replayed.map(|seed| seed.parse().expect("a seed is a number")) {
            Some(seed) => self.seed(seed).cases(1),
            None => self,
        };
        if let Some(failure) = check.find::<M>() {
            panic!("{failure}");
        }
    }

    /// The first list that fails, shrunk; `None` if all hold.
    pub fn find<M: Model>(&self) -> Option<Failure<M::Command>> {
        (0..self.cases).find_map(|case| self.find_with::<M>(self.first_seed.wrapping_add(case)))
    }

    fn find_with<M: Model>(&self, seed: u64) -> Option<Failure<M::Command>> {
        let mut tree = vec(M::commands(), 0..=self.commands_max)
            .new_tree(&mut runner(seed))
            .expect("a list can be made of what commands are drawn from");
        let mut failure = fails::<M>(seed, tree.current())?;
        let mut goes_on = tree.simplify();
        for _ in 0..SHRINKS_MAX {
            if !goes_on {
                break;
            }
            // What is made simpler and does not fail is made less simple again, until it does.
            goes_on = match fails::<M>(seed, tree.current()) {
                Some(simpler) => {
                    failure = simpler;
                    tree.simplify()
                }
                None => tree.complicate(),
            };
        }
        Some(failure)
    }
}

fn runner(seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    TestRunner::new_with_rng(Settings::default(), random)
}

/// Runs a list; what of it led to the failure, if it fails.
fn fails<M: Model>(seed: u64, commands: Vec<M::Command>) -> Option<Failure<M::Command>> {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without sockets needs nothing of the machine");
    let mut ran = Vec::new();
    let running = || tokio.block_on(run::<M>(&commands, &mut ran));
    let why = match catch_unwind(AssertUnwindSafe(running)) {
        Ok(outcome) => outcome.err()?,
        Err(panic) => panics::exit_reason(&*panic).to_string(),
    };
    let commands = ran;
    Some(Failure {
        seed,
        commands,
        why,
    })
}

async fn run<M: Model>(commands: &[M::Command], ran: &mut Vec<M::Command>) -> Result<(), String> {
    let node = NodeName::new(&atom!("test@probe")).expect("a name");
    let executor = Arc::new(TokioExecutor::current());
    let runtime = Runtime::new(node, 1, executor, Config::default());
    let (mut model, mut system) = within(M::start(&runtime)).await?;
    for command in commands {
        if model.precondition(command) {
            ran.push(command.clone());
            within(model.run(&mut system, command)).await??;
        }
    }
    Ok(())
}

/// What comes of a step, which may wait for what never comes.
async fn within<T>(step: impl Future<Output = T>) -> Result<T, String> {
    let done = timeout(PATIENCE, step).await;
    done.map_err(|_| "the model waits for what does not come".to_owned())
}

//! What a check and a probe say where the test itself goes wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::strategy::{BoxedStrategy, Just, Strategy};
use purlin_runtime::{Config, Runtime, TokioExecutor};
use purlin_term::{NodeName, Term, atom};
use purlin_test::{Check, Model, ProbeError, TestProbe};

/// Waits for what never comes.
struct Stuck;

impl Model for Stuck {
    type Command = ();
    type System = ();

    fn commands() -> BoxedStrategy<()> {
        Just(()).boxed()
    }

    async fn start(_: &Runtime) -> (Self, ()) {
        (Self, ())
    }

    async fn run(&mut self, (): &mut (), (): &()) -> Result<(), String> {
        std::future::pending().await
    }
}

#[test]
fn a_model_that_waits_for_what_never_comes_fails_with_its_seed() {
    let failure = Check::default().find::<Stuck>().expect("it is stuck");
    assert!(failure.why.contains("does not come"), "{failure}");
    assert_eq!(failure.commands.len(), 1, "{failure}");
}

static RUNS: AtomicUsize = AtomicUsize::new(0);

/// Fails with a list of long numbers, which it takes long to shorten.
struct Stubborn {
    odd: usize,
}

impl Model for Stubborn {
    type Command = u64;
    type System = ();

    fn commands() -> BoxedStrategy<u64> {
        proptest::num::u64::ANY.boxed()
    }

    async fn start(_: &Runtime) -> (Self, ()) {
        RUNS.fetch_add(1, Ordering::Relaxed);
        (Self { odd: 0 }, ())
    }

    async fn run(&mut self, (): &mut (), number: &u64) -> Result<(), String> {
        self.odd += usize::from(number.count_ones() > 20);
        match self.odd {
            20.. => Err("enough".to_owned()),
            _ => Ok(()),
        }
    }
}

#[test]
fn a_list_is_shortened_only_so_often() {
    let failure = Check::default().cases(20).find::<Stubborn>();
    assert!(failure.is_some());
    // Those that hold before it, itself, and `SHRINKS_MAX`.
    let runs = RUNS.load(Ordering::Relaxed);
    assert!(runs <= 20 + 1024, "{runs}");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_was_ended_does_not_hear_nothing() {
    let node = NodeName::new(&atom!("ended@test")).unwrap();
    let executor = Arc::new(TokioExecutor::current());
    let runtime = Runtime::new(node, 1, executor, Config::default());
    let mut probe = TestProbe::new(&runtime);
    probe.nothing().await.unwrap();
    runtime.send(probe.pid(), Term::Int(7)).await.unwrap();
    let heard = probe.nothing().await.unwrap_err().to_string();
    let expected = "a probe heard the message 7 where nothing was expected";
    assert_eq!(heard, expected);
    runtime.exit(probe.pid(), atom!("kill"));
    let nothing = probe.nothing().await.unwrap_err();
    assert!(matches!(nothing, ProbeError::Ended(_)), "{nothing}");
    let next = probe.next().await.unwrap_err();
    assert!(matches!(next, ProbeError::Ended(_)), "{next}");
}

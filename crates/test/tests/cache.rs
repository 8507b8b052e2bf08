//! A cache in front of a backend, whose part a probe plays; and the same with a planted bug.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use proptest::prelude::*;
use purlin_behaviours::{GenServer, ServerRef};
use purlin_macros::gen_server;
use purlin_runtime::Runtime;
use purlin_term::{Pid, Term, atom};
use purlin_test::{Check, Model, TestProbe};

mod paths {
    pub(crate) use purlin_behaviours as behaviours;
    pub(crate) use purlin_macros::message;
    pub(crate) mod __private {
        pub(crate) use ::serde;
    }
}

/// Keeps what the backend said.
struct Cache {
    backend: Pid,
    values: BTreeMap<u8, i64>,
    is_broken: bool,
}

#[gen_server(purlin = "crate::paths")]
impl GenServer for Cache {
    #[call]
    async fn get(&mut self, key: u8, ctx: &mut Context<Self>) -> i64 {
        if let Some(value) = self.values.get(&key) {
            return *value;
        }
        let fetch = Term::tuple([atom!("fetch").into(), Term::from(i64::from(key))]);
        let Some(value) = ctx
            .call(self.backend, fetch)
            .await
            .ok()
            .and_then(|v| v.as_int())
        else {
            return -1;
        };
        self.values.insert(key, value);
        value
    }

    #[cast]
    fn forget(&mut self, key: u8) {
        match self.is_broken && self.values.len() > 2 {
            true => drop(self.values.pop_first()),
            false => drop(self.values.remove(&key)),
        }
    }
}

#[derive(Debug, Clone)]
enum Command {
    Get(u8),
    /// The backend does not answer.
    GetInVain(u8),
    Forget(u8),
}

struct System {
    cache: ServerRef<Cache>,
    backend: TestProbe,
}

/// What the cache holds.
#[derive(Default)]
struct Cached<const BROKEN: bool> {
    values: BTreeMap<u8, i64>,
    fetched: i64,
    of: PhantomData<()>,
}

impl<const BROKEN: bool> Model for Cached<BROKEN> {
    type Command = Command;
    type System = System;

    fn commands() -> BoxedStrategy<Command> {
        prop_oneof![
            (0..8u8).prop_map(Command::Get),
            (0..8u8).prop_map(Command::GetInVain),
            (0..8u8).prop_map(Command::Forget),
        ]
        .boxed()
    }

    async fn start(runtime: &Runtime) -> (Self, System) {
        let backend = TestProbe::new(runtime);
        let cache = Cache {
            backend: backend.pid(),
            values: BTreeMap::new(),
            is_broken: BROKEN,
        };
        let cache = cache.start(runtime).await.unwrap();
        (Self::default(), System { cache, backend })
    }

    fn precondition(&self, command: &Command) -> bool {
        !matches!(command, Command::GetInVain(key) if self.values.contains_key(key))
    }

    async fn run(&mut self, system: &mut System, command: &Command) -> Result<(), String> {
        let System { cache, backend } = system;
        match command {
            Command::Forget(key) => {
                self.values.remove(key);
                cache.cast(Forget(*key)).await.map_err(|e| e.to_string())?;
                Ok(backend.nothing().await?)
            }
            Command::GetInVain(key) => {
                let asked = cache.send_request(Get(*key));
                drop(backend.call().await?);
                is(asked.await, -1)
            }
            Command::Get(key) => {
                let asked = cache.send_request(Get(*key));
                if let Some(value) = self.values.get(key) {
                    backend.nothing().await?;
                    return is(asked.await, *value);
                }
                self.fetched += 1;
                self.values.insert(*key, self.fetched);
                backend.call().await?.reply(self.fetched).await?;
                is(asked.await, self.fetched)
            }
        }
    }
}

fn is(got: Result<i64, purlin_behaviours::CallError>, expected: i64) -> Result<(), String> {
    match got {
        Ok(got) if got == expected => Ok(()),
        other => Err(format!("{expected} was expected, and {other:?} came")),
    }
}

#[test]
fn a_cache_does_what_its_model_does() {
    Check::default().cases(64).check::<Cached<false>>();
}

#[test]
fn a_planted_bug_is_found_shrunk_and_replayed_by_its_seed() {
    let failure = Check::default().find::<Cached<true>>().expect("a bug");
    // Three keys, one that is forgotten, and one of which the cache then knows another thing.
    let [gets @ .., Command::Forget(_), Command::Get(_)] = failure.commands.as_slice() else {
        panic!("{failure}");
    };
    assert_eq!(gets.len(), 3, "{failure}");
    let shown = failure.to_string();
    let last = format!("replay with PURLIN_TEST_SEED={}", failure.seed);
    assert!(shown.ends_with(&last), "{shown}");
    let again = Check::default().seed(failure.seed).cases(1);
    assert_eq!(again.find::<Cached<true>>().unwrap().to_string(), shown);
}

#[test]
fn a_panic_in_a_model_is_a_failure_too() {
    struct Panics;
    impl Model for Panics {
        type Command = u8;
        type System = ();

        fn commands() -> BoxedStrategy<u8> {
            any::<u8>().boxed()
        }

        async fn start(_: &Runtime) -> (Self, ()) {
            (Self, ())
        }

        async fn run(&mut self, (): &mut (), command: &u8) -> Result<(), String> {
            assert!(*command < 100, "too much");
            Ok(())
        }
    }
    let failure = Check::default().find::<Panics>().expect("it panics");
    assert_eq!(failure.commands, [100]);
    assert!(failure.why.contains("too much"), "{}", failure.why);
}

//! Many servers of one kind, each for a part of the keys: where one server would be too busy for all of them.
//!
//! They are the children `0` to `N - 1` of a supervisor, made by one function that is told the number. Which of them
//! has a key follows from a hash of it that is the same in each run. Partitions are restarted as children are; who
//! asks one while it is being restarted hears that there is no such process.
//!
//! Source: Elixir's `PartitionSupervisor`. Deviation: numbers are hashed too, where Elixir takes their remainder.
//!
//! Invariants:
//! - `P1` a key has one partition, which is the same as long as the number of partitions is;
//! - `P2` a partition leads to the server that was started last for it, and to none when that has ended: one of a
//!   supervisor that was killed, and that is yet to end, neither hinders the next nor takes its place.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use purlin_runtime::{Address, Prepared, Runtime};
use purlin_term::{Pid, Term};

use super::{Child, Supervisor, one_for_one};
use crate::gen_server::{Enter, GenServer, ServerMessage, ServerOptions, StartError, Starter};
use crate::registry::Registry;
use crate::server_ref::{Lookup, ServerRef};

/// Partitions that are to be started: made by [`partitioned`].
pub struct Partitioned<S> {
    partitions: Option<usize>,
    make: Arc<Make<S>>,
    intensity: Option<(u32, Duration)>,
}

/// Makes the server of a partition, at each start of it.
type Make<S> = dyn Fn(usize) -> S + Send + Sync;

/// So many servers, at least one, and with `None` as many as threads run processes. Each is made by `make`, which is
/// told its number, and made anew when it has ended.
///
/// ```
/// # use std::sync::Arc;
/// # use purlin_behaviours::{Context, GenServer, HandleCall, Request, by};
/// # use purlin_runtime::{Config, Runtime, TokioExecutor};
/// # use purlin_term::{NodeName, atom};
/// # use serde::{Deserialize, Serialize};
/// use purlin_behaviours::supervisor::partitioned;
///
/// # #[derive(Serialize, Deserialize)]
/// # struct Add(u64);
/// # impl Request for Add {
/// #     type Reply = u64;
/// # }
/// # struct Counter(u64);
/// # impl GenServer for Counter {
/// #     type Messages = (by::Call<Add>,);
/// # }
/// # impl HandleCall<Add> for Counter {
/// #     async fn handle_call(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
/// #         self.0 += n;
/// #         self.0
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = NodeName::new(&atom!("parts@doc"))?;
/// # let runtime = Runtime::new(node, 1, Arc::new(TokioExecutor::current()), Config::default());
/// let counters = partitioned(4, |_| Counter(0)).start(&runtime).await?;
/// counters.partition("user 7").call(Add(1)).await?;
/// assert_eq!(counters.partition("user 7").call(Add(1)).await?, 2);
/// # Ok(())
/// # }
/// ```
pub fn partitioned<S: GenServer>(
    partitions: impl Into<Option<usize>>,
    make: impl Fn(usize) -> S + Send + Sync + 'static,
) -> Partitioned<S> {
    Partitioned {
        partitions: partitions.into(),
        make: Arc::new(make),
        intensity: None,
    }
}

impl<S: GenServer> Partitioned<S> {
    /// As [`Supervisor::intensity`], for all partitions together.
    pub fn intensity(mut self, restarts: u32, period: Duration) -> Self {
        self.intensity = Some((restarts, period));
        self
    }

    /// Starts them under a supervisor, linked to `on` if that is a process.
    ///
    /// # Errors
    /// [`StartError`]: one did not start; none runs.
    pub async fn start(self, on: &(impl Starter + ?Sized)) -> Result<Partitions<S>, StartError> {
        let partitions = self.on(on);
        let options = ServerOptions::default().link();
        let root = &partitions.0.root;
        root.start_with(on, options, (), partitions.tree()).await?;
        Ok(partitions)
    }

    /// They are to run there as a child of another supervisor, which is given [`Partitions::child`].
    pub fn on(self, on: &(impl Starter + ?Sized)) -> Partitions<S> {
        let runtime = on.starting().runtime.clone();
        let count = self.partitions.unwrap_or(runtime.worker_threads());
        Partitions(Arc::new(Shared {
            places: (0..count.max(1)).map(|_| Arc::default()).collect(),
            root: Registry::new(),
            spec: self,
            runtime,
        }))
    }
}

/// Servers that share the keys among them; a handle, cheap to clone.
pub struct Partitions<S: GenServer>(Arc<Shared<S>>);

struct Shared<S: GenServer> {
    /// By number.
    places: Vec<Arc<Place<S>>>,
    /// Their supervisor, of which there is one at a time.
    root: Registry<(), Supervisor>,
    spec: Partitioned<S>,
    runtime: Runtime,
}

impl<S: GenServer> Clone for Partitions<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: GenServer> fmt::Debug for Partitions<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pids = self.all().map(|server| server.pid());
        f.debug_list().entries(pids).finish()
    }
}

impl<S: GenServer> Partitions<S> {
    /// The server of the partition that has this key, whenever it is asked, also after a restart. Where it does not
    /// run, calls of it end with [`NoProcess`](crate::CallError::NoProcess).
    pub fn partition<K: Hash + ?Sized>(&self, key: &K) -> ServerRef<S> {
        self.server(&self.0.places[number(key, self.count())])
    }

    /// The servers of all partitions, in the order of their numbers.
    pub fn all(&self) -> impl Iterator<Item = ServerRef<S>> {
        self.0.places.iter().map(|place| self.server(place))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.places.len()
    }

    /// Their supervisor, whenever it is asked.
    pub fn supervisor(&self) -> ServerRef<Supervisor> {
        self.0.root.server(&self.0.runtime, ())
    }

    /// All of them, as one child of another supervisor.
    pub fn child(&self, id: impl Into<Term>) -> Child {
        let partitions = self.clone();
        self.0.root.child(id, (), move || partitions.tree())
    }

    fn server(&self, place: &Arc<Place<S>>) -> ServerRef<S> {
        ServerRef::via(place.clone(), self.0.runtime.clone())
    }

    fn tree(&self) -> Supervisor {
        let mut tree = one_for_one();
        if let Some((restarts, period)) = self.0.spec.intensity {
            tree = tree.intensity(restarts, period);
        }
        for (number, place) in self.0.places.iter().enumerate() {
            let make = self.0.spec.make.clone();
            let (id, enter) = (Term::from(number as i64), enter(place.clone()));
            tree = tree.with(Child::entered(id, enter, move || make(number)));
        }
        tree
    }
}

/// Where the server of a partition is found.
struct Place<S: GenServer>(RwLock<Option<At<S>>>);

type At<S> = Address<ServerMessage<S>>;

impl<S: GenServer> Default for Place<S> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<S: GenServer> Place<S> {
    fn at(&self) -> RwLockWriteGuard<'_, Option<At<S>>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: GenServer> Lookup<S> for Place<S> {
    fn lookup(&self) -> Option<At<S>> {
        let at = self.0.read();
        at.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Enters a server that is about to run in its place.
fn enter<S: GenServer>(place: Arc<Place<S>>) -> impl Enter<S> + Clone + Send + Sync + 'static {
    move |prepared: &Prepared<ServerMessage<S>>, _: &Runtime| {
        let last = place.at().replace(prepared.address());
        // Its queue may go with this, so the place is not locked.
        drop(last);
        let pid = prepared.pid();
        prepared.hold(Held { place, pid });
        Ok(())
    }
}

/// A place, as the server holds it that was entered there.
struct Held<S: GenServer> {
    place: Arc<Place<S>>,
    pid: Pid,
}

impl<S: GenServer> Drop for Held<S> {
    fn drop(&mut self) {
        let mut at = self.place.at();
        if at.as_ref().is_some_and(|at| at.pid() == self.pid) {
            *at = None;
        }
    }
}

/// The partition of a key.
fn number(key: &(impl Hash + ?Sized), count: usize) -> usize {
    let mut hasher = StableHasher::new();
    key.hash(&mut hasher);
    (hasher.finish() % count as u64) as usize
}

/// A hash without a seed: FNV-1a of 64 bits (draft-eastlake-fnv). Its lowest bits follow from the lowest bits of the
/// key alone, so they are mixed with the others at the end, as MurmurHash3 does it (`fmix64`).
struct StableHasher(u64);

impl StableHasher {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for StableHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        let mix = |hash: u64, factor: u64| (hash ^ (hash >> 33)).wrapping_mul(factor);
        let hash = mix(self.0, 0xff51_afd7_ed55_8ccd);
        let hash = mix(hash, 0xc4ce_b9fe_1a85_ec53);
        hash ^ (hash >> 33)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spread_evenly_and_by_their_value_alone() {
        for count in [1, 2, 4, 7, 16] {
            let mut even = vec![0; count];
            let mut words = vec![0; count];
            for key in 0..16_000_u64 {
                even[number(&(2 * key), count)] += 1;
                words[number(&format!("user {key}"), count)] += 1;
            }
            let fair = 16_000 / count;
            for held in even.into_iter().chain(words) {
                assert!(
                    held > fair * 9 / 10 && held < fair * 11 / 10,
                    "{held} of {fair}"
                );
            }
        }
        assert_eq!(
            number("user 7", 1 << 20),
            number(&"user 7".to_owned(), 1 << 20)
        );
    }

    #[test]
    fn keys_that_are_alike_in_their_lowest_bits_are_spread_too() {
        let first = (0..128_u8).filter(|key| number(&(2 * key), 2) == 0).count();
        assert!((40..=88).contains(&first), "{first} of 128");
    }

    #[test]
    fn a_key_has_the_same_partition_in_each_run() {
        let numbers = ["user 7", "user 8", ""].map(|key| number(key, 1000));
        assert_eq!(numbers, [999, 984, 295]);
    }
}

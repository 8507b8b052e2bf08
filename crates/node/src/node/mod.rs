//! The node: a value that ties processes, connections and exported functions together.
//!
//! A [`Node`] is a handle, cheap to clone; all its state lies behind it, and nothing of it is
//! static, so fifty nodes fit into one test. Its processes are those of a
//! [`Runtime`](purlin_runtime::Runtime). The node is what lies outside for them: it carries their
//! signals and messages to peers (`outside`) and brings those of peers in (`signals`).
//!
//! One lock guards which peers are connected. Nothing is awaited while it is held, and no term that a
//! user chose is encoded, but that what waited for a connection is put into its frames. A process notes a tie over a connection under it, and the end of a connection
//! is told under it, so a tie is either answered or told of that end.
//!
//! Invariants:
//! - `I1` at most one connection a peer name is current; signals of others are not delivered;
//! - `I2` a peer's `NodeUp` and `NodeDown` alternate;
//! - `I3` when `NodeDown` is told, the reader of that connection has stopped, and whoever has a tie
//!   with the peer is told before anything of a later connection.
//!
//! Here are the value and what it knows of itself. Read next: `outside` and `signals`; `spawned`,
//! processes that peers start; `spawn_on`, those that are asked of peers; `supervised` and `applications`, what a program
//! lets it run; `reasons`; `peers`, `watchers`
//! and `exports`.

mod applications;
mod exports;
mod leave;
mod outside;
mod peers;
mod processes;
mod reasons;
mod signals;
mod spawn_on;
mod spawned;
mod supervised;
mod watchers;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use purlin_behaviours::application::Applications;
use purlin_runtime::{Reason, Runtime};
use purlin_term::{Atom, EncodedTerm, NameBudget, NodeName, NodeNameRefused, Term, atom};
use tokio::time::Instant;

use crate::config::Config;
use crate::connection::{Latch, Peers};
use crate::export::Exports;
use crate::host::Host;
use crate::limits::PROCESSES_MAX;
use outside::Roads;
use reasons::HeldReasons;
pub use spawn_on::SpawnOnError;
pub(crate) use spawn_on::Start;
use spawn_on::StartOptions;
use spawned::Spawned;
use supervised::Trees;
use watchers::Watchers;
pub use watchers::{MonitorNodes, NodeType};

/// A node of a cluster.
#[derive(Clone)]
pub struct Node(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) name: NodeName,
    pub(crate) creation: u32,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) runtime: Runtime,
    pub(crate) started: Instant,
    pub(crate) bytes_read: AtomicU64,
    pub(crate) bytes_written: AtomicU64,
    pub(crate) listening: Mutex<Option<crate::start::Listening>>,
    pub(crate) stopping: Latch,
    /// The services are to end, and have.
    pub(crate) dismissing: Latch,
    pub(crate) services: Mutex<Vec<Arc<Latch>>>,
    /// The exit reason that was encoded last: an end has one, however many are told of it.
    encoded_reason: Mutex<Option<(Reason, EncodedTerm)>>,
    /// The exit reason that is told most often.
    encoded_normal: EncodedTerm,
    held_reasons: Mutex<HeldReasons>,
    spawned: Mutex<Spawned>,
    state: Mutex<State>,
    exports: Mutex<Exports>,
    /// What the program started on the node that ends before it leaves.
    trees: Trees,
    start_options: StartOptions,
    applications: Applications,
    /// What names that peers ask us to dial may add to the table of node names.
    name_budget: Mutex<NameBudget>,
    #[cfg(feature = "planted-bugs")]
    kept_names: crate::connection::KeptNames,
}

pub(crate) struct State {
    pub(crate) peers: Peers,
    watchers: Watchers,
}

/// A term of a few atoms, encoded.
fn encoded(term: &Term) -> EncodedTerm {
    EncodedTerm::encode(term).expect("atoms have an encoding")
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({})", self.0.name)
    }
}

impl Node {
    pub(crate) fn new(config: Config, name: NodeName, creation: u32, host: Arc<dyn Host>) -> Self {
        let mut limits = purlin_runtime::Config::default();
        limits.processes_max = PROCESSES_MAX;
        // A thread looks for processes that hold theirs: not where all is simulated on one.
        limits.long_schedule = limits.long_schedule.filter(|_| host.tokio().is_some());
        let runtime = Runtime::new(name, creation, host.clone(), limits);
        let trees = Trees::default();
        let (with_node, living) = (trees.clone(), runtime.clone());
        let begun = move |master| with_node.push(&living, master);
        let applications = Applications::observed(runtime.clone(), begun);
        let state = State {
            peers: Peers::default(),
            watchers: Watchers::default(),
        };
        let node = Self(Arc::new(Inner {
            config,
            name,
            creation,
            host,
            runtime,
            started: Instant::now(),
            bytes_read: AtomicU64::new(0),
            bytes_written: AtomicU64::new(0),
            listening: Mutex::new(None),
            stopping: Latch::default(),
            dismissing: Latch::default(),
            services: Mutex::default(),
            encoded_reason: Mutex::default(),
            encoded_normal: encoded(&atom!("normal").into()),
            held_reasons: Mutex::default(),
            spawned: Mutex::default(),
            state: Mutex::new(state),
            exports: Mutex::new(Exports::default()),
            trees,
            start_options: StartOptions::default(),
            applications,
            name_budget: Mutex::new(NameBudget::new(crate::limits::PINGED_NAMES_MAX)),
            #[cfg(feature = "planted-bugs")]
            kept_names: crate::connection::KeptNames::default(),
        }));
        let roads = Roads::to(&node);
        node.0.runtime.set_outside(Arc::new(roads));
        crate::services::start(&node);
        node
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The processes of this node: for those whose messages are Rust types.
    pub fn runtime(&self) -> &Runtime {
        &self.0.runtime
    }

    pub(crate) fn host(&self) -> &dyn Host {
        &*self.0.host
    }

    /// A node name that a peer mentions, as far as peers may add such names.
    pub(crate) fn intern(&self, name: &Atom) -> Result<NodeName, NodeNameRefused> {
        let mut budget = self
            .0
            .name_budget
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        NodeName::intern(name, &mut budget)
    }

    /// The name, `alive@host`.
    pub fn name(&self) -> NodeName {
        self.0.name
    }

    /// The part of the name after `@`.
    pub fn host_name(&self) -> &str {
        self.0
            .name
            .as_str()
            .split_once('@')
            .map_or("nohost", |(_, host)| host)
    }

    /// The number of this incarnation of the name.
    pub fn creation(&self) -> u32 {
        self.0.creation
    }

    /// How long a silent peer is borne, about.
    pub fn net_ticktime(&self) -> Duration {
        self.0.config.net_ticktime
    }

    /// Time since the node started.
    pub fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }

    pub(crate) fn wall_clock(&self) -> Duration {
        self.host().wall_clock()
    }

    pub(crate) fn random_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.host().random(&mut bytes);
        u64::from_ne_bytes(bytes)
    }

    pub(crate) fn bytes_read_and_written(&self) -> (u64, u64) {
        let read = self.0.bytes_read.load(Ordering::Relaxed);
        (read, self.0.bytes_written.load(Ordering::Relaxed))
    }

    /// Resident bytes of the OS process, zero where the system does not say.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages = status
            .split(' ')
            .nth(1)
            .and_then(|pages| pages.parse::<u64>().ok());
        // Pages of 4 KiB: true on every platform that has /proc and is supported.
        pages.unwrap_or(0) * 4096
    }
}

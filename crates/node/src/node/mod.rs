//! The node: a value that ties processes, connections and exported functions together.
//!
//! A [`Node`] is a handle, cheap to clone; all its state lies behind it, and nothing of it is
//! static, so fifty nodes fit into one test. It is driven from two sides: processes and callers
//! use the public methods, and connections report what peers did through `handle_signal`,
//! `connected` and `disconnected`.
//!
//! One lock guards processes and peers. Nothing is awaited while it is held, and no term that a user
//! chose is encoded; signals for peers that follow from a change are sent after it is released.
//! Order is kept all the same: what one process causes is sent by one task at a time.
//!
//! Invariants:
//! - `I1` at most one connection a peer name is current; signals of others are not delivered;
//! - `I2` a peer's `NodeUp` and `NodeDown` alternate;
//! - `I3` when `NodeDown` is told, the reader of that connection has stopped.
//!
//! Here are the value and what it knows of itself. Read next: `processes`, what processes of this
//! node do; `signals`, what peers do; `links`, `peers` and `exports`.

mod exports;
mod links;
mod peers;
mod processes;
mod signals;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use purlin_term::{Atom, NameBudget, NodeName, NodeNameRefused, Pid};
use tokio::time::Instant;

use crate::config::Config;
use crate::connection::{Latch, Peers};
use crate::export::Exports;
use crate::host::Host;
use crate::process::Processes;

/// A node of a cluster.
#[derive(Clone)]
pub struct Node(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) name: NodeName,
    pub(crate) creation: u32,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) started: Instant,
    pub(crate) bytes_read: AtomicU64,
    pub(crate) bytes_written: AtomicU64,
    pub(crate) listening: Mutex<Option<crate::start::Listening>>,
    pub(crate) stopping: Latch,
    state: Mutex<State>,
    exports: Mutex<Exports>,
    /// What names that peers ask us to dial may add to the table of node names.
    name_budget: Mutex<NameBudget>,
}

pub(crate) struct State {
    pub(crate) processes: Processes,
    pub(crate) peers: Peers,
    node_watchers: Vec<Pid>,
    next_reference: u64,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({})", self.0.name)
    }
}

impl Node {
    pub(crate) fn new(config: Config, name: NodeName, creation: u32, host: Arc<dyn Host>) -> Self {
        let state = State {
            processes: Processes::new(name, creation),
            peers: Peers::default(),
            node_watchers: Vec::new(),
            next_reference: 1,
        };
        let node = Self(Arc::new(Inner {
            config,
            name,
            creation,
            host,
            started: Instant::now(),
            bytes_read: AtomicU64::new(0),
            bytes_written: AtomicU64::new(0),
            listening: Mutex::new(None),
            stopping: Latch::default(),
            state: Mutex::new(state),
            exports: Mutex::new(Exports::default()),
            name_budget: Mutex::new(NameBudget::new(crate::limits::PINGED_NAMES_MAX)),
        }));
        crate::services::start(&node);
        node
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
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

//! A machine of the world, and the processes of the operating system that run on it.
//!
//! Each process that is booted is a [`SimHost`], on which any number of nodes can start; several
//! processes on one machine share its address, its loopback and its port mapper.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use purlin_node::{Node, StartError};

use crate::host::SimHost;
use crate::network::MachineId;
use crate::random::Random;
use crate::tasks::OsProcessId;
use crate::world::World;

/// The first of January 2026, from where wall clocks count; an arbitrary day.
const WALL_CLOCK_START: Duration = Duration::from_secs(1_767_225_600);

/// A machine. This is a handle.
#[derive(Clone)]
pub struct Machine(Arc<Inner>);

struct Inner {
    world: World,
    id: MachineId,
    name: String,
    address: Ipv4Addr,
    random: Mutex<Random>,
    skew_ms: AtomicI64,
    /// Numbers and no hosts, which hold their machine: the two would keep each other for ever.
    running: Mutex<Vec<OsProcessId>>,
}

impl Machine {
    pub(crate) fn new(
        world: World,
        id: MachineId,
        name: &str,
        address: Ipv4Addr,
        random: Random,
    ) -> Self {
        Self(Arc::new(Inner {
            world,
            id,
            name: name.to_owned(),
            address,
            random: Mutex::new(random),
            skew_ms: AtomicI64::new(0),
            running: Mutex::default(),
        }))
    }

    pub(crate) fn id(&self) -> MachineId {
        self.0.id
    }

    pub(crate) fn world(&self) -> &World {
        &self.0.world
    }

    /// Its name, which other machines resolve.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.0.address
    }

    fn running(&self) -> MutexGuard<'_, Vec<OsProcessId>> {
        self.0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a process of the operating system.
    pub fn boot(&self) -> Arc<SimHost> {
        let random = self
            .0
            .random
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .split();
        let process = self.0.world.state().tasks.add_process();
        self.running().push(process);
        Arc::new(SimHost::new(self.clone(), process, random))
    }

    /// Boots an operating-system process and starts a node there: `ALIVE@MACHINE`, with the cookie that all
    /// nodes started so have.
    ///
    /// # Errors
    /// [`StartError`]: the node did not start.
    pub async fn start_node(&self, alive: &str) -> Result<Node, StartError> {
        let address = SocketAddr::new(self.address().into(), 0);
        let name = format!("{alive}@{}", self.name());
        let builder = Node::builder(&name).cookie("simulated").listen(address);
        builder.start_on(self.boot()).await
    }

    /// Ends the machine without a word to anybody: its processes are gone, and nothing that is
    /// sent to it is answered until [`Machine::power_on`].
    pub fn power_off(&self) {
        {
            let mut state = self.0.world.state();
            state.network.set_up(self.0.id, false);
            state.note(format_args!("power off: {}", self.0.name));
        }
        let running = std::mem::take(&mut *self.running());
        for process in running {
            self.0.world.end_process(self.0.id, process, false);
        }
    }

    /// Starts the machine again, with nothing running.
    pub fn power_on(&self) {
        let mut state = self.0.world.state();
        state.network.set_up(self.0.id, true);
        state.note(format_args!("power on: {}", self.0.name));
    }

    /// Sets its wall clock ahead of the world's, or back.
    pub fn set_skew_ms(&self, skew_ms: i64) {
        self.0.skew_ms.store(skew_ms, Ordering::Relaxed);
    }

    pub(crate) fn wall_clock(&self) -> Duration {
        let skew = self.0.skew_ms.load(Ordering::Relaxed);
        let time = WALL_CLOCK_START + self.0.world.now();
        let amount = Duration::from_millis(skew.unsigned_abs());
        match skew < 0 {
            true => time.saturating_sub(amount),
            false => time + amount,
        }
    }
}

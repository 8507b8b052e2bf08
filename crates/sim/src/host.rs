//! The seam's other side: [`Host`] for a process of a simulated machine.
//!
//! What runs tasks and what reaches the network stand apart, in two halves of this file.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use purlin_node::host::{BoxFuture, Executor, Host, Listener, Stream, TaskHandle};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::machine::Machine;
use crate::network::{EndId, MachineId};
use crate::random::Random;
use crate::tasks::{Gate, OsProcessId, TaskId};
use crate::world::World;

/// Blocking work takes up to this long. A guess: a small file, a short computation.
const BLOCKING_WORK_MAX: Duration = Duration::from_millis(5);

/// A process of the operating system on a simulated machine.
pub struct SimHost {
    world: World,
    machine: Machine,
    process: OsProcessId,
    random: Mutex<Random>,
}

impl SimHost {
    pub(crate) fn new(machine: Machine, process: OsProcessId, random: Random) -> Self {
        Self {
            world: machine.world().clone(),
            machine,
            process,
            random: Mutex::new(random),
        }
    }

    /// The machine it runs on.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Runs none of its tasks until [`SimHost::resume`], as after SIGSTOP: what is sent to it is
    /// taken by its kernel.
    pub fn pause(&self) {
        self.set_gate("pause", Gate::Shut);
    }

    /// Runs its tasks one at a time, each poll taking so long.
    pub fn slow(&self, cost: Duration) {
        self.set_gate("slow", Gate::Metered(cost));
    }

    /// Runs its tasks as they come.
    pub fn resume(&self) {
        self.set_gate("resume", Gate::Open);
    }

    /// Ends it at once; its kernel closes its connections.
    pub fn kill(&self) {
        let name = self.machine.name();
        self.world.note(format_args!("kill: {name}"));
        self.world
            .end_process(self.machine.id(), self.process, true);
    }

    /// True once it has ended.
    pub fn is_gone(&self) -> bool {
        self.world.state().tasks.gate(self.process) == Gate::Gone
    }

    fn set_gate(&self, verb: &str, gate: Gate) {
        let mut state = self.world.state();
        let name = self.machine.name();
        state.note(format_args!("{verb}: {name}"));
        let state = &mut *state;
        state
            .tasks
            .set_gate(self.process, gate, state.now, &mut state.events);
    }

    fn random(&self) -> MutexGuard<'_, Random> {
        self.random.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// The half that runs tasks.

impl SimHost {
    fn start_task(&self, task: BoxFuture<'static, ()>) -> Box<dyn TaskHandle> {
        let spawned = self.world.state().tasks.spawn(self.process, task);
        // A task of a process that is gone is dropped here, with no lock of the world held.
        let task = spawned.ok();
        Box::new(SimTask {
            world: self.world.clone(),
            task,
        })
    }

    fn start_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        let delay = self.random().within(Duration::ZERO, BLOCKING_WORK_MAX);
        let sleep = self.world.sleep(delay);
        self.start_task(Box::pin(async move {
            sleep.await;
            work();
        }));
    }
}

struct SimTask {
    world: World,
    task: Option<TaskId>,
}

impl TaskHandle for SimTask {
    fn abort(&self) {
        if let Some(task) = self.task {
            self.world.state().tasks.abort(task);
        }
    }
}

// The half that reaches the network.

impl Host for SimHost {
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let (machine, owner) = (self.machine.id(), self.process);
            let address = self.world.state().network.listen(machine, owner, address)?;
            let (world, machine) = (self.world.clone(), self.machine.clone());
            Ok(Box::new(SimListener {
                world,
                machine,
                owner,
                address,
            }) as Box<dyn Listener>)
        })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Stream>> {
        Box::pin(async move {
            let end = {
                let mut state = self.world.state();
                let (network, mut around) = state.network();
                network.dial(&mut around, self.machine.id(), self.process, address)?
            };
            let handle = Handle::new(&self.world, end);
            std::future::poll_fn(|context| {
                let mut state = self.world.state();
                state.network.poll_dialled(end, context.waker())
            })
            .await?;
            Ok(stream(handle, address))
        })
    }

    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move { self.world.state().network.resolve(host) })
    }
}

impl Executor for SimHost {
    fn spawn(&self, task: BoxFuture<'static, ()>) -> Box<dyn TaskHandle> {
        self.start_task(task)
    }

    /// There are no threads here: what blocks one blocks the world, and takes no time.
    fn spawn_on_thread(&self, task: BoxFuture<'static, ()>) {
        self.start_task(task);
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        self.start_blocking(work);
    }

    fn wall_clock(&self) -> Duration {
        self.machine.wall_clock()
    }

    fn random(&self, bytes: &mut [u8]) {
        self.random().fill(bytes);
    }
}

struct SimListener {
    world: World,
    machine: Machine,
    owner: OsProcessId,
    address: SocketAddr,
}

impl SimListener {
    fn machine(&self) -> MachineId {
        self.machine.id()
    }
}

impl Listener for SimListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Stream>> {
        Box::pin(async move {
            let (end, peer) = std::future::poll_fn(|context| {
                let mut state = self.world.state();
                let accepted = state
                    .network
                    .accept(self.machine(), self.address, context.waker());
                accepted.map_or(Poll::Pending, Poll::Ready)
            })
            .await;
            Ok(stream(Handle::new(&self.world, end), peer))
        })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let mut state = self.world.state();
        let (network, mut around) = state.network();
        network.unlisten(&mut around, self.machine.id(), self.owner, self.address);
    }
}

/// An end of a connection, held by reader, writer and closer together.
struct Handle {
    world: World,
    end: EndId,
}

impl Handle {
    fn new(world: &World, end: EndId) -> Arc<Self> {
        let world = world.clone();
        Arc::new(Self { world, end })
    }

    fn shut(&self) {
        let mut state = self.world.state();
        let (network, mut around) = state.network();
        network.shut(&mut around, self.end);
    }

    fn write(&self, context: &Context<'_>, pieces: &[&[u8]]) -> Poll<io::Result<usize>> {
        let mut state = self.world.state();
        let (network, mut around) = state.network();
        network.poll_write(&mut around, self.end, pieces, context.waker())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.world.state();
        let (network, mut around) = state.network();
        network.abandon(&mut around, self.end);
    }
}

fn stream(handle: Arc<Handle>, peer: SocketAddr) -> Stream {
    let closing = handle.clone();
    Stream {
        reader: Box::new(SimReader(handle.clone())),
        writer: Box::new(SimWriter(handle)),
        closer: Box::new(move || closing.shut()),
        // Readers are never held up apart from tickers here.
        has_unread: Box::new(|| false),
        peer,
    }
}

struct SimReader(Arc<Handle>);

struct SimWriter(Arc<Handle>);

impl AsyncRead for SimReader {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.world.state();
        let (network, mut around) = state.network();
        network.poll_read(&mut around, self.0.end, buffer, context.waker())
    }
}

impl AsyncWrite for SimWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.write(context, &[bytes])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let pieces: Vec<&[u8]> = pieces.iter().map(|piece| &**piece).collect();
        self.0.write(context, &pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.shut();
        Poll::Ready(Ok(()))
    }
}

/// Who drops the writer has nothing more to say, as on a real host.
impl Drop for SimWriter {
    fn drop(&mut self) {
        self.0.shut();
    }
}

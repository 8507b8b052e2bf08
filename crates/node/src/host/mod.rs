//! The seam between a node and the world.
//!
//! Everything a node needs from outside goes through one [`Host`]: the network, the spawner of its
//! tasks, the wall clock, random bytes and threads for blocking work. [`TokioHost`] is the real one;
//! a simulator implements the same trait and runs whole nodes in virtual time. Monotonic time is
//! tokio's (`tokio::time`), which the simulator pauses.
//!
//! Rules for code behind the seam: every task is started by [`Host::spawn`]; no `SystemTime`, no
//! threads, no unbiased `select!`, no iteration over randomly seeded maps.

mod tokio_host;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

pub use tokio_host::TokioHost;

/// A future on the heap, as a trait object needs it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a node needs from the world.
pub trait Host: Send + Sync + 'static {
    /// Listens for connections on `address`; port 0 means any free port.
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>>;

    /// Opens a connection to `address`. The caller sets the deadline.
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Stream>>;

    /// The addresses of a host name; a literal address is its own.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;

    /// Runs a task of this node until it ends or its handle aborts it.
    fn spawn(&self, task: BoxFuture<'static, ()>) -> Box<dyn TaskHandle>;

    /// Runs blocking work on a thread where it delays no task.
    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>);

    /// Time since the Unix epoch. For people and protocols that carry it; nothing is decided by it.
    fn wall_clock(&self) -> Duration;

    /// Fills `bytes` with random ones, fit for challenges.
    fn random(&self, bytes: &mut [u8]);
}

/// A socket that accepts connections.
pub trait Listener: Send {
    /// The next connection.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Stream>>;

    /// The address it listens on.
    fn local_address(&self) -> io::Result<SocketAddr>;
}

/// Stops a task.
pub trait TaskHandle: Send + Sync {
    /// Drops the task at its next await; no effect on one that has ended.
    fn abort(&self);
}

/// An open connection, its two directions apart.
pub struct Stream {
    /// Bytes from the peer.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// Bytes to the peer.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// Closes both directions at once, whoever holds them: the peer sees the end before this
    /// returns to whoever closes the next connection.
    pub closer: Box<dyn Fn() + Send + Sync>,
    /// The peer's address.
    pub peer: SocketAddr,
}

//! The seam between a node and the world.
//!
//! Everything a node needs from outside goes through one [`Host`]: what its processes need
//! ([`Executor`]: the spawner of tasks, the wall clock, random bytes, threads for blocking work), and
//! the network. [`TokioHost`] is the real one; a simulator implements the same traits and runs whole
//! nodes in virtual time. Monotonic time is tokio's (`tokio::time`), which the simulator pauses.
//!
//! Rules for code behind the seam: every task is started by [`Executor::spawn`]; no `SystemTime`, no
//! threads, no unbiased `select!`, no iteration over randomly seeded maps.

mod stand_in;
mod tokio_host;
mod vital;

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncWrite};

pub use purlin_runtime::{BoxFuture, Executor, TaskHandle};
pub use tokio_host::TokioHost;
pub(crate) use vital::yield_turn;

/// What a node needs from the world.
pub trait Host: Executor {
    /// Listens for connections on `address`; port 0 means any free port.
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>>;

    /// Opens a connection to `address`. The caller sets the deadline.
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Stream>>;

    /// Runs the task that keeps a connection's ticks. It runs, and its timers fire, also while processes
    /// hold every thread that runs tasks.
    fn spawn_ticker(&self, task: BoxFuture<'static, ()>) -> Box<dyn TaskHandle> {
        self.spawn(task)
    }

    /// The addresses of a host name; a literal address is its own.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// A socket that accepts connections.
pub trait Listener: Send {
    /// The next connection.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Stream>>;

    /// The address it listens on.
    fn local_address(&self) -> io::Result<SocketAddr>;
}

/// An open connection, its two directions apart.
pub struct Stream {
    /// Bytes from the peer.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// Bytes to the peer.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// Ends what is sent at once, whoever holds the writer: the peer sees the end before this
    /// returns to whoever ends the next connection.
    pub closer: Box<dyn Fn() + Send + Sync>,
    /// True if something of the peer, if only its end, was received and not read yet: a peer that is
    /// heard by nobody is not silent.
    pub has_unread: Box<dyn Fn() -> bool + Send + Sync>,
    /// The peer's address.
    pub peer: SocketAddr,
}

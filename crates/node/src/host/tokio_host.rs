//! The real host: tokio's sockets and tasks, the system's clock and random bytes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use super::{BoxFuture, Host, Listener, Stream, TaskHandle};

/// A [`Host`] on the tokio runtime that it was made in.
#[derive(Debug, Clone)]
pub struct TokioHost {
    runtime: Handle,
}

impl TokioHost {
    /// A host whose tasks run on the current runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn current() -> Self {
        Self {
            runtime: Handle::current(),
        }
    }
}

impl Host for TokioHost {
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = TcpListener::bind(address).await?;
            Ok(Box::new(TcpAcceptor(listener)) as Box<dyn Listener>)
        })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Stream>> {
        Box::pin(async move { split(TcpStream::connect(address).await?) })
    }

    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> Box<dyn TaskHandle> {
        Box::new(TokioTask(self.runtime.spawn(task).abort_handle()))
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        drop(self.runtime.spawn_blocking(work));
    }

    fn wall_clock(&self) -> Duration {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    }

    fn random(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}

struct TokioTask(tokio::task::AbortHandle);

impl TaskHandle for TokioTask {
    fn abort(&self) {
        self.0.abort();
    }
}

struct TcpAcceptor(TcpListener);

impl Listener for TcpAcceptor {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Stream>> {
        Box::pin(async move { split(self.0.accept().await?.0) })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

fn split(stream: TcpStream) -> io::Result<Stream> {
    stream.set_nodelay(true)?;
    let peer = stream.peer_addr()?;
    let (reader, writer) = stream.into_split();
    Ok(Stream {
        reader: Box::new(reader),
        writer: Box::new(writer),
        peer,
    })
}

//! The real host: tokio's sockets and tasks, the system's clock and random bytes.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use purlin_runtime::TokioExecutor;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use super::{BoxFuture, Executor, Host, Listener, Stream, TaskHandle};

/// A [`Host`] on the tokio runtime that it was made in.
#[derive(Debug, Clone)]
pub struct TokioHost(TokioExecutor);

impl TokioHost {
    /// A host whose tasks run on the current runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn current() -> Self {
        Self(TokioExecutor::current())
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
        Box::pin(async move { Ok(split(TcpStream::connect(address).await?, address)) })
    }

    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

impl Executor for TokioHost {
    fn spawn(&self, task: BoxFuture<'static, ()>) -> Box<dyn TaskHandle> {
        self.0.spawn(task)
    }

    fn tokio(&self) -> Option<&Handle> {
        self.0.tokio()
    }

    fn spawn_on_thread(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn_on_thread(task);
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        self.0.spawn_blocking(work);
    }

    fn wall_clock(&self) -> Duration {
        self.0.wall_clock()
    }

    fn random(&self, bytes: &mut [u8]) {
        self.0.random(bytes);
    }
}

struct TcpAcceptor(TcpListener);

impl Listener for TcpAcceptor {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Stream>> {
        Box::pin(async move {
            let (stream, peer) = self.0.accept().await?;
            Ok(split(stream, peer))
        })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

fn split(stream: TcpStream, peer: SocketAddr) -> Stream {
    // It fails when the peer is gone already, which the first read will tell.
    let _ = stream.set_nodelay(true);
    let stream = Arc::new(stream);
    let closing = stream.clone();
    let closer = move || {
        // Not the reading side: closed with bytes unread, the socket tells a peer that goes on
        // sending at once. It fails when the connection is gone already, which is what is wanted.
        let _ = SockRef::from(&*closing).shutdown(Shutdown::Write);
    };
    Stream {
        reader: Box::new(TcpReader(stream.clone())),
        writer: Box::new(TcpWriter(stream)),
        closer: Box::new(closer),
        peer,
    }
}

/// One direction of a socket. Tokio's own halves do not let a third party close it.
struct TcpReader(Arc<TcpStream>);

struct TcpWriter(Arc<TcpStream>);

impl AsyncRead for TcpReader {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(context))?;
            match self.0.try_read_buf(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done.map(drop)),
            }
        }
    }
}

impl TcpWriter {
    fn poll(
        &self,
        context: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(context))?;
            match write(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl AsyncWrite for TcpWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll(context, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll(context, |stream| stream.try_write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.0).shutdown(Shutdown::Write))
    }
}

/// Who drops the writer has nothing more to say, and the peer is to know.
impl Drop for TcpWriter {
    fn drop(&mut self) {
        let _ = SockRef::from(&*self.0).shutdown(Shutdown::Write);
    }
}

//! The real host: tokio's sockets and tasks, the system's clock and random bytes.
//!
//! Vital tasks have a [stand-in](super::stand_in) for when processes hold every thread. Then nobody may be
//! there to say that a socket is ready, so on the stand-in's thread sockets are tried outright.

use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::thread::{self, ThreadId};
use std::time::Duration;

use purlin_runtime::TokioExecutor;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::coop::consume_budget;

use super::stand_in::StandIn;
use super::{BoxFuture, Executor, Host, Listener, Stream, TaskHandle};

/// Bytes read at once without asking whether there are any: they are zeroed before. A guess, unmeasured.
const READ_OUTRIGHT_MAX: usize = 64 << 10;

/// A [`Host`] on the tokio runtime that it was made in.
#[derive(Clone)]
pub struct TokioHost(Arc<Inner>);

struct Inner {
    executor: TokioExecutor,
    /// Started with the first vital task or socket; `None` if it cannot be.
    stand_in: OnceLock<Option<StandIn>>,
}

impl std::fmt::Debug for TokioHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokioHost")
    }
}

impl TokioHost {
    /// A host whose tasks run on the current runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn current() -> Self {
        Self(Arc::new(Inner {
            executor: TokioExecutor::current(),
            stand_in: OnceLock::new(),
        }))
    }

    fn executor(&self) -> &TokioExecutor {
        &self.0.executor
    }

    fn stand_in(&self) -> Option<&StandIn> {
        let start = || {
            let started = StandIn::start(self.executor().tokio()?);
            let failed = |error: &io::Error| {
                tracing::warn!(%error, "processes that hold their threads will hold connections up");
            };
            started.inspect_err(failed).ok()
        };
        self.0.stand_in.get_or_init(start).as_ref()
    }

    fn stand_in_thread(&self) -> Option<ThreadId> {
        self.stand_in().map(StandIn::thread)
    }
}

impl Host for TokioHost {
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = TcpListener::bind(address).await?;
            let stand_in = self.stand_in_thread();
            Ok(Box::new(TcpAcceptor { listener, stand_in }) as Box<dyn Listener>)
        })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Stream>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            Ok(split(stream, address, self.stand_in_thread()))
        })
    }

    fn spawn_ticker(&self, task: BoxFuture<'static, ()>) -> Box<dyn TaskHandle> {
        match self.stand_in() {
            Some(stand_in) => stand_in.spawn_ticker(task),
            None => self.spawn(task),
        }
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
        self.executor().spawn(task)
    }

    fn spawn_vital(&self, task: BoxFuture<'static, ()>) -> Box<dyn TaskHandle> {
        match self.stand_in() {
            Some(stand_in) => stand_in.spawn_vital(task),
            None => self.spawn(task),
        }
    }

    fn tokio(&self) -> Option<&Handle> {
        self.executor().tokio()
    }

    fn spawn_on_thread(&self, task: BoxFuture<'static, ()>) {
        self.executor().spawn_on_thread(task);
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        self.executor().spawn_blocking(work);
    }

    fn wall_clock(&self) -> Duration {
        self.executor().wall_clock()
    }

    fn random(&self, bytes: &mut [u8]) {
        self.executor().random(bytes);
    }
}

struct TcpAcceptor {
    listener: TcpListener,
    stand_in: Option<ThreadId>,
}

impl TcpAcceptor {
    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        match self.listener.poll_accept(context) {
            Poll::Pending if is_here(self.stand_in) => {
                ready!(poll_budget(context));
                tried(accept_outright(&self.listener))
            }
            polled => polled,
        }
    }
}

fn accept_outright(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (socket, peer) = SockRef::from(listener).accept()?;
    socket.set_nonblocking(true)?;
    let peer = peer.as_socket().ok_or(io::ErrorKind::Unsupported)?;
    Ok((TcpStream::from_std(socket.into())?, peer))
}

impl Listener for TcpAcceptor {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Stream>> {
        Box::pin(async move {
            let accepted = std::future::poll_fn(|context| self.poll_accept(context));
            let (stream, peer) = accepted.await?;
            Ok(split(stream, peer, self.stand_in))
        })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

fn split(stream: TcpStream, peer: SocketAddr, stand_in: Option<ThreadId>) -> Stream {
    // It fails when the peer is gone already, which the first read will tell.
    let _ = stream.set_nodelay(true);
    let stream = Arc::new(stream);
    let (closing, looking) = (stream.clone(), stream.clone());
    let closer = move || {
        // Not the reading side: closed with bytes unread, the socket tells a peer that goes on
        // sending at once. It fails when the connection is gone already, which is what is wanted.
        let _ = SockRef::from(&*closing).shutdown(Shutdown::Write);
    };
    let has_unread = move || {
        // An end is there to be read as well.
        let peeked = SockRef::from(&*looking).peek(&mut [MaybeUninit::uninit()]);
        !peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    };
    let reader = TcpReader {
        stream: stream.clone(),
        stand_in,
    };
    Stream {
        reader: Box::new(reader),
        writer: Box::new(TcpWriter { stream, stand_in }),
        closer: Box::new(closer),
        has_unread: Box::new(has_unread),
        peer,
    }
}

/// True on the thread of the stand-in.
fn is_here(stand_in: Option<ThreadId>) -> bool {
    stand_in == Some(thread::current().id())
}

/// What came of trying a socket outright: not ready is no error.
fn tried<T>(outcome: io::Result<T>) -> Poll<io::Result<T>> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        done => Poll::Ready(done),
    }
}

/// Counts towards the time that a task has before it is another's turn, as tokio's own sockets do.
fn poll_budget(context: &mut Context<'_>) -> Poll<()> {
    pin!(consume_budget()).poll(context)
}

/// One direction of a socket. Tokio's own halves do not let a third party close it.
struct TcpReader {
    stream: Arc<TcpStream>,
    stand_in: Option<ThreadId>,
}

struct TcpWriter {
    stream: Arc<TcpStream>,
    stand_in: Option<ThreadId>,
}

impl AsyncRead for TcpReader {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.stream.poll_read_ready(context) {
                Poll::Pending if is_here(self.stand_in) => {
                    ready!(poll_budget(context));
                    return tried(read_outright(&self.stream, buffer));
                }
                ready => ready!(ready)?,
            }
            match read_ready(&self.stream, buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done.map(drop)),
            }
        }
    }
}

/// Reads from a socket that is said to be ready. One that had less than there was room for is empty:
/// with that it is not ready any more, which spares asking it again. So do tokio's own streams where, as here,
/// readiness is told at its edges (epoll, kqueue).
fn read_ready(stream: &TcpStream, buffer: &mut ReadBuf<'_>) -> io::Result<usize> {
    let room = buffer.remaining();
    let mut outcome = Err(io::ErrorKind::WouldBlock.into());
    // What is said to be ready from here on stays so, whatever the reading inside finds.
    let tried = stream.try_io(Interest::READABLE, || {
        outcome = stream.try_read_buf(buffer);
        match outcome {
            Ok(read) if 0 < read && read < room => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    });
    drop(tried);
    outcome
}

fn read_outright(stream: &TcpStream, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
    let room = buffer.remaining().min(READ_OUTRIGHT_MAX);
    let read = (&*SockRef::from(stream)).read(buffer.initialize_unfilled_to(room))?;
    buffer.advance(read);
    Ok(())
}

impl TcpWriter {
    fn poll(
        &self,
        context: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
        write_outright: impl Fn(&socket2::Socket) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.stream.poll_write_ready(context) {
                Poll::Pending if is_here(self.stand_in) => {
                    ready!(poll_budget(context));
                    return tried(write_outright(&SockRef::from(&*self.stream)));
                }
                ready => ready!(ready)?,
            }
            match write(&self.stream) {
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
        self.poll(
            context,
            |stream| stream.try_write(bytes),
            |mut socket| socket.write(bytes),
        )
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll(
            context,
            |stream| stream.try_write_vectored(pieces),
            |mut socket| socket.write_vectored(pieces),
        )
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.stream).shutdown(Shutdown::Write))
    }
}

/// Who drops the writer has nothing more to say, and the peer is to know.
impl Drop for TcpWriter {
    fn drop(&mut self) {
        let _ = SockRef::from(&*self.stream).shutdown(Shutdown::Write);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// It comes within the test's time, since loopback loses nothing.
    async fn until_unread(stream: &Stream) {
        while !(stream.has_unread)() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_a_peer_sent_is_unread_until_it_is_read_and_so_is_its_end() {
        let host = TokioHost::current();
        let mut listener = host.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_address().unwrap();
        let mut peer = host.connect(address).await.unwrap();
        let mut stream = listener.accept().await.unwrap();
        assert!(!(stream.has_unread)());
        peer.writer.write_all(&[0; 4]).await.unwrap();
        until_unread(&stream).await;
        stream.reader.read_exact(&mut [0; 4]).await.unwrap();
        assert!(!(stream.has_unread)());
        drop(peer);
        until_unread(&stream).await;
    }
}

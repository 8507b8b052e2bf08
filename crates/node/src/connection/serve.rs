//! A connection at work: reader, writer and ticker.
//!
//! Reader and writer are one task. What a portion that was read ([`PORTION`]) makes ready is then one thing beside
//! the processes: this task, which writes what they answer and reads on. As two tasks they were two things,
//! for one of which tokio woke another thread each time; starting processes from 64 clients of another node
//! took 1.3 times as long.

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use purlin_proto::channel::Receiver;
use purlin_proto::channel::limits::ChannelLimits;
use purlin_proto::frame::{Deframer, Frame};
use purlin_proto::handshake::Established;
use purlin_proto::tick::{self, Ticker};
use purlin_term::{Atom, NodeName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until};

use super::{ConnectError, Connection, DownReason, Link};
use crate::host::{Stream, TaskHandle, yield_turn};
use crate::node::Node;
use crate::process::NodeEvent;

/// Bytes and large payloads taken from the queue for one write: enough to fill the kernel's buffers.
const BATCH_BYTES: usize = 256 << 10;
const BATCH_PAYLOADS: usize = 64;

/// Signals that are handled before processes have their turn and what they answer is written. With 8, 32 and 64
/// the benches of calls and spawns with 64 clients (R6, R7) and of one-way messages (R2) were slower or alike.
const PORTION: u32 = 16;

/// Asks whether the peer has sent what was not read yet.
type HasUnread = Box<dyn Fn() -> bool + Send + Sync>;

/// A connection whose handshake is done, ready to be served.
pub(super) struct Serving {
    node: Node,
    connection: Arc<Connection>,
    reader: Box<dyn AsyncRead + Send + Unpin>,
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    has_unread: HasUnread,
    deframer: Deframer,
    receiver: Receiver,
    traffic: Arc<Traffic>,
}

/// What the ticker asks about since its last look.
#[derive(Default)]
struct Traffic {
    has_read: AtomicBool,
    has_written: AtomicBool,
    is_writing: AtomicBool,
    wants_tick: AtomicBool,
}

/// Makes the connection current: an older one to the same name ends first.
pub(super) async fn install(
    node: &Node,
    stream: Stream,
    established: Box<Established>,
    attempt: Option<u64>,
) -> Result<Serving, ConnectError> {
    let name = Atom::new(established.peer.as_str()).expect("the handshake checked its length");
    let peer = NodeName::new(&name)?;
    let link = Link {
        address: stream.peer,
        closer: stream.closer,
    };
    let connection = Connection::new(peer, &established, link);
    #[cfg(feature = "planted-bugs")]
    let connection = connection.with_bug(node.0.config.planted_bug);
    let connection = Arc::new(connection);
    loop {
        let older = {
            let mut state = node.state();
            if attempt.is_some_and(|number| !state.peers.is_attempt(peer, number)) {
                return Err(ConnectError::Superseded {
                    node: peer.to_string(),
                });
            }
            match state.peers.get(peer) {
                Some(older) => older,
                None if node.is_stopping() => return Err(ConnectError::Stopping),
                None if state.peers.is_full() => return Err(ConnectError::TooManyPeers),
                None => {
                    let ended = state.peers.insert(&connection, attempt);
                    node.announce(&mut state, NodeEvent::up(&connection));
                    node.send_held(&connection, ended);
                    break;
                }
            }
        };
        older.close_for(DownReason::WaitPending, &"the node connected anew");
        older.ended.wait().await;
    }
    tracing::info!(%peer, hidden = !connection.is_visible(), "connected");
    tracing::debug!(%peer, flags = %connection.flags(), "what both sides can do");
    let mut deframer = Deframer::default();
    deframer.handle_bytes(&established.leftover);
    let receiver = Receiver::new(connection.flags(), &ChannelLimits::default());
    let (node, traffic) = (node.clone(), Arc::default());
    Ok(Serving {
        node,
        connection,
        reader: stream.reader,
        writer: stream.writer,
        has_unread: stream.has_unread,
        deframer,
        receiver,
        traffic,
    })
}

impl Serving {
    /// Serves the connection until it ends.
    pub(super) async fn run(self) {
        let Self {
            node,
            connection,
            mut reader,
            writer,
            has_unread,
            mut deframer,
            mut receiver,
            traffic,
        } = self;
        let host = node.0.host.clone();
        // One task with the reader: see the head.
        let write = write_all(&node, &connection, &traffic, writer);
        let ticking = host.spawn_ticker(Box::pin(tick(
            node.clone(),
            connection.clone(),
            traffic.clone(),
            has_unread,
        )));
        // Also after a panic: a connection that nobody reads must not stay in the table.
        let _ending = Ending {
            node: node.clone(),
            connection: connection.clone(),
            ticking,
        };
        let end = tokio::select! {
            biased;
            () = connection.closing.wait() => None,
            () = write => None,
            end = read_all(&node, &connection, &traffic, &mut reader, &mut deframer, &mut receiver) => Some(end),
        };
        match end {
            Some(End::Closed) if connection.end(DownReason::ConnectionClosed) => {
                tracing::info!(peer = %connection.peer(), "the peer closed the connection");
            }
            Some(End::Lost(error)) => connection.close_for(DownReason::ConnectionClosed, &error),
            Some(End::Malformed(error)) => connection.close(&error),
            _ => {}
        }
    }
}

/// The end of a connection, when its reader has stopped: the ticker ends, the node is told, and then
/// those who wait for it.
struct Ending {
    node: Node,
    connection: Arc<Connection>,
    ticking: Box<dyn TaskHandle>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        // Only a panic comes here without a reason.
        self.connection.end(DownReason::Killed);
        self.ticking.abort();
        self.node.disconnected(&self.connection);
        self.connection.drained.set();
        self.connection.ended.set();
    }
}

/// Why reading stopped.
enum End {
    Closed,
    Lost(std::io::Error),
    Malformed(String),
}

async fn read_all(
    node: &Node,
    connection: &Arc<Connection>,
    traffic: &Traffic,
    reader: &mut (impl AsyncRead + Unpin),
    deframer: &mut Deframer,
    receiver: &mut Receiver,
) -> End {
    loop {
        if let Err(reason) = handle_frames(node, connection, deframer, receiver).await {
            return End::Malformed(reason);
        }
        match reader.read_buf(deframer.room()).await {
            Ok(0) => return End::Closed,
            Ok(read) => {
                traffic.has_read.store(true, Ordering::Relaxed);
                connection.figures.bytes_read.add(read as u64);
                node.0.bytes_read.fetch_add(read as u64, Ordering::Relaxed);
            }
            Err(error) => return End::Lost(error),
        }
    }
}

/// What is read goes on in portions ([`PORTION`]): processes run, and what they answer is written, before
/// the next one. So the peer has something to do meanwhile; else both ends wait for each other in turns.
///
/// Every frame counts towards the time this task has before it is another's turn, as every receive
/// does: so a flood of small messages is not read much faster than its receiver can run.
async fn handle_frames(
    node: &Node,
    connection: &Arc<Connection>,
    deframer: &mut Deframer,
    receiver: &mut Receiver,
) -> Result<(), String> {
    let mut left = PORTION;
    while let Some(frame) = deframer.next_frame().map_err(|error| error.to_string())? {
        tokio::task::coop::consume_budget().await;
        let Frame::Body(body) = frame else { continue };
        let signal = receiver
            .handle_frame(body)
            .map_err(|error| error.to_string())?;
        let Some(signal) = signal else { continue };
        if left == 0 {
            yield_turn().await;
            left = PORTION;
        }
        left -= 1;
        connection.figures.signals_read.add(1);
        node.handle_signal(connection, signal);
        if connection.is_closing() {
            // Nothing more of a peer that was just rejected.
            return Ok(());
        }
    }
    Ok(())
}

/// Writes what is queued until the connection ends. An idle socket is written at once; what queues
/// up behind a write in flight goes out with the next, in one vectored write.
async fn write_all(
    node: &Node,
    connection: &Connection,
    traffic: &Traffic,
    mut writer: Box<dyn AsyncWrite + Send + Unpin>,
) {
    let mut batch = Batch::default();
    loop {
        batch.fill(connection);
        traffic
            .is_writing
            .store(!batch.is_empty(), Ordering::Relaxed);
        if batch.is_empty() {
            if traffic.wants_tick.swap(false, Ordering::Relaxed) {
                batch.tick();
            } else {
                if connection.is_finishing() {
                    connection.drained.set();
                }
                connection.outbound.wait_for_work().await;
                continue;
            }
        } else {
            traffic.has_written.store(true, Ordering::Relaxed);
        }
        match batch.write(&mut writer).await {
            Ok(written) => {
                connection.figures.bytes_written.add(written);
                node.0.bytes_written.fetch_add(written, Ordering::Relaxed);
                if connection.outbound.written() {
                    // The reader has its turn between two batches, however fast the next is queued.
                    yield_turn().await;
                }
            }
            Err(error) => {
                return connection.close_for(DownReason::ConnectionClosed, &error);
            }
        }
    }
}

/// What goes into one write: heads and small payloads in one buffer, large payloads as they lie.
#[derive(Default)]
struct Batch {
    small: Vec<u8>,
    /// Bytes of `small` that go before each large payload.
    large: Vec<(usize, Bytes)>,
    bytes: usize,
}

impl Batch {
    fn fill(&mut self, connection: &Connection) {
        let mut sender = connection.outbound.sender();
        while self.bytes < BATCH_BYTES && self.large.len() < BATCH_PAYLOADS {
            let before = self.small.len();
            let Some(payload) = sender.poll_frame(&mut self.small) else {
                break;
            };
            self.bytes += self.small.len() - before + payload.len();
            if !payload.is_empty() {
                self.large.push((self.small.len(), payload));
            }
        }
    }

    fn tick(&mut self) {
        self.small.extend_from_slice(&[0; 4]);
        self.bytes += 4;
    }

    fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Writes everything and is empty again. Answers the bytes written.
    async fn write(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<u64> {
        let mut pieces: Vec<&[u8]> = Vec::with_capacity(2 * self.large.len() + 1);
        let mut from = 0;
        for (to, payload) in &self.large {
            pieces.extend([&self.small[from..*to], payload]);
            from = *to;
        }
        pieces.push(&self.small[from..]);
        write_pieces(writer, &mut pieces).await?;
        let bytes = self.bytes as u64;
        self.small.clear();
        self.large.clear();
        self.bytes = 0;
        Ok(bytes)
    }
}

async fn write_pieces(
    writer: &mut (impl AsyncWrite + Unpin),
    pieces: &mut [&[u8]],
) -> std::io::Result<()> {
    let mut first = 0;
    loop {
        while pieces.get(first).is_some_and(|piece| piece.is_empty()) {
            first += 1;
        }
        if first == pieces.len() {
            return Ok(());
        }
        let slices: Vec<IoSlice<'_>> = pieces[first..].iter().map(|p| IoSlice::new(p)).collect();
        let mut written = writer.write_vectored(&slices).await?;
        if written == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        while written > 0 {
            let step = written.min(pieces[first].len());
            pieces[first] = &pieces[first][step..];
            written -= step;
            first += usize::from(pieces[first].is_empty());
        }
    }
}

/// Looks at the traffic as `net_ticktime` says.
///
/// It runs beside the reader, which may be held up: what the peer sent and nobody has read counts as read.
async fn tick(
    node: Node,
    connection: Arc<Connection>,
    traffic: Arc<Traffic>,
    has_unread: HasUnread,
) {
    let start = Instant::now();
    let mut ticker = Ticker::new(std::time::Duration::ZERO, node.tick_config(&connection));
    loop {
        sleep_until(start + ticker.poll_timeout()).await;
        if traffic.has_read.swap(false, Ordering::Relaxed) || has_unread() {
            ticker.handle_read();
        }
        if traffic.has_written.swap(false, Ordering::Relaxed) {
            ticker.handle_written();
        }
        let is_queue_empty = !traffic.is_writing.load(Ordering::Relaxed);
        match ticker.handle_timeout(start.elapsed(), is_queue_empty) {
            Some(tick::Output::SendTick) => {
                traffic.wants_tick.store(true, Ordering::Relaxed);
                connection.outbound.wake_writer();
            }
            Some(tick::Output::PeerSilent) => {
                let cause = "the peer is not responding (net_tick_timeout)";
                connection.close_for(DownReason::NetTickTimeout, &cause);
            }
            None => {}
        }
    }
}

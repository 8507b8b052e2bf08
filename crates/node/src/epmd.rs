//! The port mapper: asking it, being registered with it, and being it.
//!
//! A node registers with the mapper of its own host and stays registered while that connection is
//! open. When the mapper goes away (it may live in another node that stops), the node registers
//! again with whoever serves then, and serves itself if nobody does; its creation stays what the
//! first registration gave. Protocol and rules are `purlin_proto::epmd`'s; here are the sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use purlin_proto::epmd::{self, Client, ConnectionId, Output, Request, Response, Server};
pub use purlin_proto::epmd::{ClientError, NameEntry};
use purlin_proto::limits::{EPMD_CONNECTIONS_MAX, EPMD_TIMEOUT};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::config::Config;
use crate::connection::Latch;
use crate::host::{Host, Listener, Stream, TaskHandle};
use crate::start::StartError;

/// How long a connection to a mapper may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause between attempts to register again, as OTP's `erl_epmd` has it.
const RECONNECT_PAUSE: Duration = Duration::from_secs(2);

/// Bytes read at once: requests and answers are short.
const READ_LEN: usize = 2048;

/// Why a port mapper gave no answer. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EpmdError {
    /// It cannot be reached.
    #[error("{0}")]
    Unreachable(#[from] io::Error),
    /// It did not answer, or not as a mapper does.
    #[error(transparent)]
    Answer(#[from] ClientError),
}

/// The port of the node called `alive` (the part before `@`); `None` if nobody has that name.
///
/// # Errors
/// [`EpmdError`] when the mapper at `mapper` does not answer.
pub async fn lookup(
    host: &dyn Host,
    mapper: SocketAddr,
    alive: &str,
) -> Result<Option<u16>, EpmdError> {
    let (response, _) = ask(host, mapper, Request::Lookup(alive.to_owned())).await?;
    match response {
        Response::Found(registration) => Ok(Some(registration.port)),
        _ => Ok(None),
    }
}

/// All names registered with the mapper at `mapper`, with their ports.
///
/// # Errors
/// [`EpmdError`] when it does not answer.
pub async fn names(host: &dyn Host, mapper: SocketAddr) -> Result<Vec<NameEntry>, EpmdError> {
    match ask(host, mapper, Request::Names).await?.0 {
        Response::Names { names, .. } => Ok(names),
        _ => Ok(Vec::new()),
    }
}

/// Asks one question; the connection is answered too, since a registration lives as long as it.
async fn ask(
    host: &dyn Host,
    mapper: SocketAddr,
    request: Request,
) -> Result<(Response, Stream), EpmdError> {
    let connected = timeout(CONNECT_TIMEOUT, host.connect(mapper)).await;
    let mut stream = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let start = Instant::now();
    let mut client = Client::new(start.elapsed(), request);
    let mut buffer = BytesMut::with_capacity(READ_LEN);
    loop {
        while let Some(bytes) = client.poll_transmit() {
            stream.writer.write_all(&bytes).await?;
        }
        if let Some(answer) = client.poll_event() {
            return Ok((answer?, stream));
        }
        let left = client
            .poll_timeout()
            .map(|at| at.saturating_sub(start.elapsed()));
        buffer.clear();
        buffer.reserve(READ_LEN);
        match timeout(
            left.unwrap_or_default(),
            stream.reader.read_buf(&mut buffer),
        )
        .await
        {
            Ok(Ok(1..)) => client.handle_bytes(start.elapsed(), &buffer),
            Ok(Ok(0) | Err(_)) => client.handle_closed(),
            Err(_) => client.handle_timeout(start.elapsed()),
        }
    }
}

/// How long a mapper may take to free a name. It is told by the end of the connection alone, which
/// it notices at once.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// A name that is registered as long as this lives.
pub(crate) struct Registration {
    creation: u32,
    keeper: Box<dyn TaskHandle>,
    release: Arc<Release>,
}

/// The wish to give a name back, and its fulfilment.
#[derive(Default)]
struct Release {
    is_wanted: Latch,
    is_done: Latch,
}

impl Registration {
    pub(crate) fn creation(&self) -> u32 {
        self.creation
    }

    /// Gives the name back, and returns when the mapper has freed it: a node that starts then gets
    /// the name.
    pub(crate) async fn release(self) {
        self.release.is_wanted.set();
        let _ = timeout(RELEASE_TIMEOUT, self.release.is_done.wait()).await;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Registers the node of `config`, which listens on `port`, with the mapper of this host; becomes
/// that mapper when there is none and the configuration allows it.
pub(crate) async fn register(
    host: &Arc<dyn Host>,
    config: &Config,
    port: u16,
) -> Result<Registration, StartError> {
    let mut keeper = Keeper {
        host: host.clone(),
        config: config.clone(),
        port,
        served: None,
    };
    let (creation, stream) = keeper.register().await?;
    let release = Arc::new(Release::default());
    let kept = release.clone();
    let task = host.spawn_vital(Box::pin(async move {
        keeper.keep(stream, &kept.is_wanted).await;
        kept.is_done.set();
    }));
    Ok(Registration {
        creation,
        keeper: task,
        release,
    })
}

/// Keeps a name registered.
struct Keeper {
    host: Arc<dyn Host>,
    config: Config,
    port: u16,
    served: Option<ServingMapper>,
}

impl Keeper {
    fn mapper(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.config.epmd_port)
    }

    /// Registers with the mapper that runs, or with one of our own.
    async fn register(&mut self) -> Result<(u32, Stream), StartError> {
        match self.register_with_mapper().await {
            Err(StartError::NoEpmd { .. }) if self.config.serves_epmd => {}
            done => return done,
        }
        // Another node may be the first to serve: then it is there to register with.
        let addresses = self.config.mapper_addresses();
        if let Ok(served) = serve_on(self.host.clone(), &addresses).await {
            tracing::info!(?addresses, "serving as the port mapper (epmd) of this host");
            self.served = Some(served);
        }
        self.register_with_mapper().await
    }

    async fn register_with_mapper(&self) -> Result<(u32, Stream), StartError> {
        let hidden = !self.config.flags.is_visible();
        let registration = epmd::Registration::new(self.config.name.alive(), self.port, hidden);
        let no_epmd = |cause| StartError::NoEpmd {
            port: self.config.epmd_port,
            cause,
        };
        match ask(&*self.host, self.mapper(), Request::Register(registration)).await {
            Ok((Response::Registered { creation }, stream)) => Ok((creation, stream)),
            Ok(_) => Err(StartError::NameTaken {
                name: self.config.name.clone(),
            }),
            Err(EpmdError::Unreachable(cause)) => Err(no_epmd(cause)),
            Err(EpmdError::Answer(error)) => Err(no_epmd(io::Error::other(error))),
        }
    }

    /// Keeps the name until it is to be released, and returns when the mapper has freed it.
    async fn keep(mut self, mut stream: Stream, release: &Latch) {
        loop {
            tokio::select! {
                biased;
                () = release.wait() => {
                    let _ = stream.writer.shutdown().await;
                    return until_closed(&mut stream).await;
                }
                () = until_closed(&mut stream) => {}
            }
            tracing::warn!("the port mapper (epmd) went away; registering again");
            stream = loop {
                match self.register().await {
                    Ok((_, stream)) => break stream,
                    Err(error) => tracing::debug!("not registered again yet: {error}"),
                }
                sleep(RECONNECT_PAUSE).await;
            };
        }
    }
}

/// Returns when the mapper closes the connection; it says nothing more before.
async fn until_closed(stream: &mut Stream) {
    let mut ignored = BytesMut::with_capacity(64);
    while matches!(stream.reader.read_buf(&mut ignored).await, Ok(1..)) {
        ignored.clear();
    }
}

/// A port mapper at work; it ends when this is dropped.
pub struct ServingMapper {
    address: SocketAddr,
    tasks: Vec<Box<dyn TaskHandle>>,
}

impl ServingMapper {
    /// Where it listens; the first address, if there are many.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for ServingMapper {
    fn drop(&mut self) {
        self.tasks.iter().for_each(|task| task.abort());
    }
}

/// Where a mapper for `port` listens that is to be reached through `interfaces`: there and, since
/// nodes register through it, on loopback.
pub fn addresses(interfaces: &[IpAddr], port: u16) -> Vec<SocketAddr> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let any = interfaces.iter().find(|address| address.is_unspecified());
    let all = match any {
        // It takes loopback along, on which nobody else can listen then.
        Some(any) => BTreeSet::from([*any]),
        None => interfaces.iter().copied().chain([loopback]).collect(),
    };
    all.into_iter()
        .map(|address| SocketAddr::new(address, port))
        .collect()
}

/// Serves as a port mapper on `address`.
///
/// # Errors
/// When the address cannot be listened on, most likely because a mapper runs there.
pub async fn serve(host: Arc<dyn Host>, address: SocketAddr) -> io::Result<ServingMapper> {
    serve_on(host, &[address]).await
}

/// Serves as one port mapper on several addresses.
///
/// # Errors
/// When one of them cannot be listened on, most likely because a mapper runs there; then none is
/// served. Also when there is no address.
pub async fn serve_on(host: Arc<dyn Host>, addresses: &[SocketAddr]) -> io::Result<ServingMapper> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        listeners.push(host.listen(*address).await?);
    }
    let first = listeners.first().ok_or(io::ErrorKind::InvalidInput)?;
    let address = first.local_address()?;
    let mut first_creation = [0; 4];
    host.random(&mut first_creation);
    let config = epmd::Config::new(address.port(), u32::from_ne_bytes(first_creation));
    let shared = Arc::new(Shared {
        start: Instant::now(),
        server: Mutex::new(Server::new(config)),
        routes: Mutex::default(),
        connections: AtomicU64::new(0),
    });
    let accept = |listener| {
        let accepting = accept_all(host.clone(), listener, shared.clone());
        host.spawn_vital(Box::pin(accepting))
    };
    let tasks = listeners.into_iter().map(accept).collect();
    Ok(ServingMapper { address, tasks })
}

/// The server machine and the way to each of its connections.
struct Shared {
    start: Instant,
    server: Mutex<Server>,
    routes: Mutex<BTreeMap<ConnectionId, mpsc::UnboundedSender<Output>>>,
    /// How many there have been.
    connections: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Tells the machine what happened, and each connection what follows for it.
    fn tell(&self, what: impl FnOnce(&mut Server, Duration)) {
        let mut server = lock(&self.server);
        what(&mut server, self.start.elapsed());
        let routes = lock(&self.routes);
        while let Some(output) = server.poll_output() {
            let (Output::Send(id, _) | Output::Close(id)) = &output;
            if let Some(route) = routes.get(id) {
                // The task is just ending when this fails.
                let _ = route.send(output);
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        lock(&self.server).poll_timeout().map(|at| self.start + at)
    }
}

async fn accept_all(host: Arc<dyn Host>, mut listener: Box<dyn Listener>, shared: Arc<Shared>) {
    // Ended with this task, so that dropping the mapper closes its connections.
    let mut clients: Vec<Connected> = Vec::new();
    loop {
        let far = Instant::now() + Duration::from_secs(3600);
        let deadline = shared.deadline().unwrap_or(far);
        tokio::select! {
            biased;
            accepted = listener.accept() => {
                let Ok(stream) = accepted else {
                    sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let next = shared.connections.fetch_add(1, Ordering::Relaxed);
                clients.retain(|client| !client.route.is_closed());
                if clients.len() >= EPMD_CONNECTIONS_MAX {
                    // The machine counts those that ask or are registered; this, all that are open.
                    continue;
                }
                clients.push(open(&*host, shared.clone(), ConnectionId(next), stream));
            }
            () = sleep_until(deadline) => shared.tell(|server, now| server.handle_timeout(now)),
        }
    }
}

/// A client of the mapper; its connection closes when this is dropped.
struct Connected {
    route: mpsc::UnboundedSender<Output>,
    task: Box<dyn TaskHandle>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn open(host: &dyn Host, shared: Arc<Shared>, id: ConnectionId, stream: Stream) -> Connected {
    let (route, outputs) = mpsc::unbounded_channel();
    lock(&shared.routes).insert(id, route.clone());
    let is_local = stream.peer.ip().to_canonical().is_loopback();
    shared.tell(|server, now| server.handle_opened(now, id, is_local));
    let task = host.spawn_vital(Box::pin(serve_client(shared, id, stream, outputs)));
    Connected { route, task }
}

/// Writes an answer; false when the client is gone, or does not read.
async fn sent(stream: &mut Stream, bytes: &[u8]) -> bool {
    let written = timeout(EPMD_TIMEOUT, stream.writer.write_all(bytes)).await;
    matches!(written, Ok(Ok(())))
}

async fn serve_client(
    shared: Arc<Shared>,
    id: ConnectionId,
    mut stream: Stream,
    mut outputs: mpsc::UnboundedReceiver<Output>,
) {
    let mut buffer = BytesMut::with_capacity(READ_LEN);
    loop {
        buffer.clear();
        buffer.reserve(READ_LEN);
        tokio::select! {
            biased;
            output = outputs.recv() => match output {
                Some(Output::Send(_, bytes)) if sent(&mut stream, &bytes).await => {}
                _ => break,
            },
            read = stream.reader.read_buf(&mut buffer) => match read {
                Ok(1..) => shared.tell(|server, now| server.handle_bytes(now, id, &buffer)),
                _ => break,
            },
        }
    }
    // The name is free before the client can see the end.
    lock(&shared.routes).remove(&id);
    shared.tell(|server, _| server.handle_closed(id));
    let _ = stream.writer.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapper_listens_on_loopback_wherever_else_it_does() {
        let shown = |interfaces: &[&str]| {
            let interfaces: Vec<IpAddr> = interfaces.iter().map(|ip| ip.parse().unwrap()).collect();
            let addresses = addresses(&interfaces, 4369);
            addresses
                .iter()
                .map(SocketAddr::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(&[]), ["127.0.0.1:4369"]);
        assert_eq!(shown(&["127.0.0.1"]), ["127.0.0.1:4369"]);
        assert_eq!(shown(&["10.0.0.5"]), ["10.0.0.5:4369", "127.0.0.1:4369"]);
        assert_eq!(shown(&["10.0.0.5", "0.0.0.0"]), ["0.0.0.0:4369"]);
    }
}

//! Starting and stopping a node.
//!
//! In this order: listen, find or become the port mapper, register the name there and learn the
//! creation (where the node uses one), start the services, accept. Stopping goes the other way: no new connections, what is
//! queued is written, and the name is free again when everything is closed.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use purlin_proto::digest::{Cookie, CookieError};
use purlin_proto::flags::Flags;
use purlin_proto::handshake::{FullName, NameFamily, NodeNameError};
use purlin_term::{Atom, NodeName, NodeNameRefused};
use tokio::time::{self, Instant};

use crate::config::Config;
use crate::connection::{Connection, DownReason, accept_all};
use crate::epmd::{self, Registration};
use crate::host::{Host, TaskHandle, TokioHost};
use crate::limits::SHUTDOWN_PATIENCE;
use crate::node::Node;

/// OTP's bounds of `net_tickintensity` (kernel manual).
const TICK_INTENSITY_MIN: u32 = 4;
const TICK_INTENSITY_MAX: u32 = 1000;

/// Why a node did not start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The name is not one of a node.
    #[error(transparent)]
    Name(#[from] NodeNameError),
    /// The cookie cannot be used.
    #[error(transparent)]
    Cookie(#[from] CookieError),
    /// There is no cookie.
    #[error("a node needs a cookie: give the same one to every node of the cluster")]
    NoCookie,
    /// OTP's bounds of `net_tickintensity`.
    #[error(
        "net_tickintensity is a number from {TICK_INTENSITY_MIN} to {TICK_INTENSITY_MAX}, not {0}"
    )]
    TickIntensity(u32),
    /// A peer cannot be borne for no time at all.
    #[error("net_ticktime is longer than nothing")]
    TickTime,
    /// The table of node names has no room.
    #[error(transparent)]
    NameTable(#[from] NodeNameRefused),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// There is no port mapper, and none could be started.
    #[error(
        "no port mapper (epmd) answers on port {port} of this host, and none can be started: {cause}"
    )]
    NoEpmd {
        /// Its port.
        port: u16,
        /// What went wrong.
        cause: io::Error,
    },
    /// Another node has the name.
    #[error("the name {name} is taken: a node of that name is registered on this host")]
    NameTaken {
        /// The name.
        name: FullName,
    },
}

/// What listens for this node, kept until it stops.
pub(crate) struct Listening {
    address: SocketAddr,
    accepting: Box<dyn TaskHandle>,
    /// The name is registered as long as this lives; `None` without a port mapper.
    registration: Option<Registration>,
}

/// Builds a node: [`Node::builder`].
#[derive(Debug, Clone)]
pub struct NodeBuilder {
    name: String,
    cookie: Option<String>,
    adjust: Adjust,
}

#[derive(Debug, Clone)]
struct Adjust {
    flags: Flags,
    listen: Option<SocketAddr>,
    uses_epmd: bool,
    addresses: Vec<(String, SocketAddr)>,
    peer_port: Option<u16>,
    epmd_port: Option<u16>,
    epmd_addresses: Vec<IpAddr>,
    net_ticktime: Option<Duration>,
    net_tickintensity: Option<u32>,
    handshake_timeout: Option<Duration>,
    is_client: bool,
}

impl Node {
    /// A node of this name, `alive@host`.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), purlin_node::StartError> {
    /// use purlin_node::Node;
    /// let node = Node::builder("shop@127.0.0.1").cookie("secret").start().await?;
    /// println!("ready {} on {:?}", node.name(), node.address());
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(name: &str) -> NodeBuilder {
        let adjust = Adjust {
            flags: Flags::CACHE_AND_FRAGMENTS,
            listen: None,
            uses_epmd: true,
            addresses: Vec::new(),
            peer_port: None,
            epmd_port: None,
            epmd_addresses: Vec::new(),
            net_ticktime: None,
            net_tickintensity: None,
            handshake_timeout: None,
            is_client: false,
        };
        NodeBuilder {
            name: name.to_owned(),
            cookie: None,
            adjust,
        }
    }

    /// Starts a node on `host`.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start(config: Config, host: Arc<dyn Host>) -> Result<Self, StartError> {
        let name = Atom::new(config.name.as_str()).map_err(|_| NodeNameError::TooLong {
            chars: config.name.as_str().chars().count(),
        })?;
        let name = NodeName::new(&name)?;
        let Some(address) = config.listen else {
            let creation = creation_without_epmd(&*host);
            return Ok(Self::new(config, name, creation, host));
        };
        let listen_error = |cause| StartError::Listen { address, cause };
        let listener = host.listen(address).await.map_err(listen_error)?;
        let address = listener.local_address().map_err(listen_error)?;
        let registration = match config.uses_epmd {
            true => Some(epmd::register(&host, &config, address.port()).await?),
            false => None,
        };
        let registered = registration.as_ref().map(Registration::creation);
        let creation = registered.unwrap_or_else(|| creation_without_epmd(&*host));
        let node = Self::new(config, name, creation, host);
        let accepting = node
            .host()
            .spawn_vital(Box::pin(accept_all(node.clone(), listener)));
        let listening = Listening {
            address,
            accepting,
            registration,
        };
        *node.listening() = Some(listening);
        Ok(node)
    }

    /// Where the node listens; `None` when nobody can dial it, or it has stopped.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listening().as_ref().map(|listening| listening.address)
    }

    /// Stops the node: ends supervision trees and applications, the youngest first, writes what is queued,
    /// closes all connections and frees the name.
    ///
    /// The trees have `timeout` to end, and then the peers have it to take what is queued, those that are being
    /// dialled included; what they do not is lost. Then the other processes are told to shut down, the youngest
    /// first, and killed if they do not; the node's own services end last. From then on no process starts.
    pub async fn stop(&self, timeout: Duration) {
        self.end_trees(timeout).await;
        let asked = Instant::now();
        let _ = time::timeout(timeout, self.held_messages_queued()).await;
        self.0.stopping.set();
        let listening = self.listening().take();
        if let Some(listening) = &listening {
            listening.accepting.abort();
        }
        let connections = self.state().peers.all();
        self.announce_leave(&connections);
        connections
            .iter()
            .for_each(|connection| connection.finish());
        let left = timeout.saturating_sub(asked.elapsed());
        let _ = time::timeout(left, all_drained(&connections)).await;
        // All at once: a peer that hears of our end from another before it sees it takes our
        // leaving for a broken link.
        for connection in &connections {
            connection.end(DownReason::NetKernelTerminated);
        }
        for connection in &connections {
            connection.ended.wait().await;
        }
        self.runtime().stop(timeout.min(SHUTDOWN_PATIENCE)).await;
        self.dismiss_services().await;
        if let Some(registration) = listening.and_then(|listening| listening.registration) {
            registration.release().await;
        }
    }

    /// Returns when the messages that waited for connections are queued on them, or were dropped.
    async fn held_messages_queued(&self) {
        let ends = self.state().peers.wait_for_messages();
        for end in ends {
            let _ = end.await;
        }
    }

    fn listening(&self) -> std::sync::MutexGuard<'_, Option<Listening>> {
        self.0
            .listening
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.0.stopping.is_set()
    }
}

async fn all_drained(connections: &[Arc<Connection>]) {
    for connection in connections {
        connection.drained.wait().await;
    }
}

/// A node that is not registered chooses its creation: OTP keeps clear of 0 to 3.
fn creation_without_epmd(host: &dyn Host) -> u32 {
    let mut bytes = [0; 4];
    host.random(&mut bytes);
    u32::from_ne_bytes(bytes).max(4)
}

impl NodeBuilder {
    /// The secret shared with every peer.
    #[must_use]
    pub fn cookie(mut self, cookie: &str) -> Self {
        self.cookie = Some(cookie.to_owned());
        self
    }

    /// Keeps the node out of `nodes()` of its peers.
    #[must_use]
    pub fn hidden(mut self) -> Self {
        self.adjust.flags = self.adjust.flags.hidden();
        self
    }

    /// Replaces the distribution flags, visibility included: for tests of older peers' ways.
    #[must_use]
    pub fn flags(mut self, flags: Flags) -> Self {
        self.adjust.flags = flags;
        self
    }

    /// Where to listen; port 0 means any free port. Loopback unless told otherwise.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.adjust.listen = Some(address);
        self
    }

    /// Neither registers with a port mapper nor asks one: peers dial the port that
    /// [`listen`](Self::listen) fixes, and are dialled where [`peer_address`](Self::peer_address) and
    /// [`peer_port`](Self::peer_port) say. That names are unique is up to whoever gives them.
    #[must_use]
    pub fn without_epmd(mut self) -> Self {
        self.adjust.uses_epmd = false;
        self
    }

    /// Where the node of this name listens; no port mapper is asked for it.
    #[must_use]
    pub fn peer_address(mut self, node: &str, address: SocketAddr) -> Self {
        self.adjust.addresses.push((node.to_owned(), address));
        self
    }

    /// The port that every other node listens on, as OTP's `-erl_epmd_port` has it; no port mapper is
    /// asked. Without a port mapper this node listens there too, unless [`listen`](Self::listen) says
    /// otherwise.
    #[must_use]
    pub fn peer_port(mut self, port: u16) -> Self {
        self.adjust.peer_port = Some(port);
        self
    }

    /// The port of the port mapper; 4369 unless told otherwise.
    #[must_use]
    pub fn epmd_port(mut self, port: u16) -> Self {
        self.adjust.epmd_port = Some(port);
        self
    }

    /// Where a port mapper that this node starts listens, besides loopback and where the node does.
    #[must_use]
    pub fn epmd_addresses(mut self, addresses: &[IpAddr]) -> Self {
        self.adjust.epmd_addresses = addresses.to_vec();
        self
    }

    /// How long a silent peer is borne, about; 60 seconds unless told otherwise.
    #[must_use]
    pub fn net_ticktime(mut self, time: Duration) -> Self {
        self.adjust.net_ticktime = Some(time);
        self
    }

    /// How often in `net_ticktime` the traffic is looked at, 4 to 1,000 times; 4 unless told otherwise. The
    /// more often, the sooner after `net_ticktime` a silent peer is given up.
    #[must_use]
    pub fn net_tickintensity(mut self, looks: u32) -> Self {
        self.adjust.net_tickintensity = Some(looks);
        self
    }

    /// How long a handshake may take; 7 seconds unless told otherwise, as OTP's `net_setuptime`.
    #[must_use]
    pub fn handshake_timeout(mut self, time: Duration) -> Self {
        self.adjust.handshake_timeout = Some(time);
        self
    }

    /// A hidden node that dials and cannot be dialled: for commands and scripts.
    #[must_use]
    pub fn client(mut self) -> Self {
        self.adjust.is_client = true;
        self.hidden()
    }

    /// What this builder describes.
    ///
    /// # Errors
    /// [`StartError`] for a name, cookie or number that cannot be used.
    pub fn build(self) -> Result<Config, StartError> {
        let name = FullName::new(&self.name)?;
        name.check_own(NameFamily::of(&name))?;
        let cookie = Cookie::new(&self.cookie.ok_or(StartError::NoCookie)?)?;
        let mut config = Config::new(name, cookie);
        let adjust = self.adjust;
        config.flags = adjust.flags;
        config.uses_epmd = adjust.uses_epmd;
        config.peer_port = adjust.peer_port;
        for (node, address) in adjust.addresses {
            let node = FullName::new(&node)?;
            config.addresses.insert(node.as_str().to_owned(), address);
        }
        let default_port = adjust.peer_port.filter(|_| !adjust.uses_epmd);
        config.listen = adjust.listen.or(config.listen.map(|address| {
            let port = default_port.unwrap_or(address.port());
            SocketAddr::new(address.ip(), port)
        }));
        if adjust.is_client {
            config.listen = None;
        }
        config.epmd_port = adjust.epmd_port.unwrap_or(config.epmd_port);
        config.epmd_addresses = adjust.epmd_addresses;
        config.net_ticktime = adjust.net_ticktime.unwrap_or(config.net_ticktime);
        if config.net_ticktime.is_zero() {
            return Err(StartError::TickTime);
        }
        config.net_tickintensity = adjust.net_tickintensity.unwrap_or(config.net_tickintensity);
        if !(TICK_INTENSITY_MIN..=TICK_INTENSITY_MAX).contains(&config.net_tickintensity) {
            return Err(StartError::TickIntensity(config.net_tickintensity));
        }
        if let Some(time) = adjust.handshake_timeout {
            (config.handshake_timeout, config.connect_timeout) = (time, 2 * time);
        }
        Ok(config)
    }

    /// Starts the node on the current tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn start(self) -> Result<Node, StartError> {
        self.start_on(Arc::new(TokioHost::current())).await
    }

    /// Starts the node on `host`.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start_on(self, host: Arc<dyn Host>) -> Result<Node, StartError> {
        Node::start(self.build()?, host).await
    }
}

impl Node {
    pub(crate) fn now(&self) -> Duration {
        self.0.started.elapsed()
    }

    pub(crate) fn protocol_name(&self) -> FullName {
        self.0.config.name.clone()
    }

    pub(crate) fn name_family(&self) -> NameFamily {
        NameFamily::of(&self.0.config.name)
    }

    pub(crate) fn cookie(&self) -> Cookie {
        self.0.config.cookie.clone()
    }

    pub(crate) fn epmd_port(&self) -> u16 {
        self.0.config.epmd_port
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        self.0.config.connect_timeout
    }

    pub(crate) fn handshake_config(&self) -> purlin_proto::handshake::Config {
        purlin_proto::handshake::Config {
            flags: self.0.config.flags,
            timeout: self.0.config.handshake_timeout,
            ..Default::default()
        }
    }

    pub(crate) fn tick_config(&self, connection: &Connection) -> purlin_proto::tick::Config {
        purlin_proto::tick::Config {
            net_ticktime: self.0.config.net_ticktime,
            intensity: self.0.config.net_tickintensity,
            is_peer_hidden: !connection.is_visible(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> NodeBuilder {
        Node::builder("a@127.0.0.1").cookie("c")
    }

    #[test]
    fn ticks_are_as_told_and_within_the_bounds_of_otp() {
        let second = Duration::from_secs(1);
        let config = builder().net_ticktime(second).net_tickintensity(1000);
        let config = config.build().unwrap();
        assert_eq!(
            (config.net_ticktime, config.net_tickintensity),
            (second, 1000)
        );
        for wrong in [0, 3, 1001] {
            let refused = builder().net_tickintensity(wrong).build();
            assert!(matches!(refused, Err(StartError::TickIntensity(found)) if found == wrong));
        }
        let refused = builder().net_ticktime(Duration::ZERO).build();
        assert!(matches!(refused, Err(StartError::TickTime)));
    }
}

//! Dialling a peer: its address, most often from its host and EPMD, and the handshake.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use purlin_proto::handshake::{
    Dial, FullName, Handshake, HandshakeError, LocalName, NodeNameError, Verdict,
};
use purlin_term::{NodeName, NodeNameRefused};
use tokio::time::{sleep, timeout};

use super::peers::AttemptEnd;
use super::{Connection, serve};
use crate::epmd;
use crate::host::Stream;
use crate::node::{Node, State};

/// Why there is no connection to a node. In every case nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name is not one of a node.
    #[error(transparent)]
    Name(#[from] NodeNameError),
    /// The table of node names has no room.
    #[error(transparent)]
    NameTable(#[from] NodeNameRefused),
    /// The host is not known.
    #[error("the host of {node} is unknown: {cause}")]
    HostUnknown {
        /// The node.
        node: String,
        /// What the resolver said.
        cause: String,
    },
    /// No port mapper answers on the host.
    #[error("no port mapper (epmd) answers on {address}: {cause}; is a node running there?")]
    NoEpmd {
        /// Where it was asked.
        address: SocketAddr,
        /// What went wrong.
        cause: String,
    },
    /// The port mapper does not know the name.
    #[error("no node named {node} is registered with the port mapper on {address}")]
    NotRegistered {
        /// The node.
        node: String,
        /// Where it was asked.
        address: SocketAddr,
    },
    /// This node uses no port mapper, and was not told where the other listens. Nobody was asked.
    #[error("where {node} listens is not known, and this node uses no port mapper")]
    AddressUnknown {
        /// The node.
        node: String,
    },
    /// Nobody listens where the node should.
    #[error("{node} does not accept connections on {address}: {cause}")]
    Refused {
        /// The node.
        node: String,
        /// Its address.
        address: SocketAddr,
        /// What went wrong.
        cause: String,
    },
    /// The handshake failed.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// It took too long.
    #[error("{node} did not answer within {} ms", after.as_millis())]
    TimedOut {
        /// The node.
        node: String,
        /// The time it was given.
        after: Duration,
    },
    /// The peer's own dial, or another, came first.
    #[error("another connection to {node} was made meanwhile")]
    Superseded {
        /// The node.
        node: String,
    },
    /// Too many nodes are connected already.
    #[error("too many nodes are connected")]
    TooManyPeers,
    /// This node is stopping.
    #[error("this node is stopping")]
    Stopping,
}

impl Node {
    /// Connects to `peer`, or answers when it is connected.
    ///
    /// # Errors
    /// [`ConnectError`]: why there is no connection.
    pub async fn connect_to(&self, peer: impl Into<NodeName>) -> Result<(), ConnectError> {
        let peer = peer.into();
        self.connect(peer).await.map(drop)
    }

    /// The connection to `peer`, made when there is none.
    pub(crate) async fn connect(&self, peer: NodeName) -> Result<Arc<Connection>, ConnectError> {
        if self.is_stopping() {
            return Err(ConnectError::Stopping);
        }
        let end = match self.find_or_dial(peer) {
            Ok(connection) => return Ok(connection),
            Err(end) => end,
        };
        end.await.unwrap_or(Err(ConnectError::Stopping))
    }

    /// The connection to `peer`, or the end of the attempt that is under way from now on.
    ///
    /// One lock from the attempt to its task: an attempt without its task cannot be given up.
    fn find_or_dial(&self, peer: NodeName) -> Result<Arc<Connection>, AttemptEnd> {
        let mut state = self.state();
        if let Some(connection) = state.peers.get(peer) {
            return Ok(connection);
        }
        self.begin_dial(&mut state, peer);
        Err(state.peers.wait_for(peer).expect("it is being dialled"))
    }

    /// Dials `peer`, unless it is connected or being dialled.
    pub(crate) fn begin_dial(&self, state: &mut State, peer: NodeName) {
        let Some(number) = state.peers.begin_attempt(peer) else {
            return;
        };
        let dialling = self.clone();
        let task = self.host().spawn_vital(Box::pin(async move {
            dial_and_serve(dialling, peer, number).await;
        }));
        state.peers.set_task(peer, number, task);
    }
}

async fn dial_and_serve(node: Node, peer: NodeName, number: u64) {
    let dialled = timeout(node.connect_timeout(), dial(&node, peer)).await;
    let timed_out = || ConnectError::TimedOut {
        node: peer.to_string(),
        after: node.connect_timeout(),
    };
    let error = match dialled.unwrap_or_else(|_| Err(timed_out())) {
        Ok((stream, established)) => {
            match serve::install(&node, stream, established, Some(number)).await {
                Ok(serving) => return serving.run().await,
                Err(error) => error,
            }
        }
        // The peer's own dial goes on: it answers those who wait, or fails with this.
        Err(error @ ConnectError::Handshake(HandshakeError::Nok { .. })) => {
            sleep(node.connect_timeout()).await;
            error
        }
        Err(error) => error,
    };
    failed(peer, &error);
    node.dial_failed(peer, number, error);
}

/// A handshake that fails is something an operator wants to see, unless both sides dialled; all
/// else (nobody is there) is what whoever wanted the connection is told.
fn failed(peer: NodeName, error: &ConnectError) {
    use HandshakeError::{AlreadyConnected, Nok};
    match error {
        ConnectError::Handshake(Nok { .. } | AlreadyConnected { .. }) => {
            tracing::debug!(%peer, "no connection: {error}");
        }
        ConnectError::Handshake(error) => tracing::warn!(%peer, "no connection: {error}"),
        error => tracing::debug!(%peer, "no connection: {error}"),
    }
}

async fn dial(
    node: &Node,
    peer: NodeName,
) -> Result<(Stream, Box<purlin_proto::handshake::Established>), ConnectError> {
    let name = FullName::new(peer.as_str())?;
    node.name_family().check(&name)?;
    let mut stream = open(node, &name).await?;
    let local = LocalName::Known {
        name: node.protocol_name(),
        creation: node.creation(),
    };
    let challenge = node.random_u64() as u32;
    let dial = Dial {
        local,
        peer: name,
        cookie: node.cookie(),
        challenge,
    };
    let handshake = Handshake::dial(node.now(), node.handshake_config(), dial);
    let nobody_claims = |_: &_| Verdict::Refuse;
    let established = super::handshake::run(node, &mut stream, handshake, nobody_claims).await?;
    Ok((stream, established))
}

/// Opens a connection to where the peer listens: where the configuration says, or to its port on
/// each address of its host in turn.
async fn open(node: &Node, peer: &FullName) -> Result<Stream, ConnectError> {
    let config = &node.0.config;
    if let Some(address) = config.addresses.get(peer.as_str()) {
        return open_at(node, peer, *address).await;
    }
    if config.peer_port.is_none() && !config.uses_epmd {
        let node = peer.to_string();
        return Err(ConnectError::AddressUnknown { node });
    }
    let unknown = |cause: String| ConnectError::HostUnknown {
        node: peer.to_string(),
        cause,
    };
    let addresses = node
        .host()
        .resolve(peer.host())
        .await
        .map_err(|e| unknown(e.to_string()))?;
    let mut last = unknown("it has no address".into());
    for host in addresses {
        match open_on(node, peer, host).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn open_on(node: &Node, peer: &FullName, host: IpAddr) -> Result<Stream, ConnectError> {
    let port = match node.0.config.peer_port {
        Some(port) => port,
        None => registered_port(node, peer, host).await?,
    };
    open_at(node, peer, SocketAddr::new(host, port)).await
}

/// The port that the peer registered with the port mapper of its host.
async fn registered_port(node: &Node, peer: &FullName, host: IpAddr) -> Result<u16, ConnectError> {
    let mapper = SocketAddr::new(host, node.epmd_port());
    let port = epmd::lookup(node.host(), mapper, peer.alive())
        .await
        .map_err(|cause| ConnectError::NoEpmd {
            address: mapper,
            cause: cause.to_string(),
        })?;
    port.ok_or_else(|| ConnectError::NotRegistered {
        node: peer.to_string(),
        address: mapper,
    })
}

async fn open_at(
    node: &Node,
    peer: &FullName,
    address: SocketAddr,
) -> Result<Stream, ConnectError> {
    let refused = |cause: io::Error| ConnectError::Refused {
        node: peer.to_string(),
        address,
        cause: cause.to_string(),
    };
    node.host().connect(address).await.map_err(refused)
}

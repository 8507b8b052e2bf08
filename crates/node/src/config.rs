//! What a node is told when it starts.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use purlin_proto::digest::Cookie;
use purlin_proto::flags::Flags;
use purlin_proto::handshake::FullName;
use purlin_proto::limits::{HANDSHAKE_TIMEOUT, NET_TICK_INTENSITY, NET_TICKTIME};

use crate::epmd;

/// The port of the port mapper unless something else is asked for, as OTP's `ERL_EPMD_PORT` does.
pub const EPMD_PORT: u16 = 4369;

/// How a node is set up. See [`NodeBuilder`](crate::NodeBuilder) for the way to make one.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name, `alive@host`.
    pub name: FullName,
    /// The secret shared with every peer.
    pub cookie: Cookie,
    /// What the node tells peers it can do; without `PUBLISHED` it is hidden.
    pub flags: Flags,
    /// Where to listen; port 0 means any free port. `None`: nobody can dial this node.
    pub listen: Option<SocketAddr>,
    /// Register with the port mapper, and ask it for the ports of peers. Without it, peers are reached
    /// where `addresses` and `peer_port` say, and nobody sees to it that names are unique.
    pub uses_epmd: bool,
    /// Where peers of these names listen, whatever a port mapper says.
    pub addresses: BTreeMap<String, SocketAddr>,
    /// The port that all other peers listen on, whatever a port mapper says: OTP's `-erl_epmd_port`.
    pub peer_port: Option<u16>,
    /// The port of the port mapper, here and on every peer's host.
    pub epmd_port: u16,
    /// Serve as the port mapper of this host when none answers.
    pub serves_epmd: bool,
    /// Where such a port mapper listens besides loopback and the address of `listen`.
    pub epmd_addresses: Vec<IpAddr>,
    /// How long a silent peer is borne, about.
    pub net_ticktime: Duration,
    /// Looks at the traffic per `net_ticktime`: from 4 to 1,000, as in OTP.
    pub net_tickintensity: u32,
    /// How long a handshake may take, whoever dialled.
    pub handshake_timeout: Duration,
    /// How long connecting may take, host names and handshake included.
    pub connect_timeout: Duration,
    /// For tests of those who judge nodes.
    #[cfg(feature = "planted-bugs")]
    pub planted_bug: Option<crate::PlantedBug>,
}

impl Config {
    /// A visible node that listens on loopback.
    pub fn new(name: FullName, cookie: Cookie) -> Self {
        Self {
            name,
            cookie,
            flags: Flags::CACHE_AND_FRAGMENTS,
            listen: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)),
            uses_epmd: true,
            addresses: BTreeMap::new(),
            peer_port: None,
            epmd_port: EPMD_PORT,
            serves_epmd: true,
            epmd_addresses: Vec::new(),
            net_ticktime: NET_TICKTIME,
            net_tickintensity: NET_TICK_INTENSITY,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            // The handshake's own deadline, OTP's `net_setuptime`, and as much for what is before.
            connect_timeout: 2 * HANDSHAKE_TIMEOUT,
            #[cfg(feature = "planted-bugs")]
            planted_bug: None,
        }
    }

    /// Where a port mapper of this node's own listens: where the node is reached, too.
    pub(crate) fn mapper_addresses(&self) -> Vec<SocketAddr> {
        let listen = self.listen.map(|address| address.ip());
        let interfaces: Vec<IpAddr> = listen.iter().chain(&self.epmd_addresses).copied().collect();
        epmd::addresses(&interfaces, self.epmd_port)
    }
}

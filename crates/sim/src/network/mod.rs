//! The network of a world: machines, listeners and connections that behave as TCP's do.
//!
//! ```text
//! write -> segments -> path (latency, bandwidth, cuts) -> arrival -> received bytes -> read
//!                                                      <- credit for what was read
//! ```
//!
//! A connection has two directions, and each carries its segments in order, whatever their
//! latencies. Bytes that were written and not yet acknowledged as read are bounded, so a reader
//! that does not read stops the writer. A cut path loses nothing: what is under way waits and is
//! sent again when the path is mended, as TCP does. What TCP has and this has not: connections do
//! not time out by themselves however long a cut lasts, and there is no keep-alive.
//!
//! Invariants:
//! - `I1` bytes of a direction arrive in the order they were written, none twice, none lost but
//!   behind a reset;
//! - `I2` an end whose process is gone neither sends nor reads; what arrives at it is answered
//!   with a reset when the machine is up, and lost when it is not;
//! - `I3` what one end learns of the other (credit, end, reset) took the path between them.
//!
//! Read next: `connection`, the ends and their rules; `deliver`, what segments do; `link`, paths.

mod connection;
mod deliver;
mod link;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::Waker;
use std::time::Duration;

use connection::Connection;
pub(crate) use connection::{Direction, EndId};
pub(crate) use link::Links;
pub use link::{Latency, Link};

use crate::events::Events;
use crate::random::Random;
use crate::tasks::OsProcessId;
use crate::trace::Trace;

/// A machine of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MachineId(pub(crate) u32);

/// Connections that wait to be accepted, after which others must dial again: Linux's `SOMAXCONN`
/// for most of its life.
const BACKLOG_MAX: usize = 128;

/// The first port that a machine gives out: the dynamic ports of RFC 6335, section 6.
const FIRST_FREE_PORT: u16 = 49_152;

/// What of a network is chosen for a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkConfig {
    /// Every path that is not set on its own.
    pub link: Link,
    /// Bytes that are written and not yet read, in each direction of a connection.
    pub window: usize,
    /// A write is cut into pieces, or taken in part, once in so many times; zero for never.
    pub one_write_cut_in: u64,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            link: Link::default(),
            // What a socket of Linux has on both sides together, about.
            window: 256 << 10,
            one_write_cut_in: 4,
        }
    }
}

/// A machine's part in the network.
struct Machine {
    name: String,
    address: Ipv4Addr,
    is_up: bool,
    next_port: u16,
    listeners: BTreeMap<SocketAddr, Listening>,
}

/// A socket that listens.
struct Listening {
    owner: OsProcessId,
    backlog: VecDeque<EndId>,
    waker: Option<Waker>,
}

/// What the network needs of the world for each thing it does.
pub(crate) struct Around<'a> {
    pub(crate) now: Duration,
    pub(crate) events: &'a mut Events,
    pub(crate) trace: &'a mut Trace,
}

/// All machines and connections.
pub(crate) struct Network {
    config: NetworkConfig,
    machines: Vec<Machine>,
    pub(crate) links: Links,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    random: Random,
}

impl Network {
    pub(crate) fn new(config: NetworkConfig, random: Random) -> Self {
        let mut links = Links::default();
        links.set_every(config.link);
        Self {
            config,
            machines: Vec::new(),
            links,
            connections: BTreeMap::new(),
            next_connection: 0,
            random,
        }
    }

    /// Adds a machine; its address follows from how many there are.
    pub(crate) fn add_machine(&mut self, name: &str) -> (MachineId, Ipv4Addr) {
        let id = MachineId(self.machines.len() as u32);
        let [.., high, low] = (id.0 + 1).to_be_bytes();
        let address = Ipv4Addr::new(10, 0, high, low);
        self.machines.push(Machine {
            name: name.to_owned(),
            address,
            is_up: true,
            next_port: FIRST_FREE_PORT,
            listeners: BTreeMap::new(),
        });
        (id, address)
    }

    pub(crate) fn machines(&self) -> impl Iterator<Item = MachineId> + use<> {
        (0..self.machines.len() as u32).map(MachineId)
    }

    pub(crate) fn set_link(&mut self, path: (MachineId, MachineId), link: Link) {
        self.links.set(path, link);
    }

    fn machine(&self, id: MachineId) -> &Machine {
        &self.machines[id.0 as usize]
    }

    fn machine_mut(&mut self, id: MachineId) -> &mut Machine {
        &mut self.machines[id.0 as usize]
    }

    pub(crate) fn name(&self, id: MachineId) -> &str {
        &self.machine(id).name
    }

    /// Switches a machine on or off, as far as the network goes.
    pub(crate) fn set_up(&mut self, id: MachineId, is_up: bool) {
        self.machine_mut(id).is_up = is_up;
    }

    /// The addresses of a host name, as a machine sees them.
    pub(crate) fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(literal) = host.parse() {
            return Ok(vec![literal]);
        }
        if host == "localhost" {
            return Ok(vec![Ipv4Addr::LOCALHOST.into()]);
        }
        let found = self.machines.iter().find(|machine| machine.name == host);
        let unknown = || io::Error::new(io::ErrorKind::NotFound, "no machine has this name");
        Ok(vec![found.ok_or_else(unknown)?.address.into()])
    }

    /// The machine that `address` leads to from `from`.
    fn find(&self, from: MachineId, address: IpAddr) -> Option<MachineId> {
        if address.is_loopback() || address.is_unspecified() {
            return Some(from);
        }
        let mut machines = self.machines();
        machines.find(|id| IpAddr::V4(self.machine(*id).address) == address)
    }

    /// Listens for a process; answers the address.
    pub(crate) fn listen(
        &mut self,
        machine: MachineId,
        owner: OsProcessId,
        address: SocketAddr,
    ) -> io::Result<SocketAddr> {
        if self.find(machine, address.ip()) != Some(machine) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let machine = self.machine_mut(machine);
        let address = match address.port() {
            0 => SocketAddr::new(address.ip(), machine.free_port()?),
            _ => address,
        };
        if machine
            .listeners
            .keys()
            .any(|other| overlap(*other, address))
        {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let listening = Listening {
            owner,
            backlog: VecDeque::new(),
            waker: None,
        };
        machine.listeners.insert(address, listening);
        Ok(address)
    }

    /// Stops listening; who was not accepted yet is reset.
    pub(crate) fn unlisten(
        &mut self,
        around: &mut Around<'_>,
        machine: MachineId,
        owner: OsProcessId,
        address: SocketAddr,
    ) {
        let listeners = &mut self.machine_mut(machine).listeners;
        // A later process may listen there by now.
        if listeners
            .get(&address)
            .is_none_or(|listening| listening.owner != owner)
        {
            return;
        }
        let listening = listeners.remove(&address).expect("it was just there");
        for end in listening.backlog {
            self.abandon(around, end);
        }
    }

    /// The next connection of a listener; else `waker` is woken by one.
    pub(crate) fn accept(
        &mut self,
        machine: MachineId,
        address: SocketAddr,
        waker: &Waker,
    ) -> Option<(EndId, SocketAddr)> {
        let listening = self.machine_mut(machine).listeners.get_mut(&address)?;
        let Some(end) = listening.backlog.pop_front() else {
            listening.waker = Some(waker.clone());
            return None;
        };
        let peer = self.peer_address(end);
        Some((end, peer))
    }

    /// A process is gone: it listens no more, and its connections are detached. With `tells_peers`
    /// the kernel closes them, as it does for a process that was killed; else they fall silent, as
    /// at the end of a machine.
    pub(crate) fn detach(
        &mut self,
        around: &mut Around<'_>,
        machine: MachineId,
        owner: OsProcessId,
        tells_peers: bool,
    ) {
        let listeners = &mut self.machine_mut(machine).listeners;
        let mut orphans = Vec::new();
        listeners.retain(|_, listening| {
            let stays = listening.owner != owner;
            if !stays {
                orphans.extend(listening.backlog.drain(..));
            }
            stays
        });
        orphans.extend(self.ends_of(owner));
        for end in orphans {
            if tells_peers {
                self.abandon(around, end);
            }
            self.detach_end(end);
        }
    }
}

impl Machine {
    /// A port that nobody listens on. Used again long after, as the kernel does.
    fn free_port(&mut self) -> io::Result<u16> {
        for _ in FIRST_FREE_PORT..=u16::MAX {
            let port = self.next_port;
            self.next_port = port.checked_add(1).unwrap_or(FIRST_FREE_PORT);
            if self.listeners.keys().all(|address| address.port() != port) {
                return Ok(port);
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    /// The listener that a connection to `address` reaches.
    fn listener(&self, address: SocketAddr) -> Option<SocketAddr> {
        let mut listeners = self.listeners.keys();
        listeners
            .find(|listening| overlap(**listening, address))
            .copied()
    }
}

/// True if one of two sockets that listen on these addresses would take what the other should.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && (is_any || one.ip() == other.ip())
}

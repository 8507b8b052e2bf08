//! A client command's own node: hidden, under a unique name, and not to be dialled.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use purlin_node::{ConnectError, HandshakeError, Node, RemoteError};
use purlin_proto::handshake::{FullName, NameFamily};
use purlin_term::{Atom, NodeName, Term};
use tokio::time::{Instant, timeout_at};

use crate::args::Asking;
use crate::cookie::IfMissing;
use crate::environment;
use crate::failure::Failure;

/// Longer than any deadline of a client, which counts alone.
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

/// How long what is queued may take to be written at the end.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// A node that asks.
pub(crate) struct Client {
    pub(crate) node: Node,
    timeout: Duration,
    deadline: Instant,
}

impl Client {
    /// A client that can dial `peer`. Nothing is dialled yet.
    pub(crate) async fn start(asking: &Asking, peer: NodeName) -> Result<Self, Failure> {
        let cookie = asking.cookie.find(IfMissing::Fail)?.cookie;
        let name = own_name(peer.as_str())?;
        let builder = Node::builder(&name)
            .cookie(&cookie)
            .epmd_port(environment::epmd_port()?)
            .client();
        let builder = asking.finding.apply(builder);
        Ok(Self {
            node: builder.start().await.map_err(Failure::failed)?,
            timeout: asking.timeout,
            deadline: Instant::now() + asking.timeout,
        })
    }

    /// Connects, or says in a line why not.
    pub(crate) async fn connect(&self, peer: NodeName) -> Result<(), Failure> {
        let connected = self.within(peer, "", self.node.connect_to(peer)).await?;
        connected.map_err(|error| not_connected(peer, &error))
    }

    /// Is it there?
    pub(crate) async fn ping(&self, peer: NodeName) -> Result<(), Failure> {
        self.connect(peer).await?;
        let pong = self.within(peer, "", self.node.ping(peer, NEVER)).await?;
        pong.map_err(|error| Failure::failed(format!("{peer}: {error}")))
    }

    /// Calls a function of `peer`.
    pub(crate) async fn call(
        &self,
        peer: NodeName,
        module: Atom,
        function: Atom,
        args: Vec<Term>,
    ) -> Result<Term, Failure> {
        self.connect(peer).await?;
        let name = format!("{module}:{function}/{}", args.len());
        let answer = self.node.erpc_call(peer, module, function, args, NEVER);
        let unknown = ", and whether the call took place is unknown";
        let answer = self.within(peer, unknown, answer).await?;
        answer.map_err(|error| match error {
            RemoteError::NotConnected(error) => not_connected(peer, &error),
            RemoteError::Raised { class, reason, .. } => {
                let advice = match reason.is_atom("undef") {
                    true => "; the node has no such function, or does not export it",
                    false => "",
                };
                Failure::failed(format!("{name} on {peer} raised {class}: {reason}{advice}"))
            }
            error => Failure::failed(format!("{name} on {peer}: {error}")),
        })
    }

    /// Waits for an answer of `peer` until the time is over.
    pub(crate) async fn within<T>(
        &self,
        peer: NodeName,
        unknown: &str,
        answer: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        timeout_at(self.deadline, answer).await.map_err(|_| {
            Failure::failed(format!(
                "{peer} did not answer within {:?}{unknown}; --timeout waits longer",
                self.timeout
            ))
        })
    }

    /// Disconnects properly.
    pub(crate) async fn stop(&self) {
        self.node.stop(STOP_PATIENCE).await;
    }
}

/// Why there is no connection, and what to do about it.
pub(crate) fn not_connected(peer: NodeName, error: &ConnectError) -> Failure {
    let advice = match error {
        ConnectError::HostUnknown { .. } => {
            "; check its spelling, or write an IP address after the @"
        }
        ConnectError::NotRegistered { .. } => {
            "; start it, or look for its name with `purlin nodes`"
        }
        ConnectError::Refused { .. } => "; it has just stopped, or a firewall is in between",
        ConnectError::Handshake(HandshakeError::ClosedAfterReply { .. }) => {
            "; give its cookie with --cookie-file, PURLIN_COOKIE or --cookie"
        }
        _ => "",
    };
    Failure::failed(format!("cannot connect to {peer}: {error}{advice}"))
}

/// Names that the commands of one host go by. A node keeps every name it has met, so a command that
/// runs every few seconds must not bring a new one each time; few enough for that, and enough that
/// two commands at once have different ones, since the numbers of OS processes count up.
const NAMES: u32 = 4096;

/// `purlin-NUMBER@HOST`, of the same family of names as the node that is asked.
fn own_name(peer: &str) -> Result<String, Failure> {
    let peer = FullName::new(peer).map_err(Failure::usage)?;
    let number = std::process::id() % NAMES;
    let host = match NameFamily::of(&peer) {
        NameFamily::Short => short_host_name(),
        NameFamily::Long => own_address(peer.host()).to_string(),
    };
    Ok(format!("purlin-{number}@{host}"))
}

/// The name of this machine up to its first dot.
fn short_host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let short = name.trim().split('.').next().unwrap_or_default();
    match short {
        "" => "localhost".to_owned(),
        short => short.to_owned(),
    }
}

/// The address of this machine that `host` would see. Connecting a UDP socket sends nothing.
fn own_address(host: &str) -> IpAddr {
    let address = |bind: &str| {
        let socket = UdpSocket::bind((bind, 0)).ok()?;
        socket.connect((host, 9)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    let found = address("0.0.0.0").or_else(|| address("::"));
    found.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

//! `purlin start`: a node in the foreground.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use purlin_node::{
    ConnectError, Delivery, DownReason, Mailbox, Node, NodeBuilder, NodeEvent, StartError,
};
use purlin_proto::handshake::FullName;
use purlin_term::NodeName;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use crate::cookie::{CookieOptions, IfMissing};
use crate::failure::Failure;
use crate::finding::Finding;
use crate::signals::StopSignal;
use crate::{demo, environment, output};

/// Said of `--http`.
pub(crate) const NO_HTTP: &str = "there is no dashboard yet: leave --http out";

/// How long the first attempt to join may delay the `ready` line.
const FIRST_JOIN_TIMEOUT: Duration = Duration::from_secs(3);

/// Pauses between attempts to join: doubled from the first to the last. A guess, unmeasured.
const JOIN_PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// How long peers may take to read what is queued for them when the node stops.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// A node to be started.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) name: FullName,
    pub(crate) cookie: CookieOptions,
    pub(crate) hidden: bool,
    pub(crate) join: Vec<NodeName>,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) apps: Vec<App>,
    pub(crate) no_epmd: bool,
    pub(crate) finding: Finding,
    pub(crate) net_ticktime: Option<Duration>,
    pub(crate) net_tickintensity: Option<u32>,
    pub(crate) until_stdin_closes: bool,
}

/// An application that a node can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum App {
    Demo,
}

/// Runs the node until it is told to stop.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let mut stop = StopSignal::new()?;
    let node = start(&options).await?;
    for app in &options.apps {
        match app {
            App::Demo => demo::start(&node).await,
        }
    }
    join(&node, &options.join).await?;
    if let Some(address) = node.address() {
        output::line(&format!("ready {} on {address}", node.name()));
    }
    tokio::select! {
        () = stop.wait() => {}
        () = stdin_closed(), if options.until_stdin_closes => {}
    }
    tracing::info!("stopping");
    node.stop(STOP_PATIENCE).await;
    Ok(())
}

async fn start(options: &Options) -> Result<Node, Failure> {
    if options.listen.is_none() && !is_loopback(options.name.host()) {
        return Err(Failure::usage(format!(
            "`{}` is not a name of this machine alone, and a node listens on loopback unless told \
             otherwise: add --listen 0.0.0.0:0 (or IP:PORT), or call it {}@127.0.0.1",
            options.name,
            options.name.alive()
        )));
    }
    builder(options)?
        .start()
        .await
        .map_err(|error| match error {
            StartError::Name(_) | StartError::TickIntensity(_) => Failure::usage(error),
            StartError::Listen { .. } => Failure::failed(format!(
                "{error}; choose another with --listen, with port 0 for any free one"
            )),
            StartError::NameTaken { .. } => {
                Failure::failed(format!("{error}; stop it, or choose another name"))
            }
            _ => Failure::failed(error),
        })
}

fn builder(options: &Options) -> Result<NodeBuilder, Failure> {
    let cookie = options.cookie.find(IfMissing::Make)?.cookie;
    let mut builder = Node::builder(options.name.as_str())
        .cookie(&cookie)
        .epmd_port(environment::epmd_port()?)
        .epmd_addresses(&environment::epmd_addresses()?);
    builder = options.finding.apply(builder);
    if options.hidden {
        builder = builder.hidden();
    }
    if options.no_epmd {
        builder = builder.without_epmd();
    }
    if let Some(address) = options.listen {
        builder = builder.listen(address);
    }
    if let Some(time) = options.net_ticktime {
        builder = builder.net_ticktime(time);
    }
    if let Some(looks) = options.net_tickintensity {
        builder = builder.net_tickintensity(looks);
    }
    Ok(builder)
}

/// True if peers that look for this host come to this machine by its loopback.
fn is_loopback(host: &str) -> bool {
    let literal = host.parse::<IpAddr>().ok();
    if let Some(address) = literal {
        return address == IpAddr::V4(Ipv4Addr::LOCALHOST);
    }
    let found = (host, 0).to_socket_addrs();
    found.is_ok_and(|mut addresses| addresses.any(|a| a.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST)))
}

/// Connects to each node and keeps it joined in the background. Returns when all are there, or it takes
/// too long.
async fn join(node: &Node, peers: &[NodeName]) -> Result<(), Failure> {
    let mut first = Vec::new();
    for peer in peers {
        let (joined, is_joined) = oneshot::channel();
        first.push(is_joined);
        let mailbox = node.attach().map_err(Failure::failed)?;
        tokio::spawn(keep_joined(mailbox, *peer, joined));
    }
    let all = async {
        for joined in first {
            let _ = joined.await;
        }
    };
    let _ = timeout(FIRST_JOIN_TIMEOUT, all).await;
    Ok(())
}

/// Connects to `peer`, again when it is lost, until this node stops.
///
/// It never comes back at once, but after a pause: `global` may have told both to part, and has to see
/// the end of the old connection everywhere. A connection that did not last counts as one more attempt.
async fn keep_joined(mut mailbox: Mailbox, peer: NodeName, joined: oneshot::Sender<()>) {
    let (node, mut joined) = (mailbox.node().clone(), Some(joined));
    let (mut said, mut pause) = (String::new(), JOIN_PAUSES.0);
    loop {
        match node.connect_to(peer).await {
            Ok(()) => {
                tracing::info!(%peer, "joined");
                joined.take().map(|joined| joined.send(()));
                said.clear();
                let since = Instant::now();
                node.monitor_node(mailbox.pid(), peer);
                if until_down(&mut mailbox).await == DownReason::NetKernelTerminated {
                    return;
                }
                tracing::info!(%peer, "lost, to be joined again");
                if since.elapsed() > JOIN_PAUSES.1 {
                    pause = JOIN_PAUSES.0;
                }
            }
            Err(ConnectError::Stopping) => return,
            Err(error) if said == error.to_string() => {}
            Err(error) => {
                said = error.to_string();
                tracing::warn!(%peer, "cannot join yet: {error}");
            }
        }
        sleep(pause).await;
        pause = (2 * pause).min(JOIN_PAUSES.1);
    }
}

async fn until_down(mailbox: &mut Mailbox) -> DownReason {
    loop {
        if let Delivery::Node(NodeEvent::Down { reason, .. }) = mailbox.receive().await {
            return reason;
        }
    }
}

/// Returns when standard input ends: when whoever holds its other end is gone, however it went.
async fn stdin_closed() {
    let (told, closed) = tokio::sync::oneshot::channel();
    // A thread of its own, since a blocked read of standard input cannot be taken back.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = told.send(());
    });
    let _ = closed.await;
}

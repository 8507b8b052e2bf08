//! `global_name_server`: drives the machine of [`global`](super::global).
//!
//! One process owns the machine and two mailboxes: that of the registered name, and that of the
//! locker, whose pid peers see as the holder of our locks. What the machine wants done at once
//! (sends, monitors, exits) is done at once, without waiting for room in a connection's queue, so
//! that its order is kept; what takes time (connecting, calling a resolver) runs in a task that
//! reports back to the same loop.
//!
//! A peer that announced that it stops (`node/leave.rs`) is not lost: its end is reported to nobody, and reports
//! of others on it, which overtook that end, are dropped.

use std::collections::BTreeMap;
use std::time::Duration;

use purlin_term::{NodeName, Pid, Reference, Term, atom};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::global::{Config, Global, Level, Output};
use crate::node::Node;
use crate::process::{Caller, Delivery, Destination, Envelope, Mailbox, NodeEvent};

/// How long a peer's resolver may take.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(10);

/// What a task that took time reports.
enum Report {
    ConnectFailed(NodeName),
    Resolved(u64, Result<Term, String>),
}

struct NameServer {
    node: Node,
    machine: Global,
    watched: BTreeMap<Reference, Pid>,
    monitors: BTreeMap<Pid, Reference>,
    reports: mpsc::UnboundedSender<Report>,
}

/// Starts the name server of `node`.
pub(crate) fn start(node: &Node) {
    let locker = node.attach().expect("a new node has no processes");
    locker.keep();
    super::start_one(node, atom!("global_name_server"), |server| {
        run(server, locker)
    });
}

async fn run(mut server: Mailbox, mut locker: Mailbox) -> Term {
    let node = server.node().clone();
    let config = Config {
        locker: locker.pid(),
        random: node.random_u64(),
        connect_all: true,
        prevent_overlapping_partitions: true,
    };
    let (reports, mut reported) = mpsc::unbounded_channel();
    let mut names = NameServer {
        node: node.clone(),
        machine: Global::new(config),
        watched: BTreeMap::new(),
        monitors: BTreeMap::new(),
        reports,
    };
    node.monitor_nodes(server.pid());
    loop {
        let timer = names.next_timeout();
        tokio::select! {
            biased;
            delivery = server.receive() => names.handle_delivery(&server, delivery),
            delivery = locker.receive() => names.handle_locker_delivery(delivery),
            Some(report) = reported.recv() => names.handle_report(report),
            () = sleep_until(timer) => names.machine.handle_timeout(node.now()),
        }
        names.carry_out(&server);
    }
}

impl NameServer {
    fn next_timeout(&self) -> Instant {
        let far = self.node.now() + Duration::from_secs(3600);
        self.node.0.started + self.machine.next_timeout().unwrap_or(far)
    }

    fn handle_delivery(&mut self, server: &Mailbox, delivery: Delivery) {
        let now = self.node.now();
        match delivery {
            Delivery::Message(message) => {
                let Ok(message) = message.to_term() else {
                    return;
                };
                if !self.resolves_here(server, &message) && !self.reports_who_leaves(&message) {
                    self.machine.handle_message(now, None, &message);
                }
            }
            Delivery::Node(NodeEvent::Up { node, .. }) => {
                // OTP's tags are integers of 60 bits; any that is fresh will do.
                let tag = self.node.random_u64() >> 4;
                self.machine.handle_node_up(now, node, tag);
            }
            Delivery::Node(NodeEvent::Down {
                node, announced, ..
            }) => {
                if self.node.is_stopping() {
                    self.machine.prepare_shutdown();
                }
                match announced {
                    true => self.machine.handle_node_left(now, node),
                    false => self.machine.handle_node_down(now, node),
                }
            }
            Delivery::Down { reference, .. } => {
                if let Some(pid) = self.watched.remove(&reference) {
                    self.monitors.remove(&pid);
                    self.machine.handle_down(now, pid);
                }
            }
            _ => {}
        }
    }

    /// Whether it is a peer's report on a node that is about to go for everybody.
    fn reports_who_leaves(&self, message: &Term) -> bool {
        let Some([tag, _, _, _, Term::Atom(lost)]) = message.as_tuple() else {
            return false;
        };
        let connection = || self.node.state().peers.get(NodeName::new(lost).ok()?);
        tag.is_atom("lost_connection") && connection().is_some_and(|it| it.is_leaving())
    }

    fn handle_locker_delivery(&mut self, delivery: Delivery) {
        if let Delivery::Message(message) = delivery
            && let Ok(message) = message.to_term()
        {
            self.machine
                .handle_locker_message(self.node.now(), &message);
        }
    }

    fn handle_report(&mut self, report: Report) {
        let now = self.node.now();
        match report {
            Report::ConnectFailed(node) => self.machine.handle_connect_failed(now, node),
            Report::Resolved(token, result) => self.machine.handle_resolution(now, token, result),
        }
    }

    /// Answers [`resolve`], which runs in the process of a remote call.
    fn resolves_here(&mut self, server: &Mailbox, message: &Term) -> bool {
        let Envelope::Call(caller, request) = Envelope::open(message.clone()) else {
            return false;
        };
        match request.as_tuple() {
            Some([tag, method, name, Term::Pid(first), Term::Pid(second)])
                if tag.is_atom("resolve_it") =>
            {
                let kept = self.machine.resolve_it(method, name, *first, *second);
                super::reply(server, &caller, kept);
                true
            }
            _ => false,
        }
    }

    fn carry_out(&mut self, server: &Mailbox) {
        while let Some(output) = self.machine.poll_output() {
            self.carry_out_one(server, output);
        }
    }

    fn carry_out_one(&mut self, server: &Mailbox, output: Output) {
        match output {
            Output::Send { node, message } => {
                let to = Destination::Name(atom!("global_name_server"), node);
                super::send(server, to, &message);
            }
            Output::SendPid { to, message } => {
                super::send(server, to, &message);
            }
            Output::Reply { to, tag, reply } => {
                super::reply(server, &Caller { pid: to, tag }, reply)
            }
            Output::Connect(peer) => self.connect(peer),
            Output::Disconnect(peer) => {
                self.node.begin_disconnect(peer, &"global asks for it");
            }
            Output::Monitor(pid) => {
                let reference = server.monitor_connected(pid);
                self.watched.insert(reference, pid);
                self.monitors.insert(pid, reference);
            }
            Output::Demonitor(pid) => {
                if let Some(reference) = self.monitors.remove(&pid) {
                    self.watched.remove(&reference);
                    server.demonitor(reference);
                }
            }
            // What peers name is not dialled.
            Output::Kill(pid) => server.exit_connected(pid, atom!("kill")),
            Output::Resolve {
                token,
                node,
                arguments,
            } => self.resolve(token, node, arguments),
            Output::Log(Level::Info, text) => tracing::info!("{text}"),
            Output::Log(Level::Warning, text) => tracing::warn!("{text}"),
        }
    }

    fn connect(&self, peer: NodeName) {
        let (node, reports) = (self.node.clone(), self.reports.clone());
        self.node.host().spawn(Box::pin(async move {
            if node.connect(peer).await.is_err() {
                let _ = reports.send(Report::ConnectFailed(peer));
            }
        }));
    }

    fn resolve(&self, token: u64, peer: NodeName, arguments: [Term; 4]) {
        let (node, reports) = (self.node.clone(), self.reports.clone());
        self.node.host().spawn(Box::pin(async move {
            let arguments = &arguments[..];
            let result = match node.is_connected(peer) {
                true => node
                    .erpc_call(peer, "global", "resolve_it", arguments, RESOLVE_PATIENCE)
                    .await
                    .map_err(|error| error.to_string()),
                // Lost a moment ago: the call would dial it.
                false => Err("nodedown".to_owned()),
            };
            let _ = reports.send(Report::Resolved(token, result));
        }));
    }
}

/// `global:resolve_it(Method, Name, Pid1, Pid2)` of this node: asks its name server.
pub(crate) async fn resolve(node: &Node, arguments: &[Term; 4]) -> Option<Term> {
    let tag = [Term::from(atom!("resolve_it"))];
    let request = Term::tuple(tag.into_iter().chain(arguments.iter().cloned()));
    let server = (atom!("global_name_server"), node.name());
    node.call_term_timeout(server, &request, RESOLVE_PATIENCE)
        .await
        .ok()
}

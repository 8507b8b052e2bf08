//! The processes of a scenario. They use a node as any program does, and tell the judges.
//!
//! On each node: a *receiver* with a name and an alias, which it takes back now and then; *talkers*, which send it and those of other nodes
//! numbered messages; *workers*, which live for a while, take a name if they can, and end with a
//! reason; *watchers*, which monitor and link to workers anywhere, take that back now and then, have
//! *children* started on any node, which are workers too, and end in their turn; and a *keeper*, which
//! starts workers and watchers, and kills a worker now and then, here or elsewhere.
//!
//! Read next: `messages`, the receivers and talkers; `ties`, the others; `children`.

mod children;
mod messages;
mod ties;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use purlin_node::{ConnectionInfo, Delivery, Mailbox, Node, NodeEvent, Pid, Target, Term};
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, sleep_until};

use super::cluster::Cluster;
use crate::judge::{Observation, Peer};
use crate::random::Random;

const TALKERS: usize = 2;

/// Starts the processes of a node that is just up.
pub(super) fn populate(cluster: &Cluster, node: &Node) {
    children::export(cluster, node);
    messages::receive(cluster, node);
    let mut random = cluster.world().random();
    for _ in 0..TALKERS {
        for to in cluster.names() {
            if to != node.name() && !random.one_in(3) {
                messages::talk(cluster, node, to, random.split());
            }
        }
    }
    ties::keep(cluster, node, random);
}

/// What an actor knows.
struct Actor {
    cluster: Cluster,
    mailbox: Mailbox,
    random: Random,
}

impl Actor {
    fn me(&self) -> Pid {
        self.mailbox.pid()
    }

    fn node(&self) -> &Node {
        self.mailbox.node()
    }

    fn observe(&self, observation: &Observation) {
        self.cluster.court().observe(observation);
    }

    /// From now on the judges know what this process is told of nodes.
    fn monitor_nodes(&self) {
        let peers = self.node().monitor_nodes(self.me());
        let (by, peers) = (self.me(), peers.iter().map(peer).collect());
        self.observe(&Observation::MonitoringNodes { by, peers });
    }

    /// Reads all that is in the mailbox and then asks what is connected.
    async fn ask_for_nodes(&mut self) -> Vec<Peer> {
        self.drain().await;
        let peers: Vec<Peer> = self.node().connections().iter().map(peer).collect();
        let (by, answer) = (self.me(), peers.clone());
        self.observe(&Observation::NodesAsked { by, peers: answer });
        peers
    }

    /// A time that is mostly short and sometimes none at all.
    fn pause(&mut self, most: Duration) -> Duration {
        match self.random.below(4) {
            0 => Duration::ZERO,
            1 => self.random.within(Duration::ZERO, most),
            _ => self.random.within(Duration::ZERO, most / 4),
        }
    }

    /// Tells the judges of a delivery.
    fn note(&self, delivery: Delivery) {
        let at = self.me();
        match delivery {
            Delivery::Node(NodeEvent::Up {
                node,
                creation,
                connection_id: connection,
                ..
            }) => {
                let peer = Peer {
                    node,
                    creation,
                    connection,
                };
                self.observe(&Observation::NodeUp { at, peer });
            }
            Delivery::Node(NodeEvent::Down {
                node,
                connection_id: connection,
                ..
            }) => self.observe(&Observation::NodeDown {
                at,
                node,
                connection,
            }),
            Delivery::Exit { from, reason } => {
                self.observe(&Observation::Exit { at, from, reason });
            }
            Delivery::Down {
                watched: Target::Pid(watched),
                reference,
                reason,
            } => self.observe(&Observation::Down {
                watcher: at,
                watched,
                reference,
                reason,
            }),
            Delivery::Spawned { reference, pid } => self.observe(&Observation::Spawned {
                by: at,
                reference,
                pid,
            }),
            Delivery::SpawnFailed { reference, reason } => {
                self.observe(&Observation::SpawnFailed {
                    by: at,
                    reference,
                    reason,
                });
            }
            Delivery::Message(message) => {
                if let Ok(message) = message.to_term() {
                    children::hear(self, &message);
                }
            }
            _ => {}
        }
    }

    /// Reads all that is in the mailbox, without waiting.
    async fn drain(&mut self) {
        while let Some(delivery) = next_at_hand(&mut self.mailbox).await {
            self.note(delivery);
        }
    }

    /// Reads the mailbox until then.
    async fn read_until(&mut self, at: Instant) {
        loop {
            tokio::select! {
                biased;
                delivery = self.mailbox.receive() => self.note(delivery),
                () = sleep_until(at) => return,
            }
        }
    }

    async fn read_for(&mut self, time: Duration) {
        self.read_until(Instant::now() + time).await;
    }

    /// Reads the mailbox until the end of the world.
    async fn read_on(&mut self) -> Term {
        loop {
            let delivery = self.mailbox.receive().await;
            self.note(delivery);
        }
    }

    fn end(&self, reason: Term) -> Term {
        let (pid, told) = (self.me(), reason.clone());
        self.observe(&Observation::Ended { pid, reason: told });
        reason
    }
}

fn peer(of: &ConnectionInfo) -> Peer {
    Peer {
        node: of.node,
        creation: of.creation,
        connection: of.connection_id,
    }
}

/// What is in the mailbox already. Not through tokio's cooperative budget, which would make a full
/// mailbox look empty; and where the process has to let others run first, after that.
async fn next_at_hand(mailbox: &mut Mailbox) -> Option<Delivery> {
    let mut receiving = pin!(unconstrained(mailbox.receive()));
    std::future::poll_fn(|context| {
        let is_woken = Arc::new(IsWoken::default());
        let waker = Waker::from(is_woken.clone());
        match receiving.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(delivery) => Poll::Ready(Some(delivery)),
            Poll::Pending if is_woken.0.load(Ordering::Relaxed) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Pending => Poll::Ready(None),
        }
    })
    .await
}

/// Whether a future that is not ready wants to be polled again at once.
#[derive(Default)]
struct IsWoken(AtomicBool);

impl Wake for IsWoken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn spawn<B, F>(cluster: &Cluster, node: &Node, random: Random, body: B) -> Pid
where
    B: FnOnce(Actor) -> F + Send + 'static,
    F: Future<Output = Term> + Send + 'static,
{
    let cluster = cluster.clone();
    let pid = node.spawn(|mailbox| {
        body(Actor {
            cluster,
            mailbox,
            random,
        })
    });
    // A node that is stopping has no actors any more: nobody is found under this pid.
    pid.unwrap_or_else(|_| node.runtime().nobody())
}

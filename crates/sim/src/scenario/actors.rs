//! The processes of a scenario. They use a node as any program does, and tell the judges.
//!
//! On each node: a *receiver* with a name; *talkers*, which send it and those of other nodes
//! numbered messages; *workers*, which live for a while and end with a reason; *watchers*, which
//! monitor and link to workers anywhere and end in their turn; and a *keeper*, which starts workers
//! and watchers, and kills a worker now and then.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use purlin_node::{Delivery, Destination, Mailbox, Node, NodeName, Pid, Term, atom};
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, sleep_until};

use super::cluster::Cluster;
use crate::judge::{Observation, Way};
use crate::random::Random;

const TALKERS: usize = 2;

/// Workers of a node that live at once.
const WORKERS_MAX: usize = 6;

/// Starts the processes of a node that is just up.
pub(super) fn populate(cluster: &Cluster, node: &Node) {
    receive(cluster, node);
    let mut random = cluster.world().random();
    for _ in 0..TALKERS {
        for to in cluster.names() {
            if to != node.name() && !random.one_in(3) {
                talk(cluster, node, to, random.split());
            }
        }
    }
    keep(cluster, node, random);
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
            Delivery::NodeDown { node, .. } => self.observe(&Observation::NodeDown { at, node }),
            Delivery::Exit { from, reason } => {
                self.observe(&Observation::Exit { at, from, reason });
            }
            Delivery::Down {
                reference, reason, ..
            } => self.observe(&Observation::Down {
                watcher: at,
                reference,
                reason,
            }),
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

/// What is in the mailbox already. Not through tokio's cooperative budget, which would make a full
/// mailbox look empty.
async fn next_at_hand(mailbox: &mut Mailbox) -> Option<Delivery> {
    let mut receiving = pin!(unconstrained(mailbox.receive()));
    std::future::poll_fn(|context| match receiving.as_mut().poll(context) {
        Poll::Ready(delivery) => Poll::Ready(Some(delivery)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
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

// Messages.

fn receive(cluster: &Cluster, node: &Node) {
    let random = cluster.world().random();
    let pid = spawn(cluster, node, random, |mut actor| async move {
        loop {
            if let Delivery::Message(message) = actor.mailbox.receive().await
                && let Ok(message) = message.to_term()
                && let Some([Term::Pid(from), Term::Int(number), _]) = message.as_tuple()
            {
                let (by, from, number) = (actor.me(), *from, *number as u64);
                actor.observe(&Observation::Received { by, from, number });
            }
        }
    });
    node.register(atom!("receiver"), pid)
        .expect("the node is new");
    cluster.directory().receivers.insert(node.name(), pid);
}

fn talk(cluster: &Cluster, node: &Node, to: NodeName, random: Random) {
    spawn(cluster, node, random, move |mut actor| async move {
        actor.node().monitor_nodes(actor.me());
        let mut number = 0;
        while !actor.cluster.is_quiet() {
            // Sometimes many at once, so that a queue builds up.
            let burst = match actor.random.one_in(8) {
                true => actor.random.below(30),
                false => 1,
            };
            for _ in 0..burst {
                number += 1;
                say(&mut actor, to, number).await;
            }
            let pause = actor.pause(Duration::from_secs(2));
            actor.read_for(pause).await;
        }
        number += 1;
        // The last word: everybody reaches everybody again.
        say(&mut actor, to, number).await;
        actor.read_on().await
    });
}

async fn say(actor: &mut Actor, to: NodeName, number: u64) {
    let from = actor.me();
    let receiver = actor.cluster.directory().receivers.get(&to).copied();
    let way = match receiver.filter(|_| actor.random.one_in(2)) {
        Some(pid) => Way::Pid(pid),
        None => Way::Name,
    };
    let destination = match way {
        Way::Pid(pid) => Destination::Pid(pid),
        Way::Name => Destination::Name(atom!("receiver"), to),
    };
    // Now and then one that leaves in several fragments.
    let len = match actor.random.one_in(64) {
        true => actor.random.index(200_000),
        false => actor.random.index(200),
    };
    let message = Term::tuple([from.into(), (number as i64).into(), filler(len)]);
    actor.drain().await;
    actor.observe(&Observation::Sending {
        from,
        to,
        way,
        number,
    });
    let is_sent = actor.mailbox.send(destination, &message).await.is_ok();
    actor.drain().await;
    actor.observe(&Observation::Sent {
        from,
        to,
        number,
        is_sent,
    });
}

fn filler(len: usize) -> Term {
    let text: String = std::iter::repeat_n('x', len).collect();
    text.as_str().into()
}

// Links and monitors.

/// Starts workers and watchers, and kills a worker now and then.
fn keep(cluster: &Cluster, node: &Node, random: Random) {
    spawn(cluster, node, random, |mut actor| async move {
        actor.node().monitor_nodes(actor.me());
        let watchers = [0, 1].map(|_| watch(&mut actor));
        let mut watchers = watchers.to_vec();
        while !actor.cluster.is_quiet() {
            let pause = actor.pause(Duration::from_secs(3));
            actor.read_for(pause).await;
            let ours: Vec<Pid> = {
                let directory = actor.cluster.directory();
                let workers = directory.workers.iter();
                let node = actor.node();
                workers
                    .filter(|pid| pid.node == node.name() && node.is_process_alive(**pid))
                    .copied()
                    .collect()
            };
            if ours.len() < WORKERS_MAX {
                work(&mut actor);
            } else if actor.random.one_in(2) {
                kill(&mut actor, &ours);
            }
            watchers.retain(|pid| actor.node().is_process_alive(*pid));
            if watchers.len() < 2 {
                watchers.push(watch(&mut actor));
            }
        }
        actor.read_on().await
    });
}

fn kill(actor: &mut Actor, ours: &[Pid]) {
    if let Some(&pid) = actor.random.pick(ours) {
        let reason = atom!("killed").into();
        actor.observe(&Observation::Ended { pid, reason });
        actor.node().exit(pid, atom!("kill").into());
    }
}

fn work(actor: &mut Actor) {
    let random = actor.random.split();
    spawn(
        &actor.cluster,
        actor.node(),
        random,
        |mut actor| async move {
            actor.mailbox.trap_exit(true);
            // Known to others from now on: before, the end of one linked to it would be its own.
            actor.cluster.directory().add_worker(actor.me());
            if actor.random.one_in(4) {
                return actor.read_on().await;
            }
            let life = actor.pause(Duration::from_secs(12));
            actor.read_for(life).await;
            let number = actor.random.below(1_000_000) as i64;
            let reason = match actor.random.one_in(3) {
                true => atom!("normal").into(),
                false => Term::tuple([atom!("done").into(), number.into()]),
            };
            actor.end(reason)
        },
    );
}

fn watch(actor: &mut Actor) -> Pid {
    let random = actor.random.split();
    spawn(
        &actor.cluster,
        actor.node(),
        random,
        |mut actor| async move {
            actor.mailbox.trap_exit(true);
            actor.node().monitor_nodes(actor.me());
            let life = actor
                .random
                .within(Duration::from_secs(5), Duration::from_secs(60));
            let end = Instant::now() + life;
            let mut linked = Vec::new();
            while !actor.cluster.is_quiet() {
                if Instant::now() >= end {
                    return actor.end(atom!("tired").into());
                }
                let pause = actor.pause(Duration::from_secs(2));
                actor.read_for(pause).await;
                let workers = actor.cluster.directory().workers.clone();
                let Some(&worker) = actor.random.pick(&workers) else {
                    continue;
                };
                actor.drain().await;
                let is_connected = worker.node == actor.node().name()
                    || actor.node().nodes().contains(&worker.node);
                if actor.random.one_in(2) {
                    monitor(&actor, worker, is_connected);
                } else if !linked.contains(&worker) {
                    linked.push(worker);
                    link(&actor, worker, is_connected);
                }
            }
            actor.read_on().await
        },
    )
}

/// What fires at once is read later, by this process.
fn monitor(actor: &Actor, watched: Pid, is_connected: bool) {
    let watcher = actor.me();
    let reference = actor.mailbox.monitor(watched);
    actor.observe(&Observation::Monitoring {
        watcher,
        watched,
        reference,
        is_connected,
    });
}

fn link(actor: &Actor, to: Pid, is_connected: bool) {
    let from = actor.me();
    actor.observe(&Observation::Linking {
        from,
        to,
        is_connected,
    });
    actor.mailbox.link(to);
}

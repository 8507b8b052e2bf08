//! Workers, watchers and keepers: links, monitors, ends and names.

use std::time::Duration;

use purlin_node::{Atom, Node, Pid, Reference, RegisterError, Term, atom};
use tokio::time::Instant;

use super::{Actor, children, spawn};
use crate::judge::{Observation, Peer};
use crate::random::Random;
use crate::scenario::cluster::Cluster;

/// Workers of a node that live at once.
const WORKERS_MAX: usize = 6;

/// Names that the workers of a node may have.
const NAMES: [&str; 2] = ["foreman", "clerk"];

/// Starts workers and watchers, and kills a worker now and then.
pub(super) fn keep(cluster: &Cluster, node: &Node, random: Random) {
    spawn(cluster, node, random, |mut actor| async move {
        actor.monitor_nodes();
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

/// Kills one of these, or any worker that is known.
fn kill(actor: &mut Actor, ours: &[Pid]) {
    let by = actor.me();
    if actor.random.one_in(3) {
        let workers = actor.cluster.directory().workers.clone();
        if let Some(&victim) = actor.random.pick(&workers) {
            actor.observe(&Observation::Killing { by, victim });
            actor.mailbox.exit(victim, atom!("kill"));
        }
    } else if let Some(&victim) = actor.random.pick(ours) {
        actor.observe(&Observation::Killing { by, victim });
        let (pid, reason) = (victim, atom!("killed").into());
        actor.observe(&Observation::Ended { pid, reason });
        actor.node().exit(victim, atom!("kill"));
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
            live(&mut actor).await
        },
    );
}

/// The life of a worker, which traps exits; answers why it ends.
pub(super) async fn live(actor: &mut Actor) -> Term {
    // Known to others from now on: before, the end of one linked to it would be its own.
    actor.cluster.directory().add_worker(actor.me());
    if actor.random.one_in(3) {
        take_name(actor);
    }
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
}

fn any_name(actor: &mut Actor) -> Atom {
    let name = actor.random.pick(&NAMES).expect("there are some");
    Atom::new(name).expect("it is short")
}

fn take_name(actor: &mut Actor) {
    let (pid, name) = (actor.me(), any_name(actor));
    let is_given = match actor.node().register(name.clone(), pid) {
        Ok(()) => true,
        Err(RegisterError::Taken) => false,
        // A worker that was just killed.
        Err(_) => return,
    };
    actor.observe(&Observation::Named {
        pid,
        name,
        is_given,
    });
}

async fn ask_for_name(actor: &mut Actor) {
    let name = any_name(actor);
    actor.drain().await;
    let (by, holder) = (actor.me(), actor.node().whereis(&name));
    actor.observe(&Observation::NameAsked { by, name, holder });
}

/// What a watcher has set and not taken back.
#[derive(Default)]
struct Held {
    monitors: Vec<Reference>,
    links: Vec<Pid>,
    /// Once linked, never again: an EXIT does not say which link it is of.
    ever_linked: Vec<Pid>,
}

fn watch(actor: &mut Actor) -> Pid {
    let random = actor.random.split();
    spawn(
        &actor.cluster,
        actor.node(),
        random,
        |mut actor| async move {
            actor.mailbox.trap_exit(true);
            actor.monitor_nodes();
            let life = actor
                .random
                .within(Duration::from_secs(5), Duration::from_secs(60));
            let end = Instant::now() + life;
            let mut held = Held::default();
            while !actor.cluster.is_quiet() {
                if Instant::now() >= end {
                    // The end is told to nobody who was unlinked just before it.
                    actor.drain().await;
                    take_link_back(&mut actor, &mut held);
                    return actor.end(atom!("tired").into());
                }
                let pause = actor.pause(Duration::from_secs(2));
                actor.read_for(pause).await;
                let peers = actor.ask_for_nodes().await;
                act(&mut actor, &mut held, &peers).await;
            }
            actor.read_on().await
        },
    )
}

/// One thing that a watcher does, which has read its mailbox.
async fn act(actor: &mut Actor, held: &mut Held, peers: &[Peer]) {
    match actor.random.below(12) {
        0 => take_monitor_back(actor, held),
        1 => take_link_back(actor, held),
        2 | 3 => children::ask(actor).await,
        4 => ask_for_name(actor).await,
        _ => tie(actor, held, peers),
    }
}

/// Monitors a worker, or links to it. What fires at once is read later, by this process.
fn tie(actor: &mut Actor, held: &mut Held, peers: &[Peer]) {
    let workers = actor.cluster.directory().workers.clone();
    let Some(&worker) = actor.random.pick(&workers) else {
        return;
    };
    let is_connected =
        worker.node == actor.node().name() || peers.iter().any(|peer| peer.node == worker.node);
    if actor.random.one_in(2) {
        let (watcher, watched) = (actor.me(), worker);
        let reference = actor.mailbox.monitor(watched);
        held.monitors.push(reference);
        actor.observe(&Observation::Monitoring {
            watcher,
            watched,
            reference,
            is_connected,
        });
    } else if !held.ever_linked.contains(&worker) && !is_child(actor, worker) {
        held.ever_linked.push(worker);
        held.links.push(worker);
        let (from, to) = (actor.me(), worker);
        actor.observe(&Observation::Linking {
            from,
            to,
            is_connected,
        });
        actor.mailbox.link(to);
    }
}

/// A child may be linked already: that is in the reply, which may be on its way.
fn is_child(actor: &Actor, worker: Pid) -> bool {
    let directory = actor.cluster.directory();
    directory.children.contains(&(actor.me(), worker))
}

/// Also one that has fired: nothing is to come of that.
fn take_monitor_back(actor: &mut Actor, held: &mut Held) {
    if held.monitors.is_empty() {
        return;
    }
    let reference = held
        .monitors
        .swap_remove(actor.random.index(held.monitors.len()));
    let watcher = actor.me();
    actor.observe(&Observation::Demonitoring { watcher, reference });
    actor.mailbox.demonitor(reference);
}

fn take_link_back(actor: &mut Actor, held: &mut Held) {
    let workers = actor.cluster.directory().workers.clone();
    held.links.retain(|pid| workers.contains(pid));
    if held.links.is_empty() {
        return;
    }
    let to = held.links.swap_remove(actor.random.index(held.links.len()));
    let from = actor.me();
    actor.observe(&Observation::Unlinking { from, to });
    actor.mailbox.unlink(to);
}

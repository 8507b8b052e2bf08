//! Receivers and talkers: numbered messages, to pids and to names.

use std::time::Duration;

use purlin_node::{Delivery, Destination, Node, NodeName, Term, atom};

use super::{Actor, spawn};
use crate::judge::{Observation, Way};
use crate::random::Random;
use crate::scenario::cluster::Cluster;

pub(super) fn receive(cluster: &Cluster, node: &Node) {
    let random = cluster.world().random();
    let pid = spawn(cluster, node, random, |mut actor| async move {
        actor.monitor_nodes();
        loop {
            match actor.mailbox.receive().await {
                Delivery::Message(message) => {
                    if let Ok(message) = message.to_term() {
                        receive_one(&actor, &message);
                    }
                }
                other => actor.note(other),
            }
        }
    });
    node.register(atom!("receiver"), pid)
        .expect("the node is new");
    cluster.directory().receivers.insert(node.name(), pid);
}

fn receive_one(actor: &Actor, message: &Term) {
    if let Some([Term::Pid(from), Term::Int(number), _]) = message.as_tuple() {
        let (by, from, number) = (actor.me(), *from, *number as u64);
        actor.observe(&Observation::Received { by, from, number });
    }
}

pub(super) fn talk(cluster: &Cluster, node: &Node, to: NodeName, random: Random) {
    spawn(cluster, node, random, move |mut actor| async move {
        actor.monitor_nodes();
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

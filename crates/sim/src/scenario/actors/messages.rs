//! Receivers and talkers: numbered messages, to pids, to names and to aliases.

use std::time::Duration;

use purlin_node::{AliasMode, Delivery, Destination, Node, NodeName, Term, atom};

use super::{Actor, next_at_hand, spawn};
use crate::judge::{Alias, Fate, Observation, Way};
use crate::random::Random;
use crate::scenario::cluster::Cluster;

/// A receiver takes its alias back after so many messages, on average.
const ALIAS_LIFE: u64 = 12;

pub(super) fn receive(cluster: &Cluster, node: &Node) {
    let random = cluster.world().random();
    let pid = spawn(cluster, node, random, |mut actor| async move {
        actor.monitor_nodes();
        let mut alias = make_alias(&mut actor);
        loop {
            let delivery = actor.mailbox.receive().await;
            receive_one(&actor, delivery);
            if actor.random.one_in(ALIAS_LIFE) {
                take_alias_back(&mut actor, alias).await;
                alias = make_alias(&mut actor);
            }
        }
    });
    node.register(atom!("receiver"), pid)
        .expect("the node is new");
    cluster.directory().receivers.insert(node.name(), pid);
}

fn receive_one(actor: &Actor, delivery: Delivery) {
    let Delivery::Message(message) = delivery else {
        return actor.note(delivery);
    };
    let Ok(message) = message.to_term() else {
        return;
    };
    if let Some([Term::Pid(from), Term::Int(number), _]) = message.as_tuple() {
        let (by, from, number) = (actor.me(), *from, *number as u64);
        actor.observe(&Observation::Received { by, from, number });
    }
}

/// Makes an alias that others know.
fn make_alias(actor: &mut Actor) -> Alias {
    let is_for_one = actor.random.one_in(3);
    let mode = match is_for_one {
        true => AliasMode::ReplyDemonitor,
        false => AliasMode::ExplicitUnalias,
    };
    let alias = Alias {
        reference: actor.mailbox.alias(mode),
        of: actor.me(),
        is_for_one,
    };
    actor.cluster.directory().add_alias(alias);
    alias
}

/// What came by it before is read first.
async fn take_alias_back(actor: &mut Actor, alias: Alias) {
    actor.mailbox.unalias(alias.reference);
    while let Some(delivery) = next_at_hand(&mut actor.mailbox).await {
        receive_one(actor, delivery);
    }
    let (by, alias) = (actor.me(), alias.reference);
    actor.observe(&Observation::Unaliased { by, alias });
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
                let does_wait = !actor.random.one_in(4);
                say(&mut actor, to, number, does_wait).await;
            }
            let pause = actor.pause(Duration::from_secs(2));
            actor.read_for(pause).await;
        }
        number += 1;
        // The last word: everybody reaches everybody again.
        say(&mut actor, to, number, true).await;
        actor.read_on().await
    });
}

/// Says something, waiting for the connection or not.
async fn say(actor: &mut Actor, to: NodeName, number: u64, does_wait: bool) {
    let from = actor.me();
    let way = choose_way(actor, to);
    let destination = match way {
        Way::Pid(pid) => Destination::Pid(pid),
        Way::Name => Destination::Name(atom!("receiver"), to),
        Way::Alias(alias) => Destination::Alias(alias.reference),
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
    let fate = match does_wait {
        true => fate(actor.mailbox.send(destination, &message).await, Fate::Sent),
        false => send_at_once(actor, to, destination, message),
    };
    actor.drain().await;
    actor.observe(&Observation::Sent {
        from,
        to,
        number,
        fate,
    });
}

/// Sends without waiting, also for a connection.
fn send_at_once(actor: &Actor, to: NodeName, destination: Destination, message: Term) -> Fate {
    // Nothing comes between this look and the message: there is no await.
    let connections = actor.node().connections();
    let otherwise = match connections.iter().any(|it| it.node == to) {
        true => Fate::Sent,
        false => Fate::Held,
    };
    fate(actor.mailbox.try_send(destination, message), otherwise)
}

fn fate<E>(sent: Result<(), E>, otherwise: Fate) -> Fate {
    sent.map_or(Fate::Refused, |()| otherwise)
}

fn choose_way(actor: &mut Actor, to: NodeName) -> Way {
    let (receiver, aliases) = {
        let directory = actor.cluster.directory();
        let aliases = directory.aliases.get(&to).cloned();
        (
            directory.receivers.get(&to).copied(),
            aliases.unwrap_or_default(),
        )
    };
    match (actor.random.below(3), receiver) {
        (0, Some(pid)) => Way::Pid(pid),
        (1, _) => actor
            .random
            .pick(&aliases)
            .copied()
            .map_or(Way::Name, Way::Alias),
        _ => Way::Name,
    }
}

fn filler(len: usize) -> Term {
    let text: String = std::iter::repeat_n('x', len).collect();
    text.as_str().into()
}

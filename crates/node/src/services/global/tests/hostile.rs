//! Messages that are wrong: none panics, none changes what others see, each is counted.

use std::time::Duration;

use purlin_term::{Term, atom as static_atom};

use super::super::limits::{NODES_MAX, WAITERS_MAX};
use super::super::random::Random;
use super::{atom, call, cast, global, list, ms, node, outputs, pid, tuple};
use crate::services::global::{Global, Output};

const PEER: &str = "z@hostile";

/// A term that is a part of a message, or nearly.
fn part(random: &mut Random, tags: &[Term], depth: usize) -> Term {
    match random.below(if depth == 0 { 7 } else { 10 }) {
        0 => Term::Int(random.next() as i64),
        1 => Term::Int(random.below(4) as i64),
        2 => node(PEER).into(),
        3 => pid(PEER, 7).into(),
        4 => node("m@hostile").into(),
        5 => atom("true"),
        6 => tags[random.below(tags.len())].clone(),
        7 => {
            let count = random.below(4);
            Term::list(
                (0..count)
                    .map(|_| part(random, tags, depth - 1))
                    .collect::<Vec<_>>(),
            )
        }
        8 => Term::list_with_tail([part(random, tags, depth - 1)], atom("improper")),
        _ => {
            let count = random.below(7);
            Term::tuple(
                (0..count)
                    .map(|_| part(random, tags, depth - 1))
                    .collect::<Vec<_>>(),
            )
        }
    }
}

const VERBS: [(&str, usize); 20] = [
    ("init_connect", 3),
    ("init_connect_ack", 3),
    ("cancel_connect", 2),
    ("exchange", 4),
    ("resolved", 6),
    ("new_nodes", 5),
    ("in_sync", 2),
    ("lock_set", 4),
    ("lock_set", 3),
    ("whereis", 2),
    ("lost_connection", 4),
    ("remove_connection", 1),
    ("set_lock", 1),
    ("del_lock", 1),
    ("register", 3),
    ("register_ext", 4),
    ("unregister", 1),
    ("sync", 1),
    ("prepare_shutdown", 2),
    ("async_del_name", 2),
];

fn tags_of(us: &mut Global) -> Vec<Term> {
    let init = outputs(us).into_iter().find_map(|output| match output {
        Output::Send { message, .. } => Some(message),
        _ => None,
    });
    let mut tags = vec![Term::Int(77), atom("global")];
    if let Some(Term::Tuple(cast)) = init
        && let Some([_, Term::Tuple(version), ..]) = cast[1].as_tuple()
    {
        tags.push(version[1].clone());
    }
    tags
}

#[test]
fn messages_of_random_parts_never_panic_and_never_stop_it() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut us = global("m@hostile");
        us.handle_node_up(ms(0), node(PEER), seed);
        let tags = tags_of(&mut us);
        for step in 0..500u64 {
            let now = ms(step * 40);
            let (verb, arity) = VERBS[random.below(VERBS.len())];
            let parts: Vec<Term> = (0..arity).map(|_| part(&mut random, &tags, 3)).collect();
            let body = Term::tuple(std::iter::once(atom(verb)).chain(parts));
            let from = (random.below(2) == 0).then(|| pid(PEER, 50));
            match random.below(5) {
                0 => us.handle_message(now, from, &body),
                1 => us.handle_message(now, from, &cast(body)),
                2 => us.handle_message(now, from, &call(pid(PEER, 51), body)),
                3 => us.handle_locker_message(now, &body),
                _ => us.handle_message(now, from, &part(&mut random, &tags, 4)),
            }
            us.handle_timeout(now);
            outputs(&mut us);
        }
        let version = call(pid(PEER, 51), atom("get_protocol_version"));
        us.handle_message(ms(30_000), None, &version);
        let is_answer = |o: &Output| matches!(o, Output::Reply { reply, .. } if *reply == 8.into());
        assert!(outputs(&mut us).iter().any(is_answer), "seed {seed}");
        assert!(us.stats().malformed > 0 && us.stats().unknown > 0);
    }
}

#[test]
fn a_message_in_the_name_of_another_node_is_ignored() {
    let mut us = global("m@hostile");
    us.handle_node_up(ms(0), node(PEER), 1);
    us.handle_node_up(ms(0), node("y@hostile"), 1);
    let forged = cast(tuple!["in_sync", node("y@hostile"), true]);
    us.handle_message(ms(0), Some(pid(PEER, 50)), &forged);
    assert_eq!(us.synced().count(), 0);
    assert_eq!(us.stats().forged, 1);
}

#[test]
fn new_nodes_without_end_are_bounded() {
    let mut us = global("m@hostile");
    us.handle_node_up(ms(0), node(PEER), 1);
    for round in 0..3 {
        let nodes = (0..NODES_MAX).map(|at| atom(&format!("n{round}-{at}@hostile")));
        let nodes = Term::list(nodes.collect::<Vec<_>>());
        let message = tuple!["new_nodes", node(PEER), list![], list![], nodes, list![]];
        us.handle_message(ms(0), Some(pid(PEER, 50)), &cast(message));
    }
    assert_eq!(us.known().count(), NODES_MAX);
    assert!(us.stats().refused > 0);
    // None of them connects: they are forgotten.
    outputs(&mut us);
    us.handle_timeout(Duration::from_secs(20));
    assert_eq!(us.known().count(), 0);
}

#[test]
fn callers_that_wait_are_bounded() {
    let mut us = global("m@hostile");
    us.handle_node_up(ms(0), node(PEER), 1);
    outputs(&mut us);
    for _ in 0..=WAITERS_MAX {
        let request = tuple!["sync", list![node(PEER)]];
        us.handle_message(ms(0), None, &call(pid(PEER, 51), request));
    }
    let replies = outputs(&mut us);
    assert_eq!(replies.len(), 1, "only the last is answered");
    let reply = Term::tuple([
        static_atom!("error").into(),
        static_atom!("system_limit").into(),
    ]);
    assert!(matches!(&replies[0], Output::Reply { reply: r, .. } if *r == reply));
}

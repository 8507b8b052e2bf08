//! A peer that speaks as OTP's `global_name_server` does, message by message, with every term
//! of ours compared whole.

use std::time::Duration;

use purlin_term::{NodeName, Pid, Term};

use super::{call, cast, confirmed, global, list, ms, node, outputs, pid, sent, tuple};
use crate::services::global::{Global, Output};

const US: &str = "m@script";

fn locker(name: &str) -> Pid {
    pid(name, 7)
}

fn him(name: &str) -> Pid {
    pid(name, 50)
}

/// Our tag, out of the `init_connect` that we sent.
fn my_tag(message: &Term) -> Term {
    let Some([_, Term::Tuple(init)]) = message.as_tuple() else {
        panic!("a cast");
    };
    init[1].as_tuple().unwrap()[1].clone()
}

fn init_connect(from: &str, tag: i64) -> Term {
    // OTP sends its whole map of known nodes, connection ids included.
    let key = tuple!["connection_id", node(US)];
    let known = Term::map([(key, Term::from(3))]).unwrap();
    let locker = tuple!["locker", "no_longer_a_pid", known, locker(from)];
    cast(tuple!["init_connect", tuple![8, tag], node(from), locker])
}

/// Connects and exchanges `init_connect` and acknowledgements; answers our tag.
fn connect(us: &mut Global, now: Duration, peer: &str, his_tag: i64) -> Term {
    us.handle_node_up(now, node(peer), 1);
    let hello = sent(&outputs(us), node(peer));
    let tag = my_tag(&hello[0]);
    let locker_term = tuple!["locker", "no_longer_a_pid", empty_map(), locker(US)];
    let expected = cast(tuple![
        "init_connect",
        tuple![8, &tag],
        node(US),
        locker_term
    ]);
    assert_eq!(hello, [expected]);

    us.handle_message(now, Some(him(peer)), &init_connect(peer, his_tag));
    let ack = sent(&outputs(us), node(peer));
    assert_eq!(ack, [tuple!["init_connect_ack", node(US), his_tag, &tag]]);
    let ack = tuple!["init_connect_ack", node(peer), &tag, his_tag];
    us.handle_message(now, Some(him(peer)), &ack);
    assert_eq!(outputs(us), []);
    tag
}

fn empty_map() -> Term {
    Term::map([]).unwrap()
}

fn lock_id(peer: &str) -> Term {
    let mut lockers = [locker(US), locker(peer)];
    lockers.sort();
    tuple!["global", list![lockers[0], lockers[1]]]
}

fn replies(outputs: &[Output], to: Pid) -> Vec<Term> {
    let replies = outputs.iter().filter_map(|output| match output {
        Output::Reply {
            to: caller, reply, ..
        } if *caller == to => Some(reply.clone()),
        _ => None,
    });
    replies.collect()
}

/// An OTP peer that begins: `peer` knows `his_known`, and registered `name`.
fn passive_join(us: &mut Global, peer: &str, his_known: Term, name: &str) -> Vec<Output> {
    let now = ms(0);
    let tag = connect(us, now, peer, 77);
    let from = Some(him(peer));
    // He locks us, the node that he joins, and then says so.
    let set_lock = call(locker(peer), tuple!["set_lock", lock_id(peer)]);
    us.handle_message(now, from, &set_lock);
    assert_eq!(replies(&outputs(us), locker(peer)), [true.into()]);
    let lock_set = cast(tuple!["lock_set", locker(peer), true, &his_known, &tag]);
    us.handle_message(now, from, &lock_set);
    let ours = sent(&outputs(us), node(peer));
    let expected = [
        cast(tuple!["lock_set", locker(US), true, list![], 77]),
        cast(tuple!["exchange", node(US), list![], list![], 77]),
    ];
    assert_eq!(ours, expected);

    let registered = pid(peer, 99);
    let names = list![tuple![name, registered, "method"]];
    let exchange = cast(tuple!["exchange", node(peer), names, list![], &tag]);
    us.handle_message(now, from, &exchange);
    let resolved = cast(tuple![
        "resolved",
        node(US),
        list![],
        list![],
        "unused",
        list![],
        77
    ]);
    assert_eq!(sent(&outputs(us), node(peer)), [resolved]);

    let resolved = tuple![
        "resolved",
        node(peer),
        list![],
        his_known,
        "unused",
        list![],
        &tag
    ];
    us.handle_message(now, from, &cast(resolved));
    let done = outputs(us);
    assert!(us.known().any(|known| known == node(peer)));
    assert!(us.synced().any(|synced| synced == node(peer)));
    assert_eq!(us.whereis(&super::atom(name)), Some(registered));
    done
}

#[test]
fn an_otp_node_that_begins_is_joined_and_its_locks_are_let_go() {
    let mut us = global(US);
    let done = passive_join(&mut us, "z@script", list![], "his");
    // Our hold is gone, his is left until he deletes it.
    assert_eq!(us.lock_count(), 1);
    assert_eq!(sent(&done, node("z@script")), []);
    let del_lock = call(locker("z@script"), tuple!["del_lock", lock_id("z@script")]);
    us.handle_message(ms(0), Some(him("z@script")), &del_lock);
    assert_eq!(us.lock_count(), 0);
    assert!(us.is_at_rest());
}

#[test]
fn nodes_that_the_other_knows_are_connected_and_told_in_sync() {
    let mut us = global(US);
    let his_known = list![tuple![node("y@script"), 8]];
    let done = passive_join(&mut us, "z@script", his_known, "his");
    assert!(done.contains(&Output::Connect(node("y@script"))));
    us.handle_node_up(ms(20), node("y@script"), 2);
    let in_sync = cast(tuple!["in_sync", node(US), true]);
    assert_eq!(sent(&outputs(&mut us), node("y@script")), [in_sync]);
    us.handle_message(
        ms(30),
        Some(him("y@script")),
        &cast(tuple!["in_sync", node("y@script"), true]),
    );
    let synced: Vec<NodeName> = us.synced().collect();
    assert_eq!(synced, [node("y@script"), node("z@script")]);
    assert_eq!(us.known().count(), 2);
}

#[test]
fn a_node_that_cannot_be_connected_is_lost_and_the_others_are_told() {
    let mut us = global(US);
    passive_join(
        &mut us,
        "z@script",
        list![tuple![node("y@script"), 8]],
        "his",
    );
    us.handle_connect_failed(ms(20), node("y@script"));
    let asked = outputs(&mut us);
    assert!(matches!(asked[0], Output::Log(..)));
    let told = sent(&confirmed(&mut us, &asked), node("z@script"));
    let report = told[0].as_tuple().unwrap();
    assert!(report[0].is_atom("lost_connection") && report[4] == node("y@script").into());
    assert_eq!(us.known().collect::<Vec<_>>(), [node("z@script")]);
}

#[test]
fn new_nodes_of_a_third_are_connected_and_their_names_taken() {
    let mut us = global(US);
    passive_join(&mut us, "z@script", list![], "his");
    let joined = pid("y@script", 9);
    let ops = list![tuple!["insert", tuple!["theirs", joined, "method"]]];
    let extra = list![tuple!["vsn", 8], tuple!["lock", lock_id("z@script")]];
    let new_nodes = tuple![
        "new_nodes",
        node("z@script"),
        ops,
        list![],
        list![tuple![node("y@script"), 8]],
        extra,
    ];
    us.handle_message(ms(1), Some(him("z@script")), &cast(new_nodes));
    let done = outputs(&mut us);
    assert!(done.contains(&Output::Connect(node("y@script"))));
    // Monitoring before the connection would report a death.
    assert!(!done.contains(&Output::Monitor(joined)));
    assert_eq!(us.whereis(&super::atom("theirs")), Some(joined));
    us.handle_node_up(ms(2), node("y@script"), 5);
    assert!(outputs(&mut us).contains(&Output::Monitor(joined)));
}

#[test]
fn we_begin_with_a_silent_locker_and_lock_its_node_before_we_say_so() {
    let mut us = global("b@script");
    us.handle_node_up(ms(0), node("z@script"), 1);
    let tag = my_tag(&sent(&outputs(&mut us), node("z@script"))[0]);
    us.handle_message(ms(0), None, &init_connect("z@script", 5));
    outputs(&mut us);
    let at = us.next_timeout().unwrap();
    assert!(at >= ms(200) && at <= ms(300));
    us.handle_timeout(at);
    let lock = tuple!["global", list![locker("b@script"), locker("z@script")]];
    let from = tuple![locker("b@script"), 0];
    let set_lock = tuple!["$gen_call", from, tuple!["set_lock", &lock]];
    assert_eq!(sent(&outputs(&mut us), node("z@script")), [set_lock]);
    us.handle_locker_message(at, &tuple![0, true]);
    let lock_set = cast(tuple!["lock_set", locker("b@script"), true, list![], 5]);
    assert_eq!(sent(&outputs(&mut us), node("z@script")), [lock_set]);
    // His refusal, as a locker without a session sends it: straight to our locker.
    let refusal = tuple!["lock_set", locker("z@script"), false, list![]];
    us.handle_locker_message(at, &refusal);
    let del_lock = tuple![
        "$gen_call",
        tuple![locker("b@script"), 1],
        tuple!["del_lock", &lock]
    ];
    assert_eq!(sent(&outputs(&mut us), node("z@script")), [del_lock]);
    us.handle_locker_message(at, &tuple![1, true]);
    assert_eq!(us.lock_count(), 0);
    assert!(us.next_timeout().unwrap() > at, "it tries again later");
    assert!(tag.as_int().is_some_and(|tag| tag >= 0));
}

#[test]
fn a_lock_set_of_a_session_that_is_over_is_refused_at_the_locker() {
    let mut us = global(US);
    let tag = connect(&mut us, ms(0), "z@script", 77);
    let in_sync = cast(tuple!["in_sync", node("z@script"), true]);
    us.handle_message(ms(0), Some(him("z@script")), &in_sync);
    outputs(&mut us);
    let old = cast(tuple!["lock_set", locker("z@script"), true, list![], &tag]);
    us.handle_message(ms(0), Some(him("z@script")), &old);
    assert_eq!(outputs(&mut us), []);
    let untagged = cast(tuple!["lock_set", locker("z@script"), true, list![]]);
    us.handle_message(ms(0), Some(him("z@script")), &untagged);
    let message = tuple!["lock_set", locker(US), false, list![]];
    assert_eq!(
        outputs(&mut us),
        [Output::SendPid {
            to: locker("z@script"),
            message
        }]
    );
}

#[test]
fn tags_that_do_not_agree_are_cancelled_and_a_new_attempt_is_made() {
    let mut us = global(US);
    let tag = connect(&mut us, ms(0), "z@script", 77);
    let ack = tuple!["init_connect_ack", node("z@script"), 1, 78];
    us.handle_message(ms(0), Some(him("z@script")), &ack);
    let messages = sent(&outputs(&mut us), node("z@script"));
    assert_eq!(messages[0], tuple!["cancel_connect", node(US), 78]);
    let fresh = my_tag(messages.last().unwrap());
    assert_ne!(fresh, tag);
    assert_eq!(us.stats().restarts, 1);
    // His cancel of the old attempt comes too late to matter.
    let late = tuple!["cancel_connect", node("z@script"), &tag];
    us.handle_message(ms(0), Some(him("z@script")), &late);
    assert_eq!(us.stats().restarts, 1);
    let current = tuple!["cancel_connect", node("z@script"), &fresh];
    us.handle_message(ms(0), Some(him("z@script")), &current);
    assert_eq!(us.stats().restarts, 2);
}

#[test]
fn a_name_that_clashes_is_resolved_on_its_node_by_the_lower_of_both() {
    let mut us = global("b@script");
    passive_join_of(&mut us, "y@script");
    let second = sent_resolution(&mut us);
    let Output::Resolve {
        token,
        node: at,
        arguments,
    } = second
    else {
        panic!("{second:?}");
    };
    assert_eq!(at, node("y@script"));
    let (his, ours) = (pid("z@script", 99), pid("y@script", 99));
    let expected = [
        super::atom("method"),
        super::atom("his"),
        his.into(),
        ours.into(),
    ];
    assert_eq!(arguments, expected);
    us.handle_resolution(ms(9), token, Ok(ours.into()));
    let insert = tuple!["insert", tuple!["his", ours, "method"]];
    let known = list![tuple![node("y@script"), 8]];
    let resolved = tuple![
        "resolved",
        node("b@script"),
        list![insert],
        known,
        "unused",
        list![],
        78
    ];
    assert_eq!(sent(&outputs(&mut us), node("z@script")), [cast(resolved)]);
    us.handle_resolution(ms(9), token, Ok(his.into()));
    assert_eq!(outputs(&mut us), [], "a late answer changes nothing");
}

#[test]
fn a_clash_is_not_taken_to_a_node_that_is_gone() {
    let mut us = global("b@script");
    let both = ["his", "other"];
    passive_join_with(&mut us, "y@script", &both);
    join_until_exchange(&mut us, "z@script", 78, &both);
    let is_resolve = |output: &Output| matches!(output, Output::Resolve { .. });
    assert_eq!(outputs(&mut us).into_iter().filter(is_resolve).count(), 1);
    // With the node goes whom the second clash is to be taken to: to ask there would connect it again.
    us.handle_node_down(ms(1), node("y@script"));
    let after = outputs(&mut us);
    assert!(!after.iter().any(is_resolve), "{after:?}");
    let told = sent(&after, node("z@script"));
    assert!(told.iter().any(|it| it.to_string().contains("resolved")));
}

/// `b@script` joins a peer that registered `his`, without looking at the messages.
fn passive_join_of(us: &mut Global, peer: &str) {
    passive_join_with(us, peer, &["his"]);
}

fn passive_join_with(us: &mut Global, peer: &str, names: &[&str]) {
    let tag = join_until_exchange(us, peer, 77, names);
    let resolved = tuple![
        "resolved",
        node(peer),
        list![],
        list![],
        "unused",
        list![],
        &tag
    ];
    us.handle_message(ms(0), Some(him(peer)), &cast(resolved));
    let mut lockers = [locker("b@script"), locker(peer)];
    lockers.sort();
    let lock = tuple!["global", list![lockers[0], lockers[1]]];
    let del_lock = call(locker(peer), tuple!["del_lock", lock]);
    us.handle_message(ms(0), Some(him(peer)), &del_lock);
    outputs(us);
}

/// He has these names, each for a process of its own.
fn join_until_exchange(us: &mut Global, peer: &str, his_tag: i64, names: &[&str]) -> Term {
    us.handle_node_up(ms(0), node(peer), 1);
    let tag = my_tag(&sent(&outputs(us), node(peer))[0]);
    us.handle_message(ms(0), None, &init_connect(peer, his_tag));
    let lock_set = cast(tuple!["lock_set", locker(peer), true, list![], &tag]);
    us.handle_message(ms(0), Some(him(peer)), &lock_set);
    answer_lock_calls(us);
    let named = |(number, &name)| tuple![super::atom(name), pid(peer, 99 + number), "method"];
    let names = Term::list((0_u32..).zip(names).map(named));
    let exchange = cast(tuple!["exchange", node(peer), names, list![], &tag]);
    us.handle_message(ms(0), Some(him(peer)), &exchange);
    tag
}

/// Grants every lock call of ours.
fn answer_lock_calls(us: &mut Global) {
    while let Some(output) = us.poll_output() {
        let Output::Send { message, .. } = output else {
            continue;
        };
        if let Some([tag, from, _]) = message.as_tuple()
            && tag.is_atom("$gen_call")
        {
            let id = from.as_tuple().unwrap()[1].clone();
            us.handle_locker_message(ms(0), &tuple![id, true]);
        }
    }
}

fn sent_resolution(us: &mut Global) -> Output {
    join_until_exchange(us, "z@script", 78, &["his"]);
    let is_resolve = |output: &Output| matches!(output, Output::Resolve { .. });
    outputs(us)
        .into_iter()
        .find(is_resolve)
        .expect("a clash to resolve")
}

#[test]
fn names_that_come_before_our_lock_is_set_are_kept_until_then() {
    let mut us = global(US);
    let tag = connect(&mut us, ms(0), "z@script", 77);
    let names = list![tuple!["his", pid("z@script", 99), "method"]];
    let exchange = cast(tuple!["exchange", node("z@script"), names, list![], &tag]);
    us.handle_message(ms(0), Some(him("z@script")), &exchange);
    assert_eq!(outputs(&mut us), []);
    let lock_set = cast(tuple!["lock_set", locker("z@script"), true, list![], &tag]);
    us.handle_message(ms(0), Some(him("z@script")), &lock_set);
    let ours = sent(&outputs(&mut us), node("z@script"));
    let verbs: Vec<&str> = ours.iter().map(verb).collect();
    assert_eq!(verbs, ["lock_set", "exchange", "resolved"]);
}

/// The tag inside a cast.
fn verb(message: &Term) -> &str {
    let body = &message.as_tuple().unwrap()[1];
    body.as_tuple().unwrap()[0].as_atom().unwrap().as_str()
}

/// `b@script` with its first lock call to `z@script` out.
fn locking() -> (Global, Duration, Term) {
    let mut us = global("b@script");
    us.handle_node_up(ms(0), node("z@script"), 1);
    let tag = my_tag(&sent(&outputs(&mut us), node("z@script"))[0]);
    us.handle_message(ms(0), None, &init_connect("z@script", 5));
    let at = us.next_timeout().unwrap();
    us.handle_timeout(at);
    outputs(&mut us);
    assert_eq!(us.lock_count(), 1);
    (us, at, tag)
}

#[test]
fn a_session_cancelled_while_we_lock_asks_for_nothing_and_releases() {
    let (mut us, at, tag) = locking();
    let cancel = tuple!["cancel_connect", node("z@script"), &tag];
    us.handle_message(at, Some(him("z@script")), &cancel);
    outputs(&mut us);
    us.handle_locker_message(at, &tuple![0, true]);
    let lock = tuple!["global", list![locker("b@script"), locker("z@script")]];
    let from = tuple![locker("b@script"), 1];
    let del_lock = tuple!["$gen_call", from, tuple!["del_lock", &lock]];
    assert_eq!(sent(&outputs(&mut us), node("z@script")), [del_lock]);
    assert_eq!(us.lock_count(), 0);
}

#[test]
fn a_node_lost_while_we_lock_it_holds_nobody_up() {
    let (mut us, at, _) = locking();
    us.handle_node_down(at, node("z@script"));
    assert_eq!(us.lock_count(), 0);
    assert!(us.is_at_rest());
}

#[test]
fn a_node_that_never_answers_a_lock_call_is_given_up_and_told_to_release() {
    let (mut us, _, _) = locking();
    let at = us.next_timeout().unwrap();
    us.handle_timeout(at);
    let [message] = &sent(&outputs(&mut us), node("z@script"))[..] else {
        panic!("one message");
    };
    let request = &message.as_tuple().unwrap()[2];
    assert!(request.as_tuple().unwrap()[0].is_atom("del_lock"));
    assert_eq!(us.lock_count(), 0);
}

#[test]
fn names_of_new_nodes_do_not_stay_under_the_lock_of_another_session() {
    let mut us = global(US);
    passive_join(&mut us, "z@script", list![], "his");
    let joined = pid("z@script", 9);
    let ops = list![tuple!["insert", tuple!["theirs", joined, "method"]]];
    for (lock, expected) in [
        (lock_id("y@script"), None),
        (lock_id("z@script"), Some(joined)),
    ] {
        let extra = list![tuple!["vsn", 8], tuple!["lock", lock]];
        let message = tuple!["new_nodes", node("z@script"), &ops, list![], list![], extra];
        us.handle_message(ms(1), Some(him("z@script")), &cast(message));
        assert_eq!(us.whereis(&super::atom("theirs")), expected);
    }
}

#[test]
fn a_node_that_stays_known_and_unsynced_is_connected_anew_and_nobody_is_told() {
    let mut us = global(US);
    passive_join(
        &mut us,
        "z@script",
        list![tuple![node("y@script"), 8]],
        "his",
    );
    us.handle_node_up(ms(20), node("y@script"), 2);
    outputs(&mut us);
    us.handle_timeout(Duration::from_secs(16));
    let done = outputs(&mut us);
    let remove = tuple!["remove_connection", node(US)];
    assert_eq!(sent(&done, node("y@script")), [remove]);
    assert_eq!(sent(&done, node("z@script")), []);
    us.handle_node_down(Duration::from_secs(17), node("y@script"));
    assert_eq!(outputs(&mut us), [Output::Connect(node("y@script"))]);
}

#[test]
fn a_node_whose_names_were_refused_is_connected_anew() {
    let mut us = global(US);
    passive_join(&mut us, "z@script", list![], "his");
    let ops = list![tuple![
        "insert",
        tuple!["theirs", pid("z@script", 9), "method"]
    ]];
    let extra = list![tuple!["vsn", 8], tuple!["lock", lock_id("y@script")]];
    let message = tuple!["new_nodes", node("z@script"), ops, list![], list![], extra];
    us.handle_message(ms(1), Some(him("z@script")), &cast(message));
    outputs(&mut us);
    us.handle_timeout(Duration::from_secs(16));
    let remove = tuple!["remove_connection", node(US)];
    assert_eq!(sent(&outputs(&mut us), node("z@script")), [remove]);
}

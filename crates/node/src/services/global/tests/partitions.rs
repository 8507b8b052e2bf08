//! What is sent when connections are lost, and what is not.

use std::time::Duration;

use purlin_term::{NodeName, Term};

use super::network::Network;
use super::{atom, confirmed, ms, node, outputs, pid, sent, tuple};
use crate::services::global::{Global, Output};

const NAMES: [&str; 4] = ["a@part", "b@part", "c@part", "d@part"];

/// A mesh at rest, and then one of its name servers alone, driven by hand.
fn meshed() -> Network {
    let mut network = Network::new(5, &NAMES);
    for a in network.names() {
        for b in network.names() {
            network.connect(a, b);
        }
    }
    network.run(Duration::from_secs(30));
    network
}

fn first(network: &mut Network) -> &mut Global {
    &mut network.hosts.get_mut(&node(NAMES[0])).unwrap().global
}

fn known(global: &Global) -> Vec<NodeName> {
    global.known().collect()
}

#[test]
fn a_lost_node_is_reported_to_all_others() {
    let mut network = meshed();
    let us = first(&mut network);
    us.handle_node_down(ms(40_000), node(NAMES[1]));
    let asked = outputs(us);
    let outputs = confirmed(us, &asked);
    for other in &NAMES[2..] {
        let told = sent(&outputs, node(other));
        let [tag, reporter, incarnation, operation, lost] = told[0].as_tuple().unwrap() else {
            panic!("{told:?}");
        };
        assert!(tag.is_atom("lost_connection"));
        assert_eq!(*reporter, node(NAMES[0]).into());
        assert!(
            incarnation
                .as_int()
                .is_some_and(|i| i & 0xffff_ffff == 1 && i > 1 << 32)
        );
        assert_eq!(*operation, Term::from(1));
        assert_eq!(*lost, node(NAMES[1]).into());
    }
    assert_eq!(known(us), [node(NAMES[2]), node(NAMES[3])]);
}

#[test]
fn a_node_that_is_connected_again_when_its_loss_would_be_reported_was_not_lost() {
    let mut network = meshed();
    let us = first(&mut network);
    us.handle_node_down(ms(40_000), node(NAMES[1]));
    let asked = outputs(us);
    us.handle_node_up(ms(40_000), node(NAMES[1]), 77);
    outputs(us);
    let outputs = confirmed(us, &asked);
    for other in &NAMES[2..] {
        assert_eq!(sent(&outputs, node(other)), []);
    }
}

#[test]
fn an_orderly_shutdown_reports_nothing() {
    let mut network = meshed();
    let us = first(&mut network);
    us.prepare_shutdown();
    us.handle_node_down(ms(40_000), node(NAMES[1]));
    assert_eq!(outputs(us), []);
}

#[test]
fn who_announced_its_end_is_reported_to_nobody() {
    let mut network = meshed();
    let us = first(&mut network);
    us.handle_node_left(ms(40_000), node(NAMES[2]));
    assert_eq!(outputs(us), []);
    // What it announced was the end of that connection.
    us.handle_node_up(ms(41_000), node(NAMES[2]), 7);
    outputs(us);
    us.handle_node_down(ms(42_000), node(NAMES[2]));
    assert_ne!(outputs(us), []);
}

#[test]
fn disconnect_leaves_everybody_and_reports_nothing() {
    let mut network = meshed();
    let us = first(&mut network);
    assert_eq!(us.disconnect(ms(40_000)).len(), 3);
    let outputs = outputs(us);
    assert!(
        outputs
            .iter()
            .all(|output| matches!(output, Output::Disconnect(_)))
    );
    assert_eq!(known(us), []);
}

fn report(operation: i64, lost: &str) -> Term {
    tuple!["lost_connection", node(NAMES[1]), 99, operation, node(lost)]
}

#[test]
fn a_report_is_passed_on_once_and_the_lost_node_is_let_go() {
    let mut network = meshed();
    let us = first(&mut network);
    us.handle_message(ms(40_000), Some(pid(NAMES[1], 50)), &report(4, NAMES[2]));
    let asked = outputs(us);
    assert_eq!(sent(&asked, node(NAMES[1])), []);
    let remove = tuple!["remove_connection", node(NAMES[0])];
    let told = [report(4, NAMES[2]), remove];
    assert_eq!(
        sent(&asked, node(NAMES[2])),
        told,
        "frozen, it must not answer"
    );
    let told = confirmed(us, &asked);
    assert_eq!(sent(&told, node(NAMES[3])), [report(4, NAMES[2])]);
    assert_eq!(sent(&told, node(NAMES[2])), []);
    assert_eq!(known(us), [node(NAMES[1]), node(NAMES[3])]);

    // The same again, or an older one, by another road.
    for operation in [4, 3] {
        us.handle_message(
            ms(40_001),
            Some(pid(NAMES[3], 50)),
            &report(operation, NAMES[2]),
        );
        assert_eq!(outputs(us), []);
    }
    // The connection then closes on request: nobody is told.
    us.handle_node_down(ms(40_100), node(NAMES[2]));
    assert_eq!(outputs(us), []);
}

#[test]
fn a_node_that_is_reported_lost_itself_lets_the_reporter_go() {
    let mut network = meshed();
    let us = first(&mut network);
    us.handle_message(ms(40_000), Some(pid(NAMES[3], 50)), &report(1, NAMES[0]));
    let remove = tuple!["remove_connection", node(NAMES[0])];
    assert_eq!(sent(&outputs(us), node(NAMES[1])), [remove]);
    assert_eq!(known(us), [node(NAMES[2]), node(NAMES[3])]);
}

#[test]
fn a_node_that_does_not_close_its_connection_is_disconnected() {
    let mut network = meshed();
    let us = first(&mut network);
    us.handle_message(ms(40_000), Some(pid(NAMES[1], 50)), &report(4, NAMES[2]));
    outputs(us);
    us.handle_timeout(ms(45_000));
    assert_eq!(outputs(us), [Output::Disconnect(node(NAMES[2]))]);
}

#[test]
fn remove_connection_closes_the_connection_and_reports_nothing() {
    let mut network = meshed();
    let us = first(&mut network);
    let request = tuple!["remove_connection", node(NAMES[2])];
    us.handle_message(ms(40_000), Some(pid(NAMES[1], 50)), &request);
    assert_eq!(outputs(us), [], "only the node itself can ask for that");
    us.handle_message(ms(40_000), Some(pid(NAMES[2], 50)), &request);
    let done = outputs(us);
    assert!(done.contains(&Output::Disconnect(node(NAMES[2]))));
    us.handle_node_down(ms(40_001), node(NAMES[2]));
    assert_eq!(outputs(us), []);
}

#[test]
fn who_is_removed_before_it_reported_does_so_at_once_and_closes_after_the_answer() {
    let mut network = meshed();
    let us = first(&mut network);
    us.handle_node_down(ms(40_000), node(NAMES[1]));
    let asked = outputs(us);
    let request = tuple!["remove_connection", node(NAMES[2])];
    us.handle_message(ms(40_000), Some(pid(NAMES[2], 50)), &request);
    let early = outputs(us);
    let told = sent(&early, node(NAMES[2]));
    assert!(told[0].as_tuple().unwrap()[0].is_atom("lost_connection"));
    let close = Output::Disconnect(node(NAMES[2]));
    assert!(!early.contains(&close), "its answer would connect us again");
    let late = confirmed(us, &asked);
    assert_eq!(sent(&late, node(NAMES[2])), [], "it knows");
    assert!(late.contains(&close));
    us.handle_node_down(ms(40_001), node(NAMES[2]));
    assert_eq!(outputs(us), []);
}

#[test]
fn who_is_removed_and_never_answered_closes_all_the_same() {
    let mut network = meshed();
    let us = first(&mut network);
    us.handle_node_down(ms(40_000), node(NAMES[1]));
    let request = tuple!["remove_connection", node(NAMES[2])];
    us.handle_message(ms(40_000), Some(pid(NAMES[2], 50)), &request);
    outputs(us);
    us.handle_timeout(ms(45_000));
    assert!(outputs(us).contains(&Output::Disconnect(node(NAMES[2]))));
}

#[test]
fn a_cut_between_two_leaves_no_overlapping_partitions() {
    for seed in 0..50 {
        let mut network = Network::new(seed, &NAMES);
        for a in network.names() {
            for b in network.names() {
                network.connect(a, b);
            }
        }
        network.run(Duration::from_secs(30));
        network.cut(node(NAMES[0]), node(NAMES[1]));
        network.run(Duration::from_secs(60));
        for (name, host) in &network.hosts {
            for other in host.global.known() {
                let his = &network.hosts[&other].global;
                let mine: Vec<_> = host.global.known().filter(|n| *n != other).collect();
                let same: Vec<_> = his.known().filter(|n| n != name).collect();
                assert_eq!(mine, same, "seed {seed}: {name} and {other} know others");
            }
        }
        assert!(!network.is_linked(node(NAMES[0]), node(NAMES[1])));
    }
}

#[test]
fn names_of_a_node_that_is_let_go_are_dropped_at_once() {
    let mut network = meshed();
    network.register(node(NAMES[2]), atom("local"));
    let us = first(&mut network);
    let p = pid(NAMES[2], 200);
    let register = super::call(p, tuple!["register", "name", p, "method"]);
    us.handle_message(ms(40_000), Some(p), &register);
    us.handle_message(ms(40_000), Some(pid(NAMES[1], 50)), &report(4, NAMES[2]));
    assert_eq!(us.whereis(&atom("name")), None);
    assert!(outputs(us).contains(&Output::Demonitor(p)));
}

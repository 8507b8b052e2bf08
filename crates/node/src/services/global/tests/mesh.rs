//! Whole meshes, judged once everything is quiet: all nodes know all others, are synced with all,
//! have the same names, and nothing is locked.

use std::time::Duration;

use purlin_term::{NodeName, Term};

use super::network::Network;
use super::{atom, list, ms, node, tuple};

const QUIET: Duration = Duration::from_secs(120);

/// Everything that must hold of a mesh at rest; what does not, in words.
fn judge(network: &Network) -> Vec<String> {
    let mut faults = Vec::new();
    let names = network.names();
    for (name, host) in &network.hosts {
        let global = &host.global;
        let others: Vec<NodeName> = names
            .iter()
            .copied()
            .filter(|other| other != name)
            .collect();
        let known: Vec<NodeName> = global.known().collect();
        if known != others {
            faults.push(format!("{name} knows {known:?}"));
        }
        let synced: Vec<NodeName> = global.synced().collect();
        if synced != others {
            faults.push(format!("{name} is synced with {synced:?}"));
        }
        if global.lock_count() != 0 {
            faults.push(format!("{name} has {} locks left", global.lock_count()));
        }
        if !global.is_at_rest() {
            faults.push(format!("{name} is not at rest"));
        }
        let first = &network.hosts[&names[0]].global;
        if !global.registered_names().eq(first.registered_names()) {
            faults.push(format!("{name} has other names than {}", names[0]));
        }
        for registered in global.registered_names() {
            let pid = global.whereis(registered).unwrap();
            if Some(pid) != first.whereis(registered) {
                faults.push(format!("{name} has a name for another process"));
            }
            if !network.is_alive(pid) {
                faults.push(format!("{name} has a name of the dead {pid}"));
            }
        }
    }
    faults
}

fn assert_whole(network: &Network, seed: u64) {
    let faults = judge(network);
    if std::env::var("PURLIN_SEED").is_ok() {
        println!("{}", network.trace);
    }
    assert!(faults.is_empty(), "PURLIN_SEED={seed} fails: {faults:#?}");
}

/// All seeds of a test, or the one to replay: `PURLIN_SEED=7 cargo test -p purlin-node mesh`.
fn seeds(count: u64) -> std::ops::Range<u64> {
    match std::env::var("PURLIN_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
    {
        Some(seed) => seed..seed + 1,
        None => 0..count,
    }
}

fn reconnect_all(network: &mut Network) {
    for a in network.names() {
        for b in network.names() {
            network.connect(a, b);
        }
    }
}

const NAMES: [&str; 5] = ["a@mesh", "b@mesh", "c@mesh", "d@mesh", "e@mesh"];

#[test]
fn two_nodes_sync_within_two_seconds() {
    for seed in seeds(50) {
        let mut network = Network::new(seed, &NAMES[..2]);
        network.connect(node(NAMES[0]), node(NAMES[1]));
        network.run(Duration::from_secs(2));
        assert_whole(&network, seed);
        assert_eq!(network.warnings, [""; 0]);
    }
}

#[test]
fn sync_is_answered_once_all_are_synced() {
    let mut network = Network::new(1, &NAMES[..3]);
    reconnect_all(&mut network);
    network.run(ms(40));
    let nodes = list![node(NAMES[0]), node(NAMES[1]), node(NAMES[2])];
    let caller = network.call(node(NAMES[0]), tuple!["sync", nodes]);
    assert_eq!(network.reply_to(caller), None);
    network.run(Duration::from_secs(20));
    assert_eq!(network.reply_to(caller), Some(&atom("ok")));
}

#[test]
fn a_newcomer_that_connects_to_one_of_a_mesh_ends_connected_to_all() {
    for seed in seeds(50) {
        let mut network = Network::new(seed, &NAMES[..4]);
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            network.connect(node(NAMES[a]), node(NAMES[b]));
        }
        network.run(Duration::from_secs(30));
        network.connect(node(NAMES[3]), node(NAMES[1]));
        network.run(Duration::from_secs(30));
        assert_whole(&network, seed);
        assert!(
            network.is_linked(node(NAMES[3]), node(NAMES[0])),
            "seed {seed}"
        );
        assert!(
            network.is_linked(node(NAMES[3]), node(NAMES[2])),
            "seed {seed}"
        );
        assert_eq!(network.warnings, [""; 0]);
    }
}

#[test]
fn two_meshes_that_meet_by_one_link_become_one() {
    for seed in seeds(50) {
        let mut network = Network::new(seed, &NAMES);
        for (at, name) in NAMES.iter().enumerate() {
            network.register(node(name), Term::from(at as i64));
        }
        for (a, b) in [(0, 2), (2, 4), (0, 4), (1, 3)] {
            network.connect(node(NAMES[a]), node(NAMES[b]));
        }
        network.run(Duration::from_secs(30));
        network.connect(node(NAMES[3]), node(NAMES[2]));
        network.run(Duration::from_secs(60));
        assert_whole(&network, seed);
        let first = &network.hosts[&node(NAMES[0])].global;
        assert_eq!(first.registered_names().count(), 5, "seed {seed}");
    }
}

#[test]
fn of_clashing_processes_one_keeps_the_name_and_the_others_die() {
    for seed in seeds(50) {
        let mut network = Network::new(seed, &NAMES[..4]);
        let pids: Vec<_> = NAMES[..4]
            .iter()
            .map(|name| network.register(node(name), atom("leader")))
            .collect();
        network.connect(node(NAMES[0]), node(NAMES[1]));
        network.connect(node(NAMES[2]), node(NAMES[3]));
        network.run(Duration::from_secs(10));
        network.connect(node(NAMES[3]), node(NAMES[1]));
        network.run(Duration::from_secs(60));
        assert_whole(&network, seed);
        let kept = network.hosts[&node(NAMES[2])]
            .global
            .whereis(&atom("leader"));
        assert_eq!(kept, Some(pids[0]), "seed {seed}");
        let alive = pids.iter().filter(|pid| network.is_alive(**pid)).count();
        assert_eq!(alive, 1, "seed {seed}");
    }
}

/// Crashes, restarts and cuts at random, then rest; whoever is not connected is connected again.
fn disturbed(seed: u64) -> Network {
    let mut network = Network::new(seed, &NAMES);
    let count = 2 + network.pick(NAMES.len() - 1);
    let mut network = Network::new(seed, &NAMES[..count]);
    let names = network.names();
    for (at, name) in names.iter().enumerate() {
        network.register(*name, Term::from(at as i64));
    }
    for step in 0..12 {
        let a = names[network.pick(count)];
        let b = names[network.pick(count)];
        match network.pick(6) {
            0 => network.crash(a),
            1 => network.cut(a, b),
            2 => {
                network.boot(a);
                if network.hosts[&a].global.registered_names().next().is_none() {
                    network.register(a, Term::from(100 + step));
                }
                network.connect(a, b);
            }
            _ => network.connect(a, b),
        }
        let pause = ms(network.pick(3000) as u64);
        network.run(pause);
    }
    for name in names {
        network.boot(name);
    }
    // What was cut may be expelled late; then owners dial until they are connected.
    for _ in 0..10 {
        reconnect_all(&mut network);
        network.run(Duration::from_secs(30));
    }
    network.run(QUIET);
    network
}

#[test]
fn a_mesh_that_was_disturbed_becomes_whole() {
    for seed in seeds(1000) {
        assert_whole(&disturbed(seed), seed);
    }
}

#[test]
fn each_node_restarts_in_turn_under_its_name_and_the_mesh_is_whole_again() {
    for seed in seeds(40) {
        let mut network = Network::new(seed, &NAMES[..3]);
        reconnect_all(&mut network);
        network.run(Duration::from_secs(20));
        for name in network.names() {
            network.crash(name);
            let pause = ms(100 + network.pick(3000) as u64);
            network.run(pause);
            network.boot(name);
            network.register(name, name.into());
            let other = network
                .names()
                .into_iter()
                .find(|other| *other != name)
                .unwrap();
            network.connect(name, other);
            network.run(Duration::from_secs(20));
            assert_whole(&network, seed);
        }
        // A node that hears of a crash before it sees it asks the dead for a disconnect, as in OTP.
        let is_expected = |text: &String| text.contains("asked for a disconnect from");
        assert!(network.warnings.iter().all(is_expected), "seed {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let (first, second) = (disturbed(3), disturbed(3));
    assert!(first.trace.len() > 10_000);
    assert!(first.trace == second.trace);
    assert!(first.trace != disturbed(4).trace);
}

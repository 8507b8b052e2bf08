//! What goes wrong while a scenario runs, as the seed chooses, and the end of it.

use std::time::Duration;

use tokio::time::sleep;

use super::cluster::Cluster;
use crate::machine::Machine;
use crate::network::{Latency, Link};
use crate::random::Random;
use crate::world::{Cut, World};

/// How much goes wrong in a scenario, at most.
const FAULTS_MAX: u64 = 16;

/// Lets things go wrong, and then mends everything.
pub(super) async fn run(world: &World, cluster: &Cluster, random: &mut Random) {
    for _ in 0..random.below(FAULTS_MAX) {
        one(world, cluster, random);
        let pause = random.within(Duration::ZERO, Duration::from_secs(6));
        sleep(pause).await;
    }
    world.heal();
    for machine in cluster.machines() {
        machine.power_on();
    }
    for host in cluster.members().iter().filter_map(|member| member.host()) {
        host.resume();
    }
    cluster.start_all();
}

fn one(world: &World, cluster: &Cluster, random: &mut Random) {
    let how = match random.one_in(2) {
        true => Cut::Reset,
        false => Cut::Silent,
    };
    let machines = cluster.machines();
    let one = random.pick(machines).expect("there are some").clone();
    let other = random.pick(machines).expect("there are some").clone();
    let members = cluster.members();
    let member = random.pick(members).expect("there are some");
    match random.below(12) {
        0 => world.cut(&[&one], &[&other], how),
        1 if one.name() != other.name() => world.silence(&one, &other),
        2 => split(world, machines, how, random),
        3 | 4 => world.heal(),
        5 => member.host().iter().for_each(|host| host.pause()),
        6 => {
            let cost = random.within(Duration::from_micros(10), Duration::from_millis(5));
            member.host().iter().for_each(|host| host.slow(cost));
        }
        7 => members
            .iter()
            .filter_map(|member| member.host())
            .for_each(|host| host.resume()),
        8 => cluster.kill(member),
        9 => cluster.power_off(&one),
        10 => {
            machines.iter().for_each(Machine::power_on);
            cluster.start_all();
        }
        _ => {
            let most = random.within(Duration::from_millis(1), Duration::from_secs(2));
            let latency = Latency::LongTail(most / 50, most);
            let link = Link {
                latency,
                bandwidth: None,
            };
            world.set_link(&one, &other, link);
            one.set_skew_ms(random.below(7_200_000) as i64 - 3_600_000);
        }
    }
}

fn split(world: &World, machines: &[Machine], how: Cut, random: &mut Random) {
    let (these, those): (Vec<&Machine>, Vec<&Machine>) =
        machines.iter().partition(|_| random.one_in(2));
    world.split(&[&these, &those], how);
}

//! Two whole nodes that connect and exchange messages in virtual time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use purlin_node::{Delivery, Node, NodeName, Term, atom};
use purlin_sim::{Config, Machine, Run, Sim, SimHost, World};

async fn start(name: &str, host: &Arc<SimHost>) -> Node {
    let address = SocketAddr::new(host.machine().address().into(), 0);
    let name = format!("{name}@{}", host.machine().name());
    let builder = Node::builder(&name).cookie("secret").listen(address);
    builder.start_on(host.clone()).await.unwrap()
}

fn machines(world: &World) -> [Machine; 2] {
    ["north", "south"].map(|name| world.machine(name))
}

/// Sends `count` numbers from one node to a name on the other; answers what arrived.
async fn exchange(world: World, count: i64) -> Vec<i64> {
    let hosts = machines(&world).map(|machine| machine.boot());
    let (a, b) = (start("a", &hosts[0]).await, start("b", &hosts[1]).await);
    let mut inbox = b.attach();
    b.register(atom!("inbox"), inbox.pid()).unwrap();
    let to: NodeName = b.name();
    a.spawn(move |mailbox| async move {
        for number in 0..count {
            let sent = mailbox.send((atom!("inbox"), to), &number.into()).await;
            sent.unwrap();
        }
        atom!("normal").into()
    });
    let mut received = Vec::new();
    while received.len() < count as usize {
        let Delivery::Message(message) = inbox.receive().await else {
            continue;
        };
        if let Ok(Term::Int(number)) = message.to_term() {
            received.push(number);
        }
    }
    received
}

fn run(seed: u64) -> Run<Vec<i64>> {
    Sim::new(Config::new(seed)).run(|world| exchange(world, 100))
}

#[test]
fn two_nodes_connect_and_exchange_messages() {
    let run = run(1);
    assert_eq!(run.output.unwrap(), (0..100).collect::<Vec<_>>());
    assert!(run.virtual_time < Duration::from_secs(1));
}

#[test]
fn a_seed_takes_one_course_and_another_seed_another() {
    assert_eq!(run(5), run(5));
    assert_ne!(run(5).hash, run(6).hash);
}

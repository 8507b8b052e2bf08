//! Two whole nodes that connect and exchange messages in virtual time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use purlin_node::{Delivery, Mailbox, Node, NodeName, Pid, Term, atom};
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
    let mut inbox = b.attach().unwrap();
    b.register(atom!("inbox"), inbox.pid()).unwrap();
    let to: NodeName = b.name();
    a.spawn(move |mailbox| async move {
        for number in 0..count {
            let sent = mailbox.send((atom!("inbox"), to), &number.into()).await;
            sent.unwrap();
        }
    })
    .unwrap();
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

/// A process that ends with `bye` at the first signal it gets.
fn mortal(node: &Node) -> Pid {
    let mortal = node.spawn(|mut mailbox| async move {
        mailbox.receive().await;
        Term::from(atom!("bye"))
    });
    mortal.unwrap()
}

async fn next_exit(mailbox: &mut Mailbox) -> (Pid, Term) {
    loop {
        if let Delivery::Exit { from, reason } = mailbox.receive().await {
            return (from, reason);
        }
    }
}

async fn links(world: World) {
    let hosts = machines(&world).map(|machine| machine.boot());
    let (a, b) = (start("a", &hosts[0]).await, start("b", &hosts[1]).await);
    let mut mailbox = a.attach().unwrap();
    mailbox.trap_exit(true);
    let (here, there) = (mortal(&a), mortal(&b));
    let exit = |pid, word| (pid, Term::from(word));
    for pid in [here, there] {
        mailbox.link(pid);
        mailbox.send(pid, &Term::nil()).await.unwrap();
        assert_eq!(next_exit(&mut mailbox).await, exit(pid, atom!("bye")));
        mailbox.link(pid);
        assert_eq!(next_exit(&mut mailbox).await, exit(pid, atom!("noproc")));
    }
    let last = mortal(&b);
    mailbox.link(last);
    hosts[1].kill();
    // Of what there was, and of what cannot be there any more.
    for _ in 0..2 {
        let lost = next_exit(&mut mailbox).await;
        assert_eq!(lost, exit(last, atom!("noconnection")));
        mailbox.link(last);
    }
}

#[test]
fn a_link_is_broken_once_by_an_end_or_a_lost_connection_here_and_there() {
    let run = Sim::new(Config::new(3)).run(links);
    assert!(run.output.is_some());
}

//! A Purlin node whose processes hold every thread, and its Purlin peers.

mod support;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use purlin_node::{Delivery, Destination, Mailbox, Node, NodeEvent, Term, atom};
use support::held::{Apart, compute};
use support::{Net, PATIENCE, name};
use tokio::time::timeout;

const TICKTIME: Duration = Duration::from_secs(1);

/// How long threads are held: several times [`TICKTIME`].
const HOLD: Duration = Duration::from_secs(4);

/// What is promised of vital tasks while processes hold all threads (SEMANTICS), of a busy machine.
const ANSWERED: Duration = Duration::from_secs(1);

async fn apart(net: &Net, alive: &str) -> Apart {
    Apart::start(net.builder(alive).net_ticktime(TICKTIME)).await
}

fn watch_nodes(node: &Node) -> Mailbox {
    let mailbox = node.attach().unwrap();
    node.monitor_nodes(mailbox.pid());
    mailbox
}

async fn connected(one: &Node, other: &Node, watchers: [&mut Mailbox; 2]) {
    one.ping(other.name(), PATIENCE).await.unwrap();
    for watcher in watchers {
        let event = timeout(PATIENCE, watcher.receive()).await.unwrap();
        assert!(
            matches!(event, Delivery::Node(NodeEvent::Up { .. })),
            "{event:?}"
        );
    }
}

#[track_caller]
fn nothing(event: Result<Delivery, tokio::time::error::Elapsed>) {
    assert!(event.is_err(), "{event:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_whose_threads_are_all_held_do_not_give_each_other_up() {
    let net = Net::new().await;
    let (one, other) = (apart(&net, "one").await, apart(&net, "other").await);
    let (mut of_one, mut of_other) = (watch_nodes(&one.node), watch_nodes(&other.node));
    connected(&one.node, &other.node, [&mut of_one, &mut of_other]).await;
    let held = [one.hold().await, other.hold().await];
    nothing(timeout(HOLD, of_one.receive()).await);
    drop(held);
    nothing(timeout(TICKTIME, of_other.receive()).await);
    nothing(timeout(Duration::ZERO, of_one.receive()).await);
    one.node.ping(other.node.name(), PATIENCE).await.unwrap();
    other.node.ping(one.node.name(), PATIENCE).await.unwrap();
    one.node.stop(PATIENCE).await;
    other.node.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_threads_are_all_held_answers_pings_and_new_peers() {
    let net = Net::new().await;
    let held_node = apart(&net, "held").await;
    let known = net.node("known").await;
    known.ping(name("held"), PATIENCE).await.unwrap();
    let held = held_node.hold().await;
    known.ping(name("held"), ANSWERED).await.unwrap();
    let new = net.node("new").await;
    new.ping(name("held"), ANSWERED).await.unwrap();
    held.release();
    for node in [&known, &new, &held_node.node] {
        node.stop(PATIENCE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_threads_are_all_held_goes_on_as_the_port_mapper() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let builder = |name| Node::builder(name).cookie("mapper").epmd_port(port);
    let mapper = Apart::start(builder("mapper@127.0.0.1")).await;
    let held = mapper.hold().await;
    let start = builder("new@127.0.0.1").start();
    let new = timeout(ANSWERED, start).await.unwrap().unwrap();
    new.ping(name("mapper"), ANSWERED).await.unwrap();
    held.release();
    new.stop(PATIENCE).await;
    mapper.node.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_sends_before_it_holds_its_thread_leaves() {
    let net = Net::new().await;
    let sender = apart(&net, "sender").await;
    let receiver = net.node("receiver").await;
    let mut mailbox = receiver.attach().unwrap();
    let to: Destination = mailbox.pid().into();
    sender.node.ping(name("receiver"), PATIENCE).await.unwrap();
    let is_released = Arc::new(AtomicBool::new(false));
    let until = is_released.clone();
    let body = move |own: Mailbox| async move {
        own.send(to, &Term::from(atom!("sent"))).await.unwrap();
        compute(&until);
    };
    sender.node.spawn(body).unwrap();
    let delivered = timeout(ANSWERED, mailbox.receive()).await;
    is_released.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(
        matches!(delivered, Ok(Delivery::Message(_))),
        "{delivered:?}"
    );
    drop(mailbox);
    sender.node.stop(PATIENCE).await;
    receiver.stop(PATIENCE).await;
}

//! A Purlin node whose processes hold every thread, and its OTP peers.

mod support;

use std::time::Duration;

use purlin_node::{Delivery, Destination, Mailbox, Node, NodeEvent, Term, atom};
use support::held::Apart;
use support::{Erl, Net, PATIENCE, Release, name};
use tokio::time::timeout;

const TICKTIME: Duration = Duration::from_secs(4);

const PONG: &str = "net_adm:ping('purlin@127.0.0.1')";

/// A call to a service of the node, which is answered within the second that SEMANTICS promises.
const SERVED: &str = "(fun() ->
        Call = fun() -> gen_server:call({net_kernel, 'purlin@127.0.0.1'}, {is_auth, node()}, 10000) end,
        case timer:tc(Call) of
            {Time, yes} when Time < 1000000 -> in_time;
            Other -> Other
        end
    end)()";

async fn connected(net: &Net, release: Release) -> (Apart, Mailbox, Erl) {
    let purlin = Apart::start(net.builder("purlin").net_ticktime(TICKTIME)).await;
    let mut nodes = watch_nodes(&purlin.node);
    let mut erl = erl(net, release, "erl").await;
    erl.check(PONG, "pong").await;
    comes(&mut nodes, "erl").await;
    (purlin, nodes, erl)
}

async fn erl(net: &Net, release: Release, alive: &str) -> Erl {
    let arguments = ["-kernel", "net_ticktime", "4"];
    net.erl_with(release, alive, &net.cookie, &arguments).await
}

fn watch_nodes(node: &Node) -> Mailbox {
    let mailbox = node.attach().unwrap();
    node.monitor_nodes(mailbox.pid());
    mailbox
}

async fn comes(nodes: &mut Mailbox, alive: &str) {
    let event = timeout(PATIENCE, nodes.receive()).await.unwrap();
    let up = matches!(event, Delivery::Node(NodeEvent::Up { node, .. }) if node == name(alive));
    assert!(up, "{event:?}");
}

/// Three ticktimes pass.
async fn neither_gives_the_other_up(release: Release) {
    let net = Net::new().await;
    let (purlin, mut nodes, mut erl) = connected(&net, release).await;
    erl.check("net_kernel:monitor_nodes(true)", "ok").await;
    let held = purlin.hold().await;
    erl.check("receive {nodedown, _} -> down after 12000 -> up end", "up")
        .await;
    erl.check(SERVED, "in_time").await;
    erl.check(PONG, "pong").await;
    let mut other = self::erl(&net, release, "other").await;
    other.check(PONG, "pong").await;
    held.release();
    comes(&mut nodes, "other").await;
    erl.check("receive {nodedown, _} -> down after 5000 -> up end", "up")
        .await;
    let event = timeout(Duration::ZERO, nodes.receive()).await;
    assert!(event.is_err(), "{event:?}");
    purlin.node.ping(name("erl"), PATIENCE).await.unwrap();
    erl.check(SERVED, "in_time").await;
    erl.assert_nothing_logged();
    purlin.node.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn otp25_and_a_node_whose_threads_are_all_held_do_not_give_each_other_up() {
    neither_gives_the_other_up(Release::Otp25).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn otp28_and_a_node_whose_threads_are_all_held_do_not_give_each_other_up() {
    neither_gives_the_other_up(Release::Otp28).await;
}

/// Its first part fills the buffers of both sides, so that the rest can only be written while the
/// threads are held.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_half_written_when_the_threads_are_held_arrives() {
    let net = Net::new().await;
    let (purlin, _nodes, mut erl) = connected(&net, Release::Otp25).await;
    erl.check("register(sink, self())", "true").await;
    erl.signal("STOP").await;
    let (sent, is_sent) = tokio::sync::oneshot::channel();
    let body = move |mailbox: Mailbox| async move {
        let to = Destination::Name(atom!("sink"), name("erl"));
        let message = Term::from("x".repeat(64 << 20).as_str());
        mailbox.send(to, &message).await.unwrap();
        sent.send(()).unwrap();
    };
    purlin.node.spawn(body).unwrap();
    is_sent.await.unwrap();
    let held = purlin.hold().await;
    erl.signal("CONT").await;
    erl.check(
        "receive B -> byte_size(B) after 10000 -> none end",
        "67108864",
    )
    .await;
    held.release();
    purlin.node.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_threads_are_all_held_gives_a_frozen_erl_up() {
    let net = Net::new().await;
    let (purlin, mut nodes, erl) = connected(&net, Release::Otp25).await;
    let held = purlin.hold().await;
    erl.signal("STOP").await;
    let event = timeout(2 * TICKTIME, nodes.receive()).await;
    assert!(
        matches!(event, Ok(Delivery::Node(NodeEvent::Down { .. }))),
        "{event:?}"
    );
    held.release();
    erl.signal("CONT").await;
    purlin.node.stop(PATIENCE).await;
}

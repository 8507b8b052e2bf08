//! What is sent to a node that is being dialled, by those who do not wait for that.
//!
//! One thread, so that nothing is dialled before a test awaits. Nodes are dialled through doors, which let them in
//! when the test says so.

mod support;

use std::future::Future;
use std::time::Duration;

use purlin_behaviours::gen_event::GenEvent;
use purlin_behaviours::{ServerRef, cast, cast_from};
use purlin_node::{Delivery, Mailbox, Node, SendError, Term, atom};
use purlin_runtime::AliasMode;
use support::mailbox::{message, next, trapping};
use support::{Net, PATIENCE, name};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// What may be queued for a node before its senders wait.
const BUDGET: usize = 1 << 20;

/// The result of a future that does not wait.
async fn at_once<T>(future: impl Future<Output = T>) -> T {
    let result = timeout(Duration::ZERO, future).await;
    result.expect("it does not wait")
}

async fn waits(future: impl Future) {
    let result = timeout(Duration::ZERO, future).await;
    assert!(result.is_err(), "it waits");
}

/// Where a node is dialled: nothing passes before it is opened.
struct Door(TcpListener);

impl Door {
    async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// A node that dials `alive` here.
    async fn dialler(&self, net: &Net, alive: &str) -> Node {
        let address = self.0.local_addr().unwrap();
        let peer = format!("{alive}@127.0.0.1");
        let builder = net.builder("here").peer_address(&peer, address);
        builder.start().await.unwrap()
    }

    /// Lets whoever dials, once, through to a node.
    async fn open_to(self, node: &Node) {
        let (mut near, _) = self.0.accept().await.unwrap();
        let mut far = TcpStream::connect(node.address().unwrap()).await.unwrap();
        tokio::spawn(async move { copy_bidirectional(&mut near, &mut far).await });
    }

    /// Sends whoever dials away.
    async fn refuse(self) {
        drop(self.0.accept().await.unwrap());
    }
}

fn bytes(len: usize) -> Term {
    Term::Binary(vec![0; len][..].into())
}

/// Next is a cast, or a plain message, of this number.
async fn number(mailbox: &mut Mailbox) -> i64 {
    let message = message(mailbox).await;
    match message.as_tuple() {
        Some([_, Term::Int(number)]) => *number,
        _ => match message {
            Term::Int(number) => number,
            other => panic!("a number, not {other}"),
        },
    }
}

#[tokio::test]
async fn to_a_node_that_never_answers_nobody_waits_who_does_not_in_otp() {
    let net = Net::new().await;
    let door = Door::new().await;
    let node = door.dialler(&net, "silent").await;
    let (me, to) = (node.attach().unwrap(), (atom!("server"), name("silent")));
    let (hello, runtime) = (atom!("hello"), node.runtime());
    at_once(node.cast(to.clone(), &hello)).await.unwrap();
    at_once(me.cast(to.clone(), &hello)).await.unwrap();
    at_once(cast(runtime, to.clone(), &hello)).await.unwrap();
    let by_process = cast_from(&*me, to.clone(), &hello);
    at_once(by_process).await.unwrap();
    let events = ServerRef::<GenEvent<i64>>::of(&node, to.clone());
    at_once(events.notify(1)).await.unwrap();
    let sent = at_once(node.abcast(&[name("silent")], "server", &hello)).await;
    assert!(sent.iter().all(|(_, sent)| sent.is_ok()), "{sent:?}");
    me.try_send(to.clone(), Term::from(1)).unwrap();
    runtime.try_send(to.clone(), Term::from(1)).unwrap();
    // Who wants to know whether there is a road still waits for that.
    waits(me.send(to.clone(), &Term::from(1))).await;
    assert!(node.connections().is_empty());
    door.refuse().await;
    node.stop(PATIENCE).await;
}

#[tokio::test]
async fn what_waited_for_a_node_that_cannot_be_reached_is_dropped_and_who_waits_is_told() {
    let net = Net::new().await;
    let node = net.node("here").await;
    let (me, to) = (node.attach().unwrap(), (atom!("server"), name("nobody")));
    me.try_send(to.clone(), Term::from(1)).unwrap();
    let refused = me.send(to.clone(), &Term::from(2)).await;
    assert!(matches!(refused, Err(SendError::NotConnected(_))));
    let there = net.node("nobody").await;
    let mut other = there.attach().unwrap();
    there.register(atom!("server"), other.pid()).unwrap();
    me.try_send(to, Term::from(3)).unwrap();
    assert_eq!(number(&mut other).await, 3);
    node.stop(PATIENCE).await;
    there.stop(PATIENCE).await;
}

#[tokio::test]
async fn all_that_a_process_sends_while_its_node_is_dialled_arrives_in_order() {
    for is_hidden in [false, true] {
        let net = Net::new().await;
        let mut builder = net.builder("here");
        if is_hidden {
            builder = builder.hidden();
        }
        let here = builder.start().await.unwrap();
        let there = net.node("there").await;
        let (me, mut other) = (here.attach().unwrap(), trapping(&there));
        there.register(atom!("other"), other.pid()).unwrap();
        let by_name = (atom!("other"), name("there"));
        let alias = other.alias(AliasMode::ExplicitUnalias);
        for number in 0..100_i64 {
            match number % 5 {
                0 => at_once(me.cast(other.pid(), &number)).await.unwrap(),
                1 => me.try_send(other.pid(), Term::from(number)).unwrap(),
                2 => me.try_send(by_name.clone(), Term::from(number)).unwrap(),
                3 => me.try_send(alias, Term::from(number)).unwrap(),
                _ => me.exit(other.pid(), number),
            }
        }
        assert!(here.connections().is_empty());
        me.send(other.pid(), &Term::from(100)).await.unwrap();
        at_once(me.cast(other.pid(), &101)).await.unwrap();
        for expected in 0..102 {
            let found = match expected % 5 {
                4 if expected < 100 => match next(&mut other).await {
                    Delivery::Exit { reason, .. } => reason.as_int(),
                    other => panic!("an EXIT, not {other:?}"),
                },
                _ => Some(number(&mut other).await),
            };
            assert_eq!(found, Some(expected));
        }
        here.stop(PATIENCE).await;
        there.stop(PATIENCE).await;
    }
}

#[tokio::test]
async fn a_timers_message_reaches_a_node_that_is_not_connected() {
    let net = Net::new().await;
    let (here, there) = (net.node("here").await, net.node("there").await);
    let mut other = there.attach().unwrap();
    let after = Duration::from_millis(1);
    let _ = here.runtime().send_after(after, other.pid(), Term::from(1));
    assert_eq!(number(&mut other).await, 1);
    here.stop(PATIENCE).await;
    there.stop(PATIENCE).await;
}

#[tokio::test]
async fn what_waits_for_a_node_is_bounded_and_all_of_it_arrives() {
    let net = Net::new().await;
    let door = Door::new().await;
    let (here, there) = (door.dialler(&net, "there").await, net.node("there").await);
    let (me, mut other) = (here.attach().unwrap(), there.attach().unwrap());
    let to = other.pid();
    me.try_send(to, Term::from(1)).unwrap();
    // One goes beyond the bound, however large.
    me.try_send(to, bytes(2 * BUDGET)).unwrap();
    let busy = me.try_send(to, Term::from(2));
    assert!(matches!(busy, Err(purlin_runtime::SendError::Busy(_))));
    // Given up, it is not sent.
    waits(me.cast(to, &3)).await;
    let cast = me.cast(to, &4);
    let mut cast = std::pin::pin!(cast);
    waits(cast.as_mut()).await;
    door.open_to(&there).await;
    cast.await.unwrap();
    assert_eq!(number(&mut other).await, 1);
    assert_eq!(message(&mut other).await, bytes(2 * BUDGET));
    assert_eq!(number(&mut other).await, 4);
    here.stop(PATIENCE).await;
    there.stop(PATIENCE).await;
}

#[tokio::test]
async fn a_cast_over_the_bound_is_told_when_the_node_cannot_be_reached() {
    let net = Net::new().await;
    let door = Door::new().await;
    let here = door.dialler(&net, "there").await;
    let (me, to) = (here.attach().unwrap(), (atom!("server"), name("there")));
    me.try_send(to.clone(), bytes(BUDGET)).unwrap();
    let cast = me.cast(to, &1);
    let mut cast = std::pin::pin!(cast);
    waits(cast.as_mut()).await;
    door.refuse().await;
    assert!(matches!(cast.await, Err(SendError::NotConnected(_))));
    here.stop(PATIENCE).await;
}

#[tokio::test]
async fn what_waits_goes_out_when_the_peer_is_first_to_connect() {
    let net = Net::new().await;
    let door = Door::new().await;
    let (here, there) = (door.dialler(&net, "there").await, net.node("there").await);
    let (me, mut other) = (here.attach().unwrap(), there.attach().unwrap());
    for number in 0..10_i64 {
        at_once(me.cast(other.pid(), &number)).await.unwrap();
    }
    there.connect_to("here@127.0.0.1").await.unwrap();
    me.cast(other.pid(), &10).await.unwrap();
    for expected in 0..11 {
        assert_eq!(number(&mut other).await, expected);
    }
    here.stop(PATIENCE).await;
    there.stop(PATIENCE).await;
}

#[tokio::test]
async fn a_node_that_stops_sends_first_what_waits_for_those_it_dials() {
    let net = Net::new().await;
    let (here, there) = (net.node("here").await, net.node("there").await);
    let mut other = there.attach().unwrap();
    at_once(here.cast(other.pid(), &1)).await.unwrap();
    here.stop(PATIENCE).await;
    assert_eq!(number(&mut other).await, 1);
    there.stop(PATIENCE).await;
    // And after that it dials nobody.
    let late = here.cast(other.pid(), &2).await;
    assert!(matches!(late, Err(SendError::NotConnected(_))));
}

#[tokio::test]
async fn a_node_that_stops_waits_no_longer_than_it_is_told_for_those_it_dials() {
    let net = Net::new().await;
    let door = Door::new().await;
    let here = door.dialler(&net, "there").await;
    let to = (atom!("server"), name("there"));
    at_once(here.cast(to, &1)).await.unwrap();
    let before = tokio::time::Instant::now();
    here.stop(Duration::from_millis(50)).await;
    assert!(
        before.elapsed() < Duration::from_secs(5),
        "dialling takes longer"
    );
}

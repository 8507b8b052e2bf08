//! `monitor_nodes`, `monitor_node`, `disconnect` and what connections tell of themselves, between Purlin
//! nodes. How OTP counts, filters and words it was tried on OTP 25; `otp_events` has it beside us.

mod support;

use std::time::Duration;

use purlin_node::{
    Delivery, DownReason, Mailbox, MonitorNodes, Node, NodeEvent, NodeName, NodeType, Target, Term,
    atom,
};
use purlin_runtime::{Attached, Raw, Received};
use support::mailbox::next;
use support::{Net, PATIENCE, name};
use tokio::time::timeout;

async fn down(mailbox: &mut Mailbox, peer: &str) -> DownReason {
    let event = next(mailbox).await;
    let Delivery::Node(NodeEvent::Down { node, reason, .. }) = event else {
        panic!("{event:?}")
    };
    assert_eq!(node, name(peer));
    reason
}

fn watch(node: &Node, options: MonitorNodes) -> Mailbox {
    let mailbox = node.attach().unwrap();
    node.monitor_nodes_with(mailbox.pid(), options);
    mailbox
}

/// Connects, and returns when both sides know.
async fn connect(from: &Node, to: &Node) {
    let mut watcher = to.attach().unwrap();
    let known = to.monitor_nodes(watcher.pid());
    from.connect_to(to.name()).await.unwrap();
    if known.is_empty() {
        let event = next(&mut watcher).await;
        assert!(
            matches!(event, Delivery::Node(NodeEvent::Up { .. })),
            "{event:?}"
        );
    }
}

/// What the mailbox has by now: everything that was sent to it before.
async fn drain(mailbox: &mut Mailbox) -> Vec<Delivery> {
    let mut all = Vec::new();
    let end = Term::from(atom!("end"));
    mailbox.send(mailbox.pid(), &end).await.unwrap();
    loop {
        match next(mailbox).await {
            Delivery::Message(_) => return all,
            event => all.push(event),
        }
    }
}

/// The next message of a process whose messages are terms, as text.
async fn next_text(process: &mut Attached<Raw>) -> String {
    match timeout(PATIENCE, process.receive()).await {
        Ok(Ok(Received::Message(Raw(message)))) => message.to_term().unwrap().to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_of_monitor_nodes_counts_and_one_end_takes_all_with_its_options() {
    let net = Net::new().await;
    let (a, b) = (net.node("a").await, net.node("b").await);
    let mut watcher = a.attach().unwrap();
    let me = watcher.pid();
    let reasons = MonitorNodes::default().nodedown_reason();
    assert!(a.monitor_nodes(me).is_empty());
    a.monitor_nodes(me);
    a.monitor_nodes_with(me, reasons);
    a.connect_to(b.name()).await.unwrap();
    let ups = drain(&mut watcher).await;
    assert_eq!(ups.len(), 3, "{ups:?}");
    let expected = b.creation();
    for up in ups {
        let Delivery::Node(NodeEvent::Up { node, creation, .. }) = up else {
            panic!("{up:?}")
        };
        assert_eq!((node, creation), (b.name(), expected));
    }
    a.demonitor_nodes(me);
    assert!(a.disconnect(b.name()).await);
    let downs = drain(&mut watcher).await;
    assert_eq!(downs.len(), 1, "{downs:?}");
    a.demonitor_nodes_with(me, reasons);
    a.connect_to(b.name()).await.unwrap();
    let nothing = drain(&mut watcher).await;
    assert!(nothing.is_empty(), "{nothing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_watcher_is_answered_what_is_connected_and_told_only_of_changes() {
    let net = Net::new().await;
    let (a, b) = (net.node("a").await, net.node("b").await);
    a.connect_to(b.name()).await.unwrap();
    let mut watcher = a.attach().unwrap();
    let connected = a.monitor_nodes(watcher.pid());
    assert_eq!(connected.len(), 1);
    assert!(drain(&mut watcher).await.is_empty());
    a.disconnect(b.name()).await;
    let event = next(&mut watcher).await;
    let ended = matches!(event, Delivery::Node(NodeEvent::Down { connection_id: Some(id), .. })
        if id == connected[0].connection_id);
    assert!(ended, "{event:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_of_another_node_is_not_told_and_holds_nothing_up() {
    let net = Net::new().await;
    let (here, there) = (net.node("here").await, net.node("there").await);
    let stranger = there.attach().unwrap();
    connect(&here, &there).await;
    assert_eq!(here.monitor_nodes(stranger.pid()).len(), 1);
    here.monitor_node(stranger.pid(), name("nobody"));
    here.monitor_node(stranger.pid(), there.name());
    let mut watcher = watch(&here, MonitorNodes::default());
    let third = net.node("third").await;
    let connecting = timeout(PATIENCE, connect(&here, &third));
    connecting.await.expect("it does not hang");
    assert!(matches!(
        next(&mut watcher).await,
        Delivery::Node(NodeEvent::Up { .. })
    ));
    for node in [here, there, third] {
        node.stop(PATIENCE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_nodes_are_told_to_those_who_want_them() {
    let net = Net::new().await;
    let a = net.node("a").await;
    let hidden = net.builder("h").hidden().start().await.unwrap();
    let visible = net.node("v").await;
    let wanting = |node_type| MonitorNodes::default().node_type(node_type);
    let mut watchers = [NodeType::Visible, NodeType::Hidden, NodeType::All]
        .map(|node_type| watch(&a, wanting(node_type)));
    let mut plain = watch(&a, MonitorNodes::default());
    a.connect_to(hidden.name()).await.unwrap();
    a.connect_to(visible.name()).await.unwrap();
    let mut told: Vec<Vec<NodeName>> = Vec::new();
    for watcher in watchers.iter_mut().chain([&mut plain]) {
        let events = drain(watcher).await;
        let nodes = events.iter().map(|event| match event {
            Delivery::Node(NodeEvent::Up { node, .. }) => *node,
            other => panic!("{other:?}"),
        });
        told.push(nodes.collect());
    }
    let (h, v) = (hidden.name(), visible.name());
    assert_eq!(told, [vec![v], vec![h], vec![h, v], vec![v]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_of_terms_is_told_as_otp_tells() {
    let net = Net::new().await;
    let (a, b) = (net.node("a").await, net.node("b").await);
    let mut watcher = a.runtime().attach::<Raw>().unwrap();
    a.monitor_nodes(watcher.pid());
    a.monitor_node(watcher.pid(), b.name());
    let up = "{nodeup,'b@127.0.0.1'}";
    assert_eq!(next_text(&mut watcher).await, up);
    a.monitor_nodes_with(
        watcher.pid(),
        MonitorNodes::default()
            .nodedown_reason()
            .node_type(NodeType::All),
    );
    a.disconnect(b.name()).await;
    let down = "{nodedown,'b@127.0.0.1'}";
    let info = "{nodedown,'b@127.0.0.1',[{nodedown_reason,disconnect},{node_type,visible}]}";
    for expected in [down, down, info] {
        assert_eq!(next_text(&mut watcher).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_are_told_why() {
    let net = Net::new().await;
    let (a, b) = (net.node("a").await, net.node("b").await);
    let (mut of_a, mut of_b) = (
        watch(&a, MonitorNodes::default()),
        watch(&b, MonitorNodes::default()),
    );
    let up = |event: Delivery| {
        assert!(
            matches!(event, Delivery::Node(NodeEvent::Up { .. })),
            "{event:?}"
        )
    };

    a.connect_to(b.name()).await.unwrap();
    up(next(&mut of_a).await);
    up(next(&mut of_b).await);
    assert!(a.disconnect(b.name()).await);
    assert!(!a.disconnect(b.name()).await);
    assert!(a.nodes().is_empty());
    assert_eq!(down(&mut of_a, "b").await, DownReason::Disconnect);
    assert_eq!(down(&mut of_b, "a").await, DownReason::ConnectionClosed);

    a.connect_to(b.name()).await.unwrap();
    up(next(&mut of_a).await);
    up(next(&mut of_b).await);
    // It is told to shut down as all processes are, after the connections.
    of_b.trap_exit(true);
    let (_, reason) = tokio::join!(b.stop(PATIENCE), down(&mut of_b, "a"));
    assert_eq!(reason, DownReason::NetKernelTerminated);
    assert_eq!(down(&mut of_a, "b").await, DownReason::ConnectionClosed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnect_ends_links_and_monitors_of_both_sides_and_nothing_else() {
    let net = Net::new().await;
    let (a, b) = (net.node("a").await, net.node("b").await);
    connect(&a, &b).await;
    let (mut one, mut other) = (a.attach().unwrap(), b.attach().unwrap());
    one.trap_exit(true);
    other.trap_exit(true);
    one.link(other.pid());
    let (one_pid, other_pid) = (one.pid(), other.pid());
    let (of_other, of_one) = (one.monitor(other.pid()), other.monitor(one.pid()));
    // On the flow of the links and monitors, so they have arrived when this has.
    for (mailbox, peer) in [(&mut one, other_pid), (&mut other, one_pid)] {
        mailbox.send(peer, &atom!("hello").into()).await.unwrap();
    }
    for mailbox in [&mut one, &mut other] {
        assert!(matches!(next(mailbox).await, Delivery::Message(_)));
    }
    assert!(b.disconnect(a.name()).await);
    for (mailbox, peer, reference) in [
        (&mut one, other_pid, of_other),
        (&mut other, one_pid, of_one),
    ] {
        let mut told = [next(mailbox).await, next(mailbox).await];
        told.sort_by_key(|event| matches!(event, Delivery::Down { .. }));
        let [
            Delivery::Exit { from, reason },
            Delivery::Down {
                watched,
                reference: fired,
                reason: why,
            },
        ] = &told
        else {
            panic!("{told:?}")
        };
        assert_eq!(
            (*from, watched.clone(), *fired),
            (peer, Target::Pid(peer), reference)
        );
        assert!(reason.is_atom("noconnection") && why.is_atom("noconnection"));
    }
    // Whoever sends connects anew, and both live.
    one.send(other.pid(), &atom!("again").into()).await.unwrap();
    assert!(matches!(next(&mut other).await, Delivery::Message(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn monitor_node_connects_tells_once_a_call_and_can_be_taken_back() {
    let net = Net::new().await;
    let (a, b) = (net.node("a").await, net.node("b").await);
    let mut watcher = a.attach().unwrap();
    let me = watcher.pid();
    a.monitor_node(me, a.name());
    for _ in 0..3 {
        a.monitor_node(me, b.name());
    }
    a.demonitor_node(me, b.name());
    a.connect_to(b.name()).await.unwrap();
    assert!(drain(&mut watcher).await.is_empty());
    b.stop(PATIENCE).await;
    for _ in 0..2 {
        assert_eq!(down(&mut watcher, "b").await, DownReason::ConnectionClosed);
    }
    a.monitor_node(me, b.name());
    assert_eq!(
        down(&mut watcher, "b").await,
        DownReason::ConnectionSetupFailed
    );
    let b = net.node("b").await;
    a.connect_to(b.name()).await.unwrap();
    a.disconnect(b.name()).await;
    assert!(drain(&mut watcher).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_tell_what_passed_over_them() {
    let net = Net::new().await;
    let (a, b) = (net.node("a").await, net.node("b").await);
    assert!(a.connections().is_empty());
    connect(&a, &b).await;
    let before = a.connections().pop().unwrap();
    assert_eq!((before.node, before.creation), (b.name(), b.creation()));
    assert_eq!(Some(before.address), b.address());
    assert!(before.visible);

    let (sender, mut receiver) = (a.attach().unwrap(), b.attach().unwrap());
    let large = Term::Binary(vec![0; 300_000].into());
    sender.send(receiver.pid(), &large).await.unwrap();
    receiver
        .send(sender.pid(), &atom!("hello").into())
        .await
        .unwrap();
    assert!(matches!(next(&mut receiver).await, Delivery::Message(_)));
    let mut sender = sender;
    assert!(matches!(next(&mut sender).await, Delivery::Message(_)));

    let (after, there) = (
        a.connections().pop().unwrap(),
        b.connections().pop().unwrap(),
    );
    assert_eq!(after.connection_id, before.connection_id);
    assert!(after.age >= before.age && after.age < PATIENCE + Duration::from_secs(1));
    assert!(after.signals_read > before.signals_read);
    assert!(after.signals_queued > before.signals_queued);
    assert!(there.bytes_read >= 300_000 && after.bytes_read < 300_000);
    // What is written is counted when the system has taken it, which the peer may see first.
    let written = async {
        while a.connections().pop().unwrap().bytes_written < 300_000 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, written).await.expect("it is counted");
    assert!(there.bytes_written < 300_000);

    a.disconnect(b.name()).await;
    a.connect_to(b.name()).await.unwrap();
    let anew = a.connections().pop().unwrap();
    assert!(anew.connection_id > after.connection_id);
    assert!(anew.bytes_written < 300_000);
}

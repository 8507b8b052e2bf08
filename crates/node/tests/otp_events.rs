//! Real OTP nodes, both releases: what each side is told of the other's coming and going, and what a
//! disconnect or a connection that is cut ends.

mod support;

use std::time::Duration;

use purlin_node::{
    Delivery, DownReason, Mailbox, MonitorNodes, Node, NodeEvent, Reference, Target, Term, atom,
};
use support::mailbox::next;
use support::road::{Cut, Road};
use support::{Erl, Net, PATIENCE, RELEASES, Release, name};
use tokio::net::TcpStream;

const PONG: &str = "net_adm:ping('purlin@127.0.0.1')";

/// What OTP is to be told, all of it.
const WATCH: &str =
    "net_kernel:monitor_nodes(true, #{nodedown_reason => true, connection_id => true})";

/// The connection of a `NodeUp`.
async fn comes(mailbox: &mut Mailbox) -> u64 {
    match next(mailbox).await {
        Delivery::Node(NodeEvent::Up { connection_id, .. }) => connection_id,
        other => panic!("{other:?}"),
    }
}

/// Why the connection ended.
async fn goes(mailbox: &mut Mailbox, connection: u64) -> DownReason {
    match next(mailbox).await {
        Delivery::Node(NodeEvent::Down {
            connection_id,
            reason,
            ..
        }) => {
            assert_eq!(connection_id, Some(connection));
            reason
        }
        other => panic!("{other:?}"),
    }
}

/// The next thing that OTP is told of us, and why if it is that we are down.
async fn told(erl: &mut Erl, what: &str) {
    let receive = "(fun() -> receive {nodeup, 'purlin@127.0.0.1', #{connection_id := _}} -> up; \
                   {nodedown, 'purlin@127.0.0.1', #{nodedown_reason := R}} -> R \
                   after 60000 -> nothing end end)()";
    erl.check(receive, what).await;
}

fn watch(node: &Node) -> Mailbox {
    let mailbox = node.attach().unwrap();
    node.monitor_nodes_with(mailbox.pid(), MonitorNodes::default().nodedown_reason());
    mailbox
}

#[tokio::test(flavor = "multi_thread")]
async fn each_side_is_told_why_the_other_is_down() {
    for release in RELEASES {
        let net = Net::new().await;
        let mut erl = net.erl(release, "erl").await;
        erl.check(WATCH, "ok").await;
        let node = net.node("purlin").await;
        let mut nodes = watch(&node);

        erl.check(PONG, "pong").await;
        let connection = comes(&mut nodes).await;
        told(&mut erl, "up").await;
        erl.check("erlang:disconnect_node('purlin@127.0.0.1')", "true")
            .await;
        let reason = goes(&mut nodes, connection).await;
        assert_eq!(reason, DownReason::ConnectionClosed);
        told(&mut erl, "disconnect").await;

        node.connect_to(name("erl")).await.unwrap();
        let connection = comes(&mut nodes).await;
        told(&mut erl, "up").await;
        assert!(node.disconnect(name("erl")).await);
        let reason = goes(&mut nodes, connection).await;
        assert_eq!(reason, DownReason::Disconnect);
        told(&mut erl, "connection_closed").await;

        erl.check(PONG, "pong").await;
        let connection = comes(&mut nodes).await;
        told(&mut erl, "up").await;
        erl.assert_nothing_logged();
        erl.kill().await;
        let reason = goes(&mut nodes, connection).await;
        assert_eq!(reason, DownReason::ConnectionClosed);
        node.stop(PATIENCE).await;
    }
}

/// A process of OTP that traps exits, linked with `process` and each watching the other; the reference
/// of its monitor is there under `monitor`.
const TIE: &str = "process_flag(trap_exit, true), \
    put(theirs, erpc:call('purlin@127.0.0.1', erlang, whereis, [tied])), \
    link(get(theirs)), put(monitor, monitor(process, get(theirs))), self() ! tied, \
    register(tied, self()), receive tied -> ok end";

/// What a process of OTP is told of it, sorted.
const UNTIED: &str = "(fun() -> M = get(monitor), P = get(theirs), unregister(tied), \
    lists:sort([receive {'EXIT', P, R} -> {exit, R}; {'DOWN', M, process, P, R} -> {down, R} \
    after 60000 -> nothing end || _ <- [1, 2]]) end)()";

/// A process of ours that traps exits and is tied to one of OTP's, as [`TIE`] says, both ways.
async fn tie(node: &Node, erl: &mut Erl, ours: &Mailbox) -> Reference {
    erl.check(TIE, "ok").await;
    let of_theirs = ours.monitor(Target::Name(atom!("tied"), name("erl")));
    // The answer comes after the monitor was set.
    node.ping(name("erl"), PATIENCE).await.unwrap();
    of_theirs
}

fn tied(node: &Node) -> Mailbox {
    let ours = node.attach().unwrap();
    ours.trap_exit(true);
    node.register(atom!("tied"), ours.pid()).unwrap();
    ours
}

/// Both are told of the end of the connection, by the link and by the monitor, once each.
async fn are_untied(erl: &mut Erl, ours: &mut Mailbox, of_theirs: Reference) {
    erl.check(UNTIED, "[{down,noconnection},{exit,noconnection}]")
        .await;
    let (mut exits, mut downs) = (0, 0);
    for _ in [1, 2] {
        match next(ours).await {
            Delivery::Exit { reason, .. } if reason.is_atom("noconnection") => exits += 1,
            Delivery::Down {
                reference, reason, ..
            } if reference == of_theirs && reason.is_atom("noconnection") => downs += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((exits, downs), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnect_of_either_side_ends_links_and_monitors_of_both() {
    for release in RELEASES {
        let net = Net::new().await;
        let mut erl = net.erl(release, "erl").await;
        let node = net.node("purlin").await;
        let mut ours = tied(&node);
        for ours_is_first in [false, true] {
            let of_theirs = tie(&node, &mut erl, &ours).await;
            match ours_is_first {
                true => assert!(node.disconnect(name("erl")).await),
                false => {
                    erl.check("erlang:disconnect_node('purlin@127.0.0.1')", "true")
                        .await;
                }
            }
            are_untied(&mut erl, &mut ours, of_theirs).await;
        }
        erl.assert_nothing_logged();
        node.stop(PATIENCE).await;
    }
}

/// A Purlin and an OTP node that find each other by roads that can be cut.
struct Apart {
    node: Node,
    erl: Erl,
    roads: [Road; 2],
    _registered: TcpStream,
    _net: Net,
}

impl Apart {
    async fn start(release: Release) -> Self {
        let net = Net::new().await;
        let quick = ["-kernel", "net_ticktime", "4"];
        let erl = net.erl_with(release, "erl", &net.cookie, &quick).await;
        let to_them = Road::to(net.port_of("erl").await).await;
        let node = net
            .builder("purlin")
            .without_epmd()
            .peer_address("erl@127.0.0.1", to_them.address())
            .net_ticktime(Duration::from_secs(4));
        let node = node.start().await.unwrap();
        let to_us = Road::to(node.address().unwrap().port()).await;
        Self {
            _registered: net.register("purlin", to_us.address().port()).await,
            roads: [to_them, to_us],
            node,
            erl,
            _net: net,
        }
    }

    /// Connects, and waits for OTP's `global`: while it joins it would dial whoever it lost.
    async fn dial(&mut self, we_dial: bool) {
        match we_dial {
            true => self.node.connect_to(name("erl")).await.unwrap(),
            false => self.erl.check(PONG, "pong").await,
        }
        self.erl.check("global:sync()", "ok").await;
    }

    fn cut(&self, cut: Cut) {
        self.roads.iter().for_each(|road| road.cut(cut));
    }
}

/// The connection ends and both nodes live on: all ties over it end, each side is told once, and they meet
/// again, whoever dials.
async fn is_cut(release: Release, cut: Cut, reason: &DownReason, otps_reason: &str) {
    let mut apart = Apart::start(release).await;
    apart.erl.check(WATCH, "ok").await;
    let (mut nodes, mut ours) = (watch(&apart.node), tied(&apart.node));
    for we_dial in [true, false] {
        apart.dial(we_dial).await;
        let connection = comes(&mut nodes).await;
        told(&mut apart.erl, "up").await;
        let of_theirs = tie(&apart.node, &mut apart.erl, &ours).await;
        apart.cut(cut);
        are_untied(&mut apart.erl, &mut ours, of_theirs).await;
        assert_eq!(goes(&mut nodes, connection).await, *reason);
        told(&mut apart.erl, otps_reason).await;
        assert!(apart.node.nodes().is_empty());
        apart.erl.check("nodes()", "[]").await;
    }
    apart.dial(true).await;
    comes(&mut nodes).await;
    told(&mut apart.erl, "up").await;
    // Nothing was told twice: what comes now is the first thing that comes.
    let end = Term::from(atom!("end"));
    for mailbox in [&mut nodes, &mut ours] {
        mailbox.send(mailbox.pid(), &end).await.unwrap();
        let first = next(mailbox).await;
        assert!(matches!(first, Delivery::Message(_)), "{first:?}");
    }
    apart
        .erl
        .check("receive Any -> Any after 0 -> nothing end", "nothing")
        .await;
    apart.erl.assert_nothing_logged_but("not responding");
    apart.node.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_reset_ends_for_both_and_they_meet_again() {
    for release in RELEASES {
        let closed = DownReason::ConnectionClosed;
        is_cut(release, Cut::Reset, &closed, "connection_closed").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_falls_silent_ends_for_both_and_they_meet_again() {
    let silent = |release| {
        let late = DownReason::NetTickTimeout;
        async move { is_cut(release, Cut::Silent, &late, "net_tick_timeout").await }
    };
    tokio::join!(silent(RELEASES[0]), silent(RELEASES[1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn monitor_node_works_both_ways() {
    for release in RELEASES {
        let net = Net::new().await;
        let mut erl = net.erl(release, "erl").await;
        let node = net.node("purlin").await;
        let watcher = node.attach().unwrap();
        node.monitor_node(watcher.pid(), name("erl"));
        erl.check("monitor_node('purlin@127.0.0.1', true)", "true")
            .await;
        // Whoever of the two dialled: it is one connection, and both know it.
        node.ping(name("erl"), PATIENCE).await.unwrap();
        assert_eq!(node.nodes(), [name("erl")]);
        node.stop(PATIENCE).await;
        let down = "receive {nodedown, 'purlin@127.0.0.1'} -> down after 60000 -> nothing end";
        erl.check(down, "down").await;
        erl.check("monitor_node('purlin@127.0.0.1', true)", "true")
            .await;
        erl.check(down, "down").await;

        let node = net.node("purlin").await;
        let mut watcher = node.attach().unwrap();
        node.monitor_node(watcher.pid(), name("nobody"));
        let event = next(&mut watcher).await;
        let unreachable = matches!(event, Delivery::Node(NodeEvent::Down { node, connection_id: None, reason: DownReason::ConnectionSetupFailed, .. })
            if node == name("nobody"));
        assert!(unreachable, "{event:?}");
        node.monitor_node(watcher.pid(), name("erl"));
        erl.check(PONG, "pong").await;
        erl.kill().await;
        let event = next(&mut watcher).await;
        assert!(
            matches!(event, Delivery::Node(NodeEvent::Down { node, .. }) if node == name("erl")),
            "{event:?}"
        );
        node.stop(PATIENCE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_tells_its_peers_so_before_they_see_it() {
    for release in RELEASES {
        let net = Net::new().await;
        let mut erl = net.erl(release, "erl").await;
        let node = net.node("purlin").await;
        node.connect_to(name("erl")).await.unwrap();
        erl.check("register(purlin_leaves, self())", "true").await;
        erl.check("net_kernel:monitor_nodes(true)", "ok").await;
        node.stop(PATIENCE).await;
        for heard in [
            "{leaves,'purlin@127.0.0.1'}",
            "{nodedown,'purlin@127.0.0.1'}",
        ] {
            let receive = "(fun() -> receive M -> M after 60000 -> nothing end end)()";
            erl.check(receive, heard).await;
        }
        erl.assert_nothing_logged();
    }
}

/// Of whom `of` reports next that it lost it.
fn reported_by(of: &str) -> String {
    format!(
        "receive {{trace, _, 'receive', {{lost_connection, '{of}@127.0.0.1', _, _, Lost}}}} -> Lost \
         after 60000 -> nothing end"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_is_reported_to_nobody_and_who_is_cut_off_is() {
    for release in RELEASES {
        let net = Net::new().await;
        let (a, b) = (net.node("a").await, net.node("b").await);
        let _d = net.node("d").await;
        let mut erl = net.erl(release, "erl").await;
        for peer in ["b", "d", "erl"] {
            a.connect_to(name(peer)).await.unwrap();
        }
        erl.check("global:sync()", "ok").await;
        let trace = "erlang:trace(whereis(global_name_server), true, ['receive'])";
        erl.check(trace, "1").await;
        let mut nodes = watch(&a);

        b.stop(PATIENCE).await;
        let gone = next(&mut nodes).await;
        let announced = matches!(&gone, Delivery::Node(NodeEvent::Down { node, announced: true, .. }) if *node == name("b"));
        assert!(announced, "{gone:?}");
        assert!(a.disconnect(name("d")).await);
        let gone = next(&mut nodes).await;
        let cut = matches!(&gone, Delivery::Node(NodeEvent::Down { node, announced: false, .. }) if *node == name("d"));
        assert!(cut, "{gone:?}");
        // Whatever was to be told of the first was told before this.
        erl.check(&reported_by("a"), "'d@127.0.0.1'").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_report_of_a_node_that_stops_is_dropped() {
    let net = Net::new().await;
    let node = net.node("purlin").await;
    let mut leaver = net.erl(Release::Otp25, "leaver").await;
    let mut other = net.erl(Release::Otp25, "other").await;
    for erl in [&mut leaver, &mut other] {
        erl.check(PONG, "pong").await;
    }
    let lost = "{global_name_server, 'purlin@127.0.0.1'} ! {lost_connection, node(), 1 bsl 60, 1, \
                'leaver@127.0.0.1'}, \
                lists:sort(gen_server:call({global_name_server, 'purlin@127.0.0.1'}, get_known))";
    other.check("global:sync()", "ok").await;
    let leaves =
        "{purlin_leaves, 'purlin@127.0.0.1'} ! {leaves, node()}, net_adm:ping('purlin@127.0.0.1')";
    leaver.check(leaves, "pong").await;
    other
        .check(lost, "['leaver@127.0.0.1','other@127.0.0.1']")
        .await;
    node.stop(PATIENCE).await;
}

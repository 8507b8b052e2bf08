//! Real OTP nodes, both releases, where something is wrong or odd: cookies, names taken, restarts,
//! frozen peers, both sides dialling at once, nodes without a name, and each other's port mapper.

mod support;

use std::process::Stdio;
use std::time::Duration;

use purlin_node::{
    ConnectError, Delivery, DownReason, HandshakeError, Mailbox, MonitorNodes, Node, NodeEvent,
    NodeType, RemoteError, StartError, Target, atom,
};
use support::{Erl, Net, PATIENCE, RELEASES, Release, name};
use tokio::process::Command;
use tokio::time::timeout;

const PONG: &str = "net_adm:ping('purlin@127.0.0.1')";

/// What OTP logs has `parts`, in this order, and no other error or warning.
#[track_caller]
fn assert_logged(erl: &Erl, parts: &[&str]) {
    let log = erl.log();
    let is_head = |line: &&str| line.contains("=ERROR REPORT") || line.contains("=WARNING REPORT");
    let events = log.lines().filter(is_head).count();
    assert_eq!(events, parts.len(), "{log}");
    let mut rest = &log[..];
    for part in parts {
        let at = rest
            .find(part)
            .unwrap_or_else(|| panic!("{part} is not in {log}"));
        rest = &rest[at + part.len()..];
    }
}

async fn next_node_event(mailbox: &mut Mailbox) -> Delivery {
    let next = timeout(PATIENCE, mailbox.receive()).await;
    next.expect("a node comes or goes")
}

async fn node_goes(mailbox: &mut Mailbox) {
    let event = next_node_event(mailbox).await;
    assert!(
        matches!(event, Delivery::Node(NodeEvent::Down { .. })),
        "{event:?}"
    );
}

async fn node_comes(mailbox: &mut Mailbox) {
    let event = next_node_event(mailbox).await;
    assert!(
        matches!(event, Delivery::Node(NodeEvent::Up { .. })),
        "{event:?}"
    );
}

/// A process that tells of nodes.
fn watch_nodes(node: &Node) -> Mailbox {
    let mailbox = node.attach().unwrap();
    let hidden_too = MonitorNodes::default().node_type(NodeType::All);
    node.monitor_nodes_with(mailbox.pid(), hidden_too);
    mailbox
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erl_with_another_cookie_is_refused_whoever_dials() {
    for release in RELEASES {
        let net = Net::new().await;
        let node = net.node("purlin").await;
        let mut erl = net.erl_with(release, "stranger", "another", &[]).await;
        erl.check(PONG, "pang").await;
        assert_logged(&erl, &[]);
        let error = node.ping(name("stranger"), PATIENCE).await.unwrap_err();
        let RemoteError::NotConnected(ConnectError::Handshake(error)) = error else {
            panic!("{error}")
        };
        let closed = matches!(error, HandshakeError::ClosedAfterReply { .. });
        assert!(closed, "{error}");
        // The log is written by a process of its own: what comes after it is in it too.
        erl.eval("logger_std_h:filesync(default)").await;
        assert_logged(
            &erl,
            &["Connection attempt from node 'purlin@127.0.0.1' rejected"],
        );
        assert_eq!(node.nodes(), []);
        erl.check("nodes()", "[]").await;
        node.stop(PATIENCE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erl_that_starts_again_is_another_node_of_the_same_name() {
    for release in RELEASES {
        let net = Net::new().await;
        let node = net.node("purlin").await;
        let mut nodes = watch_nodes(&node);
        let mut erl = net.erl(release, "again").await;
        erl.check(PONG, "pong").await;
        node_comes(&mut nodes).await;
        erl.check("register(old, self())", "true").await;
        let mut watcher = node.attach().unwrap();
        watcher.monitor(Target::Name(atom!("old"), name("again")));
        let old = erl_pid(&node, "again", "old").await;
        erl.kill().await;
        let Delivery::Down { reason, .. } = watcher.receive().await else {
            panic!("a DOWN")
        };
        assert!(reason.is_atom("noconnection"), "{reason}");
        node_goes(&mut nodes).await;

        let mut erl = net.erl(release, "again").await;
        node.ping(name("again"), PATIENCE).await.unwrap();
        node_comes(&mut nodes).await;
        watcher.monitor(Target::Pid(old));
        let Delivery::Down { reason, .. } = watcher.receive().await else {
            panic!("a DOWN")
        };
        assert!(reason.is_atom("noproc"), "{reason}");
        erl.check(PONG, "pong").await;
        erl.assert_nothing_logged();
        node.stop(PATIENCE).await;
    }
}

/// The process of this name on an `erl`.
async fn erl_pid(node: &Node, alive: &str, registered: &str) -> purlin_node::Pid {
    let registered = purlin_node::Atom::new(registered).unwrap();
    let found = node
        .erpc_call(name(alive), "erlang", "whereis", (registered,), PATIENCE)
        .await;
    found.unwrap().as_pid().expect("it is registered")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purlin_node_that_starts_again_is_another_node_of_the_same_name() {
    for release in RELEASES {
        let net = Net::new().await;
        let mut erl = net.erl(release, "erl").await;
        erl.eval("net_kernel:monitor_nodes(true)").await;
        for round in 1..=5 {
            let node = net.node("purlin").await;
            let echo = node.spawn(|mut mailbox: Mailbox| async move {
                let _ = mailbox.receive().await;
            });
            node.register(atom!("echo"), echo.unwrap()).unwrap();
            erl.check(PONG, "pong").await;
            let up = "receive {nodeup, 'purlin@127.0.0.1'} -> up after 60000 -> timeout end";
            erl.check(up, "up").await;
            erl.eval("put(new, erpc:call('purlin@127.0.0.1', erlang, whereis, [echo])), put(monitor, monitor(process, get(new)))").await;
            if round > 1 {
                let old = "N = monitor(process, get(old)), receive {'DOWN', N, _, _, R} -> R after 60000 -> timeout end";
                erl.check(&format!("(fun() -> {old} end)()"), "noproc")
                    .await;
            }
            node.stop(PATIENCE).await;
            let down = "receive {nodedown, 'purlin@127.0.0.1'} -> down after 60000 -> timeout end";
            erl.check(down, "down").await;
            let down =
                "O = get(monitor), receive {'DOWN', O, _, _, R} -> R after 60000 -> timeout end";
            erl.check(&format!("(fun() -> {down} end)()"), "noconnection")
                .await;
            erl.eval("put(old, get(new))").await;
        }
        erl.assert_nothing_logged();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_erl_is_down_after_net_ticktime_and_may_come_back() {
    for release in RELEASES {
        let net = Net::new().await;
        let ticktime = Duration::from_secs(4);
        let node = net
            .builder("purlin")
            .net_ticktime(ticktime)
            .start()
            .await
            .unwrap();
        let mut nodes = watch_nodes(&node);
        let arguments = ["-kernel", "net_ticktime", "4"];
        let mut erl = net
            .erl_with(release, "frozen", &net.cookie, &arguments)
            .await;
        erl.check(PONG, "pong").await;
        node_comes(&mut nodes).await;
        let start = std::time::Instant::now();
        erl.signal("STOP").await;
        let event = next_node_event(&mut nodes).await;
        let Delivery::Node(NodeEvent::Down { reason, .. }) = event else {
            panic!("{event:?}")
        };
        assert_eq!(reason, DownReason::NetTickTimeout);
        let after = start.elapsed();
        assert!(after >= ticktime.mul_f32(0.7), "{after:?}");
        erl.signal("CONT").await;
        node.ping(name("frozen"), PATIENCE).await.unwrap();
        node_comes(&mut nodes).await;
        erl.check("nodes()", "['purlin@127.0.0.1']").await;
        node.stop(PATIENCE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_name_is_refused_on_both_sides() {
    for release in RELEASES {
        let net = Net::new().await;
        let _erl = net.erl(release, "taken").await;
        let error = net.builder("taken").start().await.unwrap_err();
        assert!(matches!(error, StartError::NameTaken { .. }), "{error}");
        let _node = net.node("ours").await;
        let output = plain_erl(&net, release, &["-name", "ours@127.0.0.1"], "halt().").await;
        assert!(
            output.contains("the name ours@127.0.0.1 seems to be in use"),
            "{output}"
        );
    }
}

/// Runs an `erl` without the evaluator to its end; what it writes.
async fn plain_erl(net: &Net, release: Release, arguments: &[&str], code: &str) -> String {
    let output = Command::new(release.erl())
        .args([
            "-noshell",
            "-start_epmd",
            "false",
            "-setcookie",
            &net.cookie,
        ])
        .args(arguments)
        .args(["-eval", code])
        .env("ERL_EPMD_PORT", net.port().to_string())
        .env("ERL_CRASH_DUMP_SECONDS", "0")
        .env("HOME", net.folder())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, output).await.expect("erl ends").unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_dialling_at_once_end_with_one_connection() {
    for release in RELEASES {
        // The greater name wins, so each side has it once.
        for alive in ["aaa", "zzz"] {
            let net = Net::new().await;
            let mut erl = net.erl(release, alive).await;
            erl.eval("net_kernel:monitor_nodes(true)").await;
            let node = net.node("purlin").await;
            let mut nodes = watch_nodes(&node);
            for round in 0..20 {
                let ping = node.ping(name(alive), PATIENCE);
                let (ours, theirs) = tokio::join!(ping, erl.eval(PONG));
                ours.unwrap_or_else(|error| panic!("round {round}: {error}; {}", erl.log()));
                assert_eq!(theirs, "pong", "round {round}; {}", erl.log());
                node_comes(&mut nodes).await;
                assert_eq!(node.nodes(), [name(alive)]);
                erl.check("nodes()", "['purlin@127.0.0.1']").await;
                erl.check("erlang:disconnect_node('purlin@127.0.0.1')", "true")
                    .await;
                node_goes(&mut nodes).await;
                let once = "receive {nodeup, _} -> receive {nodedown, _} -> receive {nodeup, _} -> again; {nodedown, _} -> again after 0 -> once end after 60000 -> nodown end after 60000 -> noup end";
                erl.check(once, "once").await;
            }
            erl.assert_nothing_logged();
            node.stop(PATIENCE).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erl_without_a_name_is_given_one() {
    for release in RELEASES {
        let net = Net::new().await;
        let node = net.node("purlin").await;
        let mut nodes = watch_nodes(&node);
        node.export("demo", "add", |a: i64, b: i64| async move { a + b });
        let code = format!(
            "io:format(\"~p ~p ~p ~p~n\", [net_kernel:connect_node('purlin@127.0.0.1'), {PONG}, \
             erpc:call('purlin@127.0.0.1', demo, add, [2, 3]), node() =/= nonode@nohost]), halt()."
        );
        let output = plain_erl(&net, release, &["-name", "undefined@127.0.0.1"], &code).await;
        assert_eq!(output, "true pong 5 true\n");
        let Delivery::Node(NodeEvent::Up {
            node: given,
            visible,
            ..
        }) = next_node_event(&mut nodes).await
        else {
            panic!("a node came")
        };
        assert!(!visible && given.as_str().contains('@'), "{given}");
        node_goes(&mut nodes).await;
        node.stop(PATIENCE).await;
    }
}

/// The port mapper of OTP serves a Purlin node, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn the_epmd_of_otp_lists_a_purlin_node() {
    for release in RELEASES {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let program = epmd(release);
        let mut mapper = Command::new(&program)
            .args(["-port", &port.to_string(), "-address", "127.0.0.1"])
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let start = async {
            loop {
                match tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
                    Ok(_) => return,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        timeout(PATIENCE, start).await.expect("epmd starts");
        let builder = Node::builder("listed@127.0.0.1")
            .cookie("c")
            .epmd_port(port);
        let node = builder.clone().start().await.unwrap();
        let names = Command::new(&program)
            .args(["-port", &port.to_string(), "-names"])
            .output()
            .await
            .unwrap();
        let names = String::from_utf8(names.stdout).unwrap();
        let line = format!("name listed at port {}", node.address().unwrap().port());
        assert!(names.contains(&line), "{names}");
        let error = builder.start().await.unwrap_err();
        assert!(matches!(error, StartError::NameTaken { .. }), "{error}");
        node.stop(PATIENCE).await;
        mapper.kill().await.unwrap();
    }
}

/// The `epmd` beside this `erl`, or the one of the system.
fn epmd(release: Release) -> std::path::PathBuf {
    let erl = std::fs::canonicalize(release.erl()).unwrap();
    let beside = erl.with_file_name("epmd");
    if beside.exists() {
        beside
    } else {
        "epmd".into()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn erl_reads_the_names_of_our_mapper() {
    for release in RELEASES {
        let net = Net::new().await;
        let node = net.node("purlin").await;
        let mut erl = net.erl(release, "erl").await;
        let erl_names =
            "begin {ok, L} = erl_epmd:names({127,0,0,1}), lists:sort([N || {N, _} <- L]) end";
        erl.check(erl_names, "[\"erl\",\"purlin\"]").await;
        let port = node.address().unwrap().port();
        let found = format!("{{port,{port},6}}");
        erl.check("erl_epmd:port_please(\"purlin\", {127,0,0,1})", &found)
            .await;
        erl.check("erl_epmd:port_please(\"nobody\", {127,0,0,1})", "noport")
            .await;
        node.stop(PATIENCE).await;
        erl.check("erl_epmd:port_please(\"purlin\", {127,0,0,1})", "noport")
            .await;
        erl.assert_nothing_logged();
    }
}

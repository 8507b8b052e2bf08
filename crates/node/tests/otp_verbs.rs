//! What a Rust process asks of OTP nodes, both releases: processes, calls, casts, signals.

mod support;

use purlin_node::{
    Delivery, Flags, Mailbox, MonitorOptions, Node, NodeName, Pid, Reference, RequestOptions,
    SpawnOnError, Term, atom,
};
use support::{Net, PATIENCE, RELEASES, name};
use tokio::time::timeout;

fn linked_and_monitored() -> RequestOptions {
    RequestOptions {
        link: true,
        monitor: Some(MonitorOptions::default()),
        ..RequestOptions::default()
    }
}

async fn next(mailbox: &mut Mailbox) -> Delivery {
    let next = timeout(PATIENCE, mailbox.receive()).await;
    next.expect("something arrives")
}

async fn down(mailbox: &mut Mailbox) -> (Reference, Term) {
    match next(mailbox).await {
        Delivery::Down {
            reference, reason, ..
        } => (reference, reason),
        other => panic!("a DOWN, not {other:?}"),
    }
}

async fn exit(mailbox: &mut Mailbox) -> (Pid, Term) {
    match next(mailbox).await {
        Delivery::Exit { from, reason } => (from, reason),
        other => panic!("an EXIT, not {other:?}"),
    }
}

fn trapping(node: &Node) -> Mailbox {
    let mailbox = node.attach().unwrap();
    mailbox.trap_exit(true);
    mailbox
}

/// The end of a process's life are told with this reason: a link and a monitor, in OTP's order.
async fn ends_with(mailbox: &mut Mailbox, (pid, monitor): (Pid, Reference), expected: &str) {
    let (from, reason) = exit(mailbox).await;
    assert_eq!((from, reason.to_string().as_str()), (pid, expected));
    let (fired, reason) = down(mailbox).await;
    assert_eq!((fired, reason.to_string().as_str()), (monitor, expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_spawned_on_an_erl_is_tied_and_ends_as_there() {
    for release in RELEASES {
        let net = Net::new().await;
        let node = net.node("purlin").await;
        let mut erl = net.erl(release, "erl").await;
        let peer = name("erl");
        // Without ties: only the pid comes back, and the process runs there.
        erl.eval("register(shell, self())").await;
        let message = atom!("hello");
        let to = Term::tuple([atom!("shell").into(), peer.into()]);
        let pid = node.spawn_on(peer, "erlang", "send", (to, message)).await;
        assert_eq!(pid.unwrap().node, peer);
        erl.check("receive hello -> ok after 60000 -> timeout end", "ok")
            .await;

        let mut mailbox = trapping(&node);
        let both = linked_and_monitored;
        let normal = mailbox.spawn_on(peer, "erlang", "date", (), both()).await;
        ends_with(&mut mailbox, normal.unwrap(), "normal").await;
        let reason = Term::tuple([atom!("gone").into(), 2.into()]);
        let gone = mailbox.spawn_on(peer, "erlang", "exit", (&reason,), both());
        let gone = gone.await.unwrap();
        ends_with(&mut mailbox, gone, "{gone,2}").await;
        let undef = mailbox.spawn_on(peer, "nowhere", "nothing", (1,), both());
        let undef = undef.await.unwrap();
        ends_with(&mut mailbox, undef, "{undef,[{nowhere,nothing,[1],[]}]}").await;
        let badarg = mailbox.spawn_on(peer, "erlang", "atom_to_list", (7,), both());
        let badarg = badarg.await.unwrap();
        let (from, reason) = exit(&mut mailbox).await;
        let shown = reason.to_string();
        assert!(
            shown.starts_with("{badarg,[{erlang,atom_to_list,[7]"),
            "{shown}"
        );
        assert_eq!(
            (from, down(&mut mailbox).await),
            (badarg.0, (badarg.1, reason))
        );

        the_child_has_the_group_leader_and_dies_with_its_parent(&node, peer).await;
        erl.assert_nothing_logged_but("Error in process");
        node.stop(PATIENCE).await;
    }
}

async fn the_child_has_the_group_leader_and_dies_with_its_parent(node: &Node, peer: NodeName) {
    let (tell, told) = tokio::sync::oneshot::channel();
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let parent = node.spawn(move |mut mailbox: Mailbox| async move {
        let args = (atom!("infinity"),);
        let options = linked_and_monitored();
        let child = mailbox.spawn_on(peer, "timer", "sleep", args, options);
        let _ = tell.send(child.await.unwrap().0);
        let _ = gone.await;
        Term::from(atom!("bye"))
    });
    let (parent, child) = (parent.unwrap(), told.await.unwrap());
    let args = (child, atom!("group_leader"));
    let leader = node.erpc_call(peer, "erlang", "process_info", args, PATIENCE);
    let expected = Term::tuple([atom!("group_leader").into(), parent.into()]);
    assert_eq!(leader.await.unwrap(), expected);
    let mut watcher = node.attach().unwrap();
    let monitor = watcher.monitor(child);
    go.send(()).unwrap();
    assert_eq!(down(&mut watcher).await, (monitor, atom!("bye").into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_an_erl_cannot_carry_out_is_refused_with_its_word() {
    for release in RELEASES {
        let net = Net::new().await;
        let node = net.node("purlin").await;
        let erl = net
            .erl_with(release, "erl", &net.cookie, &["+P", "1024"])
            .await;
        let nobody = node.spawn_on(name("nobody"), "erlang", "date", ()).await;
        assert!(matches!(nobody, Err(SpawnOnError::NotConnected(_))));
        let mut refused = None;
        for _ in 0..2000 {
            let started = node
                .spawn_on(name("erl"), "timer", "sleep", (60_000,))
                .await;
            if let Err(error) = started {
                refused = Some(error);
                break;
            }
        }
        let refused = refused.expect("it has no room for so many").to_string();
        assert!(refused.contains("system_limit"), "{refused}");
        drop(erl);
        node.stop(PATIENCE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_starts_no_processes_is_answered_for_with_notsup() {
    let net = Net::new().await;
    let flags = Flags::CACHE_AND_FRAGMENTS.without(Flags::SPAWN);
    let node = net.builder("purlin").flags(flags).start().await.unwrap();
    let _erl = net.erl(RELEASES[1], "erl").await;
    let mut mailbox = node.attach().unwrap();
    let asked = mailbox.spawn_request(name("erl"), "erlang", "date", (), linked_and_monitored());
    let asked = asked.await.unwrap();
    match next(&mut mailbox).await {
        Delivery::SpawnFailed { reference, reason } => {
            assert_eq!((reference, reason), (asked, atom!("notsup")));
        }
        other => panic!("{other:?}"),
    }
    node.stop(PATIENCE).await;
}

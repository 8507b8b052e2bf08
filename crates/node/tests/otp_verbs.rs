//! What a Rust process asks of OTP nodes, both releases: processes, calls, casts, signals.

mod support;

use purlin_node::{
    Delivery, Flags, Mailbox, MonitorOptions, Node, NodeName, Pid, Reference, RequestOptions,
    SpawnOnError, Term, atom,
};
use support::mailbox::{message, next, trapping};
use support::{Erl, Net, PATIENCE, RELEASES, name};

fn linked_and_monitored() -> RequestOptions {
    RequestOptions {
        link: true,
        monitor: Some(MonitorOptions::default()),
        ..RequestOptions::default()
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn signals_dial_an_erl_and_ties_with_it_hold() {
    for release in RELEASES {
        let net = Net::new().await;
        let node = net.node("purlin").await;
        let mut erl = net.erl(release, "erl").await;
        let shell = (atom!("shell"), name("erl"));
        erl.eval("register(shell, self()), process_flag(trap_exit, true)")
            .await;
        let mut mailbox = trapping(&node);
        // By name first: the pid is not known yet, and nothing is connected.
        let monitor = mailbox.monitor((atom!("nobody"), name("erl")));
        assert_eq!(down(&mut mailbox).await, (monitor, atom!("noproc").into()));
        erl.check("nodes()", "['purlin@127.0.0.1']").await;
        let me = Term::from(mailbox.pid());
        mailbox.send(shell.clone(), &me).await.unwrap();
        erl.eval("P = receive X when is_pid(X) -> X after 60000 -> timeout end")
            .await;
        erl.eval("L = spawn(fun() -> receive {stop, R} -> exit(R) end end), P ! L")
            .await;
        let there = message(&mut mailbox).await.as_pid().unwrap();
        // Unlinked and demonitored: nothing of it comes. Linked and monitored anew: both do.
        mailbox.link(there);
        let taken_back = mailbox.monitor(there);
        mailbox.unlink(there);
        assert!(mailbox.demonitor(taken_back));
        mailbox.link(there);
        let monitor = mailbox.monitor(there);
        mailbox.set_group_leader(there, mailbox.pid());
        // The answer shows that what was sent before is there.
        let echo = mailbox.monitor((atom!("nobody"), name("erl")));
        assert_eq!(down(&mut mailbox).await, (echo, atom!("noproc").into()));
        erl.check("process_info(L, links) =:= {links, [P]}", "true")
            .await;
        erl.check(
            "process_info(L, group_leader) =:= {group_leader, P}",
            "true",
        )
        .await;
        let stop = Term::tuple([atom!("stop").into(), "{why,1}".parse().unwrap()]);
        mailbox.send(there, &stop).await.unwrap();
        ends_with(&mut mailbox, (there, monitor), "{why,1}").await;
        exits_to_names_and_aliases(&mut mailbox, &mut erl, release == RELEASES[1]).await;
        erl.assert_nothing_logged();
        node.stop(PATIENCE).await;
    }
}

/// A node of before OTP 28 knows no exit signals to aliases, so they do not reach it.
async fn exits_to_names_and_aliases(mailbox: &mut Mailbox, erl: &mut Erl, knows_aliases: bool) {
    erl.eval("A = alias(), P ! A").await;
    let alias = message(mailbox).await;
    mailbox.exit(*alias.as_reference().unwrap(), atom!("by_alias"));
    mailbox.exit((atom!("shell"), name("erl")), atom!("by_name"));
    let to = (atom!("shell"), name("erl"));
    mailbox.send(to, &atom!("done").into()).await.unwrap();
    let seen = "F = fun(F, S) -> receive {'EXIT', P, R} -> F(F, [R | S]); done -> S \
                after 60000 -> timeout end end, F(F, [])";
    let expected = match knows_aliases {
        true => "[by_name,by_alias]",
        false => "[]",
    };
    erl.check(seen, expected).await;
}

/// Starts a `gen_server` under this name, whose state is what was cast to it.
const SERVER: &str = "\
    Serve = fun(F, S) -> receive \
        {'$gen_call', From, get} -> gen_server:reply(From, S), F(F, S); \
        {'$gen_call', _, hang} -> F(F, S); \
        {'$gen_call', _, stop} -> exit(stopped); \
        {'$gen_cast', M} -> F(F, [M | S]) end end, \
    register(server, spawn(fun() -> Serve(Serve, []) end))";

#[tokio::test(flavor = "multi_thread")]
async fn erls_are_called_and_cast_to_one_by_one_and_many_at_once() {
    let net = Net::new().await;
    let node = net.node("purlin").await;
    let mut erls = Vec::new();
    for (release, alive) in RELEASES.into_iter().zip(["older", "newer"]) {
        let mut erl = net.erl(release, alive).await;
        erl.check(SERVER, "true").await;
        erls.push(erl);
    }
    let names = ["older", "newer"].map(name);
    let server = atom!("server");
    let sent = node.abcast(&names, &server, &(atom!("put"), 1)).await;
    assert!(sent.iter().all(|(_, sent)| sent.is_ok()), "{sent:?}");
    for peer in names {
        node.cast((server.clone(), peer), "two").await.unwrap();
    }
    let answers = node
        .multi_call(&names, &server, &atom!("get"), PATIENCE)
        .await;
    for (peer, answer) in &answers {
        let shown = answer.as_ref().unwrap().to_string();
        assert_eq!(shown, r#"[<<"two">>,{put,1}]"#, "{peer}");
    }
    // A real gen_server, and one that ends before it answers.
    for peer in names {
        let kernel = (atom!("kernel_sup"), peer);
        let children = node
            .call_term_timeout(kernel, &atom!("which_children"), PATIENCE)
            .await;
        assert!(children.unwrap().as_list().is_some());
        let ended = node
            .call_term_timeout((server.clone(), peer), &atom!("stop"), PATIENCE)
            .await;
        assert_eq!(
            ended.unwrap_err().to_string(),
            "the process ended before it answered: stopped"
        );
    }
    let sums = node.erpc_multicall(&names, "lists", "sum", (vec![1, 2, 300],), PATIENCE);
    for (_, sum) in sums.await {
        assert_eq!(sum.unwrap(), Term::from(303));
    }
    let thrown = node
        .erpc_call(names[0], "erlang", "throw", (1,), PATIENCE)
        .await;
    assert_eq!(
        thrown.unwrap_err().to_string(),
        "the function raised throw: 1"
    );
    // A cast runs, and answers nobody.
    let mut mailbox = node.attach().unwrap();
    let args = (mailbox.pid(), atom!("cast"));
    let cast = node.erpc_multicast(&names, "erlang", "send", args).await;
    assert!(cast.iter().all(|(_, sent)| sent.is_ok()), "{cast:?}");
    for _ in names {
        assert_eq!(message(&mut mailbox).await, atom!("cast").into());
    }
    erls.iter().for_each(Erl::assert_nothing_logged);
    node.stop(PATIENCE).await;
}

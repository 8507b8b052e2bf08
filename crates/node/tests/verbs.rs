//! Signals, replies and casts from one Purlin node to another: also to one that is not connected, or that
//! does not know them.
//!
//! Tests of ties that wait for a connection have one thread, so that nothing is dialled before they await.

mod support;

use std::time::Duration;

use purlin_node::{
    Caller, Delivery, Destination, Envelope, Flags, Mailbox, MonitorOptions, Node, Pid, Raise,
    Reference, RemoteError, RequestOptions, Term, atom,
};
use support::mailbox::{message, next, trapping};
use support::{Net, PATIENCE, name};
use tokio::time::timeout;

async fn exit(mailbox: &mut Mailbox) -> (Pid, String) {
    match next(mailbox).await {
        Delivery::Exit { from, reason } => (from, reason.to_string()),
        other => panic!("an EXIT, not {other:?}"),
    }
}

async fn down(mailbox: &mut Mailbox) -> (Reference, String) {
    match next(mailbox).await {
        Delivery::Down {
            reference, reason, ..
        } => (reference, reason.to_string()),
        other => panic!("a DOWN, not {other:?}"),
    }
}

/// A process that ends with the first message it gets.
fn mortal(node: &Node) -> Pid {
    let started = node.spawn(|mut mailbox: Mailbox| async move { message(&mut mailbox).await });
    started.unwrap()
}

fn atom_term(text: &str) -> Term {
    text.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_connect_and_arrive_in_order_before_the_messages_that_follow() {
    let net = Net::new().await;
    let (here, there) = (net.node("here").await, net.node("there").await);
    let me = trapping(&here);
    let mut other = trapping(&there);
    let mine = me.pid();
    // None of these waits, though there is no connection yet.
    me.exit(other.pid(), atom!("first"));
    me.link(other.pid());
    let taken_back = me.monitor(other.pid());
    me.unlink(other.pid());
    assert!(me.demonitor(taken_back));
    me.exit(other.pid(), atom!("second"));
    me.send(other.pid(), &atom_term("third")).await.unwrap();
    assert_eq!(exit(&mut other).await, (mine, "first".into()));
    assert_eq!(exit(&mut other).await, (mine, "second".into()));
    assert_eq!(message(&mut other).await, atom_term("third"));
    // What was taken back is nothing: the end of either is not heard of by the other.
    drop(me);
    let told = other.monitor(mine);
    assert_eq!(down(&mut other).await, (told, "noproc".into()));
    here.stop(PATIENCE).await;
    there.stop(PATIENCE).await;
}

#[tokio::test]
async fn ties_made_before_there_is_a_connection_hold() {
    let net = Net::new().await;
    let (here, there) = (net.node("here").await, net.node("there").await);
    let mut me = trapping(&here);
    let pid = mortal(&there);
    there.register(atom!("mortal"), pid).unwrap();
    me.link(pid);
    let by_pid = me.monitor(pid);
    let by_name = me.monitor((atom!("mortal"), name("there")));
    me.send(pid, &atom_term("bye")).await.unwrap();
    assert_eq!(exit(&mut me).await, (pid, "bye".into()));
    let mut fired = [down(&mut me).await, down(&mut me).await];
    fired.sort();
    let mut expected = [(by_pid, "bye".into()), (by_name, "bye".into())];
    expected.sort();
    assert_eq!(fired, expected);
    // And with the connection, when that goes.
    let lasting = mortal(&there);
    me.link(lasting);
    let monitor = me.monitor(lasting);
    let echo = me.monitor((atom!("nobody"), name("there")));
    assert_eq!(down(&mut me).await, (echo, "noproc".into()));
    there.stop(PATIENCE).await;
    assert_eq!(exit(&mut me).await, (lasting, "noconnection".into()));
    assert_eq!(down(&mut me).await, (monitor, "noconnection".into()));
    here.stop(PATIENCE).await;
}

#[tokio::test]
async fn who_cannot_be_reached_is_noconnection_and_nothing_of_what_was_taken_back_is_heard() {
    let net = Net::new().await;
    let (here, there) = (net.node("here").await, net.node("there").await);
    let gone = mortal(&there);
    there.stop(PATIENCE).await;
    let mut me = trapping(&here);
    me.link(gone);
    me.unlink(gone);
    let taken_back = me.monitor(gone);
    assert!(me.demonitor(taken_back));
    me.exit(gone, atom!("nobody hears it"));
    me.set_group_leader(gone, me.pid());
    me.link(gone);
    let monitor = me.monitor(gone);
    assert_eq!(exit(&mut me).await, (gone, "noconnection".into()));
    assert_eq!(down(&mut me).await, (monitor, "noconnection".into()));
    // The services of a node dial nobody that others name.
    me.exit_connected(gone, atom!("nobody hears it"));
    let watched = me.monitor_connected(gone);
    assert_eq!(down(&mut me).await, (watched, "noconnection".into()));
    assert!(timeout(Duration::ZERO, me.receive()).await.is_err());
    here.stop(PATIENCE).await;
}

#[tokio::test]
async fn a_process_that_ends_while_its_link_waits_is_told_of_over_there() {
    let net = Net::new().await;
    let (here, there) = (net.node("here").await, net.node("there").await);
    let mut other = trapping(&there);
    let pid = other.pid();
    let linking = here.spawn(move |mailbox: Mailbox| async move {
        mailbox.link(pid);
        atom_term("ended_at_once")
    });
    let linking = linking.unwrap();
    assert!(here.nodes().is_empty());
    assert_eq!(exit(&mut other).await, (linking, "ended_at_once".into()));
    here.stop(PATIENCE).await;
    there.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exits_go_to_names_and_aliases_and_group_leaders_are_set_over_there() {
    let net = Net::new().await;
    let (here, there) = (net.node("here").await, net.node("there").await);
    let me = here.attach().unwrap();
    let mut other = trapping(&there);
    there.register(atom!("other"), other.pid()).unwrap();
    let alias = other.alias(purlin_runtime::AliasMode::ExplicitUnalias);
    me.exit((atom!("other"), name("there")), atom!("by_name"));
    me.exit(alias, atom!("by_alias"));
    assert_eq!(exit(&mut other).await, (me.pid(), "by_name".into()));
    assert_eq!(exit(&mut other).await, (me.pid(), "by_alias".into()));
    other.unalias(alias);
    me.exit(alias, atom!("not_any_more"));
    me.exit((atom!("nobody"), name("there")), atom!("nobody"));
    me.set_group_leader(other.pid(), me.pid());
    me.send(other.pid(), &atom_term("done")).await.unwrap();
    assert_eq!(message(&mut other).await, atom_term("done"));
    assert_eq!(other.group_leader(), me.pid());
    // The same on one node.
    other.exit(
        other.alias(purlin_runtime::AliasMode::ExplicitUnalias),
        atom!("own"),
    );
    assert_eq!(exit(&mut other).await, (other.pid(), "own".into()));
    here.stop(PATIENCE).await;
    there.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_peer_does_not_know_is_answered_in_its_place() {
    let net = Net::new().await;
    let unknown = [
        Flags::DIST_MONITOR,
        Flags::DIST_MONITOR_NAME,
        Flags::UNLINK_ID,
        Flags::ALIAS,
        Flags::ALTACT_SIG,
    ];
    let flags = Flags::CACHE_AND_FRAGMENTS;
    let flags = unknown
        .iter()
        .fold(flags, |flags, flag| flags.without(*flag));
    let here = net.builder("here").flags(flags).start().await.unwrap();
    let there = net.node("there").await;
    let mut me = trapping(&here);
    let mut other = trapping(&there);
    let monitor = me.monitor(other.pid());
    assert_eq!(down(&mut me).await, (monitor, "noconnection".into()));
    let monitor = me.monitor((atom!("nobody"), name("there")));
    assert_eq!(down(&mut me).await, (monitor, "noconnection".into()));
    me.exit((atom!("nobody"), name("there")), atom!("dropped"));
    // An unlink that is never acknowledged would keep every later link from acting.
    me.link(other.pid());
    me.unlink(other.pid());
    me.link(other.pid());
    // A reply by an alias goes to the process.
    let alias = other.alias(purlin_runtime::AliasMode::ExplicitUnalias);
    let caller = Caller {
        pid: other.pid(),
        tag: Term::list_with_tail([atom!("alias").into()], alias.into()),
    };
    me.reply(&caller, &7.into()).await.unwrap();
    let expected = Term::tuple([caller.tag.clone(), 7.into()]);
    assert_eq!(message(&mut other).await, expected);
    let pid = other.pid();
    there.exit(pid, atom!("kill"));
    drop(other);
    assert_eq!(exit(&mut me).await.0, pid);
    here.stop(PATIENCE).await;
    there.stop(PATIENCE).await;
}

/// A `gen_server` that answers each call with `{Own node, Request}` and passes casts on.
fn server(node: &Node, casts: Destination) {
    let serve = move |mut mailbox: Mailbox| async move {
        loop {
            let Delivery::Message(message) = mailbox.receive().await else {
                continue;
            };
            let here = Term::from(mailbox.node().name());
            match Envelope::decode(&message) {
                Some(Envelope::Call(caller, request)) if !request.is_atom("hang") => {
                    let reply = Term::tuple([here, request]);
                    mailbox.reply(&caller, &reply).await.unwrap();
                }
                Some(Envelope::Cast(request)) => {
                    let passed = Term::tuple([here, request]);
                    mailbox.send(casts.clone(), &passed).await.unwrap();
                }
                _ => {}
            }
        }
    };
    let pid = node.spawn(serve).unwrap();
    node.register(atom!("server"), pid).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_to_many_nodes_are_answered_by_each_for_itself() {
    let net = Net::new().await;
    let here = net.node("here").await;
    let mut sink = here.attach().unwrap();
    let mut nodes = vec![here.clone()];
    for alive in ["one", "two"] {
        nodes.push(net.node(alive).await);
    }
    nodes[..2]
        .iter()
        .for_each(|node| server(node, sink.pid().into()));
    let names = ["here", "one", "two", "three"].map(name);
    let (server_name, hang) = (atom!("server"), atom!("hang"));
    let request = (atom!("get"), 1);
    let answers = here.multi_call(&names, &server_name, &request, PATIENCE);
    let answers = answers.await;
    let asked: Vec<_> = answers.iter().map(|(node, _)| *node).collect();
    assert_eq!(asked, names);
    for (node, answer) in &answers[..2] {
        let request = atom_term("{get,1}");
        let expected = Term::tuple([Term::from(*node), request]);
        assert_eq!(*answer.as_ref().unwrap(), expected);
    }
    assert!(matches!(answers[2].1, Err(RemoteError::NoProcess)));
    assert!(matches!(answers[3].1, Err(RemoteError::NotConnected(_))));
    let patience = Duration::from_millis(50);
    let late = here.multi_call(&names[..2], &server_name, &hang, patience);
    for (_, answer) in late.await {
        assert!(matches!(answer, Err(RemoteError::TimedOut(_))));
    }

    let sent = here.abcast(&names, &atom!("server"), &atom!("hello")).await;
    // Nobody hears of the node that is not there.
    assert!(sent.iter().all(|(_, sent)| sent.is_ok()), "{sent:?}");
    let mut heard = [message(&mut sink).await, message(&mut sink).await];
    heard.sort();
    let hello = |node| Term::tuple([Term::from(node), atom!("hello").into()]);
    assert_eq!(heard, [hello(names[0]), hello(names[1])]);
    let by_process = nodes[2].attach().unwrap();
    let to = (atom!("server"), names[1]);
    by_process.cast(to, &atom!("hello")).await.unwrap();
    assert_eq!(message(&mut sink).await, hello(names[1]));

    let results = here.erpc_multicall(&names, "erlang", "node", (), PATIENCE);
    let results = results.await;
    for (node, result) in &results[..3] {
        assert_eq!(*result.as_ref().unwrap(), Term::from(*node));
    }
    assert!(matches!(results[3].1, Err(RemoteError::NotConnected(_))));
    for node in nodes {
        node.stop(PATIENCE).await;
    }
}

#[tokio::test]
async fn a_value_that_nobody_sees_needs_no_form_of_a_term_and_what_is_raised_is_seen() {
    let net = Net::new().await;
    let (here, there) = (net.node("here").await, net.node("there").await);
    there.export("odd", "value", || async { f64::NAN });
    there.export("odd", "raise", || async {
        Err::<f64, _>(Raise::Exit(atom_term("because")))
    });
    let mut me = here.attach().unwrap();
    for (function, reason) in [("value", "normal"), ("raise", "because")] {
        let monitored = RequestOptions {
            monitor: Some(MonitorOptions::default()),
            ..RequestOptions::default()
        };
        let started = me.spawn_on(name("there"), "odd", function, (), monitored);
        let (_, monitor) = started.await.unwrap();
        assert_eq!(down(&mut me).await, (monitor, reason.into()));
    }
    let called = here.erpc_call(name("there"), "odd", "value", (), PATIENCE);
    let error = called.await.unwrap_err();
    assert!(format!("{error:?}").contains("unencodable"), "{error:?}");
    here.stop(PATIENCE).await;
    there.stop(PATIENCE).await;
}

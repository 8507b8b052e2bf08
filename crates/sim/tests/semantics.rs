//! What holds between two processes, whoever they are: on one node, on two nodes over the simulated
//! network, on two nodes over TCP. The behaviours are written once and run in all three places, so that
//! none of them depends on where a process lives.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use purlin_node::{Node, TokioHost, epmd};
use purlin_runtime::{
    AliasMode, Info, MonitorOptions, Process, Raw, Reason, Received, RequestOptions, Target,
};
use purlin_sim::{Config, Sim, World};
use purlin_term::{Pid, Term, atom};

/// Long enough for 64 MiB over a slow simulated link.
const PATIENCE: Duration = Duration::from_secs(600);

/// Two places for processes. On one node they are the same.
#[derive(Clone)]
struct Places {
    here: Node,
    there: Node,
}

impl Places {
    fn are_apart(&self) -> bool {
        self.here.name() != self.there.name()
    }
}

/// Runs `body` as a process of `node`, and answers what it returns.
async fn process<B, F, R>(node: &Node, body: B) -> R
where
    B: FnOnce(Process<Term>) -> F + Send + 'static,
    F: Future<Output = R> + Send + 'static,
    R: Send + 'static,
{
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let started = node.runtime().spawn(|me| async move {
        let _ = sender.send(body(me).await);
    });
    started.expect("there is room for a process");
    let answer = tokio::time::timeout(PATIENCE, receiver).await;
    answer
        .expect("the behaviour comes to its end")
        .expect("the process was not ended")
}

async fn down(me: &mut Process<Term>) -> (Target, Reason) {
    loop {
        if let Some((_, target, reason)) = me.receive().await.down() {
            return (target, reason);
        }
    }
}

fn bytes(term: &Term) -> usize {
    term.as_binary().map_or(0, <[u8]>::len)
}

/// A process on `node` that ends with the reason it is sent.
fn mortal(node: &Node) -> Pid {
    let started = node
        .runtime()
        .spawn(|mut me: Process<Term>| async move { me.receive_message().await });
    started.expect("there is room for a process").pid()
}

/// One sender: 64 MiB to the pid, one byte to the name, one to the alias, then its end.
async fn order_holds_through_pid_name_and_alias_and_to_the_end(places: Places) {
    let there = places.there.clone();
    process(&places.here, move |mut me: Process<Term>| async move {
        let (pid, name) = (me.pid(), atom!("receiver"));
        me.runtime().register(name.clone(), pid).unwrap();
        let alias = me.alias(AliasMode::ExplicitUnalias);
        let sender = there.runtime().spawn(move |me: Process<Term>| async move {
            let go = |size: usize| Term::Binary(vec![7; size][..].into());
            me.send(pid, go(64 << 20)).await.unwrap();
            me.send((name, pid.node), go(1)).await.unwrap();
            me.send(alias, go(2)).await.unwrap();
            Term::from(atom!("sent"))
        });
        me.monitor(sender.unwrap().pid());
        let mut sizes = Vec::new();
        loop {
            match me.receive().await {
                Received::Message(message) => sizes.push(bytes(&message)),
                Received::Info(Info::Down { reason, .. }) => {
                    assert!(
                        reason.is_atom("sent") || reason.is_atom("noproc"),
                        "{reason}"
                    );
                    if reason.is_atom("sent") {
                        break;
                    }
                    // The monitor came after the end, so it says nothing about order.
                    while sizes.len() < 3 {
                        sizes.push(bytes(&me.receive_message().await));
                    }
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(sizes, [64 << 20, 1, 2]);
    })
    .await;
}

async fn the_dead_are_answered_for_with_noproc(places: Places) {
    let there = places.there.clone();
    process(&places.here, move |mut me: Process<Term>| async move {
        let dead = mortal(&there);
        me.send(dead, atom!("normal")).await.unwrap();
        me.monitor(dead);
        let (_, reason) = down(&mut me).await;
        assert!(reason.is_atom("normal") || reason.is_atom("noproc"));
        me.monitor(dead);
        let (target, reason) = down(&mut me).await;
        assert_eq!((target, reason.is_atom("noproc")), (dead.into(), true));
        let name = Target::Name(atom!("nobody"), there.name());
        me.monitor(name.clone());
        let (target, reason) = down(&mut me).await;
        assert_eq!((target, reason.is_atom("noproc")), (name, true));
        me.trap_exit(true);
        me.link(dead);
        match me.receive().await {
            Received::Info(Info::Exit { from, reason }) => {
                assert_eq!((from, reason.is_atom("noproc")), (dead, true));
            }
            other => panic!("{other:?}"),
        }
        // What is sent to the dead is dropped without a word.
        me.send(dead, atom!("hello")).await.unwrap();
        me.send((atom!("nobody"), there.name()), atom!("hello"))
            .await
            .unwrap();
    })
    .await;
}

async fn every_reason_reaches_links_and_monitors(places: Places) {
    let there = places.there.clone();
    process(&places.here, move |mut me: Process<Term>| async move {
        me.trap_exit(true);
        let custom = Term::tuple([atom!("custom").into(), Term::string("why"), 1.into()]);
        for reason in [atom!("normal").into(), atom!("shutdown").into(), custom] {
            let (by_link, by_monitor) = ended_by(&mut me, &there, |me, pid| {
                let (me, reason) = (me, reason.clone());
                me.try_send(pid, reason).unwrap();
            })
            .await;
            assert_eq!((&by_link, &by_monitor), (&reason, &reason));
        }
        let killed = ended_by(&mut me, &there, |me, pid| me.exit(pid, atom!("kill"))).await;
        assert_eq!(killed, (atom!("killed").into(), atom!("killed").into()));
        let stopped = ended_by(&mut me, &there, |me, pid| me.exit(pid, atom!("stop"))).await;
        assert_eq!(stopped, (atom!("stop").into(), atom!("stop").into()));
    })
    .await;
}

/// What a link and a monitor of a fresh process tell of its end.
async fn ended_by(
    me: &mut Process<Term>,
    there: &Node,
    end: impl FnOnce(&Process<Term>, Pid),
) -> (Term, Term) {
    let pid = mortal(there);
    me.link(pid);
    let monitor = me.monitor(pid);
    end(me, pid);
    let (mut by_link, mut by_monitor) = (None, None);
    while by_link.is_none() || by_monitor.is_none() {
        match me.receive().await {
            Received::Info(Info::Exit { from, reason }) if from == pid => {
                assert!(
                    by_link.replace(Term::clone(&reason)).is_none(),
                    "a second EXIT"
                );
            }
            Received::Info(Info::Down {
                reference, reason, ..
            }) if reference == monitor => {
                assert!(
                    by_monitor.replace(Term::clone(&reason)).is_none(),
                    "a second DOWN"
                );
            }
            other => panic!("{other:?}"),
        }
    }
    (by_link.unwrap(), by_monitor.unwrap())
}

async fn exits_are_signals_to_who_traps_and_the_end_of_who_does_not(places: Places) {
    let there = places.there.clone();
    process(&places.here, move |mut me: Process<Term>| async move {
        let to = me.pid();
        let trapping = there
            .runtime()
            .spawn(move |mut me: Process<Term>| async move {
                me.trap_exit(true);
                me.send(to, atom!("ready")).await.unwrap();
                for _ in 0..2 {
                    if let Received::Info(Info::Exit { reason, .. }) = me.receive().await {
                        me.send(to, Term::clone(&reason)).await.unwrap();
                    }
                }
            });
        let trapping = trapping.unwrap().pid();
        assert!(me.receive_message().await.is_atom("ready"));
        me.exit(trapping, atom!("one"));
        me.exit(trapping, atom!("normal"));
        assert!(me.receive_message().await.is_atom("one"));
        assert!(me.receive_message().await.is_atom("normal"));

        let plain = mortal(&there);
        me.monitor(plain);
        // It does not end one that does not trap.
        me.exit(plain, atom!("normal"));
        me.send(plain, atom!("late")).await.unwrap();
        assert!(down(&mut me).await.1.is_atom("late"));
    })
    .await;
}

async fn what_was_unlinked_or_demonitored_is_not_heard_of(places: Places) {
    let there = places.there.clone();
    process(&places.here, move |mut me: Process<Term>| async move {
        me.trap_exit(true);
        let pid = mortal(&there);
        me.link(pid);
        let first = me.monitor(pid);
        me.unlink(pid);
        assert!(me.demonitor(first));
        let last = me.monitor(pid);
        me.send(pid, atom!("bye")).await.unwrap();
        match me.receive().await {
            Received::Info(Info::Down {
                reference, reason, ..
            }) => {
                assert_eq!((reference, reason.is_atom("bye")), (last, true));
            }
            other => panic!("{other:?}"),
        }
        assert!(me.try_receive().is_none());
    })
    .await;
}

async fn an_alias_lets_a_reply_in_once(places: Places) {
    let there = places.there.clone();
    process(&places.here, move |mut me: Process<Term>| async move {
        let to = me.pid();
        let server = there
            .runtime()
            .spawn(move |mut me: Process<Term>| async move {
                me.send(to, atom!("ready")).await.unwrap();
                let asked = me.receive_message().await;
                let alias = *asked.as_reference().unwrap();
                me.send(alias, atom!("first")).await.unwrap();
                me.send(alias, atom!("second")).await.unwrap();
                me.send(to, atom!("third")).await.unwrap();
                me.receive_message().await;
            });
        let server = server.unwrap().pid();
        assert!(me.receive_message().await.is_atom("ready"));
        let options = MonitorOptions {
            alias: Some(AliasMode::ReplyDemonitor),
            ..MonitorOptions::default()
        };
        let alias = me.monitor_with(server, options);
        me.send(server, Term::from(alias)).await.unwrap();
        assert!(me.receive_message().await.is_atom("first"));
        assert!(me.receive_message().await.is_atom("third"));
        // The reply has taken the monitor back.
        let last = me.monitor(server);
        me.send(server, atom!("end")).await.unwrap();
        match me.receive().await {
            Received::Info(Info::Down { reference, .. }) => assert_eq!(reference, last),
            other => panic!("{other:?}"),
        }
    })
    .await;
}

/// A sender that is killed with large messages under way: each arrives whole or not at all, and none
/// after the end.
async fn death_in_the_middle_of_a_message_tears_nothing(places: Places) {
    const SIZE: usize = 4 << 20;
    let there = places.there.clone();
    process(&places.here, move |mut me: Process<Term>| async move {
        let to = me.pid();
        let sender = there.runtime().spawn(move |me: Process<Term>| async move {
            let bulk = Term::Binary(vec![1; SIZE][..].into());
            for _ in 0..16 {
                me.send(to, bulk.clone()).await.unwrap();
            }
            std::future::pending::<()>().await;
        });
        let sender = sender.unwrap().pid();
        me.monitor(sender);
        assert_eq!(bytes(&me.receive_message().await), SIZE);
        me.exit(sender, atom!("kill"));
        loop {
            match me.receive().await {
                Received::Message(message) => assert_eq!(bytes(&message), SIZE),
                Received::Info(Info::Down { reason, .. }) => {
                    assert!(reason.is_atom("killed"));
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(me.try_receive().is_none(), "something came after the end");
    })
    .await;
}

/// A message that is no value of the receiver's type is dropped, and what comes after it is received.
async fn types_are_checked_wherever_the_receiver_lives(places: Places) {
    let there = places.there.clone();
    process(&places.here, move |mut me: Process<Term>| async move {
        let to = me.pid();
        let typed = there
            .runtime()
            .spawn(move |mut me: Process<(u8, String)>| async move {
                let (number, text) = me.receive_message().await;
                me.send(to, (text, number)).await.unwrap();
            });
        let typed = typed.unwrap().pid();
        me.send(typed, atom!("nonsense")).await.unwrap();
        me.send(typed, (300_i64, String::from("too large")))
            .await
            .unwrap();
        me.send(typed, (7_u8, String::from("seven"))).await.unwrap();
        let answer = me.receive_message().await;
        let parts = answer.as_tuple().unwrap();
        assert_eq!(parts[1], Term::from(7));
    })
    .await;
}

async fn a_process_that_is_asked_for_is_tied_before_its_first_step(places: Places) {
    let Places { here, there } = places;
    let starts = here.clone();
    process(&starts, move |mut me: Process<Term>| async move {
        me.trap_exit(true);
        for (function, args, expected) in [
            ("node", vec![], "normal"),
            ("whereis", vec![1], "{badarg,[{erlang,whereis,[1],[]}]}"),
            ("nothing", vec![1], "{undef,[{erlang,nothing,[1],[]}]}"),
        ] {
            let ties = RequestOptions {
                link: true,
                monitor: Some(MonitorOptions::default()),
                ..RequestOptions::default()
            };
            let to = there.name();
            let asked = here.spawn_request(&me, to, "erlang", function, args, ties);
            let asked = asked.await.unwrap();
            let child = match me.receive().await {
                Received::Info(Info::Spawned { reference, pid, .. }) if reference == asked => pid,
                other => panic!("{other:?}"),
            };
            assert_eq!(child.node, there.name());
            match me.receive().await {
                Received::Info(Info::Exit { from, reason }) => {
                    assert_eq!((from, reason.to_string().as_str()), (child, expected));
                }
                other => panic!("{other:?}"),
            }
            let (fired, _, reason) = me.receive().await.down().unwrap();
            assert_eq!((fired, reason.to_string().as_str()), (asked, expected));
        }
        let call = here.erpc_call(there.name(), "erlang", "node", (), PATIENCE);
        assert_eq!(call.await.unwrap(), Term::from(there.name()));
    })
    .await;
}

/// Only between two nodes: the end of the other is `noconnection` to every tie.
async fn a_node_that_goes_is_noconnection(places: Places) {
    let there = places.there.clone();
    process(&places.here, move |mut me: Process<Term>| async move {
        me.trap_exit(true);
        let pid = mortal(&there);
        me.link(pid);
        me.monitor(pid);
        // An answer shows that both are in place.
        let echo = there.runtime().spawn(|mut me: Process<Raw>| async move {
            me.receive().await;
        });
        let echo = echo.unwrap().pid();
        me.monitor(echo);
        me.send(echo, atom!("end")).await.unwrap();
        down(&mut me).await;
        there.stop(Duration::from_secs(1)).await;
        let (mut exits, mut downs) = (0, 0);
        while exits + downs < 2 {
            match me.receive().await {
                Received::Info(Info::Exit { reason, .. }) => {
                    assert!(reason.is_atom("noconnection"), "{reason}");
                    exits += 1;
                }
                Received::Info(Info::Down { reason, .. }) => {
                    assert!(reason.is_atom("noconnection"), "{reason}");
                    downs += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((exits, downs), (1, 1));
        me.monitor(pid);
        let (_, reason) = down(&mut me).await;
        assert!(reason.is_atom("noconnection"), "{reason}");
    })
    .await;
}

/// All of them, one after the other.
async fn everything(places: Places) {
    order_holds_through_pid_name_and_alias_and_to_the_end(places.clone()).await;
    the_dead_are_answered_for_with_noproc(places.clone()).await;
    every_reason_reaches_links_and_monitors(places.clone()).await;
    exits_are_signals_to_who_traps_and_the_end_of_who_does_not(places.clone()).await;
    what_was_unlinked_or_demonitored_is_not_heard_of(places.clone()).await;
    an_alias_lets_a_reply_in_once(places.clone()).await;
    types_are_checked_wherever_the_receiver_lives(places.clone()).await;
    death_in_the_middle_of_a_message_tears_nothing(places.clone()).await;
    a_process_that_is_asked_for_is_tied_before_its_first_step(places.clone()).await;
    if places.are_apart() {
        a_node_that_goes_is_noconnection(places).await;
    }
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn on_tcp(names: &[&str]) -> Vec<Node> {
    let mapper = epmd::serve(Arc::new(TokioHost::current()), SocketAddr::new(LOOPBACK, 0));
    let mapper = mapper.await.unwrap();
    let port = mapper.address().port();
    let mut nodes = Vec::new();
    for name in names {
        let builder = Node::builder(name).cookie("secret").epmd_port(port);
        let builder = builder.epmd_addresses(&[LOOPBACK]);
        nodes.push(builder.start().await.unwrap());
    }
    std::mem::forget(mapper);
    nodes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_one_node() {
    let nodes = on_tcp(&["one@127.0.0.1"]).await;
    let (here, there) = (nodes[0].clone(), nodes[0].clone());
    everything(Places { here, there }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_two_nodes_over_tcp() {
    let nodes = on_tcp(&["here@127.0.0.1", "there@127.0.0.1"]).await;
    let (here, there) = (nodes[0].clone(), nodes[1].clone());
    connect(&here, &there).await;
    everything(Places { here, there }).await;
}

async fn connect(here: &Node, there: &Node) {
    here.ping(there.name(), Duration::from_secs(60))
        .await
        .unwrap();
}

async fn on_simulated_machines(world: World) {
    let mut nodes = Vec::new();
    for name in ["here", "there"] {
        let host = world.machine(name).boot();
        let address = SocketAddr::new(host.machine().address().into(), 0);
        let builder = Node::builder(&format!("n@{name}")).cookie("secret");
        nodes.push(builder.listen(address).start_on(host).await.unwrap());
    }
    let (here, there) = (nodes[0].clone(), nodes[1].clone());
    connect(&here, &there).await;
    everything(Places { here, there }).await;
}

#[test]
fn on_two_nodes_over_the_simulated_network() {
    for seed in 0..3 {
        let run = Sim::new(Config::new(seed)).run(on_simulated_machines);
        run.output.unwrap();
    }
}

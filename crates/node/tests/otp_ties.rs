//! Links, monitors and exits between a Purlin node and real OTP nodes, made from either side, and
//! processes that OTP spawns here, with each of its options.

mod support;

use purlin_node::{Delivery, Mailbox, Node, Pid, Target, Term, atom};
use support::mailbox::{message, next};
use support::{Erl, Net, PATIENCE, RELEASES, Release, name};

/// Exit reasons of every kind, as Erlang text.
const REASONS: [&str; 7] = [
    "shutdown",
    "{shutdown,[1,2]}",
    "killed",
    "noproc",
    "{badmatch,<<0,255>>}",
    "#{why => 1.5, who => <<\"x\">>}",
    "\"a string\"",
];

struct Pair {
    node: Node,
    erl: Erl,
    _net: Net,
}

async fn pair(release: Release) -> Pair {
    let net = Net::new().await;
    let node = net.node("purlin").await;
    node.export("m", "die", |reason: Term| async move {
        Err::<(), _>(purlin_node::Raise::Exit(reason))
    });
    node.export(
        "m",
        "tell",
        async |call: &purlin_node::CallContext, to: Pid, what: Term| {
            let mailbox = call.node.attach().unwrap();
            mailbox.send(to, &what).await.unwrap();
        },
    );
    node.export("m", "wait", |mut mailbox: Mailbox| async move {
        if let Delivery::Message(message) = mailbox.receive().await {
            return Err(purlin_node::Raise::Exit(message.to_term().unwrap()));
        }
        Ok(())
    });
    let mut erl = net.erl(release, "erl").await;
    erl.check("net_adm:ping('purlin@127.0.0.1')", "pong").await;
    // A process that ends as it is told, and what it heard before.
    erl.eval("Die = fun() -> spawn(fun() -> receive {die, R} -> exit(R) end end) end, process_flag(trap_exit, true), ok").await;
    Pair {
        node,
        erl,
        _net: net,
    }
}

impl Pair {
    /// A process of the OTP node.
    async fn dying(&mut self, box_of_ours: &mut Mailbox) -> Pid {
        let us = "{box, 'purlin@127.0.0.1'}";
        self.erl
            .eval(&format!("put(d, Die()), {us} ! get(d), ok"))
            .await;
        match message(box_of_ours).await {
            Term::Pid(pid) => pid,
            other => panic!("a pid, not {other}"),
        }
    }

    async fn end(self) {
        self.erl.assert_nothing_logged();
        self.node.stop(PATIENCE).await;
    }
}

fn term(text: &str) -> Term {
    text.parse().unwrap()
}

fn registered(node: &Node) -> Mailbox {
    let mailbox = node.attach().unwrap();
    mailbox.trap_exit(true);
    node.register(atom!("box"), mailbox.pid()).unwrap();
    mailbox
}

#[tokio::test(flavor = "multi_thread")]
async fn our_links_and_monitors_bring_every_reason_of_otps_processes() {
    for release in RELEASES {
        let mut pair = pair(release).await;
        let mut ours = registered(&pair.node);
        for reason in REASONS {
            let theirs = pair.dying(&mut ours).await;
            ours.link(theirs);
            let monitor = ours.monitor(theirs);
            ours.send(theirs, &Term::tuple([atom!("die").into(), term(reason)]))
                .await
                .unwrap();
            for _ in 0..2 {
                match next(&mut ours).await {
                    Delivery::Exit { from, reason: why } => {
                        assert_eq!((from, why), (theirs, term(reason)))
                    }
                    Delivery::Down {
                        reference,
                        watched,
                        reason: why,
                    } => {
                        assert_eq!(
                            (reference, watched, why),
                            (monitor, Target::Pid(theirs), term(reason))
                        );
                    }
                    other => panic!("an end, not {other:?}"),
                }
            }
            ours.link(theirs);
            let Delivery::Exit { from, reason } = next(&mut ours).await else {
                panic!("it is gone")
            };
            assert_eq!((from, reason), (theirs, atom!("noproc").into()));
        }
        pair.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_unlinked_and_demonitored_tells_nothing() {
    for release in RELEASES {
        let mut pair = pair(release).await;
        let mut ours = registered(&pair.node);
        let theirs = pair.dying(&mut ours).await;
        ours.link(theirs);
        let monitor = ours.monitor(theirs);
        // What the shell asks by comes another way than the link: it waits for what follows that one.
        pair.erl.eval("register(me, self())").await;
        let linked = Term::from(atom!("linked"));
        let shell = (atom!("me"), name("erl"));
        ours.send(shell, &linked).await.unwrap();
        pair.erl
            .check(
                "receive linked -> {links, L} = process_info(get(d), links), length(L) end",
                "1",
            )
            .await;
        ours.unlink(theirs);
        assert!(ours.demonitor(monitor));
        let end = Term::tuple([atom!("die").into(), atom!("unheard").into()]);
        ours.send(theirs, &end).await.unwrap();
        // By the same road as the end would have come.
        pair.erl.eval("MD = monitor(process, get(d)), receive {'DOWN', MD, _, _, _} -> ok end, {box, 'purlin@127.0.0.1'} ! later, ok").await;
        assert_eq!(message(&mut ours).await, atom!("later").into());
        pair.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exits_we_send_act_on_otps_processes() {
    for release in RELEASES {
        let mut pair = pair(release).await;
        let mut ours = registered(&pair.node);
        for (sent, heard) in [("kill", "killed"), ("{a,<<1>>}", "{a,<<1>>}")] {
            let theirs = pair.dying(&mut ours).await;
            ours.monitor(theirs);
            ours.exit(theirs, term(sent));
            let Delivery::Down { reason, .. } = next(&mut ours).await else {
                panic!("a DOWN")
            };
            assert_eq!(reason, term(heard));
        }
        pair.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exits_and_links_of_otps_processes_act_on_ours() {
    for release in RELEASES {
        let mut pair = pair(release).await;
        let mut ours = registered(&pair.node);
        for reason in REASONS {
            // Ours traps: it sees the reason, from an exit and from a link.
            let send = format!(
                "B = erpc:call('purlin@127.0.0.1', erlang, whereis, [box]), exit(B, {reason}), ok"
            );
            pair.erl.eval(&send).await;
            let Delivery::Exit { reason: why, .. } = next(&mut ours).await else {
                panic!("an EXIT")
            };
            assert_eq!(why, term(reason));
            let link = format!("spawn(fun() -> link(B), exit({reason}) end), ok");
            pair.erl.eval(&link).await;
            let Delivery::Exit { reason: why, .. } = next(&mut ours).await else {
                panic!("an EXIT")
            };
            assert_eq!(why, term(reason));
        }
        // One that does not trap ends with it.
        let mortal = pair.node.spawn(|mut mailbox: Mailbox| async move {
            loop {
                mailbox.receive().await;
            }
        });
        pair.node
            .register(atom!("mortal"), mortal.unwrap())
            .unwrap();
        let kill = "K = erpc:call('purlin@127.0.0.1', erlang, whereis, [mortal]), MK = monitor(process, K), \
             exit(K, kill), receive {'DOWN', MK, process, K, Y} -> Y after 60000 -> late end";
        pair.erl.check(kill, "killed").await;
        pair.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_connection_is_the_end_of_all_ties_over_it() {
    for release in RELEASES {
        let mut pair = pair(release).await;
        let mut ours = registered(&pair.node);
        let theirs = pair.dying(&mut ours).await;
        ours.link(theirs);
        ours.monitor(theirs);
        pair.erl.eval("B = erpc:call('purlin@127.0.0.1', erlang, whereis, [box]), link(B), MB = monitor(process, B), ok").await;
        pair.erl
            .check("erlang:disconnect_node('purlin@127.0.0.1')", "true")
            .await;
        let both = "receive {'EXIT', B, X} -> X after 60000 -> late end, receive {'DOWN', MB, process, B, Z} -> Z after 60000 -> late end";
        pair.erl.check(both, "noconnection").await;
        // Both links of ours, and the monitor.
        for _ in 0..3 {
            let reason = match next(&mut ours).await {
                Delivery::Exit { reason, .. } | Delivery::Down { reason, .. } => reason,
                other => panic!("an end, not {other:?}"),
            };
            assert!(reason.is_atom("noconnection"), "{reason}");
        }
        // Over a new connection nothing of it is left.
        pair.erl
            .check("net_adm:ping('purlin@127.0.0.1')", "pong")
            .await;
        let left = "{links, Ls} = process_info(self(), links), {process_info(self(), monitors), [P || P <- Ls, is_pid(P), node(P) =/= node()], is_process_alive(get(d))}";
        pair.erl.check(left, "{{monitors,[]},[],false}").await;
        pair.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn otp_spawns_our_functions_with_every_option() {
    let late = "after 60000 -> late end";
    for release in RELEASES {
        let mut pair = pair(release).await;
        let erl = &mut pair.erl;
        erl.eval("N = 'purlin@127.0.0.1', ok").await;
        erl.check(
            &format!("spawn(N, m, tell, [self(), {{hi, 5}}]), receive {{hi, I}} -> I {late}"),
            "5",
        )
        .await;
        for reason in REASONS {
            let link = format!(
                "(fun() -> P = spawn_link(N, m, die, [{reason}]), receive {{'EXIT', P, R}} -> R {late} end)()"
            );
            let told = erl.eval(&link).await;
            assert_eq!(term(&told), term(reason));
        }
        erl.check(&format!("(fun() -> P = spawn_link(N, m, tell, [self(), x]), receive {{'EXIT', P, R}} -> R {late} end)()"), "normal").await;
        erl.eval("receive x -> ok end").await;
        let undefined = format!(
            "(fun() -> {{P, M}} = spawn_monitor(N, nobody, knows, [1]), receive {{'DOWN', M, process, P, R}} -> R {late} end)()"
        );
        erl.check(&undefined, "{undef,[{nobody,knows,[1],[]}]}")
            .await;
        let request = format!(
            "(fun() -> Q = spawn_request(N, m, wait, [], [{{reply_tag, started}}, {{monitor, [{{tag, ended}}]}}, link, {{priority, high}}, {{min_heap_size, 1000}}]), \
            receive {{started, Q, ok, P}} -> P ! {{over, 1}}, \
              receive {{'EXIT', P, R}} -> receive {{ended, Q, process, P, R}} -> R {late} {late} {late} end)()"
        );
        erl.check(&request, "{over,1}").await;
        // The second request is answered after the first would have been.
        let silent = "(fun() -> Q = spawn_request(N, m, wait, [], [{reply, error_only}, monitor]), \
             A = spawn_request(N, m, wait, []), receive {spawn_reply, A, ok, _} -> ok end, \
             receive {spawn_reply, Q, _, _} -> replied; {'DOWN', Q, _, _, _} -> ended after 0 -> silent end end)()";
        erl.check(silent, "silent").await;
        let abandoned = "(fun() -> Q = spawn_request(N, m, wait, [], [monitor]), spawn_request_abandon(Q) end)()";
        erl.eval(abandoned).await;
        erl.check(
            "length([P || P <- erpc:call(N, erlang, processes, []), is_pid(P)]) > 0",
            "true",
        )
        .await;
        pair.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rust_process_calls_erlang_servers() {
    for release in RELEASES {
        let pair = pair(release).await;
        let server =
            |name_of: &str| Target::Name(purlin_node::Atom::new(name_of).unwrap(), name("erl"));
        let children = pair
            .node
            .call_term_timeout(server("kernel_sup"), &term("count_children"), PATIENCE)
            .await
            .unwrap();
        assert!(children.to_string().contains("supervisors"), "{children}");
        let unknown = pair
            .node
            .call_term_timeout(server("nobody"), &Term::nil(), PATIENCE)
            .await
            .unwrap_err();
        assert_eq!(unknown.to_string(), "there is no such process");
        let asking = (0..50).map(|_| {
            let node = pair.node.clone();
            tokio::spawn(async move {
                let server = Target::Name(atom!("kernel_sup"), name("erl"));
                node.call_term_timeout(server, &term("which_children"), PATIENCE)
                    .await
                    .unwrap()
            })
        });
        let asking: Vec<_> = asking.collect();
        let mut answers = Vec::new();
        for asked in asking {
            answers.push(asked.await.unwrap());
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        pair.end().await;
    }
}

//! {OTP 25, 28} x {visible, hidden} x {cache and fragments, fragments only, pass-through} x {they
//! dial, we dial}: echo of mixed terms and of 64 MiB, 100,000 messages in order both ways, calls.

mod support;

use purlin_node::{Delivery, Destination, Flags, Mailbox, Node, Target, Term, atom};
use support::{Erl, Net, PATIENCE, Release, name};

/// Messages sent in each direction.
const MANY: i64 = 100_000;

fn start_services(node: &Node) {
    let echo = node.spawn(|mut mailbox: Mailbox| async move {
        loop {
            let Delivery::Message(message) = mailbox.receive().await else {
                continue;
            };
            let Ok(message) = message.to_term() else {
                continue;
            };
            if let Some([Term::Pid(from), content]) = message.as_tuple() {
                let reply = Term::tuple([mailbox.pid().into(), content.clone()]);
                mailbox.send(*from, &reply).await.unwrap();
            }
        }
    });
    node.register(atom!("echo"), echo.unwrap()).unwrap();
    // Answers `{in_order, Count}` or `{out_of_order, Expected, Found}` when `{done, From}` comes.
    let counter = node.spawn(|mut mailbox: Mailbox| async move {
        let (mut next, mut wrong) = (1, None);
        loop {
            let Delivery::Message(message) = mailbox.receive().await else {
                continue;
            };
            match message.to_term() {
                Ok(Term::Int(number)) => {
                    if number != next && wrong.is_none() {
                        wrong = Some(Term::tuple([next.into(), number.into()]));
                    }
                    next += 1;
                }
                Ok(term) => {
                    let from = term.as_tuple().and_then(|t| t[1].as_pid()).unwrap();
                    let reply = match wrong.take() {
                        None => Term::tuple([atom!("in_order").into(), (next - 1).into()]),
                        Some(wrong) => Term::tuple([atom!("out_of_order").into(), wrong]),
                    };
                    mailbox.send(from, &reply).await.unwrap();
                    next = 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
    });
    node.register(atom!("counter"), counter.unwrap()).unwrap();
    node.export("demo", "add", |a: i64, b: i64| async move { a + b });
    node.export("demo", "forever", std::future::pending::<()>);
}

/// What an `erl` can do with a connected Purlin node.
async fn exercise(node: &Node, erl: &mut Erl, alive: &str) {
    erl.eval("Echo = fun(T) -> {echo, 'purlin@127.0.0.1'} ! {self(), T}, receive {P, R} when is_pid(P) -> R =:= T after 60000 -> timeout end end").await;
    let mixed = r#"{self(), make_ref(), [a|b], [], "text", <<1,2,3>>, <<5:3>>, 1.5, -1, 1 bsl 100, #{a => [1,2,300], "k" => {}}, fun erlang:node/0, 'Ünï cödé', lists:duplicate(300, {x, <<"y">>}), [list_to_atom("a" ++ integer_to_list(I)) || I <- lists:seq(1, 300)]}"#;
    erl.check(&format!("Echo({mixed})"), "true").await;
    erl.check("Echo(fun(X) -> X + 1 end)", "true").await;
    erl.check(
        "Echo(binary:copy(<<1,2,3,4,5,6,7,8>>, 8 * 1024 * 1024))",
        "true",
    )
    .await;
    erl.check("Echo(lists:seq(1, 200000))", "true").await;
    in_order_to_us(erl).await;
    in_order_from_us(node, erl, alive).await;
    calls(erl).await;
    monitors_and_links(node, erl).await;
}

async fn in_order_to_us(erl: &mut Erl) {
    let send = format!(
        "[{{counter, 'purlin@127.0.0.1'}} ! I || I <- lists:seq(1, {MANY})], \
         {{counter, 'purlin@127.0.0.1'}} ! {{done, self()}}, \
         receive {{in_order, N}} -> N; Other -> Other after 60000 -> timeout end"
    );
    erl.check(&send, &MANY.to_string()).await;
}

async fn in_order_from_us(node: &Node, erl: &mut Erl, alive: &str) {
    erl.check("catch unregister(sink), register(sink, self())", "true")
        .await;
    let mailbox = node.attach().unwrap();
    let sink = Destination::Name(atom!("sink"), name(alive));
    let receive = format!(
        "G = fun(_, {MANY}) -> in_order; (G, N) -> M = N + 1, receive M -> G(G, M); \
         Other when is_integer(Other) -> {{M, Other}} after 60000 -> timeout end end, G(G, 0)"
    );
    let sending = async {
        for number in 1..=MANY {
            mailbox.send(sink.clone(), &number.into()).await.unwrap();
        }
    };
    let ((), received) = tokio::join!(sending, erl.eval(&receive));
    assert_eq!(received, "in_order");
}

async fn calls(erl: &mut Erl) {
    let call = |rest: &str| format!("catch erpc:call('purlin@127.0.0.1', {rest})");
    erl.check(&call("demo, add, [2, 3]"), "5").await;
    let undef = erl.eval(&call("demo, nothing, [1]")).await;
    assert!(
        undef.starts_with("{'EXIT',{{exception,undef,[{demo,nothing,[1],[]}]}"),
        "{undef}"
    );
    let late = erl.eval(&call("demo, forever, [], 200")).await;
    assert!(late.starts_with("{'EXIT',{{erpc,timeout}"), "{late}");
    erl.check(
        "rpc:call('purlin@127.0.0.1', demo, nothing, [])",
        "{badrpc,{'EXIT',{undef,[{demo,nothing,[],[]}]}}}",
    )
    .await;
    erl.check(
        "erpc:call('purlin@127.0.0.1', erlang, node, [])",
        "'purlin@127.0.0.1'",
    )
    .await;
    erl.check("rpc:block_call('purlin@127.0.0.1', demo, add, [1, 1])", "2")
        .await;
    erl.check(
        "erpc:multicall(['purlin@127.0.0.1'], demo, add, [1, 1])",
        "[{ok,2}]",
    )
    .await;
}

async fn monitors_and_links(node: &Node, erl: &mut Erl) {
    erl.check("R1 = erlang:monitor(process, {nobody, 'purlin@127.0.0.1'}), receive {'DOWN', R1, process, {nobody, 'purlin@127.0.0.1'}, W1} -> W1 after 60000 -> timeout end", "noproc").await;
    let victim = node.spawn(|mut mailbox: Mailbox| async move {
        let _ = mailbox.receive().await;
        Term::tuple([atom!("gone").into(), 1.into()])
    });
    node.register(atom!("victim"), victim.unwrap()).unwrap();
    erl.eval("V = erpc:call('purlin@127.0.0.1', erlang, whereis, [victim])")
        .await;
    erl.eval("process_flag(trap_exit, true), link(V), M = erlang:monitor(process, V)")
        .await;
    erl.eval("V ! now").await;
    erl.check(
        "receive {'EXIT', V, X1} -> X1 after 60000 -> timeout end",
        "{gone,1}",
    )
    .await;
    erl.check(
        "receive {'DOWN', M, process, V, X2} -> X2 after 60000 -> timeout end",
        "{gone,1}",
    )
    .await;
    erl.check(
        "link(V), receive {'EXIT', V, X3} -> X3 after 60000 -> timeout end",
        "noproc",
    )
    .await;
    erl.check("{P4, M4} = spawn_monitor('purlin@127.0.0.1', demo, add, [1, 2]), receive {'DOWN', M4, process, P4, X4} -> X4 after 60000 -> timeout end", "normal").await;
}

async fn run(release: Release, hidden: bool, flags: Flags) {
    let net = Net::new().await;
    let flags = if hidden { flags.hidden() } else { flags };
    let node = net.builder("purlin").flags(flags).start().await.unwrap();
    start_services(&node);
    for dials in ["they", "we"] {
        let alive = format!("{dials}_dial");
        let mut erl = net.erl(release, &alive).await;
        if dials == "they" {
            erl.check("net_adm:ping('purlin@127.0.0.1')", "pong").await;
        } else {
            node.ping(name(&alive), PATIENCE).await.unwrap();
        }
        let kind = if hidden { "hidden" } else { "visible" };
        erl.check(
            &format!("lists:member('purlin@127.0.0.1', nodes({kind}))"),
            "true",
        )
        .await;
        exercise(&node, &mut erl, &alive).await;
        // Where either side is hidden, neither counts the other among its visible nodes.
        assert_eq!(node.nodes().contains(&name(&alive)), !hidden);
        assert_eq!(node.hidden_nodes().contains(&name(&alive)), hidden);
        erl.check("global:sync()", "ok").await;
        erl.assert_nothing_logged();
        let watched = Target::Name(atom!("sink"), name(&alive));
        let mut mailbox = node.attach().unwrap();
        mailbox.monitor(watched);
        erl.kill().await;
        let Delivery::Down { reason, .. } = mailbox.receive().await else {
            panic!("a DOWN")
        };
        assert!(reason.is_atom("noconnection"), "{reason}");
    }
    node.stop(PATIENCE).await;
}

macro_rules! matrix {
    ($($name:ident: $release:ident, $hidden:literal, $flags:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            run(Release::$release, $hidden, Flags::$flags).await;
        }
    )*};
}

matrix! {
    otp25_visible_cache_and_fragments: Otp25, false, CACHE_AND_FRAGMENTS;
    otp25_visible_fragments_only: Otp25, false, FRAGMENTS_ONLY;
    otp25_visible_pass_through: Otp25, false, PASS_THROUGH;
    otp25_hidden_cache_and_fragments: Otp25, true, CACHE_AND_FRAGMENTS;
    otp25_hidden_fragments_only: Otp25, true, FRAGMENTS_ONLY;
    otp25_hidden_pass_through: Otp25, true, PASS_THROUGH;
    otp28_visible_cache_and_fragments: Otp28, false, CACHE_AND_FRAGMENTS;
    otp28_visible_fragments_only: Otp28, false, FRAGMENTS_ONLY;
    otp28_visible_pass_through: Otp28, false, PASS_THROUGH;
    otp28_hidden_cache_and_fragments: Otp28, true, CACHE_AND_FRAGMENTS;
    otp28_hidden_fragments_only: Otp28, true, FRAGMENTS_ONLY;
    otp28_hidden_pass_through: Otp28, true, PASS_THROUGH;
}

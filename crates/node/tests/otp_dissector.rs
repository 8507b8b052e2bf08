//! What passes between Purlin and OTP nodes, as Wireshark's dissector reads it: no frame is malformed.
//! {OTP 25, 28} x {cache and fragments, fragments only, pass-through} x {they dial, we dial}.

mod support;

use std::collections::BTreeSet;

use purlin_node::{Delivery, Flags, Mailbox, Node, Pid, Target, Term, atom};
use support::capture::{Capture, Frame};
use support::mailbox::next;
use support::{Erl, Net, PATIENCE, RELEASES, Release, name};

/// Terms that the dissector reads, of every kind: small ones, and two of more than 64 KiB.
const TERMS: &str = r#"[hello, {self(), make_ref(), 1.5, -1, 300, 1 bsl 40, 1 bsl 3000, <<1, 2, 3>>, <<5:3>>, [], {}},
    [a, <<"b">> | c], fun erlang:node/0, 'Ünï cödé', list_to_atom(lists:duplicate(200, $x)),
    [list_to_atom("atom" ++ integer_to_list(I)) || I <- lists:seq(1, 300)],
    list_to_tuple(lists:seq(1, 300)), lists:seq(1000, 16000), binary:copy(<<1, 2, 3>>, 100000)]"#;

/// What the loop of an OTP node does that plays our part.
const ECHO: &str =
    "register(echo, spawn(fun F() -> receive {P, M} -> P ! {self(), M}, F() end end)), ok";

/// What an OTP node does with `peer`, which has a process `echo`: every kind of signal, in either
/// direction.
async fn exercise_from(erl: &mut Erl, peer: &str) {
    erl.eval(&format!("N = '{peer}@127.0.0.1', process_flag(trap_exit, true), Await = fun(R) -> receive {{'DOWN', R, process, _, W}} -> W; {{'EXIT', R, W}} -> W after 60000 -> late end end, ok"))
        .await;
    let echo = "fun(T) -> {echo, N} ! {self(), T}, receive {P, T} when is_pid(P) -> P after 60000 -> late end end";
    erl.eval(&format!("Echo = {echo}, ok")).await;
    erl.check(
        &format!("lists:all(fun(T) -> is_pid(Echo(T)) end, {TERMS})"),
        "true",
    )
    .await;
    erl.eval("P = Echo(who), ok").await;
    erl.check(
        "Await(monitor(process, {nobody, N})), Await(spawn_link(N, erlang, node, []))",
        "normal",
    )
    .await;
    erl.check(
        "{_, M} = spawn_monitor(N, m, missing, [{x, 1}]), element(1, Await(M))",
        "undef",
    )
    .await;
    erl.check("link(P), unlink(P), link(P), D = monitor(process, P), demonitor(D), E = monitor(process, P), is_pid(Echo(x))", "true").await;
    erl.check("erpc:call(N, erlang, node, []) =:= N", "true")
        .await;
    erl.check("gen_server:call({net_kernel, N}, {is_auth, node()})", "yes")
        .await;
    erl.check("global:sync()", "ok").await;
    // Through the link as well as the monitor; `exit` of ours ends theirs.
    erl.check(
        "exit(P, {shutdown, 5}), {Await(E), Await(P)}",
        "{{shutdown,5},{shutdown,5}}",
    )
    .await;
    erl.check(
        "L = spawn(fun() -> receive after infinity -> ok end end), exit(L, kill), ok",
        "ok",
    )
    .await;
}

/// What a process of ours does with one of OTP's.
async fn exercise_from_us(node: &Node, erl: &mut Erl, alive: &str) {
    let mut ours = node.attach().unwrap();
    ours.trap_exit(true);
    let sink = Target::Name(atom!("kernel_sup"), name(alive));
    let asked = node
        .call_term_timeout(sink, &atom!("count_children"), PATIENCE)
        .await;
    assert!(asked.is_ok(), "{asked:?}");
    let called = node
        .erpc_call(name(alive), "erlang", "node", (), PATIENCE)
        .await;
    assert!(called.is_ok(), "{called:?}");
    let undefined = node
        .erpc_call(name(alive), "m", "missing", (), PATIENCE)
        .await;
    assert!(undefined.is_err(), "{undefined:?}");
    for end in ["{shutdown,7}", "exit"] {
        let theirs = dying(node, erl).await;
        ours.link(theirs);
        ours.unlink(theirs);
        ours.link(theirs);
        let given_up = ours.monitor(theirs);
        ours.demonitor(given_up);
        ours.monitor(theirs);
        let large = Term::from("large ".repeat(50_000).as_str());
        ours.send(theirs, &Term::tuple(["1.5".parse().unwrap(), large]))
            .await
            .unwrap();
        if end == "exit" {
            ours.exit(theirs, Term::tuple([atom!("over").into(), 5.into()]));
        } else {
            let die = Term::tuple([atom!("die").into(), end.parse().unwrap()]);
            ours.send(theirs, &die).await.unwrap();
        }
        for _ in 0..2 {
            let end = next(&mut ours).await;
            assert!(
                matches!(end, Delivery::Exit { .. } | Delivery::Down { .. }),
                "{end:?}"
            );
        }
    }
    // A process of ours that OTP's is linked to, and watches, ends.
    let mortal = node.spawn(|mut mailbox: Mailbox| async move {
        let _ = mailbox.receive().await;
        Term::tuple([atom!("gone").into(), 1.into()])
    });
    node.register(atom!("mortal"), mortal.unwrap()).unwrap();
    erl.check("O = erpc:call('purlin@127.0.0.1', erlang, whereis, [mortal]), link(O), OM = monitor(process, O), O ! now, {Await(OM), Await(O)}", "{{gone,1},{gone,1}}").await;
}

/// A process of the OTP node that ends as it is told.
async fn dying(node: &Node, erl: &mut Erl) -> Pid {
    let mut ours = node.attach().unwrap();
    node.register(atom!("box"), ours.pid()).unwrap();
    erl.eval("{box, 'purlin@127.0.0.1'} ! spawn(fun() -> receive {die, R} -> exit(R) end end), ok")
        .await;
    let Delivery::Message(message) = next(&mut ours).await else {
        panic!("a pid")
    };
    match message.to_term().unwrap() {
        Term::Pid(pid) => pid,
        other => panic!("a pid, not {other}"),
    }
}

/// Starts what answers, as [`ECHO`] does on OTP.
fn start_echo(node: &Node) {
    let echo = node.spawn(|mut mailbox: Mailbox| async move {
        loop {
            let Delivery::Message(message) = mailbox.receive().await else {
                continue;
            };
            let message = message.to_term().unwrap();
            if let Some([Term::Pid(from), content]) = message.as_tuple() {
                let reply = Term::tuple([mailbox.pid().into(), content.clone()]);
                mailbox.send(*from, &reply).await.unwrap();
            }
        }
    });
    node.register(atom!("echo"), echo.unwrap()).unwrap();
}

async fn port_of(erl: &mut Erl) -> u16 {
    let port = "(fun({port, P, _}) -> P end)(erl_epmd:port_please(hd(string:split(atom_to_list(node()), [$@])), [$1,$2,$7,$.,$0,$.,$0,$.,$1]))";
    erl.eval(port).await.parse().unwrap()
}

#[track_caller]
fn assert_no_fault(frames: &[Frame]) {
    let faulty: Vec<&Frame> = frames
        .iter()
        .filter(|frame| !frame.faults.is_empty())
        .collect();
    assert!(faulty.is_empty(), "{faulty:#?}");
}

/// Operations that each side of a course sends: a link, a registered name, monitors and their ends, exits,
/// spawns, unlinks, messages. The dissector has read them.
const SENT_BY_BOTH: [u8; 12] = [1, 6, 19, 20, 22, 24, 26, 28, 29, 31, 35, 36];

/// Fails where the dissector did not read one of these in `frames`, and so has judged nothing.
#[track_caller]
fn assert_has_all<'a>(frames: impl Iterator<Item = &'a Frame>, who: &str) {
    let found: BTreeSet<u8> = frames.filter_map(|frame| frame.operation).collect();
    let has_all = SENT_BY_BOTH
        .iter()
        .all(|operation| found.contains(operation));
    assert!(has_all, "{who}: {found:?}");
}

async fn run(release: Release, flags: Flags) {
    let net = Net::new().await;
    for dials in ["they", "we"] {
        let node = net.builder("purlin").flags(flags).start().await.unwrap();
        start_echo(&node);
        let mut erl = net.erl(release, dials).await;
        let (ours, theirs) = (node.address().unwrap().port(), port_of(&mut erl).await);
        let capture = Capture::start(&net, &[ours, theirs]).await;
        match dials {
            "they" => erl.check("net_adm:ping('purlin@127.0.0.1')", "pong").await,
            _ => node.ping(name(dials), PATIENCE).await.unwrap(),
        }
        exercise_from(&mut erl, "purlin").await;
        exercise_from_us(&node, &mut erl, dials).await;
        erl.assert_nothing_logged();
        node.stop(PATIENCE).await;
        let frames = capture.end().await.dissect().await;
        let is_ours = |frame: &&Frame| frame.from == ours || frame.to == theirs;
        assert_no_fault(&frames);
        assert_has_all(frames.iter().filter(is_ours), "ours");
        assert_has_all(frames.iter().filter(|frame| !is_ours(frame)), "theirs");
    }
}

macro_rules! courses {
    ($($name:ident: $release:ident, $flags:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            run(Release::$release, Flags::$flags).await;
        }
    )*};
}

courses! {
    otp25_cache_and_fragments: Otp25, CACHE_AND_FRAGMENTS;
    otp25_fragments_only: Otp25, FRAGMENTS_ONLY;
    otp25_pass_through: Otp25, PASS_THROUGH;
    otp28_cache_and_fragments: Otp28, CACHE_AND_FRAGMENTS;
    otp28_fragments_only: Otp28, FRAGMENTS_ONLY;
    otp28_pass_through: Otp28, PASS_THROUGH;
}

/// What is left out of the judgement is what the dissector cannot read of OTP either, and no more.
#[tokio::test(flavor = "multi_thread")]
async fn the_dissector_finds_no_fault_with_two_otp_nodes() {
    for release in RELEASES {
        let net = Net::new().await;
        let (mut a, mut b) = (net.erl(release, "a").await, net.erl(release, "b").await);
        b.check(ECHO, "ok").await;
        let capture = Capture::start(&net, &[port_of(&mut b).await]).await;
        exercise_from(&mut a, "b").await;
        let frames = capture.end().await.dissect().await;
        assert!(frames.len() > 20, "{frames:#?}");
        assert_no_fault(&frames);
    }
}

/// The judge is one: a length that was enlarged in a message of ours, on its way, is found.
#[tokio::test(flavor = "multi_thread")]
async fn the_dissector_finds_a_broken_frame() {
    const MESSAGE: &[u8] = b"a binary to be broken";
    let net = Net::new().await;
    let node = net.node("purlin").await;
    let mut erl = net.erl(Release::Otp25, "erl").await;
    let capture = Capture::start(&net, &[port_of(&mut erl).await]).await;
    let ours = node.attach().unwrap();
    node.ping(name("erl"), PATIENCE).await.unwrap();
    let nobody = purlin_node::Destination::Name(atom!("nobody"), name("erl"));
    ours.send(nobody, &Term::from("a binary to be broken"))
        .await
        .unwrap();
    node.ping(name("erl"), PATIENCE).await.unwrap();
    node.stop(PATIENCE).await;
    let recording = capture.end().await;
    assert_no_fault(&recording.dissect().await);

    let mut bytes = std::fs::read(&recording.file).unwrap();
    let at = bytes
        .windows(MESSAGE.len())
        .position(|part| part == MESSAGE)
        .unwrap();
    // The last byte of the binary's length.
    bytes[at - 1] += 1;
    std::fs::remove_file(&recording.file).unwrap();
    std::fs::write(&recording.file, bytes).unwrap();
    let frames = recording.dissect().await;
    let faulty = frames.iter().filter(|frame| !frame.faults.is_empty());
    assert_eq!(faulty.count(), 1, "{frames:#?}");
}

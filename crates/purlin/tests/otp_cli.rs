//! The binary and real OTP nodes, both releases: each finds, asks and calls the other.

#[path = "../../node/tests/support/mod.rs"]
mod otp;
mod support;

use std::time::Instant;

use otp::RELEASES;
use support::iex::Iex;
use support::{Done, Running, finish, purlin, readme};

/// A command in the network of the test.
fn command(net: &otp::Net, args: &[&str]) -> std::process::Command {
    let mut command = purlin(args);
    command.env("ERL_EPMD_PORT", net.port().to_string());
    command.env("PURLIN_COOKIE", &net.cookie);
    command
}

/// A command that finds the cookie where `erl` and `iex` do.
fn command_at_home(net: &otp::Net, args: &[&str]) -> std::process::Command {
    let mut command = command(net, args);
    command
        .env_remove("PURLIN_COOKIE")
        .env("HOME", net.folder());
    command
}

/// Runs a command to its end.
async fn run(net: &otp::Net, args: &[&str]) -> Done {
    run_one(command(net, args)).await
}

/// Off the test's runtime, which serves as the port mapper.
async fn run_one(mut command: std::process::Command) -> Done {
    tokio::task::spawn_blocking(move || finish(&mut command))
        .await
        .unwrap()
}

/// Runs a command until it prints `expected`: a command before it may not be gone yet.
async fn wait_for(net: &otp::Net, args: &[&str], expected: &str) {
    let deadline = Instant::now() + support::PATIENCE;
    loop {
        let done = run(net, args).await;
        if done == printed(expected) {
            return;
        }
        assert!(Instant::now() < deadline, "{args:?}: {done:?}");
    }
}

/// Starts a command and waits for that many `ready` lines.
async fn start(net: &otp::Net, args: &[&str], ready: usize) -> Running {
    start_one(command(net, args), ready).await
}

async fn start_one(mut command: std::process::Command, ready: usize) -> Running {
    let start = move || {
        let running = Running::spawn(&mut command);
        for _ in 0..ready {
            let line = running.line();
            assert!(line.starts_with("ready "), "{line}");
        }
        running
    };
    tokio::task::spawn_blocking(start).await.unwrap()
}

fn printed(out: &str) -> Done {
    Done {
        out: out.to_owned(),
        err: String::new(),
        status: Some(0),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_find_ask_and_call_an_erlang_node() {
    for release in RELEASES {
        let net = otp::Net::new().await;
        let mut erl = net.erl(release, "erl").await;
        assert_eq!(
            run(&net, &["ping", "erl@127.0.0.1"]).await,
            printed("pong\n")
        );
        let seq = ["call", "erl@127.0.0.1", "lists", "seq", "[1, 3]"];
        assert_eq!(run(&net, &seq).await, printed("[1,2,3]\n"));
        let upper = [
            "call",
            "erl@127.0.0.1",
            "string",
            "uppercase",
            "[<<\"grüße\"/utf8>>]",
        ];
        assert_eq!(run(&net, &upper).await, printed("<<\"GRÜSSE\"/utf8>>\n"));
        let badarg = run(
            &net,
            &["call", "erl@127.0.0.1", "erlang", "atom_to_list", "[1]"],
        )
        .await;
        assert_eq!(
            (badarg.err.as_str(), badarg.status),
            (
                "purlin: erlang:atom_to_list/1 on erl@127.0.0.1 raised error: badarg\n",
                Some(1)
            )
        );
        let undef = run(&net, &["call", "erl@127.0.0.1", "nosuch", "thing", "[]"]).await;
        assert!(undef.err.contains("raised error: undef"), "{}", undef.err);
        erl.check("register(box, self())", "true").await;
        let send = [
            "send",
            "erl@127.0.0.1",
            "box",
            "{hello, [1, 2 | x], <<\"a\">>, -5, #{k => 1.5}}",
        ];
        assert_eq!(run(&net, &send).await, printed(""));
        // It is there already: the command waits for that.
        erl.check(
            "receive M -> M after 0 -> nothing end",
            "{hello,[1,2|x],<<\"a\">>,-5,#{k => 1.5}}",
        )
        .await;
        let nobody = run(&net, &["send", "erl@127.0.0.1", "nobody", "hello"]).await;
        assert_eq!(nobody.status, Some(1));
        erl.check("nodes()", "[]").await;
        wait_for(&net, &["nodes"], "erl@127.0.0.1: nobody\n").await;
        let _a = start(
            &net,
            &["start", "--name", "a@127.0.0.1", "--join", "erl@127.0.0.1"],
            1,
        )
        .await;
        wait_for(
            &net,
            &["nodes", "erl@127.0.0.1"],
            "a@127.0.0.1: erl@127.0.0.1\nerl@127.0.0.1: a@127.0.0.1\n",
        )
        .await;
        erl.assert_nothing_logged();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_cookie_is_refused_on_both_sides() {
    for release in RELEASES {
        let net = otp::Net::new().await;
        let mut erl = net.erl(release, "erl").await;
        let refused = run(&net, &["ping", "erl@127.0.0.1", "--cookie", "another"]).await;
        assert_eq!((refused.out.as_str(), refused.status), ("pang\n", Some(1)));
        assert!(
            refused.err.contains("its cookie is likely another"),
            "{}",
            refused.err
        );
        let deadline = Instant::now() + support::PATIENCE;
        while !erl.log().contains("Invalid challenge reply") {
            assert!(Instant::now() < deadline, "not logged: {}", erl.log());
            erl.check("logger_std_h:filesync(default)", "ok").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn erl_uses_the_demo_application() {
    for release in RELEASES {
        let net = otp::Net::new().await;
        let node = start(
            &net,
            &["start", "--name", "a@127.0.0.1", "--app", "demo"],
            1,
        )
        .await;
        let mut erl = net.erl(release, "erl").await;
        erl.check("N = 'a@127.0.0.1', net_adm:ping(N)", "pong")
            .await;
        erl.check("nodes()", "['a@127.0.0.1']").await;
        let echo = |message: &str| {
            format!(
                "(fun(M) -> {{echo, N}} ! {{self(), M}}, receive {{P, M}} -> node(P) after 30000 \
                 -> timeout end end)({message})"
            )
        };
        erl.check(
            &echo("{hello, [1.5, <<\"x\">>, #{a => self()}]}"),
            "'a@127.0.0.1'",
        )
        .await;
        erl.check(&echo("binary:copy(<<7>>, 8 bsl 20)"), "'a@127.0.0.1'")
            .await;
        erl.check("erpc:call(N, demo, add, [2, 3])", "5").await;
        erl.check("erpc:call(N, demo, whoami, [])", "'a@127.0.0.1'")
            .await;
        erl.check("erpc:call(N, demo, sleep, [5])", "ok").await;
        erl.check(
            "try erpc:call(N, demo, sleep, [60000], 50) catch _:R -> R end",
            "{erpc,timeout}",
        )
        .await;
        erl.check(
            "try erpc:call(N, demo, crash, []) catch error:{exception, {panic, _, {_, _}}, _} -> panic end",
            "panic",
        )
        .await;
        counter(&mut erl).await;
        erl.assert_nothing_logged();
        node.signal("TERM");
        let done = tokio::task::spawn_blocking(move || node.finish())
            .await
            .unwrap();
        assert_eq!(done.status, Some(0), "{}", done.err);
        erl.check(
            "(fun L() -> case nodes() of [] -> left; _ -> L() end end)()",
            "left",
        )
        .await;
        erl.assert_nothing_logged();
    }
}

/// The counter is a `gen_server`, also when it crashes.
async fn counter(erl: &mut otp::Erl) {
    erl.check("C = {counter, N}, gen_server:call(C, {add, 5})", "5")
        .await;
    erl.check(
        "gen_server:call(C, {add, 1 bsl 70})",
        "1180591620717411303429",
    )
    .await;
    erl.check("gen_server:cast(C, reset)", "ok").await;
    erl.check("gen_server:call(C, get)", "0").await;
    erl.check("gen_server:call(C, {sleep, 5})", "ok").await;
    erl.check(
        "gen_server:call(C, {subtract, 1})",
        "{error,{unknown_request,{subtract,1}}}",
    )
    .await;
    erl.check("gen_server:call(C, {add, one})", "{error,{badarith,one}}")
        .await;
    erl.check(
        "try gen_server:call(C, {sleep, 60000}, 50) catch exit:{R1, _} -> R1 end",
        "timeout",
    )
    .await;
    // That one sleeps on; its node would start another if it ended.
    erl.check(
        "P = erpc:call(N, demo, spawn_counter, []), node(P)",
        "'a@127.0.0.1'",
    )
    .await;
    erl.check("gen_server:call(P, {add, 2})", "2").await;
    erl.check(
        "try gen_server:call(P, crash) catch exit:{{panic, _, {_, _}}, _} -> panic end",
        "panic",
    )
    .await;
    erl.check(
        "try gen_server:call(P, get) catch exit:{R2, _} -> R2 end",
        "noproc",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counter_is_started_again_when_it_ends() {
    for release in RELEASES {
        let net = otp::Net::new().await;
        let _node = start(
            &net,
            &["start", "--name", "a@127.0.0.1", "--app", "demo"],
            1,
        )
        .await;
        let mut erl = net.erl(release, "erl").await;
        erl.check(
            "C = {counter, 'a@127.0.0.1'}, gen_server:call(C, {add, 5})",
            "5",
        )
        .await;
        erl.check(
            "try gen_server:call(C, crash) catch exit:{{panic, _, {_, _}}, _} -> panic end",
            "panic",
        )
        .await;
        erl.check(
            "(fun L() -> try gen_server:call(C, get) catch exit:{noproc, _} -> L() end end)()",
            "0",
        )
        .await;
        erl.assert_nothing_logged();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn erl_joins_the_cluster_of_dev() {
    for release in RELEASES {
        let net = otp::Net::new().await;
        let dev = start(&net, &["dev"], 3).await;
        let mut erl = net.erl(release, "me").await;
        erl.check("net_adm:ping('a@127.0.0.1')", "pong").await;
        // OTP connects to the others through `global`, in the background.
        erl.check(
            "(fun L() -> case lists:sort(nodes()) of [_, _, _] = All -> All; _ -> L() end end)()",
            "['a@127.0.0.1','b@127.0.0.1','c@127.0.0.1']",
        )
        .await;
        erl.check("global:sync()", "ok").await;
        erl.check(
            "[erpc:call(N, demo, add, [2, 3]) || N <- nodes()]",
            "[5,5,5]",
        )
        .await;
        erl.check(
            "lists:sort(erpc:call('c@127.0.0.1', erlang, nodes, []))",
            "['a@127.0.0.1','b@127.0.0.1','me@127.0.0.1']",
        )
        .await;
        erl.check("{echo, 'a@127.0.0.1'} ! {self(), hello}, receive {_, M} -> M after 30000 -> nothing end", "hello").await;
        erl.check("gen_server:call({counter, 'c@127.0.0.1'}, {add, 1})", "1")
            .await;
        erl.assert_nothing_logged();
        dev.signal("TERM");
        let done = tokio::task::spawn_blocking(move || dev.finish())
            .await
            .unwrap();
        assert_eq!(done.status, Some(0), "{}", done.err);
        erl.check(
            "(fun L() -> case nodes() of [] -> left; _ -> L() end end)()",
            "left",
        )
        .await;
        erl.assert_nothing_logged();
    }
}

/// README's cluster, which makes the cookie of a home without one.
async fn cluster_of_readme(net: &otp::Net) -> Running {
    start_one(command_at_home(net, &["dev"]), 3).await
}

/// README's commands, which ask a node `me`.
async fn readmes_commands_hold(net: &otp::Net) {
    for (args, answer) in readme::for_the_shell() {
        let done = run_one(command_at_home(net, &args)).await;
        assert_eq!(done, printed(&format!("{answer}\n")), "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readmes_lines_hold_in_erl_and_for_the_shell_beside_it() {
    for release in RELEASES {
        let net = otp::Net::new().await;
        let _dev = cluster_of_readme(&net).await;
        let cookie = std::fs::read_to_string(net.folder().join(".erlang.cookie")).unwrap();
        let mut erl = net.erl_with(release, "me", &cookie, &[]).await;
        for (code, answer) in readme::for_erl() {
            // "A moment later" for what `global` does in the background, at once for all else.
            let deadline = Instant::now() + support::PATIENCE;
            while code.contains("nodes()") && erl.eval(code).await != answer {
                assert!(Instant::now() < deadline, "`{code}` is never {answer}");
            }
            erl.check(code, answer).await;
        }
        readmes_commands_hold(&net).await;
        erl.assert_nothing_logged();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readmes_lines_hold_in_iex_and_for_the_shell_beside_it() {
    let net = otp::Net::new().await;
    let _dev = cluster_of_readme(&net).await;
    let (home, mapper) = (net.folder().to_owned(), net.port());
    let typing = move || {
        let mut iex = Iex::start("me@127.0.0.1", &home, mapper);
        for (code, answer) in readme::for_iex() {
            assert_eq!(iex.eval(code), answer, "`{code}`");
        }
        iex
    };
    let _iex = tokio::task::spawn_blocking(typing).await.unwrap();
    readmes_commands_hold(&net).await;
}

/// What OTP has of the node `a`: a link and a monitor of a process, a monitor of a name, one of the node,
/// and a process of its own there that it is linked to.
const TIES: &str = "N = 'a@127.0.0.1', process_flag(trap_exit, true), \
    net_kernel:monitor_nodes(true, #{nodedown_reason => true}), pong = net_adm:ping(N), \
    receive {nodeup, N, _} -> ok end, \
    P = erpc:call(N, erlang, whereis, [echo]), link(P), M = monitor(process, P), \
    MN = monitor(process, {counter, N}), monitor_node(N, true), \
    C = erpc:call(N, erlang, whereis, [counter]), 5 = gen_server:call(C, {add, 5}), \
    S = spawn_link(N, demo, sleep, [600000]), \
    Told = fun() -> receive {'EXIT', P, R} -> {exit, R}; {'EXIT', S, R} -> {exit_of_own, R}; \
      {'DOWN', M, process, P, R} -> {down, R}; {'DOWN', MN, process, {counter, N}, R} -> {down_of_name, R}; \
      {nodedown, N} -> nodedown; {nodedown, N, #{nodedown_reason := R}} -> {nodedown, R} \
      after 60000 -> nothing end end, \
    erpc:call(N, erlang, is_process_alive, [S])";

/// All that OTP is told when the node is gone, sorted.
const LOST: &str = "lists:sort([Told() || _ <- lists:seq(1, 6)])";

fn lost(reason: &str) -> String {
    format!(
        "[nodedown,{{down,noconnection}},{{down_of_name,noconnection}},{{exit,noconnection}},\
         {{exit_of_own,noconnection}},{{nodedown,{reason}}}]"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn otp_loses_all_ties_to_a_killed_node_and_none_of_them_reaches_its_successor() {
    let demo = ["start", "--name", "a@127.0.0.1", "--app", "demo"];
    for release in RELEASES {
        let net = otp::Net::new().await;
        let node = start(&net, &demo, 1).await;
        let mut erl = net.erl(release, "erl").await;
        erl.check(TIES, "true").await;
        node.signal("KILL");
        erl.check(LOST, &lost("connection_closed")).await;
        drop(node);
        let _node = start(&net, &demo, 1).await;
        erl.check("net_adm:ping(N)", "pong").await;
        erl.check(
            "P =/= erpc:call(N, erlang, whereis, [echo]) andalso \
             link(P), receive {'EXIT', P, Old} -> Old after 60000 -> late end",
            "noproc",
        )
        .await;
        erl.assert_nothing_logged();
    }
}

/// Frozen past the tick time: OTP gives the node up. Thawed, it is the same node, whose processes live;
/// those that OTP was linked to are not.
async fn otp_gives_a_frozen_node_up(release: otp::Release) {
    let net = otp::Net::new().await;
    let node = start(
        &net,
        &["start", "--name", "a@127.0.0.1", "--app", "demo"],
        1,
    )
    .await;
    let quick = ["-kernel", "net_ticktime", "4"];
    let mut erl = net.erl_with(release, "erl", &net.cookie, &quick).await;
    erl.check(TIES, "true").await;
    node.signal("STOP");
    erl.check(LOST, &lost("net_tick_timeout")).await;
    node.signal("CONT");
    erl.check("net_adm:ping(N)", "pong").await;
    erl.check(
        "receive {nodeup, N, _} -> nodes() after 60000 -> late end",
        "['a@127.0.0.1']",
    )
    .await;
    erl.check(
        "M2 = monitor(process, C), {gen_server:call(C, {add, 1}), demonitor(M2, [info])}",
        "{6,true}",
    )
    .await;
    // Neither of them traps exits: the lost link was the end of them.
    erl.check(
        "(fun L() -> case [erpc:call(N, erlang, is_process_alive, [Linked]) || Linked <- [S, P]] of \
         [false, false] -> ended; _ -> L() end end)()",
        "ended",
    )
    .await;
    erl.check("global:sync()", "ok").await;
    erl.assert_nothing_logged_but("not responding");
}

#[tokio::test(flavor = "multi_thread")]
async fn otp_gives_a_frozen_node_up_and_takes_it_back_when_it_is_thawed() {
    tokio::join!(
        otp_gives_a_frozen_node_up(RELEASES[0]),
        otp_gives_a_frozen_node_up(RELEASES[1])
    );
}

/// The third of three nodes, in an OS process of its own.
enum Third {
    Purlin(Running),
    Otp(Box<otp::Erl>),
}

impl Third {
    fn signal(&self, signal: &str) {
        let pid = match self {
            Self::Purlin(node) => node.id(),
            Self::Otp(erl) => erl.os_pid(),
        };
        support::signal(pid, signal);
    }

    /// Waits until it has lost everybody.
    async fn is_alone(&mut self, net: &otp::Net) {
        let asking = ["call", "c@127.0.0.1", "erlang", "nodes", "[]"];
        match self {
            Self::Purlin(_) => wait_for(net, &asking, "[]\n").await,
            Self::Otp(erl) => erl.check(&until_nodes(&[]), "ok").await,
        }
    }
}

/// Waits until these are connected.
fn until_nodes(expected: &[&str]) -> String {
    let names: Vec<String> = expected
        .iter()
        .map(|alive| format!("'{alive}@127.0.0.1'"))
        .collect();
    let names = names.join(",");
    format!("(fun L() -> case lists:sort(nodes()) of [{names}] -> ok; _ -> L() end end)()")
}

/// What is told of nodes from now on; `Next` waits for it.
const WATCH: &str = "net_kernel:monitor_nodes(true, #{nodedown_reason => true}), \
    Next = fun(T) -> receive {nodeup, N, _} -> {up, N}; {nodedown, N, #{nodedown_reason := R}} -> {R, N} \
      after T -> nothing end end, ok";

/// Two OTP nodes give the third up, which is frozen, and keep each other. Thawed, it has lost both, and
/// stays alone until one of them calls it.
async fn frozen_among_three(third: Option<otp::Release>) {
    let net = otp::Net::new().await;
    let quick = ["-kernel", "net_ticktime", "4"];
    let mut a = net.erl_with(RELEASES[0], "a", &net.cookie, &quick).await;
    let mut b = net.erl_with(RELEASES[1], "b", &net.cookie, &quick).await;
    let mut c = match third {
        Some(release) => {
            let erl = net.erl_with(release, "c", &net.cookie, &quick).await;
            Third::Otp(Box::new(erl))
        }
        None => Third::Purlin(start(&net, &["start", "--name", "c@127.0.0.1"], 1).await),
    };
    a.check("net_adm:ping('b@127.0.0.1')", "pong").await;
    three_meet(&mut a, &mut b).await;
    a.check(WATCH, "ok").await;
    b.check(WATCH, "ok").await;
    c.signal("STOP");
    for erl in [&mut a, &mut b] {
        let given_up = "{net_tick_timeout,'c@127.0.0.1'}";
        erl.check("Next(60000)", given_up).await;
    }
    c.signal("CONT");
    c.is_alone(&net).await;
    for (erl, other) in [(&mut a, "b"), (&mut b, "a")] {
        erl.check("Next(500)", "nothing").await;
        erl.check(&until_nodes(&[other]), "ok").await;
    }
    three_meet(&mut a, &mut b).await;
    for erl in [&a, &b] {
        let log = erl.log();
        let reports = log.split("REPORT====").skip(1);
        let is_due = |it: &str| it.contains("not responding") || it.contains(OTP_RACE);
        assert!(reports.clone().all(is_due), "{log}");
    }
}

/// What OTP logs of a node that another has reported lost, before it sees it itself.
const OTP_RACE: &str = "in order to prevent overlapping partitions";

/// `a` calls `c`, and all three know each other.
async fn three_meet(a: &mut otp::Erl, b: &mut otp::Erl) {
    a.check("net_adm:ping('c@127.0.0.1')", "pong").await;
    for (erl, others) in [(a, ["b", "c"]), (b, ["a", "c"])] {
        erl.check(&until_nodes(&others), "ok").await;
        erl.check("global:sync()", "ok").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_otp_nodes_give_a_frozen_third_up_and_keep_each_other_be_it_purlin_or_otp() {
    tokio::join!(
        frozen_among_three(None),
        frozen_among_three(Some(RELEASES[1]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn multi_calls_and_casts_reach_the_counters_of_all_nodes() {
    for release in RELEASES {
        let net = otp::Net::new().await;
        let named = |name: &'static str| ["start", "--name", name, "--app", "demo"];
        let _a = start(&net, &named("a@127.0.0.1"), 1).await;
        let _b = start(&net, &named("b@127.0.0.1"), 1).await;
        let mut erl = net.erl(release, "erl").await;
        erl.check(
            "A = 'a@127.0.0.1', B = 'b@127.0.0.1', None = 'none@127.0.0.1', \
             All = fun(Request, Time) -> {Good, Bad} = gen_server:multi_call([A, B, None], counter, Request, Time), \
               {lists:sort(Good), lists:sort(Bad)} end, All({add, 3}, 60000)",
            "{[{'a@127.0.0.1',3},{'b@127.0.0.1',3}],['none@127.0.0.1']}",
        )
        .await;
        erl.check("gen_server:call({counter, B}, {add, 4})", "7")
            .await;
        erl.check(
            "gen_server:multi_call([A, B], nobody, get)",
            "{[],['a@127.0.0.1','b@127.0.0.1']}",
        )
        .await;
        // Casts and calls of one sender stay in order.
        erl.check("gen_server:abcast([A, B, None], counter, reset)", "abcast")
            .await;
        erl.check(
            "gen_server:multi_call([A, B], counter, get)",
            "{[{'a@127.0.0.1',0},{'b@127.0.0.1',0}],[]}",
        )
        .await;
        // Whoever is late counts as bad, and its answer is not heard.
        erl.check(
            "All({sleep, 300}, 50)",
            "{[],['a@127.0.0.1','b@127.0.0.1','none@127.0.0.1']}",
        )
        .await;
        erl.check(
            "{lists:sort(element(1, gen_server:multi_call([A, B], counter, {add, 1}))), \
              process_info(self(), message_queue_len)}",
            "{[{'a@127.0.0.1',1},{'b@127.0.0.1',1}],{message_queue_len,0}}",
        )
        .await;
        erl.check(
            "try gen_server:call({counter, A}, {sleep, 200}, 20) catch exit:{Late, _} -> Late end",
            "timeout",
        )
        .await;
        erl.check(
            "{gen_server:call({counter, A}, get), process_info(self(), message_queue_len)}",
            "{1,{message_queue_len,0}}",
        )
        .await;
        // A crash answers nobody; both start again.
        erl.check(
            "All(crash, 60000)",
            "{[],['a@127.0.0.1','b@127.0.0.1','none@127.0.0.1']}",
        )
        .await;
        erl.check(
            "(fun L() -> case gen_server:multi_call([A, B], counter, get) of {_, []} = Fresh -> Fresh; _ -> L() end end)()",
            "{[{'a@127.0.0.1',0},{'b@127.0.0.1',0}],[]}",
        )
        .await;
        erl.assert_nothing_logged();
    }
}

//! Cases of OTP's suites that need nodes of both kinds, with both releases: requests that are collected, stops, and
//! calls and casts to another node, before and after the end of what they reach.

#[path = "../../node/tests/support/mod.rs"]
mod otp;

use std::time::Duration;

use machine::Machine;
use otp::{Erl, Net, PATIENCE, RELEASES, Release};
use purlin::behaviours::{CallError, call, cast, stop};
use purlin::prelude::*;
use purlin::runtime::{Reason, SendError};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// Answers `{wait, Ms}` after so many milliseconds, `hold` when it is told to `answer_all`, and other calls
/// meanwhile; takes its time to end.
#[derive(Default)]
struct Waiter {
    held: Vec<ReplyTo<u64>>,
}

#[purlin::gen_server]
impl GenServer for Waiter {
    async fn terminate(&mut self, _: &Reason, _: &mut Context<Self>) {
        tokio::time::sleep(SLOW_END).await;
    }

    #[call]
    async fn wait(&mut self, ms: u64, from: ReplyTo<u64>, ctx: &mut Context<Self>) {
        reply_after(ms, from, ctx);
    }

    #[call]
    fn hold(&mut self, from: ReplyTo<u64>) {
        self.held.push(from);
    }

    #[call]
    async fn answer_all(&mut self) -> u64 {
        answer_all(&mut self.held).await
    }

    #[call]
    fn fall(&mut self, ctx: &mut Context<Self>) -> bool {
        ctx.stop(atom!("fallen"));
        true
    }

    #[call(Term)]
    fn anything_else(&self, request: Term) -> Term {
        request
    }
}

const SLOW_END: Duration = Duration::from_millis(200);

fn reply_after<M: purlin::runtime::Message>(ms: u64, from: ReplyTo<u64>, process: &Process<M>) {
    let replying = async move |_: Process<()>| {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        from.reply(ms).await;
    };
    process.runtime().spawn(replying).unwrap();
}

/// Answers all; how many that were is to be answered last.
async fn answer_all(held: &mut Vec<ReplyTo<u64>>) -> u64 {
    let held = std::mem::take(held);
    let count = held.len() as u64;
    for from in held {
        from.reply(0).await;
    }
    count
}

/// The same as a state machine.
mod machine {
    use purlin::behaviours::Statem;
    use purlin::prelude::*;
    use purlin::runtime::Reason;

    use super::{SLOW_END, answer_all, reply_after};

    #[purlin::message]
    #[derive(PartialEq)]
    pub(super) enum Only {
        State,
    }

    #[purlin::events]
    pub(super) enum Waiting {
        #[call]
        Wait(u64, ReplyTo<u64>),
        #[call]
        Hold(ReplyTo<u64>),
        #[call]
        AnswerAll(ReplyTo<u64>),
    }

    #[derive(Default)]
    pub(super) struct Machine {
        held: Vec<ReplyTo<u64>>,
    }

    impl GenStatem for Machine {
        type State = Only;
        type Event = Waiting;

        async fn init(&mut self, _: &mut StatemContext<'_, Self>) -> Result<Only, InitError> {
            Ok(Only::State)
        }

        async fn handle_event(
            &mut self,
            _: &Only,
            event: Waiting,
            ctx: &mut StatemContext<'_, Self>,
        ) {
            match event {
                Waiting::Wait(ms, from) => reply_after(ms, from, ctx),
                Waiting::Hold(from) => self.held.push(from),
                Waiting::AnswerAll(from) => {
                    let count = answer_all(&mut self.held).await;
                    from.reply(count).await;
                }
            }
        }

        async fn terminate(&mut self, _: &Reason, _: &Only, _: &mut Context<Statem<Self>>) {
            tokio::time::sleep(SLOW_END).await;
        }
    }
}

/// A node with a server and a state machine, and a shell that knows its processes by `Is`.
async fn node(net: &Net, release: Release) -> (Node, Erl) {
    let node = net.node("a").await;
    let named = |name: Atom| ServerOptions::default().name(name);
    let server = Waiter::default().start_with(&node, named(atom!("gen_server")));
    server.await.unwrap();
    let machine = Machine::default().start_with(&node, named(atom!("gen_statem")));
    machine.await.unwrap();
    let mut erl = net.erl(release, "erl").await;
    erl.check(
        "A = 'a@127.0.0.1', Is = fun(Name) -> rpc:call(A, erlang, whereis, [Name]) end, \
         Queued = fun() -> process_info(self(), message_queue_len) end, ok",
        "ok",
    )
    .await;
    (node, erl)
}

/// The modules of OTP by which a shell asks, and under whose names what they ask is registered.
const MODULES: [&str; 2] = ["gen_server", "gen_statem"];

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_collects_requests_and_takes_their_replies_in_each_way() {
    for release in RELEASES {
        let net = Net::new().await;
        let (_node, mut erl) = node(&net, release).await;
        for module in MODULES {
            let three = format!(
                "Ask{module} = fun(Times) -> lists:foldl(fun(Ms, Col) -> \
                   {module}:send_request({{{module}, A}}, {{wait, Ms}}, {{label, Ms}}, Col) end, \
                   {module}:reqids_new(), Times) end, ok"
            );
            erl.check(&three, "ok").await;
            // The replies by their order in time, each with its label, and then no more.
            for receive in ["receive_response", "wait_response"] {
                let replies = format!(
                    "(fun() -> C0 = Ask{module}([400, 1, 200]), 3 = {module}:reqids_size(C0), \
                     {{R1, L1, C1}} = {module}:{receive}(C0, 60000, true), \
                     {{R2, L2, C2}} = {module}:{receive}(C1, 60000, true), \
                     {{R3, L3, C3}} = {module}:{receive}(C2, 60000, true), \
                     {{[R1, R2, R3], [L1, L2, L3], {module}:{receive}(C3, 60000, true), Queued()}} end)()"
                );
                erl.check(
                    &replies,
                    "{[{reply,1},{reply,200},{reply,400}],[{label,1},{label,200},{label,400}],\
                     no_request,{message_queue_len,0}}",
                )
                .await;
            }
            // Each message is looked at: one that is none of the replies is said to be none.
            let checked = format!(
                "(fun() -> C0 = Ask{module}([100, 1]), \
                 Check = fun(C) -> receive Msg -> {module}:check_response(Msg, C, true) end end, \
                 {{{{reply, R1}}, L1, C1}} = Check(C0), {{{{reply, R2}}, L2, C2}} = Check(C1), \
                 self() ! stray, {{R1, L1, R2, L2, Check(C2), {module}:check_response(stray, C0, true)}} end)()"
            );
            erl.check(
                &checked,
                "{1,{label,1},100,{label,100},no_request,no_reply}",
            )
            .await;
            // What comes after a collection was given up comes nowhere: replies go by alias. They go before the
            // answer to who has those answered that wait.
            let late = format!(
                "(fun() -> Hold = fun(N, Col) -> {module}:send_request({{{module}, A}}, hold, N, Col) end, \
                 C = lists:foldl(Hold, {module}:reqids_new(), [1, 2]), \
                 timeout = {module}:wait_response(C, 0, true), timeout = {module}:receive_response(C, 10, true), \
                 2 = {module}:call({{{module}, A}}, answer_all), Queued() end)()"
            );
            erl.check(&late, "{message_queue_len,0}").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_hears_in_a_collection_that_a_server_ended() {
    for release in RELEASES {
        let net = Net::new().await;
        let (_node, mut erl) = node(&net, release).await;
        erl.check(
            "(fun() -> C0 = gen_server:send_request({gen_server, A}, {wait, 60000}, one, gen_server:reqids_new()), \
             C1 = gen_server:send_request({nobody, A}, {wait, 1}, two, C0), \
             {{error, {noproc, {nobody, A}}}, two, C2} = gen_server:receive_response(C1, 60000, true), \
             true = gen_server:call({gen_server, A}, fall), \
             {{error, {fallen, {gen_server, A}}}, one, C3} = gen_server:receive_response(C2, 60000, true), \
             gen_server:reqids_size(C3) end)()",
            "0",
        )
        .await;
        let stopped = "try gen_server:call({gen_server, A}, x) catch exit:{Why, _} -> Why end";
        erl.check(stopped, "noproc").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_that_stops_a_process_waits_for_its_terminate_by_name_and_by_pid() {
    for release in RELEASES {
        let net = Net::new().await;
        let (node, mut erl) = node(&net, release).await;
        for module in MODULES {
            let stopped = |to: &str| {
                format!(
                    "(fun(Pid) -> {{Us, ok}} = timer:tc(fun() -> {module}:stop({to}, normal, 60000) end), \
                     {{Us >= 200000, rpc:call(A, erlang, is_process_alive, [Pid])}} end)(Is({module}))"
                )
            };
            let by_name = stopped(&format!("{{{module}, A}}"));
            erl.check(&by_name, "{true,false}").await;
            let again = format!(
                "[try {module}:stop({{Name, Node}}) catch exit:{{{{nodedown, Node}}, _}} -> nodedown; exit:Why -> Why end \
                  || {{Name, Node}} <- [{{{module}, A}}, {{{module}, 'none@127.0.0.1'}}]]"
            );
            let expected = "[noproc,nodedown]";
            erl.check(&again, expected).await;
            let named =
                |name: &'static str| ServerOptions::default().name(Atom::new(name).unwrap());
            match module {
                "gen_server" => drop(
                    Waiter::default()
                        .start_with(&node, named(module))
                        .await
                        .unwrap(),
                ),
                _ => drop(
                    Machine::default()
                        .start_with(&node, named(module))
                        .await
                        .unwrap(),
                ),
            }
            erl.check(&stopped("Pid"), "{true,false}").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_multi_call_tells_a_node_that_goes_down_meanwhile_from_those_that_answer() {
    for release in RELEASES {
        let net = Net::new().await;
        let (_node, mut erl) = node(&net, release).await;
        let other = net.node("b").await;
        let b = Waiter::default()
            .start_with(&other, ServerOptions::default().name(atom!("gen_server")));
        b.await.unwrap();
        erl.check(
            "Me = self(), B = 'b@127.0.0.1', \
             spawn(fun() -> Me ! gen_server:multi_call([A, B], gen_server, {wait, 1000}, 60000) end), \
             gen_server:call({gen_server, B}, there)",
            "there",
        )
        .await;
        other.stop(PATIENCE).await;
        let answers = "receive Answers -> Answers end";
        erl.check(answers, "{[{'a@127.0.0.1',1000}],['b@127.0.0.1']}")
            .await;
    }
}

/// A server of OTP's, whose module is compiled by OTP 25, since that has the compiler.
const OTP_SERVER: &str = "
-module(waiter).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).
init(Name) -> register(Name, self()), {ok, []}.
handle_call({wait, Ms}, From, S) -> erlang:send_after(Ms, self(), {reply, From, Ms}), {noreply, S};
handle_call({fall, Reason}, _, S) -> {stop, Reason, falling, S};
handle_call(get, _, S) -> {reply, S, S}.
handle_cast(Cast, S) -> {noreply, [Cast | S]}.
handle_info({reply, From, Ms}, S) -> gen_server:reply(From, Ms), {noreply, S}.
terminate(_, _) -> timer:sleep(200).
";

/// A node of ours, and one of OTP's with a server under the name `waiter`.
async fn otp_server(net: &Net, release: Release) -> (Node, Erl) {
    let source = net.folder().join("waiter.erl");
    std::fs::write(&source, OTP_SERVER).unwrap();
    let folder = net.folder().display();
    let mut compiler = net.erl(Release::Otp25, "compiler").await;
    let compile = format!("compile:file(\"{folder}/waiter\", [{{outdir, \"{folder}\"}}])");
    compiler.check(&compile, "{ok,waiter}").await;
    let mut erl = net.erl(release, "erl").await;
    let load = format!("element(1, code:load_abs(\"{folder}/waiter\"))");
    erl.check(&load, "module").await;
    start_waiter(&mut erl).await;
    (net.node("a").await, erl)
}

async fn start_waiter(erl: &mut Erl) {
    erl.check("element(1, gen_server:start(waiter, waiter, []))", "ok")
        .await;
}

/// Anything that takes calls and casts of terms.
struct Any;

#[purlin::gen_server]
impl GenServer for Any {
    #[call(Term)]
    fn ask(&mut self, request: Term) -> Term {
        request
    }

    #[cast(Term)]
    fn tell(&mut self, message: Term) {
        drop(message);
    }
}

fn term(text: &str) -> Term {
    Term::parse(text).unwrap()
}

fn waiter() -> Target {
    Target::Name(Atom::new("waiter").unwrap(), otp::name("erl"))
}

async fn waiter_pid(node: &Node, erl: &mut Erl) -> Pid {
    let pid = node.erpc_call(
        otp::name("erl"),
        "erlang",
        "whereis",
        (atom!("waiter"),),
        PATIENCE,
    );
    let pid = pid.await.unwrap();
    erl.check("is_pid(whereis(waiter))", "true").await;
    pid.as_pid().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn we_collect_requests_to_servers_of_otp() {
    for release in RELEASES {
        let net = Net::new().await;
        let (node, mut erl) = otp_server(&net, release).await;
        let pid = waiter_pid(&node, &mut erl).await;
        let by_name = ServerRef::<Any>::of(&node, waiter());
        let by_pid = ServerRef::<Any>::of(&node, pid);
        let mut requests = Requests::new();
        for (server, ms) in [(&by_name, 400), (&by_pid, 1), (&by_name, 200)] {
            requests.add(server.send_request(term(&format!("{{wait,{ms}}}"))), ms);
        }
        assert!(requests.check_response().is_none());
        for ms in [1, 200, 400] {
            let answered = requests.receive_response(PATIENCE).await.unwrap();
            let (label, reply) = answered.unwrap();
            assert_eq!((label, reply.unwrap()), (ms, Term::from(ms)));
        }
        assert!(requests.wait_response(PATIENCE).await.unwrap().is_none());
        // One that is given up disturbs nobody; the end of a server is told to each that waits.
        let mut given_up = by_pid.send_request(term("{wait,100}"));
        assert!(
            given_up
                .wait_response(Duration::from_millis(1))
                .await
                .is_none()
        );
        drop(given_up);
        requests.add(by_pid.send_request(term("{wait,60000}")), 60_000);
        requests.add(by_name.send_request(term("{fall,tripped}")), 0);
        let (label, reply) = requests.wait_response(PATIENCE).await.unwrap().unwrap();
        assert_eq!((label, reply.unwrap().to_string().as_str()), (0, "falling"));
        let (_, reply) = requests.wait_response(PATIENCE).await.unwrap().unwrap();
        let Err(CallError::Ended(reason)) = reply else {
            panic!("{reply:?}");
        };
        assert_eq!(reason.to_string(), "tripped");
        requests.add(by_name.send_request(term("get")), 1);
        let (_, reply) = requests.wait_response(PATIENCE).await.unwrap().unwrap();
        assert!(matches!(reply, Err(CallError::NoProcess)), "{reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_and_casts_reach_a_server_of_another_node_until_it_or_its_node_has_ended() {
    for release in RELEASES {
        let net = Net::new().await;
        let (node, mut erl) = otp_server(&net, release).await;
        let runtime = node.runtime();
        let pid = waiter_pid(&node, &mut erl).await;
        for to in [Target::Pid(pid), waiter()] {
            cast(runtime, to.clone(), &term("hello")).await.unwrap();
            let heard = call(runtime, to, &term("get"), PATIENCE).await.unwrap();
            assert!(heard.to_string().starts_with("[hello"), "{heard}");
        }
        erl.check("gen_server:stop(waiter)", "ok").await;
        for to in [Target::Pid(pid), waiter()] {
            cast(runtime, to.clone(), &term("hello")).await.unwrap();
            let gone = call(runtime, to, &term("get"), PATIENCE).await.unwrap_err();
            assert!(matches!(gone, CallError::NoProcess), "{gone}");
        }
        start_waiter(&mut erl).await;
        let pid = waiter_pid(&node, &mut erl).await;
        let waiting = term("{wait,60000}");
        let waiting = [Target::Pid(pid), waiter()]
            .map(|to| ServerRef::<Any>::of(&node, to).send_request(waiting.clone()));
        // It has the requests, since it has answered one that came after them.
        call(runtime, pid, &term("get"), PATIENCE).await.unwrap();
        erl.kill().await;
        for waiting in waiting {
            let lost = waiting.receive_response(PATIENCE).await.unwrap_err();
            assert!(matches!(lost, CallError::Disconnected(_)), "{lost}");
        }
        // Nobody answers for the node any more: that is told at once, and not after the time of a call.
        let before = Instant::now();
        for to in [Target::Pid(pid), waiter()] {
            let lost = call(runtime, to.clone(), &term("get"), PATIENCE)
                .await
                .unwrap_err();
            let is_lost = matches!(
                lost,
                CallError::Disconnected(_) | CallError::NotSent(SendError::NotConnected { .. })
            );
            assert!(is_lost, "{lost}");
            // As in OTP, a cast is gone without a word.
            cast(runtime, to, &term("hello")).await.unwrap();
        }
        assert!(before.elapsed() < PATIENCE);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn we_stop_a_server_of_another_node_and_wait_for_its_terminate() {
    for release in RELEASES {
        let net = Net::new().await;
        let (node, mut erl) = otp_server(&net, release).await;
        let runtime = node.runtime();
        let before = Instant::now();
        let normal = atom!("normal");
        stop(runtime, waiter(), normal.clone(), PATIENCE)
            .await
            .unwrap();
        assert!(before.elapsed() >= SLOW_END);
        erl.check("whereis(waiter)", "undefined").await;
        let again = stop(runtime, waiter(), normal.clone(), PATIENCE).await;
        assert!(matches!(again, Err(CallError::NoProcess)), "{again:?}");
        start_waiter(&mut erl).await;
        let pid = waiter_pid(&node, &mut erl).await;
        let early = stop(runtime, pid, atom!("shutdown"), SLOW_END / 4).await;
        assert!(matches!(early, Err(CallError::TimedOut(_))), "{early:?}");
        let gone = stop(runtime, pid, atom!("shutdown"), PATIENCE).await;
        // It is ending: whoever stops it again hears with what it ends, or comes too late.
        assert!(
            matches!(gone, Ok(()) | Err(CallError::NoProcess)),
            "{gone:?}"
        );
        let nowhere = Target::Name(atom!("waiter"), otp::name("none"));
        let lost = stop(runtime, nowhere, normal, SECOND).await.unwrap_err();
        let is_lost = matches!(
            lost,
            CallError::Disconnected(_) | CallError::NotSent(SendError::NotConnected { .. })
        );
        assert!(is_lost, "{lost}");
    }
}

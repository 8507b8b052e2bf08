//! OTP shells, both releases, look into servers and supervisors of a node and steer them.

#[path = "../../node/tests/support/mod.rs"]
mod otp;
mod support;

use otp::{Erl, RELEASES, Release};
use purlin::prelude::*;
use support::{Running, purlin};

/// A node with the demo, and a shell that knows its counter as `C` and its supervisor as `S`.
async fn demo(net: &otp::Net, release: Release) -> (Running, Erl) {
    let args = ["start", "--name", "a@127.0.0.1", "--app", "demo"];
    let mut command = purlin(&args);
    command.env("ERL_EPMD_PORT", net.port().to_string());
    command.env("PURLIN_COOKIE", &net.cookie);
    let start = move || {
        let running = Running::spawn(&mut command);
        let line = running.line();
        assert!(line.starts_with("ready "), "{line}");
        running
    };
    let running = tokio::task::spawn_blocking(start).await.unwrap();
    let mut erl = net.erl(release, "erl").await;
    let names = "C = {counter, 'a@127.0.0.1'}, S = {demo_sup, 'a@127.0.0.1'}, \
                 Is = fun(Name) -> rpc:call('a@127.0.0.1', erlang, whereis, [Name]) end, ok";
    erl.check(names, "ok").await;
    (running, erl)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_sees_and_changes_the_state_of_a_server() {
    for release in RELEASES {
        let net = otp::Net::new().await;
        let (_node, mut erl) = demo(&net, release).await;
        erl.check("gen_server:call(C, {add, 5})", "5").await;
        erl.check("sys:get_state(C)", "5").await;
        // A function would have to run there; a value is taken.
        erl.check("sys:replace_state(C, 40)", "40").await;
        erl.check("gen_server:call(C, {add, 2})", "42").await;
        erl.check(
            "{'EXIT', {notsup, _}} = (catch sys:replace_state(C, fun(N) -> N + 1 end)), ok",
            "ok",
        )
        .await;
        erl.check("gen_server:call(C, get)", "42").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_suspends_a_server_and_lets_it_go_on() {
    for release in RELEASES {
        let net = otp::Net::new().await;
        let (_node, mut erl) = demo(&net, release).await;
        erl.check("sys:suspend(C)", "ok").await;
        erl.check(
            "{'EXIT', {timeout, _}} = (catch gen_server:call(C, {add, 1}, 300)), sys:get_state(C)",
            "0",
        )
        .await;
        erl.check(
            "{status, Pid, {module, _}, [_, suspended, _, [], Misc]} = sys:get_status(C), \
             {Pid =:= Is(counter), length(Misc), proplists:get_value(header, Misc)}",
            "{true,3,\"Status for generic server counter\"}",
        )
        .await;
        // The call that was given up is carried out now.
        erl.check("{sys:resume(C), gen_server:call(C, get)}", "{ok,1}")
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_traces_logs_and_counts_what_a_server_takes() {
    for release in RELEASES {
        let net = otp::Net::new().await;
        let (_node, mut erl) = demo(&net, release).await;
        erl.check(
            "[sys:trace(C, true), sys:log(C, true), sys:statistics(C, true)]",
            "[ok,ok,ok]",
        )
        .await;
        erl.check(
            "[gen_server:call(C, get), gen_server:cast(C, reset)]",
            "[0,ok]",
        )
        .await;
        erl.check(
            "{ok, [{in, {'$gen_call', Me, get}}, {in, {'$gen_cast', reset}}]} = sys:log(C, get), \
             Me =:= self()",
            "true",
        )
        .await;
        erl.check(
            "{ok, Stats} = sys:statistics(C, get), {{_, _, _}, {_, _, _}} = proplists:get_value(start_time, Stats), \
             proplists:get_value(messages_in, Stats)",
            "2",
        )
        .await;
        erl.check(
            "[sys:no_debug(C), sys:log(C, get), sys:statistics(C, get)]",
            "[ok,{ok,[]},{ok,no_statistics}]",
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_a_shell_stops_is_started_again_by_its_supervisor() {
    for release in RELEASES {
        let net = otp::Net::new().await;
        let (_node, mut erl) = demo(&net, release).await;
        erl.check("Old = Is(counter), gen_server:call(C, {add, 7})", "7")
            .await;
        erl.check("gen_server:stop(C, shutdown, 5000)", "ok").await;
        // What asks the supervisor has waited for the start of the child.
        erl.check(
            "[{specs,2},{active,2},{supervisors,0},{workers,2}] = supervisor:count_children(S), \
             New = Is(counter), {New =:= Old, is_pid(New), gen_server:call(C, get)}",
            "{false,true,0}",
        )
        .await;
        erl.check(
            "{'EXIT', {Panic, _}} = (catch gen_server:call(C, crash)), element(1, Panic)",
            "panic",
        )
        .await;
        erl.check(
            "{supervisor:count_children(S) =/= [], gen_server:call(C, get)}",
            "{true,0}",
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_manages_the_children_of_a_supervisor() {
    for release in RELEASES {
        let net = otp::Net::new().await;
        let (_node, mut erl) = demo(&net, release).await;
        erl.check(
            "[{echo, Echo, worker, []}, {<<\"counter\">>, Counter, worker, []}] = supervisor:which_children(S), \
             {Echo =:= Is(echo), Counter =:= Is(counter)}",
            "{true,true}",
        )
        .await;
        erl.check(
            "Spec = #{id => more, start => {demo, start_counter, []}, restart => transient}, \
             {ok, More} = supervisor:start_child(S, Spec), gen_server:call(More, {add, 3})",
            "3",
        )
        .await;
        erl.check(
            "supervisor:start_child(S, Spec) =:= {error, {already_started, More}}",
            "true",
        )
        .await;
        erl.check(
            "{ok, #{id := more, restart := transient, start := {demo, start_counter, []}}} = \
             supervisor:get_childspec(S, more), ok",
            "ok",
        )
        .await;
        erl.check("supervisor:terminate_child(S, more)", "ok").await;
        erl.check("supervisor:terminate_child(S, nobody)", "{error,not_found}")
            .await;
        erl.check(
            "{ok, Again} = supervisor:restart_child(S, more), gen_server:call(Again, get)",
            "0",
        )
        .await;
        erl.check("supervisor:delete_child(S, more)", "{error,running}")
            .await;
        erl.check(
            "[supervisor:terminate_child(S, more), supervisor:delete_child(S, more)]",
            "[ok,ok]",
        )
        .await;
        // A cookie is no master key.
        erl.check(
            "{error, {{'EXIT', {undef, [{os, cmd, [\"id\"], []} | _]}}, {child, undefined, x, {os, cmd, [\"id\"]}, \
             permanent, false, 5000, worker, [os]}}} = \
             supervisor:start_child(S, #{id => x, start => {os, cmd, [\"id\"]}}), \
             supervisor:start_child(S, #{id => <<\"counter\">>, start => {os, cmd, []}}) =:= \
             {error, {already_started, Is(counter)}}",
            "true",
        )
        .await;
        erl.check(
            "sys:get_status(S) =/= timeout andalso length(supervisor:which_children(S))",
            "2",
        )
        .await;
    }
}

/// Knows the number of its partition.
struct Part(usize);

#[purlin::gen_server]
impl GenServer for Part {
    #[call]
    fn number(&self) -> u64 {
        self.0 as u64
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_sees_partitions_by_their_numbers() {
    for release in RELEASES {
        let net = otp::Net::new().await;
        let node = net.node("a").await;
        let parts = partitioned(3, Part).start(&node).await.unwrap();
        let supervisor = parts.supervisor().pid().unwrap();
        node.register(atom!("parts"), supervisor).unwrap();
        let mut erl = net.erl(release, "erl").await;
        erl.check(
            "S = {parts, 'a@127.0.0.1'}, lists:sort([{Id, gen_server:call(Pid, number), Type} || \
             {Id, Pid, Type, []} <- supervisor:which_children(S)])",
            "[{0,0,worker},{1,1,worker},{2,2,worker}]",
        )
        .await;
        erl.check(
            "{1, Old, _, _} = lists:keyfind(1, 1, supervisor:which_children(S)), \
             Monitor = monitor(process, Old), exit(Old, kill), receive {'DOWN', Monitor, _, _, _} -> ok end, \
             {1, New, _, _} = lists:keyfind(1, 1, supervisor:which_children(S)), \
             {New =:= Old, gen_server:call(New, number), supervisor:count_children(S)}",
            "{false,1,[{specs,3},{active,3},{supervisors,0},{workers,3}]}",
        )
        .await;
        let numbers = parts
            .all()
            .map(|part| async move { part.call(Number).await });
        for (expected, number) in numbers.enumerate() {
            assert_eq!(number.await.unwrap(), expected as u64);
        }
    }
}

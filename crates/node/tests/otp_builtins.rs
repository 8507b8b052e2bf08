//! The built-ins, asked of an OTP node and of a Purlin node by the same OTP node: the answers have one
//! shape, and mistakes end alike.

mod support;

use purlin_node::{Delivery, Mailbox, Node, Pid, atom};
use support::{Net, PATIENCE, RELEASES};

/// What a term looks like apart from its values: kinds, arities, tags of pairs, and the kinds of a
/// list's elements.
const SHAPE: &str = "S = fun S({T, V}) when is_atom(T) -> {T, S(V)}; \
     S(T) when is_tuple(T) -> list_to_tuple([S(E) || E <- tuple_to_list(T)]); \
     S(T) when is_list(T) -> case io_lib:printable_list(T) of true -> string; false -> \
        lists:usort([S(E) || E <- T]) end; \
     S(T) when is_boolean(T) -> boolean; S(T) when is_atom(T) -> atom; \
     S(T) when is_integer(T) -> integer; S(T) when is_float(T) -> float; \
     S(T) when is_pid(T) -> pid; S(T) when is_map(T) -> map; S(T) when is_binary(T) -> binary end, ok";

/// Both answers, or how the calls end, without the stack: whose code it names is the node's own affair.
const ASK: &str = "Ask = fun(N, M, F, A) -> try {ok, S(erpc:call(N, M, F, A))} catch \
     error:{exception, R, [{M, F, A, _} | _]} -> {raised, R, args}; \
     error:{exception, R, _} -> {raised, R}; C:R -> {C, R} end end, \
     Compare = fun(M, F, A, B) -> {Ask(node(), M, F, A), Ask('purlin@127.0.0.1', M, F, B)} end, ok";

/// A process with a name, a link and a monitor, that a message ends.
async fn start_worker(node: &Node) -> Pid {
    let worker = node.spawn(|mut mailbox: Mailbox| async move {
        mailbox.monitor(purlin_node::Target::Name(
            atom!("rex"),
            mailbox.node().name(),
        ));
        loop {
            if let Delivery::Message(_) = mailbox.receive().await {
                return;
            }
        }
    });
    let worker = worker.unwrap();
    node.register(atom!("worker"), worker).unwrap();
    worker
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_the_shape_of_otps() {
    // Arguments as Erlang text; `P` is a process of the node that is asked.
    let calls = [
        "erlang, node, []",
        "erlang, nodes, []",
        "erlang, nodes, [this]",
        "erlang, nodes, [[this, connected]]",
        "erlang, nodes, [nonsense]",
        "erlang, registered, []",
        "erlang, whereis, [worker]",
        "erlang, whereis, [nobody]",
        "erlang, whereis, [1]",
        "erlang, processes, []",
        "erlang, is_process_alive, [P]",
        "erlang, is_process_alive, [x]",
        "erlang, process_info, [P, registered_name]",
        "erlang, process_info, [P, message_queue_len]",
        "erlang, process_info, [P, [registered_name, status, trap_exit, group_leader]]",
        "erlang, process_info, [P, [memory, reductions, heap_size, priority]]",
        "erlang, process_info, [P, monitors]",
        "erlang, process_info, [P, monitored_by]",
        "erlang, process_info, [P, initial_call]",
        "erlang, process_info, [P, nonsense]",
        "erlang, process_info, [x]",
        "erlang, system_info, [otp_release]",
        "erlang, system_info, [version]",
        "erlang, system_info, [system_version]",
        "erlang, system_info, [system_architecture]",
        "erlang, system_info, [process_count]",
        "erlang, system_info, [process_limit]",
        "erlang, system_info, [schedulers]",
        "erlang, system_info, [schedulers_online]",
        "erlang, system_info, [logical_processors]",
        "erlang, system_info, [wordsize]",
        "erlang, system_info, [creation]",
        "erlang, system_info, [port_count]",
        "erlang, system_info, [ets_count]",
        "erlang, system_info, [atom_count]",
        "erlang, system_info, [nonsense]",
        "erlang, statistics, [wall_clock]",
        "erlang, statistics, [io]",
        "erlang, statistics, [run_queue]",
        "erlang, statistics, [run_queue_lengths]",
        "erlang, statistics, [total_run_queue_lengths]",
        "erlang, statistics, [reductions]",
        "erlang, statistics, [garbage_collection]",
        "erlang, statistics, [context_switches]",
        "erlang, statistics, [scheduler_wall_time]",
        "erlang, statistics, [nonsense]",
        "erlang, memory, []",
        "erlang, memory, [total]",
        "erlang, memory, [[total, processes]]",
        "erlang, memory, [nonsense]",
        "erlang, system_time, []",
        "erlang, system_time, [millisecond]",
        "erlang, system_time, [nonsense]",
        "erlang, function_exported, [erlang, node, 0]",
        "erlang, function_exported, [nobody, knows, 0]",
        "erlang, function_exported, [1, 2, 3]",
        "net_adm, ping, ['nobody@127.0.0.1']",
        "net_adm, localhost, []",
        "net_kernel, get_net_ticktime, []",
        "code, ensure_loaded, [erlang]",
        "code, ensure_loaded, [nobody_knows]",
        "application, which_applications, []",
        "erlang, no_such_function, []",
        "no_such_module, f, [1, 2]",
    ];
    for release in RELEASES {
        let net = Net::new().await;
        let node = net.node("purlin").await;
        start_worker(&node).await;
        let mut erl = net.erl(release, "erl").await;
        erl.eval(SHAPE).await;
        erl.eval(ASK).await;
        let worker = "W = spawn(fun() -> erlang:monitor(process, rex), receive _ -> ok end end), register(worker, W), ok";
        erl.eval(worker).await;
        erl.eval("Q = erpc:call('purlin@127.0.0.1', erlang, whereis, [worker]), ok")
            .await;
        let mut different = Vec::new();
        for call in calls {
            let (function, args) = call.split_once(", [").unwrap();
            let args = |pid: &str| format!("[{args}").replace("[P", &format!("[{pid}"));
            let compare = format!(
                "(fun() -> case Compare({function}, {}, {}) of {{X, X}} -> same; Other -> {{{call_text:?}, Other}} end end)()",
                args("W"),
                args("Q"),
                call_text = call,
            );
            match erl.eval(&compare).await {
                same if same == "same" => {}
                other => different.push(other),
            }
        }
        assert!(different.is_empty(), "{release:?}: {different:#?}");
        erl.assert_nothing_logged();
        node.stop(PATIENCE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn otps_tools_read_what_they_want() {
    for release in RELEASES {
        let net = Net::new().await;
        let node = net.node("purlin").await;
        let worker = start_worker(&node).await;
        let mut erl = net.erl(release, "erl").await;
        let info = "erpc:call('purlin@127.0.0.1', erlang, process_info, [erpc:call('purlin@127.0.0.1', erlang, whereis, [worker])])";
        let get = |key: &str| format!("proplists:get_value({key}, {info})");
        erl.check(&get("registered_name"), "worker").await;
        erl.check(&get("initial_call"), "{erlang,apply,2}").await;
        erl.check(&get("dictionary"), "[]").await;
        let release_number = "list_to_integer(erpc:call('purlin@127.0.0.1', erlang, system_info, [otp_release])) >= 25";
        erl.check(release_number, "true").await;
        erl.check(
            "is_binary(erpc:call('purlin@127.0.0.1', purlin, version, []))",
            "true",
        )
        .await;
        // An `erl` that evaluates for a test never gets so far.
        let status = "erpc:call('purlin@127.0.0.1', init, get_status, [])";
        erl.check(status, "{started,started}").await;
        erl.check("erpc:call('purlin@127.0.0.1', purlin, exports, [])", "[]")
            .await;
        assert!(node.is_process_alive(worker));
        erl.assert_nothing_logged();
        node.stop(PATIENCE).await;
    }
}

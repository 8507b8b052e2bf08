%% The BEAM as a system to be measured by the local bench: does one load, writes nanoseconds (or
%% bytes) on standard output and ends. The loads are described in `src/local/loads.rs`.
%%
%% - Whoever collects many messages has them off its heap, and is not the one that spawns.
%% - The end is told by an `atomics` counter, as in the Rust systems (`measure.rs`): whoever counts
%%   to the end sends the only message.
%% - Processes have the default heap, which is what a user gets.
%% - Nothing is logged, as in the Rust systems.
%% - This module is every behaviour's: what is started is the argument of `init/1`.
-module(local_bench).
-export([main/0]).
-export([init/1, handle_call/3, handle_cast/2, callback_mode/0, handle_event/4]).

%% Of one child each, for the restarts: see `loads.rs`.
-define(SUPERVISORS, 1024).

main() ->
    ok = logger:set_primary_config(level, none),
    [Load, Size, Operations] = init:get_plain_arguments(),
    Answer = run(list_to_atom(Load), list_to_integer(Size), list_to_integer(Operations)),
    io:format("~b~n", [Answer]),
    halt(0).

run(ping_pong, Size, Operations) -> ping_pong(Size, Operations div Size);
run(fan_in, Size, Operations) -> fan_in(Size, Operations div Size);
run(ring, Size, Operations) -> ring(Size, Operations);
run(call, Size, Operations) -> calls(Size, Operations div Size);
run(spawn, Size, _) -> spawn_and_end(Size);
run(idle, Size, _) -> idle(Size);
run(watch_many, Size, _) -> watch_many(Size);
run(many_watch, Size, _) -> many_watch(Size);
run(linked, Size, _) -> linked(Size);
run(restart, Size, Operations) -> restarts(Size, Operations div Size);
run(start_children, Size, _) -> start_children(Size);
run(stop_children, Size, _) -> stop_children(Size);
run(child_bytes, Size, _) -> child_bytes(Size);
run(transition, Size, Operations) -> transitions(Size, Operations div Size);
run(stream, Size, Operations) -> stream(Size, Operations).

%% L1

ping_pong(Pairs, RoundTrips) ->
    Latch = latch(Pairs),
    Players = each(Pairs, fun(_) ->
        {spawn(fun() -> play(RoundTrips, Latch) end), spawn(fun() -> play(infinity, Latch) end)}
    end),
    at_rest(),
    Start = now_ns(),
    [Ping ! {Pong, 0} || {Ping, Pong} <- Players],
    wait(Latch),
    now_ns() - Start.

play(0, Latch) ->
    receive {_, _} -> arrive(Latch) end;
play(infinity, Latch) ->
    receive {From, Number} -> From ! {self(), Number + 1} end,
    play(infinity, Latch);
play(Left, Latch) ->
    receive {From, Number} -> From ! {self(), Number + 1} end,
    play(Left - 1, Latch).

%% L2, L3

fan_in(Senders, Messages) ->
    Latch = latch(1),
    Receiver = collector(Senders * Messages, Latch),
    Pids = each(Senders, fun(_) ->
        spawn(fun() -> receive start -> send(Receiver, Messages) end end)
    end),
    at_rest(),
    Start = now_ns(),
    [Pid ! start || Pid <- Pids],
    wait(Latch),
    now_ns() - Start.

send(_, 0) -> ok;
send(Receiver, N) ->
    Receiver ! N,
    send(Receiver, N - 1).

%% L4

ring(Processes, Hops) ->
    Latch = latch(1),
    First = spawn(fun() -> receive {next, Next} -> pass_on(Next, Latch) end end),
    Last = lists:foldl(
        fun(_, Next) -> spawn(fun() -> pass_on(Next, Latch) end) end,
        First, lists:seq(2, Processes)),
    First ! {next, Last},
    at_rest(),
    Start = now_ns(),
    First ! Hops,
    wait(Latch),
    now_ns() - Start.

pass_on(Next, Latch) ->
    receive
        0 -> arrive(Latch);
        Left -> Next ! Left - 1
    end,
    pass_on(Next, Latch).

%% L5

spawn_and_end(Processes) ->
    Latch = latch(1),
    Collector = collector(Processes, Latch),
    Start = now_ns(),
    spawn_many(Collector, Processes),
    wait(Latch),
    now_ns() - Start.

spawn_many(_, 0) -> ok;
spawn_many(Collector, N) ->
    spawn(fun() -> Collector ! N end),
    spawn_many(Collector, N - 1).

%% L6

idle(Processes) ->
    Before = at_rest(),
    Pids = each(Processes, fun(_) -> spawn(fun() -> receive stop -> ok end end) end),
    Answer = at_rest() - Before,
    hd(Pids) ! stop,
    Answer.

%% L7

calls(Clients, Calls) ->
    Latch = latch(Clients),
    {ok, Server} = gen_server:start(?MODULE, adder, []),
    Pids = each(Clients, fun(_) ->
        spawn(fun() -> receive start -> call(Server, Calls) end, arrive(Latch) end)
    end),
    at_rest(),
    all_do(Pids, Latch).

call(_, 0) -> ok;
call(Server, N) ->
    Sum = N + 1,
    Sum = gen_server:call(Server, N),
    call(Server, N - 1).

init(adder) -> {ok, none};
init({faulty, Client}) ->
    Client ! {up, self()},
    {ok, none};
init({supervisor, Client}) ->
    Start = {gen_server, start_link, [?MODULE, {faulty, Client}, []]},
    {ok, {#{strategy => one_for_one, intensity => 1_000_000_000, period => 1},
        [#{id => faulty, start => Start}]}};
init(dynamic) ->
    Start = {gen_server, start_link, [?MODULE, adder, []]},
    {ok, {#{strategy => simple_one_for_one},
        [#{id => adder, start => Start, restart => temporary}]}};
init(switch) -> {ok, off, none}.

handle_call(N, _, State) -> {reply, N + 1, State}.
handle_cast(fail, State) -> {stop, failed, State}.

%% L8

watch_many(Watched) ->
    Latch = latch(1),
    Pids = each(Watched, fun(_) -> spawn(fun() -> receive stop -> ok end end) end),
    watcher(Latch, Pids),
    at_rest(),
    Start = now_ns(),
    [Pid ! stop || Pid <- Pids],
    wait(Latch),
    now_ns() - Start.

%% Returns when the watcher monitors all.
watcher(Latch, Pids) ->
    Self = self(),
    {Watcher, Monitor} = spawn_opt(fun() ->
        [monitor(process, Pid) || Pid <- Pids],
        Self ! {self(), ready},
        downs(length(Pids)),
        arrive(Latch)
    end, [monitor, {message_queue_data, off_heap}]),
    receive
        {Watcher, ready} -> demonitor(Monitor, [flush]);
        {'DOWN', Monitor, process, Watcher, Reason} -> exit(Reason)
    end.

downs(0) -> ok;
downs(N) ->
    receive {'DOWN', _, process, _, _} -> downs(N - 1) end.

many_watch(Watchers) ->
    one_dies(Watchers, fun(One, Ready, Done) ->
        monitor(process, One),
        arrive(Ready),
        receive {'DOWN', _, process, One, _} -> arrive(Done) end
    end).

%% A linked process dies of the signal, and can tell nobody; so its death is seen by the table of
%% processes.
linked(Linked) ->
    Before = erlang:system_info(process_count),
    Ready = latch(Linked),
    One = spawn(fun() -> receive stop -> exit(failed) end end),
    each(Linked, fun(_) ->
        spawn(fun() -> link(One), arrive(Ready), receive never -> ok end end)
    end),
    wait(Ready),
    at_rest(),
    Start = now_ns(),
    One ! stop,
    until_processes(Before),
    now_ns() - Start.

until_processes(Count) ->
    case erlang:system_info(process_count) =< Count of
        true -> ok;
        false -> receive after 1 -> until_processes(Count) end
    end.

one_dies(Others, Other) ->
    Ready = latch(Others),
    Done = latch(Others),
    One = spawn(fun() -> receive stop -> ok end end),
    each(Others, fun(_) -> spawn(fun() -> Other(One, Ready, Done) end) end),
    wait(Ready),
    at_rest(),
    Start = now_ns(),
    One ! stop,
    wait(Done),
    now_ns() - Start.

%% L9

restarts(Clients, Restarts) ->
    Ready = latch(Clients),
    Done = latch(Clients),
    Supervisors = max(1, ?SUPERVISORS div Clients),
    Pids = each(Clients, fun(_) ->
        spawn(fun() -> restarter(Supervisors, Restarts, Ready, Done) end)
    end),
    wait(Ready),
    at_rest(),
    all_do(Pids, Done).

%% Stays when it is done, for its supervisors are linked to it.
restarter(Supervisors, Restarts, Ready, Done) ->
    Children = each(Supervisors, fun(_) ->
        {ok, _} = supervisor:start_link(?MODULE, {supervisor, self()}),
        receive {up, Child} -> Child end
    end),
    arrive(Ready),
    receive start -> restart(Restarts, Children, []) end,
    arrive(Done),
    receive never -> ok end.

%% Goes round the children.
restart(0, _, _) -> ok;
restart(N, [], Successors) -> restart(N, lists:reverse(Successors), []);
restart(N, [Child | Others], Successors) ->
    gen_server:cast(Child, fail),
    Successor = receive {up, Pid} -> Pid end,
    Sum = N + 1,
    Sum = gen_server:call(Successor, N),
    restart(N - 1, Others, [Successor | Successors]).

%% L10

start_children(Children) ->
    {ok, Supervisor} = supervisor:start_link(?MODULE, dynamic),
    Start = now_ns(),
    start_under(Supervisor, Children),
    Children = proplists:get_value(active, supervisor:count_children(Supervisor)),
    now_ns() - Start.

stop_children(Children) ->
    {ok, Supervisor} = supervisor:start_link(?MODULE, dynamic),
    unlink(Supervisor),
    start_under(Supervisor, Children),
    at_rest(),
    Start = now_ns(),
    ok = gen_server:stop(Supervisor, shutdown, infinity),
    now_ns() - Start.

child_bytes(Children) ->
    {ok, Supervisor} = supervisor:start_link(?MODULE, dynamic),
    Before = at_rest(),
    start_under(Supervisor, Children),
    at_rest() - Before.

start_under(_, 0) -> ok;
start_under(Supervisor, N) ->
    {ok, _} = supervisor:start_child(Supervisor, []),
    start_under(Supervisor, N - 1).

%% L11

transitions(Clients, Calls) ->
    Latch = latch(Clients),
    {ok, Switch} = gen_statem:start(?MODULE, switch, []),
    Pids = each(Clients, fun(_) ->
        spawn(fun() -> receive start -> turn(Switch, Calls) end, arrive(Latch) end)
    end),
    at_rest(),
    all_do(Pids, Latch).

turn(_, 0) -> ok;
turn(Switch, N) ->
    _ = gen_statem:call(Switch, turn),
    turn(Switch, N - 1).

callback_mode() -> handle_event_function.

handle_event({call, From}, turn, off, Data) -> {next_state, on, Data, {reply, From, on}};
handle_event({call, From}, turn, on, Data) -> {next_state, off, Data, {reply, From, off}}.

%% L12

%% So many run, or have run and wait for their turn; the place of the oldest is given to the next.
stream(AtOnce, Items) ->
    at_rest(),
    Start = now_ns(),
    Running = queue:from_list(each(min(AtOnce, Items), fun start_item/1)),
    take_results(1, Items, queue:len(Running) + 1, Running),
    now_ns() - Start.

take_results(N, Items, _, _) when N > Items -> ok;
take_results(N, Items, Next, Running) ->
    {{value, Monitor}, Others} = queue:out(Running),
    Sum = N + 1,
    receive {'DOWN', Monitor, process, _, {result, Sum}} -> ok end,
    case Next =< Items of
        true -> take_results(N + 1, Items, Next + 1, queue:in(start_item(Next), Others));
        false -> take_results(N + 1, Items, Next, Others)
    end.

%% The result is its exit reason, as in `erpc`: one signal.
start_item(N) ->
    {_, Monitor} = spawn_monitor(fun() -> exit({result, N + 1}) end),
    Monitor.

%% Shared

%% They are told to begin; until the last is done.
all_do(Pids, Done) ->
    Start = now_ns(),
    [Pid ! start || Pid <- Pids],
    wait(Done),
    now_ns() - Start.

collector(Messages, Latch) ->
    spawn_opt(fun() -> collect(Messages), arrive(Latch) end,
        [{message_queue_data, off_heap}]).

collect(0) -> ok;
collect(N) ->
    receive _ -> collect(N - 1) end.

each(Count, Make) ->
    [Make(N) || N <- lists:seq(1, Count)].

latch(Count) ->
    Counter = atomics:new(1, [{signed, true}]),
    atomics:put(Counter, 1, Count),
    {Counter, self(), make_ref()}.

arrive({Counter, Owner, Ref}) ->
    case atomics:sub_get(Counter, 1, 1) of
        0 -> Owner ! {Ref, open};
        _ -> ok
    end.

wait({_, _, Ref}) ->
    receive {Ref, open} -> ok end.

now_ns() ->
    erlang:monotonic_time(nanosecond).

%% Resident bytes, once these and the processor's time have stood still for twice 20 ms, as in
%% `measure.rs`.
at_rest() -> at_rest(looks(), 2).

at_rest({Bytes, _}, 0) -> Bytes;
at_rest(Looks, Still) ->
    receive after 20 -> ok end,
    case looks() of
        Looks -> at_rest(Looks, Still - 1);
        Other -> at_rest(Other, 2)
    end.

looks() ->
    {ok, Status} = file:read_file("/proc/self/status"),
    {match, [KiB]} = re:run(Status, "VmRSS:\\s+(\\d+) kB", [{capture, all_but_first, list}]),
    {ok, Stat} = file:read_file("/proc/self/stat"),
    Fields = string:lexemes(lists:last(string:split(Stat, ")", all)), " "),
    [User, System] = [binary_to_integer(lists:nth(N - 2, Fields)) || N <- [14, 15]],
    {list_to_integer(KiB) * 1024, User + System}.

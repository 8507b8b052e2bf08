%% The BEAM as a system to be measured by the remote bench: `serve` writes `ready` and the node's
%% name and ends when its standard input closes; `drive` does one load with a server, writes
%% nanoseconds on standard output and ends. The loads are described in `src/remote/loads.rs`;
%% `src/remote/systems/purlin.rs` has the same names and messages.
%%
%% - Whoever collects many messages has them off its heap.
%% - Processes have the default heap, which is what a user gets.
-module(remote_bench).
-behaviour(gen_server).
-export([main/0, noop/0, identity/1]).
-export([init/1, handle_call/3, handle_cast/2]).

main() ->
    case init:get_plain_arguments() of
        ["serve"] ->
            serve();
        ["drive", Server, Load, Size, Operations] ->
            Answer = drive(list_to_atom(Server), list_to_atom(Load),
                           list_to_integer(Size), list_to_integer(Operations)),
            io:format("~s~n", [lists:join(" ", [integer_to_list(N) || N <- Answer])]),
            halt(0)
    end.

serve() ->
    register(echo, spawn(fun echo/0)),
    register(sink, spawn_opt(fun sink/0, [{message_queue_data, off_heap}])),
    {ok, _} = gen_server:start({local, ?MODULE}, ?MODULE, [], []),
    io:format("ready ~s~n", [node()]),
    until_closed().

until_closed() ->
    case io:get_line("") of
        Line when is_list(Line) -> until_closed();
        _ -> halt(0)
    end.

noop() -> [].

identity(Term) -> Term.

init([]) -> {ok, []}.

handle_call(Number, _From, State) -> {reply, Number + 1, State}.

handle_cast(_, State) -> {noreply, State}.

echo() ->
    receive
        {From, Number} ->
            From ! {self(), Number},
            echo()
    end.

%% {From, Count}, answered with {self(), ready}; then so many binaries; then {self(), done}.
sink() ->
    receive
        {From, Count} ->
            From ! {self(), ready},
            collect(Count),
            From ! {self(), done},
            sink()
    end.

collect(0) -> ok;
collect(Count) ->
    receive
        Chunk when is_binary(Chunk) -> collect(Count - 1)
    end.

drive(Server, ping_pong, _, RoundTrips) ->
    {echo, Server} ! {self(), 0},
    Echo = receive {Pid, 0} -> Pid end,
    _ = ping(warm_up(RoundTrips), Echo, []),
    percentiles(ping(RoundTrips, Echo, []));
drive(Server, one_way, Size, Count) ->
    {sink, Server} ! {self(), Count},
    Sink = receive {Pid, ready} -> Pid end,
    Chunk = binary:copy(<<0>>, Size),
    Start = erlang:monotonic_time(nanosecond),
    send(Count, Sink, Chunk),
    receive {Sink, done} -> ok end,
    [erlang:monotonic_time(nanosecond) - Start];
drive(Server, Load, Clients, Operations) ->
    Each = Operations div Clients,
    repeat(warm_up(Each), Load, Server),
    Start = erlang:monotonic_time(nanosecond),
    Callers = [spawn_monitor(fun() -> repeat(Each, Load, Server) end) || _ <- lists:seq(1, Clients)],
    [receive {'DOWN', Monitor, process, _, normal} -> ok end || {_, Monitor} <- Callers],
    [erlang:monotonic_time(nanosecond) - Start].

warm_up(Operations) -> Operations div 10.

ping(0, _, Times) -> Times;
ping(N, Echo, Times) ->
    Start = erlang:monotonic_time(nanosecond),
    Echo ! {self(), N},
    receive {Echo, N} -> ok end,
    ping(N - 1, Echo, [erlang:monotonic_time(nanosecond) - Start | Times]).

percentiles(Times) ->
    Sorted = list_to_tuple(lists:sort(Times)),
    At = fun(Hundredths) -> element((tuple_size(Sorted) - 1) * Hundredths div 100 + 1, Sorted) end,
    [At(50), At(99)].

send(0, _, _) -> ok;
send(N, To, Chunk) ->
    To ! Chunk,
    send(N - 1, To, Chunk).

repeat(0, _, _) -> ok;
repeat(N, Load, Server) ->
    ok = call(Load, Server, N),
    repeat(N - 1, Load, Server).

call(spawn, Server, _) ->
    {_, Monitor} = spawn_monitor(Server, ?MODULE, noop, []),
    receive {'DOWN', Monitor, process, _, normal} -> ok end;
call(erpc, Server, N) ->
    N = erpc:call(Server, ?MODULE, identity, [N]),
    ok;
call(gen_call, Server, N) ->
    Next = N + 1,
    Next = gen_server:call({?MODULE, Server}, N),
    ok.

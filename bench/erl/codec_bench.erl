%% A system to be measured by the codec bench, as an OS process of its own: the BEAM's
%% binary_to_term and term_to_binary. Answers lines on standard input, as `worker.rs` does.
-module(codec_bench).
-export([main/0]).

main() ->
    [Folder] = init:get_plain_arguments(),
    serve(Folder).

serve(Folder) ->
    case io:get_line("") of
        Line when is_list(Line) ->
            [Operation, Case, Count] = string:lexemes(string:trim(Line), " "),
            {ok, Bytes} = file:read_file(filename:join(Folder, Case ++ ".etf")),
            io:format("~s~n", [answer(Operation, Bytes, list_to_integer(Count))]),
            serve(Folder);
        eof ->
            init:stop()
    end.

%% A fresh process for each sample, its heap 32 Ki words to begin with: one that starts at the
%% default of 233 is measured for its growing. Measured with 233, 4 Ki, 32 Ki, 256 Ki and 2 Mi words
%% (`CODEC_BENCH_HEAP_WORDS`): 32 Ki stays in the second-level cache and is the fastest of those that
%% collect garbage many times in a sample; 2 Mi is 5 % faster at decoding and hardly collects any.
answer(Operation, Bytes, Count) ->
    {Pid, Monitor} = spawn_opt(
        fun() -> exit({took, run(Operation, Bytes, Count)}) end,
        [monitor, {min_heap_size, heap_words()}]),
    receive
        {'DOWN', Monitor, process, Pid, {took, Took}} -> integer_to_list(Took);
        {'DOWN', Monitor, process, Pid, Reason} -> io_lib:format("error ~0p", [Reason])
    end.

heap_words() ->
    case os:getenv("CODEC_BENCH_HEAP_WORDS") of
        false -> 32 * 1024;
        Words -> list_to_integer(Words)
    end.

run(Operation, Bytes, Count) ->
    Term = binary_to_term(Bytes),
    Term = binary_to_term(term_to_binary(Term)),
    Start = erlang:monotonic_time(nanosecond),
    case Operation of
        "decode" -> decode(Count, Bytes);
        "encode" -> encode(Count, Term, 0)
    end,
    erlang:monotonic_time(nanosecond) - Start.

decode(0, _) -> ok;
decode(N, Bytes) ->
    _ = binary_to_term(Bytes),
    decode(N - 1, Bytes).

%% The compiler leaves out a term_to_binary whose result nobody uses.
encode(0, _, Sum) -> Sum;
encode(N, Term, Sum) ->
    encode(N - 1, Term, Sum + byte_size(term_to_binary(Term))).

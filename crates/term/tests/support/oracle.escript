%% The Erlang side of the oracle tests. It runs interpreted, so that it needs no compiler.
%%
%% A request is a frame of {packet, 4}: a byte that says what, and a list of blobs, each with its
%% length before it in four bytes. The answer is a list of blobs.
-mode(interpret).

main(_) ->
    Port = open_port({fd, 0, 1}, [binary, eof, {packet, 4}]),
    serve(Port).

serve(Port) ->
    receive
        {Port, {data, <<What, Body/binary>>}} ->
            Answer = answer(What, [Blob || <<Len:32, Blob:Len/binary>> <= Body]),
            port_command(Port, [[<<(iolist_size(B)):32>>, B] || B <- Answer]),
            serve(Port);
        {Port, eof} ->
            halt(0)
    end.

%% Who is here.
answer($h, []) ->
    [list_to_binary(erlang:system_info(otp_release)), term_to_binary(self())];
%% Random terms: each encoded, and as text.
answer($g, [<<Seed:64, Count:32>>]) ->
    rand:seed(exsss, Seed),
    lists:append([[encode(T), text(T)] || T <- [term(4) || _ <- lists:seq(1, Count)]]);
%% Terms decoded, encoded again and printed.
answer($c, Blobs) ->
    lists:append([begin T = binary_to_term(B), [term_to_binary(T), text(T)] end || B <- Blobs]);
%% Pairs of terms: are they =:= ?
answer($e, Blobs) ->
    [identical(Blobs)];
%% Every term with every other: as < and == see them, and as keys of maps are sorted.
answer($o, Blobs) ->
    Terms = [binary_to_term(B) || B <- Blobs],
    [<< <<(compare(A, B))>> || A <- Terms, B <- Terms >>,
     << <<(compare(#{A => 0}, #{B => 0}))>> || A <- Terms, B <- Terms >>];
%% Texts read as terms: the term encoded, or nothing where it is refused.
answer($p, Texts) ->
    [read(unicode:characters_to_list(T)) || T <- Texts].

identical([A, B | More]) ->
    [case binary_to_term(A) =:= binary_to_term(B) of true -> $y; false -> $n end | identical(More)];
identical([]) ->
    [].

compare(A, B) when A < B -> $<;
compare(A, B) when A == B -> $=;
compare(_, _) -> $>.

read(Text) ->
    try
        {ok, Tokens, _} = erl_scan:string(Text),
        {ok, Term} = erl_parse:parse_term(Tokens),
        term_to_binary(Term)
    catch
        _:_ -> <<>>
    end.

%% On one line; since OTP 26 maps have no fixed order unless it is asked for.
text(Term) ->
    Format = case list_to_integer(erlang:system_info(otp_release)) of
        Old when Old < 26 -> "~0tp";
        _ -> "~0ktp"
    end,
    unicode:characters_to_binary(io_lib:format(Format, [Term])).

%% Every way in which nodes of today and of long ago encode.
encode(Term) ->
    Options = [[], [], [{minor_version, 0}], [{minor_version, 1}], [{minor_version, 2}], [compressed]],
    term_to_binary(Term, pick(Options)).

below(N) -> rand:uniform(N) - 1.

pick(List) -> lists:nth(rand:uniform(length(List)), List).

many(Max, Make) -> [Make() || _ <- lists:seq(1, below(Max + 1))].

term(0) -> leaf();
term(Depth) ->
    Inner = fun() -> term(below(Depth)) end,
    case below(12) of
        0 -> list_to_tuple(many(6, Inner));
        1 -> many(6, Inner);
        2 -> [Inner() | many(4, Inner)] ++ leaf();
        3 -> maps:from_list([{Inner(), Inner()} || _ <- many(8, fun() -> x end)]);
        4 -> rarely(fun() -> large_map(Inner) end, Inner);
        _ -> leaf()
    end.

rarely(Rare, Else) ->
    case below(8) of
        0 -> Rare();
        _ -> Else()
    end.

large_map(Inner) ->
    maps:from_list([{leaf(), Inner()} || _ <- lists:seq(1, 33 + below(40))]).

leaf() ->
    case below(20) of
        0 -> below(512) - 256;
        1 -> (1 bsl below(70)) + below(3) - 1;
        2 -> -(1 bsl below(70)) + below(3) - 1;
        3 -> big();
        4 -> float_of_bits();
        5 -> pick([-1, 1]) * below(1000000) / pick([1, 2, 10, 1000, 1.0e10, 1.0e-10, 1.0e20]);
        6 -> pick([0.0, -0.0, 1.0, 1.0e22, 1.0e23, 5.0e-324, 1.7976931348623157e308, 0.1,
                   9007199254740992.0, 9007199254740993.0, -9007199254740991.0]);
        7 -> atom();
        8 -> atom();
        9 -> pick([ok, true, undefined, 'EXIT', [], {}, #{}, <<>>, "", 'if', 'maybe', 'else', '']);
        10 -> rand:bytes(below(40));
        11 -> list_to_binary(many(40, fun() -> printable() end));
        12 -> unicode:characters_to_binary(many(20, fun() -> letter() end));
        13 -> bits();
        14 -> many(30, fun() -> printable() end);
        15 -> many(20, fun() -> letter() end);
        16 -> local_identifier();
        17 -> identifier_of_another();
        18 -> fun_with_environment();
        19 -> erlang:make_fun(atom(), atom(), below(256))
    end.

big() ->
    Bits = 8 * below(300) + 8,
    <<Value:Bits>> = rand:bytes(Bits div 8),
    pick([-1, 1]) * Value.

float_of_bits() ->
    case rand:bytes(8) of
        <<Value/float>> -> Value;
        _ -> float_of_bits()
    end.

bits() ->
    Bytes = rand:bytes(1 + below(20)),
    Bits = 8 * byte_size(Bytes) - below(8),
    <<Some:Bits/bitstring, _/bitstring>> = Bytes,
    Some.

printable() -> pick([below(95) + 32, below(95) + 32, below(96) + 160, below(256), $\n, $", $\\]).

%% Letters of several scripts, and characters around every boundary that printing knows.
letter() ->
    pick([below(26) + $a, below(26) + $A, below(10) + $0, $_, $@, $', $\\, below(32), below(160) + 96,
          below(1000) + 160, 955, 8364, 16#200b, 16#fffd, 16#1f600, 16#10ffff]).

atom() ->
    list_to_atom(pick([
        many(10, fun() -> below(26) + $a end),
        many(20, fun() -> letter() end),
        [below(26) + $a | many(20, fun() -> pick([$_, $@, $., below(26) + $A, 233, 247, 215]) end)],
        [pick([955, $a]) || _ <- lists:seq(1, 200 + below(56))]])).

local_identifier() ->
    case below(4) of
        0 -> self();
        1 -> make_ref();
        2 -> erlang:alias();
        3 -> hd(erlang:ports())
    end.

identifier_of_another() ->
    Name = pick([<<"a@h">>, <<"b@127.0.0.1">>, <<"c d@h">>, <<"λ@h"/utf8>>]),
    Node = <<119, (byte_size(Name)), Name/binary>>,
    Creation = pick([1, 2, 3, 16#ffffffff]),
    binary_to_term(case below(5) of
        0 -> <<131, 88, Node/binary, (below(9)):32, (below(3)):32, Creation:32>>;
        1 -> <<131, 103, Node/binary, (below(1 bsl 15)):32, (below(1 bsl 13)):32, (below(4))>>;
        2 -> <<131, 120, Node/binary, (below(1 bsl 40)):64, Creation:32>>;
        3 ->
            Words = [below(4) || _ <- lists:seq(0, below(5))],
            Bytes = << <<W:32>> || W <- Words >>,
            <<131, 90, (length(Words)):16, Node/binary, Creation:32, Bytes/binary>>;
        4 -> <<131, 89, Node/binary, (below(1 bsl 28)):32, Creation:32>>
    end).

fun_with_environment() ->
    Text = pick(["fun() -> ok end.", "fun(X) -> X end.", "fun(X, Y) -> {X, Y, \"a\"} end."]),
    {ok, Tokens, _} = erl_scan:string(Text),
    {ok, Exprs} = erl_parse:parse_exprs(Tokens),
    {value, Fun, _} = erl_eval:exprs(Exprs, []),
    Fun.

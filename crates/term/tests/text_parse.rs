//! What the parser reads, what it refuses and how it says so. `otp_oracle` compares with real OTP.

use purlin_term::{Atom, BigInt, Limits, NodeContext, NodeName, ParseError, Pid, Reference, Term};

fn parse(text: &str) -> Term {
    Term::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn error(text: &str) -> String {
    match Term::parse(text) {
        Ok(term) => panic!("{text}: read as {term}"),
        Err(error) => error.to_string(),
    }
}

fn atom(text: &str) -> Term {
    Atom::new(text).unwrap().into()
}

fn here() -> NodeContext {
    NodeContext {
        node: NodeName::new(Atom::new("a@127.0.0.1").unwrap()).unwrap(),
        creation: 7,
    }
}

/// Each text is read as the term that the second one is, and the second is how it prints.
#[test]
fn texts_mean_what_erlang_says_they_mean() {
    let expected = [
        ("ok", "ok"),
        (" % a comment\n ok .", "ok"),
        ("'if'", "'if'"),
        (r"'a\'b\x{3bb}\101\^A\s'", r"'a\'bλA\001 '"),
        ("maybe", "'maybe'"),
        ("1_000", "1000"),
        ("16#F_f", "255"),
        ("36#zz", "1295"),
        ("-16#ff", "-255"),
        ("- 1", "-1"),
        ("+ 1", "1"),
        ("$a", "97"),
        ("$\\n", "10"),
        ("-$ ", "-32"),
        ("1.5", "1.5"),
        ("1_0.0_1E+1_0", "1.001e11"),
        ("-0.0", "-0.0"),
        ("1.5e-400", "0.0"),
        ("9223372036854775808", "9223372036854775808"),
        ("-9223372036854775808", "-9223372036854775808"),
        (r#""a\"\n" "b" % c"#, r#""a\"\nb""#),
        ("\"\"", "[]"),
        ("\"\"\"\n  a\n\n   \\n\"b\n  \"\"\"", r#""a\n\n \\n\"b""#),
        ("\"\"\"\n\"\"\"", "[]"),
        ("\"\"\"\"\n \"\"\"\n \"\"\"\"", r#""\"\"\"""#),
        (r#"~"\x{e9}""#, r#"<<"é"/utf8>>"#),
        (r"~S(a\nb\))", r#""a\\nb)""#),
        (r"~b/a\nb/", r#"<<"a\nb">>"#),
        ("<<>>", "<<>>"),
        (r#"<<1,2,"ab", 5:3>>"#, "<<1,2,97,98,5:3>>"),
        (r#"<<"é"/utf8, "é">>"#, "<<\"Ã©é\">>"),
        (
            "<<256, -1, 955/utf8, 1:16, 5:3, 1:5>>",
            "<<0,255,206,187,0,1,161>>",
        ),
        ("<<-5:3>>", "<<3:3>>"),
        ("<<-1:70>>", "<<255,255,255,255,255,255,255,255,63:6>>"),
        (r#"<<"ab":4, 1:0>>"#, "<<18>>"),
        ("[]", "[]"),
        ("[a , b|c]", "[a,b|c]"),
        ("[a|[b|[c|[]]]]", "[a,b,c]"),
        ("[a|\"b\"]", "[a,98]"),
        ("{}", "{}"),
        ("{a,{b}}", "{a,{b}}"),
        ("#{}", "#{}"),
        ("# {}", "#{}"),
        (
            "#{b=>1,a=>2,b=>3,1=>1,1.0=>2}",
            "#{1 => 1,1.0 => 2,a => 2,b => 3}",
        ),
        ("fun lists : map / 2", "fun lists:map/2"),
        ("fun 'A':'b c'/255", "fun 'A':'b c'/255"),
        ("fund", "fund"),
    ];
    for (text, prints) in expected {
        assert_eq!(parse(text).to_string(), prints, "{text}");
        assert_eq!(parse(prints), parse(text), "{text}");
    }
}

#[test]
fn errors_say_where_what_was_expected_and_what_was_found() {
    let expected = [
        ("", "1:1 a term, found end of text"),
        ("{ok, 1", "1:7 `,` or `}`, found end of text"),
        ("[1 2]", "1:4 `,`, `|` or `]`, found `2`"),
        ("[é,\n  λ]", "2:3 a term, found `λ`"),
        ("[1|2,3]", "1:5 `]`, found `,`"),
        ("#{a 1}", "1:5 `=>`, found `1`"),
        ("a b", "1:3 `.` or end of text, found `b`"),
        ("a. b", "1:4 end of text, found `b`"),
        ("[Var]", "1:2 a term, found the variable `Var`"),
        ("if", "1:1 a term, found the reserved word `if`"),
        ("- -1", "1:3 a number after the sign, found `-`"),
        (
            "1__0",
            "1:2 the end of the number, found the variable `__0`",
        ),
        ("1e5", "1:2 the end of the number, found `e5`"),
        ("1.0e", "1:5 the digits of an exponent, found end of text"),
        (
            "1.0e400",
            "1:1 a float of at most 1.8e308, found a larger one",
        ),
        ("37#1", "1:1 a base from 2 to 36, found `37`"),
        ("16#g", "1:4 a digit, found `g`"),
        ("2#12", "1:4 the end of the number, found `2`"),
        (
            "\"abc",
            "1:5 `\"`, the end of the string, found end of text",
        ),
        (
            "\"a\"\"b\"",
            "1:4 white space between two strings, found `\"`",
        ),
        (
            r#""\x{d800}""#,
            "1:3 the digits of a Unicode character after `\\x`, found `x`",
        ),
        (
            "\"\"\"\n a\n  \"\"\"",
            "2:1 the indentation of the closing quotes, found ` a`",
        ),
        ("<<1.0>>", "1:3 an integer or a string, found a float"),
        ("<<1/float>>", "1:5 `utf8`, found `float`"),
        ("fun a:b/256", "1:9 an arity from 0 to 255, found `256`"),
        (
            "fun(X) -> X end",
            "1:4 a module: only `fun m:f/a` is a term, found `(`",
        ),
        (
            "#rec{}",
            "1:1 `#{`, `#Pid<`, `#Port<` or `#Ref<`, found `#rec`",
        ),
        (
            "#Fun<a.1.2>",
            "1:1 a term that can be read: a fun with an environment cannot, found `#Fun`",
        ),
        (
            "{<0.1.0>}",
            "1:2 `#Pid<node.id.serial/creation>`: without it a node is needed for context, \
             found `<0.1.0>`",
        ),
    ];
    for (text, short) in expected {
        let (place, rest) = short.split_once(' ').unwrap();
        let (line, column) = place.split_once(':').unwrap();
        let sentence = format!("line {line}, column {column}: expected {rest}");
        assert_eq!(error(text), sentence, "{text}");
    }
}

#[test]
fn identifiers_in_full_are_read_without_a_context() {
    let NodeContext { node, creation } = here();
    let pid = Pid {
        node,
        creation,
        id: 1,
        serial: 2,
    };
    assert_eq!(parse("#Pid<a@127.0.0.1.1.2/7>"), pid.into());
    assert_eq!(parse("#Pid<'a@127.0.0.1'.1.2/7>"), pid.into());
    let reference = Reference::new(node, creation, &[1, 2, 3]).unwrap();
    assert_eq!(parse("#Ref<'a@127.0.0.1'.3.2.1/7>"), reference.into());
    let port = "#Port<a@127.0.0.1.18446744073709551615/7>";
    assert_eq!(parse(port).to_string(), port);
    for wrong in [
        "#Pid<a@h.1/7>",
        "#Pid<a@h.1.0>",
        "#Pid<a@h.1.0/4294967296>",
        "#Pid<a@h.4294967296.0/1>",
        "#Pid<'a@h'1.0/7>",
        "#Pid<a@h.+1.0/7>",
        "#Pid<>",
        "#Ref<a@h/7>",
        "#Ref<a@127.0.0.1.3.2.1.1/7>",
        "#Ref<'a'.1.1.1.1.1.1/1>",
        "#Port<a@h.1 /7>",
        "<1>",
    ] {
        assert!(Term::parse(wrong).is_err(), "{wrong}");
        assert!(Term::parse_at(wrong, here()).is_err(), "{wrong}");
    }
}

#[test]
fn short_identifiers_are_read_relative_to_the_context() {
    let text = "[<0.1.0>,#Ref<0.3.2.1>,#Port<0.1>]";
    let term = Term::parse_at(text, here()).unwrap();
    assert_eq!(term.display_at(here()).to_string(), text);
    assert_eq!(
        term.to_string(),
        "[#Pid<a@127.0.0.1.1.0/7>,#Ref<'a@127.0.0.1'.3.2.1/7>,#Port<a@127.0.0.1.1/7>]"
    );
    assert!(Term::parse(text).is_err());
    assert!(Term::parse_at("<9.1.0>", here()).is_err());
}

#[test]
fn arguments_are_a_list_of_terms() {
    let args = Term::parse_args("[1, two].", None).unwrap();
    assert_eq!(args, [1.into(), atom("two")]);
    let error = Term::parse_args(" {1}", None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 1, column 2: expected a list of arguments, as in `[1, two]`, found `{`"
    );
}

fn within(text: &str, limits: Limits) -> Result<Term, ParseError> {
    Term::parse_with(text, None, &limits)
}

#[test]
fn nesting_ends_at_the_depth_limit() {
    for opening in ["[", "{", "#{", "#{a=>", "[a,{", "[a|{"] {
        assert!(Term::parse(&opening.repeat(1_000_000)).is_err());
    }
    let limits = Limits {
        depth_max: 2,
        ..Limits::default()
    };
    assert!(within("{{}}", limits).is_ok());
    assert_eq!(
        within("{{{}}}", limits).unwrap_err().to_string(),
        "line 1, column 3: expected no deeper nesting, found `{`"
    );
}

/// Half of what a worker thread has.
#[test]
#[allow(
    clippy::disallowed_types,
    reason = "a thread is how one gets a small stack"
)]
fn the_deepest_terms_print_and_parse_on_a_stack_of_one_mebibyte() {
    let depth = purlin_term::limits::DEPTH_MAX;
    let on_small_stack = std::thread::Builder::new()
        .stack_size(1 << 20)
        .spawn(move || {
            for (open, close) in [("[", "]"), ("{", "}"), ("#{a => ", "}"), ("{[x|", "]}")] {
                let depth = depth / open.matches(['[', '{']).count();
                let text = format!("{}z{}", open.repeat(depth), close.repeat(depth));
                let term = Term::parse(&text).unwrap();
                assert_eq!(term.to_string(), text);
            }
        });
    on_small_stack.unwrap().join().unwrap();
}

#[test]
fn lists_as_tails_are_not_nesting() {
    let text = format!("{}z{}", "[a|".repeat(100_000), "]".repeat(100_000));
    let Term::ImproperList(list) = parse(&text) else {
        panic!("a list with a tail");
    };
    assert_eq!(list.items().len(), 100_000);
}

#[test]
fn huge_numbers_are_refused_before_they_are_computed() {
    let digits = purlin_term::limits::TEXT_DIGITS_MAX;
    let largest = parse(&"9".repeat(digits));
    assert_eq!(largest, Term::from(BigInt::from(10).pow(digits as u32) - 1));
    assert_eq!(
        error(&"9".repeat(10_000_000)),
        "line 1, column 1: expected an integer of at most 65536 decimal digits, found 10000000 digits"
    );
    let hexadecimal = parse(&format!("16#{}", "f".repeat(digits / 2)));
    assert_eq!(parse(&hexadecimal.to_string()), hexadecimal);
    assert!(Term::parse(&format!("36#{}", "z".repeat(digits / 2 + 1))).is_err());
    let long = format!("1.{}e-{}", "9".repeat(1_000_000), "9".repeat(1_000_000));
    assert_eq!(parse(&long).to_string(), "0.0");
}

#[test]
fn what_a_text_makes_is_bounded_by_the_limits() {
    let limits = Limits {
        inflated_max: 16,
        elements_max: 4,
        size_max: 40,
        new_node_names_max: 1,
        ..Limits::default()
    };
    assert!(within("<<0:128>>", limits).is_ok());
    assert!(within("<<0:129>>", limits).is_err());
    assert!(within("<<\"ab\":72>>", limits).is_err());
    assert!(within("[<<0:64>>,<<0:72>>]", limits).is_err());
    assert!(within("\"abcd\"", limits).is_ok());
    assert!(within("\"abcde\"", limits).is_err());
    assert!(within("[1,2,{3,4}]", limits).is_err());
    assert!(within(&" ".repeat(41), limits).is_err());
    assert!(within("[#Pid<new1@h.1.0/1>,#Pid<new2@h.1.0/1>]", limits).is_err());
    assert!(within("<<0:18446744073709551615>>", Limits::default()).is_err());
    assert!(within("<<\"ab\":9223372036854775807>>", Limits::default()).is_err());
    // A short text claims at most 16 MiB and its length; what is written out in full may be longer.
    let claim = |bytes: usize| within(&format!("<<0:{}>>", 8 * bytes), Limits::default());
    assert!(claim(16 << 20).is_ok());
    assert!(claim((16 << 20) + 100).is_err());
    let long = format!("<<\"{}\">>", "a".repeat(17 << 20));
    assert!(within(&long, Limits::default()).is_ok());
}

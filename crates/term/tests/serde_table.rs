//! The table "How Rust values look to Erlang", row by row, in Erlang's own text.

#![allow(
    clippy::disallowed_types,
    reason = "users have HashMaps in their messages"
)]

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use purlin_term::{
    Atom, Binary, EncodedTerm, Encoder, NameBudget, NodeName, Pid, Port, Reference, Term, atom,
    from_term, to_term,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

fn term(text: &str) -> Term {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// `value` is written as `erlang`, and read back from that.
#[track_caller]
fn both<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: T, erlang: &str) {
    assert_eq!(to_term(&value).unwrap().to_string(), erlang);
    reads(erlang, value);
}

/// `erlang` is read as `value`, whatever the mode of its atoms.
#[track_caller]
fn reads<T: DeserializeOwned + PartialEq + std::fmt::Debug>(erlang: &str, value: T) {
    let term = term(erlang);
    assert_eq!(from_term::<T>(&term).as_ref(), Ok(&value), "plain {erlang}");
    let with_refs = EncodedTerm::encode(&term).unwrap();
    assert_eq!(
        with_refs.deserialize::<T>().as_ref(),
        Ok(&value),
        "{erlang}"
    );
}

#[purlin_macros::message(serde = "::serde")]
#[derive(Debug, PartialEq)]
enum Command {
    Stop,
    Add(i64, i64),
    Sum(Vec<i64>),
    Move((i32, i32)),
    Put {
        key: String,
        value: i64,
    },
    Nothing(),
    Empty {},
    #[serde(rename = "EXIT")]
    Exit(Atom),
    #[serde(rename = "Elixir.Foo")]
    Foo,
}

#[test]
fn enums() {
    both(Command::Stop, "stop");
    reads("'Stop'", Command::Stop);
    both(Command::Add(1, 2), "{add,1,2}");
    reads("{'Add',1,2}", Command::Add(1, 2));
    both(Command::Sum(vec![1, 300]), "{sum,[1,300]}");
    both(Command::Move((1, 2)), "{move,{1,2}}");
    let put = || Command::Put {
        key: "k".into(),
        value: 7,
    };
    both(put(), r#"{put,#{key => <<"k">>,value => 7}}"#);
    reads(
        r#"{put,#{<<"key">> => k,<<"value">> => 7,more => 1}}"#,
        put(),
    );
    both(Command::Nothing(), "{nothing}");
    both(Command::Empty {}, "{empty,#{}}");
    both(Command::Exit(atom!("normal")), "{'EXIT',normal}");
    both(Command::Foo, "'Elixir.Foo'");
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct User {
    id: UserId,
    name: String,
    age: Option<u8>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct UserId(u64);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Point(f64, f64);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[test]
fn structs() {
    let user = || User {
        id: UserId(7),
        name: "Joe".into(),
        age: None,
    };
    both(user(), r#"#{age => undefined,id => 7,name => <<"Joe">>}"#);
    reads(
        r#"#{<<"id">> => 7,name => "Joe",1 => x,{a,b} => [],<<255>> => 1}"#,
        user(),
    );
    both(Point(1.5, -0.0), "{1.5,-0.0}");
    reads("{1,2}", Point(1.0, 2.0));
    both(Unit, "ok");
}

#[test]
fn tuples_arrays_and_lists() {
    both((1, atom!("a")), "{1,a}");
    both([1, 2, 3], "{1,2,3}");
    both([(); 0], "{}");
    both(Vec::<i64>::new(), "[]");
    both(vec![1, 2, 300], "[1,2,300]");
    both(vec![(1, 2)], "[{1,2}]");
    both(b"abc".to_vec(), r#""abc""#);
    both(vec![1.5], "[1.5]");
    reads("[1,2|[3,1.5]]", vec![1.0, 2.0, 3.0, 1.5]);
    both(vec!['h', 'é', '∀'], "[104,233,8704]");
}

#[test]
fn a_list_in_several_pieces_is_one_list() {
    let mut encoder = Encoder::plain();
    encoder.list(1).unwrap();
    encoder.int(300);
    encoder.list(2).unwrap();
    encoder.int(1);
    encoder.int(2);
    encoder.raw(&[107, 0, 2, 3, 4]);
    let pieces = EncodedTerm::validated(
        encoder.finish().0,
        &[],
        &purlin_term::Limits::default(),
        &mut NameBudget::new(0),
    )
    .unwrap();
    assert_eq!(pieces.deserialize::<Vec<i64>>(), Ok(vec![300, 1, 2, 3, 4]));
    assert_eq!(
        pieces.deserialize::<String>(),
        Ok("Ĭ\u{1}\u{2}\u{3}\u{4}".into())
    );
    assert_eq!(pieces.deserialize::<Term>(), Ok(pieces.to_term().unwrap()));
}

#[test]
fn rare_tags_are_read_as_the_usual_ones() {
    let old = |bytes: &'static [u8]| {
        let (limits, mut names) = (purlin_term::Limits::default(), NameBudget::new(0));
        EncodedTerm::validated(Bytes::from_static(bytes), &[], &limits, &mut names).unwrap()
    };
    // LARGE_TUPLE_EXT, ATOM_EXT in Latin-1, SMALL_BIG_EXT of a small value, FLOAT_EXT.
    let add = old(b"\x69\0\0\0\x03\x64\0\x03add\x6e\x01\0\x05\x61\x06");
    assert_eq!(add.deserialize(), Ok(Command::Add(5, 6)));
    assert_eq!(old(b"\x73\x04stop").deserialize(), Ok(Command::Stop));
    assert_eq!(old(b"\x69\0\0\0\x01\x61\x01").deserialize(), Ok((1,)));
    assert_eq!(old(b"\x73\x01\xe9").deserialize(), Ok("é".to_owned()));
    assert_eq!(old(b"\x73\x01\xe9").deserialize(), Ok(atom!("é")));
    let float = *b"\x631.50000000000000000000e+00\0\0\0\0\0";
    let float = old(Box::leak(Box::new(float)));
    assert_eq!(float.deserialize(), Ok(1.5));
}

#[test]
fn texts() {
    both("häuser".to_owned(), r#"<<"häuser"/utf8>>"#);
    reads(r#""häuser""#, "häuser".to_owned());
    reads("[8704,97]", "∀a".to_owned());
    reads("[]", String::new());
    reads("an_atom", "an_atom".to_owned());
    reads("undefined", "undefined".to_owned());
    both('a', "97");
    reads(r#"<<"∀"/utf8>>"#, '∀');
}

#[test]
fn bytes() {
    both(Bytes::from_static(b"\x00\xff"), "<<0,255>>");
    both(serde_bytes::ByteBuf::from(b"ab".to_vec()), r#"<<"ab">>"#);
    both(Binary::from("x"), r#"<<"x">>"#);
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    reads(r#"["ab",<<"cd">>,101,[[]|<<"f">>]]"#, bytes("abcdef"));
    reads(r#"[97|<<"b">>]"#, bytes("ab"));
    reads(r#""ab""#, bytes("ab"));
    reads("[]", bytes(""));
}

#[test]
fn booleans_unit_and_options() {
    both(true, "true");
    both(false, "false");
    both((), "ok");
    both(Some(1), "1");
    both(None::<i64>, "undefined");
    reads("nil", None::<i64>);
    both(Some(false), "false");
    both(Some(()), "ok");
    both(None::<()>, "undefined");
    both(vec![Some(1), None], "[1,undefined]");
    both(Some(vec![Some(1)]), "[1]");
    both(Some(UserId(1)), "1");
}

#[test]
fn results() {
    both(Ok::<i64, String>(1), "{ok,1}");
    both(Err::<i64, String>("no".into()), r#"{error,<<"no">>}"#);
    both(Ok::<(), String>(()), "ok");
    reads("{ok,ok}", Ok::<(), String>(()));
    both(Ok::<Unit, String>(Unit), "ok");
    both(Err::<i64, ()>(()), "{error,ok}");
    both(vec![Ok::<(), i64>(()), Err(1)], "[ok,{error,1}]");
    both(Some(Ok::<(), i64>(())), "ok");
    both(Ok::<Option<i64>, ()>(None), "{ok,undefined}");
    both(Ok::<Result<(), i64>, ()>(Ok(())), "{ok,ok}");
    both(
        (Ok::<(), i64>(()), Ok::<((), ()), i64>(((), ()))),
        "{ok,{ok,{ok,ok}}}",
    );
}

#[test]
fn numbers() {
    both(i64::MIN, "-9223372036854775808");
    both(u64::MAX, "18446744073709551615");
    both(i128::MIN, "-170141183460469231731687303715884105728");
    both(i128::MAX, "170141183460469231731687303715884105727");
    both(u128::MAX, "340282366920938463463374607431768211455");
    both(-1i8, "-1");
    both(200u8, "200");
    both(1.5f32, "1.5");
    both(f64::MAX, "1.7976931348623157e308");
    reads("3", 3.0f64);
    reads("18446744073709551616", 18446744073709551616.0f64);
    reads("-18446744073709551616", -18446744073709551616.0f32);
}

#[test]
fn maps() {
    let map: BTreeMap<String, i64> = [("a".into(), 1), ("b".into(), 2)].into();
    both(map.clone(), r#"#{<<"a">> => 1,<<"b">> => 2}"#);
    reads(r#"[{<<"a">>,1},{b,2}]"#, map.clone());
    reads(r#"[{"a",1}|[{b,2}]]"#, map);
    both(BTreeMap::<i64, ()>::new(), "#{}");
    reads("[]", BTreeMap::<i64, ()>::new());
    let options: HashMap<Atom, bool> = [(atom!("binary"), true), (atom!("active"), false)].into();
    both(options.clone(), "#{active => false,binary => true}");
    reads("[binary,{active,false}]", options);
    both(BTreeMap::from([((1, 2), 'x')]), "#{{1,2} => 120}");
}

fn node(name: &str) -> NodeName {
    NodeName::new(Atom::new(name).unwrap()).unwrap()
}

#[test]
fn erlangs_own_types() {
    let pid = Pid {
        node: node("a_node_with_a_long_name@some.host"),
        creation: 5,
        id: 1,
        serial: 2,
    };
    both(pid, "#Pid<a_node_with_a_long_name@some.host.1.2/5>");
    for id in [7, 1 << 40] {
        let port = Port {
            node: node("a@h"),
            creation: 5,
            id,
        };
        both(port, &format!("#Port<a@h.{id}/5>"));
    }
    for words in [&[9][..], &[1, 2, 3, 4, 5]] {
        let reference = Reference::new(node("a@h"), 6, words).unwrap();
        both(reference, &reference.to_string());
    }
    both(
        atom!("an atom that is not inline"),
        "'an atom that is not inline'",
    );
    both(Term::from(1), "1");
    both(Some(Term::from(1)), "1");
}

#[test]
fn any_term_is_itself() {
    for text in [
        "a",
        "undefined",
        "1",
        "123456789012345678901234567890",
        "-1.5",
        "[]",
        "[1,2]",
        "[1,300]",
        "[a|b]",
        "[a,b|{c}]",
        "{}",
        "{a,{b},[c,{d,[e|f]}]}",
        "#{1 => [],{a} => #{b => c}}",
        "<<1,2,3>>",
        "<<1,2,3:3>>",
        "fun lists:map/2",
        "{#Pid<a@h.1.2/3>,#Port<a@h.1/3>,#Ref<a@h.3.2.1/3>}",
    ] {
        both(term(text), text);
        both(
            vec![term(text), term(text)],
            &Term::list([term(text), term(text)]).to_string(),
        );
    }
}

#[test]
fn texts_and_bytes_are_borrowed_from_the_message() {
    let encoded = EncodedTerm::serialize(&("text", serde_bytes::Bytes::new(b"bytes"))).unwrap();
    let (text, bytes): (&str, &[u8]) = encoded.deserialize().unwrap();
    let message = encoded.bytes().as_ptr_range();
    assert!(message.contains(&text.as_ptr()) && message.contains(&bytes.as_ptr()));
    assert_eq!((text, bytes), ("text", &b"bytes"[..]));

    let atom = EncodedTerm::encode(&term("an_atom")).unwrap();
    assert_eq!(atom.deserialize::<&str>(), Ok("an_atom"));
    let string = EncodedTerm::encode(&term(r#""chars""#)).unwrap();
    assert_eq!(string.deserialize::<&str>(), Ok("chars"));
}

#[test]
fn serialized_bytes_are_what_encoding_the_term_gives() {
    let value = (
        vec![1u8, 2, 3],
        vec![1, 300],
        Some("text"),
        [(atom!("b"), 1.5)],
        vec![(), ()],
    );
    let mut direct = Encoder::plain();
    direct.serialize_sorted(&value).unwrap();
    let mut of_term = Encoder::plain();
    of_term.term(&to_term(&value).unwrap()).unwrap();
    assert_eq!(direct.as_slice(), of_term.as_slice());
}

#[test]
fn sorted_maps_do_not_depend_on_insertion_or_hashing() {
    let one: HashMap<String, HashMap<i64, Unit>> = (0..50)
        .map(|i| (i.to_string(), (0..i).map(|k| (k, Unit)).collect()))
        .collect();
    let other: HashMap<_, _> = (0..50)
        .rev()
        .map(|i: i64| {
            (
                i.to_string(),
                (0..i).rev().map(|k| (k, Unit)).collect::<HashMap<_, _>>(),
            )
        })
        .collect();
    let bytes = |value: &HashMap<_, _>| {
        let mut encoder = Encoder::plain();
        encoder.serialize_sorted(value).unwrap();
        encoder.finish().0
    };
    assert_eq!(bytes(&one), bytes(&other));
    let mut of_term = Encoder::plain();
    of_term.term(&to_term(&one).unwrap()).unwrap();
    assert_eq!(bytes(&one), of_term.as_slice());
}

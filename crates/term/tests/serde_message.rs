//! `#[purlin::message]` on structs and enums, here and in another format.

use purlin_term::{Term, from_term, to_term};
use serde::{Deserialize, Serialize};

#[purlin_macros::message(serde = "::serde")]
#[derive(Debug, PartialEq, Clone)]
struct Get;

#[purlin_macros::message(serde = "::serde")]
#[derive(Debug, PartialEq, Clone)]
struct Add(i64);

#[purlin_macros::message(serde = "::serde")]
#[derive(Debug, PartialEq, Clone)]
struct Move(i32, i32);

#[purlin_macros::message(serde = "::serde")]
#[derive(Debug, PartialEq, Clone)]
struct Jump((i32, i32));

#[purlin_macros::message(serde = "::serde")]
#[derive(Debug, PartialEq, Clone)]
struct Put<K, V> {
    key: K,
    value: V,
}

/// A message that borrows from the bytes.
#[purlin_macros::message(serde = "::serde")]
#[derive(Debug, PartialEq)]
struct Log<'a> {
    #[serde(borrow)]
    text: &'a str,
    #[serde(default)]
    level: u8,
}

#[purlin_macros::message(serde = "::serde")]
#[derive(Debug, PartialEq)]
#[serde(rename = "Elixir.MyApp.Call", rename_all = "camelCase")]
struct Renamed {
    long_name: i64,
}

#[purlin_macros::message(serde = "::serde")]
#[derive(Debug, PartialEq)]
enum Request<'a, T> {
    Get,
    Wrapped(Add),
    Both { first: Move, rest: Vec<Get> },
    Text(&'a str),
    Value(T),
}

#[track_caller]
fn both<T>(value: T, erlang: &str)
where
    T: Serialize + for<'a> Deserialize<'a> + PartialEq + std::fmt::Debug,
{
    assert_eq!(to_term(&value).unwrap().to_string(), erlang);
    reads(erlang, value);
}

#[track_caller]
fn reads<T>(erlang: &str, value: T)
where
    T: for<'a> Deserialize<'a> + PartialEq + std::fmt::Debug,
{
    let term: Term = erlang.parse().unwrap();
    assert_eq!(from_term::<T>(&term), Ok(value), "{erlang}");
}

#[test]
fn a_struct_is_the_variant_of_its_name() {
    both(Get, "get");
    reads("'Get'", Get);
    both(Add(2), "{add,2}");
    reads("{'Add',2}", Add(2));
    both(Move(1, 2), "{move,1,2}");
    both(Jump((1, 2)), "{jump,{1,2}}");
    let put = || Put {
        key: "k".to_owned(),
        value: vec![1.5],
    };
    both(put(), r#"{put,#{key => <<"k">>,value => [1.5]}}"#);
    reads(r#"{'Put',#{<<"key">> => k,<<"value">> => [1.5]}}"#, put());
    both(
        Renamed { long_name: 1 },
        "{'Elixir.MyApp.Call',#{longName => 1}}",
    );
}

#[test]
fn a_struct_has_the_same_form_inside_other_types() {
    both(
        (Get, vec![Add(1)], Some(Move(1, 2))),
        "{get,[{add,1}],{move,1,2}}",
    );
    both(Ok::<Get, Add>(Get), "{ok,get}");
    both(
        Put {
            key: Get,
            value: Add(1),
        },
        "{put,#{key => get,value => {add,1}}}",
    );
}

#[test]
fn enums_may_hold_marked_structs_borrowed_texts_and_type_parameters() {
    let request = |text: &'static str| -> Term { text.parse().unwrap() };
    let cases: [(Request<'_, Get>, &str); 5] = [
        (Request::Get, "get"),
        (Request::Wrapped(Add(1)), "{wrapped,{add,1}}"),
        (
            Request::Both {
                first: Move(1, 2),
                rest: vec![Get],
            },
            "{both,#{first => {move,1,2},rest => [get]}}",
        ),
        (Request::Text("t"), r#"{text,<<"t">>}"#),
        (Request::Value(Get), "{value,get}"),
    ];
    for (value, erlang) in cases {
        let encoded = purlin_term::EncodedTerm::serialize(&value).unwrap();
        assert_eq!(encoded.to_term().unwrap(), request(erlang));
        assert_eq!(encoded.deserialize::<Request<'_, Get>>(), Ok(value));
    }
    let encoded = purlin_term::EncodedTerm::serialize(&Log {
        text: "borrowed",
        level: 0,
    });
    let encoded = encoded.unwrap();
    let log: Log<'_> = encoded.deserialize().unwrap();
    assert!(encoded.bytes().as_ptr_range().contains(&log.text.as_ptr()));
}

#[test]
fn another_message_is_refused_with_both_forms() {
    let refused = |text: &str| -> String {
        let term: Term = text.parse().unwrap();
        from_term::<Move>(&term).unwrap_err().to_string()
    };
    assert_eq!(
        refused("{add,1}"),
        "expected {move, _, _} (Move), found {add, _}"
    );
    assert_eq!(
        refused("{move,1}"),
        "expected {move, _, _} (Move), found {move, _}"
    );
    assert_eq!(
        refused("move"),
        "expected {move, _, _} (Move), found the atom move"
    );
    assert_eq!(
        refused("{move,1,x}"),
        "move[1]: expected an integer (i32), found the atom x"
    );
    let get = from_term::<Get>(&Term::from(1)).unwrap_err();
    assert_eq!(
        get.to_string(),
        "expected the atom get (Get), found the integer 1"
    );
}

#[test]
fn json_sees_the_struct_as_if_it_were_not_marked() {
    let put = Put {
        key: "k".to_owned(),
        value: Add(1),
    };
    let json = serde_json::to_string(&put).unwrap();
    assert_eq!(json, r#"{"key":"k","value":1}"#);
    assert_eq!(
        serde_json::from_str::<Put<String, Add>>(&json).unwrap(),
        put
    );
    assert_eq!(
        serde_json::to_string(&(Get, Move(1, 2))).unwrap(),
        "[null,[1,2]]"
    );
    let request: Request<'_, i64> = serde_json::from_str(r#"{"wrapped":5}"#).unwrap();
    assert_eq!(request, Request::Wrapped(Add(5)));
}

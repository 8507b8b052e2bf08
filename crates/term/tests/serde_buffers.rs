//! Types that serde reads through a buffer of its own: `untagged`, `flatten`, internally and
//! adjacently tagged. What works, and what cannot.

use std::collections::BTreeMap;

use purlin_term::{Atom, Pid, Term, atom, from_term, to_term};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

fn term(text: &str) -> Term {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[track_caller]
fn both<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: T, erlang: &str) {
    assert_eq!(to_term(&value).unwrap().to_string(), erlang);
    reads(erlang, value);
}

#[track_caller]
fn reads<T: DeserializeOwned + PartialEq + std::fmt::Debug>(erlang: &str, value: T) {
    assert_eq!(from_term::<T>(&term(erlang)), Ok(value), "{erlang}");
}

#[track_caller]
fn refused<T: DeserializeOwned + std::fmt::Debug>(erlang: &str) -> String {
    from_term::<T>(&term(erlang)).unwrap_err().to_string()
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Command {
    Stop,
    Add(i64, i64),
    Sum(Vec<i64>),
    Put { key: String },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Any {
    Flag(bool),
    Count(u64),
    Offset(i64),
    Ratio(f64),
    Text(String),
    Command(Command),
    Pid(Pid),
    Pair(i64, i64),
    List(Vec<Any>),
    Fields { name: String, age: Option<u8> },
    Missing(Option<()>),
}

#[test]
fn untagged_takes_the_first_type_that_fits() {
    both(Any::Flag(true), "true");
    both(Any::Count(1), "1");
    both(Any::Offset(-1), "-1");
    both(Any::Ratio(1.5), "1.5");
    both(Any::Text("t".into()), r#"<<"t">>"#);
    both(Any::Command(Command::Add(1, 2)), "{add,1,2}");
    both(Any::Command(Command::Sum(vec![1, 2])), "{sum,[1,2]}");
    both(
        Any::Command(Command::Put { key: "k".into() }),
        r#"{put,#{key => <<"k">>}}"#,
    );
    both(
        Any::Pid(from_term(&term("#Pid<a@h.1.2/3>")).unwrap()),
        "#Pid<a@h.1.2/3>",
    );
    both(Any::Pair(1, 2), "{1,2}");
    both(
        Any::List(vec![Any::Count(300), Any::List(vec![])]),
        "[300,[]]",
    );
    let fields = |age| Any::Fields {
        name: "n".into(),
        age,
    };
    both(fields(Some(3)), r#"#{age => 3,name => <<"n">>}"#);
    both(fields(None), r#"#{age => undefined,name => <<"n">>}"#);
    both(Any::Missing(None), "undefined");
    assert_eq!(
        refused::<Vec<Any>>("[1,{a,b,c}]"),
        "[1]: data did not match any variant of untagged enum Any"
    );
}

#[test]
fn an_atom_in_a_buffer_is_a_text_too() {
    // `Text` comes before `Command`, and accepts atoms as everywhere.
    reads("stop", Any::Text("stop".into()));
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Common {
    id: u64,
    tags: Vec<Atom>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    name: String,
    #[serde(flatten)]
    common: Common,
    command: Command,
    #[serde(flatten)]
    rest: BTreeMap<String, Option<i64>>,
}

#[test]
fn flattened_fields_are_keys_of_the_map_and_atoms_like_the_others() {
    let flat = || Flat {
        name: "n".into(),
        common: Common {
            id: 1,
            tags: vec![atom!("a"), atom!("true"), atom!("undefined"), atom!("nil")],
        },
        command: Command::Sum(vec![]),
        rest: [("more".into(), Some(2)), ("none".into(), None)].into(),
    };
    both(
        flat(),
        "#{command => {sum,[]},id => 1,more => 2,name => <<\"n\">>,none => undefined,\
         tags => [a,true,undefined,nil]}",
    );
    reads(
        "#{<<\"command\">> => {sum,[]},<<\"id\">> => 1,more => 2,<<\"name\">> => <<\"n\">>,\
         none => nil,<<\"tags\">> => [a,true,undefined,nil]}",
        flat(),
    );
    let message = "{put,#{key => <<\"k\">>,id => 1,tags => []}}";
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Message {
        Put {
            key: String,
            #[serde(flatten)]
            common: Common,
        },
    }
    let put = Message::Put {
        key: "k".into(),
        common: Common {
            id: 1,
            tags: vec![],
        },
    };
    assert_eq!(to_term(&put), Ok(term(message)));
    reads(message, put);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Internal {
    Ping,
    Put { key: String, command: Command },
    Common(Common),
}

#[test]
fn internally_tagged_enums_are_maps_whose_tag_is_a_binary_or_an_atom() {
    both(Internal::Ping, r#"#{type => <<"ping">>}"#);
    reads("#{type => ping}", Internal::Ping);
    let put = || Internal::Put {
        key: "k".into(),
        command: Command::Add(1, 2),
    };
    both(
        put(),
        r#"#{command => {add,1,2},key => <<"k">>,type => <<"put">>}"#,
    );
    reads(
        r#"#{<<"command">> => {add,1,2},key => k,<<"type">> => put}"#,
        put(),
    );
    both(
        Internal::Common(Common {
            id: 1,
            tags: vec![],
        }),
        r#"#{id => 1,tags => [],type => <<"common">>}"#,
    );
    assert_eq!(
        refused::<Internal>("#{type => pong}"),
        "type: expected ping, put or common, found the variant pong"
    );
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", content = "c", rename_all = "snake_case")]
enum Adjacent {
    Ping,
    Add(i64, i64),
    Put { key: String },
    Command(Command),
}

#[test]
fn adjacently_tagged_enums_are_maps_of_tag_and_content() {
    both(Adjacent::Ping, "#{t => ping}");
    both(Adjacent::Add(1, 2), "#{c => {1,2},t => add}");
    both(
        Adjacent::Put { key: "k".into() },
        r#"#{c => #{key => <<"k">>},t => put}"#,
    );
    both(
        Adjacent::Command(Command::Stop),
        "#{c => stop,t => command}",
    );
    both(
        Adjacent::Command(Command::Add(1, 2)),
        "#{c => {add,1,2},t => command}",
    );
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum OrTerm {
    Command(Command),
    Other(Term),
}

#[test]
fn a_term_in_a_buffer_can_be_anything_but_a_container() {
    both(OrTerm::Command(Command::Stop), "stop");
    for text in [
        "1",
        "-1",
        "1.5",
        "an_atom",
        "true",
        "undefined",
        "nil",
        "<<1,2>>",
        "<<\"text\">>",
        "<<1:3>>",
        "fun a:b/1",
        "#Pid<a@h.1.2/3>",
        "#Ref<a@h.1.2.3/3>",
        "1267650600228229401496703205376000000",
    ] {
        both(OrTerm::Other(term(text)), text);
    }
    for text in ["[1]", "{1,2}", "#{a => b}", "[]"] {
        assert_eq!(
            refused::<OrTerm>(text),
            "data did not match any variant of untagged enum OrTerm"
        );
    }
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Rest {
        #[serde(flatten)]
        rest: BTreeMap<String, Term>,
    }
    assert!(refused::<Rest>("#{a => [1]}").contains("does not tell lists from tuples"));
}

/// The list in `docs/protocols/rust-values.md`, "What does not come back".
#[test]
fn what_does_not_come_through_a_buffer_is_refused() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum One<T> {
        Value(T),
    }
    fn is_refused<T: Serialize + DeserializeOwned + std::fmt::Debug>(value: T) {
        let term = to_term(&One::Value(value)).unwrap();
        assert!(from_term::<One<T>>(&term).is_err(), "{term}");
    }
    is_refused(());
    is_refused(Ok::<i64, i64>(1));
    is_refused('a');
    is_refused(i128::MAX);
    is_refused((atom!("a"), 1));
    is_refused(Term::tuple([]));
    // A map is not made of a property list there, nor a text of a list of characters.
    assert!(from_term::<One<BTreeMap<String, i64>>>(&term("[{a,1}]")).is_err());
    assert!(from_term::<One<String>>(&term("\"ab\"")).is_err());

    #[purlin_macros::message(serde = "::serde")]
    #[derive(Debug)]
    struct Add(#[allow(dead_code)] i64);
    is_refused(Add(1));
    // An enum takes the place of the marked struct.
    both(One::Value(Command::Add(1, 2)), "{add,1,2}");
    // These come through.
    both(One::Value((1, atom!("a"))), "{1,a}");
    both(One::Value(bytes::Bytes::from_static(b"b")), "<<\"b\">>");
    both(One::Value(u64::MAX), "18446744073709551615");
    both(One::Value(Some(1)), "1");
    both(One::Value([true, false]), "{true,false}");
}

#[test]
fn json_has_texts_for_what_it_lacks() {
    let values = (
        atom!("an_atom"),
        term("{add,[1,2]}"),
        from_term::<Pid>(&term("#Pid<a@h.1.2/3>")).unwrap(),
        purlin_term::Binary::from("b"),
    );
    let json = serde_json::to_string(&values).unwrap();
    assert_eq!(
        json,
        r##"["an_atom","{add,[1,2]}","#Pid<a@h.1.2/3>",[98]]"##
    );
    let back: (Atom, Term, Pid, purlin_term::Binary) = serde_json::from_str(&json).unwrap();
    assert_eq!(back, values);
    assert!(serde_json::from_str::<Term>("\"{a\"").is_err());
    assert!(serde_json::from_str::<Pid>("\"a\"").is_err());
}

#[test]
fn a_term_can_be_turned_into_json_values() {
    let value: serde_json::Value = from_term(&term(
        "#{<<\"a\">> => [1,-2,1.5,true,undefined,atom],b => {add,1}}",
    ))
    .unwrap();
    let expected = serde_json::json!({
        "a": [1, -2, 1.5, true, null, "atom"],
        "b": {"add": 1},
    });
    assert_eq!(value, expected);
}

//! What is said when a term is not a value of the type, or a value has no encoding.

use std::collections::BTreeMap;

use purlin_term::{
    Atom, BigInt, DeserializeError, EncodedTerm, Encoder, Pid, SerializeError, Term, atom,
    from_term, to_term,
};
use serde::de::DeserializeOwned;
use serde::ser::{SerializeMap as _, SerializeTuple as _};
use serde::{Deserialize, Serialize, Serializer};

#[track_caller]
fn refused<T: DeserializeOwned + std::fmt::Debug>(erlang: &str, error: &str) {
    let term: Term = erlang.parse().unwrap_or_else(|e| panic!("{erlang}: {e}"));
    assert_eq!(
        from_term::<T>(&term).unwrap_err().to_string(),
        error,
        "{erlang}"
    );
    let with_refs = EncodedTerm::encode(&term).unwrap();
    assert_eq!(
        with_refs
            .deserialize::<IgnoreBorrow<T>>()
            .unwrap_err()
            .to_string(),
        error
    );
}

/// `T` without its lifetime.
#[derive(Deserialize, Debug)]
#[serde(bound = "T: DeserializeOwned")]
struct IgnoreBorrow<T>(#[allow(dead_code)] T);

#[purlin_macros::message(serde = "::serde")]
#[derive(Debug, PartialEq)]
enum Command {
    Stop,
    AddAll(Vec<i64>),
    Move(i64, i64),
    Put { key: String, value: u8 },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Strict {
    items: Vec<Item>,
    #[serde(default)]
    index: BTreeMap<i64, Atom>,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Item {
    price: f64,
}

#[test]
fn every_type_names_itself_and_what_was_found() {
    refused::<i64>("a", "expected an integer (i64), found the atom a");
    refused::<u8>(
        "300",
        "expected an integer from 0 to 255 (u8), found the integer 300",
    );
    refused::<u64>(
        "-1",
        "expected an integer of 64 bits without sign (u64), found the integer -1",
    );
    refused::<i32>("1.0", "expected an integer (i32), found the float 1.0");
    refused::<i64>(
        "9223372036854775808",
        "expected an integer of 64 bits with sign (i64), found an integer of more than 64 bits",
    );
    refused::<f64>("[]", "expected a float (f64), found the empty list");
    refused::<f32>(
        "1.0e300",
        "expected a float in the range of f32, found the float 1e300",
    );
    refused::<bool>("yes", "expected true or false (bool), found the atom yes");
    refused::<char>(
        "<<\"ab\">>",
        r#"expected a character (char), found the binary <<"ab">>"#,
    );
    refused::<String>("7", "expected a binary (String), found the integer 7");
    refused::<String>(
        "<<255>>",
        "expected a binary of UTF-8 text (String), found a binary of 1 byte",
    );
    refused::<String>(
        "[97,x]",
        "expected a binary or a list of characters (String), found a list",
    );
    refused::<String>(
        "[300|a]",
        "expected a proper list of characters (String), found a list",
    );
    refused::<bytes::Bytes>(
        "{}",
        "expected a binary (bytes), found a tuple of 0 elements",
    );
    refused::<bytes::Bytes>(
        "[1,[300]]",
        "expected a byte, binary or list in an iolist, found the integer 300",
    );
    refused::<bytes::Bytes>(
        "[300|1]",
        "expected a byte, binary or list in an iolist, found the integer 300",
    );
    refused::<bytes::Bytes>(
        "[<<>>|1]",
        "expected a list or binary as the tail of an iolist, found the integer 1",
    );
    refused::<()>(
        "undefined",
        "expected the atom ok (()), found the atom undefined",
    );
    refused::<Vec<i64>>("{1}", "expected a list, found a tuple of 1 element");
    refused::<Vec<u8>>("<<1>>", "expected a list, found a binary of 1 byte");
    refused::<(i64,)>(
        "[1]",
        "expected a tuple of 1 element, found a list of 1 small integers",
    );
    refused::<[i64; 2]>(
        "{1,2,3}",
        "expected a tuple of 2 elements, found a tuple of 3 elements",
    );
    refused::<BTreeMap<i64, i64>>("7", "expected a map or property list, found the integer 7");
    refused::<Item>("{item,1}", "expected a map (Item), found {item, _}");
    refused::<Atom>(
        "<<\"a\">>",
        r#"expected an atom (Atom), found the binary <<"a">>"#,
    );
    refused::<Pid>(
        "'Elixir.A'",
        "expected a pid (Pid), found the atom 'Elixir.A'",
    );
    refused::<Vec<i64>>(
        "[1|a]",
        "expected a list that ends in [], found an improper list that ends in the atom a",
    );
    refused::<i64>(
        "<<1:3>>",
        "expected an integer (i64), found a bit string that is no binary",
    );
    refused::<i64>("fun a:b/1", "expected an integer (i64), found a fun");
    refused::<i64>("#Pid<a@h.1.2/3>", "expected an integer (i64), found a pid");
}

#[test]
fn the_path_leads_through_fields_variants_keys_and_indexes() {
    refused::<Command>(
        "{put,#{key => 7,value => 1}}",
        "put.key: expected a binary (String), found the integer 7",
    );
    refused::<Command>(
        "{add_all,[1,2,x]}",
        "add_all[2]: expected an integer (i64), found the atom x",
    );
    refused::<Command>(
        "{move,1,{}}",
        "move[1]: expected an integer (i64), found a tuple of 0 elements",
    );
    refused::<Strict>(
        "#{items => [#{price => 1.0},#{<<\"price\">> => cheap}]}",
        "items[1].price: expected a float (f64), found the atom cheap",
    );
    refused::<Strict>(
        "#{items => [],index => #{7 => 7}}",
        "index.7: expected an atom (Atom), found the integer 7",
    );
    refused::<Strict>(
        "#{items => [],index => #{a => b}}",
        "index.(key): expected an integer (i64), found the atom a",
    );
    refused::<BTreeMap<Term, i64>>(
        "#{{a,1} => x}",
        "({a, _}): expected an integer (i64), found the atom x",
    );
    refused::<Result<i64, Vec<String>>>(
        "{error,[<<>>,1]}",
        "error[1]: expected a binary (String), found the integer 1",
    );
    refused::<BTreeMap<Atom, i64>>(
        "[{a,1},b]",
        "b: expected an integer (i64), found the atom true",
    );
    refused::<BTreeMap<Atom, i64>>(
        "[{a,1},{b}]",
        "[1]: expected {Key, Value} or an atom in a property list, found {b}",
    );
    refused::<Option<Vec<Option<i64>>>>(
        "[1,nil,x]",
        "[2]: expected an integer (i64), found the atom x",
    );
}

#[test]
fn variants_and_fields_are_named() {
    refused::<Command>(
        "halt",
        "expected stop, add_all, move or put (Command), found the atom halt",
    );
    refused::<Vec<Command>>(
        "[stop,{halt,1,2}]",
        "[1]: expected stop, add_all, move or put (Command), found {halt, _, _}",
    );
    refused::<Command>("{stop}", "expected the atom stop (Command), found {stop}");
    refused::<Command>(
        "add_all",
        "expected {add_all, _} (Command), found the atom add_all",
    );
    refused::<Command>(
        "{move,1}",
        "expected {move, _, _} (Command), found {move, _}",
    );
    refused::<Command>(
        "{put,1}",
        "put: expected a map (Command), found the integer 1",
    );
    refused::<Command>(
        "<<\"stop\">>",
        "expected an atom or a tuple that begins with one (Command), found the binary <<\"stop\">>",
    );
    refused::<Command>(
        "{put,#{key => a}}",
        "put: expected the key value, found a map without it",
    );
    refused::<Strict>(
        "#{items => [],color => red}",
        "expected items or index, found the key color",
    );
    refused::<Item>(
        "#{price => 1,<<\"price\">> => 2}",
        "expected the key price once, found it twice",
    );
}

#[test]
fn an_other_variant_takes_unknown_atoms_but_no_values() {
    #[purlin_macros::message(serde = "::serde")]
    #[derive(Debug, PartialEq)]
    enum Lenient {
        Stop,
        #[serde(other)]
        Other,
    }
    assert_eq!(from_term(&atom!("stop").into()), Ok(Lenient::Stop));
    assert_eq!(from_term(&atom!("halt").into()), Ok(Lenient::Other));
    refused::<Lenient>(
        "{halt,1}",
        "expected the atom halt (Lenient), found {halt, _}",
    );
}

#[test]
fn results_are_refused_in_their_own_words() {
    type R = Result<i64, ()>;
    refused::<R>("ok", "expected {ok, _} (Result), found the atom ok");
    refused::<R>(
        "error",
        "expected {error, _} (Result), found the atom error",
    );
    refused::<R>("{ok,1,2}", "expected {ok, _} (Result), found {ok, _, _}");
    refused::<R>(
        "{'Ok',1}",
        "expected ok, {ok, _} or {error, _} (Result), found {'Ok', _}",
    );
    refused::<Result<Term, ()>>("ok", "expected {ok, _} (Result), found the atom ok");
    refused::<Result<Option<()>, ()>>("ok", "expected {ok, _} (Result), found the atom ok");
}

#[test]
fn expected_found_and_path_can_be_asked_for() {
    let term: Term = "{put,#{key => 7}}".parse().unwrap();
    let error = from_term::<Command>(&term).unwrap_err();
    assert_eq!(error.path(), "put.key");
    assert_eq!(error.expected(), Some("a binary (String)"));
    assert_eq!(error.found(), Some("the integer 7"));
    let custom: DeserializeError = serde::de::Error::custom("no");
    assert_eq!(
        (custom.expected(), custom.to_string().as_str()),
        (None, "no")
    );
}

#[test]
fn large_terms_make_short_errors() {
    let long = "x".repeat(200);
    let key = format!("#{{<<\"{long}\">> => 1}}");
    let shown = "x".repeat(40);
    refused::<BTreeMap<String, bool>>(
        &key,
        &format!("{shown}...: expected true or false (bool), found the integer 1"),
    );
    refused::<i64>(
        &format!("<<\"{long}\">>"),
        "expected an integer (i64), found a binary of 200 bytes",
    );
    refused::<i64>(
        &long,
        &format!("expected an integer (i64), found the atom {shown}..."),
    );
}

#[test]
fn an_option_inside_an_option_is_refused_both_ways() {
    let nested = "an Option inside an Option cannot be told from the inner one: give it another \
         type";
    refused::<Option<Option<i64>>>("1", nested);
    refused::<Vec<Option<Option<i64>>>>("[1]", &format!("[0]: {nested}"));
    assert_eq!(
        from_term::<Option<Option<i64>>>(&atom!("nil").into()),
        Ok(None)
    );
    assert_eq!(to_term(&Some(Some(1))), Err(SerializeError::NestedOption));
    assert_eq!(
        to_term(&Some(None::<i64>)),
        Err(SerializeError::NestedOption)
    );
    #[derive(Serialize)]
    struct Wrapped(Option<i64>);
    assert_eq!(
        to_term(&[Some(Wrapped(None))]),
        Err(SerializeError::NestedOption)
    );
    assert_eq!(to_term(&None::<Option<i64>>), Ok(atom!("undefined").into()));
}

#[test]
fn some_of_what_reads_as_none_is_refused() {
    let undefined = Err(SerializeError::SomeReadsAsNone("undefined"));
    let nil = Err(SerializeError::SomeReadsAsNone("nil"));
    assert_eq!(to_term(&Some(atom!("undefined"))), undefined);
    assert_eq!(to_term(&(1, Some(Term::from(atom!("nil"))))), nil);
    #[derive(Serialize)]
    enum Value {
        #[serde(rename = "nil")]
        Nil,
    }
    assert_eq!(to_term(&Some(Value::Nil)), nil);
    assert!(to_term(&(Some(1), Value::Nil, Some([Value::Nil]))).is_ok());
}

#[test]
fn offsets_that_come_twice_are_not_confused() {
    // The list shrinks when it is written as a string, and `ok` takes back what was written.
    let list_then_none = (
        vec![Some(1u8), Some(2), Some(3), Some(4)],
        None::<u8>,
        None::<u8>,
    );
    for _ in 0..3 {
        assert_eq!(
            to_term(&list_then_none).unwrap().to_string(),
            "{[1,2,3,4],undefined,undefined}"
        );
    }
    type R = Result<(), ()>;
    let oks: (Option<R>, Option<R>, Vec<R>) = (Some(Ok(())), None, vec![Ok(()), Ok(())]);
    assert_eq!(to_term(&oks).unwrap().to_string(), "{ok,undefined,[ok,ok]}");
    let empty: (Vec<()>, Option<()>, Vec<Option<()>>) = (vec![], None, vec![None]);
    assert_eq!(
        to_term(&empty).unwrap().to_string(),
        "{[],undefined,[undefined]}"
    );
}

#[test]
fn values_without_an_encoding_are_refused_and_leave_the_encoder_as_it_was() {
    let mut encoder = Encoder::plain();
    encoder.int(1);
    assert_eq!(
        encoder.serialize(&(1, f64::NAN)),
        Err(SerializeError::NotFinite)
    );
    assert_eq!(
        encoder.serialize(&f32::INFINITY),
        Err(SerializeError::NotFinite)
    );
    assert_eq!(encoder.as_slice(), [97, 1]);
    let error = to_term(&f64::NAN).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a float that is infinite or not a number has no encoding"
    );
}

/// A `Serialize` that says one length and gives another.
struct Liar;

impl Serialize for Liar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(2)?;
        tuple.serialize_element(&1)?;
        tuple.end()
    }
}

/// A map with a key twice.
struct Twice;

impl Serialize for Twice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(7))?;
        map.serialize_entry(&1, &1)?;
        map.serialize_entry(&1, &2)?;
        map.end()
    }
}

#[test]
fn a_serialize_that_lies_makes_no_malformed_term() {
    let error = to_term(&Liar).unwrap_err();
    assert_eq!(
        error,
        SerializeError::WrongLength {
            announced: 2,
            given: 1
        }
    );
    assert_eq!(to_term(&Twice), Err(SerializeError::DuplicateKey));
    assert!(EncodedTerm::serialize(&Twice).is_ok());
    let sorted = EncodedTerm::serialize_sorted(&Twice).map(|_| ());
    assert_eq!(sorted, Err(SerializeError::DuplicateKey));
}

#[test]
fn names_too_long_for_an_atom_are_refused() {
    let long: BTreeMap<String, ()> = [("x".repeat(300), ())].into();
    assert!(to_term(&long).is_ok());
    #[derive(Serialize)]
    struct Flat {
        #[serde(flatten)]
        rest: BTreeMap<String, ()>,
    }
    assert_eq!(
        to_term(&Flat { rest: long }),
        Err(SerializeError::NameTooLong(300))
    );
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Tree(Vec<Tree>);

#[test]
fn nesting_is_bounded_both_ways() {
    let deep = |levels: usize| (0..levels).fold(Term::nil(), |inner, _| Term::list([inner]));
    let max = purlin_term::limits::SERDE_DEPTH_MAX;
    let tree: Tree = from_term(&deep(max)).unwrap();
    assert_eq!(to_term(&tree).unwrap_err(), SerializeError::TooDeep);
    let tree: Tree = from_term(&deep(max - 1)).unwrap();
    assert_eq!(to_term(&tree), Ok(deep(max - 1)));
    let error = from_term::<Tree>(&deep(max + 1)).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("nested more than 256 levels deep"),
        "{error}"
    );
    assert_eq!(from_term::<Term>(&deep(max)), Ok(deep(max)));
    assert!(from_term::<Term>(&deep(max + 1)).is_err());
    // What a type ignores may be deeper.
    assert_eq!(
        from_term::<serde::de::IgnoredAny>(&deep(1000)),
        Ok(serde::de::IgnoredAny)
    );
}

#[test]
fn integers_of_more_than_128_bits_are_refused_as_numbers_and_kept_as_terms() {
    let huge = Term::from(BigInt::from(1) << 200);
    assert!(from_term::<u128>(&huge).is_err());
    assert!(from_term::<f64>(&huge).is_err());
    assert_eq!(from_term::<Term>(&huge), Ok(huge));
}

//! Any well-formed term as values of several types: never a panic, and what is read comes back as
//! itself after it was written.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use purlin_term::{
    Atom, EncodedTerm, Limits, NameBudget, Pid, Port, Reference, SerializeError, Term,
};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

#[purlin_macros::message(serde = "::serde")]
#[derive(Debug, PartialEq)]
enum Command {
    Stop,
    Sum(Vec<i64>),
    Move(i8, u128),
    Put {
        key: String,
        value: Option<Box<Command>>,
        result: Result<(), Term>,
    },
    Record(Record),
    Any(Any),
}

#[purlin_macros::message(serde = "::serde")]
#[derive(Debug, PartialEq)]
struct Record {
    #[serde(default)]
    map: BTreeMap<Atom, Result<f64, char>>,
    bytes: purlin_term::Binary,
    identifiers: Vec<(Pid, Option<Port>, Reference)>,
    rest: (bool, (), f32),
}

/// Of its variants that hold `Any`, one at most fits any term: with two that both fit a sequence,
/// serde would try both at every level, and the time would double with each.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Any {
    Flag(bool),
    Count(u64),
    Offset(i64),
    Ratio(f64),
    Text(String),
    Named { name: String, age: Option<u8> },
    Pair((i8, Pid)),
    List(Vec<Any>),
    Pid(Pid),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    name: String,
    #[serde(flatten)]
    rest: BTreeMap<String, Any>,
}

fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(term: &EncodedTerm) {
    let value: T = match term.deserialize() {
        Ok(value) => value,
        Err(error) => {
            assert!(error.to_string().len() < 1 << 20, "errors stay short");
            return;
        }
    };
    match EncodedTerm::serialize(&value) {
        Ok(encoded) => assert_eq!(encoded.deserialize().as_ref(), Ok(&value)),
        // What is just deep enough to be read may be written with a level more, and a flattened
        // key that came as a binary may be too long for an atom.
        Err(SerializeError::TooDeep | SerializeError::NameTooLong(_)) => {}
        Err(error) => panic!("{value:?}: {error}"),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let atoms = ["put", "key", "value", "ok", "undefined", "record", "a@h"]
        .map(|text| Atom::new(text).expect("short"));
    let limits = Limits {
        elements_max: 1 << 16,
        ..Limits::default()
    };
    let mut names = NameBudget::new(16);
    let bytes = bytes.to_vec().into();
    let Ok(term) = EncodedTerm::validated(bytes, &atoms, &limits, &mut names) else {
        return;
    };
    term.deserialize::<IgnoredAny>()
        .expect("anything can be ignored");
    check::<Command>(&term);
    check::<Record>(&term);
    check::<Any>(&term);
    check::<Flat>(&term);
    check::<Term>(&term);
    check::<Vec<Option<String>>>(&term);
    check::<BTreeMap<String, (i64, Vec<u8>)>>(&term);
    assert_eq!(
        term.deserialize::<Term>().ok(),
        shallow(&term),
        "one term, two ways to it"
    );
});

/// The term as the codec decodes it, unless serde has to refuse it for its depth.
fn shallow(term: &EncodedTerm) -> Option<Term> {
    let decoded = term.to_term().ok()?;
    term.deserialize::<Term>().is_ok().then_some(decoded)
}

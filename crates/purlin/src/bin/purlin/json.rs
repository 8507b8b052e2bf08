//! Terms as JSON, for scripts.
//!
//! JSON has fewer types: atoms and UTF-8 binaries become strings, `true` and `false` booleans,
//! tuples and lists arrays, maps objects whose keys are the text of the Erlang keys. What JSON has
//! no value for (pids, references, bit strings, integers of more than 64 bits) becomes its Erlang
//! text. The exact term goes along as text beside the value.

use purlin_term::Term;
use serde_json::Value;

/// The nearest JSON value.
pub(crate) fn value(term: &Term) -> Value {
    match term {
        Term::Int(int) => Value::from(*int),
        Term::Float(float) => Value::from(float.get()),
        Term::Atom(atom) => match atom.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text => Value::from(text),
        },
        Term::Tuple(items) => items.iter().map(value).collect(),
        Term::List(items) => items.iter().map(value).collect(),
        Term::Map(map) => {
            let pairs = map.pairs().iter();
            Value::Object(pairs.map(|(k, v)| (key(k), value(v))).collect())
        }
        Term::Binary(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::from(text),
            Err(_) => Value::from(term.to_string()),
        },
        other => Value::from(other.to_string()),
    }
}

fn key(term: &Term) -> String {
    match value(term) {
        Value::String(text) => text,
        _ => term.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_become_their_nearest_values() {
        let json = |text: &str| value(&Term::parse(text).unwrap()).to_string();
        assert_eq!(
            json("{ok, [1, 2.5], <<\"a\">>, true}"),
            r#"["ok",[1,2.5],"a",true]"#
        );
        assert_eq!(json("#{k => 1, {1,2} => []}"), r#"{"k":1,"{1,2}":[]}"#);
        assert_eq!(json("18446744073709551616"), r#""18446744073709551616""#);
        assert_eq!(json("<<200,1>>"), r#""<<200,1>>""#);
    }
}

//! `#[purlin::message]` through the crate `purlin` alone.

use purlin::term::{from_term, to_term};

#[purlin::message]
#[derive(Debug, PartialEq)]
enum Command {
    Stop,
    Put { key: String, value: Vec<i64> },
}

#[purlin::message]
#[derive(Debug, PartialEq)]
struct Add<T>(T);

#[test]
fn messages_are_erlang_terms() {
    let put = Command::Put {
        key: "k".to_owned(),
        value: vec![300],
    };
    let term = to_term(&put).unwrap();
    assert_eq!(
        term.to_string(),
        r#"{put,#{key => <<"k">>,value => [300]}}"#
    );
    assert_eq!(from_term(&term), Ok(put));
    let sum = to_term(&(Command::Stop, Add(2))).unwrap();
    assert_eq!(sum.to_string(), "{stop,{add,2}}");
    assert_eq!(from_term(&sum), Ok((Command::Stop, Add(2))));
}

//! Any value that is written is read back as itself, whatever the mode of atoms.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use purlin_term::{Atom, EncodedTerm, Encoder, Limits, NameBudget, Term, from_term, to_term};
use serde::{Deserialize, Serialize};

#[purlin_macros::message(serde = "::serde")]
#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Empty,
    Number(f64),
    Pair(i64, String),
    Fields {
        small: Vec<u8>,
        wide: i128,
        maybe: Option<Box<Shape>>,
        result: Result<(), String>,
    },
    Nested(Vec<Shape>),
    Record(Record),
}

#[purlin_macros::message(serde = "::serde")]
#[derive(Debug, Clone, PartialEq)]
struct Record {
    flags: (bool, (), char),
    map: BTreeMap<String, Option<u64>>,
    keys: BTreeMap<i32, Result<Atom, BTreeSet<u16>>>,
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Flat {
    shape: Shape,
    #[serde(flatten)]
    rest: BTreeMap<String, Option<i64>>,
}

fn atom() -> impl Strategy<Value = Atom> {
    ".{0,20}".prop_map(|text| Atom::new(&text).unwrap())
}

fn record() -> impl Strategy<Value = Record> {
    (
        any::<(bool, (), char)>(),
        btree_map(".{0,5}", option::of(any::<u64>()), 0..4),
        btree_map(
            any::<i32>(),
            prop_oneof![
                atom().prop_map(Ok),
                btree_set(any::<u16>(), 0..4).prop_map(Err)
            ],
            0..4,
        ),
        vec(any::<u8>(), 0..40),
    )
        .prop_map(|(flags, map, keys, bytes)| Record {
            flags,
            map,
            keys,
            bytes,
        })
}

fn shape() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        Just(Shape::Empty),
        any::<f64>()
            .prop_filter("Erlang's floats are finite", |value| value.is_finite())
            .prop_map(Shape::Number),
        (any::<i64>(), ".{0,30}").prop_map(|(a, b)| Shape::Pair(a, b)),
        record().prop_map(Shape::Record),
    ];
    leaf.prop_recursive(4, 30, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Shape::Nested),
            (
                vec(any::<u8>(), 0..5),
                any::<i128>(),
                option::of(inner.prop_map(Box::new)),
                prop_oneof![Just(Ok(())), ".{0,5}".prop_map(Err)],
            )
                .prop_map(|(small, wide, maybe, result)| Shape::Fields {
                    small,
                    wide,
                    maybe,
                    result,
                }),
        ]
    })
}

proptest! {
    #[test]
    fn values_come_back_from_bytes_and_terms(shape in shape()) {
        let encoded = EncodedTerm::serialize(&shape).unwrap();
        let back = encoded.deserialize::<Shape>();
        prop_assert_eq!(back.as_ref(), Ok(&shape));
        let term = to_term(&shape).unwrap();
        prop_assert_eq!(from_term::<Shape>(&term), Ok(shape));
        prop_assert_eq!(encoded.to_term(), Ok(term));
    }

    #[test]
    fn what_is_written_is_well_formed(shape in shape()) {
        let (bytes, atoms) = {
            let mut encoder = Encoder::with_atom_refs();
            encoder.serialize(&shape).unwrap();
            encoder.finish()
        };
        let mut names = NameBudget::new(0);
        let walked = EncodedTerm::validated(bytes, &atoms, &Limits::default(), &mut names);
        prop_assert_eq!(walked.unwrap().deserialize::<Shape>(), Ok(shape));
    }

    #[test]
    fn sorted_bytes_are_those_of_the_term(shape in shape()) {
        let mut sorted = Encoder::plain();
        sorted.serialize_sorted(&shape).unwrap();
        let mut of_term = Encoder::plain();
        of_term.term(&to_term(&shape).unwrap()).unwrap();
        prop_assert_eq!(sorted.as_slice(), of_term.as_slice());
    }

    #[test]
    fn a_term_read_as_a_value_is_the_term(shape in shape()) {
        let encoded = EncodedTerm::serialize(&shape).unwrap();
        let term = encoded.to_term().unwrap();
        let back = encoded.deserialize::<Term>();
        prop_assert_eq!(back.as_ref(), Ok(&term));
        let again = EncodedTerm::serialize(&term).unwrap();
        prop_assert_eq!(again.to_term(), Ok(term));
    }

    #[test]
    fn flattened_structs_come_back(shape in shape(), rest in btree_map("[a-z]{6,9}", option::of(any::<i64>()), 0..4)) {
        let flat = Flat { shape, rest };
        let encoded = EncodedTerm::serialize(&flat).unwrap();
        let back = encoded.deserialize::<Flat>();
        prop_assert_eq!(back, Ok(flat));
    }
}

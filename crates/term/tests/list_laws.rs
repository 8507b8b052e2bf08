//! A list is the sequence of its elements, however it is kept: nobody but `as_bytes` sees whether it
//! is packed, and that depends on the elements alone.

mod support;

use std::cmp::Ordering;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use proptest::prelude::*;
use purlin_term::{Encoder, Limits, List, Term, atom, from_external, to_term};

/// Bytes for the most part, and what is nearly one.
fn element() -> impl Strategy<Value = Term> {
    let other = vec![
        Term::from(-1),
        256.into(),
        Term::float(1.0).unwrap(),
        atom!("a").into(),
        Term::nil(),
    ];
    prop_oneof![40 => (0i64..256).prop_map(Term::from), 1 => prop::sample::select(other)]
}

/// Lists around the sizes at which the representation changes.
fn elements() -> impl Strategy<Value = Vec<Term>> {
    prop_oneof![
        prop::collection::vec(element(), 0..5),
        prop::collection::vec(element(), 12..20),
        prop::collection::vec(support::term(), 0..5),
        prop::collection::vec((1i64..3).prop_map(Term::from), 0..4),
    ]
}

fn bytes(items: &[Term]) -> Option<Vec<u8>> {
    let byte = |item: &Term| u8::try_from(item.as_int()?).ok();
    items.iter().map(byte).collect()
}

/// The same list by every way there is to make one.
fn made_every_way(items: &[Term], cut: usize) -> Vec<Term> {
    let mut encoder = Encoder::plain();
    encoder.version();
    if items.is_empty() {
        encoder.nil();
    } else {
        // Never as a string, and in two pieces.
        let pieces = [&items[..cut], &items[cut..]];
        for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
            encoder.list(piece.len()).unwrap();
            piece.iter().for_each(|item| encoder.term(item).unwrap());
        }
        encoder.nil();
    }
    let mut all = vec![
        Term::from(items.to_vec()),
        Term::list(items.iter().cloned()),
        Term::list_with_tail(items[..cut].to_vec(), Term::list(items[cut..].to_vec())),
        from_external(encoder.as_slice(), &Limits::default()).unwrap(),
        to_term(&items.to_vec()).unwrap(),
    ];
    if let Some(bytes) = bytes(items) {
        all.push(List::from_bytes(&bytes).into());
        all.push(List::from(bytes.clone()).into());
        all.push(to_term(&bytes).unwrap());
        all.push(bytes_as_text(&bytes));
    }
    all
}

fn bytes_as_text(bytes: &[u8]) -> Term {
    let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
    Term::parse(&format!("[{}]", numbers.join(","))).unwrap()
}

fn hash(value: &Term) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(value)
}

fn by_elements(a: &[Term], b: &[Term], compare: fn(&Term, &Term) -> Ordering) -> Ordering {
    let pairs = a.iter().zip(b);
    let differ = pairs.map(|(a, b)| compare(a, b)).find(|o| o.is_ne());
    differ.unwrap_or(a.len().cmp(&b.len()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_list_gives_its_elements_every_way(items in elements()) {
        let list = List::from(items.clone());
        prop_assert_eq!(list.len(), items.len());
        prop_assert_eq!(list.is_empty(), items.is_empty());
        prop_assert!(list.iter().eq(items.iter()));
        prop_assert!(list.iter().rev().eq(items.iter().rev()));
        prop_assert_eq!(list.iter().len(), items.len());
        for index in 0..=items.len() {
            prop_assert_eq!(list.get(index), items.get(index));
        }
        prop_assert_eq!((list.first(), list.last()), (items.first(), items.last()));
        prop_assert_eq!(list.as_array(), <&[Term; 3]>::try_from(&items[..]).ok().map(|[a, b, c]| [a, b, c]));
        prop_assert_eq!(list.to_vec(), items.clone());
        prop_assert_eq!(list.clone().into_vec(), items.clone());
        prop_assert!(list.clone().into_iter().eq(items.iter().cloned()));
        prop_assert!(list.clone().into_iter().rev().eq(items.iter().rev().cloned()));
        prop_assert_eq!(list.as_bytes().map(<[u8]>::to_vec), bytes(&items));
    }

    #[test]
    fn a_list_is_the_same_however_it_was_made(items in elements(), cut in any::<prop::sample::Index>()) {
        let all = made_every_way(&items, cut.index(items.len() + 1));
        for term in &all {
            prop_assert_eq!(term, &all[0]);
            prop_assert_eq!(hash(term), hash(&all[0]));
            prop_assert_eq!(term.cmp(&all[0]), Ordering::Equal);
            prop_assert_eq!(term.to_string(), all[0].to_string());
            prop_assert_eq!(term.as_list().unwrap().as_bytes(), all[0].as_list().unwrap().as_bytes());
        }
    }

    #[test]
    fn lists_are_ordered_by_their_elements(a in elements(), b in elements(), common in elements()) {
        let (a, b) = ([&common[..], &a].concat(), [&common[..], &b].concat());
        let (list_a, list_b) = (Term::from(a.clone()), Term::from(b.clone()));
        prop_assert_eq!(list_a.cmp(&list_b), by_elements(&a, &b, Term::cmp));
        prop_assert_eq!(list_a.compare(&list_b), by_elements(&a, &b, Term::compare));
        prop_assert_eq!(list_a == list_b, a == b);
    }
}

/// `STRING_EXT` holds at most 65,535 elements.
#[test]
fn lists_of_bytes_of_any_length_are_written_and_read() {
    for len in [0, 1, 15, 16, 65_535, 65_536, 70_000] {
        let bytes: Vec<u8> = (0..len).map(|n| n as u8).collect();
        let term = Term::from(List::from_bytes(&bytes));
        let external = purlin_term::to_external(&term);
        let again = from_external(&external, &Limits::default()).unwrap();
        assert_eq!(again, term, "{len}");
        assert_eq!(
            again.as_list().unwrap().as_bytes(),
            Some(&bytes[..]),
            "{len}"
        );
        let tag = match len {
            0 => 106,
            1..=65_535 => 107,
            _ => 108,
        };
        assert_eq!(external[1], tag, "{len}");
        let serialized = purlin_term::EncodedTerm::serialize(&bytes).unwrap();
        assert_eq!(serialized.view().bytes(), &external[1..], "{len}");
    }
}

//! Any bytes as an external term. What is checked of those that are one:
//!
//! - the decoder and the validating walk accept the same, save for a key that comes twice;
//! - what was decoded survives both encodings, plain and with atom references, and a view;
//! - one term has one encoding;
//! - the order of the decoded term and its parts is one: equal where they are, and antisymmetric.
#![no_main]

use libfuzzer_sys::fuzz_target;
use purlin_term::{
    DecodeErrorKind, Decoder, EncodedTerm, Encoder, Limits, NameBudget, Term, from_external,
    to_external,
};

fuzz_target!(|bytes: &[u8]| {
    // Small enough that one input stays quick, large enough for every tag.
    let limits = Limits {
        inflated_max: 1 << 20,
        elements_max: 1 << 18,
        ..Limits::default()
    };
    if let Ok(term) = from_external(bytes, &limits) {
        survives_plain(&term);
        survives_with_refs(&term, &limits);
        ordered(&term);
    }
    if let [131, bytes @ ..] = bytes {
        walk_agrees(bytes, &limits);
    }
});

fn survives_plain(term: &Term) {
    let encoded = to_external(term);
    let again = from_external(&encoded, &Limits::default()).expect("our own encoding decodes");
    assert_eq!(again, *term);
    assert!(again.cmp(term).is_eq() && again.compare(term).is_eq());
    assert_eq!(to_external(&again), encoded, "one term has one encoding");
}

fn survives_with_refs(term: &Term, limits: &Limits) {
    let mut encoder = Encoder::with_atom_refs();
    encoder.term(term).expect("shorter than 4 GiB");
    let (bytes, atoms) = encoder.finish();
    // No name is new: the term has been decoded once.
    let mut names = NameBudget::new(0);
    let message = EncodedTerm::validated(bytes, &atoms, limits, &mut names);
    let message = message.expect("our own encoding is well-formed");
    assert_eq!(message.atoms(), atoms, "every atom listed is used");
    assert_eq!(message.to_term().as_ref(), Ok(term));
    assert_eq!(message.view().to_term().as_ref(), Ok(term));
}

/// Neighbours in a container, where there are any, compare alike from both sides.
fn ordered(term: &Term) {
    let items: Vec<&Term> = match term {
        Term::Tuple(items) => items.iter().collect(),
        Term::List(items) => items.iter().collect(),
        _ => return,
    };
    for pair in items.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        assert_eq!(a.cmp(b), b.cmp(a).reverse());
        assert_eq!(a.compare(b), b.compare(a).reverse());
        assert_eq!(a.cmp(b).is_eq(), a == b);
    }
}

fn walk_agrees(bytes: &[u8], limits: &Limits) {
    let mut names = NameBudget::new(limits.new_node_names_max);
    let decoded = Decoder::new(&[], limits, &mut names).decode(bytes);
    let mut names = NameBudget::new(limits.new_node_names_max);
    let walked = Decoder::new(&[], limits, &mut names).validate(bytes);
    match decoded {
        Err(error) if error.kind == DecodeErrorKind::DuplicateKey => {}
        // Which of two ends of the budget is met depends on the names known before.
        Err(error) if matches!(error.kind, DecodeErrorKind::NodeName(_)) => {}
        decoded => assert_eq!(decoded.map(|(_, used)| used), walked),
    }
}

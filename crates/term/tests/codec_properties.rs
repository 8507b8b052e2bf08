//! What holds of the codec for every term, and for bytes that are almost a term.

mod support;

use proptest::prelude::*;
use purlin_term::{
    Atom, DecodeError, DecodeErrorKind, Decoder, EncodedTerm, Encoder, Limits, NameBudget, Term,
    from_external, to_external,
};
use support::term;

fn encoded_with_refs(term: &Term) -> (bytes::Bytes, Vec<Atom>) {
    let mut encoder = Encoder::with_atom_refs();
    encoder.term(term).unwrap();
    encoder.finish()
}

fn decoded(bytes: &[u8], atoms: &[Atom]) -> Result<(Term, usize), DecodeError> {
    let mut names = NameBudget::new(100);
    Decoder::new(atoms, &Limits::default(), &mut names).decode(bytes)
}

fn walked(bytes: &[u8], atoms: &[Atom]) -> Result<usize, DecodeError> {
    let mut names = NameBudget::new(100);
    Decoder::new(atoms, &Limits::default(), &mut names).validate(bytes)
}

/// The walk and the decoder say the same, save for a key that comes twice.
fn agree(bytes: &[u8], atoms: &[Atom]) -> Result<(), TestCaseError> {
    match (decoded(bytes, atoms), walked(bytes, atoms)) {
        (Err(error), _) if error.kind == DecodeErrorKind::DuplicateKey => {}
        (decoded, walked) => prop_assert_eq!(decoded.map(|(_, used)| used), walked),
    }
    Ok(())
}

/// A change to valid bytes: bytes set at two places, and a cut.
fn mutation() -> impl Strategy<Value = (Vec<(prop::sample::Index, u8)>, prop::sample::Index, bool)>
{
    let tags = prop::sample::select(vec![
        70, 77, 82, 88, 90, 97, 98, 104, 106, 107, 108, 109, 116, 119,
    ]);
    let byte = prop_oneof![any::<u8>(), tags, Just(0), Just(255)];
    (
        prop::collection::vec((any::<prop::sample::Index>(), byte), 1..3),
        any::<prop::sample::Index>(),
        any::<bool>(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn terms_survive_both_encodings(term in term()) {
        let plain = to_external(&term);
        prop_assert_eq!(&from_external(&plain, &Limits::default()).unwrap(), &term);
        let (bytes, atoms) = encoded_with_refs(&term);
        let (again, used) = decoded(&bytes, &atoms).unwrap();
        prop_assert_eq!(used, bytes.len());
        prop_assert_eq!(&again, &term);
        prop_assert_eq!(to_external(&again), plain);
    }

    #[test]
    fn a_view_and_a_walked_message_hold_the_same_term(term in term()) {
        let (bytes, atoms) = encoded_with_refs(&term);
        let mut names = NameBudget::new(100);
        let mut decoder = Decoder::new(&atoms, &Limits::default(), &mut names);
        let view = decoder.view(&bytes).unwrap();
        prop_assert_eq!(view.bytes(), &bytes[..]);
        prop_assert_eq!(&view.to_term().unwrap(), &term);
        let message = EncodedTerm::validated(bytes.clone(), &atoms, &Limits::default(), &mut names);
        prop_assert_eq!(&message.unwrap().to_term().unwrap(), &term);
    }

    #[test]
    fn every_proper_prefix_is_refused(term in term(), at in any::<prop::sample::Index>()) {
        let bytes = to_external(&term);
        let cut = at.index(bytes.len());
        prop_assert!(from_external(&bytes[..cut], &Limits::default()).is_err());
        agree(&bytes[1.min(cut)..cut], &[])?;
    }

    #[test]
    fn what_follows_a_term_does_not_change_it(term in term(), more in prop::collection::vec(any::<u8>(), 1..40)) {
        let (bytes, atoms) = encoded_with_refs(&term);
        let long = [&bytes[..], &more].concat();
        let (again, used) = decoded(&long, &atoms).unwrap();
        prop_assert_eq!(used, bytes.len());
        prop_assert_eq!(again, term);
    }

    #[test]
    fn changed_bytes_never_panic_and_walk_and_decoder_agree(
        term in term(),
        (changes, cut, is_cut) in mutation(),
    ) {
        let (bytes, atoms) = encoded_with_refs(&term);
        let mut bytes = bytes.to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        agree(&bytes, &atoms)?;
        if let Ok((term, _)) = decoded(&bytes, &atoms) {
            let again = from_external(&to_external(&term), &Limits::default());
            prop_assert_eq!(again.unwrap(), term);
        }
    }
}

/// Every term goes to the decoder as it comes, at every place before the end of the input: short
/// texts are read in a window where there is room for one, and without where there is not.
#[test]
fn short_texts_are_read_alike_wherever_the_input_ends() {
    for len in 0..=40 {
        let text: String = ('a'..='z').cycle().take(len).collect();
        for term in [Term::from(text.as_str()), Atom::new(&text).unwrap().into()] {
            let bytes = to_external(&term);
            for padding in 0..=32 {
                let padded = [&bytes[1..], &vec![0xff; padding]].concat();
                let (again, used) = decoded(&padded, &[]).unwrap();
                assert_eq!((&again, used), (&term, bytes.len() - 1));
                assert_eq!(walked(&padded, &[]), Ok(used));
            }
        }
    }
}

/// ... and checked alike: a short text is no way around the check.
#[test]
fn an_atom_that_is_not_utf8_is_refused_wherever_the_input_ends() {
    for len in 1..=20u8 {
        for bad in 0..usize::from(len) {
            let mut text = vec![b'a'; len.into()];
            text[bad] = 0xff;
            for padding in [0, 1, 15, 16, 32] {
                let bytes = [&[119, len][..], &text, &vec![b'a'; padding]].concat();
                let error = decoded(&bytes, &[]).unwrap_err();
                assert_eq!(error.kind, DecodeErrorKind::AtomNotUtf8);
                assert_eq!(walked(&bytes, &[]), Err(error));
            }
        }
    }
}

#[test]
fn long_lists_of_numbers_are_read_alike_whatever_they_change_to() {
    let numbers = |n: i64| match n % 3 {
        0 => Term::from(n % 256),
        1 => Term::from(1_000 * n),
        _ => Term::float(n as f64 / 3.0).unwrap(),
    };
    for run in [1, 7, 8, 9, 100] {
        let items = (0..300).map(|n| numbers(n / run));
        let term = Term::list(items.chain([Term::from("end")]));
        let bytes = to_external(&term);
        assert_eq!(from_external(&bytes, &Limits::default()).unwrap(), term);
        agree(&bytes[1..], &[]).unwrap();
        for cut in (1..bytes.len()).rev().take(50) {
            agree(&bytes[1..cut], &[]).unwrap();
        }
    }
    let infinite = [
        &[108, 0, 0, 0, 9][..],
        &[70, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0].repeat(9),
        &[106],
    ]
    .concat();
    assert_eq!(
        decoded(&infinite, &[]).unwrap_err().kind,
        DecodeErrorKind::BadFloat
    );
    agree(&infinite, &[]).unwrap();
}

/// One term as deep as any configuration allows, of each kind of container, goes all the way on half
/// of a worker thread's stack.
#[test]
#[allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the crate is pure, this measures the stack of a thread"
)]
fn the_deepest_term_fits_a_mebibyte_of_stack() {
    let depth = purlin_term::limits::DEPTH_MAX;
    let leaf = || Term::from(1);
    let deeper: [fn(Term) -> Term; 4] = [
        |inner| Term::tuple([inner]),
        |inner| Term::list([inner, Term::from(300)]),
        |inner| Term::map([(Term::from(1), inner)]).unwrap(),
        |inner| Term::map([(inner, Term::from(1))]).unwrap(),
    ];
    let check = move || {
        for deeper in deeper {
            let term = (0..depth).fold(leaf(), |inner, _| deeper(inner));
            let bytes = to_external(&term);
            let again = from_external(&bytes, &Limits::default()).unwrap();
            assert_eq!(walked(&bytes[1..], &[]), Ok(bytes.len() - 1));
            assert!(again == term && again.cmp(&term).is_eq());
            assert!(!again.to_string().is_empty());
            drop((again.clone(), again, term));
            let deeper_still = (0..=depth).fold(leaf(), |inner, _| deeper(inner));
            let more = from_external(&to_external(&deeper_still), &Limits::default());
            assert_eq!(more.unwrap_err().kind, DecodeErrorKind::TooDeep);
        }
    };
    let thread = std::thread::Builder::new().stack_size(STACK);
    thread.spawn(check).unwrap().join().unwrap();
}

/// What `limits::DEPTH_MAX` promises, without optimisation too.
const STACK: usize = 1 << 20;

//! Encodings written by hand or copied from OTP, decoded and encoded.

use purlin_term::{
    Atom, BigInt, DecodeErrorKind, Decoder, EncodedTerm, Encoder, Limits, NameBudget, NodeName,
    Pid, Port, Reference, Shape, Term, atom, from_external, to_external,
};

fn node(name: &str) -> NodeName {
    NodeName::new(Atom::new(name).unwrap()).unwrap()
}

fn decode(bytes: &[u8]) -> Result<Term, DecodeErrorKind> {
    from_external(&[&[131], bytes].concat(), &Limits::default()).map_err(|e| e.kind)
}

fn ints(values: impl IntoIterator<Item = i64>) -> Term {
    Term::list(values.into_iter().map(Term::from))
}

/// Terms with the bytes that OTP's `term_to_binary(T, [deterministic])` gives, without the 131.
fn goldens() -> Vec<(Term, Vec<u8>)> {
    let big = BigInt::parse_bytes(b"123456789012345678901234567890", 10).unwrap();
    vec![
        (Term::from(0), vec![97, 0]),
        (Term::from(255), vec![97, 255]),
        (Term::from(256), vec![98, 0, 0, 1, 0]),
        (Term::from(-1), vec![98, 255, 255, 255, 255]),
        (Term::from(1i64 << 31), vec![110, 4, 0, 0, 0, 0, 128]),
        (
            Term::from(-576460752303423488i64),
            vec![110, 8, 1, 0, 0, 0, 0, 0, 0, 0, 8],
        ),
        (
            Term::from(big),
            vec![
                110, 13, 0, 210, 10, 63, 78, 238, 224, 115, 195, 246, 15, 233, 142, 1,
            ],
        ),
        (
            Term::float(1.5).unwrap(),
            vec![70, 63, 248, 0, 0, 0, 0, 0, 0],
        ),
        (atom!("ok").into(), vec![119, 2, b'o', b'k']),
        (atom!("é").into(), vec![119, 2, 0xc3, 0xa9]),
        (Term::tuple([]), vec![104, 0]),
        (Term::nil(), vec![106]),
        (ints([1]), vec![107, 0, 1, 1]),
        (ints([256]), vec![108, 0, 0, 0, 1, 98, 0, 0, 1, 0, 106]),
        (
            Term::list_with_tail([1.into()], 2.into()),
            vec![108, 0, 0, 0, 1, 97, 1, 97, 2],
        ),
        (
            Term::map([(atom!("b").into(), 2.into()), (1.into(), 3.into())]).unwrap(),
            vec![116, 0, 0, 0, 2, 97, 1, 97, 3, 119, 1, b'b', 97, 2],
        ),
        (Term::from("hi"), vec![109, 0, 0, 0, 2, b'h', b'i']),
        (
            Term::bits(&[0xa0], 3).unwrap(),
            vec![77, 0, 0, 0, 1, 3, 0xa0],
        ),
        (
            Pid {
                node: node("a@h"),
                creation: 9,
                id: 7,
                serial: 8,
            }
            .into(),
            vec![
                88, 119, 3, b'a', b'@', b'h', 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 9,
            ],
        ),
        (
            Port {
                node: node("a@h"),
                creation: 9,
                id: 1 << 32,
            }
            .into(),
            vec![
                120, 119, 3, b'a', b'@', b'h', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9,
            ],
        ),
        (
            Reference::new(node("a@h"), 9, &[1, 2]).unwrap().into(),
            vec![
                90, 0, 2, 119, 3, b'a', b'@', b'h', 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2,
            ],
        ),
    ]
}

#[test]
fn golden_terms_decode_and_encode_to_the_same_bytes() {
    for (term, bytes) in goldens() {
        assert_eq!(decode(&bytes), Ok(term.clone()));
        assert_eq!(to_external(&term)[1..], bytes, "{term}");
    }
}

#[test]
fn old_and_alternative_forms_decode_to_the_same_terms() {
    let pid = Pid {
        node: node("a@h"),
        creation: 3,
        id: 7,
        serial: 8,
    };
    let port = Port {
        node: node("a@h"),
        creation: 3,
        id: 7,
    };
    let reference = |words: &[u32]| Reference::new(node("a@h"), 3, words).unwrap();
    let mut float = b"c1.50000000000000000000e+00".to_vec();
    float.resize(32, 0);
    let cases: Vec<(Vec<u8>, Term)> = vec![
        (vec![100, 0, 2, b'o', b'k'], atom!("ok").into()),
        (vec![115, 1, 0xe9], atom!("é").into()),
        (vec![118, 0, 2, 0xc3, 0xa9], atom!("é").into()),
        (
            vec![103, 119, 3, 97, 64, 104, 0, 0, 0, 7, 0, 0, 0, 8, 3],
            pid.into(),
        ),
        (vec![102, 119, 3, 97, 64, 104, 0, 0, 0, 7, 3], port.into()),
        (
            vec![89, 119, 3, 97, 64, 104, 0, 0, 0, 7, 0, 0, 0, 3],
            port.into(),
        ),
        (
            vec![101, 119, 3, 97, 64, 104, 0, 0, 0, 7, 3],
            reference(&[7]).into(),
        ),
        (
            vec![114, 0, 2, 119, 3, 97, 64, 104, 3, 0, 0, 0, 1, 0, 0, 0, 2],
            reference(&[1, 2]).into(),
        ),
        (float, Term::float(1.5).unwrap()),
        (vec![105, 0, 0, 0, 1, 97, 1], Term::tuple([1.into()])),
        (vec![111, 0, 0, 0, 1, 0, 5], Term::from(5)),
        (vec![110, 9, 1, 5, 0, 0, 0, 0, 0, 0, 0, 0], Term::from(-5)),
        (vec![77, 0, 0, 0, 1, 8, 7], Term::Binary([7][..].into())),
        (vec![108, 0, 0, 0, 0, 106], Term::nil()),
        (vec![108, 0, 0, 0, 0, 97, 1], Term::from(1)),
        (
            vec![108, 0, 0, 0, 1, 97, 1, 107, 0, 2, 2, 3],
            ints([1, 2, 3]),
        ),
        (
            vec![108, 0, 0, 0, 1, 97, 1, 108, 0, 0, 0, 1, 97, 2, 106],
            ints([1, 2]),
        ),
    ];
    for (bytes, term) in cases {
        assert_eq!(decode(&bytes), Ok(term.clone()), "{bytes:?}");
        let encoded = walked(&bytes).unwrap();
        assert_eq!(encoded.to_term(), Ok(term));
    }
}

fn walked(bytes: &[u8]) -> Result<EncodedTerm, DecodeErrorKind> {
    let mut names = NameBudget::new(10);
    EncodedTerm::validated(bytes.to_vec().into(), &[], &Limits::default(), &mut names)
        .map_err(|e| e.kind)
}

#[test]
fn malformed_bytes_are_refused_by_the_walk_and_the_decoder_alike() {
    use DecodeErrorKind::*;
    let cases: &[(&[u8], DecodeErrorKind)] = &[
        (&[], Truncated),
        (&[121, 0], UnknownTag(121)),
        (&[117], UnknownTag(117)),
        (&[109, 255, 255, 255, 255], Truncated),
        (&[108, 255, 255, 255, 255, 106], Truncated),
        (&[105, 255, 255, 255, 255], Truncated),
        (&[116, 127, 255, 255, 255, 97, 1], Truncated),
        (&[111, 255, 255, 255, 255, 0], Truncated),
        (&[119, 1, 0xff], AtomNotUtf8),
        (&[82, 0], UnknownAtomRef(0)),
        (&[70, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0], BadFloat),
        (&[77, 0, 0, 0, 0, 3], BadBitString),
        (&[77, 0, 0, 0, 1, 9, 1], BadBitString),
        (&[88, 97, 1], NotAnAtom(97)),
        (&[90, 0, 6], BadReference(6)),
        (&[90, 0, 0], BadReference(0)),
        (&[113, 119, 1, 97, 119, 1, 97, 98, 0, 0, 1, 0], BadArity),
        (&[97, 1, 2], Trailing(1)),
    ];
    for (bytes, error) in cases {
        assert_eq!(decode(bytes), Err(*error), "{bytes:?}");
        assert_eq!(walked(bytes).err(), Some(*error), "{bytes:?}");
    }
    let long = [&[118, 1, 0][..], &[b'a'; 256]].concat();
    assert_eq!(decode(&long), Err(AtomTooLong));
}

#[test]
fn a_key_twice_passes_the_walk_and_is_refused_on_decoding() {
    let bytes = [116, 0, 0, 0, 2, 97, 1, 97, 2, 98, 0, 0, 0, 1, 97, 3];
    assert_eq!(decode(&bytes), Err(DecodeErrorKind::DuplicateKey));
    let encoded = walked(&bytes).unwrap();
    assert_eq!(
        encoded.to_term().map_err(|e| e.kind),
        Err(DecodeErrorKind::DuplicateKey)
    );
}

#[test]
fn limits_hold_before_anything_is_allocated() {
    let with = |limits: Limits, bytes: &[u8]| {
        let mut names = NameBudget::new(limits.new_node_names_max);
        let walked = Decoder::new(&[], &limits, &mut names).validate(bytes).err();
        let mut names = NameBudget::new(limits.new_node_names_max);
        let decoded = Decoder::new(&[], &limits, &mut names).decode(bytes).err();
        assert_eq!(walked, decoded);
        walked.map(|e| e.kind)
    };
    let nested = |depth: usize| [&[104, 1].repeat(depth)[..], &[106]].concat();
    let limits = Limits {
        depth_max: 10,
        size_max: 100,
        elements_max: 20,
        ..Limits::default()
    };
    assert_eq!(with(limits, &nested(10)), None);
    assert_eq!(with(limits, &nested(11)), Some(DecodeErrorKind::TooDeep));
    assert_eq!(
        with(limits, &[0; 101]),
        Some(DecodeErrorKind::TooLarge(100))
    );
    let flat = [&[104, 21][..], &[106; 21]].concat();
    assert_eq!(with(limits, &flat), Some(DecodeErrorKind::TooManyElements));
    let string = [&[107, 0, 21][..], &[1; 21]].concat();
    assert_eq!(
        with(limits, &string),
        Some(DecodeErrorKind::TooManyElements)
    );
    let deepest = nested(purlin_term::limits::DEPTH_MAX);
    assert_eq!(with(Limits::default(), &deepest), None);
}

#[test]
fn a_flood_of_node_names_spends_the_budget() {
    let pid = |n: u32| {
        let name = format!("flood{n}@h");
        let mut bytes = vec![88, 119, name.len() as u8];
        bytes.extend(name.bytes());
        bytes.extend([0; 12]);
        bytes
    };
    let many: Vec<u8> = (0..5).flat_map(pid).collect();
    let bytes = [&[104, 5][..], &many].concat();
    let mut names = NameBudget::new(4);
    let error = Decoder::new(&[], &Limits::default(), &mut names)
        .validate(&bytes)
        .unwrap_err();
    assert_eq!(
        error.kind,
        DecodeErrorKind::NodeName(purlin_term::NodeNameRefused::BudgetSpent)
    );
}

#[test]
fn a_chain_of_lists_is_one_list_however_long() {
    let links = 100_000;
    let chain = [&[108, 0, 0, 0, 1, 97, 7].repeat(links)[..], &[106]].concat();
    let term = decode(&chain).unwrap();
    assert_eq!(term.as_list().unwrap().len(), links);
    let encoded = walked(&chain).unwrap();
    let Shape::List(elements) = encoded.view().shape() else {
        panic!("a list")
    };
    assert_eq!(elements.count(), links);
}

#[test]
fn a_compressed_term_inflates_within_its_bound() {
    use std::io::Write;
    let inner = [&[109, 0, 1, 0, 0][..], &vec![7; 65_536]].concat();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    zlib.write_all(&inner).unwrap();
    let stream = zlib.finish().unwrap();
    let bytes = |size: usize| [&[131, 80][..], &(size as u32).to_be_bytes(), &stream].concat();
    let limits = |inflated_max| Limits {
        inflated_max,
        ..Limits::default()
    };
    let term = from_external(&bytes(inner.len()), &limits(inner.len())).unwrap();
    assert_eq!(term, Term::Binary(vec![7; 65_536].into()));
    let kind = |size, max| from_external(&bytes(size), &limits(max)).unwrap_err().kind;
    let max = inner.len() - 1;
    assert_eq!(
        kind(inner.len(), max),
        DecodeErrorKind::InflatesTooLarge(max)
    );
    assert_eq!(kind(100, 1000), DecodeErrorKind::BadCompression);
    assert_eq!(
        kind(inner.len() + 1, 1 << 20),
        DecodeErrorKind::BadCompression
    );
}

#[test]
fn atoms_become_references_and_only_those_used_travel_on() {
    let term = Term::tuple([atom!("a").into(), atom!("b").into(), atom!("a").into()]);
    let encoded = EncodedTerm::encode(&term).unwrap();
    assert_eq!(encoded.bytes()[..], [104, 3, 82, 0, 82, 1, 82, 0]);
    assert_eq!(encoded.atoms(), [atom!("a"), atom!("b")]);

    let header = [atom!("unused"), atom!("b"), atom!("trailing")];
    let mut names = NameBudget::new(0);
    let bytes = vec![104, 1, 82, 1].into();
    let cut = EncodedTerm::validated(bytes, &header, &Limits::default(), &mut names).unwrap();
    assert_eq!(cut.atoms(), [atom!(""), atom!("b")]);
    assert_eq!(cut.to_term(), Ok(Term::tuple([atom!("b").into()])));
}

#[test]
fn atoms_past_the_255th_are_written_inline() {
    let atoms: Vec<Atom> = (0..300)
        .map(|n| Atom::new(&format!("atom{n}")).unwrap())
        .collect();
    let term = Term::list(atoms.iter().cloned().map(Term::from));
    let mut encoder = Encoder::with_atom_refs();
    encoder.term(&term).unwrap();
    encoder.term(&term).unwrap();
    let (bytes, listed) = encoder.finish();
    assert_eq!(listed, atoms[..255]);
    let mut names = NameBudget::new(0);
    let mut decoder = Decoder::new(&listed, &Limits::default(), &mut names);
    let (first, used) = decoder.decode(&bytes).unwrap();
    assert_eq!(first, term);
    assert_eq!(bytes[..used], bytes[used..]);
}

#[test]
fn a_view_shows_what_the_term_holds() {
    let tail = Term::list_with_tail([1.into(), atom!("x").into()], 2.into());
    let term = Term::tuple([tail, Term::from("bin"), ints([1, 2, 300])]);
    let encoded = EncodedTerm::encode(&term).unwrap();
    let [improper, binary, list] = encoded.view().as_tuple_of().unwrap();
    assert_eq!(binary.as_binary(), Some(&b"bin"[..]));
    let Shape::List(mut elements) = improper.shape() else {
        panic!("a list")
    };
    assert_eq!(elements.next().unwrap().as_int(), Some(1));
    assert!(elements.next().unwrap().is_atom("x"));
    assert!(elements.next().is_none());
    assert_eq!(elements.tail().unwrap().as_int(), Some(2));
    let Shape::List(elements) = list.shape() else {
        panic!("a list")
    };
    assert_eq!(
        elements.map(|v| v.as_int().unwrap()).collect::<Vec<_>>(),
        [1, 2, 300]
    );
    assert_eq!(encoded.view().to_term(), Ok(term));
}

//! The terms, as bytes that every system gets alike.
//!
//! Maps are written in an order that is not that of their keys, as OTP writes them (atoms by their
//! place in its table, large maps by hash), except in the row that says so.

use purlin_term::{BigInt, Encoder, NodeName, Pid, Reference, Term, atom};

/// A term and its name in the tables.
pub(super) struct Case {
    pub(super) name: &'static str,
    /// With the version byte.
    pub(super) bytes: Vec<u8>,
}

/// Numbers that look random and are the same in every run (Knuth's MMIX generator).
struct Lcg(u64);

impl Lcg {
    fn next(&mut self) -> u64 {
        let Self(state) = self;
        *state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        *state >> 16
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = (self.next() % (last as u64 + 1)) as usize;
            items.swap(last, other);
        }
    }
}

pub(super) fn all() -> Vec<Case> {
    let case = |name, term: Term| Case {
        name,
        bytes: encode(&term),
    };
    let mut random = Lcg(1);
    vec![
        case("control message", control()),
        case("gen_server call", gen_call()),
        case(
            "1,000 integers",
            Term::list((0..1000).map(|n| Term::from(256 + 7 * n))),
        ),
        case("1,000 records", Term::list((0..1000).map(record))),
        Case {
            name: "map, 8 atom keys",
            bytes: small_map(),
        },
        Case {
            name: "map, 1,000 keys",
            bytes: large_map(&mut random, true),
        },
        Case {
            name: "map, 1,000 keys, sorted",
            bytes: large_map(&mut random, false),
        },
        Case {
            name: "document, 2 KiB",
            bytes: document(&mut random),
        },
        case("binary, 1 KiB", Term::Binary(vec![7; 1 << 10].into())),
        case("binary, 1 MiB", Term::Binary(vec![7; 1 << 20].into())),
        case(
            "1,000 floats",
            Term::list((0..1000).map(|n| float(f64::from(n) * 1.25 + 0.1))),
        ),
        case("30 big integers", Term::list((1..=30).map(big))),
        case("deep list, 500", deep(500)),
        case("100 pids", Term::list((0..100).map(|n| pid(n).into()))),
        case(
            "string, 1,000",
            Term::string(&"The quick, brown fox".repeat(50)),
        ),
        case("property list, 20", properties()),
    ]
}

/// `{reg_send, ..}`-like: what a distribution channel sees most.
fn control() -> Term {
    Term::tuple([
        Term::from(6),
        pid(90).into(),
        atom!("").into(),
        atom!("net_kernel").into(),
    ])
}

fn gen_call() -> Term {
    let alias = Term::list_with_tail([atom!("alias").into()], reference().into());
    Term::tuple([
        atom!("$gen_call").into(),
        Term::tuple([pid(91).into(), alias]),
        Term::tuple([atom!("add").into(), 2.into()]),
    ])
}

fn record(n: i64) -> Term {
    let name = format!("customer-{n:04}");
    Term::tuple([
        atom!("order").into(),
        (100_000 + n).into(),
        name.as_str().into(),
    ])
}

fn small_map() -> Vec<u8> {
    let pairs = [
        (atom!("name"), Term::from("Ada Lovelace")),
        (atom!("id"), 123_456.into()),
        (atom!("email"), "ada@example.org".into()),
        (atom!("status"), atom!("active").into()),
        (atom!("age"), 36.into()),
        (atom!("balance"), float(1024.5)),
        (atom!("__struct__"), atom!("Elixir.User").into()),
        (
            atom!("roles"),
            Term::list([atom!("admin").into(), atom!("author").into()]),
        ),
    ];
    written(|encoder| {
        map(
            encoder,
            pairs.map(|(key, value)| (key.into(), value)).to_vec(),
        )
    })
}

fn large_map(random: &mut Lcg, as_hashed: bool) -> Vec<u8> {
    let key = |n: i64| Term::from(format!("user:{n:05}").as_str());
    let mut pairs: Vec<(Term, Term)> = (0..1000).map(|n| (key(n), n.into())).collect();
    if as_hashed {
        random.shuffle(&mut pairs);
    }
    written(|encoder| map(encoder, pairs))
}

/// What a JSON API answers: binary keys, a list of objects in an object.
fn document(random: &mut Lcg) -> Vec<u8> {
    let mut object = |fields: Vec<(&str, Vec<u8>)>| {
        let mut fields = fields;
        random.shuffle(&mut fields);
        raw(|encoder| {
            encoder.map(fields.len()).expect(SMALL);
            for (key, value) in &fields {
                encoder.binary(key.as_bytes()).expect(SMALL);
                encoder.raw(value);
            }
        })
    };
    let text = |value: &str| raw(|encoder| encoder.binary(value.as_bytes()).expect(SMALL));
    let int = |value| raw(|encoder| encoder.int(value));
    let is =
        |value: &str| raw(|encoder| encoder.atom(&purlin_term::Atom::new(value).expect(SMALL)));
    let items: Vec<Vec<u8>> = (0..8)
        .map(|n| {
            let price = object(vec![
                ("currency", text("EUR")),
                ("cents", int(995 + 100 * n)),
            ]);
            object(vec![
                ("id", int(70_000 + n)),
                ("title", text("A book about distributed systems")),
                ("isbn", text(&format!("978-0-13-46{n:02}-9"))),
                ("available", is("true")),
                ("price", price),
                (
                    "description",
                    text("What happens when clocks, networks and disks all fail."),
                ),
            ])
        })
        .collect();
    let list = raw(|encoder| {
        encoder.list(items.len()).expect(SMALL);
        items.iter().for_each(|item| encoder.raw(item));
        encoder.nil();
    });
    let top = object(vec![
        ("items", list),
        ("next", is("null")),
        ("total", int(8)),
    ]);
    written(|encoder| encoder.raw(&top))
}

fn big(n: u32) -> Term {
    let value = BigInt::from(0x1234_5678_9abc_def1_u64).pow(1 + n % 8) + n;
    Term::from(if n.is_multiple_of(2) { value } else { -value } * 1_000_003)
}

fn deep(depth: usize) -> Term {
    (0..depth).fold(Term::nil(), |inner, n| {
        Term::list([(n as i64).into(), inner])
    })
}

fn properties() -> Term {
    let property = |n: usize| {
        let key = purlin_term::Atom::new(&format!("option_{n}")).expect(SMALL);
        let value = match n % 4 {
            0 => Term::from(n as i64 * 1000),
            1 => atom!("true").into(),
            2 => "a setting".into(),
            _ => Term::tuple([Term::from(127), 0.into(), 0.into(), 1.into()]),
        };
        Term::tuple([key.into(), value])
    };
    Term::list((0..20).map(property))
}

fn pid(id: u32) -> Pid {
    Pid {
        node: peer(),
        creation: 1_700_000_000,
        id,
        serial: 0,
    }
}

fn reference() -> Reference {
    Reference::new(peer(), 1_700_000_000, &[251_000, 77, 3_000_000_000]).expect(SMALL)
}

fn peer() -> NodeName {
    NodeName::new(&atom!("shop@10.0.0.17")).expect(SMALL)
}

fn float(value: f64) -> Term {
    Term::float(value).expect("finite")
}

const SMALL: &str = "the bench's terms are small";

fn encode(term: &Term) -> Vec<u8> {
    written(|encoder| encoder.term(term).expect(SMALL))
}

fn written(write: impl FnOnce(&mut Encoder)) -> Vec<u8> {
    let mut bytes = vec![131];
    bytes.extend(raw(write));
    bytes
}

fn raw(write: impl FnOnce(&mut Encoder)) -> Vec<u8> {
    let mut encoder = Encoder::plain();
    write(&mut encoder);
    encoder.finish().0.into()
}

fn map(encoder: &mut Encoder, pairs: Vec<(Term, Term)>) {
    encoder.map(pairs.len()).expect(SMALL);
    for (key, value) in &pairs {
        encoder.term(key).expect(SMALL);
        encoder.term(value).expect(SMALL);
    }
}

//! What several tests of this crate share: arbitrary terms, and a real OTP to compare with.
#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod otp;

use proptest::collection::vec;
use proptest::prelude::*;
use purlin_term::{Atom, BigInt, Export, Float, Fun, NodeName, Pid, Port, Reference, Term};

/// Any term: every variant, nested up to four levels.
pub(crate) fn term() -> impl Strategy<Value = Term> {
    nested(prop_oneof![20 => readable_leaf(), 2 => fun(leaf_without_fun().boxed())].boxed())
}

/// Any term whose text can be read back: every variant but [`Fun`].
pub(crate) fn readable_term() -> impl Strategy<Value = Term> {
    nested(readable_leaf().boxed())
}

fn nested(leaf: BoxedStrategy<Term>) -> impl Strategy<Value = Term> {
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Term::tuple),
            vec(inner.clone(), 0..6).prop_map(Term::list),
            (vec(inner.clone(), 1..5), inner.clone())
                .prop_map(|(items, tail)| Term::list_with_tail(items, tail)),
            vec((inner.clone(), inner), 0..6).prop_map(map_of_distinct),
        ]
    })
}

fn map_of_distinct(mut pairs: Vec<(Term, Term)>) -> Term {
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs.dedup_by(|a, b| a.0 == b.0);
    Term::map(pairs).expect("distinct keys")
}

fn readable_leaf() -> impl Strategy<Value = Term> {
    leaf_without_fun()
}

fn leaf_without_fun() -> impl Strategy<Value = Term> {
    prop_oneof![
        3 => (-3i64..300).prop_map(Term::from),
        1 => any::<i64>().prop_map(Term::from),
        2 => near_power_of_two(),
        1 => big_int(),
        3 => float(),
        3 => atom().prop_map(Term::from),
        1 => pid().prop_map(Term::from),
        1 => port().prop_map(Term::from),
        1 => reference().prop_map(Term::from),
        2 => vec(any::<u8>(), 0..40).prop_map(|bytes| Term::Binary(bytes.into())),
        1 => "\\PC{0,20}".prop_map(|text| Term::from(text.as_str())),
        1 => "[ -~\n\"\\\\\u{a0}-\u{ff}]{1,30}".prop_map(|text| Term::string(&text)),
        1 => bits(),
        1 => export().prop_map(Term::from),
    ]
}

fn near_power_of_two() -> impl Strategy<Value = Term> {
    (0u32..70, -1i8..=1, any::<bool>()).prop_map(|(power, off, negative)| {
        let value = (BigInt::from(1) << power) + off;
        Term::from(if negative { -value } else { value })
    })
}

fn big_int() -> impl Strategy<Value = Term> {
    (vec(any::<u8>(), 1..300), any::<bool>()).prop_map(|(bytes, negative)| {
        let sign = if negative {
            num_bigint::Sign::Minus
        } else {
            num_bigint::Sign::Plus
        };
        Term::from(BigInt::from_bytes_le(sign, &bytes))
    })
}

/// Floats of any bits, and many that are equal to integers or close to them.
fn float() -> impl Strategy<Value = Term> {
    let any_bits = any::<u64>().prop_map(f64::from_bits);
    let whole = (-300i32..300).prop_map(f64::from);
    let power =
        (0i32..1023, -1.0f64..=1.0).prop_map(|(power, sign)| 2f64.powi(power) * sign.signum());
    let some = proptest::sample::select(vec![0.0, -0.0, 0.1, 1e22, 1e23, f64::MAX, 5e-324]);
    prop_oneof![any_bits, whole, power, some]
        .prop_filter_map("finite", |value| Float::new(value).map(Term::Float))
}

/// Atoms of any characters, ordinary ones more often.
pub(crate) fn atom() -> impl Strategy<Value = Atom> {
    prop_oneof![
        4 => "[a-z][a-z_@A-Z0-9]{0,20}",
        2 => "\\PC{0,30}",
        1 => "[\\x00-\\xff]{0,20}",
        1 => proptest::sample::select(vec!["", "if", "maybe", "else", "true", "undefined", "é", "ÿ÷"])
            .prop_map(String::from),
    ]
    .prop_map(|text| Atom::new(&text).expect("a short atom"))
}

/// A few names only: the table of node names is never emptied.
fn node() -> impl Strategy<Value = NodeName> {
    let names = vec!["a@h", "b@127.0.0.1", "c d@h", "λ@h", "a'>.1/2@h"];
    proptest::sample::select(names)
        .prop_map(|name| NodeName::new(Atom::new(name).unwrap()).unwrap())
}

fn creation() -> impl Strategy<Value = u32> {
    proptest::sample::select(vec![1, 2, 3, u32::MAX])
}

fn word() -> impl Strategy<Value = u32> {
    prop_oneof![3 => 0u32..4, 1 => any::<u32>()]
}

fn pid() -> impl Strategy<Value = Pid> {
    (node(), creation(), word(), word()).prop_map(|(node, creation, id, serial)| Pid {
        node,
        creation,
        id,
        serial,
    })
}

fn port() -> impl Strategy<Value = Port> {
    let id = prop_oneof![3 => 0u64..4, 1 => any::<u64>()];
    (node(), creation(), id).prop_map(|(node, creation, id)| Port { node, creation, id })
}

fn reference() -> impl Strategy<Value = Reference> {
    (node(), creation(), vec(word(), 1..=5)).prop_map(|(node, creation, words)| {
        Reference::new(node, creation, &words).expect("one to five words")
    })
}

fn bits() -> impl Strategy<Value = Term> {
    (vec(any::<u8>(), 1..12), 0usize..8).prop_map(|(bytes, unused)| {
        Term::bits(&bytes, 8 * bytes.len() - unused).expect("as many bytes as bits")
    })
}

fn export() -> impl Strategy<Value = Export> {
    (atom(), atom(), any::<u8>()).prop_map(|(module, function, arity)| Export {
        module,
        function,
        arity,
    })
}

/// Funs of few modules, so that many are alike. The hash of the code decides the older numbers and
/// the arity, as it does where code is compiled: OTP takes two funs of one index and hash for one.
fn fun(free: BoxedStrategy<Term>) -> impl Strategy<Value = Term> {
    let module = proptest::sample::select(vec!["m", "n_with_a_longer_name"]);
    (module, 0u8..3, 0u32..3, pid(), vec(free, 0..3)).prop_map(
        |(module, uniq, index, creator, free)| {
            Term::from(Fun {
                arity: uniq + index as u8,
                uniq: [uniq; 16],
                index,
                module: Atom::new(module).unwrap(),
                old_index: i64::from(2 - index).into(),
                old_uniq: i64::from(uniq).into(),
                creator,
                free: free.into(),
            })
        },
    )
}

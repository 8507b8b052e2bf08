//! Erlang's total order of terms, in its two forms.
//!
//! `number < atom < reference < fun < port < pid < tuple < map < [] < list < bit string`
//! (Erlang reference manual, "Term Comparisons").
//!
//! - [`Term::compare`] is `<` of Erlang: integers and floats compare by value, `1 == 1.0`.
//! - [`Ord`] agrees with `=:=`: integers sort before floats, as keys of maps do in OTP
//!   (erts `erts_cmp_compound` with `exact`), and `-0.0` before `0.0`.

use std::cmp::Ordering;

use num_bigint::BigInt;

use crate::bignum::Bignum;
use crate::list::{Parts, of_byte};
use crate::term::{Export, Fun, Map, Term};

#[derive(Clone, Copy)]
enum Numbers {
    ByValue,
    IntegersFirst,
}

impl Term {
    /// Compares as Erlang's `<`, `==` and `>` do.
    ///
    /// ```
    /// use purlin_term::Term;
    /// use std::cmp::Ordering;
    /// let (one, float) = (Term::from(1), Term::float(1.0).unwrap());
    /// assert_eq!(one.compare(&float), Ordering::Equal);
    /// assert_ne!(one, float);
    /// ```
    pub fn compare(&self, other: &Self) -> Ordering {
        compare(self, other, Numbers::ByValue)
    }
}

impl Ord for Term {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self, other, Numbers::IntegersFirst)
    }
}

impl PartialOrd for Term {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn rank(term: &Term) -> u8 {
    match term {
        Term::Int(_) | Term::BigInt(_) | Term::Float(_) => 0,
        Term::Atom(_) => 1,
        Term::Reference(_) => 2,
        Term::Fun(_) | Term::Export(_) => 3,
        Term::Port(_) => 4,
        Term::Pid(_) => 5,
        Term::Tuple(_) => 6,
        Term::Map(_) => 7,
        Term::List(items) if items.is_empty() => 8,
        Term::List(_) | Term::ImproperList(_) => 9,
        Term::Binary(_) | Term::BitString(_) => 10,
    }
}

fn compare(a: &Term, b: &Term, numbers: Numbers) -> Ordering {
    match (a, b) {
        (Term::Int(a), Term::Int(b)) => a.cmp(b),
        (Term::Atom(a), Term::Atom(b)) => a.cmp(b),
        (Term::Binary(a), Term::Binary(b)) => a.cmp(b),
        (Term::Pid(a), Term::Pid(b)) => a.cmp(b),
        (Term::Port(a), Term::Port(b)) => a.cmp(b),
        (Term::Reference(a), Term::Reference(b)) => a.cmp(b),
        (Term::Tuple(a), Term::Tuple(b)) => {
            a.len().cmp(&b.len()).then_with(|| sequences(a, b, numbers))
        }
        (Term::Map(a), Term::Map(b)) => maps(a, b, numbers),
        _ => rank(a).cmp(&rank(b)).then_with(|| same_rank(a, b, numbers)),
    }
}

fn same_rank(a: &Term, b: &Term, numbers: Numbers) -> Ordering {
    match rank(a) {
        0 => self::numbers(a, b, numbers),
        3 => funs(a, b, numbers),
        9 => lists(a, b, numbers),
        10 => bits(a).cmp(&bits(b)),
        _ => Ordering::Equal,
    }
}

fn sequences(a: &[Term], b: &[Term], numbers: Numbers) -> Ordering {
    let pairs = a.iter().zip(b);
    pairs
        .map(|(a, b)| compare(a, b, numbers))
        .find(|o| o.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// By size, then by the sorted keys, then by the values in the order of the keys. Keys compare
/// exactly even within `==`.
fn maps(a: &Map, b: &Map, numbers: Numbers) -> Ordering {
    let (a, b) = (a.pairs(), b.pairs());
    a.len()
        .cmp(&b.len())
        .then_with(|| a.iter().map(|(k, _)| k).cmp(b.iter().map(|(k, _)| k)))
        .then_with(|| {
            let values = a
                .iter()
                .zip(b)
                .map(|((_, a), (_, b))| compare(a, b, numbers));
            values
                .into_iter()
                .find(|o| o.is_ne())
                .unwrap_or(Ordering::Equal)
        })
}

/// The elements of a list, and its tail where that is not `[]`.
fn list_parts(term: &Term) -> (Parts<'_>, Option<&Term>) {
    match term {
        Term::List(items) => (items.parts(), None),
        Term::ImproperList(list) => (Parts::Terms(list.items()), Some(list.tail())),
        _ => (Parts::Bytes(&[]), Some(term)),
    }
}

/// The elements that both have.
fn elements(a: &Parts<'_>, b: &Parts<'_>, numbers: Numbers) -> Ordering {
    let with_terms = |bytes: &[u8], terms: &[Term]| {
        let pairs = bytes.iter().zip(terms);
        pairs
            .map(|(byte, term)| compare(of_byte(byte), term, numbers))
            .find(|o| o.is_ne())
            .unwrap_or(Ordering::Equal)
    };
    match (a, b) {
        (Parts::Terms(a), Parts::Terms(b)) => sequences(a, b, numbers),
        (Parts::Bytes(a), Parts::Bytes(b)) => {
            let common = a.len().min(b.len());
            a[..common].cmp(&b[..common])
        }
        (Parts::Bytes(a), Parts::Terms(b)) => with_terms(a, b),
        (Parts::Terms(a), Parts::Bytes(b)) => with_terms(b, a).reverse(),
    }
}

fn lists(a: &Term, b: &Term, numbers: Numbers) -> Ordering {
    let ((a, a_tail), (b, b_tail)) = (list_parts(a), list_parts(b));
    let common = a.len().min(b.len());
    elements(&a, &b, numbers).then_with(|| match (a.len() > common, b.len() > common) {
        (false, false) => match (a_tail, b_tail) {
            (Some(a), Some(b)) => compare(a, b, numbers),
            (Some(a), None) => rank(a).cmp(&8),
            (None, Some(b)) => 8.cmp(&rank(b)),
            (None, None) => Ordering::Equal,
        },
        // One list goes on where the other has only its tail: `[]`, or what sorts around a list.
        (true, _) => 9.cmp(&a_tail_rank(b_tail)),
        (_, true) => a_tail_rank(a_tail).cmp(&9),
    })
}

fn a_tail_rank(tail: Option<&Term>) -> u8 {
    tail.map_or(8, rank)
}

fn bits(term: &Term) -> (&[u8], u8) {
    match term {
        Term::BitString(bits) => (bits.bytes(), bits.last_bits()),
        Term::Binary(bytes) => (bytes, 8),
        _ => (&[], 0),
    }
}

/// By module, index, the older hash and the number of values closed over, then those values: what
/// OTP 25 and 28 do. The rest follows from these in
/// real code, and only makes the order agree with `Eq`.
fn funs(a: &Term, b: &Term, numbers: Numbers) -> Ordering {
    fn export(e: &Export) -> (&crate::Atom, &crate::Atom, u8) {
        (&e.module, &e.function, e.arity)
    }
    fn local(f: &Fun) -> (&crate::Atom, u32, &Term, usize) {
        (&f.module, f.index, &f.old_uniq, f.free.len())
    }
    match (a, b) {
        (Term::Export(a), Term::Export(b)) => export(a).cmp(&export(b)),
        (Term::Fun(a), Term::Fun(b)) => local(a)
            .cmp(&local(b))
            .then_with(|| sequences(&a.free, &b.free, numbers))
            .then_with(|| (a.arity, a.uniq, &a.old_index).cmp(&(b.arity, b.uniq, &b.old_index))),
        (Term::Fun(_), _) => Ordering::Less,
        _ => Ordering::Greater,
    }
}

fn numbers(a: &Term, b: &Term, numbers: Numbers) -> Ordering {
    match (a, b) {
        (Term::Float(a), Term::Float(b)) => match numbers {
            Numbers::ByValue => a
                .get()
                .partial_cmp(&b.get())
                .expect("I2: floats are finite"),
            Numbers::IntegersFirst => a.get().total_cmp(&b.get()),
        },
        (Term::Float(a), b) => match numbers {
            Numbers::ByValue => integer_with_float(b, a.get()).reverse(),
            Numbers::IntegersFirst => Ordering::Greater,
        },
        (a, Term::Float(b)) => match numbers {
            Numbers::ByValue => integer_with_float(a, b.get()),
            Numbers::IntegersFirst => Ordering::Less,
        },
        (Term::Int(a), Term::Int(b)) => a.cmp(b),
        (Term::BigInt(a), Term::BigInt(b)) => a.cmp(b),
        (Term::BigInt(a), _) => beyond_64_bits(a),
        (_, Term::BigInt(b)) => beyond_64_bits(b).reverse(),
        _ => Ordering::Equal,
    }
}

/// How a big integer compares with any that fits an `i64`.
fn beyond_64_bits(number: &Bignum) -> Ordering {
    if number.is_negative() {
        Ordering::Less
    } else {
        Ordering::Greater
    }
}

/// Compares exactly: the whole part as integers, then what the float has beyond it.
fn integer_with_float(a: &Term, b: f64) -> Ordering {
    let whole = b.trunc();
    let a = a.to_bigint().unwrap_or_default();
    a.cmp(&whole_float(whole)).then_with(|| {
        0.0f64
            .partial_cmp(&(b - whole))
            .expect("I2: floats are finite")
    })
}

/// The integer that a float without fraction is.
fn whole_float(value: f64) -> BigInt {
    let bits = value.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i64 - 1075;
    let mantissa = BigInt::from((bits & ((1 << 52) - 1)) | (1 << 52));
    let magnitude = match exponent {
        _ if value == 0.0 => BigInt::ZERO,
        0.. => mantissa << exponent,
        _ => mantissa >> -exponent,
    };
    if value < 0.0 { -magnitude } else { magnitude }
}

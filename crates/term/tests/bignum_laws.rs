//! Large integers are what `num_bigint` says they are, and have one form each.

use num_bigint::{BigInt, Sign};
use proptest::prelude::*;
use purlin_term::{Limits, Term, from_external, to_external};

/// Integers around the sizes that are kept differently, and around those of 64 bits.
fn integer() -> impl Strategy<Value = BigInt> {
    let size = prop_oneof![5 => 1usize..18, 2 => 28usize..34, 1 => 60usize..66, 1 => 120usize..300];
    let any_bytes = size.prop_flat_map(|len| prop::collection::vec(any::<u8>(), len));
    let digits = prop_oneof![
        any_bytes,
        (1usize..20, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
    ];
    (digits, any::<bool>()).prop_map(|(digits, negative)| {
        let sign = if negative { Sign::Minus } else { Sign::Plus };
        BigInt::from_bytes_le(sign, &digits)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_large_integer_says_what_it_is(value in integer()) {
        let term = Term::from(value.clone());
        prop_assert_eq!(term.to_bigint(), Some(value.clone()));
        prop_assert_eq!(term.to_string(), value.to_string());
        prop_assert_eq!(term.as_int(), i64::try_from(&value).ok());
        if let Term::BigInt(number) = &term {
            prop_assert_eq!(number.is_negative(), value.sign() == Sign::Minus);
            prop_assert_eq!(number.magnitude(), value.to_bytes_le().1);
            prop_assert_eq!(number.bits(), value.bits());
            prop_assert_eq!(number.to_u64(), u64::try_from(&value).ok());
            prop_assert_eq!(BigInt::from(number), value);
        }
    }

    #[test]
    fn integers_are_ordered_by_value(a in integer(), b in integer()) {
        for b in [&b, &a, &-&a, &(&a + 1)] {
            let (left, right) = (Term::from(a.clone()), Term::from(b.clone()));
            prop_assert_eq!(left.cmp(&right), a.cmp(b));
            prop_assert_eq!(left.compare(&right), a.cmp(b));
            prop_assert_eq!(left == right, a == *b);
        }
    }

    /// Whatever zeros a peer puts above the highest digit, and whatever it takes for a minus.
    #[test]
    fn an_integer_has_one_form_however_it_was_written(value in integer(), zeros in 0usize..12, sign in 1u8..) {
        let (negative, mut digits) = value.to_bytes_le();
        digits.resize(digits.len() + zeros, 0);
        let sign = if negative == Sign::Minus { sign } else { 0 };
        let head = match u8::try_from(digits.len()) {
            Ok(len) => vec![131, 110, len, sign],
            Err(_) => [&[131, 111][..], &(digits.len() as u32).to_be_bytes(), &[sign]].concat(),
        };
        let read = from_external(&[head, digits].concat(), &Limits::default()).unwrap();
        let made = Term::from(value);
        prop_assert_eq!(&read, &made);
        prop_assert_eq!(to_external(&read), to_external(&made));
    }
}

#[test]
fn rusts_integers_are_terms_of_the_same_value() {
    let smallest = [
        Term::from(i8::MIN),
        i16::MIN.into(),
        i32::MIN.into(),
        i64::MIN.into(),
    ];
    let smallest = smallest.map(|term| term.to_string());
    assert_eq!(
        smallest,
        ["-128", "-32768", "-2147483648", "-9223372036854775808"]
    );
    let largest = [
        Term::from(u8::MAX),
        u16::MAX.into(),
        u32::MAX.into(),
        u64::MAX.into(),
        usize::MAX.into(),
    ];
    let largest = largest.map(|term| term.to_bigint());
    let expected = [8, 16, 32, 64, usize::BITS].map(|bits| Some((BigInt::from(1) << bits) - 1));
    assert_eq!(largest, expected);
}

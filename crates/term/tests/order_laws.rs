//! Both orders of terms are total orders, and agree with what they claim to agree with.

mod support;

use std::cmp::Ordering;

use proptest::prelude::*;
use purlin_term::Term;

type Order = fn(&Term, &Term) -> Ordering;

const ORDERS: [Order; 2] = [Term::cmp, Term::compare];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn orders_are_antisymmetric(a in support::term(), b in support::term()) {
        for order in ORDERS {
            prop_assert_eq!(order(&a, &b), order(&b, &a).reverse());
            prop_assert_eq!(order(&a, &a), Ordering::Equal);
        }
    }

    #[test]
    fn orders_are_transitive(a in support::term(), b in support::term(), c in support::term()) {
        for order in ORDERS {
            let mut sorted = [&a, &b, &c];
            sorted.sort_by(|a, b| order(a, b));
            prop_assert_ne!(order(sorted[0], sorted[2]), Ordering::Greater);
            if order(sorted[0], sorted[2]).is_eq() {
                prop_assert_eq!(order(sorted[0], sorted[1]), Ordering::Equal);
                prop_assert_eq!(order(sorted[1], sorted[2]), Ordering::Equal);
            }
        }
    }

    #[test]
    fn the_exact_order_is_equality_where_it_says_equal(a in support::term(), b in support::term()) {
        prop_assert_eq!(a.cmp(&b).is_eq(), a == b);
        prop_assert_eq!(a.cmp(&a.clone()), Ordering::Equal);
    }

    #[test]
    fn equal_terms_are_equal_by_value(a in support::term()) {
        prop_assert_eq!(a.compare(&a.clone()), Ordering::Equal);
    }

    /// Among numbers alone collisions between the two kinds are frequent.
    #[test]
    fn numbers_sort_by_value_transitively(
        powers in prop::collection::vec((50u32..70, -2i64..3, any::<bool>()), 3),
    ) {
        let numbers: Vec<Term> = powers
            .into_iter()
            .map(|(power, off, as_float)| {
                let value = (1i128 << power) + i128::from(off);
                if as_float {
                    Term::float(value as f64).unwrap()
                } else {
                    Term::from(purlin_term::BigInt::from(value))
                }
            })
            .collect();
        let mut sorted: Vec<&Term> = numbers.iter().collect();
        sorted.sort_by(|a, b| a.compare(b));
        prop_assert_ne!(sorted[0].compare(sorted[2]), Ordering::Greater);
    }
}

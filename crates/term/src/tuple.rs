//! Tuples: a fixed number of terms. A [`Tuple`] is read as the slice of its elements.

use std::fmt;
use std::ops::Deref;

use crate::term::Term;
use crate::terms::Terms;

/// The elements of a tuple.
///
/// ```
/// use purlin_term::{Term, Tuple, atom};
/// let tuple = Tuple::from(vec![atom!("ok").into(), Term::from(1)]);
/// let [tag, value] = &tuple[..] else { panic!("a pair") };
/// assert!(tag.is_atom("ok"));
/// assert_eq!(value.as_int(), Some(1));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Tuple(Terms);

const _: () = assert!(size_of::<Tuple>() == 16);

impl Tuple {
    /// The elements, moved out.
    pub fn into_vec(self) -> Vec<Term> {
        self.0.into_vec()
    }
}

impl Deref for Tuple {
    type Target = [Term];

    #[inline]
    fn deref(&self) -> &[Term] {
        &self.0
    }
}

impl From<Vec<Term>> for Tuple {
    #[inline]
    fn from(items: Vec<Term>) -> Self {
        Self(items.into())
    }
}

impl FromIterator<Term> for Tuple {
    fn from_iter<I: IntoIterator<Item = Term>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

impl IntoIterator for Tuple {
    type Item = Term;
    type IntoIter = std::vec::IntoIter<Term>;

    fn into_iter(self) -> Self::IntoIter {
        self.into_vec().into_iter()
    }
}

impl<'a> IntoIterator for &'a Tuple {
    type Item = &'a Term;
    type IntoIter = std::slice::Iter<'a, Term>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

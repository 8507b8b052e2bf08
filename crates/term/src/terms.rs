//! Terms in a row: what tuples and lists hold their elements in.
//!
//! A box of terms with a [`Drop`] of its own. What the compiler makes for a `Box<[Term]>` takes some
//! 30 instructions an element, most of them to find out that a number has nothing to drop. Here
//! numbers and identifiers are recognised by their tag and forgotten, so that dropping a list of
//! them costs a pass over the tags (bench `codec`, rows integers and floats).

use std::mem;
use std::ops::Deref;

use crate::term::Term;

/// Just these terms, in an allocation of just their size.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Terms(Box<[Term]>);

impl Terms {
    /// The elements, to be taken one by one.
    #[inline]
    pub(crate) fn into_vec(mut self) -> Vec<Term> {
        mem::take(&mut self.0).into_vec()
    }
}

impl Drop for Terms {
    #[inline]
    fn drop(&mut self) {
        for item in &mut self.0 {
            drop_in_place(item);
        }
        forget_leaves(mem::take(&mut self.0));
    }
}

/// Frees what `term` holds beside itself, and leaves a leaf in its place.
#[inline(always)]
pub(crate) fn drop_in_place(term: &mut Term) {
    if !is_leaf(term) {
        *term = Term::Int(0);
    }
}

/// True if there is nothing to be dropped.
#[inline(always)]
fn is_leaf(term: &Term) -> bool {
    match term {
        Term::Int(_) | Term::Float(_) | Term::Pid(_) | Term::Port(_) => true,
        Term::Atom(atom) => atom.as_short().is_some(),
        Term::Binary(binary) => binary.as_short().is_some(),
        _ => false,
    }
}

/// Frees the memory of items that have nothing to be dropped. The compiler makes no loop of this.
#[inline(always)]
pub(crate) fn forget_leaves<T>(items: Box<[T]>) {
    let mut items = items.into_vec();
    while let Some(item) = items.pop() {
        mem::forget(item);
    }
}

impl Deref for Terms {
    type Target = [Term];

    #[inline]
    fn deref(&self) -> &[Term] {
        &self.0
    }
}

impl From<Vec<Term>> for Terms {
    #[inline]
    fn from(items: Vec<Term>) -> Self {
        Self(items.into())
    }
}

impl FromIterator<Term> for Terms {
    fn from_iter<I: IntoIterator<Item = Term>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

//! The arguments of a function of another node.

use serde::ser::{Serialize, SerializeSeq, Serializer};

/// The arguments of a function: a tuple of up to eight values, or a list of values of one type.
///
/// Each is encoded as serde describes it, so a [`Term`](purlin_term::Term) stays what it is. Functions
/// with more arguments take a `Vec<Term>`.
pub trait Arguments {
    /// How many there are.
    fn arity(&self) -> usize;

    /// Writes them as a list.
    ///
    /// # Errors
    /// What the serializer says of one of them.
    fn serialize_list<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

/// Arguments as the list that they are on the wire.
pub(crate) struct ListOf<'a, A>(pub(crate) &'a A);

impl<A: Arguments> Serialize for ListOf<'_, A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_list(serializer)
    }
}

impl<T: Serialize> Arguments for [T] {
    fn arity(&self) -> usize {
        self.len()
    }

    fn serialize_list<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl<T: Serialize> Arguments for Vec<T> {
    fn arity(&self) -> usize {
        self.len()
    }

    fn serialize_list<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

impl<A: Arguments + ?Sized> Arguments for &A {
    fn arity(&self) -> usize {
        (**self).arity()
    }

    fn serialize_list<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize_list(serializer)
    }
}

macro_rules! tuples {
    ($($arity:literal: $($name:ident)*;)*) => {$(
        impl<$($name: Serialize),*> Arguments for ($($name,)*) {
            fn arity(&self) -> usize {
                $arity
            }

            #[allow(non_snake_case, unused_mut, reason = "one form for all arities")]
            fn serialize_list<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let ($($name,)*) = self;
                let mut list = serializer.serialize_seq(Some($arity))?;
                $(list.serialize_element($name)?;)*
                list.end()
            }
        }
    )*};
}

tuples! {
    0: ;
    1: A;
    2: A B;
    3: A B C;
    4: A B C D;
    5: A B C D E;
    6: A B C D E F;
    7: A B C D E F G;
    8: A B C D E F G H;
}

#[cfg(test)]
mod tests {
    use purlin_term::{EncodedTerm, Term, atom};

    use super::*;

    fn shown(arguments: &impl Arguments) -> (usize, String) {
        let list = EncodedTerm::serialize(&ListOf(arguments)).unwrap();
        (arguments.arity(), list.to_term().unwrap().to_string())
    }

    #[test]
    fn tuples_and_lists_of_arguments_are_lists_on_the_wire() {
        assert_eq!(shown(&()), (0, "[]".into()));
        let mixed = (1, atom!("a"), vec![2, 300], Term::nil());
        assert_eq!(shown(&mixed), (4, "[1,a,[2,300],[]]".into()));
        assert_eq!(shown(&vec![Term::from(7); 2]), (2, "[7,7]".into()));
        assert_eq!(shown(&[1, 2, 3][..].as_ref()), (3, "[1,2,3]".into()));
        assert_eq!(shown(&Vec::<Term>::new()), (0, "[]".into()));
    }
}

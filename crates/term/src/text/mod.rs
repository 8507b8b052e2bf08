//! Terms as text, as Erlang writes them.

use std::fmt;

use crate::{Atom, Term};

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Term::Int(i) => write!(f, "{i}"),
            Term::Atom(a) => write!(f, "{a}"),
            _ => write!(f, "?"),
        }
    }
}

//! What the code that macros write refers to. No part of the interface.
//!
//! Whether a server's state can be written and read by serde the macro does not see: the compiler finds
//! out. Of two methods of one name it takes the one that needs fewer references, if its bounds hold.

use std::marker::PhantomData;

pub use purlin_otp::reason::Reason;
pub use purlin_term::{EncodedTerm, Pid, Reference, Term};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A state.
pub struct Probe<'a, T>(pub &'a T);

/// For states that serde can write.
pub trait ShownBySerde {
    fn shown(&self) -> Option<Term>;
}

impl<T: Serialize> ShownBySerde for Probe<'_, T> {
    fn shown(&self) -> Option<Term> {
        purlin_term::to_term(self.0).ok()
    }
}

/// For all others.
pub trait NotShown {
    fn shown(&self) -> Option<Term>;
}

impl<T> NotShown for &Probe<'_, T> {
    fn shown(&self) -> Option<Term> {
        None
    }
}

/// A type of states.
pub struct Kind<T>(PhantomData<fn(T)>);

impl<T> Kind<T> {
    pub const NEW: Self = Self(PhantomData);
}

/// For states that serde can read.
pub trait ReadBySerde<T> {
    fn read(&self, state: &EncodedTerm) -> Option<T>;
}

impl<T: DeserializeOwned> ReadBySerde<T> for Kind<T> {
    fn read(&self, state: &EncodedTerm) -> Option<T> {
        state.deserialize().ok()
    }
}

/// For all others.
pub trait NotRead<T> {
    fn read(&self, state: &EncodedTerm) -> Option<T>;
}

impl<T> NotRead<T> for &Kind<T> {
    fn read(&self, _: &EncodedTerm) -> Option<T> {
        None
    }
}

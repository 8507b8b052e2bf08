#![doc = "Erlang terms for Rust: values, the External Term Format, their text, and serde."]
#![doc = ""]
#![doc = "Start at [`Term`]."]

mod atom;
mod bignum;
mod binary;
mod codec;
mod identity;
pub mod limits;
mod list;
mod node_name;
mod order;
mod serde;
mod short;
mod term;
mod terms;
mod text;
mod tuple;

pub use atom::{Atom, AtomTooLong};
pub use bignum::Bignum;
pub use binary::Binary;
#[doc(hidden)]
pub use codec::{AtomText, inflate};
pub use codec::{
    DecodeError, DecodeErrorKind, Decoder, Elements, EncodeError, EncodedTerm, Encoder,
    ListElements, Pairs, Shape, View, from_external, from_external_prefix, to_external,
};
pub use identity::{Pid, Port, Reference};
pub use limits::Limits;
pub use list::List;
pub use node_name::{NameBudget, NodeName, NodeNameRefused};
pub use num_bigint::BigInt;
pub use serde::{DeserializeError, SerializeError, from_term, to_term};
pub use term::{BitString, DuplicateKey, Export, Float, Fun, ImproperList, Map, Term};
pub use text::{NodeContext, ParseError, Printer};
pub use tuple::Tuple;

//! What can be a message: any Rust value that serde can write and read.
//!
//! Between processes of one node a message of the receiver's own type is moved. Whatever comes
//! through an untyped address in another type, or from another node, takes the codec. A type that
//! cannot be encoded is wrapped in [`Local`]: it can be sent to a typed address on the same node only,
//! which the compiler checks, since [`Local`] has no encoding.

use purlin_term::{DeserializeError, EncodedTerm, SerializeError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A type of messages.
///
/// Implemented for everything that serde reads and writes, and for [`Local`] and [`Raw`].
pub trait Message: Sized + Send + 'static {
    /// The message as a term.
    ///
    /// # Errors
    /// [`SerializeError`] when the value has no encoding.
    fn encode(&self) -> Result<EncodedTerm, SerializeError>;

    /// The message that a term is.
    ///
    /// # Errors
    /// [`DeserializeError`] when the term is not a value of this type; it names the path.
    fn decode(term: &EncodedTerm) -> Result<Self, DeserializeError>;

    /// As [`decode`](Message::decode), for types that keep the term: it is moved, not cloned.
    ///
    /// # Errors
    /// As `decode`, with the term.
    fn from_encoded(term: EncodedTerm) -> Result<Self, (EncodedTerm, DeserializeError)> {
        Self::decode(&term).map_err(|error| (term, error))
    }
}

impl<T: Serialize + DeserializeOwned + Send + 'static> Message for T {
    fn encode(&self) -> Result<EncodedTerm, SerializeError> {
        EncodedTerm::serialize(self)
    }

    fn decode(term: &EncodedTerm) -> Result<Self, DeserializeError> {
        term.deserialize()
    }
}

/// A message that stays on its node: a value without an encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Local<T>(pub T);

impl<T: Send + 'static> Message for Local<T> {
    fn encode(&self) -> Result<EncodedTerm, SerializeError> {
        Err(serde::ser::Error::custom(
            "a `Local` message stays on its node",
        ))
    }

    fn decode(_: &EncodedTerm) -> Result<Self, DeserializeError> {
        Err(serde::de::Error::custom(
            "a `Local` message cannot come as a term",
        ))
    }
}

/// Any term, as it was encoded: for processes that decode themselves.
#[derive(Debug, Clone)]
pub struct Raw(pub EncodedTerm);

impl Message for Raw {
    fn encode(&self) -> Result<EncodedTerm, SerializeError> {
        Ok(self.0.clone())
    }

    fn decode(term: &EncodedTerm) -> Result<Self, DeserializeError> {
        Ok(Self(term.clone()))
    }

    fn from_encoded(term: EncodedTerm) -> Result<Self, (EncodedTerm, DeserializeError)> {
        Ok(Self(term))
    }
}

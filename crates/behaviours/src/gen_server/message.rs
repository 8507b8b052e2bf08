//! What lies in the queue of a server.

use std::fmt;

use purlin_runtime::Message;
use purlin_runtime::limits::MESSAGE_BYTES_SHOWN_MAX;
use purlin_term::{DeserializeError, EncodedTerm, SerializeError};

use super::GenServer;
use crate::envelope::{Caller, Opened};
use crate::messages::{Form, Messages};

/// A message to a server: one that it takes, or what else came.
pub struct ServerMessage<S: GenServer>(pub(super) Kind<S>);

pub(super) enum Kind<S: GenServer> {
    /// One of those that the server takes.
    Own(<S::Messages as Messages<S>>::Any),
    /// A request of `sys`.
    System(Box<(Caller, EncodedTerm)>),
    /// A call that is none of those that the server takes.
    Refused(Box<(Caller, String)>),
    /// Anything else.
    Other(Box<Other>),
}

/// A message that is none of those that a server takes.
#[derive(Debug, Clone)]
pub struct Other {
    /// The message, in its envelope if it has one.
    pub message: EncodedTerm,
    /// Why it is not what came closest to it; `None` if nothing of its form is taken.
    pub mismatch: Option<DeserializeError>,
}

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message.bytes().len() {
            // It would be decoded as a whole.
            len if len > MESSAGE_BYTES_SHOWN_MAX => write!(f, "a term of {len} bytes")?,
            _ => match self.message.to_term() {
                Ok(term) => write!(f, "{term}")?,
                Err(error) => write!(f, "a term with {error}")?,
            },
        }
        match &self.mismatch {
            Some(mismatch) => write!(f, " ({mismatch})"),
            None => Ok(()),
        }
    }
}

impl<S: GenServer> ServerMessage<S> {
    pub(crate) fn own(message: <S::Messages as Messages<S>>::Any) -> Self {
        Self(Kind::Own(message))
    }

    /// Takes a message out of its envelope and decodes it.
    fn open(message: EncodedTerm) -> Self {
        let (decoded, caller) = match Opened::open(message.view()) {
            Opened::Call(caller, request) => {
                let decoded = S::Messages::decode(&Form::Call(&caller), request);
                (decoded, Some(caller))
            }
            Opened::Cast(content) => (S::Messages::decode(&Form::Cast, content), None),
            Opened::Info(content) => (S::Messages::decode(&Form::Info, content), None),
            Opened::System(caller, request) => {
                return Self(Kind::System(Box::new((caller, request.to_encoded()))));
            }
        };
        Self(match (decoded, caller) {
            (Ok(own), _) => Kind::Own(own),
            (Err(mismatch), Some(caller)) => {
                let text = match mismatch {
                    Some(mismatch) => mismatch.to_string(),
                    None => "the server takes no calls".to_owned(),
                };
                Kind::Refused(Box::new((caller, text)))
            }
            (Err(mismatch), None) => Kind::Other(Box::new(Other { message, mismatch })),
        })
    }
}

/// Every term is a message to a server, if not one that it takes.
impl<S: GenServer> Message for ServerMessage<S> {
    fn encode(&self) -> Result<EncodedTerm, SerializeError> {
        Err(serde::ser::Error::custom(
            "a server's own message stays on its node",
        ))
    }

    fn decode(term: &EncodedTerm) -> Result<Self, DeserializeError> {
        Ok(Self::open(term.clone()))
    }

    fn from_encoded(term: EncodedTerm) -> Result<Self, (EncodedTerm, DeserializeError)> {
        Ok(Self::open(term))
    }
}

//! Requests: messages that have a reply.

use purlin_runtime::Message;
use purlin_term::Term;

/// A message that is answered, and the type of the answer.
///
/// The type belongs to the request and not to the server, so that a caller that knows the request alone,
/// by a pid or on another node, knows what it gets.
pub trait Request: Message {
    /// What comes back.
    type Reply: Message;
}

/// Anything, answered by anything: for servers whose requests are not known.
impl Request for Term {
    type Reply = Term;
}

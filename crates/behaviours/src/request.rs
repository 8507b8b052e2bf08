//! Requests: messages that have a reply.

use purlin_runtime::Message;
use purlin_term::Term;

/// A message that is answered, and the type of the answer.
///
/// The type belongs to the request and not to the server, so that a caller that knows the request alone,
/// by a pid or on another node, knows what it gets.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no request: it has no type of reply",
    label = "say what it is answered by",
    note = "mark it `#[purlin::message(reply = i64)]`, or write `impl Request for {Self}`"
)]
pub trait Request: Message {
    /// What comes back.
    type Reply: Message;
}

/// Anything, answered by anything: for servers whose requests are not known.
impl Request for Term {
    type Reply = Term;
}

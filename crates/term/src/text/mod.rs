//! Terms as text, as Erlang writes them.
//!
//! `print` writes a term on one line as `io_lib:format("~0tp", [Term])` does, `parse` reads what
//! `erl_scan:string/1` and `erl_parse:parse_term/1` accept as a term, `float` and `quote` hold the
//! rules of leaves. Where OTP releases differ, the newer one is followed (measured with 25 and 28).
//!
//! Inputs to outputs: [`Display`](std::fmt::Display) of [`Term`](crate::Term) and
//! [`Atom`](crate::Atom), [`Term::display_at`](crate::Term::display_at), and
//! [`Term::parse`](crate::Term::parse) with its relatives. Called by the command line, logs,
//! error messages and the console.
//!
//! OTP's text of a pid, `<0.1.0>`, means something only on the node that printed it. So:
//!
//! - without a node for context, identifiers are written in full: `#Pid<a@h.1.0/creation>`,
//!   `#Port<a@h.1/creation>`, `#Ref<a@h.3.2.1/creation>`, and read back by any node;
//! - with a [`NodeContext`], those of that node are written as OTP does, and read back only with
//!   the same context.
//!
//! Invariants:
//! - `I1` a term without a [`Fun`](crate::Fun), and with no integer of more than
//!   [`TEXT_DIGITS_MAX`](crate::limits::TEXT_DIGITS_MAX) digits, is equal to what its text is
//!   read as. A fun with an environment is code, and has no text that can be read;
//! - `I2` no text makes the parser panic, recurse deeper than
//!   [`Limits::depth_max`](crate::Limits::depth_max), or allocate what its length does not pay
//!   for, beyond [`TEXT_BYTES_CLAIMED_MAX`](crate::limits::TEXT_BYTES_CLAIMED_MAX).

mod bits;
mod float;
mod identifier;
mod parse;
mod print;
mod quote;
mod scan;

pub use parse::ParseError;
pub use print::Printer;

use crate::NodeName;

/// The node and its incarnation that `<0.1.0>` is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeContext {
    /// The name of the node.
    pub node: NodeName,
    /// Its incarnation.
    pub creation: u32,
}

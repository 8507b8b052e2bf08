//! Terms as text, as Erlang writes them.
//!
//! `print` writes a term on one line as `io_lib:format("~0tp", [Term])` does; `float` and `quote`
//! hold the rules of its leaves. Where OTP releases differ, the newer one is followed (measured
//! with 25 and 28).
//!
//! OTP's text of a pid, `<0.1.0>`, means something only on the node that printed it. So:
//!
//! - without a node for context, identifiers are written in full: `#Pid<a@h.1.0/creation>`,
//!   `#Port<a@h.1/creation>`, `#Ref<a@h.3.2.1/creation>`, and read back by any node;
//! - with a [`NodeContext`], those of that node are written as OTP does, and read back only with
//!   the same context.

mod float;
mod print;
mod quote;

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

//! Control messages: the tuples that say on the wire what a signal is.
//!
//! Source: ERTS, *Distribution Protocol*, "Protocol between Connected Nodes"; what OTP 25.2.3 and
//! 28.5 were seen to do is in `docs/protocols/`. [`op`] is the one table of numbers, sizes and
//! payloads; `decode` peels a walked tuple into a [`Signal`](crate::signal::Signal), accepting
//! every form whatever was negotiated (a peer may have encoded before it knew our flags);
//! [`encode_signal`] chooses the form that the peer's flags ask for.
//!
//! ```text
//! Signal --channel::Sender--> frames                 by `encode_control`, or apart from a connection:
//! Signal, Flags --encode_signal--> OutMessage --channel::Sender--> frames
//! frames --channel::Receiver--> control tuple, payload --decode--> Signal
//! ```
//!
//! Not here: what a signal does, whether its processes exist, in which frame it travels.
//!
//! I1. A payload that was encoded with atom references goes into a message for a peer with an atom
//!     cache as it is: its bytes are shared, and the control tuple continues its list of atoms.
//! I2. Every form of a signal decodes to the same signal, reasons inside the tuple included.

mod decode;
mod encode;
mod error;
pub mod op;
mod peel;

pub(crate) use decode::Control;
pub(crate) use encode::encode_control;
pub use encode::{OutMessage, encode_signal};
pub use error::{ControlError, EncodeSignalError};
pub use op::Op;
pub(crate) use peel::{ATOM_REF, NIL, RecentNodes, SpawnTuple, Tuple, peel};

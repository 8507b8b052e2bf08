//! The channel: signals to frames and back, on a connection whose handshake is done.
//!
//! Source: ERTS, *Distribution Protocol*, "Distribution Header" and "Protocol between Connected
//! Nodes". A frame has one of three forms, which the negotiated flags decide (`header`):
//!
//! ```text
//! pass-through   112, 131, control [, 131, payload]        neither atom cache nor fragments
//! message        131, 68, header, control [, payload]      either of them
//! fragment       131, 69, sequence, number, header, control, part of the payload     the first
//!                131, 70, sequence, number, part of the payload                      the others
//! ```
//!
//! The two directions know nothing of each other. [`Receiver`] is given the frames that the
//! [`Deframer`](crate::frame::Deframer) cut and answers signals; [`Sender`] is given signals by
//! flow and answers frames. A driver reads and writes. Small messages lie behind each other in a
//! queue of their flow, so that a process that sends and a writer exchange no allocations.
//!
//! I1. Messages of one flow are delivered in the order they were pushed.
//! I2. A slot of the atom cache means the same to both sides: it is assigned when the header is
//!     written, and headers are written in the order of the frames.
//! I3. A payload that the receiver hands on was walked: it decodes (duplicate keys aside).
//! I4. What a peer can make a receiver hold is bounded by [`limits`]; so is what it can make it
//!     allocate for a message, by the bytes that really arrived.
//! I5. After an error a receiver answers nothing but errors. The connection is to be closed.
//!
//! Not here: bounds on what is queued for sending (the owner reads [`Sender::queued_bytes`]), and
//! when a tick is due ([`tick`](crate::tick)).

mod atom_cache;
mod chains;
mod error;
mod header;
pub mod limits;
mod queue;
mod reassembly;
mod receiver;
mod schedule;
mod sender;

pub use error::ChannelError;
pub use receiver::Receiver;
pub use schedule::FlowId;
pub use sender::Sender;

//! Every bound and size of the channel, and how they relate.

use purlin_term::Limits;

/// Slots of an atom cache: eight segments of 256 (ERTS, "Distribution Header").
pub const CACHE_SLOTS: usize = 2048;

/// Bytes of control tuple and payload in one fragment, as OTP cuts them (measured: 25 and 28).
/// Messages up to this size are not cut.
pub const FRAGMENT_LEN: usize = 64 << 10;

/// Bytes that a flow may send before it is another flow's turn: one fragment, so that a turn is
/// one frame. Smaller would be fairer to flows of small messages only while fragments compete.
pub const QUANTUM: usize = FRAGMENT_LEN;

/// A payload of up to this many bytes is written behind its header instead of being handed out as
/// a slice: a guess, unmeasured, that one more element of a vectored write costs more than copying
/// this much.
pub const INLINE_PAYLOAD_MAX: usize = 1024;

/// A received payload of up to this many bytes is copied out of the read buffer; a larger one goes
/// on as a slice of it. A slice keeps the whole block of reading alive (66 KiB, `frame`), so what a
/// process keeps costs it at most about twice its size, also when a peer chooses what lies between.
pub const COPIED_PAYLOAD_MAX: usize = 32 << 10;

/// What one connection may make us hold while messages arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelLimits {
    /// Of one control tuple or payload, and of the node names that the connection may add.
    pub term: Limits,
    /// Messages of which some fragments arrived. A process of the peer has at most one, so this is
    /// how many of its processes may send large messages at once.
    pub sequences_max: usize,
    /// Bytes of one message of which some fragments arrived, its atoms included.
    pub sequence_len_max: usize,
    /// Bytes of all of them together. The memory may be twice that, since buffers double.
    pub sequences_len_max: usize,
}

impl Default for ChannelLimits {
    fn default() -> Self {
        Self {
            term: Limits::default(),
            // A guess, unmeasured; an open sequence costs about 300 bytes besides its content.
            sequences_max: 16_384,
            // As much as `limits::FRAME_LEN_MAX` lets pass in one frame.
            sequence_len_max: 128 << 20,
            // A guess, unmeasured: two of the largest, or thousands of a few fragments.
            sequences_len_max: 256 << 20,
        }
    }
}

const _: () = {
    assert!(CACHE_SLOTS == 8 * 256);
    assert!(INLINE_PAYLOAD_MAX < FRAGMENT_LEN);
    assert!(COPIED_PAYLOAD_MAX < FRAGMENT_LEN);
    assert!(FRAGMENT_LEN <= QUANTUM);
};

//! Every bound of this crate, in one place, with where each comes from.
//!
//! A machine whose bound may reasonably differ between nodes takes it from its `Config`, whose
//! `Default` is the value here. The relations between bounds are asserted at compile time below.

use core::time::Duration;

/// Characters in a node name, a cookie or an EPMD name: what an Erlang atom can hold (ERTS).
pub const ATOM_CHARS_MAX: usize = 255;

/// Bytes of the longest such name in UTF-8: four bytes for each character.
pub const NAME_LEN_MAX: usize = 4 * ATOM_CHARS_MAX;

/// Bytes of one handshake message. The longest one OTP sends carries a name and 15 bytes; the
/// rest is room for the bytes a later release may add after the name (the manual reserves that).
pub const HANDSHAKE_MESSAGE_LEN_MAX: usize = 4096;

/// Bytes kept while the owner has not answered a question, or while a message is incomplete. A
/// peer that follows the protocol waits for our answer and needs none of this; a guess, unmeasured.
pub const HANDSHAKE_BUFFERED_LEN_MAX: usize = 64 * 1024;

/// How long a whole handshake may take: `net_setuptime`'s default (kernel manual). OTP restarts
/// it at each step; ours bounds all steps together.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(7);

/// Characters of a peer's text that an error message repeats at most; a guess, unmeasured.
pub const QUOTED_CHARS_MAX: usize = 64;

/// Bytes of one EPMD request. OTP 25's epmd accepts more than 2,000 and refuses 65,535 (measured);
/// the longest useful request, a registration with name and extra at their limits, is 2,053.
pub const EPMD_REQUEST_LEN_MAX: usize = 4096;

/// Bytes of the `Extra` field of a registration, as in OTP 25's epmd (1,000 is accepted, 2,000
/// refused, measured).
pub const EPMD_EXTRA_LEN_MAX: usize = NAME_LEN_MAX;

/// Names that one EPMD server holds; a guess, unmeasured.
pub const EPMD_NAMES_MAX: usize = 4096;

/// Connections that one EPMD server holds; a guess, unmeasured. Each registration keeps one.
pub const EPMD_CONNECTIONS_MAX: usize = 8192;

/// How long an EPMD request may take to arrive, or a response to it: a guess, unmeasured. OTP's
/// epmd allows 60 s.
pub const EPMD_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of one EPMD response, the list of names included: room for [`EPMD_NAMES_MAX`] names of
/// ordinary length.
pub const EPMD_RESPONSE_LEN_MAX: usize = 1024 * 1024;

/// Bytes of one frame after the handshake. Without fragments a message of any size is one frame,
/// and 64 MiB must pass; a guess, unmeasured.
pub const FRAME_LEN_MAX: usize = 128 * 1024 * 1024;

/// Bytes of free room that a deframer offers for one read: the largest fragment of OTP with its
/// header fits, so that a link with fragments reads one frame in one or two calls.
pub const READ_STEP: usize = 66 * 1024;

/// `net_ticktime`'s default (kernel manual).
pub const NET_TICKTIME: Duration = Duration::from_secs(60);

/// `net_tickintensity`'s default (kernel manual): looks per `net_ticktime`.
pub const NET_TICK_INTENSITY: u32 = 4;

const _: () = {
    assert!(NAME_LEN_MAX + 15 <= HANDSHAKE_MESSAGE_LEN_MAX);
    assert!(HANDSHAKE_MESSAGE_LEN_MAX <= u16::MAX as usize);
    assert!(HANDSHAKE_MESSAGE_LEN_MAX < HANDSHAKE_BUFFERED_LEN_MAX);
    assert!(13 + NAME_LEN_MAX + EPMD_EXTRA_LEN_MAX <= EPMD_REQUEST_LEN_MAX);
    assert!(EPMD_REQUEST_LEN_MAX < EPMD_RESPONSE_LEN_MAX);
    assert!(EPMD_NAMES_MAX <= EPMD_CONNECTIONS_MAX);
    assert!(FRAME_LEN_MAX <= u32::MAX as usize);
    assert!(NET_TICK_INTENSITY >= 1);
};

//! Every limit of this crate, and how they relate.
//!
//! A decoder meets bytes from strangers: each length and count in them is checked against what
//! these limits allow, and against the bytes that are really there, before anything is allocated.

/// Characters in an atom. OTP: `MAX_ATOM_CHARACTERS`.
pub const ATOM_CHARS_MAX: usize = 255;

/// Bytes in an atom: 255 characters of up to four bytes.
pub const ATOM_BYTES_MAX: usize = 1020;

/// Words of 32 bits in a reference. OTP 28's alias references have five.
pub const REFERENCE_WORDS_MAX: usize = 5;

/// Atom references in one message: the distribution header counts them in a byte.
pub const ATOM_REFS_MAX: usize = 255;

/// The deepest nesting that any configuration allows. Decoding, encoding, comparing, cloning and
/// dropping recurse, so this bounds their stack. Measured bytes a level, of the container that takes
/// most: decoding 700 in a debug build and 430 in a release build, cloning 410 and 490, all else
/// less. So the deepest term needs 700 KiB, of the 2 MiB of a worker thread; a test holds it to 1 MiB.
pub const DEPTH_MAX: usize = 1024;

/// The deepest nesting that serde reads or writes; what a type ignores may be deeper. A level costs
/// 3 to 6 KiB of stack without optimisation (measured: lists, terms, boxed enums of 300 bytes), so
/// this many stay inside the 2 MiB of a worker thread.
pub const SERDE_DEPTH_MAX: usize = 256;

/// Node names that one OS process keeps (see `node_name`).
pub const NODE_NAMES_MAX: usize = 65_536;

/// Digits of an integer in text. Reading digits takes time that grows with their square: this
/// many take about 10 ms (measured once, one core, release build). OTP's own limit is 1,262,611.
pub const TEXT_DIGITS_MAX: usize = 65_536;

/// Bytes that the bit strings of a text may have beyond one for each byte of the text: sizes can claim much in
/// few characters. A guess, unmeasured: far more than anybody writes as a size.
pub const TEXT_BYTES_CLAIMED_MAX: usize = 16 << 20;

/// What a decoder accepts. The default suits data from a peer that knows the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Levels of nesting, at most [`DEPTH_MAX`]. A flat list or tuple is one level.
    pub depth_max: usize,
    /// Bytes of one term, after inflating where it is compressed.
    pub size_max: usize,
    /// Elements of all containers of one term together. An element costs 24 bytes when decoded,
    /// and one byte on the wire, so this bounds the memory that a small message can claim.
    pub elements_max: usize,
    /// Bytes that a compressed term may inflate to.
    pub inflated_max: usize,
    /// Node names, so far unknown to this OS process, that one decoder may add.
    pub new_node_names_max: usize,
}

impl Limits {
    /// For bytes that were checked before: only the depth that the stack bears is left.
    pub(crate) const CHECKED: Self = Self {
        depth_max: DEPTH_MAX,
        size_max: usize::MAX,
        elements_max: usize::MAX,
        inflated_max: 0,
        new_node_names_max: 0,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth_max: DEPTH_MAX,
            // A guess, unmeasured: twice the largest message of the benchmarks, with room.
            size_max: 256 << 20,
            // A guess, unmeasured: 16 Mi elements are 384 MiB of terms.
            elements_max: 16 << 20,
            inflated_max: 256 << 20,
            new_node_names_max: 1024,
        }
    }
}

const _: () = assert!(SERDE_DEPTH_MAX <= DEPTH_MAX);
const _: () = assert!(ATOM_BYTES_MAX == 4 * ATOM_CHARS_MAX);
const _: () = assert!(NODE_NAMES_MAX <= u32::MAX as usize);

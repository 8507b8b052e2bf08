//! What a node can do, as the 64 bits that both sides exchange in the handshake.
//!
//! Every flag is one line of the table below: its bit, since which release OTP refuses a peer
//! that lacks it, and what it means. A new OTP release is one edit here. Source: the
//! *Distribution Protocol* page of the ERTS manual and `dist.hrl`; totals and acceptance were
//! measured against OTP 25.2.3 and 28.5.
//!
//! Three questions are answered here and nowhere else:
//! - what we send: a preset ([`Flags::CACHE_AND_FRAGMENTS`], [`Flags::FRAGMENTS_ONLY`],
//!   [`Flags::PASS_THROUGH`]), visible or [`hidden`](Flags::hidden);
//! - whom we refuse: who is [`missing`](Flags::missing) one of [`Flags::REQUIRED`];
//! - what holds on the connection: [`Flags::negotiate`], the flags that both sides sent.
//!
//! I1. A peer that sends MANDATORY_25_DIGEST is treated as having sent every flag it stands for.
//! I2. Nothing is advertised that the channel does not decode.
//! I3. Unknown bits are kept as they were sent, shown as numbers, and never survive negotiation.
//!
//! Deviation from the manual: it prints the digest flag as `1 bsl 36`, while the code and the wire
//! use bit 26. Next: [`crate::handshake`].

use core::fmt;
use core::ops::{BitAnd, BitOr};

/// A set of distribution flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u64);

/// One line of the table of flags.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FlagInfo {
    /// The manual's name, without `DFLAG_`.
    pub name: &'static str,
    /// The flag alone.
    pub flag: Flags,
    /// The first OTP release that refuses a peer without it.
    pub mandatory_since: Option<u16>,
    /// What it means, in one line.
    pub meaning: &'static str,
}

macro_rules! table {
    ($($bit:literal $name:ident $since:expr, $meaning:literal;)*) => {
        impl Flags {
            $(#[doc = concat!("Bit ", $bit, ": ", $meaning, ".")]
            pub const $name: Flags = Flags(1 << $bit);)*

            /// Every flag this crate knows, by bit.
            pub const TABLE: &'static [FlagInfo] = &[$(FlagInfo {
                name: stringify!($name),
                flag: Flags::$name,
                mandatory_since: $since,
                meaning: $meaning,
            },)*];
        }
    };
}

const M25: Option<u16> = Some(25);
const M26: Option<u16> = Some(26);

table! {
    0  PUBLISHED None, "the node is visible: part of nodes() and of global's network";
    1  ATOM_CACHE None, "the atom cache of before OTP R13, obsolete";
    2  EXTENDED_REFERENCES M25, "references have more than one word";
    3  DIST_MONITOR None, "the node answers monitors of its processes";
    4  FUN_TAGS M25, "funs have tags of their own";
    5  DIST_MONITOR_NAME None, "the node answers monitors of its registered names";
    6  HIDDEN_ATOM_CACHE None, "the atom cache of before OTP R13 for hidden nodes, obsolete";
    7  NEW_FUN_TAGS M25, "funs are sent in the new form";
    8  EXTENDED_PIDS_PORTS M25, "pids and ports use all their bits";
    9  EXPORT_PTR_TAG M25, "external funs have a tag of their own";
    10 BIT_BINARIES M25, "bitstrings have a tag of their own";
    11 NEW_FLOATS M25, "floats are sent as IEEE 754 doubles";
    12 UNICODE_IO None, "the I/O protocol takes Unicode";
    13 DIST_HDR_ATOM_CACHE None, "messages have a distribution header with an atom cache";
    14 SMALL_ATOM_TAGS None, "short atoms have a tag of their own";
    16 UTF8_ATOMS M25, "atoms are sent as UTF-8";
    17 MAP_TAG M25, "maps have a tag";
    18 BIG_CREATION M25, "creations have 32 bits";
    19 SEND_SENDER None, "a message names its sender (operation 22 instead of 2)";
    20 BIG_SEQTRACE_LABELS None, "the label of a sequential trace is any term";
    22 EXIT_PAYLOAD None, "exit reasons are a payload (operations 24 to 28)";
    23 FRAGMENTS None, "large messages are sent in fragments";
    24 HANDSHAKE_23 M25, "the node speaks version 6 of the handshake";
    25 UNLINK_ID M26, "unlinking is acknowledged (operations 35 and 36)";
    26 MANDATORY_25_DIGEST None, "stands for all flags that OTP 25 made mandatory";
    32 SPAWN None, "the node answers spawn requests (operations 29 to 32)";
    33 NAME_ME None, "the dialler asks to be given a name: a request, not an ability";
    34 V4_NC M26, "pids have 64 bits, ports too, and references up to five words";
    35 ALIAS None, "the node takes messages to aliases (operation 33)";
    37 ALTACT_SIG None, "the node takes the alternative action signal (operation 37)";
}

impl Flags {
    /// No flag at all.
    pub const NONE: Flags = Flags(0);

    /// All flags that OTP 25 made mandatory, and [`Flags::MANDATORY_25_DIGEST`] stands for.
    pub const MANDATORY_25: Flags = mandatory(25);

    /// What OTP 25.2.3 sends (measured).
    pub const OTP25: Flags = Flags(0x0D_07DF_7FBD);

    /// What OTP 28.5 sends (measured).
    pub const OTP28: Flags = Flags(0x2D_07DF_7FBD);

    /// What a visible node of ours sends: distribution headers, atom cache and fragments.
    pub const CACHE_AND_FRAGMENTS: Flags = Flags::OTP28;

    /// The same without the atom cache.
    pub const FRAGMENTS_ONLY: Flags =
        Flags::CACHE_AND_FRAGMENTS.without(Flags::DIST_HDR_ATOM_CACHE);

    /// The same without atom cache and fragments: every message is passed through whole.
    pub const PASS_THROUGH: Flags = Flags::FRAGMENTS_ONLY.without(Flags::FRAGMENTS);

    /// What a peer must have. OTP 28 requires UNLINK_ID and V4_NC too; we need neither.
    pub const REQUIRED: Flags = Flags::MANDATORY_25;

    /// The flags with these bits.
    pub const fn from_bits(bits: u64) -> Self {
        Flags(bits)
    }

    /// The bits as they are sent.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether all of `other` is set.
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags and those.
    pub const fn with(self, other: Flags) -> Self {
        Flags(self.0 | other.0)
    }

    /// These flags except those.
    pub const fn without(self, other: Flags) -> Self {
        Flags(self.0 & !other.0)
    }

    /// The same flags for a hidden node.
    pub const fn hidden(self) -> Self {
        self.without(Flags::PUBLISHED)
    }

    /// Whether a node with these flags is visible.
    pub const fn is_visible(self) -> bool {
        self.contains(Flags::PUBLISHED)
    }

    /// The same flags with everything that the digest flag stands for (I1).
    pub const fn expanded(self) -> Self {
        if self.contains(Flags::MANDATORY_25_DIGEST) {
            self.with(Flags::MANDATORY_25)
        } else {
            self
        }
    }

    /// What holds on a connection between nodes that sent `ours` and `theirs`: what both sent, and
    /// we know. NAME_ME, a request, never holds.
    ///
    /// ```
    /// use purlin_proto::flags::Flags;
    /// let negotiated = Flags::negotiate(Flags::OTP28, Flags::OTP25);
    /// assert!(negotiated.contains(Flags::ALIAS) && !negotiated.contains(Flags::ALTACT_SIG));
    /// ```
    pub fn negotiate(ours: Flags, theirs: Flags) -> Flags {
        (ours.expanded() & theirs.expanded() & Flags::known()).without(Flags::NAME_ME)
    }

    /// What of `required` these flags lack; [`Flags::NONE`] when a peer with them is welcome.
    pub const fn missing(self, required: Flags) -> Flags {
        required.without(self.expanded())
    }

    /// The names of the flags, by bit; those without a name are left out.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::TABLE
            .iter()
            .filter(move |info| self.contains(info.flag))
            .map(|info| info.name)
    }

    /// Every flag of the table.
    fn known() -> Flags {
        Self::TABLE
            .iter()
            .fold(Flags::NONE, |flags, info| flags.with(info.flag))
    }
}

/// The flags that `release` requires of its peers, itself and earlier releases taken together.
const fn mandatory(release: u16) -> Flags {
    let mut flags = Flags::NONE;
    let mut at = 0;
    while at < Flags::TABLE.len() {
        let info = &Flags::TABLE[at];
        if let Some(since) = info.mandatory_since
            && since <= release
        {
            flags = flags.with(info.flag);
        }
        at += 1;
    }
    flags
}

impl Flags {
    /// The flags that `release` of OTP requires of its peers: what a peer of that release says no
    /// to. Measured for 25 and 28, from the manual in between.
    pub const fn mandatory_in(release: u16) -> Flags {
        mandatory(release)
    }
}

impl BitAnd for Flags {
    type Output = Flags;
    fn bitand(self, other: Flags) -> Flags {
        Flags(self.0 & other.0)
    }
}

impl BitOr for Flags {
    type Output = Flags;
    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

impl fmt::Display for Flags {
    /// Names separated by commas, unknown bits as one number, `none` when empty.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = self.without(Flags::known());
        let mut separator = "";
        for name in self.names() {
            write!(f, "{separator}{name}")?;
            separator = ", ";
        }
        match (self.0, unknown.0) {
            (0, _) => f.write_str("none"),
            (_, 0) => Ok(()),
            (_, bits) => write!(f, "{separator}{bits:#x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ei and erl_call of OTP 25, and Jinterface 1.13.1, as measured.
    const EI: Flags = Flags::from_bits(0x4_0707_4F9C);
    const JINTERFACE: Flags = Flags::from_bits(0x4_0707_0F94);

    #[test]
    fn every_bit_has_one_name() {
        let mut seen = Flags::NONE;
        for info in Flags::TABLE {
            assert_eq!(info.flag.bits().count_ones(), 1, "{}", info.name);
            assert_eq!(seen & info.flag, Flags::NONE, "{}", info.name);
            seen = seen | info.flag;
        }
    }

    #[test]
    fn the_totals_of_otp_are_made_of_known_flags() {
        let both = "PUBLISHED, EXTENDED_REFERENCES, DIST_MONITOR, FUN_TAGS, DIST_MONITOR_NAME, \
            NEW_FUN_TAGS, EXTENDED_PIDS_PORTS, EXPORT_PTR_TAG, BIT_BINARIES, NEW_FLOATS, \
            UNICODE_IO, DIST_HDR_ATOM_CACHE, SMALL_ATOM_TAGS, UTF8_ATOMS, MAP_TAG, BIG_CREATION, \
            SEND_SENDER, BIG_SEQTRACE_LABELS, EXIT_PAYLOAD, FRAGMENTS, HANDSHAKE_23, UNLINK_ID, \
            MANDATORY_25_DIGEST, SPAWN, V4_NC, ALIAS";
        assert_eq!(Flags::OTP25.to_string(), both);
        assert_eq!(Flags::OTP28.to_string(), format!("{both}, ALTACT_SIG"));
    }

    #[test]
    fn all_known_nodes_have_what_is_required_and_satisfy_otp_28() {
        for flags in [
            Flags::OTP25,
            Flags::OTP28,
            EI,
            JINTERFACE,
            Flags::PASS_THROUGH.hidden(),
        ] {
            assert_eq!(flags.missing(Flags::REQUIRED), Flags::NONE);
            assert_eq!(flags.missing(Flags::mandatory_in(28)), Flags::NONE);
        }
    }

    #[test]
    fn the_digest_stands_for_all_that_is_mandatory() {
        let digest = Flags::MANDATORY_25_DIGEST;
        assert_eq!(digest.missing(Flags::REQUIRED), Flags::NONE);
        let m25 = Flags::OTP25.without(digest);
        assert_eq!(m25.missing(Flags::REQUIRED), Flags::NONE);
        let negotiated = Flags::negotiate(Flags::OTP25, digest);
        assert!(negotiated.contains(Flags::MANDATORY_25), "{negotiated}");
        assert!(Flags::negotiate(m25, digest).contains(Flags::MAP_TAG));
    }

    #[test]
    fn each_mandatory_flag_is_missed_by_name() {
        for info in Flags::TABLE
            .iter()
            .filter(|info| info.mandatory_since == Some(25))
        {
            let flags = Flags::OTP25
                .without(info.flag)
                .without(Flags::MANDATORY_25_DIGEST);
            assert_eq!(flags.missing(Flags::REQUIRED).to_string(), info.name);
        }
        assert_eq!(Flags::MANDATORY_25.bits(), 0x0107_0F94);
    }

    #[test]
    fn only_what_both_sent_and_we_know_holds() {
        let unknown = Flags::from_bits(1 << 60);
        let ours = Flags::OTP28 | unknown | Flags::NAME_ME;
        let negotiated = Flags::negotiate(ours, Flags::OTP25 | unknown | Flags::NAME_ME);
        assert_eq!(negotiated, Flags::OTP25);
        assert!(!Flags::negotiate(Flags::OTP28, EI).is_visible());
        assert!(!Flags::negotiate(Flags::OTP28, EI).contains(Flags::SEND_SENDER));
    }

    #[test]
    fn presets_differ_in_cache_and_fragments_only() {
        let all = Flags::CACHE_AND_FRAGMENTS;
        assert_eq!(
            all.without(Flags::FRAGMENTS_ONLY),
            Flags::DIST_HDR_ATOM_CACHE
        );
        assert_eq!(
            Flags::FRAGMENTS_ONLY.without(Flags::PASS_THROUGH),
            Flags::FRAGMENTS
        );
        assert_eq!(all.without(all.hidden()), Flags::PUBLISHED);
    }

    #[test]
    fn unknown_bits_show_as_a_number() {
        assert_eq!(Flags::NONE.to_string(), "none");
        assert_eq!(Flags::from_bits(1 << 60).to_string(), "0x1000000000000000");
        let mixed = Flags::from_bits(1 << 60 | 1);
        assert_eq!(mixed.to_string(), "PUBLISHED, 0x1000000000000000");
    }
}

//! The start of a frame: its form, and the distribution header with the message's atoms.
//!
//! The header counts its atoms in a byte. Then come nibbles, the lower of a byte first, one for
//! each atom and one more: three bits of an atom's slot and whether its text follows, and in the
//! last whether texts have lengths of two bytes. Then, for each atom, the rest of its slot and the
//! text where it is new to the cache (ERTS, "Distribution Header").

use purlin_term::{Atom, NodeName};

use super::atom_cache::{ReceiveCache, Slot};
use super::error::ChannelError as Error;
use crate::flags::Flags;

pub(super) const PASS_THROUGH: u8 = 112;
pub(super) const VERSION: u8 = 131;
pub(super) const COMPRESSED: u8 = 80;
pub(super) const MESSAGE: u8 = 68;
pub(super) const FIRST_FRAGMENT: u8 = 69;
pub(super) const FRAGMENT: u8 = 70;

const NEW: u8 = 8;
const SEGMENT: u8 = 7;
const LONG_ATOMS: u8 = 1;

/// Which frames a connection has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) cache: bool,
    pub(super) fragments: bool,
}

impl Form {
    pub(super) fn of(flags: Flags) -> Self {
        Self {
            cache: flags.contains(Flags::DIST_HDR_ATOM_CACHE),
            fragments: flags.contains(Flags::FRAGMENTS),
        }
    }

    /// True if frames have a header, though without a cache it has no atoms.
    pub(super) fn has_header(self) -> bool {
        self.cache || self.fragments
    }
}

/// A frame, read from its start.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The offset of what was not read yet.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let taken = self.rest().get(..len);
        let taken = taken.ok_or(Error::Truncated {
            at: self.bytes.len(),
        })?;
        self.at += len;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Error> {
        self.take(1).map(|byte| byte[0])
    }

    fn u16(&mut self) -> Result<u16, Error> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Error> {
        let bytes = self.take(8)?;
        Ok(bytes
            .iter()
            .fold(0, |all, &byte| all << 8 | u64::from(byte)))
    }

    fn atom(&mut self, reference: u8, long: bool) -> Result<Atom, Error> {
        let len = if long { self.u16()? } else { self.u8()?.into() };
        let at = self.at;
        let text = std::str::from_utf8(self.take(usize::from(len))?).ok();
        let atom = text.and_then(|text| Atom::new(text).ok());
        atom.ok_or(Error::BadAtom { reference, at })
    }
}

/// Reads a header, replaces `atoms` by those of the message, and brings `cache` up to date.
pub(super) fn read(
    input: &mut Input<'_>,
    form: Form,
    cache: &mut ReceiveCache,
    atoms: &mut Vec<Atom>,
) -> Result<(), Error> {
    atoms.clear();
    let count = input.u8()?;
    if count == 0 {
        return Ok(());
    }
    if !form.cache {
        return Err(Error::CacheNotNegotiated(count));
    }
    let flags = input.take(usize::from(count) / 2 + 1)?;
    let long = nibble(flags, count) & LONG_ATOMS != 0;
    for reference in 0..count {
        let flags = nibble(flags, reference);
        let slot = Slot::new(flags & SEGMENT, input.u8()?);
        let atom = if flags & NEW != 0 {
            let atom = NodeName::shared(input.atom(reference, long)?);
            cache.set(slot, atom.clone());
            atom
        } else {
            let cached = cache.get(slot).cloned();
            let slot = slot.number();
            cached.ok_or(Error::EmptySlot { reference, slot })?
        };
        atoms.push(atom);
    }
    Ok(())
}

fn nibble(flags: &[u8], number: u8) -> u8 {
    flags[usize::from(number) / 2] >> (4 * (number % 2)) & 0xf
}

/// An atom of a message that is being written: its slot, and whether the text must follow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reference {
    pub(super) slot: Slot,
    pub(super) is_new: bool,
}

/// Writes the header of a message whose atoms have these `references`; `atom` answers one by its
/// number.
pub(super) fn write<'a>(
    out: &mut Vec<u8>,
    references: &[Reference],
    atom: impl Fn(usize) -> &'a Atom,
) {
    let count = references.len();
    out.push(u8::try_from(count).expect("a message lists at most 255 atoms"));
    if count == 0 {
        return;
    }
    let is_long = |(number, reference): (usize, &Reference)| {
        reference.is_new && atom(number).as_bytes().len() > usize::from(u8::MAX)
    };
    let long = references.iter().enumerate().any(is_long);
    let flags = out.len();
    out.resize(flags + count / 2 + 1, 0);
    let mut set = |number: usize, nibble: u8| {
        out[flags + number / 2] |= nibble << (4 * (number % 2));
    };
    for (number, reference) in references.iter().enumerate() {
        let new = if reference.is_new { NEW } else { 0 };
        set(number, reference.slot.segment() | new);
    }
    set(count, if long { LONG_ATOMS } else { 0 });
    for (number, reference) in references.iter().enumerate() {
        out.push(reference.slot.index());
        if reference.is_new {
            text(out, atom(number).as_bytes(), long);
        }
    }
}

fn text(out: &mut Vec<u8>, text: &[u8], long: bool) {
    let len = u16::try_from(text.len()).expect("an atom has at most 1,020 bytes");
    if long {
        out.extend_from_slice(&len.to_be_bytes());
    } else {
        out.push(len as u8);
    }
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH_CACHE: Form = Form {
        cache: true,
        fragments: true,
    };

    /// The slots of a header, found without `read`.
    fn references(header: &[u8]) -> Vec<Reference> {
        let count = header[0];
        let flags = &header[1..];
        let mut at = 1 + usize::from(count) / 2 + 1;
        let reference = |k| {
            let flags = nibble(flags, k);
            let is_new = flags & NEW != 0;
            let slot = Slot::new(flags & SEGMENT, header[at]);
            at += 1;
            if is_new {
                at += 1 + usize::from(header[at]);
            }
            Reference { slot, is_new }
        };
        (0..count).map(reference).collect()
    }

    #[test]
    fn headers_of_otp_are_written_as_otp_wrote_them() {
        for file in [
            include_str!("../../tests/vectors/vectors-otp25-full.txt"),
            include_str!("../../tests/vectors/vectors-otp28-full.txt"),
        ] {
            let mut cache = ReceiveCache::default();
            let mut atoms = Vec::new();
            let mut headers = 0;
            for line in file.lines().filter_map(|line| line.strip_prefix("8344")) {
                let digits = line
                    .as_bytes()
                    .chunks(2)
                    .map(|d| std::str::from_utf8(d).unwrap());
                let frame: Vec<u8> = digits.map(|d| u8::from_str_radix(d, 16).unwrap()).collect();
                let mut input = Input::new(&frame);
                read(&mut input, WITH_CACHE, &mut cache, &mut atoms).unwrap();
                let mut written = Vec::new();
                write(&mut written, &references(&frame), |number| &atoms[number]);
                assert_eq!(written, frame[..input.at()]);
                headers += 1;
            }
            assert_eq!(headers, 19);
        }
    }

    fn round_trip(atoms: &[Atom], cache: &mut ReceiveCache, slots: &[(u16, bool)]) -> Vec<u8> {
        let reference = |&(slot, is_new): &(u16, bool)| Reference {
            slot: Slot::new((slot >> 8) as u8, slot as u8),
            is_new,
        };
        let references: Vec<Reference> = slots.iter().map(reference).collect();
        let mut header = Vec::new();
        write(&mut header, &references, |number| &atoms[number]);
        let mut read_back = Vec::new();
        let mut input = Input::new(&header);
        read(&mut input, WITH_CACHE, cache, &mut read_back).unwrap();
        assert!(input.rest().is_empty());
        assert_eq!(read_back, atoms);
        header
    }

    #[test]
    fn a_text_of_more_than_255_bytes_makes_all_lengths_two_bytes() {
        let atom = |text: &str| Atom::new(text).unwrap();
        let mut cache = ReceiveCache::default();
        let long = atom(&"é".repeat(255));
        let both = [long.clone(), atom("short")];
        let header = round_trip(&both, &mut cache, &[(2047, true), (0, true)]);
        assert_eq!(header.len(), 1 + 2 + (1 + 2 + 510) + (1 + 2 + 5));
        // An old entry needs no length, whatever its text.
        let again = round_trip(
            &[long, atom("new")],
            &mut cache,
            &[(2047, false), (1, true)],
        );
        assert_eq!(again, [2, 0x87, 0x00, 255, 1, 3, b'n', b'e', b'w']);
    }

    #[test]
    fn all_counts_put_the_last_nibble_where_it_is_read() {
        let long = Atom::new(&"é".repeat(200)).unwrap();
        for count in 0..=255u16 {
            let mut cache = ReceiveCache::default();
            let atoms = vec![long.clone(); usize::from(count)];
            let slots: Vec<(u16, bool)> = (0..count).map(|k| (k * 8 + 7, true)).collect();
            round_trip(&atoms, &mut cache, &slots);
        }
    }

    #[test]
    fn a_slot_used_twice_in_a_header_means_what_was_there_at_each_reference() {
        let atom = |text: &str| Atom::new(text).unwrap();
        let mut cache = ReceiveCache::default();
        let three = [atom("a"), atom("b"), atom("b")];
        round_trip(&three, &mut cache, &[(5, true), (5, true), (5, false)]);
    }
}

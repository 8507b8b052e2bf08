//! The two atom caches of a connection: one filled by the peer, one by us.
//!
//! Both hold up to 2048 atoms by slot and grow with what is used, so that a connection of few
//! atoms costs little. The receiving one does what the headers say. The sending one gives out slots
//! in the order of first use; when all are given out, in a circle. An atom in use that loses its
//! slot gets the next one at its next use: one text in 2048.
//!
//! Deviation from OTP, which takes the slot from the atom's index in its atom table: there is no
//! such table here.
//!
//! I1. No slot is given to two atoms of one header (a peer that resolves references only after
//!     it read the whole header would mistake one for the other).

use purlin_term::Atom;

use super::header::Reference;
use super::limits::CACHE_SLOTS;

/// A slot of an atom cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(u16);

impl Slot {
    /// `segment` counts to 7.
    pub(super) fn new(segment: u8, index: u8) -> Self {
        debug_assert!(segment < 8);
        Self(u16::from(segment) << 8 | u16::from(index))
    }

    pub(super) fn number(self) -> u16 {
        self.0
    }

    pub(super) fn segment(self) -> u8 {
        (self.0 >> 8) as u8
    }

    pub(super) fn index(self) -> u8 {
        self.0 as u8
    }
}

/// What the peer put where.
#[derive(Debug, Default)]
pub(super) struct ReceiveCache(Vec<Option<Atom>>);

impl ReceiveCache {
    pub(super) fn set(&mut self, slot: Slot, atom: Atom) {
        let slot = usize::from(slot.0);
        if slot >= self.0.len() {
            self.0.resize(slot + 1, None);
        }
        self.0[slot] = Some(atom);
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Atom> {
        self.0.get(usize::from(slot.0))?.as_ref()
    }
}

/// What we put where, to be found by text.
#[derive(Debug)]
pub(super) struct SendCache {
    /// By slot.
    entries: Vec<Entry>,
    /// For each remainder of the hash the first slot of a chain; a power of two of them.
    chains: Vec<u16>,
    /// The slot that is given out next once all are.
    hand: u16,
    /// Counts headers.
    header: u64,
}

#[derive(Debug)]
struct Entry {
    atom: Atom,
    hash: u32,
    next: u16,
    /// The header that used it last.
    header: u64,
}

/// The end of a chain.
const NONE: u16 = u16::MAX;
const _: () = assert!(CACHE_SLOTS < NONE as usize);
/// A guess: a node's name and the atoms of its most frequent messages.
const CHAINS_MIN: usize = 32;

impl SendCache {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            chains: vec![NONE; CHAINS_MIN],
            hand: 0,
            header: 0,
        }
    }

    /// Answers in `references` the slots of `atoms`, all those of one header.
    pub(super) fn assign(&mut self, atoms: &[Atom], references: &mut Vec<Reference>) {
        self.header += 1;
        references.clear();
        references.extend(atoms.iter().map(|atom| self.reference(atom)));
    }

    fn reference(&mut self, atom: &Atom) -> Reference {
        let hash = hash(atom.as_bytes());
        let found = self.find(atom, hash);
        let slot = found.unwrap_or_else(|| self.insert(atom, hash));
        self.entries[usize::from(slot)].header = self.header;
        Reference {
            slot: Slot(slot),
            is_new: found.is_none(),
        }
    }

    fn chain(&self, hash: u32) -> usize {
        hash as usize & (self.chains.len() - 1)
    }

    fn find(&self, atom: &Atom, hash: u32) -> Option<u16> {
        let mut slot = self.chains[self.chain(hash)];
        while slot != NONE {
            let entry = &self.entries[usize::from(slot)];
            if entry.hash == hash && entry.atom == *atom {
                return Some(slot);
            }
            slot = entry.next;
        }
        None
    }

    fn insert(&mut self, atom: &Atom, hash: u32) -> u16 {
        let entry = Entry {
            atom: atom.clone(),
            hash,
            next: NONE,
            header: 0,
        };
        let slot = if self.entries.len() < CACHE_SLOTS {
            self.entries.push(entry);
            (self.entries.len() - 1) as u16
        } else {
            let slot = self.evict();
            self.entries[usize::from(slot)] = entry;
            slot
        };
        self.link(slot);
        if self.entries.len() > self.chains.len() {
            self.grow();
        }
        slot
    }

    fn link(&mut self, slot: u16) {
        let chain = self.chain(self.entries[usize::from(slot)].hash);
        self.entries[usize::from(slot)].next = self.chains[chain];
        self.chains[chain] = slot;
    }

    fn grow(&mut self) {
        self.chains = vec![NONE; 2 * self.chains.len()];
        for slot in 0..self.entries.len() {
            self.link(slot as u16);
        }
    }

    /// Takes the next slot that this header did not use (I1): it uses at most 255 of 2048.
    fn evict(&mut self) -> u16 {
        loop {
            let slot = self.hand;
            self.hand = (self.hand + 1) % CACHE_SLOTS as u16;
            if self.entries[usize::from(slot)].header != self.header {
                self.unlink(slot);
                return slot;
            }
        }
    }

    fn unlink(&mut self, slot: u16) {
        let after = self.entries[usize::from(slot)].next;
        let chain = self.chain(self.entries[usize::from(slot)].hash);
        if self.chains[chain] == slot {
            self.chains[chain] = after;
            return;
        }
        let mut before = self.chains[chain];
        while self.entries[usize::from(before)].next != slot {
            before = self.entries[usize::from(before)].next;
        }
        self.entries[usize::from(before)].next = after;
    }
}

/// A multiplicative hash over words of eight bytes: the same in every run, and good enough where
/// whoever chooses the texts is ourselves.
fn hash(text: &[u8]) -> u32 {
    let mut words = text.chunks_exact(8);
    let mut hash = text.len() as u64;
    let mut mix = |word: u64| {
        hash = (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    };
    for word in &mut words {
        mix(u64::from_le_bytes(
            word.try_into().expect("chunks of eight"),
        ));
    }
    let rest = words.remainder();
    mix(rest
        .iter()
        .fold(0, |word, &byte| word << 8 | u64::from(byte)));
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atoms(range: std::ops::Range<usize>) -> Vec<Atom> {
        let text = |number| Atom::new(&format!("atom_{number}")).unwrap();
        range.map(text).collect()
    }

    /// What a peer would find in its cache.
    fn check(cache: &mut SendCache, peer: &mut ReceiveCache, atoms: &[Atom]) -> usize {
        let mut references = Vec::new();
        cache.assign(atoms, &mut references);
        let mut slots = std::collections::BTreeSet::new();
        for (atom, reference) in atoms.iter().zip(&references) {
            assert!(
                slots.insert(reference.slot.0),
                "I1: slot {:?} twice",
                reference.slot
            );
            if reference.is_new {
                peer.set(reference.slot, atom.clone());
            }
        }
        for (atom, reference) in atoms.iter().zip(&references) {
            assert_eq!(peer.get(reference.slot), Some(atom));
        }
        references
            .iter()
            .filter(|reference| reference.is_new)
            .count()
    }

    #[test]
    fn an_atom_is_new_once() {
        let (mut cache, mut peer) = (SendCache::new(), ReceiveCache::default());
        assert_eq!(check(&mut cache, &mut peer, &atoms(0..255)), 255);
        assert_eq!(check(&mut cache, &mut peer, &atoms(100..300)), 45);
        assert_eq!(check(&mut cache, &mut peer, &atoms(0..255)), 0);
    }

    #[test]
    fn more_atoms_than_slots_push_each_other_out_and_stay_right() {
        let (mut cache, mut peer) = (SendCache::new(), ReceiveCache::default());
        for round in 0..100 {
            let start = round * 97 % 4000;
            check(&mut cache, &mut peer, &atoms(start..start + 255));
        }
        assert_eq!(cache.entries.len(), CACHE_SLOTS);
        assert_eq!(peer.0.len(), CACHE_SLOTS);
        let chained: usize = (0..cache.chains.len())
            .map(|chain| {
                let first = Some(cache.chains[chain]).filter(|&slot| slot != NONE);
                let next = |&slot: &u16| {
                    let next = cache.entries[usize::from(slot)].next;
                    Some(next).filter(|&next| next != NONE)
                };
                std::iter::successors(first, next).count()
            })
            .sum();
        assert_eq!(chained, CACHE_SLOTS, "every entry is in one chain");
    }

    #[test]
    fn an_atom_of_this_header_is_not_pushed_out_by_it() {
        let (mut cache, mut peer) = (SendCache::new(), ReceiveCache::default());
        for start in (0..CACHE_SLOTS).step_by(128) {
            check(&mut cache, &mut peer, &atoms(start..start + 128));
        }
        // The slots of the first ten are the next to be given out.
        let mut header = atoms(0..10);
        header.extend(atoms(5000..5100));
        assert_eq!(check(&mut cache, &mut peer, &header), 100);
    }

    #[test]
    fn atoms_of_the_same_hash_are_two_atoms() {
        let mut seen = std::collections::BTreeMap::new();
        let pair = (0..1_000_000u64).find_map(|number| {
            let scattered = (number + 1).wrapping_mul(number | 0x5851_f42d_4c95_7f2d);
            let atom = Atom::new(&format!("{scattered:016x}")).unwrap();
            let first = seen.insert(hash(atom.as_bytes()), atom.clone())?;
            Some([first, atom])
        });
        let (mut cache, mut peer) = (SendCache::new(), ReceiveCache::default());
        let pair = pair.expect("among a million texts two have the same 32 bits");
        assert_eq!(check(&mut cache, &mut peer, &pair), 2);
        assert_eq!(check(&mut cache, &mut peer, &pair), 0);
    }

    #[test]
    fn few_atoms_need_little_memory() {
        let (mut cache, mut peer) = (SendCache::new(), ReceiveCache::default());
        check(&mut cache, &mut peer, &atoms(0..20));
        assert!(cache.entries.capacity() <= 32 && peer.0.capacity() <= 32);
    }
}

//! The two atom caches of a connection: one filled by the peer, one by us.
//!
//! Both hold up to 2048 atoms by slot and grow with what is used, so that a connection of few
//! atoms costs little. The receiving one does what the headers say. The sending one gives out slots
//! in the order of first use; when all are given out, in a circle. An atom in use that loses its
//! slot gets the next one at its next use: one text in 2048. Slots are given out when headers are
//! written, since the two caches change in the order of frames; but atoms are looked up before.
//!
//! Deviation from OTP, which takes the slot from the atom's index in its atom table: there is no
//! such table here.
//!
//! I1. No slot is given to two atoms of one header (a peer that resolves references only after
//!     it read the whole header would mistake one for the other).

use purlin_term::Atom;

use super::chains::Chains;
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

/// An atom that is queued or has a slot, as long as that is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AtomId(u32);

impl AtomId {
    pub(super) fn to_bytes(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }

    pub(super) fn of_bytes(bytes: [u8; 4]) -> Self {
        Self(u32::from_le_bytes(bytes))
    }
}

/// What we put where, to be found by text, and the atoms of what is queued.
///
/// A message's atoms are looked up when it is queued ([`enter`](SendCache::enter)) and then have
/// ids; their slots they get when its header is written ([`assign`](SendCache::assign)).
#[derive(Debug)]
pub(super) struct SendCache {
    /// By id; the atoms of slots, and those that wait for one.
    entries: Vec<Entry>,
    free: Vec<AtomId>,
    /// By slot.
    slots: Vec<AtomId>,
    /// The ids by the hashes of their texts.
    chains: Chains,
    /// Ids that were asked for last: the nodes that talk, and what is in each of their messages. None
    /// of them is free.
    recent: [Option<AtomId>; RECENT],
    /// Which of them is the next to give way.
    oldest: usize,
    /// The slot that is given out next once all are.
    hand: u16,
    /// Counts headers.
    header: u64,
}

#[derive(Debug)]
struct Entry {
    atom: Atom,
    slot: Option<Slot>,
    /// Times that it is in what is queued.
    queued: u32,
    /// The header that used it last.
    header: u64,
}

/// What an atom of a queued message costs at most, besides its text.
pub(super) const QUEUED_ATOM_LEN: usize = 2 * size_of::<Entry>() + size_of::<AtomId>();

/// A guess: a node's name and the atoms of its most frequent messages.
const CHAINS_MIN: usize = 32;

/// Two nodes, and what a spawn request or a call names besides.
const RECENT: usize = 8;

impl SendCache {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            slots: Vec::new(),
            chains: Chains::new(CHAINS_MIN),
            recent: [None; RECENT],
            oldest: 0,
            hand: 0,
            header: 0,
        }
    }

    /// The id of an atom of a message that is queued now.
    pub(super) fn enter(&mut self, atom: &Atom) -> AtomId {
        let id = match self.find_recent(atom) {
            Some(id) => id,
            None => self.look_up(atom),
        };
        self.entry(id).queued += 1;
        id
    }

    #[inline]
    fn find_recent(&self, atom: &Atom) -> Option<AtomId> {
        let mut recent = self.recent.iter().flatten();
        recent
            .find(|id| self.entries[id.0 as usize].atom == *atom)
            .copied()
    }

    fn look_up(&mut self, atom: &Atom) -> AtomId {
        let hash = hash(atom.as_bytes());
        let is_it = |place: usize| self.entries[place].atom == *atom;
        let id = match self.chains.find(hash, is_it) {
            Some(place) => AtomId(place as u32),
            None => self.insert(atom, hash),
        };
        self.recent[self.oldest] = Some(id);
        self.oldest = (self.oldest + 1) % RECENT;
        id
    }

    /// Answers in `references` the slots of `atoms`, all those of one header, which were entered for
    /// it.
    pub(super) fn assign(
        &mut self,
        atoms: impl Iterator<Item = AtomId>,
        references: &mut Vec<Reference>,
    ) {
        self.header += 1;
        references.clear();
        references.extend(atoms.map(|atom| self.reference(atom)));
    }

    /// The atom that has this slot.
    pub(super) fn at(&self, slot: Slot) -> &Atom {
        let id = self.slots[usize::from(slot.0)];
        &self.entries[id.0 as usize].atom
    }

    fn reference(&mut self, id: AtomId) -> Reference {
        let header = self.header;
        let entry = self.entry(id);
        entry.queued -= 1;
        entry.header = header;
        let known = entry.slot;
        let slot = known.unwrap_or_else(|| self.give_slot(id));
        Reference {
            slot,
            is_new: known.is_none(),
        }
    }

    fn entry(&mut self, id: AtomId) -> &mut Entry {
        &mut self.entries[id.0 as usize]
    }

    fn insert(&mut self, atom: &Atom, hash: u32) -> AtomId {
        let entry = Entry {
            atom: atom.clone(),
            slot: None,
            queued: 0,
            header: 0,
        };
        let id = match self.free.pop() {
            Some(id) => {
                *self.entry(id) = entry;
                id
            }
            None => {
                self.entries.push(entry);
                AtomId((self.entries.len() - 1) as u32)
            }
        };
        self.chains.insert(id.0 as usize, hash);
        id
    }

    fn give_slot(&mut self, id: AtomId) -> Slot {
        let slot = if self.slots.len() < CACHE_SLOTS {
            self.slots.push(id);
            Slot((self.slots.len() - 1) as u16)
        } else {
            let slot = self.evict();
            self.slots[usize::from(slot.0)] = id;
            slot
        };
        self.entry(id).slot = Some(slot);
        slot
    }

    /// Takes the next slot that this header did not use (I1): it uses at most 255 of 2048.
    fn evict(&mut self) -> Slot {
        loop {
            let slot = Slot(self.hand);
            self.hand = (self.hand + 1) % CACHE_SLOTS as u16;
            let (id, header) = (self.slots[usize::from(slot.0)], self.header);
            let entry = self.entry(id);
            if entry.header != header {
                entry.slot = None;
                if entry.queued == 0 {
                    self.remove(id);
                }
                return slot;
            }
        }
    }

    fn remove(&mut self, id: AtomId) {
        self.chains.remove(id.0 as usize);
        for recent in &mut self.recent {
            recent.take_if(|recent| *recent == id);
        }
        self.free.push(id);
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
        let ids: Vec<AtomId> = atoms.iter().map(|atom| cache.enter(atom)).collect();
        write(cache, peer, atoms, &ids)
    }

    /// As `check`, of atoms that were entered.
    fn write(
        cache: &mut SendCache,
        peer: &mut ReceiveCache,
        atoms: &[Atom],
        ids: &[AtomId],
    ) -> usize {
        let mut references = Vec::new();
        cache.assign(ids.iter().copied(), &mut references);
        let mut slots = std::collections::BTreeSet::new();
        for (atom, reference) in atoms.iter().zip(&references) {
            assert!(
                slots.insert(reference.slot.0),
                "I1: slot {:?} twice",
                reference.slot
            );
            if reference.is_new {
                peer.set(reference.slot, cache.at(reference.slot).clone());
            }
            assert_eq!(cache.at(reference.slot), atom);
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
        assert_eq!(cache.slots.len(), CACHE_SLOTS);
        assert_eq!(peer.0.len(), CACHE_SLOTS);
        assert_eq!(
            cache.chains.len(),
            CACHE_SLOTS,
            "every entry is in one chain"
        );
        assert!(cache.entries.len() <= CACHE_SLOTS + 255);
    }

    #[test]
    fn atoms_that_wait_for_long_keep_their_meaning_whatever_is_written_before_them() {
        let (mut cache, mut peer) = (SendCache::new(), ReceiveCache::default());
        let waiting: Vec<Vec<Atom>> = (0..20).map(|n| atoms(n * 200..n * 200 + 250)).collect();
        let mut enter = |atoms: &Vec<Atom>| -> Vec<AtomId> {
            atoms.iter().map(|atom| cache.enter(atom)).collect()
        };
        let ids: Vec<Vec<AtomId>> = waiting.iter().map(&mut enter).collect();
        for round in 0..10 {
            check(
                &mut cache,
                &mut peer,
                &atoms(round * 255..round * 255 + 255),
            );
            let later = 10_000 + round * 255;
            check(&mut cache, &mut peer, &atoms(later..later + 255));
        }
        for (atoms, ids) in waiting.iter().zip(&ids) {
            write(&mut cache, &mut peer, atoms, ids);
        }
        let idle = |entry: &Entry| entry.queued == 0;
        assert!(cache.entries.iter().all(idle), "nothing waits any more");
        assert_eq!(cache.chains.len(), CACHE_SLOTS);
        assert_eq!(cache.entries.len() - cache.free.len(), CACHE_SLOTS);
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

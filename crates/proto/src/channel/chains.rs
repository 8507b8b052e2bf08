//! Places of a table found by hash: chains of their numbers beside the table.
//!
//! What is in the table, and which of its places are free, is the owner's affair. Nothing here is
//! random, and nothing iterates: two runs find the same.

/// The end of a chain.
const NONE: u32 = u32::MAX;

/// An index of the places of a table.
#[derive(Debug)]
pub(super) struct Chains {
    /// For each remainder of a hash the first place of a chain; a power of two of them.
    heads: Vec<u32>,
    /// By place.
    links: Vec<Link>,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    hash: u32,
    next: u32,
}

impl Chains {
    /// An index that has room for `heads` places, a power of two, before it grows.
    pub(super) fn new(heads: usize) -> Self {
        debug_assert!(heads.is_power_of_two());
        Self {
            heads: vec![NONE; heads],
            links: Vec::new(),
        }
    }

    /// The place of this hash that `is_it`.
    #[inline]
    pub(super) fn find(&self, hash: u32, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let mut place = self.heads[self.head(hash)];
        while place != NONE {
            let link = self.links[place as usize];
            if link.hash == hash && is_it(place as usize) {
                return Some(place as usize);
            }
            place = link.next;
        }
        None
    }

    /// Adds a place that is in no chain: the first one beyond those that ever were, or one that was
    /// removed.
    pub(super) fn insert(&mut self, place: usize, hash: u32) {
        let link = Link { hash, next: NONE };
        match self.links.get_mut(place) {
            Some(free) => *free = link,
            None => {
                debug_assert_eq!(place, self.links.len(), "places are used from the first on");
                self.links.push(link);
            }
        }
        self.link(place);
        // A place that is new: all are in chains, since the owner had no free one.
        if self.links.len() > self.heads.len() {
            self.grow();
        }
    }

    /// Takes a place out of its chain.
    pub(super) fn remove(&mut self, place: usize) {
        let Link { hash, next } = self.links[place];
        let head = self.head(hash);
        if self.heads[head] as usize == place {
            self.heads[head] = next;
            return;
        }
        let mut before = self.heads[head] as usize;
        while self.links[before].next as usize != place {
            before = self.links[before].next as usize;
        }
        self.links[before].next = next;
    }

    fn head(&self, hash: u32) -> usize {
        hash as usize & (self.heads.len() - 1)
    }

    fn link(&mut self, place: usize) {
        let head = self.head(self.links[place].hash);
        self.links[place].next = self.heads[head];
        self.heads[head] = place as u32;
    }

    fn grow(&mut self) {
        self.heads = vec![NONE; 2 * self.heads.len()];
        for place in 0..self.links.len() {
            self.link(place);
        }
    }

    /// How many places are in chains.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let of_chain = |&first: &u32| {
            let some = |place| Some(place).filter(|&place| place != NONE);
            std::iter::successors(some(first), |&place| some(self.links[place as usize].next))
                .count()
        };
        self.heads.iter().map(of_chain).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn places_come_and_go_and_are_found_by_their_hashes_alone() {
        let mut chains = Chains::new(2);
        let (mut table, mut free) = (Vec::new(), Vec::new());
        let mut model = BTreeMap::new();
        for round in 0..5000_u32 {
            // Few hashes, so that chains are long.
            let key = round.wrapping_mul(0x9e37_79b9) % 400;
            let hash = key % 7;
            let found = chains.find(hash, |place| table[place] == key);
            assert_eq!(found, model.get(&key).copied());
            if let Some(place) = found {
                chains.remove(place);
                model.remove(&key);
                free.push(place);
            } else {
                let place = free.pop().unwrap_or(table.len());
                if place == table.len() {
                    table.push(key);
                }
                table[place] = key;
                chains.insert(place, hash);
                model.insert(key, place);
            }
            assert_eq!(chains.len(), model.len());
        }
        assert!(model.len() > 50, "{}", model.len());
    }
}

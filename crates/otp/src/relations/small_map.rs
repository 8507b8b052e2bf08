//! A sorted map that costs little while it is small.
//!
//! Most processes have one link and, during a call, one monitor; a few have a hundred thousand. Up
//! to [`VEC_LEN_MAX`] entries lie sorted in one vector, which keeps its memory from call to call;
//! more go into a tree, until the map is empty again.
//!
//! Invariants:
//! - `I1` the vector is sorted by key, without duplicates;
//! - `I2` iteration is in the order of keys, in either form.

use std::collections::{BTreeMap, btree_map};
use std::ops::RangeInclusive;
use std::vec;

/// Entries up to which a vector is used: a guess, unmeasured; moving so few is one `memmove` of
/// about a kilobyte.
const VEC_LEN_MAX: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum SmallMap<K, V> {
    Few(Vec<(K, V)>),
    Many(BTreeMap<K, V>),
}

/// Whether an entry that was changed stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Yes,
    No,
}

pub(crate) enum IntoIter<K, V> {
    Few(vec::IntoIter<(K, V)>),
    Many(btree_map::IntoIter<K, V>),
}

impl<K, V> Default for SmallMap<K, V> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<K: Ord + Clone, V> SmallMap<K, V> {
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self {
            Self::Many(tree) => tree.insert(key, value),
            Self::Few(few) => match place(few, &key) {
                Ok(at) => Some(std::mem::replace(&mut few[at].1, value)),
                Err(at) if few.len() < VEC_LEN_MAX => {
                    // Most maps never hold more than one, where a vector would make room for four.
                    if few.capacity() == 0 {
                        few.reserve_exact(1);
                    }
                    few.insert(at, (key, value));
                    None
                }
                Err(_) => {
                    let mut tree: BTreeMap<K, V> = std::mem::take(few).into_iter().collect();
                    tree.insert(key, value);
                    *self = Self::Many(tree);
                    None
                }
            },
        }
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        match self {
            Self::Few(few) => place(few, key).ok().map(|at| few.remove(at).1),
            Self::Many(tree) => {
                let removed = tree.remove(key);
                if tree.is_empty() {
                    *self = Self::default();
                }
                removed
            }
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        match self {
            Self::Few(few) => place(few, key).ok().map(|at| &few[at].1),
            Self::Many(tree) => tree.get(key),
        }
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self {
            Self::Few(few) => place(few, key).ok().map(|at| &mut few[at].1),
            Self::Many(tree) => tree.get_mut(key),
        }
    }

    /// Lets `change` change the entry, which is removed if it answers so; one search for both.
    pub(crate) fn change<R>(
        &mut self,
        key: &K,
        change: impl FnOnce(&mut V) -> (Kept, R),
    ) -> Option<R> {
        match self {
            Self::Few(few) => {
                let at = place(few, key).ok()?;
                let (kept, answer) = change(&mut few[at].1);
                if kept == Kept::No {
                    few.remove(at);
                }
                Some(answer)
            }
            Self::Many(tree) => {
                let btree_map::Entry::Occupied(mut entry) = tree.entry(key.clone()) else {
                    return None;
                };
                let (kept, answer) = change(entry.get_mut());
                if kept == Kept::No {
                    entry.remove();
                    if tree.is_empty() {
                        *self = Self::default();
                    }
                }
                Some(answer)
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Many(tree) => tree.len(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let (few, many) = match self {
            Self::Few(few) => (Some(few), None),
            Self::Many(tree) => (None, Some(tree)),
        };
        let few = few.into_iter().flatten().map(|(key, value)| (key, value));
        few.chain(many.into_iter().flatten())
    }

    /// The keys in `range` whose entries `wanted` says yes to.
    pub(crate) fn keys_in(&self, range: RangeInclusive<K>, wanted: impl Fn(&V) -> bool) -> Vec<K> {
        let chosen = |(key, value): (&K, &V)| wanted(value).then(|| key.clone());
        match self {
            Self::Few(_) => {
                let inside = self.iter().filter(|(key, _)| range.contains(key));
                inside.filter_map(chosen).collect()
            }
            Self::Many(tree) => tree.range(range).filter_map(chosen).collect(),
        }
    }
}

impl<K, V> IntoIterator for SmallMap<K, V> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V>;

    fn into_iter(self) -> IntoIter<K, V> {
        match self {
            Self::Few(few) => IntoIter::Few(few.into_iter()),
            Self::Many(tree) => IntoIter::Many(tree.into_iter()),
        }
    }
}

impl<K, V> Iterator for IntoIter<K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        match self {
            Self::Few(few) => few.next(),
            Self::Many(tree) => tree.next(),
        }
    }
}

impl<K, V> DoubleEndedIterator for IntoIter<K, V> {
    fn next_back(&mut self) -> Option<(K, V)> {
        match self {
            Self::Few(few) => few.next_back(),
            Self::Many(tree) => tree.next_back(),
        }
    }
}

fn place<K: Ord, V>(few: &[(K, V)], key: &K) -> Result<usize, usize> {
    few.binary_search_by(|(other, _)| other.cmp(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u8, u16),
        Remove(u8),
        /// Adds one, or removes.
        Change(u8, bool),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let insert = (0..40u8, any::<u16>()).prop_map(|(k, v)| Step::Insert(k, v));
        let remove = (0..40u8).prop_map(Step::Remove);
        let change = (0..40u8, any::<bool>()).prop_map(|(k, keep)| Step::Change(k, keep));
        prop::collection::vec(prop_oneof![4 => insert, 2 => remove, 2 => change], 0..200)
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_tree_whatever_its_size(steps in steps()) {
            let (mut small, mut tree) = (SmallMap::default(), BTreeMap::new());
            for step in steps {
                match step {
                    Step::Insert(k, v) => prop_assert_eq!(small.insert(k, v), tree.insert(k, v)),
                    Step::Remove(k) => prop_assert_eq!(small.remove(&k), tree.remove(&k)),
                    Step::Change(k, keep) => {
                        let kept = if keep { Kept::Yes } else { Kept::No };
                        let changed = small.change(&k, |v| {
                            *v = v.wrapping_add(1);
                            (kept, *v)
                        });
                        let before = if keep { tree.get(&k).copied() } else { tree.remove(&k) };
                        let after = before.map(|v| v.wrapping_add(1));
                        tree.entry(k).and_modify(|v| *v = v.wrapping_add(1));
                        prop_assert_eq!(changed, after);
                    }
                }
                prop_assert_eq!(small.len(), tree.len());
                prop_assert!(small.iter().eq(tree.iter()), "I2");
                prop_assert!((0..40).all(|k| small.get(&k) == tree.get(&k)));
                let even = |v: &u16| v.is_multiple_of(2);
                let inside = tree.range(10..=20).filter(|(_, v)| even(v)).map(|(k, _)| *k);
                prop_assert!(small.keys_in(10..=20, even).into_iter().eq(inside));
            }
            prop_assert!(small.clone().into_iter().eq(tree.clone()));
            prop_assert!(small.into_iter().rev().eq(tree.into_iter().rev()));
        }
    }
}

//! Pids, ports and references: who is meant, on which incarnation of which node.
//!
//! All three name a node and its *creation*, the number of that node's incarnation, so an
//! identifier from before a restart never matches one from after it. They are plain `Copy` data.
//! Their order is Erlang's within a kind, measured with OTP 25 and 28: for pids the numbers first,
//! then node and creation; for ports and references node and creation first. The fields are those
//! of the wire; nothing in them is hidden.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::limits::REFERENCE_WORDS_MAX;
use crate::node_name::NodeName;

/// A process identifier: 16 bytes.
///
/// Ids and serials are chosen by the node that made the pid; echo them, never invent them for
/// another node (OTP closes the connection on a pid of its own that it cannot have made).
// Aligned as a word, so that the tag of a `Term` before it is one.
#[repr(align(8))]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pid {
    /// The node the process lives on.
    pub node: NodeName,
    /// The incarnation of that node.
    pub creation: u32,
    /// The number of the process.
    pub id: u32,
    /// The higher part of that number.
    pub serial: u32,
}

/// A port identifier. Purlin has no ports of its own; it passes those of others on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Port {
    /// The node the port lives on.
    pub node: NodeName,
    /// The incarnation of that node.
    pub creation: u32,
    /// The number of the port.
    pub id: u64,
}

/// A reference: a value made once. Also the address of an alias.
///
/// It keeps its words as they came, but two references that differ only in zeros at the end of
/// their words are equal, as they are `=:=` in OTP.
#[derive(Clone, Copy)]
pub struct Reference {
    node: NodeName,
    creation: u32,
    len: u8,
    words: [u32; REFERENCE_WORDS_MAX],
}

const _: () = assert!(size_of::<Pid>() == 16 && size_of::<Port>() == 16);

impl Pid {
    fn key(&self) -> (u32, u32, NodeName, u32) {
        (self.serial, self.id, self.node, self.creation)
    }
}

impl Port {
    fn key(&self) -> (NodeName, u32, u64) {
        (self.node, self.creation, self.id)
    }
}

impl Reference {
    /// Makes a reference of one to five words, lowest first as on the wire; `None` for another
    /// number of words.
    pub fn new(node: NodeName, creation: u32, words: &[u32]) -> Option<Self> {
        if words.is_empty() || words.len() > REFERENCE_WORDS_MAX {
            return None;
        }
        let mut all = [0; REFERENCE_WORDS_MAX];
        all[..words.len()].copy_from_slice(words);
        Some(Self {
            node,
            creation,
            len: words.len() as u8,
            words: all,
        })
    }

    /// The node that made it.
    pub fn node(&self) -> NodeName {
        self.node
    }

    /// The incarnation of that node.
    pub fn creation(&self) -> u32 {
        self.creation
    }

    /// Its words, all of them, as on the wire.
    pub fn words(&self) -> &[u32] {
        &self.words[..usize::from(self.len)]
    }

    /// Sorts as its words do from the highest down, missing ones being zero; in large pieces, since
    /// a map of many references compares them at every step.
    #[inline]
    fn number(&self) -> (u64, u64, u32) {
        let [a, b, c, d, e] = self.words;
        let pair = |high, low| u64::from(high) << 32 | u64::from(low);
        (pair(e, d), pair(c, b), a)
    }
}

macro_rules! ordered_by_key {
    ($type:ident) => {
        impl Ord for $type {
            fn cmp(&self, other: &Self) -> Ordering {
                self.key().cmp(&other.key())
            }
        }

        impl PartialOrd for $type {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }
    };
}

ordered_by_key!(Pid);
ordered_by_key!(Port);

impl PartialEq for Reference {
    fn eq(&self, other: &Self) -> bool {
        (self.node, self.creation, self.words) == (other.node, other.creation, other.words)
    }
}

impl Eq for Reference {}

impl Hash for Reference {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Nodes apart: references of two hardly ever have the same words.
        let (high, middle, low) = self.number();
        state.write_u64(high);
        state.write_u64(middle);
        state.write_u64(u64::from(low) << 32 | u64::from(self.creation));
    }
}

/// Node and creation, then the words from the highest down, missing words being zero.
impl Ord for Reference {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let node = self.node.cmp(&other.node);
        node.then_with(|| self.creation.cmp(&other.creation))
            .then_with(|| self.number().cmp(&other.number()))
    }
}

impl PartialOrd for Reference {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

macro_rules! debug_as_display {
    ($($type:ident)*) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}

debug_as_display!(Pid Port Reference);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atom::Atom;

    fn node(text: &str) -> NodeName {
        NodeName::new(Atom::new(text).unwrap()).unwrap()
    }

    #[test]
    fn a_reference_keeps_every_word_and_refuses_other_counts() {
        let five = Reference::new(node("a@h"), 7, &[1, 2, 3, 4, 5]).unwrap();
        assert_eq!(five.words(), [1, 2, 3, 4, 5]);
        assert_eq!(five.to_string(), "#Ref<a@h.5.4.3.2.1/7>");
        assert!(Reference::new(node("a@h"), 7, &[]).is_none());
        assert!(Reference::new(node("a@h"), 7, &[0; 6]).is_none());
    }

    #[test]
    fn references_sort_by_node_and_creation_and_missing_words_are_zero() {
        let reference =
            |name, creation, words: &[u32]| Reference::new(node(name), creation, words).unwrap();
        let sorted = [
            reference("a@h", 1, &[2, 3]),
            reference("a@h", 1, &[1, 4]),
            reference("a@h", 1, &[0, 0, 1]),
            reference("a@h", 1, &[5, 0, 1]),
            reference("a@h", 1, &[0, 1, 1]),
            reference("a@h", 1, &[9, 9, 9, 1]),
            reference("a@h", 1, &[0, 0, 0, 2]),
            reference("a@h", 1, &[0, 0, 0, 0, 1]),
            reference("a@h", 2, &[1, 1]),
            reference("b@h", 1, &[0]),
        ];
        assert!(sorted.is_sorted_by(|a, b| a < b));
        let (short, long) = (
            reference("a@h", 1, &[2, 3]),
            reference("a@h", 1, &[2, 3, 0]),
        );
        assert_eq!(short, long);
        assert_ne!(short.words(), long.words());
    }

    #[test]
    fn pids_of_two_incarnations_differ() {
        let old = Pid {
            node: node("a@h"),
            creation: 1,
            id: 5,
            serial: 0,
        };
        let new = Pid { creation: 2, ..old };
        assert_ne!(old, new);
        assert_eq!(old.to_string(), "#Pid<a@h.5.0/1>");
    }

    #[test]
    fn pids_sort_by_serial_then_id_then_node() {
        let pid = |serial, id, name| Pid {
            node: node(name),
            creation: 1,
            id,
            serial,
        };
        let sorted = [
            pid(0, 1, "b@h"),
            pid(0, 2, "a@h"),
            pid(0, 2, "b@h"),
            pid(1, 0, "a@h"),
        ];
        assert!(sorted.is_sorted());
    }
}

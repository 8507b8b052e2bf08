//! Pids, ports and references: who is meant, on which incarnation of which node.
//!
//! All three name a node and its *creation*, the number of that node's incarnation, so an
//! identifier from before a restart never matches one from after it. They are plain `Copy` data.
//! Their order is Erlang's within a kind: the numbers first, then the node's name (erts
//! `erts_cmp_compound`). The fields are those of the wire; nothing in them is hidden.

use std::cmp::Ordering;
use std::fmt;

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
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
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
    fn key(&self) -> (u64, NodeName, u32) {
        (self.id, self.node, self.creation)
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

/// Numbers compare from the highest word down, missing words being zero; then node and creation.
impl Ord for Reference {
    fn cmp(&self, other: &Self) -> Ordering {
        let numbers = self.words.iter().rev().cmp(other.words.iter().rev());
        numbers
            .then_with(|| self.node.cmp(&other.node))
            .then_with(|| self.creation.cmp(&other.creation))
            .then_with(|| self.len.cmp(&other.len))
    }
}

impl PartialOrd for Reference {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// `#Pid<a@h.1.0/creation>`: all of it, as text without a node for context has it.
impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "#Pid<{}.{}.{}/{}>",
            self.node, self.id, self.serial, self.creation
        )
    }
}

/// `#Port<a@h.1/creation>`.
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#Port<{}.{}/{}>", self.node, self.id, self.creation)
    }
}

/// `#Ref<a@h.3.2.1/creation>`, the words highest first as OTP prints them.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#Ref<{}", self.node)?;
        for word in self.words().iter().rev() {
            write!(f, ".{word}")?;
        }
        write!(f, "/{}>", self.creation)
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
        NodeName::new(&Atom::new(text).unwrap()).unwrap()
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

//! Node names, the one thing that is interned.
//!
//! A [`NodeName`] is four bytes: an index into one append-only table of the OS process, so that a
//! pid is plain `Copy` data. The table holds at most [`NODE_NAMES_MAX`] names and forgets none; it
//! is the only static of the pure crates, and holds no state of any node (names are values, the
//! table only gives them a shorter form). Beside it lie hints that spare most look-ups its lock.
//!
//! Equality compares indexes, which interning makes the same as comparing names. Order and hash
//! go by name, never by index, so nothing that a user sees depends on the order of arrival.
//!
//! What bytes from a peer may add is bounded twice: by the table, and by a [`NameBudget`] that a
//! decoder or connection owns, so that one peer cannot use the table up.
//!
//! Invariants:
//! - `I1` an index that exists in a `NodeName` has its name set, and it never changes;
//! - `I2` no name has two indexes;
//! - `I3` there is always room for `nonode@nohost`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::atom::Atom;
use crate::limits::NODE_NAMES_MAX;

/// The name of a node, `alive@host`, interned: `Copy`, four bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NodeName(u32);

/// How many names a decoder or connection may still add to the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameBudget {
    left: usize,
}

/// Why a node name was not interned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeNameRefused {
    /// The table of the OS process is full. Nothing was changed; names already known still work.
    #[error("the table of node names is full: it holds {NODE_NAMES_MAX} names")]
    TableFull,
    /// This decoder or connection added as many names as it may. Nothing was changed.
    #[error("too many new node names from one source")]
    BudgetSpent,
}

struct Entry {
    name: Atom,
    hash: u64,
}

/// Chunks double: chunk `k` holds `2^k * FIRST_CHUNK` entries, so a look-up needs no lock and the
/// table no memory before it is used.
const FIRST_CHUNK: usize = 64;
const CHUNKS: usize = 11;
const _: () = assert!(FIRST_CHUNK * ((1 << CHUNKS) - 1) >= NODE_NAMES_MAX);

static TABLE: [OnceLock<Box<[OnceLock<Entry>]>>; CHUNKS] = [const { OnceLock::new() }; CHUNKS];
/// For each bucket of names the first that fell there: a look-up that it answers takes no lock.
/// Checked, so a name that shares its bucket with an earlier one only costs the lock.
static HINTS: [OnceLock<NodeName>; HINTS_LEN] = [const { OnceLock::new() }; HINTS_LEN];
const HINTS_LEN: usize = 1024;

/// The name of a node that is not distributed.
const NONODE: Atom = crate::atom!("nonode@nohost");

static INDEX: Mutex<BTreeMap<Atom, u32>> = Mutex::new(BTreeMap::new());

impl NameBudget {
    /// A budget of `names` new names.
    pub const fn new(names: usize) -> Self {
        Self { left: names }
    }

    /// New names that may still be added.
    pub fn left(&self) -> usize {
        self.left
    }
}

impl NodeName {
    /// The name of a node that is not distributed, as OTP gives it.
    pub fn nonode() -> Self {
        static NODE: OnceLock<NodeName> = OnceLock::new();
        *NODE.get_or_init(|| Self::new(NONODE).expect("I3: there is room for it"))
    }

    /// Interns a name that the program itself chose.
    ///
    /// # Errors
    /// [`NodeNameRefused::TableFull`]; nothing was changed.
    pub fn new(name: impl Into<Atom>) -> Result<Self, NodeNameRefused> {
        Self::intern(&name.into(), &mut NameBudget::new(1))
    }

    /// Interns a name that came from outside, paying from `budget` if it is new.
    ///
    /// # Errors
    /// [`NodeNameRefused`]; nothing was changed.
    pub fn intern(name: &Atom, budget: &mut NameBudget) -> Result<Self, NodeNameRefused> {
        let hint = &HINTS[bucket(name)];
        if let Some(hinted) = hint.get()
            && hinted.atom() == name
        {
            return Ok(*hinted);
        }
        let found = Self::intern_locked(name, budget)?;
        // Where the bucket is taken, its name stays: nothing here is ever forgotten.
        let _ = hint.set(found);
        Ok(found)
    }

    #[inline(never)]
    fn intern_locked(name: &Atom, budget: &mut NameBudget) -> Result<Self, NodeNameRefused> {
        let mut index = INDEX.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&found) = index.get(name) {
            return Ok(Self(found));
        }
        let next = index.len();
        let kept = usize::from(*name != NONODE && !index.contains_key(&NONODE));
        if next >= NODE_NAMES_MAX - kept {
            return Err(NodeNameRefused::TableFull);
        }
        budget.left = budget
            .left
            .checked_sub(1)
            .ok_or(NodeNameRefused::BudgetSpent)?;
        let (chunk, offset) = place(next);
        let slots = TABLE[chunk]
            .get_or_init(|| (0..FIRST_CHUNK << chunk).map(|_| OnceLock::new()).collect());
        let hash = fnv1a(name.as_bytes());
        // Names are kept for ever, and copied with each message: without a count that all threads change.
        let name = name.leak();
        let entry = Entry {
            name: name.clone(),
            hash,
        };
        let fresh = slots[offset].set(entry).is_ok();
        assert!(fresh, "I2: an index is given out once");
        index.insert(name, next as u32);
        Ok(Self(next as u32))
    }

    /// `atom`, where it is the name of a known node as the table has it: that one is copied and compared sooner.
    #[doc(hidden)]
    pub fn shared(atom: Atom) -> Atom {
        let hinted = HINTS[bucket(&atom)].get();
        let known = hinted.map(|node| node.atom());
        known
            .filter(|known| **known == atom)
            .cloned()
            .unwrap_or(atom)
    }

    /// The name as an atom.
    pub fn atom(self) -> &'static Atom {
        &self.entry().name
    }

    /// The name as text.
    pub fn as_str(self) -> &'static str {
        self.atom().as_str()
    }

    /// Apart from the comparison of one name with itself, which is nearly every one.
    #[cold]
    fn by_text(self, other: &Self) -> std::cmp::Ordering {
        self.atom().cmp(other.atom())
    }

    fn entry(self) -> &'static Entry {
        let (chunk, offset) = place(self.0 as usize);
        TABLE[chunk]
            .get()
            .and_then(|slots| slots[offset].get())
            .expect("I1: the name of an index is set")
    }
}

/// The names of one cluster often differ in a byte or two: a product carries each into all of the
/// bits that are left.
#[inline]
fn bucket(name: &Atom) -> usize {
    let bytes = name.as_bytes();
    let (first, last) = (bytes.first_chunk(), bytes.last_chunk());
    let (first, last) = match (first, last) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => (fnv1a(bytes), 0),
    };
    // Odd constants: the golden ratio's, and pi's.
    let mixed =
        first.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ last.wrapping_mul(0x2438_6a88_85a3_08d3);
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize
}

const _: () = assert!(HINTS_LEN == 1 << (64 - 54));

/// The chunk of an index and its place there.
fn place(index: usize) -> (usize, usize) {
    let shifted = index / FIRST_CHUNK + 1;
    let chunk = shifted.ilog2() as usize;
    (chunk, index - FIRST_CHUNK * ((1 << chunk) - 1))
}

/// FNV-1a, 64 bits: the same in every run, as the simulator needs.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &b| {
        (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
    })
}

/// The node of a literal, where one is wanted: `("counter", "shop@127.0.0.1")`. Text from elsewhere goes through
/// [`NodeName::new`].
///
/// With the table of the OS process full, a name that is not in it becomes `nonode@nohost`: a node that nobody
/// reaches, as that one cannot be reached then.
impl From<&'static str> for NodeName {
    /// # Panics
    /// When the text has more than 255 characters.
    fn from(name: &'static str) -> Self {
        Self::new(name).unwrap_or_else(|_| Self::nonode())
    }
}

impl Hash for NodeName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.entry().hash);
    }
}

impl Ord for NodeName {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        if self.0 == other.0 {
            Ordering::Equal
        } else {
            self.by_text(other)
        }
    }
}

impl PartialOrd for NodeName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atom(text: &str) -> Atom {
        Atom::new(text).unwrap()
    }

    #[test]
    fn a_name_interned_twice_is_the_same_and_paid_once() {
        let mut budget = NameBudget::new(2);
        let first = NodeName::intern(&atom("twice@h"), &mut budget).unwrap();
        let second = NodeName::intern(&atom("twice@h"), &mut budget).unwrap();
        assert_eq!(first, second);
        assert_eq!(budget.left(), 1);
        assert_eq!(first.as_str(), "twice@h");
    }

    #[test]
    fn a_spent_budget_refuses_new_names_and_still_knows_old_ones() {
        let known = NodeName::new(atom("known@h")).unwrap();
        let mut spent = NameBudget::new(0);
        assert_eq!(NodeName::intern(&atom("known@h"), &mut spent), Ok(known));
        let refused = NodeName::intern(&atom("never@h"), &mut spent);
        assert_eq!(refused, Err(NodeNameRefused::BudgetSpent));
    }

    #[test]
    fn names_of_one_bucket_keep_their_own_indexes() {
        let names: Vec<Atom> = (0..2 * HINTS_LEN)
            .map(|n| atom(&format!("b{n}@bucket")))
            .collect();
        let interned: Vec<NodeName> = names.iter().map(|n| NodeName::new(n).unwrap()).collect();
        for (name, node) in names.iter().zip(&interned) {
            assert_eq!(NodeName::new(name), Ok(*node));
            assert_eq!(node.atom(), name);
        }
        let buckets: std::collections::BTreeSet<usize> = names.iter().map(bucket).collect();
        assert!(
            buckets.len() > HINTS_LEN / 2,
            "names that differ little spread"
        );
    }

    #[test]
    fn order_goes_by_name_not_by_arrival() {
        let late = NodeName::new(atom("zz@order")).unwrap();
        let early = NodeName::new(atom("aa@order")).unwrap();
        assert!(early < late);
    }

    #[test]
    fn places_fill_every_chunk_without_gaps() {
        let mut expected = (0, 0);
        for index in 0..NODE_NAMES_MAX {
            assert_eq!(place(index), expected);
            expected.1 += 1;
            if expected.1 == FIRST_CHUNK << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
    }
}

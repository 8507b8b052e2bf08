//! Messages of which some fragments arrived.
//!
//! The first fragment of a message brings its control tuple, its atoms, and the number of fragments
//! still to come, from which nothing is allocated; the others count down to 1. Sequences interleave.
//! The parts of a payload are appended to one buffer that doubles, so a message costs time in
//! proportion to its size however it is cut, and tiny fragments do not pin a read buffer each.
//!
//! I1. `Held::len` is the sum of what the open sequences hold, and no more than the limit.
//! I2. A sequence is open exactly while its next fragment is not number 0.

use std::collections::BTreeMap;

use bytes::Bytes;
use purlin_term::Atom;

use super::error::ChannelError as Error;
use super::limits::ChannelLimits;

/// Which fragment of which message.
#[derive(Debug, Clone, Copy)]
pub(super) struct FragmentId {
    pub(super) sequence: u64,
    /// How many fragments of the message come from here on, this one included.
    pub(super) number: u64,
}

/// A message, whole or not yet.
#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) control: Bytes,
    pub(super) atoms: Vec<Atom>,
    payload: Vec<u8>,
    /// The number of the fragment that is due.
    next: u64,
    /// What of it counts towards the limits.
    held: usize,
}

impl Sequence {
    /// The payload, in a buffer that is no larger than it.
    pub(super) fn take_payload(&mut self) -> Bytes {
        std::mem::take(&mut self.payload).into_boxed_slice().into()
    }
}

/// The open sequences of a connection.
#[derive(Debug)]
pub(super) struct Reassembly {
    open: BTreeMap<u64, Sequence>,
    sequences_max: usize,
    held: Held,
}

/// What the open sequences hold, and may hold at most.
#[derive(Debug)]
struct Held {
    len: usize,
    sequence_len_max: usize,
    len_max: usize,
}

impl Reassembly {
    pub(super) fn new(limits: &ChannelLimits) -> Self {
        Self {
            open: BTreeMap::new(),
            sequences_max: limits.sequences_max,
            held: Held {
                len: 0,
                sequence_len_max: limits.sequence_len_max,
                len_max: limits.sequences_len_max,
            },
        }
    }

    /// Bytes held for messages that are not whole yet.
    pub(super) fn held(&self) -> usize {
        self.held.len
    }

    /// Begins a message with its first fragment, and answers it if that is the only one.
    pub(super) fn first(
        &mut self,
        id: FragmentId,
        control: Bytes,
        atoms: &[Atom],
        part: &[u8],
    ) -> Result<Option<Sequence>, Error> {
        let sequence = id.sequence;
        if id.number == 0 {
            return Err(Error::FragmentZero { sequence });
        }
        if self.open.contains_key(&sequence) {
            return Err(Error::SequenceStartsAgain { sequence });
        }
        if self.open.len() >= self.sequences_max {
            return Err(Error::TooManySequences(self.sequences_max));
        }
        // Atoms are counted as if nobody else held them.
        let atom = |atom: &Atom| size_of::<Atom>() + atom.as_bytes().len();
        let fixed = control.len() + atoms.iter().map(atom).sum::<usize>();
        let mut begun = Sequence {
            control,
            atoms: atoms.to_vec(),
            payload: Vec::new(),
            next: id.number,
            held: 0,
        };
        self.held.charge(sequence, &mut begun, fixed)?;
        self.open.insert(sequence, begun);
        self.more(id, part)
    }

    /// Adds a fragment to a message that is begun, and answers the message if it is whole now.
    pub(super) fn more(&mut self, id: FragmentId, part: &[u8]) -> Result<Option<Sequence>, Error> {
        let FragmentId { sequence, number } = id;
        let unknown = Error::UnknownSequence { sequence, number };
        let known = self.open.get_mut(&sequence).ok_or(unknown)?;
        if known.next != number {
            return Err(Error::FragmentOrder {
                sequence,
                number,
                expected: known.next,
            });
        }
        self.held.charge(sequence, known, part.len())?;
        known.payload.extend_from_slice(part);
        known.next -= 1;
        if known.next > 0 {
            return Ok(None);
        }
        let whole = self.open.remove(&sequence).expect("it was found just now");
        self.held.len -= whole.held;
        Ok(Some(whole))
    }
}

impl Held {
    /// Lets `sequence` hold `more` bytes, if that is within the limits.
    fn charge(&mut self, id: u64, sequence: &mut Sequence, more: usize) -> Result<(), Error> {
        let len_max = self.sequence_len_max;
        if sequence.held.saturating_add(more) > len_max {
            return Err(Error::SequenceTooLong {
                sequence: id,
                len_max,
            });
        }
        if self.len.saturating_add(more) > self.len_max {
            return Err(Error::SequencesTooLong(self.len_max));
        }
        sequence.held += more;
        self.len += more;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Reassembly {
        Reassembly::new(&ChannelLimits {
            sequences_max: 3,
            sequence_len_max: 100,
            sequences_len_max: 250,
            ..ChannelLimits::default()
        })
    }

    fn id(sequence: u64, number: u64) -> FragmentId {
        FragmentId { sequence, number }
    }

    fn control() -> Bytes {
        Bytes::from_static(b"0123456789")
    }

    #[test]
    fn interleaved_sequences_become_whole_each_at_its_end() {
        let mut open = small();
        assert!(
            open.first(id(1, 3), control(), &[], b"a")
                .unwrap()
                .is_none()
        );
        assert!(
            open.first(id(2, 2), control(), &[], b"x")
                .unwrap()
                .is_none()
        );
        assert!(open.more(id(1, 2), b"b").unwrap().is_none());
        let mut second = open.more(id(2, 1), b"y").unwrap().unwrap();
        let mut first = open.more(id(1, 1), b"c").unwrap().unwrap();
        assert_eq!(first.take_payload(), "abc");
        assert_eq!(second.take_payload(), "xy");
        assert_eq!(open.held(), 0);
        assert!(
            open.first(id(1, 2), control(), &[], b"again")
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn fragments_out_of_order_are_refused() {
        let mut open = small();
        let zero = open.first(id(1, 0), control(), &[], b"").unwrap_err();
        assert_eq!(zero, Error::FragmentZero { sequence: 1 });
        open.first(id(1, 5), control(), &[], b"").unwrap();
        let again = open.first(id(1, 4), control(), &[], b"").unwrap_err();
        assert_eq!(again, Error::SequenceStartsAgain { sequence: 1 });
        let skipped = open.more(id(1, 3), b"").unwrap_err();
        let order = Error::FragmentOrder {
            sequence: 1,
            number: 3,
            expected: 4,
        };
        assert_eq!(skipped, order);
        let unknown = open.more(id(9, 1), b"").unwrap_err();
        assert_eq!(
            unknown,
            Error::UnknownSequence {
                sequence: 9,
                number: 1
            }
        );
    }

    #[test]
    fn each_limit_holds() {
        let mut open = small();
        let long = open.first(id(1, 2), control(), &[], &[0; 91]).unwrap_err();
        assert_eq!(
            long,
            Error::SequenceTooLong {
                sequence: 1,
                len_max: 100
            }
        );

        let mut open = small();
        for sequence in 0..3 {
            open.first(id(sequence, u64::MAX), control(), &[], &[0; 70])
                .unwrap();
        }
        assert_eq!(open.held(), 240);
        let many = open.first(id(3, 2), control(), &[], b"").unwrap_err();
        assert_eq!(many, Error::TooManySequences(3));
        let all = open.more(id(0, u64::MAX - 1), &[0; 11]).unwrap_err();
        assert_eq!(all, Error::SequencesTooLong(250));
    }

    #[test]
    fn atoms_count_towards_the_limits() {
        let mut open = small();
        let atoms = vec![Atom::new(&"a".repeat(80)).unwrap()];
        let long = open.first(id(1, 2), control(), &atoms, b"").unwrap_err();
        assert_eq!(
            long,
            Error::SequenceTooLong {
                sequence: 1,
                len_max: 100
            }
        );
    }
}

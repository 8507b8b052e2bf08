//! What one flow has queued: its messages in the order they came.
//!
//! Many small messages cost no memory of their own: heads and small payloads lie behind each other
//! in one buffer, and only a payload above [`INLINE_PAYLOAD_MAX`] stays where the sending process
//! encoded it. So whoever pushes and whoever writes, two threads mostly, hand each other no
//! allocations.
//!
//! I1. The unread part of `bytes` is that of the queued messages, in their order: for each the ids of
//!     its atoms, its control tuple, and its payload if that is small. What was taken of the first
//!     message is not there any more.

use std::collections::VecDeque;

use bytes::Bytes;

use super::atom_cache::AtomId;
use super::limits::INLINE_PAYLOAD_MAX;
use super::schedule::Backlog;

/// The messages of one flow.
#[derive(Debug, Default)]
pub(super) struct Queue {
    messages: VecDeque<Queued>,
    bytes: Vec<u8>,
    /// Where the unread part of `bytes` starts.
    start: usize,
}

/// A message, whole or what is left of it.
#[derive(Debug)]
pub(super) struct Queued {
    atoms: u8,
    control: u32,
    /// Bytes of a small payload.
    inline: u32,
    large: Option<Box<Large>>,
}

/// A payload that is not copied.
#[derive(Debug)]
pub(super) struct Large {
    pub(super) payload: Bytes,
    /// Once the first fragment is out.
    pub(super) rest: Option<Rest>,
}

/// The fragments that are still to come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rest {
    pub(super) sequence: u64,
    /// The number of the next fragment.
    pub(super) number: u64,
    /// What the message costs besides its bytes.
    pub(super) overhead: usize,
}

/// What is read before it is given back at once; below, reading on costs nothing.
const READ_KEPT_MAX: usize = 64 << 10;

const ID_LEN: usize = size_of::<AtomId>();

impl Queue {
    pub(super) fn push(
        &mut self,
        atoms: impl ExactSizeIterator<Item = AtomId>,
        control: &[u8],
        payload: &Bytes,
    ) {
        self.give_back();
        let len = |bytes: &[u8]| u32::try_from(bytes.len()).expect("it fits a frame");
        let count = u8::try_from(atoms.len()).expect("a message lists at most 255 atoms");
        for atom in atoms {
            self.bytes.extend_from_slice(&atom.to_bytes());
        }
        self.bytes.extend_from_slice(control);
        let is_large = payload.len() > INLINE_PAYLOAD_MAX;
        let inline = if is_large { &[] } else { &payload[..] };
        self.bytes.extend_from_slice(inline);
        self.messages.push_back(Queued {
            atoms: count,
            control: len(control),
            inline: len(inline),
            large: is_large.then(|| {
                let (payload, rest) = (payload.clone(), None);
                Box::new(Large { payload, rest })
            }),
        });
    }

    /// Forgets what was read, when there is more of it than of the rest.
    fn give_back(&mut self) {
        if self.start >= READ_KEPT_MAX && self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }

    /// The first message.
    pub(super) fn first(&mut self) -> Option<&mut Queued> {
        self.messages.front_mut()
    }

    /// Takes the ids of the first message's atoms.
    pub(super) fn take_atoms(&mut self) -> impl Iterator<Item = AtomId> {
        let first = self.messages.front_mut();
        let count = first.map_or(0, |first| std::mem::take(&mut first.atoms));
        let ids = self.take(usize::from(count) * ID_LEN).chunks_exact(ID_LEN);
        ids.map(|id| AtomId::of_bytes(id.try_into().expect("chunks of that length")))
    }

    /// Takes the first message's control tuple.
    pub(super) fn take_control(&mut self) -> &[u8] {
        let first = self.messages.front_mut();
        let len = first.map_or(0, |first| std::mem::take(&mut first.control));
        self.take(len as usize)
    }

    /// Takes the first message's payload, if it is small.
    pub(super) fn take_inline(&mut self) -> &[u8] {
        let first = self.messages.front_mut();
        let len = first.map_or(0, |first| std::mem::take(&mut first.inline));
        self.take(len as usize)
    }

    fn take(&mut self, len: usize) -> &[u8] {
        let start = self.start;
        self.start += len;
        &self.bytes[start..self.start]
    }

    /// Removes the first message, all of which was taken.
    pub(super) fn pop(&mut self) {
        self.messages.pop_front();
        if self.messages.is_empty() {
            debug_assert_eq!(self.start, self.bytes.len(), "I1");
            self.bytes.clear();
            self.start = 0;
        }
    }
}

impl Backlog for Queue {
    fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn memory(&self) -> usize {
        self.bytes.capacity() + self.messages.capacity() * size_of::<Queued>()
    }
}

impl Queued {
    /// Bytes of control tuple and payload that were not taken yet.
    pub(super) fn len(&self) -> usize {
        let large = self.large.as_ref().map_or(0, |large| large.payload.len());
        self.control as usize + self.inline as usize + large
    }

    pub(super) fn control_len(&self) -> usize {
        self.control as usize
    }

    pub(super) fn has_payload(&self) -> bool {
        self.inline > 0 || self.large.is_some()
    }

    pub(super) fn large(&mut self) -> Option<&mut Large> {
        self.large.as_deref_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &mut Queue, control: &[u8], payload: &[u8]) {
        let payload = Bytes::copy_from_slice(payload);
        queue.push(std::iter::empty(), control, &payload);
    }

    fn pop(queue: &mut Queue) -> (Vec<u8>, Vec<u8>) {
        let control = queue.take_control().to_vec();
        let payload = queue.take_inline().to_vec();
        queue.pop();
        (control, payload)
    }

    #[test]
    fn messages_leave_as_they_came_however_deep_the_queue() {
        let mut queue = Queue::default();
        let (mut pushed, mut popped) = (0_u32, 0_u32);
        let text = |number: u32| number.to_be_bytes();
        for round in 0..200 {
            for _ in 0..1 + round * 7 % 90 {
                push(&mut queue, &text(pushed), &[7; 300]);
                pushed += 1;
            }
            for _ in 0..(round * 11 % 80).min(pushed - popped) {
                assert_eq!(pop(&mut queue), (text(popped).to_vec(), vec![7; 300]));
                popped += 1;
            }
        }
        while popped < pushed {
            assert_eq!(pop(&mut queue).0, text(popped));
            popped += 1;
        }
        assert!(queue.is_empty() && queue.bytes.is_empty());
    }

    #[test]
    fn what_was_read_is_given_back_while_more_comes() {
        let mut queue = Queue::default();
        push(&mut queue, &[1; 100], &[]);
        for _ in 0..10_000 {
            push(&mut queue, &[1; 100], &[]);
            pop(&mut queue);
        }
        assert!(queue.memory() < 4 * READ_KEPT_MAX, "{}", queue.memory());
    }
}

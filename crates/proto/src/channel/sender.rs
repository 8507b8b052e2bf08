//! The sending half: messages by flow to frames.
//!
//! [`Sender::poll_frame`] takes the next frame in turn (`schedule`). Only then are the message's
//! atoms given their slots and its header written: the cache must change in the order of frames. A
//! payload above [`FRAGMENT_LEN`] leaves in fragments, between which other flows have their turns.
//!
//! The head of a frame (length, header, control tuple) is appended to a buffer of the driver's, and
//! so is a small payload; a larger one is answered as a slice of what the sending process encoded.
//! So the frames of many small messages lie in one buffer, written at once, and a large payload is
//! written from where it is.
//!
//! Invariants `I1` and `I2` of [`channel`](super).

use bytes::Bytes;
use purlin_term::Atom;

use super::atom_cache::SendCache;
use super::header::{self, Form, Reference};
use super::limits::{FRAGMENT_LEN, INLINE_PAYLOAD_MAX};
use super::schedule::{FlowId, Schedule};
use crate::control::OutMessage;
use crate::flags::Flags;

/// The sending half of a channel.
///
/// ```
/// use purlin_proto::channel::{FlowId, Sender};
/// use purlin_proto::control::encode_signal;
/// use purlin_proto::flags::Flags;
/// # use purlin_proto::signal::Signal;
/// # use purlin_term::{NodeName, Pid, atom};
/// # let pid = |id| Pid { node: NodeName::new(&atom!("a@h")).unwrap(), creation: 4, id, serial: 0 };
/// # let signal = Signal::Link { from: pid(1), to: pid(2) };
/// let flags = Flags::CACHE_AND_FRAGMENTS;
/// let mut sender = Sender::new(flags);
/// sender.push(FlowId(1), encode_signal(&signal, flags)?);
///
/// let mut buffer = Vec::new();
/// while let Some(payload) = sender.poll_frame(&mut buffer) {
///     // Write the buffer, then the payload. With an empty payload more frames may go into the
///     // buffer before it is written.
/// }
/// assert_eq!(buffer.len(), 47);
/// # Ok::<(), purlin_proto::control::EncodeSignalError>(())
/// ```
#[derive(Debug)]
pub struct Sender {
    form: Form,
    cache: SendCache,
    references: Vec<Reference>,
    schedule: Schedule<Item>,
    queued: usize,
    next_sequence: u64,
    tick_is_due: bool,
}

/// A message, whole or what is left of it.
#[derive(Debug)]
struct Item {
    control: Bytes,
    payload: Bytes,
    atoms: Vec<Atom>,
    /// What the message costs besides its bytes.
    overhead: usize,
    /// Once the first fragment is out.
    rest: Option<Rest>,
}

#[derive(Debug, Clone, Copy)]
struct Rest {
    sequence: u64,
    /// The number of the next fragment.
    number: u64,
}

/// What a message costs besides its bytes and atoms, so that queues of small messages are bounded
/// too: its place in a queue that doubles, and the counts of who shares its two buffers.
const MESSAGE_OVERHEAD: usize = 2 * size_of::<Item>() + 64;

impl Sender {
    /// A sender for a connection with these negotiated `flags`.
    pub fn new(flags: Flags) -> Self {
        Self {
            form: Form::of(flags),
            cache: SendCache::new(),
            references: Vec::new(),
            schedule: Schedule::new(),
            queued: 0,
            next_sequence: 1,
            tick_is_due: false,
        }
    }

    /// Queues `message`, which must have been encoded for this connection's flags, behind what its
    /// flow has queued already.
    ///
    /// # Panics
    /// When it was encoded for a peer with an atom cache and this connection has none.
    pub fn push(&mut self, flow: FlowId, message: OutMessage) {
        let (control, payload, atoms) = message.into_parts();
        assert!(
            self.form.cache || atoms.is_empty(),
            "the message was encoded for another connection"
        );
        let overhead = MESSAGE_OVERHEAD + atoms.len() * size_of::<Atom>();
        self.queued += control.len() + payload.len() + overhead;
        let rest = None;
        let item = Item {
            control,
            payload,
            atoms,
            overhead,
            rest,
        };
        self.schedule.push(flow, item);
    }

    /// Asks for a tick. Any other frame does as well, so a tick is only written when nothing is
    /// queued.
    pub fn push_tick(&mut self) {
        self.tick_is_due = true;
    }

    /// Bytes that wait to be sent, with a constant for each message.
    pub fn queued_bytes(&self) -> usize {
        self.queued
    }

    /// Appends the next frame to `out`, all but the payload that is answered; that follows it and
    /// is often empty. `None` when nothing is to be sent.
    pub fn poll_frame(&mut self, out: &mut Vec<u8>) -> Option<Bytes> {
        let Some(item) = self.schedule.turn() else {
            return self.poll_tick(out);
        };
        self.tick_is_due = false;
        let start = out.len();
        out.extend_from_slice(&[0; LENGTH_LEN]);
        let before = item.len();
        let mut writer = Writer {
            form: self.form,
            cache: &mut self.cache,
            references: &mut self.references,
            next_sequence: &mut self.next_sequence,
        };
        let (part, done) = writer.frame(item, out);
        let overhead = if done { item.overhead } else { 0 };
        self.queued -= before - item.len() + overhead;
        let part = inline_small(part, out);
        let len = finish(out, start, part.len());
        self.schedule.sent(len, done);
        Some(part)
    }

    fn poll_tick(&mut self, out: &mut Vec<u8>) -> Option<Bytes> {
        std::mem::take(&mut self.tick_is_due).then(|| {
            out.extend_from_slice(&[0; LENGTH_LEN]);
            Bytes::new()
        })
    }
}

/// Bytes of the length before a frame.
const LENGTH_LEN: usize = 4;

/// Moves a small payload into the buffer.
fn inline_small(payload: Bytes, out: &mut Vec<u8>) -> Bytes {
    if payload.len() > INLINE_PAYLOAD_MAX {
        return payload;
    }
    out.extend_from_slice(&payload);
    Bytes::new()
}

/// Writes the length of the frame that starts at `start`, and answers what it takes on the wire.
fn finish(out: &mut [u8], start: usize, payload_len: usize) -> usize {
    let len = out.len() - start - LENGTH_LEN + payload_len;
    let len32 = u32::try_from(len).expect("encode_signal refuses what does not fit a frame");
    out[start..start + LENGTH_LEN].copy_from_slice(&len32.to_be_bytes());
    len + LENGTH_LEN
}

impl Item {
    fn len(&self) -> usize {
        self.control.len() + self.payload.len()
    }
}

/// What writing a frame uses of a sender.
struct Writer<'a> {
    form: Form,
    cache: &'a mut SendCache,
    references: &'a mut Vec<Reference>,
    next_sequence: &'a mut u64,
}

impl Writer<'_> {
    /// Takes from `item` what its next frame carries, writes all but the payload, and answers that
    /// and whether the item is done.
    fn frame(&mut self, item: &mut Item, out: &mut Vec<u8>) -> (Bytes, bool) {
        match item.rest {
            Some(rest) => next_fragment(item, rest, out),
            None if !self.form.has_header() => {
                pass_through(item, out);
                (std::mem::take(&mut item.payload), true)
            }
            None if self.form.fragments
                && item.len() > FRAGMENT_LEN
                && !item.payload.is_empty() =>
            {
                self.first_fragment(item, out)
            }
            None => {
                out.extend_from_slice(&[header::VERSION, header::MESSAGE]);
                self.header(item, out);
                (std::mem::take(&mut item.payload), true)
            }
        }
    }

    /// The distribution header and the control tuple.
    fn header(&mut self, item: &mut Item, out: &mut Vec<u8>) {
        self.cache.assign(&item.atoms, self.references);
        header::write(out, &item.atoms, self.references);
        out.extend_from_slice(&std::mem::take(&mut item.control));
        item.atoms = Vec::new();
    }

    /// The control tuple counts towards the length of the fragment, as in OTP.
    fn first_fragment(&mut self, item: &mut Item, out: &mut Vec<u8>) -> (Bytes, bool) {
        let room = FRAGMENT_LEN.saturating_sub(item.control.len());
        let later = item
            .payload
            .len()
            .saturating_sub(room)
            .div_ceil(FRAGMENT_LEN) as u64;
        let sequence = *self.next_sequence;
        *self.next_sequence += 1;
        fragment_head(out, header::FIRST_FRAGMENT, sequence, later + 1);
        self.header(item, out);
        item.rest = Some(Rest {
            sequence,
            number: later,
        });
        (
            item.payload.split_to(room.min(item.payload.len())),
            later == 0,
        )
    }
}

fn next_fragment(item: &mut Item, rest: Rest, out: &mut Vec<u8>) -> (Bytes, bool) {
    fragment_head(out, header::FRAGMENT, rest.sequence, rest.number);
    let number = rest.number - 1;
    item.rest = Some(Rest { number, ..rest });
    (
        item.payload.split_to(FRAGMENT_LEN.min(item.payload.len())),
        number == 0,
    )
}

fn fragment_head(out: &mut Vec<u8>, kind: u8, sequence: u64, number: u64) {
    out.extend_from_slice(&[header::VERSION, kind]);
    out.extend_from_slice(&sequence.to_be_bytes());
    out.extend_from_slice(&number.to_be_bytes());
}

fn pass_through(item: &mut Item, out: &mut Vec<u8>) {
    out.extend_from_slice(&[header::PASS_THROUGH, header::VERSION]);
    out.extend_from_slice(&std::mem::take(&mut item.control));
    if !item.payload.is_empty() {
        out.push(header::VERSION);
    }
}

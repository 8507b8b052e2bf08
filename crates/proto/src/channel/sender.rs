//! The sending half: messages by flow to frames.
//!
//! [`Sender::push`] looks up a message's atoms and puts it behind what its flow has queued (`queue`);
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
use purlin_term::{Atom, EncodedTerm, Encoder};

use super::atom_cache::{QUEUED_ATOM_LEN, SendCache};
use super::header::{self, Form, Reference};
use super::limits::FRAGMENT_LEN;
use super::queue::{Large, Queue, Queued, Rest};
use super::schedule::{FlowId, Schedule};
use crate::control::{EncodeSignalError, OutMessage, encode_control, encode_signal};
use crate::flags::Flags;
use crate::signal::Signal;

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
    flags: Flags,
    form: Form,
    /// Where control tuples are written before they are queued.
    control: Encoder,
    cache: SendCache,
    references: Vec<Reference>,
    schedule: Schedule<Queue>,
    queued: usize,
    next_sequence: u64,
    tick_is_due: bool,
}

/// What a message costs besides its bytes and atoms, so that queues of small messages are bounded
/// too: its place in a queue that doubles, and what its payload is shared through.
const MESSAGE_OVERHEAD: usize = 2 * size_of::<Queued>() + 64;

impl Sender {
    /// A sender for a connection with these negotiated `flags`.
    pub fn new(flags: Flags) -> Self {
        Self {
            flags,
            form: Form::of(flags),
            control: Encoder::with_atom_refs(),
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
        let cache = &mut self.cache;
        self.queued += enqueue(&mut self.schedule, cache, flow, &atoms, &control, &payload);
    }

    /// Encodes `signal` for this connection and queues it behind what its flow has queued already: as
    /// [`Sender::push`] of what [`encode_signal`] answers, without memory of its own for what is between them.
    ///
    /// # Errors
    /// [`EncodeSignalError`]; nothing was queued.
    pub fn push_signal(&mut self, flow: FlowId, signal: &Signal) -> Result<(), EncodeSignalError> {
        if !self.form.cache {
            self.push(flow, encode_signal(signal, self.flags)?);
            return Ok(());
        }
        let payload = encode_control(&mut self.control, signal, self.flags)?;
        let payload = payload.map_or(&NO_PAYLOAD, EncodedTerm::bytes);
        let (atoms, control) = (self.control.atoms(), self.control.as_slice());
        let cache = &mut self.cache;
        self.queued += enqueue(&mut self.schedule, cache, flow, atoms, control, payload);
        Ok(())
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
        let Some(queue) = self.schedule.turn() else {
            return self.poll_tick(out);
        };
        self.tick_is_due = false;
        let start = out.len();
        out.extend_from_slice(&[0; LENGTH_LEN]);
        let mut writer = Writer {
            form: self.form,
            cache: &mut self.cache,
            references: &mut self.references,
            next_sequence: &mut self.next_sequence,
        };
        let Part {
            payload,
            taken,
            done,
        } = writer.frame(queue, out);
        self.queued -= taken;
        if done {
            queue.pop();
        }
        let len = finish(out, start, payload.len());
        self.schedule.sent(len);
        Some(payload)
    }

    fn poll_tick(&mut self, out: &mut Vec<u8>) -> Option<Bytes> {
        std::mem::take(&mut self.tick_is_due).then(|| {
            out.extend_from_slice(&[0; LENGTH_LEN]);
            Bytes::new()
        })
    }
}

static NO_PAYLOAD: Bytes = Bytes::new();

/// Queues a message, and answers what it costs.
fn enqueue(
    schedule: &mut Schedule<Queue>,
    cache: &mut SendCache,
    flow: FlowId,
    atoms: &[Atom],
    control: &[u8],
    payload: &Bytes,
) -> usize {
    let ids = atoms.iter().map(|atom| cache.enter(atom));
    schedule.queue(flow).push(ids, control, payload);
    control.len() + payload.len() + overhead(atoms.len())
}

/// Bytes of the length before a frame.
const LENGTH_LEN: usize = 4;

fn overhead(atoms: usize) -> usize {
    MESSAGE_OVERHEAD + atoms * QUEUED_ATOM_LEN
}

/// Writes the length of the frame that starts at `start`, and answers what it takes on the wire.
fn finish(out: &mut [u8], start: usize, payload_len: usize) -> usize {
    let len = out.len() - start - LENGTH_LEN + payload_len;
    let len32 = u32::try_from(len).expect("encode_signal refuses what does not fit a frame");
    out[start..start + LENGTH_LEN].copy_from_slice(&len32.to_be_bytes());
    len + LENGTH_LEN
}

/// What a frame took from a queue.
struct Part {
    /// What follows the bytes that were written.
    payload: Bytes,
    /// What is queued less.
    taken: usize,
    /// The message is sent.
    done: bool,
}

/// What writing a frame uses of a sender.
struct Writer<'a> {
    form: Form,
    cache: &'a mut SendCache,
    references: &'a mut Vec<Reference>,
    next_sequence: &'a mut u64,
}

impl Writer<'_> {
    /// Takes from the first message of `queue` what its next frame carries, and writes all but a
    /// large payload.
    fn frame(&mut self, queue: &mut Queue, out: &mut Vec<u8>) -> Part {
        let message = queue
            .first()
            .expect("a flow whose turn it is has a message");
        let len = message.len();
        let is_cut = self.form.fragments && len > FRAGMENT_LEN;
        match message.large() {
            Some(Large {
                payload,
                rest: Some(rest),
            }) => next_fragment(payload, rest, out),
            Some(_) if is_cut => self.first_fragment(queue, out),
            _ => Part {
                taken: len + self.whole(queue, out),
                payload: rest_of(queue, out),
                done: true,
            },
        }
    }

    /// All but the payload of a message that is not cut. Answers what it cost besides its bytes.
    fn whole(&mut self, queue: &mut Queue, out: &mut Vec<u8>) -> usize {
        if self.form.has_header() {
            out.extend_from_slice(&[header::VERSION, header::MESSAGE]);
            return self.header(queue, out);
        }
        out.extend_from_slice(&[header::PASS_THROUGH, header::VERSION]);
        out.extend_from_slice(queue.take_control());
        if queue.first().is_some_and(|message| message.has_payload()) {
            out.push(header::VERSION);
        }
        overhead(0)
    }

    /// The distribution header and the control tuple. Answers what the message cost besides its
    /// bytes.
    fn header(&mut self, queue: &mut Queue, out: &mut Vec<u8>) -> usize {
        let (cache, references) = (&mut *self.cache, &mut *self.references);
        cache.assign(queue.take_atoms(), references);
        header::write(out, references, |number| cache.at(references[number].slot));
        out.extend_from_slice(queue.take_control());
        overhead(references.len())
    }

    /// The control tuple counts towards the length of the fragment, as in OTP.
    fn first_fragment(&mut self, queue: &mut Queue, out: &mut Vec<u8>) -> Part {
        let message = queue.first().expect("the message that is cut");
        let (len, control_len) = (message.len(), message.control_len());
        let room = FRAGMENT_LEN.saturating_sub(control_len);
        let later = (len - control_len)
            .saturating_sub(room)
            .div_ceil(FRAGMENT_LEN) as u64;
        let sequence = *self.next_sequence;
        *self.next_sequence += 1;
        fragment_head(out, header::FIRST_FRAGMENT, sequence, later + 1);
        let overhead = self.header(queue, out);
        let large = queue.first().and_then(Queued::large);
        let Large { payload, rest } = large.expect("only a large payload is cut");
        let rest = rest.insert(Rest {
            sequence,
            number: later,
            overhead,
        });
        let part = part_of(payload, room, rest);
        Part {
            taken: control_len + part.taken,
            ..part
        }
    }
}

fn next_fragment(payload: &mut Bytes, rest: &mut Rest, out: &mut Vec<u8>) -> Part {
    fragment_head(out, header::FRAGMENT, rest.sequence, rest.number);
    rest.number -= 1;
    part_of(payload, FRAGMENT_LEN, rest)
}

/// A message costs what it does besides its bytes until it is sent.
fn part_of(payload: &mut Bytes, room: usize, rest: &Rest) -> Part {
    let payload = payload.split_to(room.min(payload.len()));
    let done = rest.number == 0;
    let overhead = if done { rest.overhead } else { 0 };
    Part {
        taken: payload.len() + overhead,
        payload,
        done,
    }
}

/// Writes a small payload; answers a large one.
fn rest_of(queue: &mut Queue, out: &mut Vec<u8>) -> Bytes {
    out.extend_from_slice(queue.take_inline());
    let large = queue.first().and_then(Queued::large);
    large.map_or_else(Bytes::new, |large| std::mem::take(&mut large.payload))
}

fn fragment_head(out: &mut Vec<u8>, kind: u8, sequence: u64, number: u64) {
    out.extend_from_slice(&[header::VERSION, kind]);
    out.extend_from_slice(&sequence.to_be_bytes());
    out.extend_from_slice(&number.to_be_bytes());
}

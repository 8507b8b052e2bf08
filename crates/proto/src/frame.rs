//! Cuts the byte stream of a connection into frames, after the handshake.
//!
//! A frame is `Length:32, Body`; length 0 is a tick (ERTS, *Distribution Protocol*, "Protocol
//! between Connected Nodes"). The driver reads into [`Deframer::room`], or copies with
//! [`Deframer::handle_bytes`], and then takes frames with [`Deframer::next_frame`] until there is
//! none.
//!
//! Guarantees:
//! - I1. A frame's body shares the memory it was read into: taking a frame copies nothing and
//!   costs the same for 20 bytes as for 64 MiB.
//! - I2. A length beyond the limit is refused when its four bytes are there. The refusal stays.
//! - I3. A length that was only announced costs nothing: memory is at most twice what has
//!   arrived and was not yet taken, plus two [`READ_STEP`]s. Doubling is what keeps a large frame linear.
//! - I4. However the stream is cut, the frames are the same.
//!
//! Not guaranteed: that a small frame lets go of the block it was read in. Who keeps a few bytes
//! for long copies them out.
//!
//! Next: [`crate::tick`], which wants to know of every byte read, also of half frames.

use bytes::{Buf, Bytes, BytesMut};

use crate::limits::{FRAME_LEN_MAX, READ_STEP};

/// Bytes of the length before each frame.
const HEADER_LEN: usize = 4;

/// Frames from this size on give their block back as soon as they are taken: 16 blocks of reading.
/// A guess, unmeasured.
const LARGE_FRAME_LEN: usize = 16 * READ_STEP;

/// What was taken from the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The peer is alive and has nothing to say.
    Tick,
    /// A message or a fragment of one, never empty.
    Body(Bytes),
}

/// The stream cannot be cut further: close the connection. It stays so for this deframer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The peer announced a frame beyond the limit. Raise the limit if the frame was meant; a
    /// length of more than a GiB is more likely something else than Erlang talking to this port.
    #[error("the peer announced a frame of {len} bytes; the limit here is {len_max} bytes")]
    TooLong {
        /// Bytes announced.
        len: usize,
        /// Bytes allowed.
        len_max: usize,
    },
}

/// Cuts a stream of bytes into frames.
#[derive(Debug)]
pub struct Deframer {
    buffer: BytesMut,
    frame_len_max: usize,
    refused: Option<FrameError>,
}

impl Default for Deframer {
    /// A deframer with [`FRAME_LEN_MAX`].
    fn default() -> Self {
        Deframer::new(FRAME_LEN_MAX)
    }
}

impl Deframer {
    /// A deframer that refuses frames of more than `frame_len_max` bytes of body.
    pub fn new(frame_len_max: usize) -> Self {
        Deframer {
            buffer: BytesMut::new(),
            frame_len_max,
            refused: None,
        }
    }

    /// Takes bytes that were read elsewhere, such as what followed the handshake.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        if self.refused.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The buffer to read into, with free capacity for a read of at least one byte and usually
    /// [`READ_STEP`]. Append what was read, and change nothing else.
    pub fn room(&mut self) -> &mut BytesMut {
        if self.buffer.capacity() - self.buffer.len() < READ_STEP / 2 {
            self.buffer.reserve(READ_STEP);
        }
        &mut self.buffer
    }

    /// The next whole frame, `None` when more bytes must arrive first.
    ///
    /// # Errors
    /// [`FrameError`] when the stream cannot be cut further; frames before that point were
    /// answered, and every later call answers the same error.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        if let Some(error) = self.refused {
            return Err(error);
        }
        let Some(len) = self.announced_len() else {
            return Ok(None);
        };
        if len > self.frame_len_max {
            return self.refuse(FrameError::TooLong {
                len,
                len_max: self.frame_len_max,
            });
        }
        if self.buffer.len() - HEADER_LEN < len {
            return Ok(None);
        }
        self.buffer.advance(HEADER_LEN);
        if len == 0 {
            Ok(Some(Frame::Tick))
        } else {
            Ok(Some(Frame::Body(self.take(len))))
        }
    }

    /// Bytes that arrived and are not yet part of a frame taken.
    pub fn buffered_len(&self) -> usize {
        self.buffer.len()
    }

    /// Bytes of memory reserved for the stream, as far as this deframer can see: blocks shared
    /// with frames that were taken count with the part that is still its own.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    fn announced_len(&self) -> Option<usize> {
        let header = self.buffer.first_chunk::<HEADER_LEN>()?;
        usize::try_from(u32::from_be_bytes(*header)).ok()
    }

    fn take(&mut self, len: usize) -> Bytes {
        let body = self.buffer.split_to(len).freeze();
        // The few bytes after a large frame would keep its whole block, and with it the memory of
        // the largest frame ever seen. Copying fewer bytes than the frame had stays linear.
        if len >= LARGE_FRAME_LEN && self.buffer.len() <= len {
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        body
    }

    fn refuse(&mut self, error: FrameError) -> Result<Option<Frame>, FrameError> {
        self.refused = Some(error);
        self.buffer = BytesMut::new();
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(bodies: &[Vec<u8>]) -> Vec<u8> {
        let frame = |body: &Vec<u8>| [&(body.len() as u32).to_be_bytes()[..], body].concat();
        bodies.iter().flat_map(frame).collect()
    }

    fn drain(deframer: &mut Deframer) -> Vec<Vec<u8>> {
        let next = || match deframer.next_frame().unwrap()? {
            Frame::Tick => Some(vec![]),
            Frame::Body(body) => Some(body.to_vec()),
        };
        core::iter::from_fn(next).collect()
    }

    proptest! {
        #[test]
        fn frames_do_not_depend_on_the_cuts(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
            cuts in prop::collection::vec(1_usize..200, 1..50),
        ) {
            let stream = framed(&bodies);
            let mut deframer = Deframer::default();
            let (mut taken, mut rest) = (vec![], &stream[..]);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                deframer.room().extend_from_slice(now);
                taken.extend(drain(&mut deframer));
                rest = later;
            }
            prop_assert_eq!(taken, bodies);
            prop_assert_eq!(deframer.buffered_len(), 0);
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_its_bytes_arrive() {
        let mut deframer = Deframer::new(1000);
        deframer.handle_bytes(&framed(&[vec![1; 1000], vec![]]));
        deframer.handle_bytes(&1001_u32.to_be_bytes());
        assert_eq!(drain_two(&mut deframer), 2);
        let error = FrameError::TooLong {
            len: 1001,
            len_max: 1000,
        };
        assert_eq!(deframer.next_frame(), Err(error));
        deframer.handle_bytes(&[0; 4]);
        assert_eq!(deframer.next_frame(), Err(error), "the refusal stays");
        assert_eq!(deframer.buffered_len(), 0);
    }

    fn drain_two(deframer: &mut Deframer) -> usize {
        (0..2)
            .filter(|_| matches!(deframer.next_frame(), Ok(Some(_))))
            .count()
    }

    #[test]
    fn four_gib_are_refused() {
        let mut deframer = Deframer::default();
        deframer.handle_bytes(&[0xFF; 4]);
        assert!(matches!(
            deframer.next_frame(),
            Err(FrameError::TooLong { .. })
        ));
    }

    #[test]
    fn an_announced_length_costs_nothing() {
        let mut deframer = Deframer::default();
        deframer.handle_bytes(&(100 * 1024 * 1024_u32).to_be_bytes());
        assert_eq!(deframer.next_frame(), Ok(None));
        deframer.room();
        assert!(
            deframer.capacity() <= 2 * READ_STEP,
            "{}",
            deframer.capacity()
        );
    }

    /// Reads `len` bytes of `stream` as a socket would: no more than there is room for.
    fn read(deframer: &mut Deframer, stream: &mut &[u8]) {
        let room = deframer.room();
        let n = (room.capacity() - room.len())
            .min(stream.len())
            .min(READ_STEP);
        assert!(n > 0);
        room.extend_from_slice(&stream[..n]);
        *stream = &stream[n..];
    }

    #[test]
    fn large_frames_take_memory_as_they_arrive_and_give_it_back() {
        let len = 64 * 1024 * 1024;
        let stream = framed(&[vec![7; len], vec![8; 10]]);
        let (mut deframer, mut rest) = (Deframer::default(), &stream[..]);
        let mut frames = 0;
        while !rest.is_empty() {
            read(&mut deframer, &mut rest);
            let bound = 2 * deframer.buffered_len() + 2 * READ_STEP;
            assert!(
                deframer.capacity() <= bound,
                "{} > {bound}",
                deframer.capacity()
            );
            while let Some(Frame::Body(body)) = deframer.next_frame().unwrap() {
                frames += 1;
                assert!(body.len() == len || body.len() == 10);
            }
        }
        assert_eq!(frames, 2);
        assert!(deframer.capacity() <= 2 * READ_STEP);
    }

    #[test]
    fn frames_share_the_memory_they_were_read_into() {
        let mut deframer = Deframer::default();
        deframer.handle_bytes(&framed(&[vec![1; 50], vec![2; 50]]));
        let start = deframer.buffer.as_ptr() as usize;
        let Ok(Some(Frame::Body(one))) = deframer.next_frame() else {
            panic!("a frame")
        };
        let Ok(Some(Frame::Body(two))) = deframer.next_frame() else {
            panic!("a frame")
        };
        assert_eq!(one.as_ptr() as usize, start + 4);
        assert_eq!(two.as_ptr() as usize, start + 58);
    }

    #[test]
    fn many_small_frames_in_one_read_are_all_taken() {
        let bodies = vec![vec![3; 20]; 100_000];
        let mut deframer = Deframer::default();
        deframer.handle_bytes(&framed(&bodies));
        assert_eq!(drain(&mut deframer).len(), 100_000);
    }
}

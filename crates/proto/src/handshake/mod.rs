//! The handshake, version 6, for both sides, as a machine.
//!
//! ERTS manual, *Distribution Protocol*, "Distribution Handshake"; `dist_util.erl`; measured
//! against OTP 25.2.3 and 28.5. It proves a shared cookie both ways and agrees on names, creations
//! and flags. The old `n` form of OTP 23 and 24 is accepted, never sent.
//!
//! Inputs: [`Handshake::handle_bytes`] (in any cuts), [`Handshake::handle_timeout`],
//! [`Handshake::handle_closed`], and the owner's answers to questions. Outputs: bytes from
//! [`Handshake::poll_transmit`], then at most one [`Event`] at a time from
//! [`Handshake::poll_event`]. The last event is [`Event::Established`] or [`Event::Failed`];
//! send what is left to transmit before closing, since a refusal is a message too.
//!
//! Deviations from OTP, all on the safe side:
//! - The deadline bounds the handshake as a whole; OTP restarts it at each step.
//! - A peer that has not proven the cookie changes nothing: the owner drops its own attempt, or
//!   replaces a live connection, only when [`Established::standing`] says so, while OTP does it
//!   on `ok_simultaneous` and on `true`. Both sides still end with the same one connection, since
//!   the side with the greater name answers the other's dial with `nok`.
//!
//! I1. `Established` comes only after the peer's digest was found right.
//! I2. No byte after the last message is lost: they are [`Established::leftover`].
//! I3. Memory is bounded by [`crate::limits`], whatever the peer sends.
//! I4. However the stream is cut, the outcome is the same.
//!
//! Not here: EPMD ([`crate::epmd`]) and what comes after ([`crate::frame`], [`crate::tick`]).

mod accept;
mod dial;
mod error;
mod message;
mod name;

use core::time::Duration;
use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

pub use accept::{Accept, Random};
pub use dial::{Dial, LocalName};
pub use error::{HandshakeError, Step};
pub use message::Framing;
pub(crate) use name::quoted;
pub use name::{FullName, NameFamily, NodeNameError};

use crate::digest::Cookie;
use crate::flags::Flags;
use crate::limits::{HANDSHAKE_BUFFERED_LEN_MAX, HANDSHAKE_TIMEOUT};
use accept::Acceptor;
use dial::Dialler;

/// What is the same for all handshakes of a node over one kind of carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// What we can do.
    pub flags: Flags,
    /// What a peer must be able to do.
    pub required: Flags,
    /// How messages are delimited.
    pub framing: Framing,
    /// How long the handshake may take as a whole.
    pub timeout: Duration,
}

impl Default for Config {
    /// A visible node over TCP with OTP's deadline.
    fn default() -> Self {
        Config {
            flags: Flags::CACHE_AND_FRAGMENTS,
            required: Flags::REQUIRED,
            framing: Framing::default(),
            timeout: HANDSHAKE_TIMEOUT,
        }
    }
}

/// Who dials us, by its own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its name, or the one generated for it.
    pub name: FullName,
    /// Its flags; of an old dialler the lower half.
    pub flags: Flags,
    /// Its creation; of an old dialler 0.
    pub creation: u32,
    /// Whether it asked for a name.
    pub is_dynamic: bool,
    /// Whether it used the old form, as OTP 23 and 24 may.
    pub is_old_form: bool,
}

/// How our node stands with a peer that dials in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is there.
    Free,
    /// We are dialling it ourselves.
    Dialling,
    /// A connection exists that we think alive.
    Connected,
}

/// The owner's answer to a [`Claim`].
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Go on.
    Admit {
        /// The cookie shared with this peer.
        cookie: Cookie,
        /// How we stand with it.
        standing: Standing,
    },
    /// Answer `not_allowed`.
    Refuse,
}

/// The name that a peer gave us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Our name from now on.
    pub name: FullName,
    /// Our creation from now on.
    pub creation: u32,
}

/// A handshake that came to a good end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Established {
    /// The peer.
    pub peer: FullName,
    /// What the peer sent as its flags. Bit 0 says whether the peer is visible.
    pub peer_flags: Flags,
    /// What holds on this connection.
    pub flags: Flags,
    /// The peer's creation.
    pub peer_creation: u32,
    /// The name we were given, when we asked for one.
    pub given: Option<Given>,
    /// Whether the peer has its name from us.
    pub is_peer_dynamic: bool,
    /// What the owner said in its [`Verdict`], [`Standing::Free`] when we dialled: after
    /// `Dialling` it drops its own attempt, after `Connected` the older connection, if that is
    /// still there.
    pub standing: Standing,
    /// What came after the last message: the first bytes for the [`Deframer`](crate::frame::Deframer).
    pub leftover: Bytes,
}

/// What the owner of a handshake must know or decide.
#[derive(Clone, Debug)]
pub enum Event {
    /// Somebody dials: answer with [`Handshake::answer_claim`].
    Claim(Claim),
    /// The peer says it is connected to us already: answer with [`Handshake::answer_alive`], true
    /// when this node still wants this connection.
    Alive,
    /// The connection is up. Nothing more comes from this machine.
    Established(Box<Established>),
    /// The connection is to be closed. Nothing more comes from this machine.
    Failed(HandshakeError),
}

/// One handshake, of either side.
#[derive(Debug)]
pub struct Handshake {
    side: Side,
    framing: Framing,
    timeout: Duration,
    deadline: Option<Duration>,
    buffer: BytesMut,
    outbox: Outbox,
    event: Option<Event>,
}

#[derive(Debug)]
enum Side {
    Dial(Dialler),
    Accept(Acceptor),
    /// Failed before it began.
    Neither,
}

impl Handshake {
    /// Begins a handshake on a connection that we opened.
    pub fn dial(now: Duration, config: Config, dial: Dial) -> Self {
        let mut outbox = Outbox::new(config.framing);
        match Dialler::start(&config, dial, &mut outbox) {
            Ok(dialler) => Handshake::new(now, &config, Side::Dial(dialler), outbox),
            Err(error) => {
                let mut handshake = Handshake::new(now, &config, Side::Neither, outbox);
                handshake.end(Event::Failed(error));
                handshake
            }
        }
    }

    /// Begins a handshake on a connection that a peer opened.
    pub fn accept(now: Duration, config: Config, accept: Accept) -> Self {
        let side = Side::Accept(Acceptor::new(&config, accept));
        Handshake::new(now, &config, side, Outbox::new(config.framing))
    }

    fn new(now: Duration, config: &Config, side: Side, outbox: Outbox) -> Self {
        Handshake {
            side,
            framing: config.framing,
            timeout: config.timeout,
            deadline: Some(now.saturating_add(config.timeout)),
            buffer: BytesMut::new(),
            outbox,
            event: None,
        }
    }

    /// Bytes arrived from the peer. After [`Event::Established`] was polled, bytes belong to the
    /// next layer and must not be given to this one; after a failure they are ignored.
    pub fn handle_bytes(&mut self, now: Duration, bytes: &[u8]) {
        self.handle_timeout(now);
        if matches!(self.event, Some(Event::Failed(_))) || self.is_spent() {
            return;
        }
        self.buffer.extend_from_slice(bytes);
        self.advance();
    }

    /// Time has passed. Before the deadline this does nothing.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            let (step, after) = (self.step(), self.timeout);
            self.end(Event::Failed(HandshakeError::TimedOut { step, after }));
        }
    }

    /// The connection is gone: closed by the peer, or lost.
    pub fn handle_closed(&mut self) {
        if self.deadline.is_none() {
            return;
        }
        let error = match &self.side {
            Side::Dial(dialler) => dialler.closed(),
            _ => HandshakeError::Closed { step: self.step() },
        };
        self.end(Event::Failed(error));
    }

    /// Answers [`Event::Claim`]. Ignored when no such question is open, as after a timeout.
    pub fn answer_claim(&mut self, now: Duration, verdict: Verdict) {
        self.handle_timeout(now);
        if let (Some(_), Side::Accept(acceptor)) = (self.deadline, &mut self.side) {
            let result = acceptor.answer_claim(verdict, &mut self.outbox);
            self.resume(result);
        }
    }

    /// Answers [`Event::Alive`]. Ignored when no such question is open, as after a timeout.
    pub fn answer_alive(&mut self, now: Duration, is_wanted: bool) {
        self.handle_timeout(now);
        if let (Some(_), Side::Dial(dialler)) = (self.deadline, &mut self.side) {
            let result = dialler.answer_alive(is_wanted, &mut self.outbox);
            self.resume(result);
        }
    }

    /// The next bytes to send, in order.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.outbox.messages.pop_front()
    }

    /// What the owner must know or decide next.
    pub fn poll_event(&mut self) -> Option<Event> {
        let mut event = self.event.take()?;
        if let Event::Established(established) = &mut event {
            established.leftover = core::mem::take(&mut self.buffer).freeze();
        }
        Some(event)
    }

    /// When [`Handshake::handle_timeout`] wants to be called; `None` at the end.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.deadline
    }

    /// What is being waited for.
    pub fn step(&self) -> Step {
        match &self.side {
            Side::Dial(dialler) => dialler.step(),
            Side::Accept(acceptor) => acceptor.step(),
            Side::Neither => Step::Done,
        }
    }

    /// Bytes that arrived and were not yet used.
    pub fn buffered_len(&self) -> usize {
        self.buffer.len()
    }

    /// Uses up the messages that have arrived, as far as no answer of the owner is needed first.
    fn advance(&mut self) {
        while self.deadline.is_some() && !self.is_asking() {
            match self.next_message() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => self.end(Event::Failed(error)),
            }
        }
        let (step, len_max) = (self.step(), HANDSHAKE_BUFFERED_LEN_MAX);
        if self.deadline.is_some() && self.buffer.len() > len_max {
            self.end(Event::Failed(HandshakeError::TooMuch { step, len_max }));
        }
    }

    /// Uses one message, if a whole one is there.
    fn next_message(&mut self) -> Result<bool, HandshakeError> {
        let step = self.step();
        let Some(body) = self.framing.split(&mut self.buffer, step)? else {
            return Ok(false);
        };
        let event = match &mut self.side {
            Side::Dial(dialler) => dialler.handle_message(&body, &mut self.outbox)?,
            Side::Accept(acceptor) => acceptor.handle_message(&body, &mut self.outbox)?,
            Side::Neither => None,
        };
        match event {
            Some(event @ Event::Established(_)) => self.end(event),
            event => self.event = event.or(self.event.take()),
        }
        Ok(true)
    }

    fn resume(&mut self, result: Result<(), HandshakeError>) {
        match result {
            Ok(()) => self.advance(),
            Err(error) => self.end(Event::Failed(error)),
        }
    }

    fn end(&mut self, event: Event) {
        self.deadline = None;
        if matches!(event, Event::Failed(_)) {
            self.buffer = BytesMut::new();
        }
        self.event = Some(event);
    }

    fn is_asking(&self) -> bool {
        matches!(self.step(), Step::Verdict | Step::AliveVerdict)
    }

    /// Whether the last event was polled.
    fn is_spent(&self) -> bool {
        self.deadline.is_none() && self.event.is_none()
    }
}

/// Messages to be sent, with their lengths before them. A side sends at most two at a step.
#[derive(Debug)]
struct Outbox {
    framing: Framing,
    messages: VecDeque<Bytes>,
}

impl Outbox {
    fn new(framing: Framing) -> Self {
        Outbox {
            framing,
            messages: VecDeque::new(),
        }
    }

    fn send(&mut self, body: &[u8]) {
        self.messages.push_back(self.framing.frame(body));
    }
}

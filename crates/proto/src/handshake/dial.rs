//! The dialling side of the handshake (`dist_util:handshake_we_started/1`).

use bytes::Bytes;

use super::error::{HandshakeError, Step};
use super::message::{self, Challenge, SendName, Status};
use super::name::{FullName, quoted};
use super::{Config, Established, Event, Given, Outbox, Standing};
use crate::digest::{Cookie, Digest};
use crate::flags::Flags;

/// The name that the dialler goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalName {
    /// A name of its own, with the creation that EPMD gave.
    Known {
        /// The name.
        name: FullName,
        /// The creation.
        creation: u32,
    },
    /// None yet: the peer is asked to give one for this host. The node is hidden then, as OTP's.
    Dynamic {
        /// The part of the name after the `@`.
        host: String,
    },
}

/// What the owner of a dialling handshake knows from the start.
#[derive(Clone, Debug)]
pub struct Dial {
    /// Who we are.
    pub local: LocalName,
    /// Who is dialled; exactly this name must answer.
    pub peer: FullName,
    /// The cookie shared with that peer.
    pub cookie: Cookie,
    /// A random number, fresh for each handshake.
    pub challenge: u32,
}

#[derive(Debug)]
enum State {
    Status,
    AliveVerdict,
    Challenge,
    Ack {
        peer_flags: Flags,
        peer_creation: u32,
    },
    Done,
}

#[derive(Debug)]
pub(super) struct Dialler {
    dial: Dial,
    flags: Flags,
    required: Flags,
    given: Option<Given>,
    state: State,
}

impl Dialler {
    /// The machine, and its first message in `outbox`.
    ///
    /// # Errors
    /// When we dial ourselves.
    pub(super) fn start(
        config: &Config,
        dial: Dial,
        outbox: &mut Outbox,
    ) -> Result<Self, HandshakeError> {
        let (flags, creation, name) = match &dial.local {
            LocalName::Known { name, creation } if *name != dial.peer => (
                config.flags.without(Flags::NAME_ME),
                *creation,
                name.as_str(),
            ),
            LocalName::Known { name, .. } => {
                return Err(HandshakeError::OwnName { name: name.clone() });
            }
            LocalName::Dynamic { host } => {
                let host = super::name::host_from_bytes(host.as_bytes());
                let host = host.map_err(HandshakeError::InvalidName)?;
                (config.flags.hidden() | Flags::NAME_ME, 0, host)
            }
        };
        let name = Bytes::copy_from_slice(name.as_bytes());
        outbox.send(
            &SendName {
                flags,
                creation,
                name,
                is_old_form: false,
            }
            .encode(),
        );
        let required = config.required;
        Ok(Dialler {
            dial,
            flags,
            required,
            given: None,
            state: State::Status,
        })
    }

    pub(super) fn step(&self) -> Step {
        match self.state {
            State::Status => Step::Status,
            State::AliveVerdict => Step::AliveVerdict,
            State::Challenge => Step::Challenge,
            State::Ack { .. } => Step::ChallengeAck,
            State::Done => Step::Done,
        }
    }

    /// What a lost connection means at this step: an OTP peer says nothing about a wrong cookie.
    pub(super) fn closed(&self) -> HandshakeError {
        match self.state {
            State::Ack { .. } => HandshakeError::ClosedAfterReply {
                peer: self.dial.peer.clone(),
            },
            _ => HandshakeError::Closed { step: self.step() },
        }
    }

    pub(super) fn handle_message(
        &mut self,
        body: &Bytes,
        outbox: &mut Outbox,
    ) -> Result<Option<Event>, HandshakeError> {
        match self.state {
            State::Status => self.handle_status(Status::decode(body)?),
            State::Challenge => self.handle_challenge(&Challenge::decode(body)?, outbox),
            State::Ack {
                peer_flags,
                peer_creation,
            } => {
                let digest = message::decode_ack(body)?;
                self.handle_ack(digest, peer_flags, peer_creation).map(Some)
            }
            State::AliveVerdict | State::Done => Ok(None),
        }
    }

    /// The owner's answer to [`Event::Alive`].
    pub(super) fn answer_alive(
        &mut self,
        is_wanted: bool,
        outbox: &mut Outbox,
    ) -> Result<(), HandshakeError> {
        if !matches!(self.state, State::AliveVerdict) {
            return Ok(());
        }
        outbox.send(message::encode_alive_answer(is_wanted));
        if !is_wanted {
            return Err(HandshakeError::AlreadyConnected {
                peer: self.dial.peer.clone(),
            });
        }
        self.state = State::Challenge;
        Ok(())
    }

    fn handle_status(&mut self, status: Status) -> Result<Option<Event>, HandshakeError> {
        let peer = self.dial.peer.clone();
        let is_dynamic = matches!(self.dial.local, LocalName::Dynamic { .. });
        match status {
            Status::Nok => return Err(HandshakeError::Nok { peer }),
            Status::NotAllowed => return Err(HandshakeError::NotAllowed { peer }),
            Status::Named { name, creation } if is_dynamic => {
                let name = FullName::from_bytes(&name).map_err(HandshakeError::InvalidName)?;
                self.given = Some(Given { name, creation });
            }
            Status::Ok | Status::OkSimultaneous | Status::Alive if is_dynamic => {
                return Err(HandshakeError::NotNamed { peer });
            }
            Status::Ok | Status::OkSimultaneous => {}
            Status::Alive => {
                self.state = State::AliveVerdict;
                return Ok(Some(Event::Alive));
            }
            Status::Named { .. } => {
                return Err(HandshakeError::UnknownStatus {
                    status: "named:".into(),
                });
            }
            Status::Unknown(text) => {
                return Err(HandshakeError::UnknownStatus {
                    status: quoted(&text),
                });
            }
        }
        self.state = State::Challenge;
        Ok(None)
    }

    fn handle_challenge(
        &mut self,
        message: &Challenge,
        outbox: &mut Outbox,
    ) -> Result<Option<Event>, HandshakeError> {
        let peer = &self.dial.peer;
        if message.name != peer.as_str().as_bytes() {
            let answered = quoted(&message.name);
            return Err(HandshakeError::NameMismatch {
                dialled: peer.clone(),
                answered,
            });
        }
        let missing = message.flags.missing(self.required);
        if missing != Flags::NONE {
            return Err(HandshakeError::MissingFlags {
                peer: peer.to_string(),
                missing,
            });
        }
        let digest = Digest::of(&self.dial.cookie, message.challenge);
        outbox.send(&message::encode_reply(self.dial.challenge, digest));
        let (peer_flags, peer_creation) = (message.flags, message.creation);
        self.state = State::Ack {
            peer_flags,
            peer_creation,
        };
        Ok(None)
    }

    fn handle_ack(
        &mut self,
        digest: Digest,
        peer_flags: Flags,
        peer_creation: u32,
    ) -> Result<Event, HandshakeError> {
        let peer = self.dial.peer.clone();
        if digest != Digest::of(&self.dial.cookie, self.dial.challenge) {
            return Err(HandshakeError::WrongCookie { peer });
        }
        self.state = State::Done;
        Ok(Event::Established(Box::new(Established {
            peer,
            peer_flags,
            peer_creation,
            flags: Flags::negotiate(self.flags, peer_flags),
            given: self.given.take(),
            is_peer_dynamic: false,
            standing: Standing::Free,
            leftover: Bytes::new(),
        })))
    }
}

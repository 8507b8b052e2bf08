//! The accepting side of the handshake (`dist_util:handshake_other_started/1`).

use bytes::Bytes;

use super::error::{HandshakeError, Step};
use super::message::{self, Challenge, SendName, Status};
use super::name::{FullName, host_from_bytes, quoted};
use super::{Claim, Config, Established, Event, Outbox, Standing, Verdict};
use crate::digest::{Cookie, Digest};
use crate::flags::Flags;

/// What the owner of an accepting handshake knows from the start.
#[derive(Clone, Debug)]
pub struct Accept {
    /// Our name, by which the peer must have dialled us.
    pub name: FullName,
    /// Our creation.
    pub creation: u32,
    /// Random numbers, fresh for each handshake.
    pub random: Random,
}

/// The random numbers an accepting handshake may need.
#[derive(Clone, Copy, Debug)]
pub struct Random {
    /// The challenge.
    pub challenge: u32,
    /// Becomes the name of a peer that asks for one.
    pub name: u64,
    /// Becomes the creation of such a peer; raised to 4 when smaller, since OTP avoids 0 to 3.
    pub creation: u32,
}

/// Digits of a generated name: those of the largest 64-bit number in base 36, as in OTP.
const GENERATED_LEN: usize = 13;

#[derive(Debug)]
enum State {
    Name,
    Verdict(Claim),
    AliveAnswer(Admitted),
    Complement(Admitted),
    Reply(Admitted),
    Done,
}

/// A peer that our node lets in, once it has proven the cookie.
#[derive(Debug)]
struct Admitted {
    claim: Claim,
    cookie: Cookie,
    standing: Standing,
    /// The flags we sent.
    flags: Flags,
}

#[derive(Debug)]
pub(super) struct Acceptor {
    accept: Accept,
    flags: Flags,
    required: Flags,
    state: State,
}

impl Acceptor {
    pub(super) fn new(config: &Config, accept: Accept) -> Self {
        let (flags, required) = (config.flags.without(Flags::NAME_ME), config.required);
        Acceptor {
            accept,
            flags,
            required,
            state: State::Name,
        }
    }

    pub(super) fn step(&self) -> Step {
        match self.state {
            State::Name => Step::Name,
            State::Verdict(_) => Step::Verdict,
            State::AliveAnswer(_) => Step::AliveAnswer,
            State::Complement(_) => Step::Complement,
            State::Reply(_) => Step::ChallengeReply,
            State::Done => Step::Done,
        }
    }

    pub(super) fn handle_message(
        &mut self,
        body: &Bytes,
        outbox: &mut Outbox,
    ) -> Result<Option<Event>, HandshakeError> {
        match core::mem::replace(&mut self.state, State::Done) {
            State::Name => self.handle_name(SendName::decode(body)?, outbox).map(Some),
            State::AliveAnswer(admitted) => {
                self.handle_alive_answer(message::decode_alive_answer(body)?, admitted, outbox)?;
                Ok(None)
            }
            State::Complement(mut admitted) => {
                let (upper, creation) = message::decode_complement(body)?;
                admitted.claim.flags = admitted.claim.flags | upper;
                admitted.claim.creation = creation;
                self.state = State::Reply(admitted);
                Ok(None)
            }
            State::Reply(admitted) => {
                let (challenge, digest) = message::decode_reply(body)?;
                self.handle_reply(challenge, digest, admitted, outbox)
                    .map(Some)
            }
            state @ (State::Verdict(_) | State::Done) => {
                self.state = state;
                Ok(None)
            }
        }
    }

    /// The owner's answer to [`Event::Claim`].
    pub(super) fn answer_claim(
        &mut self,
        verdict: Verdict,
        outbox: &mut Outbox,
    ) -> Result<(), HandshakeError> {
        let claim = match core::mem::replace(&mut self.state, State::Done) {
            State::Verdict(claim) => claim,
            state => {
                self.state = state;
                return Ok(());
            }
        };
        match verdict {
            Verdict::Refuse => {
                outbox.send(&Status::NotAllowed.encode());
                Err(HandshakeError::Refused { peer: claim.name })
            }
            Verdict::Admit { cookie, standing } => {
                let flags = self.flags_towards(&claim);
                self.admit(
                    Admitted {
                        claim,
                        cookie,
                        standing,
                        flags,
                    },
                    outbox,
                )
            }
        }
    }

    fn handle_name(
        &mut self,
        message: SendName,
        outbox: &mut Outbox,
    ) -> Result<Event, HandshakeError> {
        let missing = message.flags.missing(self.required);
        if missing != Flags::NONE {
            outbox.send(&Status::NotAllowed.encode());
            return Err(HandshakeError::MissingFlags {
                peer: quoted(&message.name),
                missing,
            });
        }
        let claim = self.claim(message).map_err(HandshakeError::InvalidName)?;
        if claim.name == self.accept.name {
            outbox.send(&Status::Nok.encode());
            return Err(HandshakeError::OwnName { name: claim.name });
        }
        self.state = State::Verdict(claim.clone());
        Ok(Event::Claim(claim))
    }

    fn claim(&self, message: SendName) -> Result<Claim, super::NodeNameError> {
        let SendName {
            flags,
            creation,
            name,
            is_old_form,
        } = message;
        let is_dynamic = flags.contains(Flags::NAME_ME);
        if !is_dynamic {
            let name = FullName::from_bytes(&name)?;
            return Ok(Claim {
                name,
                flags,
                creation,
                is_dynamic,
                is_old_form,
            });
        }
        let host = host_from_bytes(&name)?;
        let name = FullName::new(&format!("{}@{host}", generated(self.accept.random.name)))?;
        let creation = self.accept.random.creation.max(4);
        Ok(Claim {
            name,
            flags,
            creation,
            is_dynamic,
            is_old_form,
        })
    }

    /// A peer that asked for a name is hidden, so are we towards it, and it sees its request
    /// echoed: as from OTP 25 and 28 (measured). Towards other hidden peers nothing changes.
    fn flags_towards(&self, claim: &Claim) -> Flags {
        if claim.is_dynamic {
            self.flags.hidden() | Flags::NAME_ME
        } else {
            self.flags
        }
    }

    fn admit(&mut self, admitted: Admitted, outbox: &mut Outbox) -> Result<(), HandshakeError> {
        let name = admitted.claim.name.clone();
        let status = match (admitted.claim.is_dynamic, admitted.standing) {
            (true, Standing::Free) => Status::Named {
                name: Bytes::copy_from_slice(name.as_str().as_bytes()),
                creation: admitted.claim.creation,
            },
            (true, _) => {
                outbox.send(&Status::Nok.encode());
                return Err(HandshakeError::NameTaken { name });
            }
            (false, Standing::Free) => Status::Ok,
            // Both sides compare the same two names, so they agree without a further word.
            (false, Standing::Dialling) if name > self.accept.name => Status::OkSimultaneous,
            (false, Standing::Dialling) => {
                outbox.send(&Status::Nok.encode());
                return Err(HandshakeError::OwnDialGoesOn { peer: name });
            }
            (false, Standing::Connected) => {
                outbox.send(&Status::Alive.encode());
                self.state = State::AliveAnswer(admitted);
                return Ok(());
            }
        };
        outbox.send(&status.encode());
        self.send_challenge(admitted, outbox);
        Ok(())
    }

    fn handle_alive_answer(
        &mut self,
        is_wanted: bool,
        admitted: Admitted,
        outbox: &mut Outbox,
    ) -> Result<(), HandshakeError> {
        if !is_wanted {
            return Err(HandshakeError::AlreadyConnected {
                peer: admitted.claim.name,
            });
        }
        self.send_challenge(admitted, outbox);
        Ok(())
    }

    fn send_challenge(&mut self, admitted: Admitted, outbox: &mut Outbox) {
        let name = Bytes::copy_from_slice(self.accept.name.as_str().as_bytes());
        let (challenge, creation) = (self.accept.random.challenge, self.accept.creation);
        outbox.send(
            &Challenge {
                flags: admitted.flags,
                challenge,
                creation,
                name,
            }
            .encode(),
        );
        self.state = match admitted.claim.is_old_form {
            true => State::Complement(admitted),
            false => State::Reply(admitted),
        };
    }

    fn handle_reply(
        &mut self,
        challenge: u32,
        digest: Digest,
        admitted: Admitted,
        outbox: &mut Outbox,
    ) -> Result<Event, HandshakeError> {
        let Admitted {
            claim,
            cookie,
            standing,
            flags,
        } = admitted;
        if digest != Digest::of(&cookie, self.accept.random.challenge) {
            return Err(HandshakeError::WrongCookie { peer: claim.name });
        }
        outbox.send(&message::encode_ack(Digest::of(&cookie, challenge)));
        Ok(Event::Established(Box::new(Established {
            flags: Flags::negotiate(flags, claim.flags),
            peer: claim.name,
            peer_flags: claim.flags,
            peer_creation: claim.creation,
            given: None,
            is_peer_dynamic: claim.is_dynamic,
            standing,
            leftover: Bytes::new(),
        })))
    }
}

/// A 13-digit name in base 36.
fn generated(mut number: u64) -> String {
    let mut digits = [0; GENERATED_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(number % 36) as usize];
        number /= 36;
    }
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::generated;

    #[test]
    fn generated_names_have_thirteen_digits() {
        assert_eq!(generated(0), "0000000000000");
        assert_eq!(generated(35), "000000000000Z");
        assert_eq!(generated(u64::MAX), "3W5E11264SGSF");
    }
}

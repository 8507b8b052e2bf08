//! From a walked control tuple to a signal.

use std::num::NonZeroU64;

use purlin_term::{Atom, Elements, EncodedTerm, Pid, Reference, Shape, View};

use super::error::ControlError as Error;
use super::op::{Op, altact, spawn_reply};
use crate::signal::{Monitored, Recipient, Signal, SpawnRequest, TraceToken};

/// A control tuple whose kind is known.
pub(crate) struct Control<'a>(Fields<'a>);

impl<'a> Control<'a> {
    /// Reads the kind of `tuple`.
    ///
    /// # Errors
    /// [`ControlError`](Error) when it is no control message.
    pub(crate) fn of(tuple: View<'a>) -> Result<Self, Error> {
        Fields::of(tuple).map(Self)
    }

    /// The kind, if a payload must follow.
    ///
    /// # Errors
    /// [`ControlError`](Error) when none may.
    pub(crate) fn op_with_payload(&self) -> Result<Op, Error> {
        let op = self.0.op;
        op.has_payload()
            .then_some(op)
            .ok_or(Error::UnexpectedPayload(op))
    }

    /// The signal that the tuple means, with the payload that follows it.
    ///
    /// # Errors
    /// [`ControlError`](Error) when it means none.
    pub(crate) fn signal(self, payload: Option<EncodedTerm>) -> Result<Signal, Error> {
        let mut fields = self.0;
        match (fields.op.has_payload(), &payload) {
            (true, None) => return Err(Error::MissingPayload(fields.op)),
            (false, Some(_)) => return Err(Error::UnexpectedPayload(fields.op)),
            _ => {}
        }
        let signal = fields.signal(payload)?;
        fields.end()?;
        Ok(signal)
    }
}

/// The elements of the tuple that are not read yet.
struct Fields<'a> {
    op: Op,
    elements: Elements<'a>,
    /// The number of the element read last.
    element: usize,
    /// Of the whole tuple.
    arity: usize,
}

impl<'a> Fields<'a> {
    fn of(control: View<'a>) -> Result<Self, Error> {
        let Shape::Tuple(mut elements) = control.shape() else {
            return Err(Error::NotATuple);
        };
        let arity = elements.len();
        let number = elements
            .next()
            .and_then(View::as_int)
            .ok_or(Error::NoNumber)?;
        Ok(Self {
            op: Op::from_number(number).ok_or(Error::UnknownNumber(number))?,
            elements,
            element: 1,
            arity,
        })
    }

    /// Each arm reads the elements in the order of the tuple; Rust evaluates fields in the order
    /// they are written.
    fn signal(&mut self, payload: Option<EncodedTerm>) -> Result<Signal, Error> {
        Ok(match self.op {
            Op::Link => Signal::Link {
                from: self.pid()?,
                to: self.pid()?,
            },
            Op::Unlink => Signal::UnlinkObsolete {
                from: self.pid()?,
                to: self.pid()?,
            },
            Op::UnlinkId => Signal::Unlink {
                id: self.id()?,
                from: self.pid()?,
                to: self.pid()?,
            },
            Op::UnlinkIdAck => Signal::UnlinkAck {
                id: self.id()?,
                from: self.pid()?,
                to: self.pid()?,
            },
            Op::GroupLeader => Signal::GroupLeader {
                leader: self.pid()?,
                to: self.pid()?,
            },
            Op::MonitorP => Signal::Monitor {
                from: self.pid()?,
                to: self.monitored()?,
                reference: self.reference()?,
            },
            Op::DemonitorP => Signal::Demonitor {
                from: self.pid()?,
                to: self.monitored()?,
                reference: self.reference()?,
            },
            Op::MonitorPExit | Op::PayloadMonitorPExit => Signal::MonitorExit {
                from: self.monitored()?,
                to: self.pid()?,
                reference: self.reference()?,
                reason: self.payload(payload)?,
            },
            Op::Send | Op::SendTt | Op::SendSender | Op::SendSenderTt => self.send(payload)?,
            Op::RegSend | Op::RegSendTt => self.reg_send(payload)?,
            Op::AliasSend | Op::AliasSendTt => Signal::Send {
                from: Some(self.pid()?),
                to: Recipient::Alias(self.reference()?),
                token: self.token()?,
                message: self.payload(payload)?,
                priority: false,
            },
            Op::Exit | Op::ExitTt | Op::PayloadExit | Op::PayloadExitTt => Signal::Exit {
                from: self.pid()?,
                to: self.pid()?,
                token: self.token()?,
                reason: self.payload(payload)?,
            },
            Op::Exit2 | Op::Exit2Tt | Op::PayloadExit2 | Op::PayloadExit2Tt => Signal::Exit2 {
                from: self.pid()?,
                to: Recipient::Pid(self.pid()?),
                token: self.token()?,
                reason: self.payload(payload)?,
                priority: false,
            },
            Op::SpawnRequest | Op::SpawnRequestTt => self.spawn_request(payload)?,
            Op::SpawnReply | Op::SpawnReplyTt => self.spawn_reply()?,
            Op::AltactSigSend => self.altact(payload)?,
        })
    }

    fn send(&mut self, payload: Option<EncodedTerm>) -> Result<Signal, Error> {
        let from = match self.op {
            Op::SendSender | Op::SendSenderTt => Some(self.pid()?),
            _ => self.unused().map(|()| None)?,
        };
        Ok(Signal::Send {
            from,
            to: Recipient::Pid(self.pid()?),
            token: self.token()?,
            message: self.payload(payload)?,
            priority: false,
        })
    }

    fn reg_send(&mut self, payload: Option<EncodedTerm>) -> Result<Signal, Error> {
        let from = self.pid()?;
        self.unused()?;
        Ok(Signal::Send {
            from: Some(from),
            to: Recipient::Name(self.atom("an atom")?),
            token: self.token()?,
            message: self.payload(payload)?,
            priority: false,
        })
    }

    fn spawn_request(&mut self, payload: Option<EncodedTerm>) -> Result<Signal, Error> {
        let (id, from, group_leader) = (self.reference()?, self.pid()?, self.pid()?);
        let (module, function, arity) = self.function()?;
        Ok(Signal::SpawnRequest(Box::new(SpawnRequest {
            id,
            from,
            group_leader,
            module,
            function,
            arity,
            options: self.next()?.to_encoded(),
            token: self.token()?,
            arguments: self.payload(payload)?,
        })))
    }

    fn spawn_reply(&mut self) -> Result<Signal, Error> {
        let (id, to, flags) = (self.reference()?, self.pid()?, self.flags()?);
        let result = match self.next()?.shape() {
            Shape::Pid(pid) => Ok(pid),
            Shape::Atom(error) => Err(error.to_atom()),
            _ => return Err(self.not("a pid or an atom")),
        };
        Ok(Signal::SpawnReply {
            id,
            to,
            linked: flags & spawn_reply::LINK != 0,
            monitored: flags & spawn_reply::MONITOR != 0,
            result,
            token: self.token()?,
        })
    }

    fn altact(&mut self, payload: Option<EncodedTerm>) -> Result<Signal, Error> {
        let flags = self.flags()?;
        let from = self.pid()?;
        let to = match flags & (altact::ALIAS | altact::NAME) {
            0 => Recipient::Pid(self.pid()?),
            altact::ALIAS => Recipient::Alias(self.reference()?),
            altact::NAME => Recipient::Name(self.atom("an atom")?),
            _ => {
                self.element = 2;
                return Err(self.not("a set of flags that fit each other"));
            }
        };
        let traced = flags & altact::TOKEN != 0;
        let token = traced.then(|| self.boxed()).transpose()?;
        let priority = flags & altact::PRIORITY != 0;
        let payload = self.payload(payload)?;
        Ok(if flags & altact::EXIT != 0 {
            Signal::Exit2 {
                from,
                to,
                reason: payload,
                priority,
                token,
            }
        } else {
            Signal::Send {
                from: Some(from),
                to,
                message: payload,
                priority,
                token,
            }
        })
    }

    fn next(&mut self) -> Result<View<'a>, Error> {
        self.element += 1;
        self.elements.next().ok_or(self.arity())
    }

    fn end(&self) -> Result<(), Error> {
        if self.elements.len() > 0 {
            return Err(self.arity());
        }
        Ok(())
    }

    fn arity(&self) -> Error {
        Error::Arity {
            op: self.op,
            found: self.arity,
        }
    }

    #[cold]
    fn not(&self, expected: &'static str) -> Error {
        Error::Element {
            op: self.op,
            element: self.element,
            expected,
        }
    }

    /// The slot of the cookie, which no node uses any more.
    fn unused(&mut self) -> Result<(), Error> {
        self.next().map(drop)
    }

    fn pid(&mut self) -> Result<Pid, Error> {
        let view = self.next()?;
        view.as_pid().ok_or_else(|| self.not("a pid"))
    }

    fn reference(&mut self) -> Result<Reference, Error> {
        let view = self.next()?;
        view.as_reference().ok_or_else(|| self.not("a reference"))
    }

    fn atom(&mut self, expected: &'static str) -> Result<Atom, Error> {
        let view = self.next()?;
        let atom = view.as_atom().ok_or_else(|| self.not(expected))?;
        Ok(atom.to_atom())
    }

    fn monitored(&mut self) -> Result<Monitored, Error> {
        match self.next()?.shape() {
            Shape::Pid(pid) => Ok(Monitored::Pid(pid)),
            Shape::Atom(name) => Ok(Monitored::Name(name.to_atom())),
            _ => Err(self.not("a pid or an atom")),
        }
    }

    fn flags(&mut self) -> Result<i64, Error> {
        let view = self.next()?;
        let flags = view.as_int().filter(|&flags| flags >= 0);
        flags.ok_or_else(|| self.not("a set of flags"))
    }

    /// From 1 to 2^64 - 1.
    fn id(&mut self) -> Result<NonZeroU64, Error> {
        let id = match self.next()?.shape() {
            Shape::Int(id) => u64::try_from(id).ok(),
            Shape::BigInt(id) => id.to_u64(),
            _ => None,
        };
        id.and_then(NonZeroU64::new)
            .ok_or_else(|| self.not("an integer from 1 to 2^64 - 1"))
    }

    /// `{M, F, Arity}`.
    fn function(&mut self) -> Result<(Atom, Atom, u32), Error> {
        let of = |[module, function, arity]: [View<'_>; 3]| {
            let arity = u32::try_from(arity.as_int()?).ok()?;
            Some((
                module.as_atom()?.to_atom(),
                function.as_atom()?.to_atom(),
                arity,
            ))
        };
        let function = self.next()?.as_tuple_of().and_then(of);
        function.ok_or_else(|| self.not("a module, function and arity"))
    }

    fn token(&mut self) -> Result<TraceToken, Error> {
        self.op.is_traced().then(|| self.boxed()).transpose()
    }

    fn boxed(&mut self) -> Result<Box<EncodedTerm>, Error> {
        self.next().map(|view| Box::new(view.to_encoded()))
    }

    /// What follows the tuple, or in the old forms its last element.
    fn payload(&mut self, payload: Option<EncodedTerm>) -> Result<EncodedTerm, Error> {
        match payload {
            Some(payload) => Ok(payload),
            None => self.next().map(View::to_encoded),
        }
    }
}

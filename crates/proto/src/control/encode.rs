//! From a signal to the message that a peer with given flags understands.
//!
//! What is written is chosen first (`choose`), then its tuple is. The payload is not encoded here: for a peer
//! with an atom cache its bytes are shared and the tuple's atoms continue its list ([`encode_control`]); for
//! others its atoms are written out once. [`encode_signal`] does either, for a message on its own.

use bytes::Bytes;
use purlin_term::{Atom, EncodeError, EncodedTerm, Encoder, Pid, atom};

use super::error::EncodeSignalError as Error;
use super::op::{Op, altact, spawn_reply};
use crate::flags::Flags;
use crate::signal::{Monitored, Recipient, Signal, SpawnRequest};

/// A message for one connection: control tuple, payload, and the atoms that both refer to.
///
/// The [`Sender`](crate::channel::Sender) puts it into frames; atoms get their slots of the cache
/// only there.
#[derive(Debug, Clone)]
pub struct OutMessage {
    control: Vec<u8>,
    payload: Bytes,
    atoms: Vec<Atom>,
}

impl OutMessage {
    /// The control tuple, encoded.
    pub fn control(&self) -> &[u8] {
        &self.control
    }

    /// The payload, encoded; empty when there is none.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The atoms that control and payload refer to by number; none for a peer without cache.
    pub fn atoms(&self) -> &[Atom] {
        &self.atoms
    }

    /// Bytes of control and payload.
    pub fn len(&self) -> usize {
        self.control.len() + self.payload.len()
    }

    /// Never: a message has a control tuple.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn into_parts(self) -> (Vec<u8>, Bytes, Vec<Atom>) {
        (self.control, self.payload, self.atoms)
    }
}

/// Encodes `signal` for a peer with whom `flags` were negotiated.
///
/// # Errors
/// [`EncodeSignalError`](Error) when the peer does not take this signal, or it is too large.
pub fn encode_signal(signal: &Signal, flags: Flags) -> Result<OutMessage, Error> {
    let cached = flags.contains(Flags::DIST_HDR_ATOM_CACHE);
    let mut control = match cached {
        true => Encoder::with_atom_refs(),
        false => Encoder::plain(),
    };
    let payload = match encode_control(&mut control, signal, flags)? {
        Some(payload) if cached => payload.bytes().clone(),
        Some(payload) => written_out(payload)?,
        None => Bytes::new(),
    };
    let (control, atoms) = control.into_parts();
    let message = OutMessage {
        control,
        payload,
        atoms,
    };
    check_len(message.len())?;
    Ok(message)
}

/// Writes the control tuple of `signal` with an encoder that starts anew, and answers the payload that follows it. With
/// atoms as references, those of the payload are the first ones.
pub(crate) fn encode_control<'a>(
    control: &mut Encoder,
    signal: &'a Signal,
    flags: Flags,
) -> Result<Option<&'a EncodedTerm>, Error> {
    let op = choose(signal, flags)?;
    let payload = signal.payload().filter(|_| op.has_payload());
    control.restart(payload.map_or(&[], EncodedTerm::atoms));
    write(control, op, signal)?;
    check_len(control.len() + payload.map_or(0, |payload| payload.bytes().len()))?;
    Ok(payload)
}

/// The bytes of `term` with its atoms inline.
fn written_out(term: &EncodedTerm) -> Result<Bytes, EncodeError> {
    if term.atoms().is_empty() {
        return Ok(term.bytes().clone());
    }
    let mut plain = Encoder::plain();
    plain.view(term.view())?;
    Ok(plain.finish().0)
}

/// A frame's length has 32 bits; the header takes less than a MiB of them.
fn check_len(len: usize) -> Result<(), EncodeError> {
    if len > u32::MAX as usize - (1 << 20) {
        return Err(EncodeError::TooLong(len));
    }
    Ok(())
}

/// The kind of control message for `signal`, if a peer with `flags` knows one.
fn choose(signal: &Signal, flags: Flags) -> Result<Op, Error> {
    let either = |flag, with, without| if flags.contains(flag) { with } else { without };
    let needs = |flag, op| {
        if flags.contains(flag) {
            Ok(op)
        } else {
            Err(Error::NotSupported(flag))
        }
    };
    let op = match signal {
        Signal::Link { .. } => Op::Link,
        Signal::Unlink { .. } => needs(Flags::UNLINK_ID, Op::UnlinkId)?,
        Signal::UnlinkAck { .. } => needs(Flags::UNLINK_ID, Op::UnlinkIdAck)?,
        Signal::UnlinkObsolete { .. } => return Err(Error::Obsolete),
        Signal::GroupLeader { .. } => Op::GroupLeader,
        Signal::Exit { .. } => either(Flags::EXIT_PAYLOAD, Op::PayloadExit, Op::Exit),
        Signal::Exit2 { to, priority, .. } => match to {
            Recipient::Pid(_) if !(*priority && flags.contains(Flags::ALTACT_SIG)) => {
                either(Flags::EXIT_PAYLOAD, Op::PayloadExit2, Op::Exit2)
            }
            _ => needs(Flags::ALTACT_SIG, Op::AltactSigSend)?,
        },
        Signal::Send {
            from, to, priority, ..
        } => send(*from, to, *priority, flags)?,
        Signal::Monitor { to, .. } => needs(monitor_flag(to), Op::MonitorP)?,
        Signal::Demonitor { to, .. } => needs(monitor_flag(to), Op::DemonitorP)?,
        Signal::MonitorExit { .. } => either(
            Flags::EXIT_PAYLOAD,
            Op::PayloadMonitorPExit,
            Op::MonitorPExit,
        ),
        Signal::SpawnRequest(_) => needs(Flags::SPAWN, Op::SpawnRequest)?,
        Signal::SpawnReply { .. } => needs(Flags::SPAWN, Op::SpawnReply)?,
    };
    Ok(if signal.token().is_some() {
        op.with_token()
    } else {
        op
    })
}

/// OTP 28 sends plain messages to pids and names in the old forms, and to aliases in the new one.
fn send(from: Option<Pid>, to: &Recipient, priority: bool, flags: Flags) -> Result<Op, Error> {
    let altact = flags.contains(Flags::ALTACT_SIG);
    let op = match to {
        Recipient::Pid(_) if from.is_none() => return Ok(Op::Send),
        Recipient::Alias(_) if altact => Op::AltactSigSend,
        _ if altact && priority => Op::AltactSigSend,
        Recipient::Pid(_) if flags.contains(Flags::SEND_SENDER) => Op::SendSender,
        Recipient::Pid(_) => Op::Send,
        Recipient::Name(_) => Op::RegSend,
        Recipient::Alias(_) if flags.contains(Flags::ALIAS) => Op::AliasSend,
        Recipient::Alias(_) => return Err(Error::NotSupported(Flags::ALIAS)),
    };
    if from.is_none() {
        return Err(Error::NoSender);
    }
    Ok(op)
}

fn monitor_flag(to: &Monitored) -> Flags {
    match to {
        Monitored::Pid(_) => Flags::DIST_MONITOR,
        Monitored::Name(_) => Flags::DIST_MONITOR_NAME,
    }
}

/// Writes the tuple of `signal` in the form `op`.
fn write(out: &mut Encoder, op: Op, signal: &Signal) -> Result<(), EncodeError> {
    let token = signal.token();
    let extra = usize::from(op == Op::AltactSigSend && token.is_some());
    out.tuple(op.elements() + extra)?;
    out.int(op.number().into());
    match signal {
        Signal::Link { from, to } | Signal::UnlinkObsolete { from, to } => {
            out.pid(from);
            out.pid(to);
        }
        Signal::Unlink { id, from, to } | Signal::UnlinkAck { id, from, to } => {
            out.uint128(id.get().into());
            out.pid(from);
            out.pid(to);
        }
        Signal::GroupLeader { leader, to } => {
            out.pid(leader);
            out.pid(to);
        }
        Signal::Exit { from, to, .. } => {
            out.pid(from);
            out.pid(to);
        }
        Signal::Exit2 {
            from, to, priority, ..
        } => {
            if op == Op::AltactSigSend {
                out.int(altact_flags(to, *priority, token) | altact::EXIT);
            }
            out.pid(from);
            recipient(out, to);
        }
        Signal::Send {
            from, to, priority, ..
        } => {
            if op == Op::AltactSigSend {
                out.int(altact_flags(to, *priority, token));
            }
            if let (Some(from), false) = (from, matches!(op, Op::Send | Op::SendTt)) {
                out.pid(from);
            }
            if matches!(op, Op::Send | Op::SendTt | Op::RegSend | Op::RegSendTt) {
                out.atom(&atom!(""));
            }
            recipient(out, to);
        }
        Signal::Monitor {
            from,
            to,
            reference,
        }
        | Signal::Demonitor {
            from,
            to,
            reference,
        } => {
            out.pid(from);
            monitored(out, to);
            out.reference(reference);
        }
        Signal::MonitorExit {
            from,
            to,
            reference,
            ..
        } => {
            monitored(out, from);
            out.pid(to);
            out.reference(reference);
        }
        Signal::SpawnRequest(request) => spawn_request(out, request)?,
        Signal::SpawnReply {
            id,
            to,
            linked,
            monitored,
            result,
            ..
        } => {
            out.reference(id);
            out.pid(to);
            let link = if *linked { spawn_reply::LINK } else { 0 };
            let monitor = if *monitored { spawn_reply::MONITOR } else { 0 };
            out.int(link | monitor);
            match result {
                Ok(pid) => out.pid(pid),
                Err(error) => out.atom(error),
            }
        }
    }
    if let Some(token) = token {
        out.view(token.view())?;
    }
    match signal.payload() {
        Some(reason) if !op.has_payload() => out.view(reason.view()),
        _ => Ok(()),
    }
}

fn altact_flags(to: &Recipient, priority: bool, token: Option<&EncodedTerm>) -> i64 {
    let to = match to {
        Recipient::Pid(_) => 0,
        Recipient::Name(_) => altact::NAME,
        Recipient::Alias(_) => altact::ALIAS,
    };
    let priority = if priority { altact::PRIORITY } else { 0 };
    let token = token.map_or(0, |_| altact::TOKEN);
    to | priority | token
}

fn recipient(out: &mut Encoder, to: &Recipient) {
    match to {
        Recipient::Pid(pid) => out.pid(pid),
        Recipient::Name(name) => out.atom(name),
        Recipient::Alias(alias) => out.reference(alias),
    }
}

fn monitored(out: &mut Encoder, process: &Monitored) {
    match process {
        Monitored::Pid(pid) => out.pid(pid),
        Monitored::Name(name) => out.atom(name),
    }
}

fn spawn_request(out: &mut Encoder, request: &SpawnRequest) -> Result<(), EncodeError> {
    out.reference(&request.id);
    out.pid(&request.from);
    out.pid(&request.group_leader);
    out.tuple(3)?;
    out.atom(&request.module);
    out.atom(&request.function);
    out.int(request.arity.into());
    out.view(request.options.view())
}

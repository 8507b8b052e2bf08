//! What the tests of the channel share.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

use std::num::NonZeroU64;

use bytes::Bytes;
use purlin_proto::channel::limits::ChannelLimits;
use purlin_proto::channel::{FlowId, Receiver, Sender};
use purlin_proto::control::encode_signal;
use purlin_proto::flags::Flags;
use purlin_proto::frame::{Deframer, Frame};
use purlin_proto::signal::{Monitored, Recipient, Signal, SpawnRequest};
use purlin_term::{Atom, EncodedTerm, NodeName, Pid, Reference, Term};

/// Every combination that a peer is known to have, the two of OTP and the old ones first.
pub const FLAGS: [Flags; 6] = [
    Flags::OTP28,
    Flags::OTP25,
    Flags::FRAGMENTS_ONLY,
    Flags::PASS_THROUGH,
    // ei and Jinterface: no SPAWN, ALIAS, SEND_SENDER, EXIT_PAYLOAD, FRAGMENTS, cache.
    Flags::from_bits(0x4_0707_4F9C),
    Flags::from_bits(0x4_0707_0F94),
];

pub fn atom(text: &str) -> Atom {
    Atom::new(text).unwrap()
}

pub fn node(name: &str) -> NodeName {
    NodeName::new(atom(name)).unwrap()
}

pub fn pid(id: u32) -> Pid {
    Pid {
        node: node("a@host"),
        creation: 0x6b01_4f58,
        id,
        serial: 0,
    }
}

pub fn peer_pid(id: u32) -> Pid {
    Pid {
        node: node("b@host"),
        ..pid(id)
    }
}

pub fn reference(words: &[u32]) -> Reference {
    Reference::new(node("b@host"), 7, words).unwrap()
}

pub fn encoded(term: impl Into<Term>) -> EncodedTerm {
    EncodedTerm::encode(&term.into()).unwrap()
}

/// A signal in the one form that loses nothing, to be compared: control tuple and payload with
/// atoms inline.
pub fn canonical(signal: &Signal) -> (Bytes, Bytes) {
    if let Signal::UnlinkObsolete { from, to } = *signal {
        let link = canonical(&Signal::Link { from, to });
        return (link.0, Bytes::from_static(b"obsolete"));
    }
    let flags = Flags::OTP28
        .without(Flags::DIST_HDR_ATOM_CACHE)
        .without(Flags::FRAGMENTS);
    let message = encode_signal(signal, flags).unwrap();
    (
        Bytes::copy_from_slice(message.control()),
        message.payload().clone(),
    )
}

/// All frames that are queued, as bytes of the stream.
pub fn drain(sender: &mut Sender) -> Vec<u8> {
    let mut stream = Vec::new();
    while let Some(payload) = sender.poll_frame(&mut stream) {
        stream.extend_from_slice(&payload);
    }
    stream
}

/// The bodies of the frames in `stream`, which must be whole.
pub fn bodies(stream: &[u8]) -> Vec<Bytes> {
    let mut deframer = Deframer::default();
    deframer.handle_bytes(stream);
    let mut bodies = Vec::new();
    while let Some(frame) = deframer.next_frame().unwrap() {
        match frame {
            Frame::Tick => bodies.push(Bytes::new()),
            Frame::Body(body) => bodies.push(body),
        }
    }
    assert_eq!(deframer.buffered_len(), 0);
    bodies
}

/// Sends `signal` through a channel of its own and answers what arrives.
pub fn through(signal: &Signal, flags: Flags) -> Signal {
    let mut sender = Sender::new(flags);
    sender.push(FlowId(1), encode_signal(signal, flags).unwrap());
    let mut receiver = Receiver::new(flags, &ChannelLimits::default());
    let mut arrived = Vec::new();
    for body in bodies(&drain(&mut sender)) {
        arrived.extend(receiver.handle_frame(body).unwrap());
    }
    assert_eq!(sender.queued_bytes(), 0);
    assert_eq!(receiver.held_bytes(), 0);
    assert_eq!(arrived.len(), 1);
    arrived.pop().unwrap()
}

/// What a peer with `flags` learns of `signal`; `None` if it cannot be told at all.
pub fn as_seen(signal: &Signal, flags: Flags) -> Option<Signal> {
    let has = |flag| flags.contains(flag);
    let mut seen = signal.clone();
    let told = match &mut seen {
        Signal::Send {
            from, to, priority, ..
        } => {
            *priority &= has(Flags::ALTACT_SIG);
            if matches!(to, Recipient::Pid(_)) && !has(Flags::SEND_SENDER) && !*priority {
                *from = None;
            }
            let alias = has(Flags::ALIAS) || has(Flags::ALTACT_SIG);
            alias || !matches!(to, Recipient::Alias(_))
        }
        Signal::Exit2 { to, priority, .. } => {
            *priority &= has(Flags::ALTACT_SIG);
            has(Flags::ALTACT_SIG) || matches!(to, Recipient::Pid(_))
        }
        Signal::Monitor { to, .. } | Signal::Demonitor { to, .. } => match to {
            Monitored::Pid(_) => has(Flags::DIST_MONITOR),
            Monitored::Name(_) => has(Flags::DIST_MONITOR_NAME),
        },
        Signal::SpawnRequest(_) | Signal::SpawnReply { .. } => has(Flags::SPAWN),
        Signal::Unlink { .. } | Signal::UnlinkAck { .. } => has(Flags::UNLINK_ID),
        _ => true,
    };
    told.then_some(seen)
}

/// A signal of every kind, with `term` where a user may choose one. `mark` is in each of them.
pub fn every_signal(mark: u32, term: &Term, token: Option<&Term>) -> Vec<Signal> {
    let term = || encoded(term.clone());
    let token = || token.map(|token| Box::new(encoded(token.clone())));
    let (from, to) = (pid(mark), peer_pid(mark));
    let id = NonZeroU64::new(u64::from(mark) << 32 | 1).unwrap();
    let monitor = reference(&[mark, 2, 3]);
    let alias = reference(&[mark, 2, 3, 4, 5]);
    let name = atom(&format!("name_{mark}"));
    let mut signals = vec![
        Signal::Link { from, to },
        Signal::Unlink { id, from, to },
        Signal::UnlinkAck { id, from, to },
        Signal::GroupLeader { leader: from, to },
        Signal::Exit {
            from,
            to,
            reason: term(),
            token: token(),
        },
        Signal::MonitorExit {
            from: Monitored::Pid(from),
            to,
            reference: monitor,
            reason: term(),
        },
        Signal::MonitorExit {
            from: Monitored::Name(name.clone()),
            to,
            reference: monitor,
            reason: term(),
        },
        Signal::SpawnRequest(Box::new(SpawnRequest {
            id: monitor,
            from,
            group_leader: pid(71),
            module: atom("m"),
            function: atom("f"),
            arity: 300,
            options: encoded(Term::list([Term::from(atom("monitor"))])),
            arguments: term(),
            token: token(),
        })),
    ];
    for (result, linked, monitored) in [
        (Ok(from), true, false),
        (Ok(from), false, true),
        (Err(atom("badopt")), false, false),
    ] {
        signals.push(Signal::SpawnReply {
            id: monitor,
            to,
            linked,
            monitored,
            result,
            token: token(),
        });
    }
    for to in [Monitored::Pid(to), Monitored::Name(name.clone())] {
        let reference = monitor;
        signals.push(Signal::Monitor {
            from,
            to: to.clone(),
            reference,
        });
        signals.push(Signal::Demonitor {
            from,
            to,
            reference,
        });
    }
    for to in [
        Recipient::Pid(to),
        Recipient::Name(name),
        Recipient::Alias(alias),
    ] {
        for priority in [false, true] {
            signals.push(Signal::Send {
                from: Some(from),
                to: to.clone(),
                message: term(),
                priority,
                token: token(),
            });
            signals.push(Signal::Exit2 {
                from,
                to: to.clone(),
                reason: term(),
                priority,
                token: token(),
            });
        }
    }
    signals.push(Signal::Send {
        from: None,
        to: Recipient::Pid(to),
        message: term(),
        priority: false,
        token: token(),
    });
    signals
}

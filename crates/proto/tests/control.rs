//! Every control message, in every form, right and wrong.

mod common;

use bytes::Bytes;
use common::*;
use purlin_proto::channel::limits::ChannelLimits;
use purlin_proto::channel::{ChannelError, Receiver};
use purlin_proto::control::{ControlError, EncodeSignalError, Op, encode_signal};
use purlin_proto::flags::Flags;
use purlin_proto::signal::{Monitored, Recipient, Signal};
use purlin_term::{Term, to_external};

fn text(text: &str) -> Term {
    Term::from(atom(text))
}

fn token() -> Term {
    Term::tuple([1.into(), 17.into(), 1.into(), pid(1).into(), 0.into()])
}

/// A control tuple as section 6 of the protocol document has it, and a peer that gets this form.
fn tuple(op: Op) -> (Vec<Term>, Flags) {
    let (from, to) = (Term::from(pid(1)), Term::from(peer_pid(2)));
    let (unused, name, id) = (text(""), text("foo"), Term::from(reference(&[1, 2, 3])));
    let reason = text("bye");
    let new = Flags::OTP28.without(Flags::DIST_HDR_ATOM_CACHE | Flags::FRAGMENTS);
    let no_altact = new.without(Flags::ALTACT_SIG);
    let old = Flags::from_bits(0x4_0707_4F9C).with(Flags::DIST_MONITOR_NAME);
    let function = Term::tuple([text("m"), text("f"), 1.into()]);
    let (elements, flags) = match op {
        Op::Link | Op::Unlink | Op::GroupLeader => (vec![from, to], new),
        Op::Send => (vec![unused, to], old),
        Op::SendTt => (vec![unused, to, token()], old),
        Op::Exit | Op::Exit2 => (vec![from, to, reason], old),
        Op::ExitTt | Op::Exit2Tt => (vec![from, to, token(), reason], old),
        Op::RegSend => (vec![from, unused, name], new),
        Op::RegSendTt => (vec![from, unused, name, token()], new),
        Op::MonitorP | Op::DemonitorP => (vec![from, name, id], new),
        Op::MonitorPExit => (vec![name, to, id, reason], old),
        Op::PayloadMonitorPExit => (vec![name, to, id], new),
        Op::SendSender | Op::PayloadExit | Op::PayloadExit2 => (vec![from, to], new),
        Op::SendSenderTt | Op::PayloadExitTt | Op::PayloadExit2Tt => (vec![from, to, token()], new),
        Op::SpawnRequest => {
            let options = Term::list([text("monitor")]);
            (vec![id, from.clone(), from, function, options], new)
        }
        Op::SpawnRequestTt => (
            vec![id, from.clone(), from, function, Term::nil(), token()],
            new,
        ),
        Op::SpawnReply => (vec![id, to, 3.into(), from], new),
        Op::SpawnReplyTt => (vec![id, to, 0.into(), text("badopt"), token()], new),
        Op::AliasSend => (vec![from, id], no_altact),
        Op::AliasSendTt => (vec![from, id, token()], no_altact),
        Op::UnlinkId | Op::UnlinkIdAck => (vec![u64::MAX.into(), from, to], new),
        Op::AltactSigSend => (vec![(1 + 2 + 4).into(), from, id, token()], new),
        other => panic!("{other} has no example"),
    };
    let number = Term::from(i64::from(op.number()));
    (std::iter::once(number).chain(elements).collect(), flags)
}

/// A pass-through frame.
fn frame(control: Term, payload: Option<&Term>) -> Bytes {
    let mut frame = vec![112];
    frame.extend(to_external(&control));
    frame.extend(payload.map(to_external).unwrap_or_default());
    frame.into()
}

fn receive(frame: Bytes) -> Result<Signal, ChannelError> {
    let mut receiver = Receiver::new(Flags::PASS_THROUGH, &ChannelLimits::default());
    let answer = receiver.handle_frame(frame.clone());
    if answer.is_err() {
        let after = receiver.handle_frame(frame).unwrap_err();
        assert_eq!(after, ChannelError::Poisoned);
    }
    answer.map(|signal| signal.expect("a whole message"))
}

fn refusal(elements: &[Term], op: Op) -> ControlError {
    let payload = op.has_payload().then(|| text("hi"));
    match receive(frame(
        Term::tuple(elements.iter().cloned()),
        payload.as_ref(),
    )) {
        Err(ChannelError::Control(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_form_decodes_and_encodes_to_the_same_bytes() {
    for &op in Op::ALL {
        let (elements, flags) = tuple(op);
        let control = Term::tuple(elements);
        let payload = op.has_payload().then(|| text("hi"));
        let signal = receive(frame(control.clone(), payload.as_ref())).unwrap();
        if op == Op::Unlink {
            assert!(matches!(signal, Signal::UnlinkObsolete { .. }));
            continue;
        }
        let message = encode_signal(&signal, flags).unwrap();
        assert_eq!(message.control(), &to_external(&control)[1..], "{op}");
        let payload = payload.map_or(Vec::new(), |payload| to_external(&payload)[1..].to_vec());
        assert_eq!(message.payload()[..], payload, "{op}");
    }
}

#[test]
fn reasons_come_out_the_same_from_the_tuple_and_from_the_payload() {
    for (old, new) in [
        (Op::Exit, Op::PayloadExit),
        (Op::ExitTt, Op::PayloadExitTt),
        (Op::Exit2, Op::PayloadExit2),
        (Op::Exit2Tt, Op::PayloadExit2Tt),
        (Op::MonitorPExit, Op::PayloadMonitorPExit),
    ] {
        let inside = receive(frame(Term::tuple(tuple(old).0), None)).unwrap();
        let after = receive(frame(Term::tuple(tuple(new).0), Some(&text("bye")))).unwrap();
        assert_eq!(canonical(&inside), canonical(&after), "{old}");
        let reason = inside.payload().unwrap().to_term().unwrap();
        assert_eq!(reason, text("bye"));
    }
}

/// Elements that are free: cookie slots, trace tokens, options, reasons. Counted from 1.
fn is_free(op: Op, element: usize) -> bool {
    match op {
        Op::Send => element == 2,
        Op::SendTt => element == 2 || element == 4,
        Op::RegSend => element == 3,
        Op::RegSendTt => element == 3 || element == 5,
        Op::Exit | Op::Exit2 => element == 4,
        Op::ExitTt | Op::Exit2Tt => element >= 4,
        Op::MonitorPExit | Op::AltactSigSend => element == 5,
        Op::SendSenderTt | Op::PayloadExitTt | Op::PayloadExit2Tt | Op::AliasSendTt => element == 4,
        Op::SpawnRequest => element == 6,
        Op::SpawnRequestTt => element >= 6,
        Op::SpawnReplyTt => element == 6,
        _ => false,
    }
}

#[test]
fn a_wrong_type_names_the_element() {
    for &op in Op::ALL {
        let (elements, _) = tuple(op);
        for wrong in 2..=elements.len() {
            let mut elements = elements.clone();
            elements[wrong - 1] = Term::float(1.5).unwrap();
            if is_free(op, wrong) {
                let payload = op.has_payload().then(|| text("hi"));
                receive(frame(Term::tuple(elements), payload.as_ref())).unwrap();
                continue;
            }
            match refusal(&elements, op) {
                ControlError::Element {
                    op: named, element, ..
                } => {
                    assert_eq!((named, element), (op, wrong));
                }
                other => panic!("{op}, element {wrong}: {other}"),
            }
        }
    }
}

#[test]
fn a_tuple_of_another_size_is_refused() {
    for &op in Op::ALL {
        let (mut elements, _) = tuple(op);
        elements.push(text("more"));
        let found = elements.len();
        assert_eq!(refusal(&elements, op), ControlError::Arity { op, found });
        elements.truncate(found - 2);
        let found = found - 2;
        assert_eq!(refusal(&elements, op), ControlError::Arity { op, found });
        let none = [elements[0].clone()];
        assert_eq!(refusal(&none, op), ControlError::Arity { op, found: 1 });
    }
}

#[test]
fn a_missing_payload_and_one_too_many_are_refused() {
    for &op in Op::ALL {
        let control = Term::tuple(tuple(op).0);
        let (payload, expected) = if op.has_payload() {
            (None, ControlError::MissingPayload(op))
        } else {
            (Some(text("hi")), ControlError::UnexpectedPayload(op))
        };
        let error = receive(frame(control, payload.as_ref())).unwrap_err();
        assert_eq!(error, ChannelError::Control(expected));
    }
}

#[test]
fn what_is_no_control_message_is_refused() {
    let refused = |control: Term, expected| {
        let error = receive(frame(control, None)).unwrap_err();
        assert_eq!(error, ChannelError::Control(expected));
    };
    refused(text("no_tuple"), ControlError::NotATuple);
    refused(Term::tuple([]), ControlError::NoNumber);
    refused(Term::tuple([text("link")]), ControlError::NoNumber);
    for number in [0, 5, 9, 14, 38, -1, 256 + 1, i64::MAX] {
        let tuple = Term::tuple([number.into(), pid(1).into(), pid(2).into()]);
        refused(tuple, ControlError::UnknownNumber(number));
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    let with = |op, element: usize, value: Term| {
        let mut elements = tuple(op).0;
        elements[element - 1] = value;
        refusal(&elements, op)
    };
    let big = || Term::from(purlin_term::BigInt::from(1u128 << 64));
    let element = |error| matches!(error, ControlError::Element { element: 2, .. });
    for id in [Term::from(0), Term::from(-1), big()] {
        assert!(element(with(Op::UnlinkId, 2, id)));
    }
    assert!(element(with(Op::AltactSigSend, 2, (4 + 8).into())));
    assert!(element(with(Op::AltactSigSend, 2, (-1).into())));
    let arity = |arity: Term| Term::tuple([text("m"), text("f"), arity]);
    for arity in [arity((-1).into()), arity(big()), Term::tuple([text("m")])] {
        let error = with(Op::SpawnRequest, 5, arity);
        assert!(
            matches!(error, ControlError::Element { element: 5, .. }),
            "{error}"
        );
    }
}

#[test]
fn errors_say_what_and_where() {
    let mut elements = tuple(Op::SendSender).0;
    elements[2] = 7.into();
    let error = refusal(&elements, Op::SendSender);
    assert_eq!(
        error.to_string(),
        "element 3 of SEND_SENDER (22) is not a pid"
    );
}

#[test]
fn every_signal_arrives_at_every_peer_as_far_as_that_can_see() {
    let terms = [
        text("hi"),
        Term::tuple([
            text("a"),
            pid(5).into(),
            Term::from("x".repeat(3000).as_str()),
        ]),
    ];
    for flags in FLAGS {
        for (term, token) in terms.iter().zip([None, Some(&token())]) {
            for signal in every_signal(9, term, token) {
                match as_seen(&signal, flags) {
                    Some(seen) => {
                        let arrived = through(&signal, flags);
                        assert_eq!(canonical(&arrived), canonical(&seen), "{signal:?}, {flags}");
                    }
                    None => {
                        let error = encode_signal(&signal, flags).unwrap_err();
                        assert!(
                            matches!(error, EncodeSignalError::NotSupported(_)),
                            "{error}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn an_alias_is_addressed_as_otp_28_does_and_as_otp_25_does() {
    let signal = Signal::Send {
        from: Some(pid(1)),
        to: Recipient::Alias(reference(&[1, 2, 3])),
        message: encoded(text("hi")),
        priority: false,
        token: None,
    };
    let start = |flags| encode_signal(&signal, flags).unwrap().control()[..6].to_vec();
    assert_eq!(start(Flags::OTP28), [104, 4, 97, 37, 97, 4]);
    assert_eq!(start(Flags::OTP25)[..4], [104, 3, 97, 33]);
    let exit = Signal::Exit2 {
        from: pid(1),
        to: Recipient::Pid(peer_pid(2)),
        reason: encoded(text("bye")),
        priority: true,
        token: None,
    };
    let exit = encode_signal(&exit, Flags::OTP28).unwrap();
    assert_eq!(exit.control()[..6], [104, 4, 97, 37, 97, 1 + 16]);
}

#[test]
fn what_cannot_be_sent_says_why() {
    let plain = Flags::from_bits(0x4_0707_0F94);
    let monitor = |to| Signal::Monitor {
        from: pid(1),
        to,
        reference: reference(&[1]),
    };
    let refused = |signal: &Signal, flags| encode_signal(signal, flags).unwrap_err();
    assert_eq!(
        refused(&monitor(Monitored::Pid(peer_pid(1))), plain),
        EncodeSignalError::NotSupported(Flags::DIST_MONITOR)
    );
    assert_eq!(
        refused(&monitor(Monitored::Name(atom("x"))), plain),
        EncodeSignalError::NotSupported(Flags::DIST_MONITOR_NAME)
    );
    let (from, to) = (pid(1), pid(2));
    let obsolete = Signal::UnlinkObsolete { from, to };
    assert_eq!(
        refused(&obsolete, Flags::OTP25),
        EncodeSignalError::Obsolete
    );
    let nobody = Signal::Send {
        from: None,
        to: Recipient::Name(atom("x")),
        message: encoded(1),
        priority: false,
        token: None,
    };
    assert_eq!(refused(&nobody, Flags::OTP25), EncodeSignalError::NoSender);
}

#[test]
fn a_payload_is_shared_with_the_message_not_copied() {
    let message = encoded(Term::tuple([
        text("a"),
        Term::from("x".repeat(5000).as_str()),
    ]));
    let signal = Signal::Send {
        from: Some(pid(1)),
        to: Recipient::Pid(peer_pid(2)),
        message: message.clone(),
        priority: false,
        token: None,
    };
    let out = encode_signal(&signal, Flags::OTP28).unwrap();
    assert_eq!(out.payload().as_ptr(), message.bytes().as_ptr());
    assert_eq!(out.atoms(), [atom("a"), atom("a@host"), atom("b@host")]);
}

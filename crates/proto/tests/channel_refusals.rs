//! What a receiver refuses, and what a peer cannot make it hold.

mod common;

use std::io::Write;

use bytes::Bytes;
use common::*;
use purlin_proto::channel::limits::{COPIED_PAYLOAD_MAX, ChannelLimits};
use purlin_proto::channel::{ChannelError, FlowId, Receiver, Sender};
use purlin_proto::control::{ControlError, Op, encode_signal};
use purlin_proto::flags::Flags;
use purlin_proto::signal::{Recipient, Signal};
use purlin_term::{DecodeError, DecodeErrorKind as Kind, Encoder, Limits, Term, to_external};

fn receiver(flags: Flags) -> Receiver {
    Receiver::new(flags, &ChannelLimits::default())
}

/// The error of the last frame; those before it must be accepted.
fn refusal(receiver: &mut Receiver, frames: &[Vec<u8>]) -> ChannelError {
    let (last, before) = frames.split_last().unwrap();
    for frame in before {
        receiver.handle_frame(frame.clone().into()).unwrap();
    }
    let error = receiver.handle_frame(last.clone().into()).unwrap_err();
    let again = receiver.handle_frame(last.clone().into()).unwrap_err();
    assert_eq!(again, ChannelError::Poisoned);
    error
}

fn refused(flags: Flags, frame: &[u8]) -> ChannelError {
    refusal(&mut receiver(flags), &[frame.to_vec()])
}

/// `{22, From, To}` without the version byte, atoms inline.
fn send_sender() -> Vec<u8> {
    plain(&Term::tuple([22.into(), pid(1).into(), peer_pid(2).into()]))
}

fn link() -> Vec<u8> {
    plain(&Term::tuple([1.into(), pid(1).into(), peer_pid(2).into()]))
}

fn plain(term: &Term) -> Vec<u8> {
    to_external(term)[1..].to_vec()
}

fn message(header: &[u8], control: &[u8], payload: &[u8]) -> Vec<u8> {
    [&[131, 68], header, control, payload].concat()
}

fn first(sequence: u64, number: u64, control: &[u8], part: &[u8]) -> Vec<u8> {
    let ids = [sequence.to_be_bytes(), number.to_be_bytes()].concat();
    [&[131, 69], &ids[..], &[0], control, part].concat()
}

fn more(sequence: u64, number: u64, part: &[u8]) -> Vec<u8> {
    let ids = [sequence.to_be_bytes(), number.to_be_bytes()].concat();
    [&[131, 70], &ids[..], part].concat()
}

#[test]
fn forms_that_were_not_negotiated_are_refused() {
    let pass_through = [&[112, 131][..], &link()].concat();
    let with_header = message(&[0], &link(), &[]);
    let fragment = first(1, 1, &send_sender(), &[106]);
    let cache_only = Flags::OTP28.without(Flags::FRAGMENTS);
    for (flags, frame, accepted) in [
        (Flags::PASS_THROUGH, &pass_through, true),
        (Flags::PASS_THROUGH, &with_header, false),
        (Flags::PASS_THROUGH, &fragment, false),
        (Flags::FRAGMENTS_ONLY, &pass_through, false),
        (Flags::FRAGMENTS_ONLY, &with_header, true),
        (Flags::FRAGMENTS_ONLY, &fragment, true),
        (cache_only, &pass_through, false),
        (cache_only, &with_header, true),
        (cache_only, &fragment, false),
        (Flags::OTP28, &pass_through, false),
        (Flags::OTP28, &with_header, true),
        (Flags::OTP28, &fragment, true),
    ] {
        if accepted {
            let signal = receiver(flags).handle_frame(frame.clone().into()).unwrap();
            assert!(signal.is_some());
        } else {
            let (first, second) = (frame[0], frame[1]);
            assert_eq!(refused(flags, frame), ChannelError::Form { first, second });
        }
    }
}

#[test]
fn a_start_that_is_none_is_refused() {
    let form = |first, second| ChannelError::Form { first, second };
    assert_eq!(refused(Flags::OTP28, b"GET / HTTP"), form(b'G', b'E'));
    assert_eq!(refused(Flags::OTP28, &[131]), form(131, 0));
    assert_eq!(refused(Flags::OTP28, &[131, 71, 0]), form(131, 71));
    assert_eq!(refused(Flags::PASS_THROUGH, &[112, 130]), form(112, 130));
}

#[test]
fn a_tick_is_no_signal() {
    for flags in FLAGS {
        assert!(
            receiver(flags)
                .handle_frame(Bytes::new())
                .unwrap()
                .is_none()
        );
    }
}

#[test]
fn a_header_cut_anywhere_is_refused() {
    let header = [3, 0x88, 0x08, 0, 1, b'a', 1, 1, b'b', 2, 1, b'c'];
    let control = [104, 3, 97, 1];
    let whole = message(&header, &control, &[]);
    for len in 2..2 + header.len() {
        let error = refused(Flags::OTP28, &whole[..len]);
        assert_eq!(error, ChannelError::Truncated { at: len });
    }
    let error = refused(Flags::OTP28, &whole);
    let kind = Kind::Truncated;
    assert!(
        matches!(error, ChannelError::ControlTerm(DecodeError { kind: found, .. }) if found == kind)
    );
    for len in 2..19 {
        let cut = &more(1, 1, b"")[..len.min(18)];
        let error = refused(Flags::OTP28, cut);
        if len < 18 {
            assert_eq!(error, ChannelError::Truncated { at: len });
        }
    }
}

#[test]
fn bad_atoms_of_a_header_are_refused() {
    let empty = refused(Flags::OTP28, &message(&[1, 3, 9], &[], &[]));
    let slot = 3 * 256 + 9;
    assert_eq!(empty, ChannelError::EmptySlot { reference: 0, slot });
    let not_utf8 = refused(Flags::OTP28, &message(&[1, 8, 9, 2, 0xc3, 0x28], &[], &[]));
    assert_eq!(
        not_utf8,
        ChannelError::BadAtom {
            reference: 0,
            at: 6
        }
    );
    let mut long = vec![1, 0x18, 9, 1, 0];
    long.extend([b'a'; 256]);
    let too_long = refused(Flags::OTP28, &message(&long, &[], &[]));
    assert_eq!(
        too_long,
        ChannelError::BadAtom {
            reference: 0,
            at: 7
        }
    );
    let none = refused(
        Flags::FRAGMENTS_ONLY,
        &message(&[1, 8, 9, 1, b'a'], &[], &[]),
    );
    assert_eq!(none, ChannelError::CacheNotNegotiated(1));
}

#[test]
fn a_reference_past_the_header_is_refused_in_control_and_payload() {
    let header = [1, 8, 9, 3, b'a', b'@', b'h'];
    let control = [104, 3, 97, 22, 82, 1, 82, 0];
    let error = refused(Flags::OTP28, &message(&header, &control, &[]));
    let kind = Kind::UnknownAtomRef(1);
    assert!(
        matches!(error, ChannelError::ControlTerm(DecodeError { kind: found, .. }) if found == kind)
    );
    let error = refused(Flags::OTP28, &message(&header, &send_sender(), &[82, 1]));
    let expected = DecodeError { kind, at: 2 };
    assert_eq!(
        error,
        ChannelError::Payload {
            op: Op::SendSender,
            error: expected
        }
    );
}

#[test]
fn a_message_without_its_payload_is_refused_in_every_form() {
    for flags in [Flags::OTP28, Flags::OTP25] {
        for signal in every_signal(1, &Term::from(1), None) {
            let Ok(message) = encode_signal(&signal, flags) else {
                continue;
            };
            let payload_len = message.payload().len();
            let mut sender = Sender::new(flags);
            sender.push(FlowId(1), message);
            let body = bodies(&drain(&mut sender)).pop().unwrap();
            let cut = body.slice(..body.len() - payload_len);
            let answer = receiver(flags).handle_frame(cut);
            let missing = |error| {
                matches!(
                    error,
                    ChannelError::Control(ControlError::MissingPayload(_))
                )
            };
            assert_eq!(answer.is_err_and(missing), payload_len > 0, "{signal:?}");
        }
    }
}

#[test]
fn a_control_message_in_fragments_is_refused_at_the_first() {
    let unknown = plain(&Term::tuple([38.into()]));
    let error = refused(Flags::OTP28, &first(7, 9, &unknown, &[109]));
    assert_eq!(error, ControlError::UnknownNumber(38).into());
    let error = refused(Flags::OTP28, &first(7, 9, &[104, 3, 97], &[]));
    assert!(matches!(error, ChannelError::ControlTerm(_)));
}

#[test]
fn a_payload_is_one_whole_term() {
    let payload =
        |payload: &[u8]| match refused(Flags::OTP28, &message(&[0], &send_sender(), payload)) {
            ChannelError::Payload {
                op: Op::SendSender,
                error,
            } => error.kind,
            other => panic!("{other}"),
        };
    assert_eq!(payload(&[97]), Kind::Truncated);
    assert_eq!(payload(&[106, 106]), Kind::Trailing(1));
    assert_eq!(payload(&[131, 106]), Kind::UnknownTag(131));
    assert_eq!(payload(&[109, 0xff, 0xff, 0xff, 0xff]), Kind::Truncated);
    assert_eq!(
        payload(&[108, 0xff, 0xff, 0xff, 0xff, 106]),
        Kind::Truncated
    );
    let deep = [[104, 1].repeat(2000), vec![106]].concat();
    assert_eq!(payload(&deep), Kind::TooDeep);
}

#[test]
fn pass_through_payloads_need_their_version() {
    let frame = |after: &[u8]| [&[112, 131][..], &send_sender(), after].concat();
    let payload = |after: &[u8]| match refused(Flags::PASS_THROUGH, &frame(after)) {
        ChannelError::Payload {
            op: Op::SendSender,
            error,
        } => error.kind,
        other => panic!("{other}"),
    };
    assert_eq!(payload(&[106]), Kind::Version(106));
    assert_eq!(payload(&[131]), Kind::Truncated);
    assert_eq!(payload(&[131, 82, 0]), Kind::UnknownAtomRef(0));
    let link = [&[112, 131][..], &link(), &[131, 106]].concat();
    assert_eq!(
        refused(Flags::PASS_THROUGH, &link),
        ChannelError::Control(ControlError::UnexpectedPayload(Op::Link))
    );
    let missing = ControlError::MissingPayload(Op::SendSender);
    assert_eq!(refused(Flags::PASS_THROUGH, &frame(&[])), missing.into());
}

fn compressed(term: &[u8], claimed: usize) -> Vec<u8> {
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    zlib.write_all(term).unwrap();
    let size = u32::try_from(claimed).unwrap().to_be_bytes();
    [&[131, 80], &size[..], &zlib.finish().unwrap()].concat()
}

#[test]
fn compressed_payloads_are_inflated_within_bounds() {
    let term = Term::from("x".repeat(100_000).as_str());
    let frame = |payload: &[u8]| [&[112, 131][..], &send_sender(), payload].concat();
    let bytes = plain(&term);
    let good = frame(&compressed(&bytes, bytes.len()));
    let signal = receiver(Flags::PASS_THROUGH)
        .handle_frame(good.clone().into())
        .unwrap();
    assert_eq!(signal.unwrap().payload().unwrap().to_term().unwrap(), term);

    let kind = |frame: &[u8], limits: &ChannelLimits| {
        let mut receiver = Receiver::new(Flags::PASS_THROUGH, limits);
        match refusal(&mut receiver, &[frame.to_vec()]) {
            ChannelError::Payload { error, .. } => error.kind,
            other => panic!("{other}"),
        }
    };
    let limits = ChannelLimits::default();
    let term = Limits {
        inflated_max: 50_000,
        ..Limits::default()
    };
    let tight = ChannelLimits { term, ..limits };
    assert_eq!(kind(&good, &tight), Kind::InflatesTooLarge(50_000));
    let liar = frame(&compressed(&bytes, bytes.len() - 1));
    assert_eq!(kind(&liar, &limits), Kind::BadCompression);
    let trailing = [good.clone(), vec![1]].concat();
    assert_eq!(kind(&trailing, &limits), Kind::Trailing(1));
    assert_eq!(kind(&good[..good.len() - 5], &limits), Kind::BadCompression);
    let with_header = message(&[0], &send_sender(), &compressed(&bytes, bytes.len())[1..]);
    let error = refused(Flags::OTP28, &with_header);
    let expected = DecodeError {
        kind: Kind::UnknownTag(80),
        at: 1,
    };
    assert_eq!(
        error,
        ChannelError::Payload {
            op: Op::SendSender,
            error: expected
        }
    );
}

#[test]
fn fragments_out_of_order_are_refused() {
    let begin = first(7, 3, &send_sender(), &[109]);
    let order = |frames: &[Vec<u8>]| refusal(&mut receiver(Flags::OTP28), frames);
    assert_eq!(
        order(&[begin.clone(), more(7, 1, &[0])]),
        ChannelError::FragmentOrder {
            sequence: 7,
            number: 1,
            expected: 2
        }
    );
    assert_eq!(
        order(&[begin.clone(), more(7, 2, &[0]), more(7, 2, &[0])]),
        ChannelError::FragmentOrder {
            sequence: 7,
            number: 2,
            expected: 1
        }
    );
    assert_eq!(
        order(&[begin.clone(), begin.clone()]),
        ChannelError::SequenceStartsAgain { sequence: 7 }
    );
    assert_eq!(
        order(&[begin.clone(), more(8, 2, &[0])]),
        ChannelError::UnknownSequence {
            sequence: 8,
            number: 2
        }
    );
    assert_eq!(
        order(&[first(7, 0, &send_sender(), &[106])]),
        ChannelError::FragmentZero { sequence: 7 }
    );
}

#[test]
fn a_message_in_fragments_is_checked_like_any_other() {
    let frames = |control: &[u8], parts: &[&[u8]]| {
        let count = parts.len() as u64;
        let mut frames = vec![first(7, count, control, parts[0])];
        let later = parts[1..].iter().zip((1..count).rev());
        frames.extend(later.map(|(part, number)| more(7, number, part)));
        refusal(&mut receiver(Flags::OTP28), &frames)
    };
    let missing = ControlError::MissingPayload(Op::SendSender);
    assert_eq!(frames(&send_sender(), &[&[], &[], &[]]), missing.into());
    let unexpected = ControlError::UnexpectedPayload(Op::Link);
    assert_eq!(frames(&link(), &[&[106]]), unexpected.into());
    let error = DecodeError {
        kind: Kind::Trailing(1),
        at: 1,
    };
    let op = Op::SendSender;
    assert_eq!(
        frames(&send_sender(), &[&[106], &[106]]),
        ChannelError::Payload { op, error }
    );
    let unknown = plain(&Term::tuple([38.into()]));
    let unknown = frames(&unknown, &[&[106]]);
    assert_eq!(unknown, ControlError::UnknownNumber(38).into());
}

/// Many of these decode to something; the point is that none is trusted.
#[test]
fn no_changed_byte_makes_it_panic() {
    let flags = Flags::OTP28;
    let term = Term::tuple([
        atom("hello").into(),
        pid(3).into(),
        Term::float(1.5).unwrap(),
    ]);
    for signal in every_signal(1, &term, Some(&term)) {
        let mut sender = Sender::new(flags);
        let Ok(message) = encode_signal(&signal, flags) else {
            continue;
        };
        sender.push(FlowId(1), message);
        let body = bodies(&drain(&mut sender)).pop().unwrap();
        for at in 0..body.len() {
            for change in [
                0,
                1,
                0x7f,
                0x80,
                0xff,
                body[at] ^ 1,
                body[at].wrapping_add(1),
            ] {
                let mut changed = body.to_vec();
                changed[at] = change;
                let _ = receiver(flags).handle_frame(changed.into());
            }
            let _ = receiver(flags).handle_frame(body.slice(..at));
        }
    }
}

#[test]
fn fragments_that_never_end_are_cut_off_at_the_limit() {
    let limits = ChannelLimits {
        sequence_len_max: 1 << 20,
        sequences_len_max: 3 << 20,
        ..ChannelLimits::default()
    };
    let part = vec![0; 64 << 10];
    let mut one = Receiver::new(Flags::OTP28, &limits);
    one.handle_frame(first(1, u64::MAX, &send_sender(), &[109]).into())
        .unwrap();
    let mut number = u64::MAX;
    let error = loop {
        number -= 1;
        if let Err(error) = one.handle_frame(more(1, number, &part).into()) {
            break error;
        }
        assert!(one.held_bytes() <= limits.sequence_len_max);
    };
    let len_max = limits.sequence_len_max;
    assert_eq!(
        error,
        ChannelError::SequenceTooLong {
            sequence: 1,
            len_max
        }
    );

    let mut many = Receiver::new(Flags::OTP28, &limits);
    let error = (0..).find_map(|sequence| {
        let frame = first(sequence, 2, &send_sender(), &part);
        let error = many.handle_frame(frame.into()).err();
        assert!(many.held_bytes() <= limits.sequences_len_max);
        error
    });
    let max = limits.sequences_len_max;
    assert_eq!(error, Some(ChannelError::SequencesTooLong(max)));
}

#[test]
fn a_million_sequences_are_refused_at_the_limit() {
    let limits = ChannelLimits::default();
    let mut receiver = Receiver::new(Flags::OTP28, &limits);
    let error = (0..1_000_000).find_map(|sequence| {
        let frame = first(sequence, u64::MAX, &send_sender(), &[109]);
        receiver.handle_frame(frame.into()).err()
    });
    assert_eq!(
        error,
        Some(ChannelError::TooManySequences(limits.sequences_max))
    );
    assert!(receiver.held_bytes() <= limits.sequences_max * 100);
}

#[test]
fn empty_fragments_cost_nothing() {
    let mut receiver = receiver(Flags::OTP28);
    receiver
        .handle_frame(first(1, u64::MAX, &send_sender(), &[]).into())
        .unwrap();
    let held = receiver.held_bytes();
    for number in 1..100_000 {
        receiver
            .handle_frame(more(1, u64::MAX - number, &[]).into())
            .unwrap();
    }
    assert_eq!(receiver.held_bytes(), held);
}

#[test]
fn node_names_are_bounded_for_the_connection_not_for_each_frame() {
    let term = Limits {
        new_node_names_max: 10,
        ..Limits::default()
    };
    let limits = ChannelLimits {
        term,
        ..ChannelLimits::default()
    };
    let mut receiver = Receiver::new(Flags::PASS_THROUGH, &limits);
    // Written by hand: making a pid of this process would intern the name.
    let frame = |number: usize| {
        let mut control = Encoder::plain();
        control.version();
        control.tuple(3).unwrap();
        control.int(1);
        for _ in 0..2 {
            control.raw(&[88]);
            control.atom(&atom(&format!("n{number}@stranger")));
            control.raw(&[0; 12]);
        }
        Bytes::from([&[112], control.as_slice()].concat())
    };
    for number in 0..10 {
        receiver.handle_frame(frame(number)).unwrap();
        receiver.handle_frame(frame(number)).unwrap();
    }
    let error = receiver.handle_frame(frame(10)).unwrap_err();
    assert!(matches!(
        error,
        ChannelError::ControlTerm(DecodeError {
            kind: Kind::NodeName(_),
            ..
        })
    ));
}

#[test]
fn large_payloads_share_the_frame_and_small_ones_do_not() {
    for flags in [Flags::OTP28, Flags::PASS_THROUGH] {
        for (len, shared) in [
            (10, false),
            (COPIED_PAYLOAD_MAX - 5, false),
            (COPIED_PAYLOAD_MAX, true),
        ] {
            let signal = Signal::Send {
                from: Some(pid(1)),
                to: Recipient::Pid(peer_pid(2)),
                message: encoded("x".repeat(len).as_str()),
                priority: false,
                token: None,
            };
            let mut sender = Sender::new(flags);
            sender.push(FlowId(1), encode_signal(&signal, flags).unwrap());
            let body = bodies(&drain(&mut sender)).pop().unwrap();
            let arrived = receiver(flags).handle_frame(body.clone()).unwrap().unwrap();
            let payload = arrived.payload().unwrap().bytes();
            assert_eq!(
                body.as_ptr_range().contains(&payload.as_ptr()),
                shared,
                "{len}"
            );
        }
    }
}

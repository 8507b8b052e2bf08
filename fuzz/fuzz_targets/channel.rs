//! Any bytes as frames, in each form of connection: never a panic, never more memory than the
//! limits allow, and whatever decodes, encodes and decodes again as the same signal.
//!
//! The first byte chooses the form. Then come frames, each after a length of two bytes; a length
//! beyond the end means the rest.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use purlin_proto::channel::limits::ChannelLimits;
use purlin_proto::channel::{FlowId, Receiver, Sender};
use purlin_proto::control::encode_signal;
use purlin_proto::flags::Flags;
use purlin_proto::frame::{Deframer, Frame};
use purlin_proto::signal::Signal;
use purlin_term::Limits;

fuzz_target!(|input: &[u8]| {
    let Some((&form, mut rest)) = input.split_first() else {
        return;
    };
    let flags = form_of(form);
    let limits = limits();
    let mut receiver = Receiver::new(flags, &limits);
    while let Some((len, after)) = rest.split_first_chunk() {
        let len = usize::from(u16::from_be_bytes(*len)).min(after.len());
        let (frame, after) = after.split_at(len);
        rest = after;
        let answer = receiver.handle_frame(Bytes::copy_from_slice(frame));
        assert!(receiver.held_bytes() <= limits.sequences_len_max);
        match answer {
            Ok(None) => {}
            Ok(Some(signal)) => check(&signal),
            Err(_) => break,
        }
    }
});

fn form_of(byte: u8) -> Flags {
    let all = Flags::OTP28;
    match byte % 4 {
        0 => all,
        1 => all.without(Flags::DIST_HDR_ATOM_CACHE),
        2 => all.without(Flags::FRAGMENTS),
        _ => all.without(Flags::DIST_HDR_ATOM_CACHE | Flags::FRAGMENTS),
    }
}

fn limits() -> ChannelLimits {
    ChannelLimits {
        term: Limits {
            inflated_max: 1 << 20,
            elements_max: 1 << 18,
            // The table of node names lives as long as the fuzzer.
            new_node_names_max: 1,
            ..Limits::default()
        },
        sequences_max: 8,
        sequence_len_max: 4096,
        sequences_len_max: 16_384,
    }
}

/// Sends `signal` on in every form and compares what arrives.
fn check(signal: &Signal) {
    if matches!(signal, Signal::UnlinkObsolete { .. }) {
        assert!(encode_signal(signal, Flags::OTP28).is_err());
        return;
    }
    let original = plain(signal);
    for form in 0..4 {
        let flags = form_of(form);
        let mut sender = Sender::new(flags);
        sender.push(
            FlowId(0),
            encode_signal(signal, flags).expect("all is supported"),
        );
        let mut stream = Vec::new();
        while let Some(payload) = sender.poll_frame(&mut stream) {
            stream.extend_from_slice(&payload);
        }
        assert_eq!(sender.queued_bytes(), 0);
        let arrived = receive(&stream, flags);
        assert_eq!(plain(&arrived), original);
    }
}

fn receive(stream: &[u8], flags: Flags) -> Signal {
    let mut deframer = Deframer::default();
    deframer.handle_bytes(stream);
    let mut receiver = Receiver::new(flags, &ChannelLimits::default());
    while let Some(frame) = deframer.next_frame().expect("our own frames are short") {
        let Frame::Body(body) = frame else {
            continue;
        };
        if let Some(signal) = receiver.handle_frame(body).expect("our own frames decode") {
            return signal;
        }
    }
    panic!("the signal did not arrive");
}

/// Control tuple and payload with atoms inline: the same for the same signal.
fn plain(signal: &Signal) -> (Vec<u8>, Bytes) {
    let message = encode_signal(signal, form_of(3)).expect("all is supported");
    (message.control().to_vec(), message.payload().clone())
}

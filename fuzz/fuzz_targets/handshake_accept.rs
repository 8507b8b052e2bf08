//! Any peer against the accepting side: no panic, bounded memory, and an end.
//!
//! The first byte chooses framing and verdict. The rest is cut into chunks, each with its length
//! before it. Some inputs end with a reply that knows the cookie, since no fuzzer finds an MD5.
#![no_main]

use core::time::Duration;

use libfuzzer_sys::fuzz_target;
use purlin_proto::digest::{Cookie, Digest};
use purlin_proto::handshake::{
    Accept, Config, Event, Framing, FullName, Handshake, Random, Standing, Verdict,
};
use purlin_proto::limits::HANDSHAKE_BUFFERED_LEN_MAX;

const CHALLENGE: u32 = 222;

fn verdict(choice: u8) -> Verdict {
    let standing = match choice & 3 {
        0 => Standing::Free,
        1 => Standing::Dialling,
        2 => Standing::Connected,
        _ => return Verdict::Refuse,
    };
    Verdict::Admit {
        cookie: Cookie::new("kookie").unwrap(),
        standing,
    }
}

fn chunks(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    core::iter::from_fn(move || {
        let (len, rest) = data.split_first()?;
        let (chunk, rest) = rest.split_at(rest.len().min(1 + usize::from(*len)));
        data = rest;
        Some(chunk)
    })
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else {
        return;
    };
    let framing = if choice & 4 == 0 {
        Framing::TwoByte
    } else {
        Framing::FourByte
    };
    let config = Config {
        framing,
        ..Config::default()
    };
    let random = Random {
        challenge: CHALLENGE,
        name: u64::from(*choice),
        creation: 1,
    };
    let accept = Accept {
        name: FullName::new("b@host").unwrap(),
        creation: 9,
        random,
    };
    let mut machine = Handshake::accept(Duration::ZERO, config, accept);
    let mut sent = 0;
    let mut is_ended = false;
    let mut settle = |machine: &mut Handshake| {
        while let Some(event) = machine.poll_event() {
            assert!(!is_ended, "nothing comes after the end");
            match event {
                Event::Claim(_) => machine.answer_claim(Duration::ZERO, verdict(*choice)),
                Event::Alive => panic!("an acceptor asks nothing about alive"),
                Event::Established(_) | Event::Failed(_) => is_ended = true,
            }
        }
        while let Some(bytes) = machine.poll_transmit() {
            sent += bytes.len();
        }
        assert!(sent <= 8192, "an acceptor says little");
        assert_eq!(is_ended, machine.poll_timeout().is_none());
        is_ended
    };
    for chunk in chunks(data) {
        machine.handle_bytes(Duration::ZERO, chunk);
        assert!(machine.buffered_len() <= HANDSHAKE_BUFFERED_LEN_MAX + chunk.len());
        if settle(&mut machine) {
            return;
        }
    }
    if choice & 24 == 24 {
        let reply = [b"r\0\0\0\x01", &digest()[..]].concat();
        let len = (reply.len() as u32).to_be_bytes();
        let skip = if framing == Framing::TwoByte { 2 } else { 0 };
        machine.handle_bytes(Duration::ZERO, &[&len[skip..], &reply].concat());
        settle(&mut machine);
    }
    machine.handle_timeout(config.timeout);
    settle(&mut machine);
    assert_eq!(
        machine.poll_timeout(),
        None,
        "the deadline ends every handshake"
    );
});

fn digest() -> [u8; 16] {
    *Digest::of(&Cookie::new("kookie").unwrap(), CHALLENGE).as_bytes()
}

//! Any peer against the dialling side: no panic, bounded memory, and an end.
//!
//! The first byte chooses framing, whether we have a name, and our answer to `alive`. The rest is
//! cut into chunks, each with its length before it.
#![no_main]

use core::time::Duration;

use libfuzzer_sys::fuzz_target;
use purlin_proto::digest::Cookie;
use purlin_proto::handshake::{Config, Dial, Event, Framing, FullName, Handshake, LocalName};
use purlin_proto::limits::HANDSHAKE_BUFFERED_LEN_MAX;

fn local(choice: u8) -> LocalName {
    match choice & 2 {
        0 => LocalName::Known {
            name: FullName::new("a@host").unwrap(),
            creation: 7,
        },
        _ => LocalName::Dynamic {
            host: "host".into(),
        },
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
    let peer = FullName::new("b@host").unwrap();
    let cookie = Cookie::new("kookie").unwrap();
    let dial = Dial {
        local: local(*choice),
        peer,
        cookie,
        challenge: 111,
    };
    let mut machine = Handshake::dial(Duration::ZERO, config, dial);
    let mut sent = 0;
    let mut is_ended = false;
    let mut settle = |machine: &mut Handshake| {
        while let Some(event) = machine.poll_event() {
            assert!(!is_ended, "nothing comes after the end");
            match event {
                Event::Claim(_) => panic!("a dialler is asked by nobody"),
                Event::Alive => machine.answer_alive(Duration::ZERO, choice & 1 == 0),
                Event::Established(_) | Event::Failed(_) => is_ended = true,
            }
        }
        while let Some(bytes) = machine.poll_transmit() {
            sent += bytes.len();
        }
        assert!(sent <= 8192, "a dialler says little");
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
    machine.handle_timeout(config.timeout);
    settle(&mut machine);
    assert_eq!(
        machine.poll_timeout(),
        None,
        "the deadline ends every handshake"
    );
});

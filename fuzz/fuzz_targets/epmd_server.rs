//! Any clients against the EPMD server: no panic, bounded memory, and every request ends.
//!
//! The input is a list of actions of two bytes and, for bytes that arrive, their text.
#![no_main]

use core::time::Duration;

use libfuzzer_sys::fuzz_target;
use purlin_proto::epmd::{Config, ConnectionId, Output, Server};
use purlin_proto::limits::EPMD_REQUEST_LEN_MAX;

const NAMES_MAX: usize = 4;
const CONNECTIONS_MAX: usize = 6;

fuzz_target!(|data: &[u8]| {
    let config = Config {
        names_max: NAMES_MAX,
        connections_max: CONNECTIONS_MAX,
        ..Config::new(4369, u32::MAX - 2)
    };
    let mut server = Server::new(config);
    let (mut now, mut data) = (Duration::ZERO, data);
    while let [action, len, rest @ ..] = data {
        data = rest;
        let id = ConnectionId(u64::from(action >> 3));
        match action & 7 {
            0 => server.handle_opened(now, id, len & 1 == 0),
            1 => server.handle_closed(id),
            2 => {
                now += Duration::from_millis(100 * u64::from(*len));
                server.handle_timeout(now);
            }
            _ => {
                let (bytes, rest) = rest.split_at(rest.len().min(usize::from(*len)));
                data = rest;
                server.handle_bytes(now, id, bytes);
            }
        }
        check(&mut server);
    }
    server.handle_timeout(now + config.timeout);
    assert_eq!(server.poll_timeout(), None, "no request waits for ever");
    assert!(server.connection_count() <= server.names().count());
});

fn check(server: &mut Server) {
    assert!(server.names().count() <= NAMES_MAX);
    assert!(server.connection_count() <= CONNECTIONS_MAX);
    assert!(server.buffered_len() <= CONNECTIONS_MAX * (EPMD_REQUEST_LEN_MAX + 2));
    while let Some(output) = server.poll_output() {
        if let Output::Send(_, bytes) = output {
            assert!(bytes.len() <= 4 + NAMES_MAX * 2200);
        }
    }
}

//! Any server against the EPMD client: no panic, bounded memory, one outcome, the same in any cuts.
#![no_main]

use core::time::Duration;

use libfuzzer_sys::fuzz_target;
use purlin_proto::epmd::{Client, ClientError, Registration, Request, Response};
use purlin_proto::limits::EPMD_RESPONSE_LEN_MAX;

fn request(choice: u8) -> Request {
    match choice % 6 {
        0 => Request::Register(Registration::new("shop", 5000, false)),
        1 => Request::Lookup("shop".into()),
        2 => Request::Names,
        3 => Request::Dump,
        4 => Request::Kill,
        _ => Request::Stop("shop".into()),
    }
}

fn outcome(choice: u8, chunks: core::slice::Chunks<'_, u8>) -> Result<Response, ClientError> {
    let mut client = Client::new(Duration::ZERO, request(choice));
    assert!(client.poll_transmit().is_some());
    for chunk in chunks {
        client.handle_bytes(Duration::ZERO, chunk);
        assert!(client.buffered_len() <= EPMD_RESPONSE_LEN_MAX);
    }
    client.handle_closed();
    assert_eq!((client.poll_timeout(), client.buffered_len()), (None, 0));
    let outcome = client.poll_event().expect("an outcome");
    assert_eq!(client.poll_event(), None);
    outcome
}

fuzz_target!(|data: &[u8]| {
    let [choice, cut, data @ ..] = data else {
        return;
    };
    let whole = outcome(*choice, data.chunks(data.len().max(1)));
    assert_eq!(whole, outcome(*choice, data.chunks(1 + usize::from(*cut))));
});

//! EPMD, server and client. The hex strings are what the epmd of OTP 25.2.3 was seen to answer.

use core::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use purlin_proto::epmd::*;
use purlin_proto::limits::{EPMD_REQUEST_LEN_MAX, EPMD_RESPONSE_LEN_MAX};

const START: Duration = Duration::from_secs(50);

fn hex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn framed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u16).to_be_bytes()[..], body].concat()
}

/// A registration's body for port 4000, with any name, right or wrong.
fn alive(name: &[u8], highest: u8, extra: &[u8]) -> Vec<u8> {
    let (len, extra_len) = (
        (name.len() as u16).to_be_bytes(),
        (extra.len() as u16).to_be_bytes(),
    );
    [
        b"x\x0f\xa0M\0",
        &[0, highest, 0, 5][..],
        &len,
        name,
        &extra_len,
        extra,
    ]
    .concat()
}

struct Fixture {
    server: Server,
    now: Duration,
    next: u64,
}

/// What came back, and whether the connection was closed.
type Answer = (Vec<u8>, bool);

impl Fixture {
    fn new() -> Self {
        Fixture::with(Config::new(14369, 0x6b01_6821))
    }

    fn with(config: Config) -> Self {
        Fixture {
            server: Server::new(config),
            now: START,
            next: 0,
        }
    }

    fn open(&mut self, is_local: bool) -> ConnectionId {
        self.next += 1;
        self.server
            .handle_opened(self.now, ConnectionId(self.next), is_local);
        ConnectionId(self.next)
    }

    fn say(&mut self, id: ConnectionId, bytes: &[u8]) -> Answer {
        self.server.handle_bytes(self.now, id, bytes);
        self.answer(id)
    }

    fn answer(&mut self, id: ConnectionId) -> Answer {
        let (mut sent, mut is_closed) = (vec![], false);
        while let Some(output) = self.server.poll_output() {
            assert!(!is_closed, "nothing after the end");
            match output {
                Output::Send(to, bytes) if to == id => sent.extend_from_slice(&bytes),
                Output::Close(to) if to == id => is_closed = true,
                other => panic!("unexpected {other:?}"),
            }
        }
        (sent, is_closed)
    }

    /// Asks on a connection of its own.
    fn ask(&mut self, body: &[u8]) -> Answer {
        let id = self.open(true);
        self.say(id, &framed(body))
    }
}

fn kept(text: &str) -> Answer {
    (hex(text), false)
}

fn closed(text: &str) -> Answer {
    (hex(text), true)
}

#[test]
fn answers_are_those_of_otp() {
    let mut epmd = Fixture::new();
    let one = b"x\x0f\xa0M\0\0\x06\0\x05\0\x03one\0\0";
    assert_eq!(epmd.ask(one), kept("76006b016821"));
    assert_eq!(epmd.ask(one), closed("760100000063"));
    assert_eq!(
        epmd.ask(b"zone"),
        closed("77000fa04d000006000500036f6e650000")
    );
    assert_eq!(epmd.ask(b"znone"), closed("7701"));
    assert_eq!(epmd.ask(b"k"), closed("4e4f"));
    for silent in [&b"z"[..], b"sone", b"snobody", b"Q", b""] {
        assert_eq!(epmd.ask(silent), closed(""), "{silent:?}");
    }
    let three = b"x\x0f\xa0H\0\0\x06\0\x05\0\x05three\0\x03\x01\x02\x03";
    assert_eq!(epmd.ask(three), kept("76006b016822"));
    let found = "77000fa0480000060005000574687265650003010203";
    assert_eq!(epmd.ask(b"zthree"), closed(found));
    let names = b"\0\0\x38\x21name one at port 4000\nname three at port 4000\n";
    assert_eq!(epmd.ask(b"n"), (names.to_vec(), true));
    let dump = b"\0\0\x38\x21active name     <one> at port 4000, fd = 1\n\0\
        active name     <three> at port 4000, fd = 11\n\0";
    assert_eq!(epmd.ask(b"d"), (dump.to_vec(), true));
}

/// Each line was seen so, except that OTP leaves a refused connection open.
#[test]
fn registrations_are_judged_as_by_otp() {
    let x = |count| vec![b'x'; count];
    let cases: [(Vec<u8>, &str); 12] = [
        (alive(b"", 6, b""), ""),
        (alive(b"a@b", 6, b""), "76006b016821"),
        (alive(&x(255), 6, b""), "76006b016821"),
        (alive(&x(256), 6, b""), "760100000063"),
        (alive("é".repeat(255).as_bytes(), 6, b""), "76006b016821"),
        (alive(b"\xff\xfe", 6, b""), "760100000063"),
        (alive(b"ee", 6, &x(1000)), "76006b016821"),
        (alive(b"ex2", 6, &x(2000)), "760100000063"),
        ([&alive(b"tr", 6, b"")[..], b"zzz"].concat(), "76006b016821"),
        (alive(b"hi7", 7, b""), "76006b016821"),
        (b"x\0\x01M\0\0\x06\0\x05\0\x32ab\0\0".to_vec(), ""),
        (b"x\0\x01M\0\0\x06\0\x05\0\x02ab\0\x09".to_vec(), ""),
    ];
    for (body, answer) in cases {
        let is_kept = answer.starts_with("7600");
        assert_eq!(
            Fixture::new().ask(&body),
            (hex(answer), !is_kept),
            "{body:?}"
        );
    }
}

#[test]
fn versions_before_six_get_the_short_answer() {
    let mut epmd = Fixture::new();
    assert_eq!(epmd.ask(&alive(b"two", 5, b"")), kept("79000003"));
    assert_eq!(epmd.ask(&alive(b"two", 5, b"")), closed("79010063"));
}

#[test]
fn a_name_lives_as_long_as_its_connection_and_comes_back_with_another_creation() {
    let mut epmd = Fixture::new();
    let id = epmd.open(true);
    assert_eq!(
        epmd.say(id, &framed(&alive(b"one", 6, b""))),
        kept("76006b016821")
    );
    epmd.server.handle_closed(id);
    assert_eq!(epmd.ask(b"zone"), closed("7701"));
    assert_eq!(epmd.ask(&alive(b"one", 6, b"")), kept("76006b016822"));
    epmd.server.handle_closed(id);
    assert_eq!(
        epmd.server.names().count(),
        1,
        "a late close of the old connection"
    );
}

#[test]
fn further_bytes_on_a_registered_connection_take_the_name_back() {
    let mut epmd = Fixture::new();
    let id = epmd.open(true);
    epmd.say(id, &framed(&alive(b"one", 6, b"")));
    assert_eq!(epmd.say(id, &framed(b"n")), closed(""));
    assert_eq!(epmd.server.names().count(), 0);
}

#[test]
fn two_requests_in_one_packet_are_refused() {
    let mut epmd = Fixture::new();
    let id = epmd.open(true);
    assert_eq!(
        epmd.say(id, &[framed(b"n"), framed(b"zone")].concat()),
        closed("")
    );
}

#[test]
fn names_that_would_forge_the_list_are_refused() {
    let mut epmd = Fixture::new();
    assert_eq!(
        epmd.ask(&alive(b"a\nname b", 6, b"")),
        closed("760100000063")
    );
}

#[test]
fn only_connections_from_this_host_change_anything() {
    let mut epmd = Fixture::new();
    epmd.ask(&alive(b"one", 6, b""));
    for body in [&alive(b"far", 6, b"")[..], b"d", b"k", b"sone"] {
        let id = epmd.open(false);
        assert_eq!(epmd.say(id, &framed(body)), closed(""), "{body:?}");
    }
    let id = epmd.open(false);
    assert_eq!(epmd.say(id, &framed(b"zone")).0.len(), 17);
    assert_eq!(epmd.server.names().count(), 1);
}

#[test]
fn half_a_request_has_a_deadline_and_a_registration_has_none() {
    let mut epmd = Fixture::new();
    let (half, node) = (epmd.open(true), epmd.open(true));
    epmd.say(half, b"\0");
    epmd.say(node, &framed(&alive(b"one", 6, b"")));
    let deadline = epmd.server.poll_timeout().unwrap();
    assert_eq!(deadline, START + Duration::from_secs(10));
    epmd.server
        .handle_timeout(deadline - Duration::from_nanos(1));
    assert_eq!(epmd.server.connection_count(), 2);
    epmd.server.handle_timeout(deadline);
    assert_eq!(epmd.answer(half), closed(""));
    assert_eq!(
        (epmd.server.connection_count(), epmd.server.poll_timeout()),
        (1, None)
    );
}

#[test]
fn connections_names_and_bytes_are_bounded() {
    let config = Config {
        names_max: 1,
        connections_max: 2,
        ..Config::new(1, 1)
    };
    let mut epmd = Fixture::with(config);
    assert_eq!(epmd.ask(&alive(b"one", 6, b"")), kept("760000000004"));
    assert_eq!(epmd.ask(&alive(b"two", 6, b"")), closed("760100000063"));
    let (second, third) = (epmd.open(true), epmd.open(true));
    assert_eq!(epmd.answer(third), closed(""));
    epmd.say(second, &(EPMD_REQUEST_LEN_MAX as u16).to_be_bytes());
    epmd.say(second, &vec![0; EPMD_REQUEST_LEN_MAX - 1]);
    assert!(epmd.server.buffered_len() <= EPMD_REQUEST_LEN_MAX + 2);
    assert_eq!(epmd.say(second, &[0; 2]), closed(""));
    assert_eq!(epmd.server.buffered_len(), 0);
    let long = epmd.open(true);
    assert_eq!(epmd.say(long, &[0xFF; 2]), closed(""));
}

#[test]
fn our_own_name_needs_no_connection() {
    let mut server = Server::new(Config::new(4369, 7));
    let registration = Registration::new("shop", 5000, false);
    assert_eq!(server.register(registration.clone()), Ok(7));
    let taken = RegisterRefused::Taken {
        alive: "shop".into(),
    };
    assert_eq!(server.register(registration.clone()), Err(taken));
    server.unregister("shop");
    assert_eq!(server.register(registration), Ok(8));
    assert!(server.register(Registration::new("", 1, true)).is_err());
}

#[test]
fn creations_wrap_without_the_ones_otp_avoids() {
    let mut server = Server::new(Config::new(4369, u32::MAX));
    let mut register = |alive| server.register(Registration::new(alive, 1, false));
    assert_eq!((register("a"), register("b")), (Ok(u32::MAX), Ok(4)));
}

fn client(request: Request) -> Client {
    let mut client = Client::new(START, request);
    assert!(client.poll_transmit().is_some());
    client
}

fn lookup(alive: &str) -> Request {
    Request::Lookup(alive.into())
}

#[test]
fn requests_are_sent_as_by_otp() {
    let request = Request::Register(Registration::new("one", 4000, false))
        .encode()
        .unwrap();
    assert_eq!(request, hex("0010780fa04d000006000500036f6e650000"));
    assert_eq!(lookup("one").encode().unwrap(), "\0\x04zone");
    assert_eq!(Request::Names.encode().unwrap(), "\0\x01n");
    assert!(lookup("").encode().is_err());
}

#[test]
fn responses_of_otp_are_understood() {
    let register = || Request::Register(Registration::new("three", 4000, true));
    let found = Registration {
        node_type: NodeType::Hidden,
        extra: Bytes::from_static(b"\x01\x02\x03"),
        ..Registration::new("three", 4000, true)
    };
    let cases = [
        (
            register(),
            "76006b016821",
            Response::Registered {
                creation: 0x6b01_6821,
            },
        ),
        (register(), "79000001", Response::Registered { creation: 1 }),
        (
            register(),
            "760100000063",
            Response::RegisterRefused { result: 1 },
        ),
        (
            register(),
            "79010063",
            Response::RegisterRefused { result: 1 },
        ),
        (
            lookup("three"),
            "77000fa0480000060005000574687265650003010203",
            Response::Found(found),
        ),
        (lookup("none"), "7701", Response::Unknown { result: 1 }),
    ];
    for (request, bytes, response) in cases {
        let mut client = client(request);
        for byte in hex(bytes) {
            assert_eq!(client.poll_event(), None);
            client.handle_bytes(START, &[byte]);
        }
        assert_eq!(client.poll_event(), Some(Ok(response)));
        assert_eq!(client.poll_timeout(), None);
    }
}

#[test]
fn the_list_of_names_ends_with_the_connection() {
    let mut client = client(Request::Names);
    client.handle_bytes(
        START,
        b"\0\0\x38\x21name two at port 4000\nname a at port b at p",
    );
    client.handle_bytes(START, b"ort 1\nname torn at po");
    assert_eq!(client.poll_event(), None);
    client.handle_closed();
    let entry = |alive: &str, port| NameEntry {
        alive: alive.into(),
        port,
    };
    let names = vec![entry("two", 4000), entry("a at port b", 1)];
    assert_eq!(
        client.poll_event(),
        Some(Ok(Response::Names { port: 14369, names }))
    );
}

#[test]
fn a_client_says_what_went_wrong() {
    let fails = |act: &dyn Fn(&mut Client)| {
        let mut client = client(lookup("one"));
        act(&mut client);
        assert_eq!(client.buffered_len(), 0);
        client
            .poll_event()
            .expect("an outcome")
            .expect_err("a failure")
            .to_string()
    };
    let closed = fails(&|client| {
        client.handle_bytes(START, b"\x77");
        client.handle_closed();
    });
    assert!(closed.contains("closed"), "{closed}");
    let garbage = fails(&|client| client.handle_bytes(START, b"HTTP/1.1"));
    assert!(garbage.contains("no answer to a lookup"), "{garbage}");
    let other = fails(&|client| {
        client.handle_bytes(START, &hex("77000fa04d000006000500036f6e660000"));
    });
    assert!(other.contains("another node"), "{other}");
    let late = fails(&|client| client.handle_timeout(START + Duration::from_secs(10)));
    assert!(late.contains("10000 ms"), "{late}");
    let mut names = client(Request::Names);
    names.handle_bytes(START, &vec![0; EPMD_RESPONSE_LEN_MAX]);
    names.handle_bytes(START, &[0]);
    assert!(matches!(
        names.poll_event(),
        Some(Err(ClientError::TooLong { .. }))
    ));
    let mut unsendable = Client::new(START, lookup("a\0b"));
    assert_eq!(unsendable.poll_transmit(), None);
    assert!(matches!(
        unsendable.poll_event(),
        Some(Err(ClientError::Request(_)))
    ));
}

fn registrations() -> impl Strategy<Value = Registration> {
    let extra = prop::collection::vec(any::<u8>(), 0..40);
    let numbers = (
        any::<u16>(),
        any::<u8>(),
        any::<u8>(),
        any::<u16>(),
        any::<u16>(),
    );
    ("[^\\p{Cc}]{1,40}", numbers, extra).prop_map(|(alive, numbers, extra)| Registration {
        alive,
        port: numbers.0,
        node_type: NodeType::from_code(numbers.1),
        protocol: numbers.2,
        highest_version: numbers.3,
        lowest_version: numbers.4,
        extra: extra.into(),
    })
}

proptest! {
    /// Client and server as a pair, in any cuts: what one registers, the other finds.
    #[test]
    fn what_is_registered_is_found(registration in registrations(), cut in 1_usize..30) {
        let mut epmd = Fixture::new();
        let ask = |epmd: &mut Fixture, request: Request| {
            let mut client = Client::new(START, request);
            let id = epmd.open(true);
            let mut answer = (vec![], false);
            for part in client.poll_transmit().unwrap().chunks(cut) {
                answer = epmd.say(id, part);
            }
            answer.0.chunks(cut).for_each(|part| client.handle_bytes(START, part));
            if answer.1 { client.handle_closed() }
            client.poll_event().expect("an outcome").expect("a response")
        };
        let registered = ask(&mut epmd, Request::Register(registration.clone()));
        let is_registered = matches!(registered, Response::Registered { creation } if creation > 0);
        prop_assert!(is_registered);
        let found = ask(&mut epmd, Request::Lookup(registration.alive.clone()));
        prop_assert_eq!(found, Response::Found(registration.clone()));
        let Response::Names { names, .. } = ask(&mut epmd, Request::Names) else { panic!() };
        prop_assert_eq!(names, [NameEntry { alive: registration.alive, port: registration.port }]);
    }

    #[test]
    fn decoding_undoes_encoding(registration in registrations()) {
        let request = Request::Register(registration);
        prop_assert_eq!(Request::decode(&request.encode().unwrap()[2..]), Ok(request));
    }
}

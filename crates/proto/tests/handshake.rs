//! The handshake, machine against machine and machine against what OTP 25.2.3 and 28.5 were seen
//! to send. The hex strings of `recorded` are those nodes' own bytes, without their lengths.

use core::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use purlin_proto::digest::{Cookie, Digest};
use purlin_proto::flags::Flags;
use purlin_proto::handshake::*;
use purlin_proto::limits::{HANDSHAKE_BUFFERED_LEN_MAX, HANDSHAKE_MESSAGE_LEN_MAX};

const START: Duration = Duration::from_secs(1000);

fn node(name: &str) -> FullName {
    FullName::new(name).unwrap()
}

fn cookie(text: &str) -> Cookie {
    Cookie::new(text).unwrap()
}

fn config(flags: Flags) -> Config {
    Config {
        flags,
        ..Config::default()
    }
}

fn dial_as(config: Config, local: LocalName, peer: &str, challenge: u32) -> Handshake {
    let dial = Dial {
        local,
        peer: node(peer),
        cookie: cookie("secretx"),
        challenge,
    };
    Handshake::dial(START, config, dial)
}

fn known(name: &str, creation: u32) -> LocalName {
    LocalName::Known {
        name: node(name),
        creation,
    }
}

/// `a@host` dials `b@host`.
fn dialler(config: Config) -> Handshake {
    dial_as(config, known("a@host", 7), "b@host", 111)
}

/// `b@host` accepts.
fn acceptor(config: Config) -> Handshake {
    let random = Random {
        challenge: 222,
        name: 36,
        creation: 1,
    };
    Handshake::accept(
        START,
        config,
        Accept {
            name: node("b@host"),
            creation: 9,
            random,
        },
    )
}

fn admit(standing: Standing) -> Verdict {
    Verdict::Admit {
        cookie: cookie("secretx"),
        standing,
    }
}

fn hex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn framed(framing: Framing, body: &[u8]) -> Vec<u8> {
    match framing {
        Framing::TwoByte => [&(body.len() as u16).to_be_bytes()[..], body].concat(),
        Framing::FourByte => [&(body.len() as u32).to_be_bytes()[..], body].concat(),
    }
}

/// Feeds one message over TCP.
fn feed(machine: &mut Handshake, body: &[u8]) {
    machine.handle_bytes(START, &framed(Framing::TwoByte, body));
}

/// The messages sent since the last call, without their lengths.
fn sent(machine: &mut Handshake) -> Vec<Bytes> {
    core::iter::from_fn(|| machine.poll_transmit())
        .map(|bytes| bytes.slice(2..))
        .collect()
}

fn error(machine: &mut Handshake) -> HandshakeError {
    match machine.poll_event() {
        Some(Event::Failed(error)) => {
            assert_eq!(
                machine.poll_timeout(),
                None,
                "a failed machine waits for nothing"
            );
            error
        }
        other => panic!("expected a failure, not {other:?}"),
    }
}

fn established(machine: &mut Handshake) -> Established {
    match machine.poll_event() {
        Some(Event::Established(established)) => *established,
        other => panic!("expected a connection, not {other:?}"),
    }
}

fn claim(machine: &mut Handshake) -> Claim {
    match machine.poll_event() {
        Some(Event::Claim(claim)) => claim,
        other => panic!("expected a claim, not {other:?}"),
    }
}

fn name_message(name: &str, flags: Flags) -> Vec<u8> {
    let (flags, len) = (
        flags.bits().to_be_bytes(),
        (name.len() as u16).to_be_bytes(),
    );
    [b"N", &flags[..], &[0, 0, 0, 3], &len, name.as_bytes()].concat()
}

fn challenge_message(name: &str, flags: Flags) -> Vec<u8> {
    let (flags, len) = (
        flags.bits().to_be_bytes(),
        (name.len() as u16).to_be_bytes(),
    );
    [
        b"N",
        &flags[..],
        &[0, 0, 0, 77],
        &[0, 0, 0, 9],
        &len,
        name.as_bytes(),
    ]
    .concat()
}

fn reply_message(challenge: u32, digest: Digest) -> Vec<u8> {
    [b"r", &challenge.to_be_bytes()[..], &digest.as_bytes()[..]].concat()
}

/// An acceptor that has been told `name` and was asked about it.
fn claimed(name: &str) -> Handshake {
    let mut machine = acceptor(Config::default());
    feed(&mut machine, &name_message(name, Flags::OTP25));
    claim(&mut machine);
    machine
}

/// A dialler that waits for the acknowledgement.
fn awaiting_ack() -> Handshake {
    let mut machine = dialler(Config::default());
    feed(&mut machine, b"sok");
    feed(&mut machine, &challenge_message("b@host", Flags::OTP25));
    sent(&mut machine);
    machine
}

mod recorded {
    use super::*;

    struct Release {
        flags: Flags,
        /// What a test script sent as py@127.0.0.1, creation 0x11223344, and what OTP answered.
        name: &'static str,
        challenge: &'static str,
        reply: &'static str,
        /// What OTP sent when it dialled aa@127.0.0.1, whose challenge was 99.
        dialled_name: &'static str,
        dialled_reply: &'static str,
        /// What a script sent that asked for a name, and what OTP answered.
        dynamic_name: &'static str,
        named: &'static str,
        dynamic_challenge: &'static str,
        /// The start of the generated name, in base 36.
        generated: &'static str,
        creation: u32,
    }

    const ACK: &str = "618d7687b7cb570ff5f50403048da802b4";

    const OTP25: Release = Release {
        flags: Flags::OTP25,
        name: "4e0000000d07df7fbd11223344000c7079403132372e302e302e31",
        challenge: "4e0000000d07df7fbd84589cba6b016886000c6d6d403132372e302e302e31",
        reply: "72075bcd15d9115463bad589e8959bfc83d9b3426f",
        dialled_name: "4e0000000d07df7fbd6b016886000c6d6d403132372e302e302e31",
        dialled_reply: "72c4158b87ba071db3a52aa61c107cecce364f1bd7",
        dynamic_name: "4e0000000f07df7fbd0000000000093132372e302e302e31",
        named: "736e616d65643a00173139455454514d303552415a45403132372e302e302e31035a1b10",
        dynamic_challenge: "4e0000000f07df7fbcd672cab46b016886000c6d6d403132372e302e302e31",
        generated: "19ETTQM05RAZE",
        creation: 0x6b01_6886,
    };

    const OTP28: Release = Release {
        flags: Flags::OTP28,
        name: "4e0000002d07df7fbd11223344000c7079403132372e302e302e31",
        challenge: "4e0000002d07df7fbdfc576d456b016887000c6d6d403132372e302e302e31",
        reply: "72075bcd152deacab368868a7bbc6e66ca95ff0de5",
        dialled_name: "4e0000002d07df7fbd6b016887000c6d6d403132372e302e302e31",
        dialled_reply: "724b5797a5ba071db3a52aa61c107cecce364f1bd7",
        dynamic_name: "4e0000002f07df7fbd0000000000093132372e302e302e31",
        named: "736e616d65643a0017324f5339434937444b4b345556403132372e302e302e316cf7d6d8",
        dynamic_challenge: "4e0000002f07df7fbc5959bd546b016887000c6d6d403132372e302e302e31",
        generated: "2OS9CI7DKK4UV",
        creation: 0x6b01_6887,
    };

    fn u32_at(message: &str, at: usize) -> u32 {
        u32::from_be_bytes(hex(message)[at..at + 4].try_into().unwrap())
    }

    fn otp(release: &Release, challenge: &str, name: u64, creation: u32) -> Handshake {
        let random = Random {
            challenge: u32_at(challenge, 9),
            name,
            creation,
        };
        let accept = Accept {
            name: node("mm@127.0.0.1"),
            creation: release.creation,
            random,
        };
        Handshake::accept(START, config(release.flags), accept)
    }

    #[test]
    fn we_dial_as_the_script_did_and_understand_otp() {
        for release in [OTP25, OTP28] {
            let local = known("py@127.0.0.1", 0x1122_3344);
            let mut machine = dial_as(config(release.flags), local, "mm@127.0.0.1", 123_456_789);
            assert_eq!(sent(&mut machine), [hex(release.name)]);
            feed(&mut machine, b"sok");
            feed(&mut machine, &hex(release.challenge));
            assert_eq!(sent(&mut machine), [hex(release.reply)]);
            feed(&mut machine, &hex(ACK));
            let connection = established(&mut machine);
            assert_eq!(connection.peer, node("mm@127.0.0.1"));
            assert_eq!(connection.peer_creation, release.creation);
            assert_eq!(
                (connection.flags, connection.peer_flags),
                (release.flags, release.flags)
            );
        }
    }

    #[test]
    fn we_accept_with_the_bytes_of_otp() {
        for release in [OTP25, OTP28] {
            let mut machine = otp(&release, release.challenge, 0, 0);
            feed(&mut machine, &hex(release.name));
            let claim = claim(&mut machine);
            assert_eq!(
                (claim.name, claim.creation),
                (node("py@127.0.0.1"), 0x1122_3344)
            );
            machine.answer_claim(START, admit(Standing::Free));
            assert_eq!(
                sent(&mut machine),
                [b"sok".to_vec(), hex(release.challenge)]
            );
            feed(&mut machine, &hex(release.reply));
            assert_eq!(sent(&mut machine), [hex(ACK)]);
            assert_eq!(established(&mut machine).flags, release.flags);
        }
    }

    #[test]
    fn we_accept_otp_when_it_dials() {
        for release in [OTP25, OTP28] {
            let random = Random {
                challenge: 99,
                name: 0,
                creation: 0,
            };
            let accept = Accept {
                name: node("aa@127.0.0.1"),
                creation: 5,
                random,
            };
            let mut machine = Handshake::accept(START, config(release.flags), accept);
            feed(&mut machine, &hex(release.dialled_name));
            claim(&mut machine);
            machine.answer_claim(START, admit(Standing::Free));
            let message = framed(Framing::TwoByte, &hex(release.dialled_reply));
            machine.handle_bytes(START, &[&message[..], b"\0\0\0W"].concat());
            let connection = established(&mut machine);
            assert_eq!(connection.peer_creation, release.creation);
            assert_eq!(connection.leftover, "\0\0\0W", "the first frame has begun");
        }
    }

    #[test]
    fn we_name_a_nameless_peer_as_otp_does() {
        for release in [OTP25, OTP28] {
            let number = u64::from_str_radix(release.generated, 36).unwrap();
            let creation = u32_at(release.named, hex(release.named).len() - 4);
            let mut machine = otp(&release, release.dynamic_challenge, number, creation);
            feed(&mut machine, &hex(release.dynamic_name));
            let claim = claim(&mut machine);
            assert!(claim.is_dynamic);
            assert_eq!(
                claim.name.as_str(),
                format!("{}@127.0.0.1", release.generated)
            );
            machine.answer_claim(START, admit(Standing::Free));
            let expected = [hex(release.named), hex(release.dynamic_challenge)];
            assert_eq!(sent(&mut machine), expected);
            let digest = Digest::of(&cookie("secretx"), u32_at(release.dynamic_challenge, 9));
            feed(&mut machine, &reply_message(1, digest));
            let connection = established(&mut machine);
            assert!(connection.is_peer_dynamic && !connection.flags.is_visible());
            assert_eq!(connection.peer_creation, creation);
        }
    }

    #[test]
    fn we_take_the_name_that_otp_gives() {
        for release in [OTP25, OTP28] {
            let local = LocalName::Dynamic {
                host: "127.0.0.1".into(),
            };
            let mut machine = dial_as(config(release.flags), local, "mm@127.0.0.1", 1);
            // `erl -sname undefined` was seen to send the same with PUBLISHED clear.
            let mut name = hex(release.dynamic_name);
            name[8] &= !1;
            assert_eq!(sent(&mut machine), [name]);
            feed(&mut machine, &hex(release.named));
            feed(&mut machine, &hex(release.dynamic_challenge));
            feed(
                &mut machine,
                &[b"a", &Digest::of(&cookie("secretx"), 1).as_bytes()[..]].concat(),
            );
            let given = established(&mut machine).given.expect("a name");
            assert_eq!(
                given.name.as_str(),
                format!("{}@127.0.0.1", release.generated)
            );
            assert_eq!(
                given.creation,
                u32_at(release.named, hex(release.named).len() - 4)
            );
        }
    }

    /// The script's dialogue in the old form, which OTP 28.5 accepted.
    #[test]
    fn we_accept_the_old_form_as_otp_28_does() {
        let challenge = "4e0000002d07df7fbd5d886f1c6b016887000c6d6d403132372e302e302e31";
        let mut machine = otp(&OTP28, challenge, 0, 0);
        feed(&mut machine, &hex("6e000507df7fbd6f6e403132372e302e302e31"));
        let claim = claim(&mut machine);
        assert!(claim.is_old_form);
        assert_eq!(claim.name, node("on@127.0.0.1"));
        machine.answer_claim(START, admit(Standing::Free));
        assert_eq!(sent(&mut machine), [b"sok".to_vec(), hex(challenge)]);
        feed(&mut machine, &hex("630000002d0000004d"));
        feed(
            &mut machine,
            &reply_message(5, Digest::of(&cookie("secretx"), 0x5d88_6f1c)),
        );
        assert_eq!(
            sent(&mut machine),
            [hex("61022cc6d17bb8b9252372b07eaa5ef54f")]
        );
        let connection = established(&mut machine);
        assert_eq!(
            (connection.flags, connection.peer_creation),
            (Flags::OTP28, 77)
        );
    }
}

/// Carries bytes between two machines, cut as `cuts` says, and answers the questions they ask.
struct Pair {
    dialler: Handshake,
    acceptor: Handshake,
    verdict: Verdict,
    is_wanted: bool,
    cuts: Vec<usize>,
    outcomes: [Option<Result<Established, HandshakeError>>; 2],
}

impl Pair {
    fn new(dialler: Handshake, acceptor: Handshake, verdict: Verdict) -> Self {
        let outcomes = [None, None];
        Pair {
            dialler,
            acceptor,
            verdict,
            is_wanted: true,
            cuts: vec![usize::MAX],
            outcomes,
        }
    }

    fn run(mut self) -> [Result<Established, HandshakeError>; 2] {
        for _round in 0..20 {
            for side in 0..2 {
                self.events(side);
                self.carry(side);
            }
        }
        for side in 0..2 {
            self.machine(side).handle_closed();
            self.events(side);
        }
        self.outcomes.map(|outcome| outcome.expect("an outcome"))
    }

    fn machine(&mut self, side: usize) -> &mut Handshake {
        if side == 0 {
            &mut self.dialler
        } else {
            &mut self.acceptor
        }
    }

    fn carry(&mut self, from: usize) {
        let messages = core::iter::from_fn(|| self.machine(from).poll_transmit());
        let mut stream = messages.collect::<Vec<_>>().concat();
        while !stream.is_empty() {
            self.cuts.rotate_left(1);
            let rest = stream.split_off(self.cuts[0].clamp(1, stream.len()));
            if self.outcomes[1 - from].is_none() {
                self.machine(1 - from).handle_bytes(START, &stream);
                self.events(1 - from);
            }
            stream = rest;
        }
        if matches!(self.outcomes[from], Some(Err(_))) {
            self.machine(1 - from).handle_closed();
        }
    }

    fn events(&mut self, side: usize) {
        while let Some(event) = self.machine(side).poll_event() {
            match event {
                Event::Claim(_) => {
                    let verdict = self.verdict.clone();
                    self.acceptor.answer_claim(START, verdict);
                }
                Event::Alive => {
                    let is_wanted = self.is_wanted;
                    self.dialler.answer_alive(START, is_wanted);
                }
                Event::Established(established) => self.outcomes[side] = Some(Ok(*established)),
                Event::Failed(error) => self.outcomes[side] = Some(Err(error)),
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Case {
    Free,
    Alive,
    AliveUnwanted,
    Dialling,
    Refused,
    WrongCookie,
    Dynamic,
}

fn pair(
    case: Case,
    framing: Framing,
    cuts: Vec<usize>,
) -> [Result<Established, HandshakeError>; 2] {
    let config = Config {
        framing,
        ..Config::default()
    };
    let verdict = match case {
        Case::Alive | Case::AliveUnwanted => admit(Standing::Connected),
        Case::Dialling => admit(Standing::Dialling),
        Case::Refused => Verdict::Refuse,
        Case::WrongCookie => Verdict::Admit {
            cookie: cookie("another"),
            standing: Standing::Free,
        },
        Case::Free | Case::Dynamic => admit(Standing::Free),
    };
    let local = match case {
        Case::Dynamic => LocalName::Dynamic {
            host: "host".into(),
        },
        _ => known("a@host", 7),
    };
    let mut pair = Pair::new(
        dial_as(config, local, "b@host", 111),
        acceptor(config),
        verdict,
    );
    pair.is_wanted = !matches!(case, Case::AliveUnwanted);
    pair.cuts = cuts;
    pair.run()
}

proptest! {
    /// I4 of the machine.
    #[test]
    fn the_outcome_does_not_depend_on_the_cuts(
        case in prop::sample::select(vec![
            Case::Free, Case::Alive, Case::AliveUnwanted, Case::Dialling, Case::Refused,
            Case::WrongCookie, Case::Dynamic,
        ]),
        is_tls in any::<bool>(),
        cuts in prop::collection::vec(1_usize..40, 1..30),
    ) {
        let framing = if is_tls { Framing::FourByte } else { Framing::TwoByte };
        let whole = pair(case, Framing::TwoByte, vec![usize::MAX]);
        prop_assert_eq!(pair(case, framing, cuts), whole);
    }

    #[test]
    fn any_bytes_end_or_wait_within_bounds(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..40),
        is_dialler in any::<bool>(),
    ) {
        let config = Config::default();
        let mut machine = if is_dialler { dialler(config) } else { acceptor(config) };
        for chunk in chunks {
            machine.handle_bytes(START, &chunk);
            prop_assert!(machine.buffered_len() <= HANDSHAKE_BUFFERED_LEN_MAX);
        }
    }
}

#[test]
fn both_sides_know_the_same_in_the_end() {
    let [dialled, accepted] = pair(Case::Free, Framing::TwoByte, vec![3]);
    let (dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
    assert_eq!(
        (dialled.peer.as_str(), dialled.peer_creation),
        ("b@host", 9)
    );
    assert_eq!(
        (accepted.peer.as_str(), accepted.peer_creation),
        ("a@host", 7)
    );
    assert_eq!(dialled.flags, accepted.flags);
    assert_eq!(dialled.flags, Flags::CACHE_AND_FRAGMENTS);
}

#[test]
fn different_cookies_fail_on_both_sides() {
    let [dialled, accepted] = pair(Case::WrongCookie, Framing::TwoByte, vec![3]);
    assert_eq!(
        dialled,
        Err(HandshakeError::ClosedAfterReply {
            peer: node("b@host")
        })
    );
    assert_eq!(
        accepted,
        Err(HandshakeError::WrongCookie {
            peer: node("a@host")
        })
    );
}

#[test]
fn a_live_connection_is_replaced_only_by_a_proven_dialler_that_insists() {
    let [dialled, accepted] = pair(Case::Alive, Framing::TwoByte, vec![3]);
    assert!(dialled.is_ok());
    assert_eq!(accepted.unwrap().standing, Standing::Connected);
    let [dialled, accepted] = pair(Case::AliveUnwanted, Framing::TwoByte, vec![3]);
    assert_eq!(
        dialled,
        Err(HandshakeError::AlreadyConnected {
            peer: node("b@host")
        })
    );
    assert_eq!(
        accepted,
        Err(HandshakeError::AlreadyConnected {
            peer: node("a@host")
        })
    );
}

#[test]
fn of_two_simultaneous_dials_the_greater_names_goes_on() {
    let [dialled, accepted] = pair(Case::Dialling, Framing::TwoByte, vec![3]);
    assert_eq!(
        dialled,
        Err(HandshakeError::Nok {
            peer: node("b@host")
        })
    );
    assert_eq!(
        accepted,
        Err(HandshakeError::OwnDialGoesOn {
            peer: node("a@host")
        })
    );
    let local = known("c@host", 7);
    let (machine, verdict) = (acceptor(Config::default()), admit(Standing::Dialling));
    let dialler = dial_as(Config::default(), local, "b@host", 111);
    let [dialled, accepted] = Pair::new(dialler, machine, verdict).run();
    assert!(dialled.is_ok());
    assert_eq!(accepted.unwrap().standing, Standing::Dialling);
}

#[test]
fn the_simultaneous_status_is_that_of_otp() {
    let mut machine = claimed("c@host");
    machine.answer_claim(START, admit(Standing::Dialling));
    assert_eq!(sent(&mut machine)[0], "sok_simultaneous");
    let mut machine = claimed("a@host");
    machine.answer_claim(START, admit(Standing::Dialling));
    assert_eq!(sent(&mut machine), ["snok"]);
}

#[test]
fn a_refused_peer_is_told_so() {
    let [dialled, accepted] = pair(Case::Refused, Framing::TwoByte, vec![3]);
    assert_eq!(
        dialled,
        Err(HandshakeError::NotAllowed {
            peer: node("b@host")
        })
    );
    assert_eq!(
        accepted,
        Err(HandshakeError::Refused {
            peer: node("a@host")
        })
    );
}

#[test]
fn a_nameless_dialler_gets_a_name() {
    let [dialled, accepted] = pair(Case::Dynamic, Framing::TwoByte, vec![3]);
    let (dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
    let name = node("0000000000010@host");
    assert_eq!(
        dialled.given,
        Some(Given {
            name: name.clone(),
            creation: 4
        })
    );
    assert_eq!((accepted.peer, accepted.peer_creation), (name, 4));
    assert!(!dialled.flags.is_visible() && !dialled.flags.contains(Flags::NAME_ME));
}

#[test]
fn a_generated_name_in_use_is_not_given() {
    let mut machine = acceptor(Config::default());
    feed(
        &mut machine,
        &name_message("host", Flags::OTP25 | Flags::NAME_ME),
    );
    let name = claim(&mut machine).name;
    machine.answer_claim(START, admit(Standing::Connected));
    assert_eq!(sent(&mut machine), ["snok"]);
    assert_eq!(error(&mut machine), HandshakeError::NameTaken { name });
}

#[test]
fn our_own_name_is_answered_with_nok() {
    let mut machine = acceptor(Config::default());
    feed(&mut machine, &name_message("b@host", Flags::OTP25));
    assert_eq!(sent(&mut machine), ["snok"]);
    assert_eq!(
        error(&mut machine),
        HandshakeError::OwnName {
            name: node("b@host")
        }
    );
    let mut dialler = dial_as(Config::default(), known("b@host", 1), "b@host", 1);
    assert_eq!(
        error(&mut dialler),
        HandshakeError::OwnName {
            name: node("b@host")
        }
    );
    assert!(sent(&mut dialler).is_empty());
}

#[test]
fn names_that_are_no_node_names_are_closed_without_a_word() {
    let dynamic = Flags::OTP25 | Flags::NAME_ME;
    let cases = [
        ("b", Flags::OTP25),
        ("@host", Flags::OTP25),
        ("a@", Flags::OTP25),
        ("a@b@c", Flags::OTP25),
        ("", Flags::OTP25),
        ("a@host", dynamic),
        ("", dynamic),
    ];
    for (name, flags) in cases {
        let mut machine = acceptor(Config::default());
        feed(&mut machine, &name_message(name, flags));
        assert!(sent(&mut machine).is_empty(), "{name}");
        let error = error(&mut machine);
        assert!(
            matches!(error, HandshakeError::InvalidName(_)),
            "{name}: {error}"
        );
    }
}

#[test]
fn bytes_after_the_name_are_ignored() {
    let mut machine = acceptor(Config::default());
    feed(
        &mut machine,
        &[&name_message("a@host", Flags::OTP25)[..], b"xyz"].concat(),
    );
    assert_eq!(claim(&mut machine).name, node("a@host"));
}

#[test]
fn peers_without_the_needed_flags_are_refused_by_both_sides() {
    let missing = Flags::MAP_TAG | Flags::NEW_FLOATS;
    let flags = Flags::OTP25.without(missing | Flags::MANDATORY_25_DIGEST);
    let mut machine = acceptor(Config::default());
    feed(&mut machine, &name_message("a@host", flags));
    assert_eq!(sent(&mut machine), ["snot_allowed"]);
    let refused = error(&mut machine);
    assert_eq!(
        refused,
        HandshakeError::MissingFlags {
            peer: "a@host".into(),
            missing
        }
    );
    assert!(
        refused.to_string().contains("NEW_FLOATS, MAP_TAG"),
        "{refused}"
    );

    let mut machine = dialler(Config::default());
    feed(&mut machine, b"sok");
    feed(&mut machine, &challenge_message("b@host", flags));
    assert_eq!(
        error(&mut machine),
        HandshakeError::MissingFlags {
            peer: "b@host".into(),
            missing
        }
    );
}

#[test]
fn another_node_than_dialled_is_refused() {
    let mut machine = dialler(Config::default());
    feed(&mut machine, b"sok");
    feed(&mut machine, &challenge_message("c@host", Flags::OTP25));
    let (dialled, answered) = (node("b@host"), "c@host".to_owned());
    assert_eq!(
        error(&mut machine),
        HandshakeError::NameMismatch { dialled, answered }
    );
}

#[test]
fn each_status_is_understood() {
    let failing: [(&[u8], &str); 6] = [
        (b"snok", "dialling this node at the same time"),
        (b"snot_allowed", "does not allow this node"),
        (b"sbanana\n", "unknown status `banana\\n`"),
        (b"s", "unknown status ``"),
        (b"snamed:\0\x03a@b\0\0\0\x05", "unknown status `named:`"),
        (b"snamed:\0\x09a@b", "too short"),
    ];
    for (status, text) in failing {
        let mut machine = dialler(Config::default());
        feed(&mut machine, status);
        let error = error(&mut machine).to_string();
        assert!(error.contains(text), "{error}");
    }
    for status in [&b"sok"[..], b"sok_simultaneous"] {
        let mut machine = dialler(Config::default());
        feed(&mut machine, status);
        assert_eq!(machine.step(), Step::Challenge);
    }
}

#[test]
fn a_nameless_dialler_needs_a_usable_name() {
    let dial = || {
        let local = LocalName::Dynamic {
            host: "host".into(),
        };
        dial_as(Config::default(), local, "b@host", 1)
    };
    for status in [&b"sok"[..], b"salive", b"sok_simultaneous"] {
        let mut machine = dial();
        feed(&mut machine, status);
        assert_eq!(
            error(&mut machine),
            HandshakeError::NotNamed {
                peer: node("b@host")
            }
        );
    }
    let mut machine = dial();
    feed(&mut machine, b"snamed:\0\x04host\0\0\0\x05");
    assert!(matches!(
        error(&mut machine),
        HandshakeError::InvalidName(_)
    ));
}

#[test]
fn the_dialler_answers_alive_as_its_node_decides() {
    for (is_wanted, answer) in [(true, "strue"), (false, "sfalse")] {
        let mut machine = dialler(Config::default());
        sent(&mut machine);
        feed(&mut machine, b"salive");
        assert!(matches!(machine.poll_event(), Some(Event::Alive)));
        machine.answer_alive(START, is_wanted);
        assert_eq!(sent(&mut machine), [answer]);
    }
}

#[test]
fn a_wrong_acknowledgement_is_a_wrong_cookie() {
    let mut machine = awaiting_ack();
    feed(&mut machine, &[b"a", &[0; 16][..]].concat());
    assert_eq!(
        error(&mut machine),
        HandshakeError::WrongCookie {
            peer: node("b@host")
        }
    );
}

#[test]
fn messages_of_another_kind_or_length_are_malformed() {
    let old = Flags::OTP25.bits() as u32;
    let mut names: Vec<Vec<u8>> = [&b""[..], b"N", b"strue", b"GET /", b"n"]
        .map(Vec::from)
        .into();
    names.push([&b"N"[..], &[0; 12], &[0, 9], b"a@b"].concat());
    for name in names {
        let mut machine = acceptor(Config::default());
        feed(&mut machine, &name);
        let error = error(&mut machine);
        let is_expected = matches!(
            error,
            HandshakeError::Malformed {
                step: Step::Name,
                ..
            } | HandshakeError::MissingFlags { .. }
        );
        assert!(is_expected, "{error}");
    }
    for (version, flags) in [(6_u16, old), (5, 4)] {
        let mut machine = acceptor(Config::default());
        let name = [
            b"n",
            &version.to_be_bytes()[..],
            &flags.to_be_bytes(),
            b"a@host",
        ]
        .concat();
        feed(&mut machine, &name);
        assert_eq!(error(&mut machine), HandshakeError::OldVersion);
    }
    let mut machine = claimed("a@host");
    machine.answer_claim(START, admit(Standing::Free));
    feed(&mut machine, &[b"r", &[0; 21][..]].concat());
    let expected = HandshakeError::Malformed {
        step: Step::ChallengeReply,
        what: "it is too long",
    };
    assert_eq!(error(&mut machine), expected);
    let mut machine = awaiting_ack();
    feed(&mut machine, b"r");
    assert!(matches!(
        error(&mut machine),
        HandshakeError::Malformed {
            step: Step::ChallengeAck,
            ..
        }
    ));
    let mut machine = claimed("a@host");
    machine.answer_claim(START, admit(Standing::Connected));
    feed(&mut machine, b"smaybe");
    assert!(matches!(
        error(&mut machine),
        HandshakeError::Malformed {
            step: Step::AliveAnswer,
            ..
        }
    ));
}

#[test]
fn an_old_challenge_is_an_old_node() {
    let mut machine = dialler(Config::default());
    feed(&mut machine, b"sok");
    feed(&mut machine, b"n\0\x05\0\0\0\0\0\0\0\0b@host");
    assert_eq!(error(&mut machine), HandshakeError::OldVersion);
}

#[test]
fn the_whole_handshake_has_one_deadline() {
    let mut machine = acceptor(Config::default());
    let last = START + Duration::from_millis(6999);
    machine.handle_bytes(
        last,
        &framed(Framing::TwoByte, &name_message("a@host", Flags::OTP25)),
    );
    claim(&mut machine);
    machine.answer_claim(last, admit(Standing::Free));
    assert_eq!(machine.poll_timeout(), Some(START + Duration::from_secs(7)));
    machine.handle_timeout(last);
    assert!(machine.poll_event().is_none());
    machine.handle_timeout(START + Duration::from_secs(7));
    let error = error(&mut machine);
    assert_eq!(
        error.to_string(),
        "timed out after 7000 ms waiting for the peer's challenge reply"
    );
}

#[test]
fn a_late_answer_of_the_owner_is_ignored() {
    let mut machine = claimed("a@host");
    let late = START + Duration::from_secs(7);
    machine.answer_claim(late, admit(Standing::Free));
    assert!(sent(&mut machine).is_empty());
    assert!(matches!(
        error(&mut machine),
        HandshakeError::TimedOut {
            step: Step::Verdict,
            ..
        }
    ));
    machine.answer_claim(late, admit(Standing::Free));
    machine.answer_alive(late, true);
    machine.handle_closed();
    machine.handle_bytes(late, b"more");
    assert!(machine.poll_event().is_none() && machine.poll_transmit().is_none());
}

#[test]
fn a_lost_connection_names_the_step() {
    let mut machine = acceptor(Config::default());
    machine.handle_bytes(START, b"\0");
    machine.handle_closed();
    assert_eq!(
        error(&mut machine),
        HandshakeError::Closed { step: Step::Name }
    );
    let mut machine = awaiting_ack();
    machine.handle_closed();
    assert!(
        error(&mut machine)
            .to_string()
            .contains("cookie is likely another")
    );
}

#[test]
fn a_message_beyond_the_limit_is_refused_by_its_length() {
    let len_max = HANDSHAKE_MESSAGE_LEN_MAX;
    let mut machine = acceptor(Config::default());
    machine.handle_bytes(START, b"GET / HTTP/1.1\r\n");
    let too_long = HandshakeError::TooLong {
        step: Step::Name,
        len: 0x4745,
        len_max,
    };
    assert_eq!(error(&mut machine), too_long);
    let framing = Framing::FourByte;
    let mut machine = acceptor(Config {
        framing,
        ..Config::default()
    });
    machine.handle_bytes(START, &[0xFF; 4]);
    assert!(matches!(
        error(&mut machine),
        HandshakeError::TooLong { .. }
    ));
}

#[test]
fn a_peer_cannot_fill_memory_while_its_claim_is_undecided() {
    let mut machine = claimed("a@host");
    for _ in 0..HANDSHAKE_BUFFERED_LEN_MAX / 1024 {
        machine.handle_bytes(START, &[0; 1024]);
    }
    assert!(machine.poll_event().is_none());
    machine.handle_bytes(START, &[0]);
    assert!(matches!(
        error(&mut machine),
        HandshakeError::TooMuch {
            step: Step::Verdict,
            ..
        }
    ));
    assert_eq!(machine.buffered_len(), 0);
}

#[test]
fn bytes_after_the_last_message_are_kept() {
    let mut machine = awaiting_ack();
    let ack = [b"a", &Digest::of(&cookie("secretx"), 111).as_bytes()[..]].concat();
    let stream = [framed(Framing::TwoByte, &ack), vec![5; 200_000]].concat();
    machine.handle_bytes(START, &stream);
    machine.handle_bytes(START, &[6; 10]);
    let leftover = established(&mut machine).leftover;
    assert_eq!(
        leftover.len(),
        200_010,
        "also what came before the event was polled"
    );
}

#[test]
fn flags_are_what_both_sides_have() {
    let other = config(Flags::PASS_THROUGH.hidden());
    let dialler = dialler(Config::default());
    let [dialled, accepted] = Pair::new(dialler, acceptor(other), admit(Standing::Free)).run();
    let (dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
    assert_eq!(dialled.flags, Flags::PASS_THROUGH.hidden());
    assert_eq!(accepted.flags, dialled.flags);
    assert!(accepted.peer_flags.is_visible() && !dialled.peer_flags.is_visible());
}

//! Frames recorded from OTP 25 and 28: decoded in order, compared with what they mean, and encoded
//! again. `vectors/` says how they were recorded.

mod common;

use bytes::Bytes;
use common::*;
use purlin_proto::channel::limits::ChannelLimits;
use purlin_proto::channel::{FlowId, Receiver, Sender};
use purlin_proto::control::{OutMessage, encode_signal};
use purlin_proto::flags::Flags;
use purlin_proto::signal::{Monitored, Recipient, Signal, SpawnRequest};
use purlin_term::{Atom, Encoder, Limits, NameBudget, Term};

const FULL_25: &str = include_str!("vectors/vectors-otp25-full.txt");
const FULL_28: &str = include_str!("vectors/vectors-otp28-full.txt");
const PASS_THROUGH_25: &str = include_str!("vectors/vectors-otp25-passthrough.txt");

struct Vector<'a> {
    frame: Bytes,
    /// `ctl=.. msg=.. (..)`.
    meaning: &'a str,
}

fn vectors(file: &str) -> Vec<Vector<'_>> {
    let lines: Vec<&str> = file.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len() % 2, 0);
    lines
        .chunks(2)
        .map(|pair| Vector {
            frame: if pair[0].starts_with('(') {
                long_frame(pair[0])
            } else {
                unhex(pair[0]).into()
            },
            meaning: pair[1].trim(),
        })
        .collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).expect("hex") as u8;
    text.as_bytes()
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

/// `(long frame, N bytes, first 80: HEX)`: a list of 20,000 times 1000, or a part of it, of which
/// only the start was recorded.
fn long_frame(line: &str) -> Bytes {
    let len = line
        .split([' ', ','])
        .find_map(|word| word.parse().ok())
        .expect("a length");
    let mut frame = unhex(line.rsplit(' ').next().unwrap().trim_end_matches(')'));
    assert_eq!(frame.len(), 80);
    while frame.len() < len {
        frame.push(frame[frame.len() - 5]);
    }
    if frame[1] != 69 {
        frame[len - 1] = 106;
    }
    frame.into()
}

/// The term in the notation of the files.
fn show(term: &Term) -> String {
    let join = |terms: &[Term], by: &str| terms.iter().map(show).collect::<Vec<_>>().join(by);
    match term {
        Term::Int(value) => value.to_string(),
        Term::Atom(atom) => show_atom(atom),
        Term::Pid(pid) => {
            format!(
                "#Pid<{}.{}.{}.c{:x}>",
                pid.node, pid.id, pid.serial, pid.creation
            )
        }
        Term::Reference(reference) => {
            let words: Vec<_> = reference.words().iter().map(u32::to_string).collect();
            let node = reference.node();
            format!(
                "#Ref<{node}.c{:x}.{}>",
                reference.creation(),
                words.join(".")
            )
        }
        Term::Tuple(elements) => format!("{{{}}}", join(elements, ",")),
        Term::List(items) if items.iter().all(|item| matches!(item, Term::Int(1))) => {
            format!("\"{}\"", "\u{1}".repeat(items.len()))
        }
        Term::List(items) => format!("[{}]", join(&items.to_vec(), ", ")),
        Term::ImproperList(list) => {
            format!("[{}|{}]", join(list.items(), ", "), show(list.tail()))
        }
        Term::Map(map) => {
            let pair = |(key, value): &(Term, Term)| format!("{}=>{}", show(key), show(value));
            format!(
                "#{{{}}}",
                map.pairs().iter().map(pair).collect::<Vec<_>>().join(",")
            )
        }
        other => panic!("the files have no {other:?}"),
    }
}

fn show_atom(atom: &Atom) -> String {
    let text = atom.as_str();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{text}'")
    }
}

fn decoded(message: &[u8], atoms: &[Atom]) -> (Term, usize) {
    let mut names = NameBudget::new(100);
    let limits = Limits::default();
    purlin_term::Decoder::new(atoms, &limits, &mut names)
        .decode(message)
        .unwrap()
}

/// What the signal means in the notation of the files, by way of its own encoding.
fn meaning(signal: &Signal, flags: Flags) -> String {
    let message = encode_signal(signal, flags).unwrap();
    let (control, len) = decoded(message.control(), message.atoms());
    assert_eq!(len, message.control().len());
    let payload = signal
        .payload()
        .filter(|_| !message.payload().is_empty())
        .map_or("None".to_owned(), |payload| {
            show(&payload.to_term().unwrap())
        });
    format!("ctl={} msg={payload}", show(&control))
}

/// What a frame holds, found without the channel's code.
struct Parts {
    slots: Vec<(u16, bool)>,
    texts: usize,
    /// Control and payload.
    body: Bytes,
}

fn parts(frame: &Bytes, start: usize) -> Parts {
    let count = usize::from(frame[start]);
    let mut at = start + 1;
    let flags = frame.slice(at..);
    at += if count > 0 { count / 2 + 1 } else { 0 };
    let nibble = |k: usize| flags[k / 2] >> (4 * (k % 2)) & 15;
    let (mut slots, mut texts) = (Vec::new(), 0);
    for k in 0..count {
        slots.push((
            u16::from(nibble(k) & 7) << 8 | u16::from(frame[at]),
            nibble(k) & 8 != 0,
        ));
        at += 1;
        if nibble(k) & 8 != 0 {
            at += 1 + usize::from(frame[at]);
            texts += 1;
        }
    }
    let body = frame.slice(at..);
    Parts { slots, texts, body }
}

fn receive_all(file: &str, flags: Flags) -> Vec<(Bytes, Option<Signal>)> {
    let mut receiver = Receiver::new(flags, &ChannelLimits::default());
    let mut answers = Vec::new();
    for vector in vectors(file) {
        let signal = receiver.handle_frame(vector.frame.clone()).unwrap();
        if let Some(signal) = &signal {
            let meaning = meaning(signal, flags);
            let is_long = vector.meaning.starts_with("ctl=(");
            assert!(is_long || vector.meaning.starts_with(&meaning), "{meaning}");
            if vector.frame[1] == 68 {
                let atoms = format!("(hdr natoms={})", vector.frame[2]);
                assert!(vector.meaning.ends_with(&atoms));
            }
        } else {
            assert!(vector.meaning.contains("FRAG1"));
        }
        answers.push((vector.frame, signal));
    }
    assert_eq!(receiver.held_bytes(), 0);
    answers
}

#[test]
fn frames_of_otp_25_mean_what_is_written_beside_them() {
    assert_eq!(receive_all(FULL_25, Flags::OTP25).len(), 21);
}

#[test]
fn frames_of_otp_28_mean_what_is_written_beside_them() {
    assert_eq!(receive_all(FULL_28, Flags::OTP28).len(), 21);
}

/// ei's flags, with which this file was recorded, and DIST_MONITOR_NAME instead of DIST_MONITOR.
const PASS_THROUGH: Flags = Flags::from_bits(0x4_0307_0F95);

#[test]
fn pass_through_frames_encode_to_the_same_bytes() {
    let answers = receive_all(PASS_THROUGH_25, PASS_THROUGH);
    assert_eq!(answers.len(), 14);
    for (frame, signal) in answers {
        let mut sender = Sender::new(PASS_THROUGH);
        let message = encode_signal(&signal.unwrap(), PASS_THROUGH).unwrap();
        sender.push(FlowId(0), message);
        assert_eq!(bodies(&drain(&mut sender)), [frame]);
    }
}

/// The atoms of a frame may be numbered in any order, so both sides are compared with their atoms
/// written out; without a payload the order is that of the tuple, and every byte must agree.
#[test]
fn frames_with_a_header_encode_to_the_same_terms_byte_by_byte() {
    for (file, flags) in [(FULL_25, Flags::OTP25), (FULL_28, Flags::OTP28)] {
        let mut whole = 0;
        for (frame, signal) in receive_all(file, flags) {
            if frame[1] != 68 {
                continue;
            }
            let signal = signal.unwrap();
            let with_refs = encode_signal(&signal, flags).unwrap();
            let inline = flags.without(Flags::DIST_HDR_ATOM_CACHE);
            let inline = encode_signal(&signal, inline).unwrap();
            let original = parts(&frame, 2).body;
            if signal.payload().is_none() {
                assert_eq!(with_refs.control(), original);
            } else {
                assert!(original.ends_with(with_refs.payload()));
            }
            assert_eq!(
                in_line(&with_refs),
                [inline.control(), inline.payload()].concat()
            );
            let control = original.len() - with_refs.payload().len();
            assert_eq!(control, with_refs.control().len());
            whole += 1;
        }
        assert_eq!(whole, 19);
    }
}

/// Control and payload with atoms inline.
fn in_line(message: &OutMessage) -> Vec<u8> {
    let mut names = NameBudget::new(0);
    let limits = Limits::default();
    let mut encoder = Encoder::plain();
    for bytes in [message.control(), message.payload()] {
        if !bytes.is_empty() {
            let mut decoder = purlin_term::Decoder::new(message.atoms(), &limits, &mut names);
            encoder.view(decoder.view(bytes).unwrap()).unwrap();
        }
    }
    encoder.as_slice().to_vec()
}

/// Payloads decoded to owned terms and encoded again: the bytes of OTP, atoms inline.
#[test]
fn payloads_of_otp_decode_to_terms_that_encode_to_the_same_bytes() {
    for (file, flags) in [(FULL_25, Flags::OTP25), (PASS_THROUGH_25, PASS_THROUGH)] {
        for (_, signal) in receive_all(file, flags) {
            let Some(payload) = signal.as_ref().and_then(Signal::payload) else {
                continue;
            };
            let (mut direct, mut decoded) = (Encoder::plain(), Encoder::plain());
            direct.view(payload.view()).unwrap();
            decoded.term(&payload.to_term().unwrap()).unwrap();
            assert_eq!(direct.as_slice(), decoded.as_slice());
        }
    }
}

#[test]
fn a_large_message_is_cut_where_otp_cuts_it() {
    for (file, flags) in [(FULL_25, Flags::OTP25), (FULL_28, Flags::OTP28)] {
        let answers = receive_all(file, flags);
        let first = answers
            .iter()
            .position(|(frame, _)| frame[1] == 69)
            .unwrap();
        let signal = answers[first + 1].1.as_ref().unwrap();
        let mut sender = Sender::new(flags);
        sender.push(FlowId(0), encode_signal(signal, flags).unwrap());
        let ours = bodies(&drain(&mut sender));
        assert_eq!(ours.len(), 2);
        // Sequences and slots are the sender's choice, all else is not.
        let (theirs, later) = (&answers[first].0, &answers[first + 1].0);
        assert_eq!(ours[0][..2], theirs[..2]);
        assert_eq!(ours[0][10..18], theirs[10..18]);
        assert_eq!(parts(&ours[0], 18).body, parts(theirs, 18).body);
        assert_eq!(ours[1][10..], later[10..]);
    }
}

/// With the texts that OTP had new in a frame, our header has the size of OTP's.
#[test]
fn headers_name_as_many_atoms_as_those_of_otp() {
    let mut sender = Sender::new(Flags::OTP25);
    for (frame, signal) in receive_all(FULL_25, Flags::OTP25) {
        if frame[1] != 68 {
            continue;
        }
        let message = encode_signal(&signal.unwrap(), Flags::OTP25).unwrap();
        sender.push(FlowId(0), message);
        let ours = bodies(&drain(&mut sender)).pop().unwrap();
        let (ours, theirs) = (parts(&ours, 2), parts(&frame, 2));
        assert_eq!(ours.texts, theirs.texts);
        // What is forwarded keeps the numbers of its atoms, with blanks where others were.
        assert!(ours.slots.len() >= theirs.slots.len());
        assert_eq!(ours.slots.iter().filter(|slot| slot.1).count(), ours.texts);
    }
}

#[test]
fn the_spawn_request_keeps_every_part() {
    let answers = receive_all(FULL_28, Flags::OTP28);
    let request = answers.iter().find_map(|(_, signal)| match signal {
        Some(Signal::SpawnRequest(request)) => Some(request),
        _ => None,
    });
    let SpawnRequest {
        module,
        function,
        arity,
        options,
        arguments,
        ..
    } = &**request.unwrap();
    assert_eq!((module.as_str(), function.as_str(), *arity), ("m", "f", 1));
    assert_eq!(show(&options.to_term().unwrap()), "[monitor]");
    assert_eq!(arguments.to_term().unwrap(), Term::list([1.into()]));
}

#[test]
fn kinds_of_signals_are_told_apart() {
    let kinds: String = receive_all(FULL_28, Flags::OTP28)
        .iter()
        .filter_map(|(_, signal)| signal.as_ref())
        .map(|signal| match signal {
            Signal::Send {
                to: Recipient::Pid(_),
                ..
            } => 'p',
            Signal::Send {
                to: Recipient::Name(_),
                ..
            } => 'n',
            Signal::Send {
                to: Recipient::Alias(_),
                ..
            } => 'a',
            Signal::Link { .. } => 'l',
            Signal::Unlink { .. } => 'u',
            Signal::Exit { .. } => 'x',
            Signal::Exit2 { .. } => '2',
            Signal::Monitor {
                to: Monitored::Pid(_),
                ..
            } => 'm',
            Signal::Demonitor {
                to: Monitored::Pid(_),
                ..
            } => 'd',
            Signal::Monitor {
                to: Monitored::Name(_),
                ..
            } => 'M',
            Signal::Demonitor {
                to: Monitored::Name(_),
                ..
            } => 'D',
            Signal::SpawnRequest(_) => 's',
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, "nnnnpalulxmd2sppMnpD");
}

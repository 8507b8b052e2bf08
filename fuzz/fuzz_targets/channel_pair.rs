//! Two channels wired together: any sequence of pushes, writes and reads, and then any bytes in
//! the place of the sender. What was sent arrives in the order of its flow; nothing panics.
#![no_main]

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use purlin_proto::channel::limits::ChannelLimits;
use purlin_proto::channel::{FlowId, Receiver, Sender};
use purlin_proto::control::encode_signal;
use purlin_proto::flags::Flags;
use purlin_proto::frame::{Deframer, Frame};
use purlin_proto::signal::{Monitored, Recipient, Signal};
use purlin_term::{Atom, EncodedTerm, NodeName, Pid, Reference, Term};

fuzz_target!(|input: &[u8]| {
    let Some((&form, rest)) = input.split_first() else {
        return;
    };
    let mut pair = Pair::new(form);
    let mut steps = rest.chunks_exact(4);
    for (mark, step) in steps.by_ref().take(200).enumerate() {
        pair.step(mark as u32, step);
    }
    pair.finish();
    pair.garbage(rest);
});

struct Pair {
    flags: Flags,
    sender: Sender,
    stream: VecDeque<u8>,
    deframer: Deframer,
    receiver: Receiver,
    expected: BTreeMap<u8, VecDeque<u32>>,
}

impl Pair {
    fn new(form: u8) -> Self {
        let all = Flags::OTP28;
        let flags = match form % 4 {
            0 => all,
            1 => all.without(Flags::DIST_HDR_ATOM_CACHE),
            2 => all.without(Flags::FRAGMENTS),
            _ => all.without(Flags::DIST_HDR_ATOM_CACHE | Flags::FRAGMENTS),
        };
        Self {
            flags,
            sender: Sender::new(flags),
            stream: VecDeque::new(),
            deframer: Deframer::default(),
            receiver: Receiver::new(flags, &ChannelLimits::default()),
            expected: BTreeMap::new(),
        }
    }

    fn step(&mut self, mark: u32, step: &[u8]) {
        let amount = usize::from(u16::from_be_bytes([step[2], step[3]]));
        match step[0] % 8 {
            0 => self.write(amount % 8),
            1 => self.read(amount),
            2 => self.read(amount * 16),
            3 => self.sender.push_tick(),
            kind => {
                let flow = step[1] % 5;
                let signal = signal(kind, step[1] / 5, amount, mark);
                let message = encode_signal(&signal, self.flags).expect("all is supported");
                self.sender.push(FlowId(flow.into()), message);
                self.expected.entry(flow).or_default().push_back(mark);
            }
        }
    }

    fn write(&mut self, frames: usize) {
        let mut head = Vec::new();
        for _ in 0..frames {
            let Some(payload) = self.sender.poll_frame(&mut head) else {
                assert_eq!(self.sender.queued_bytes(), 0);
                return;
            };
            self.stream.extend(head.drain(..));
            self.stream.extend(payload);
        }
    }

    fn read(&mut self, len: usize) {
        let len = len.min(self.stream.len());
        let bytes: Vec<u8> = self.stream.drain(..len).collect();
        self.deframer.handle_bytes(&bytes);
        while let Some(frame) = self
            .deframer
            .next_frame()
            .expect("our own frames are short")
        {
            let Frame::Body(body) = frame else {
                continue;
            };
            let signal = self
                .receiver
                .handle_frame(body)
                .expect("our own frames decode");
            if let Some(signal) = signal {
                let mark = mark_of(&signal);
                let mut flows = self.expected.values_mut();
                let flow = flows.find(|flow| flow.front() == Some(&mark));
                flow.expect("the next signal of a flow").pop_front();
            }
        }
    }

    fn finish(&mut self) {
        self.write(usize::MAX);
        self.read(usize::MAX);
        assert!(self.expected.values().all(VecDeque::is_empty));
        assert_eq!(self.receiver.held_bytes(), 0);
    }

    /// The cache is filled and sequences may be open: the same bytes mean more now.
    fn garbage(&mut self, bytes: &[u8]) {
        for frame in bytes.chunks(40) {
            if self
                .receiver
                .handle_frame(Bytes::copy_from_slice(frame))
                .is_err()
            {
                return;
            }
        }
    }
}

fn pid(id: u32) -> Pid {
    Pid {
        node: NodeName::nonode(),
        creation: 1,
        id,
        serial: 0,
    }
}

fn signal(kind: u8, content: u8, amount: usize, mark: u32) -> Signal {
    let (from, to) = (pid(mark), pid(content.into()));
    let reference = Reference::new(from.node, 1, &[1, 2, 3]).expect("three words");
    let term = match content {
        // Several fragments; rarely, since they are slow.
        0 => Term::from("x".repeat(amount * 4).as_str()),
        1..15 => Term::from("x".repeat(amount % 2000).as_str()),
        15..30 => Term::list((0..amount % 40).map(|n| atom(content, n).into())),
        30..33 => Term::list((0..amount % 400).map(|n| atom(content, n).into())),
        _ => Term::from(amount as i64),
    };
    let payload = EncodedTerm::encode(&term).expect("it is short");
    match kind {
        4 => Signal::Send {
            from: Some(from),
            to: match content % 4 {
                0 => Recipient::Name(atom(content, amount)),
                1 => Recipient::Alias(reference),
                _ => Recipient::Pid(to),
            },
            message: payload,
            priority: content & 8 != 0,
            token: None,
        },
        5 => Signal::Exit {
            from,
            to,
            reason: payload,
            token: None,
        },
        6 => Signal::MonitorExit {
            from: Monitored::Pid(from),
            to,
            reference,
            reason: payload,
        },
        _ => Signal::Link { from, to },
    }
}

fn atom(content: u8, number: usize) -> Atom {
    let text = format!("é{content}_{number}").repeat(1 + usize::from(content) % 40);
    let text: String = text.chars().take(200).collect();
    Atom::new(&text).expect("at most 200 characters")
}

fn mark_of(signal: &Signal) -> u32 {
    match signal {
        Signal::Send {
            from: Some(from), ..
        }
        | Signal::Exit { from, .. }
        | Signal::MonitorExit {
            from: Monitored::Pid(from),
            ..
        }
        | Signal::Link { from, .. } => from.id,
        other => panic!("never sent: {other:?}"),
    }
}

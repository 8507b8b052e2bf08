//! Two channels wired together: whatever is sent, however the stream is cut, arrives in the order
//! of its flow.

mod common;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use common::*;
use proptest::prelude::*;
use proptest::sample::Index;
use purlin_proto::channel::limits::{ChannelLimits, FRAGMENT_LEN};
use purlin_proto::channel::{FlowId, Receiver, Sender};
use purlin_proto::control::encode_signal;
use purlin_proto::flags::Flags;
use purlin_proto::frame::{Deframer, Frame};
use purlin_proto::signal::{Monitored, Recipient, Signal, SpawnRequest};
use purlin_term::Term;

/// One direction of a connection, with the stream between its two machines.
struct Wire {
    flags: Flags,
    sender: Sender,
    /// Is given the same, encoded apart: it must write the same.
    twin: Sender,
    stream: VecDeque<u8>,
    deframer: Deframer,
    receiver: Receiver,
    /// What must arrive of each flow, and in this order.
    expected: BTreeMap<u64, VecDeque<(Bytes, Bytes)>>,
    arrived: usize,
}

impl Wire {
    fn new(flags: Flags) -> Self {
        Self {
            flags,
            sender: Sender::new(flags),
            twin: Sender::new(flags),
            stream: VecDeque::new(),
            deframer: Deframer::default(),
            receiver: Receiver::new(flags, &ChannelLimits::default()),
            expected: BTreeMap::new(),
            arrived: 0,
        }
    }

    fn push(&mut self, flow: u64, signal: &Signal) {
        let Some(seen) = as_seen(signal, self.flags) else {
            let queued = self.sender.queued_bytes();
            encode_signal(signal, self.flags).unwrap_err();
            self.sender.push_signal(FlowId(flow), signal).unwrap_err();
            assert_eq!(self.sender.queued_bytes(), queued);
            return;
        };
        let message = encode_signal(signal, self.flags).unwrap();
        self.twin.push(FlowId(flow), message);
        self.sender.push_signal(FlowId(flow), signal).unwrap();
        assert_eq!(self.sender.queued_bytes(), self.twin.queued_bytes());
        self.expected
            .entry(flow)
            .or_default()
            .push_back(canonical(&seen));
    }

    fn push_tick(&mut self) {
        self.sender.push_tick();
        self.twin.push_tick();
    }

    /// Writes up to `frames` frames to the stream.
    fn write(&mut self, frames: usize) {
        let (mut head, mut twin_head) = (Vec::new(), Vec::new());
        for _ in 0..frames {
            let payload = self.sender.poll_frame(&mut head);
            assert_eq!(payload, self.twin.poll_frame(&mut twin_head));
            assert_eq!(head, twin_head);
            twin_head.clear();
            let Some(payload) = payload else {
                assert_eq!(self.sender.queued_bytes(), 0);
                break;
            };
            self.stream.extend(head.drain(..));
            self.stream.extend(payload);
        }
    }

    /// Reads up to `len` bytes of the stream.
    fn read(&mut self, len: usize) {
        let len = len.min(self.stream.len());
        let bytes: Vec<u8> = self.stream.drain(..len).collect();
        self.deframer.handle_bytes(&bytes);
        while let Some(frame) = self.deframer.next_frame().unwrap() {
            let Frame::Body(body) = frame else {
                continue;
            };
            if let Some(signal) = self.receiver.handle_frame(body).unwrap() {
                self.arrive(&signal);
            }
        }
    }

    /// Every signal is marked, so it can only be the next one of its own flow.
    fn arrive(&mut self, signal: &Signal) {
        let signal = canonical(signal);
        let mut fronts = self.expected.values_mut();
        let flow = fronts.find(|flow| flow.front() == Some(&signal));
        flow.expect("the next signal of a flow").pop_front();
        self.arrived += 1;
    }

    fn finish(&mut self) {
        self.write(usize::MAX);
        self.read(usize::MAX);
        assert!(
            self.expected.values().all(VecDeque::is_empty),
            "all has arrived"
        );
        assert_eq!(self.receiver.held_bytes(), 0);
        let mut rest = Vec::new();
        assert!(self.sender.poll_frame(&mut rest).is_none() && rest.is_empty());
    }
}

#[derive(Debug, Clone)]
enum Step {
    Push {
        flow: u64,
        kind: Index,
        content: Content,
        traced: bool,
    },
    Write(usize),
    Read(usize),
    Tick,
}

#[derive(Debug, Clone)]
enum Content {
    Binary(usize),
    Atoms {
        first: usize,
        count: usize,
        long: bool,
    },
}

impl Content {
    fn term(&self) -> Term {
        match *self {
            Content::Binary(len) => Term::from("x".repeat(len).as_str()),
            Content::Atoms { first, count, long } => {
                let text = |number: usize| match (long, number % 7) {
                    (true, 0) => format!("é{number}").repeat(40),
                    _ => format!("atom_{number}"),
                };
                let atoms = (first..first + count).map(|number| atom(&text(number)).into());
                Term::list(atoms)
            }
        }
    }
}

fn content() -> impl Strategy<Value = Content> {
    let atoms = (0..4000usize, 0..400usize, any::<bool>());
    prop_oneof![
        4 => (0..100usize).prop_map(Content::Binary),
        1 => (500..6000usize).prop_map(Content::Binary),
        1 => (FRAGMENT_LEN - 60..FRAGMENT_LEN + 60).prop_map(Content::Binary),
        1 => (1..400_000usize).prop_map(Content::Binary),
        3 => atoms.prop_map(|(first, count, long)| Content::Atoms { first, count, long }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let push = (0..6u64, any::<Index>(), content(), any::<bool>());
    prop_oneof![
        5 => push.prop_map(|(flow, kind, content, traced)| {
            Step::Push { flow, kind, content, traced }
        }),
        3 => (1..4usize).prop_map(Step::Write),
        2 => (1..100usize).prop_map(Step::Read),
        2 => (1..100_000usize).prop_map(Step::Read),
        1 => Just(Step::Tick),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn all_arrives_in_the_order_of_its_flow(
        flags in any::<Index>(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut wire = Wire::new(FLAGS[flags.index(FLAGS.len())]);
        for (mark, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push { flow, kind, content, traced } => {
                    let token = Term::tuple([Term::from(mark as i64)]);
                    let token = traced.then_some(&token);
                    let mut signals = every_signal(mark as u32 + 1, &content.term(), token);
                    let kind = kind.index(signals.len());
                    wire.push(flow, &signals.swap_remove(kind));
                }
                Step::Write(frames) => wire.write(frames),
                Step::Read(len) => wire.read(len),
                Step::Tick => wire.push_tick(),
            }
        }
        wire.finish();
    }
}

fn send(mark: u32, len: usize) -> Signal {
    Signal::Send {
        from: Some(pid(mark)),
        to: Recipient::Pid(peer_pid(mark)),
        message: encoded(Term::from("x".repeat(len).as_str())),
        priority: false,
        token: None,
    }
}

#[test]
fn more_atoms_than_the_cache_holds_stay_right() {
    for flags in FLAGS {
        let mut wire = Wire::new(flags);
        for mark in 0..200u32 {
            let first = (mark as usize * 131) % 5000;
            let content = Content::Atoms {
                first,
                count: 300,
                long: mark % 10 == 0,
            };
            let mut signal = send(mark, 0);
            if let Signal::Send { message, .. } = &mut signal {
                *message = encoded(content.term());
            }
            wire.push(1, &signal);
        }
        wire.finish();
        assert_eq!(wire.arrived, 200);
    }
}

#[test]
fn a_small_message_passes_bulk_that_was_queued_before_it() {
    let mut wire = Wire::new(Flags::OTP28);
    for flow in 0..3 {
        for mark in 0..4 {
            wire.push(flow, &send(10 * flow as u32 + mark, 1 << 20));
        }
    }
    wire.write(20);
    wire.push(9, &send(99, 10));
    wire.write(2);
    wire.read(usize::MAX);
    assert!(
        wire.expected[&9].is_empty(),
        "it was the second frame at the latest"
    );
    wire.finish();
    assert_eq!(wire.arrived, 13);
}

#[test]
fn frames_of_two_large_messages_interleave() {
    let mut wire = Wire::new(Flags::OTP25);
    wire.push(1, &send(1, 10 * FRAGMENT_LEN));
    wire.push(2, &send(2, 10 * FRAGMENT_LEN));
    wire.write(11);
    wire.read(usize::MAX);
    assert_eq!(wire.arrived, 0);
    assert!(wire.receiver.held_bytes() > 10 * FRAGMENT_LEN);
    wire.finish();
}

#[test]
fn without_fragments_a_message_is_one_frame() {
    let flags = Flags::OTP28.without(Flags::FRAGMENTS);
    for flags in [flags, Flags::PASS_THROUGH] {
        let mut wire = Wire::new(flags);
        wire.push(1, &send(1, 10 * FRAGMENT_LEN));
        wire.write(1);
        wire.read(usize::MAX);
        assert_eq!(wire.arrived, 1);
        wire.finish();
    }
}

#[test]
fn control_and_payload_together_decide_about_fragments() {
    let frames = |len| {
        let mut sender = Sender::new(Flags::OTP28);
        let message = encode_signal(&send(1, len), Flags::OTP28).unwrap();
        let len = message.len();
        sender.push(FlowId(1), message);
        (len, bodies(&drain(&mut sender)).len())
    };
    let (control, _) = frames(0);
    let fits = FRAGMENT_LEN - control;
    assert_eq!(frames(fits), (FRAGMENT_LEN, 1));
    assert_eq!(frames(fits + 1), (FRAGMENT_LEN + 1, 2));
}

#[test]
fn pids_of_many_nodes_keep_their_nodes() {
    let mut wire = Wire::new(Flags::OTP28);
    for mark in 0..100u32 {
        let mut signal = send(mark, 10);
        if let Signal::Send {
            from: Some(from), ..
        } = &mut signal
        {
            from.node = node(&format!("n{}@host", mark % 13));
        }
        wire.push(1, &signal);
    }
    wire.finish();
    assert_eq!(wire.arrived, 100);
}

/// The bytes of such terms are the same for different atoms, which only the header tells apart.
#[test]
fn terms_of_atoms_are_not_taken_for_those_that_came_before() {
    let atoms = |names: &[&str]| Term::list(names.iter().map(|name| Term::from(atom(name))));
    let lists: [&[&str]; 6] = [
        &["monitor"],
        &["link"],
        &[],
        &["monitor", "link"],
        &["link", "monitor"],
        &[""],
    ];
    for flags in FLAGS {
        let mut wire = Wire::new(flags);
        for mark in 0..60 {
            let options = lists[mark as usize * 7 % lists.len()];
            let (id, from) = (reference(&[mark, 2, 3]), pid(mark));
            wire.push(
                1,
                &Signal::SpawnRequest(Box::new(SpawnRequest {
                    id,
                    from,
                    group_leader: pid(71),
                    module: atom("m"),
                    function: atom("f"),
                    arity: mark,
                    options: encoded(atoms(options)),
                    arguments: encoded(Term::nil()),
                    token: None,
                })),
            );
            let reason = ["normal", "shutdown", "normal", "killed", ""][mark as usize % 5];
            wire.push(
                1,
                &Signal::MonitorExit {
                    from: Monitored::Pid(from),
                    to: peer_pid(mark),
                    reference: id,
                    reason: encoded(atom(reason)),
                },
            );
            wire.finish();
        }
    }
}

#[test]
fn a_large_payload_is_handed_out_as_it_lies() {
    let signal = send(1, 1 << 20);
    let range = signal.payload().unwrap().bytes().as_ptr_range();
    let flags = Flags::OTP28;
    let mut sender = Sender::new(flags);
    sender.push(FlowId(1), encode_signal(&signal, flags).unwrap());
    let (mut head, mut frames) = (Vec::new(), 0);
    while let Some(payload) = sender.poll_frame(&mut head) {
        assert!(payload.is_empty() || range.contains(&payload.as_ptr()));
        frames += 1;
    }
    assert_eq!(frames, 17);
    assert!(head.len() < 17 * 128);
}

#[test]
fn a_tick_is_written_only_when_nothing_else_is() {
    let mut sender = Sender::new(Flags::OTP28);
    assert!(drain(&mut sender).is_empty());
    sender.push_tick();
    sender.push_tick();
    assert_eq!(drain(&mut sender), [0; 4]);
    sender.push_tick();
    sender.push(FlowId(1), encode_signal(&send(1, 1), Flags::OTP28).unwrap());
    let frames = bodies(&drain(&mut sender));
    assert!(frames.len() == 1 && !frames[0].is_empty());
}

#[test]
fn queued_bytes_count_what_is_left_and_every_message() {
    let mut sender = Sender::new(Flags::OTP28);
    let message = || encode_signal(&send(1, 10 * FRAGMENT_LEN), Flags::OTP28).unwrap();
    let len = message().len();
    sender.push(FlowId(1), message());
    let one = sender.queued_bytes();
    assert!(one > len);
    sender.push(FlowId(1), message());
    assert_eq!(sender.queued_bytes(), 2 * one);
    let mut head = Vec::new();
    sender.poll_frame(&mut head).unwrap();
    assert_eq!(sender.queued_bytes(), 2 * one - FRAGMENT_LEN);
    drain(&mut sender);
    assert_eq!(sender.queued_bytes(), 0);
    let empty = encode_signal(
        &Signal::Link {
            from: pid(1),
            to: pid(2),
        },
        Flags::OTP28,
    )
    .unwrap();
    let len = empty.len();
    sender.push(FlowId(1), empty);
    assert!(sender.queued_bytes() > len);
}

#[test]
fn two_runs_write_the_same_bytes() {
    let run = || {
        let mut wire = Wire::new(Flags::OTP28);
        for mark in 0..300u32 {
            wire.push(
                u64::from(mark % 17),
                &send(mark, mark as usize * 997 % 200_000),
            );
        }
        wire.write(usize::MAX);
        wire.stream
    };
    assert_eq!(run(), run());
}

#[test]
#[should_panic(expected = "encoded for another connection")]
fn a_message_of_another_connection_is_a_bug() {
    let message = encode_signal(&send(1, 1), Flags::OTP28).unwrap();
    Sender::new(Flags::PASS_THROUGH).push(FlowId(1), message);
}

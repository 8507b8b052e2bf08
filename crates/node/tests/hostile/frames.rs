//! A peer that knows the cookie and sends frames that break the protocol or a limit.

use purlin_node::{Flags, Term, atom};

use crate::attacker::{Attacker, MALLORY, bytes, control, framed, message, pid, reg_send};
use crate::lab::{Expected, MEMORY, MIB, run};

/// Sends these frames; the victim closes and says so.
fn closes(frames: impl IntoIterator<Item = Vec<u8>>, warning: &str) {
    closes_within(MEMORY, frames, warning);
}

fn closes_within(memory: usize, frames: impl IntoIterator<Item = Vec<u8>>, warning: &str) {
    closes_with(Flags::CACHE_AND_FRAGMENTS, memory, frames, warning);
}

fn closes_with(
    flags: Flags,
    memory: usize,
    frames: impl IntoIterator<Item = Vec<u8>>,
    warning: &str,
) {
    run(async |lab| {
        let mut mallory = Attacker::connect_as(lab, MALLORY, flags).await;
        mallory.flood(frames).await;
        mallory.closed().await;
        lab.assert(&Expected {
            warnings: &[&format!("closing the connection: {warning}")],
            memory,
        });
    });
}

/// REG_SEND of these bytes to a name that nobody has.
fn payload(bytes: &[u8]) -> Vec<u8> {
    reg_send(atom!("nobody").into(), bytes)
}

/// A fragment of a REG_SEND: the first of its sequence, or a later one.
fn fragment(is_first: bool, sequence: u64, number: u64, part: &[u8]) -> Vec<u8> {
    let mut body = vec![131, if is_first { 69 } else { 70 }];
    body.extend(sequence.to_be_bytes());
    body.extend(number.to_be_bytes());
    if is_first {
        let to = atom!("nobody").into();
        body.push(0);
        body.extend(bytes(&control([
            6.into(),
            pid(1).into(),
            atom!("").into(),
            to,
        ])));
    }
    body.extend(part);
    framed(&body)
}

/// The head of a REG_SEND with a distribution header of these new atoms.
fn header(slots: impl Iterator<Item = (u8, String)>) -> Vec<u8> {
    let atoms: Vec<_> = slots.collect();
    let mut body = vec![131, 68, atoms.len() as u8];
    // All new, all of segment 0, lengths of two bytes.
    let mut nibbles = vec![8; atoms.len()];
    nibbles.push(1);
    nibbles.resize(2 * (atoms.len() / 2 + 1), 0);
    body.extend(nibbles.chunks(2).map(|pair| pair[0] | pair[1] << 4));
    for (slot, text) in &atoms {
        body.push(*slot);
        body.extend((text.len() as u16).to_be_bytes());
        body.extend(text.as_bytes());
    }
    body
}

#[test]
fn a_length_of_four_gib() {
    closes(
        [vec![0xff; 4]],
        "the peer announced a frame of 4294967295 bytes",
    );
}

#[test]
fn a_frame_larger_than_the_limit() {
    let len = (128_u32 << 20) + 1;
    closes(
        [len.to_be_bytes().to_vec()],
        "the peer announced a frame of 134217729 bytes",
    );
}

#[test]
fn an_http_request_after_the_handshake() {
    closes(
        [b"GET / HTTP/1.1\r\n\r\n".to_vec()],
        "the peer announced a frame of 1195725856 bytes",
    );
}

#[test]
fn frames_of_unknown_form() {
    closes([framed(&[1, 2, 3])], "a frame that starts with 1 and 2");
    closes([framed(&[131])], "a frame that starts with 131 and 0");
    closes(
        [framed(&[112, 131, 104, 0])],
        "a frame that starts with 112 and 131",
    );
}

#[test]
fn control_messages_that_are_none() {
    let send = |term: Term| message(&term, &[]);
    closes([send(1.into())], "the control message is not a tuple");
    closes([send(Term::nil())], "the control message is not a tuple");
    closes(
        [send(Term::tuple([]))],
        "the control message does not start with an integer",
    );
    closes(
        [send(control([99.into()]))],
        "control message 99 is unknown",
    );
    closes(
        [send(control([1.into(), pid(1).into()]))],
        "LINK (1) is a tuple of 2 elements",
    );
    closes(
        [send(control([1.into(), 2.into(), 3.into()]))],
        "element 2 of LINK (1) is not",
    );
    let link = control([1.into(), pid(1).into(), pid(2).into()]);
    closes([message(&link, &[106])], "LINK (1) has no payload");
    closes([payload(&[])], "REG_SEND (6) came without its payload");
    closes(
        [framed(&[131, 68, 0, 255])],
        "malformed control message: tag 255",
    );
    closes(
        [framed(&[131, 68, 0])],
        "malformed control message: the bytes end",
    );
}

#[test]
fn headers_that_lie() {
    closes(
        [framed(&[131, 68, 200, 1])],
        "the frame ends inside its header",
    );
    // One atom, not new, in slot 5 of segment 0.
    closes(
        [framed(&[131, 68, 1, 0, 5, 104, 0])],
        "atom 0 of the header is in slot 5",
    );
    // A term refers to atom 3 of a header that has none.
    closes(
        [framed(&[131, 68, 0, 104, 1, 82, 3])],
        "malformed control message: atom reference 3 is not in the message",
    );
}

#[test]
fn payloads_that_are_malformed() {
    closes(
        [payload(&[255])],
        "malformed payload of REG_SEND (6): tag 255",
    );
    closes(
        [payload(&[97])],
        "malformed payload of REG_SEND (6): the bytes end inside a term",
    );
    closes(
        [payload(&[106, 106])],
        "malformed payload of REG_SEND (6): 1 bytes follow",
    );
    let list = [&[108][..], &[0xff; 4], &[106]].concat();
    closes([payload(&list)], "malformed payload of REG_SEND (6): ");
    let tuple = [&[105][..], &[0xff; 4]].concat();
    closes([payload(&tuple)], "malformed payload of REG_SEND (6): ");
    let map = [&[116][..], &[0xff; 4]].concat();
    closes([payload(&map)], "malformed payload of REG_SEND (6): ");
    let binary = [&[109][..], &[0xff; 4]].concat();
    closes([payload(&binary)], "malformed payload of REG_SEND (6): ");
    let big = [&[111][..], &[0xff; 4], &[0, 1]].concat();
    closes([payload(&big)], "malformed payload of REG_SEND (6): ");
    let atom = [&[118, 0xff, 0xff][..], &[b'a'; 10]].concat();
    closes([payload(&atom)], "malformed payload of REG_SEND (6): ");
}

#[test]
fn nesting_a_hundred_thousand_deep() {
    let nested = [vec![[104, 1]; 100_000].concat(), vec![106]].concat();
    closes(
        [payload(&nested)],
        "malformed payload of REG_SEND (6): nested too deeply",
    );
    let lists = [vec![[108, 0, 0, 0, 1]; 100_000].concat(), vec![106]].concat();
    closes(
        [payload(&lists)],
        "malformed payload of REG_SEND (6): nested too deeply",
    );
    let control = [&[131, 68, 0][..], &vec![[104, 1]; 100_000].concat()].concat();
    closes(
        [framed(&control)],
        "malformed control message: nested too deeply",
    );
}

/// Containers of nothing: a byte an element on the wire, 24 in memory.
#[test]
fn more_elements_than_a_term_may_have() {
    let len = 20_u32 << 20;
    // Built while this case runs alone: other cases measure memory too.
    let list = std::iter::once_with(|| {
        let elements = vec![106; len as usize + 1];
        payload(&[&[108][..], &len.to_be_bytes(), &elements].concat())
    });
    let warning = "malformed payload of REG_SEND (6): more elements than the limit allows";
    closes_within(128 * MIB, list, warning);
}

#[test]
fn a_compressed_bomb() {
    // What zlib makes of 2 GiB of zeros is a megabyte; the victim stops at its limit.
    let mut stream = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let mebibyte = vec![0; MIB];
    std::io::Write::write_all(&mut stream, &[109, 0x7f, 0xff, 0xff, 0xfb]).unwrap();
    for _ in 0..300 {
        std::io::Write::write_all(&mut stream, &mebibyte).unwrap();
    }
    let stream = stream.finish().unwrap();
    let pass_through = |claimed: u32| {
        let to = atom!("nobody").into();
        let control = control([6.into(), pid(1).into(), atom!("").into(), to]);
        let head = [&[112, 131][..], &bytes(&control), &[131, 80]].concat();
        framed(&[&head[..], &claimed.to_be_bytes(), &stream].concat())
    };
    let flags = Flags::PASS_THROUGH;
    let large = "malformed payload of REG_SEND (6): a compressed term that inflates to more than";
    closes_with(flags, MEMORY, [pass_through(0x8000_0000)], large);
    // A claim within the limit that is not true.
    let broken = "malformed payload of REG_SEND (6): a compressed term that does not inflate";
    closes_with(flags, MEMORY, [pass_through(1000)], broken);
    // Twice the claim, since the buffer doubles.
    closes_with(flags, 416 * MIB, [pass_through(200 << 20)], broken);
}

#[test]
fn fragments_that_never_end() {
    let part = vec![0; 64 << 10];
    let more = (0..4096).map(|n| fragment(n == 0, 1, u64::MAX - n, &part));
    let warning = "the message of sequence 1 is larger than 134217728 bytes";
    closes_within(300 * MIB, more, warning);
}

#[test]
fn large_messages_in_fragments_side_by_side() {
    let part = vec![0; 60 << 10];
    let more = (0..8192).map(|n| {
        let (sequence, number) = (n % 64, u64::MAX - n / 64);
        fragment(n < 64, sequence, number, &part)
    });
    let warning = "the messages that arrive in fragments are together larger than 268435456 bytes";
    closes_within(600 * MIB, more, warning);
}

#[test]
fn a_million_sequences() {
    let more = (0..1_000_000).map(|n| fragment(true, n, 2, &[]));
    closes(more, "more than 16384 messages arrive in fragments at once");
}

#[test]
fn fragments_out_of_order() {
    let first = || fragment(true, 1, 9, &[]);
    closes(
        [fragment(false, 1, 9, &[])],
        "fragment 9 is of sequence 1, which is not begun",
    );
    closes(
        [fragment(true, 1, 0, &[])],
        "sequence 1 has a fragment with number 0",
    );
    closes([first(), first()], "sequence 1 starts again before its end");
    let warning = "fragment 7 of sequence 1 came in the place of 8";
    closes([first(), fragment(false, 1, 7, &[])], warning);
}

/// Two million fresh atoms, in headers and in terms: nothing of them stays.
#[test]
fn a_flood_of_fresh_atoms() {
    const MESSAGES: u64 = 4000;
    run(async |lab| {
        let mut mallory = Attacker::connect(lab).await;
        let mut fresh = (0_u64..).map(|number| format!("{number:0>200}"));
        let frames = (0..MESSAGES).map(|_| {
            let mut body = header((0..=254).map(|slot| (slot, fresh.next().unwrap())));
            let to = atom!("nobody").into();
            let head = control([6.into(), pid(1).into(), atom!("").into(), to]);
            body.extend(bytes(&head));
            let inline = (0..255).map(|_| {
                let text = fresh.next().unwrap();
                purlin_node::Atom::new(&text).unwrap().into()
            });
            body.extend(bytes(&Term::list(inline)));
            framed(&body)
        });
        assert!(mallory.flood(frames).await, "the connection is open");
        mallory.settle(lab).await;
        lab.assert(&Expected {
            warnings: &[],
            memory: MEMORY,
        });
    });
}

/// Node names are kept for ever, so a connection may add only so many.
#[test]
fn a_flood_of_fresh_node_names() {
    let pids = (0_u32..3000).map(|number| {
        let node = format!("fresh{number}@flood");
        let mut pid = vec![88, 119, node.len() as u8];
        pid.extend(node.as_bytes());
        pid.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7]);
        payload(&pid)
    });
    closes(
        pids,
        "malformed payload of REG_SEND (6): too many new node names from one source",
    );
}

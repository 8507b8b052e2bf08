//! A peer that knows the cookie, or not, and then says what it wants.

use std::net::SocketAddr;
use std::time::Duration;

use purlin_node::{Cookie, Flags, NodeName, Pid, Reference, Term, atom};
use purlin_proto::handshake::{Config, Dial, Event, FullName, Handshake, LocalName, Step};
use purlin_term::to_external;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::lab::{COOKIE, Lab, PATIENCE, name};

pub(crate) const MALLORY: &str = "mallory@127.0.0.1";

/// Frames are written in pieces of about this size.
const BATCH: usize = 64 << 10;

pub(crate) struct Attacker {
    pub(crate) stream: TcpStream,
}

impl Attacker {
    /// A connection to the victim, nothing said yet.
    pub(crate) async fn open(lab: &Lab) -> Self {
        Self::open_at(lab.victim.address().unwrap()).await
    }

    pub(crate) async fn open_at(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    /// A connection to the victim, under the name of mallory.
    pub(crate) async fn connect(lab: &Lab) -> Self {
        Self::connect_as(lab, MALLORY, Flags::CACHE_AND_FRAGMENTS).await
    }

    pub(crate) async fn connect_as(lab: &Lab, name: &str, flags: Flags) -> Self {
        let mut attacker = Self::open(lab).await;
        let event = attacker.handshake(lab, name, COOKIE, flags).await;
        assert!(matches!(event, Event::Established(_)), "{event:?}");
        attacker
    }

    /// Goes through a handshake, and answers how it ended.
    pub(crate) async fn handshake(
        &mut self,
        lab: &Lab,
        name: &str,
        cookie: &str,
        flags: Flags,
    ) -> Event {
        let protocol_name = |name: &str| FullName::new(name).unwrap();
        let config = Config {
            flags,
            timeout: PATIENCE,
            ..Config::default()
        };
        let dial = Dial {
            local: LocalName::Known {
                name: protocol_name(name),
                creation: 7,
            },
            peer: protocol_name(lab.victim.name().as_str()),
            cookie: Cookie::new(cookie).unwrap(),
            challenge: 42,
        };
        self.drive(Handshake::dial(Duration::ZERO, config, dial))
            .await
    }

    /// Drives a handshake that we began to its end.
    async fn drive(&mut self, mut handshake: Handshake) -> Event {
        loop {
            self.step(&mut handshake).await;
            match handshake.poll_event() {
                Some(Event::Alive) => handshake.answer_alive(Duration::ZERO, true),
                Some(event) => return event,
                None => {}
            }
        }
    }

    /// Sends what the machine wants to send, and reads until it wants something: one byte at a
    /// time, so that nothing of what comes after the handshake is lost.
    pub(crate) async fn step(&mut self, handshake: &mut Handshake) {
        loop {
            while let Some(bytes) = handshake.poll_transmit() {
                self.write(&bytes).await;
            }
            let is_asking = matches!(handshake.step(), Step::Verdict | Step::AliveVerdict);
            if is_asking || handshake.poll_timeout().is_none() {
                return;
            }
            let mut byte = [0];
            match timeout(PATIENCE, self.stream.read(&mut byte))
                .await
                .unwrap()
            {
                Ok(1..) => handshake.handle_bytes(Duration::ZERO, &byte),
                _ => handshake.handle_closed(),
            }
        }
    }

    /// Writes; false when the victim has closed the connection.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> bool {
        timeout(PATIENCE, self.stream.write_all(bytes))
            .await
            .unwrap()
            .is_ok()
    }

    /// Writes frames until there are no more, or the victim has closed the connection: then false.
    /// Nothing is read.
    pub(crate) async fn flood(&mut self, frames: impl IntoIterator<Item = Vec<u8>>) -> bool {
        let mut batch = Vec::with_capacity(2 * BATCH);
        for frame in frames {
            batch.extend_from_slice(&frame);
            if batch.len() >= BATCH {
                if !self.write(&batch).await {
                    return false;
                }
                batch.clear();
            }
        }
        self.write(&batch).await
    }

    /// Reads until the victim closes the connection.
    pub(crate) async fn closed(mut self) {
        let mut sink = vec![0; BATCH];
        let all = async { while matches!(self.stream.read(&mut sink).await, Ok(1..)) {} };
        timeout(PATIENCE, all)
            .await
            .expect("the victim closes the connection");
    }

    /// Waits until the victim has handled everything written so far: it answers a monitor.
    pub(crate) async fn settle(&mut self, lab: &Lab) {
        self.count_until_settled(lab, b"no frame has this").await;
    }

    /// As [`Attacker::settle`], and counts the frames until then that contain `part`.
    pub(crate) async fn count_until_settled(&mut self, lab: &Lab, part: &[u8]) -> usize {
        let monitor = monitor(pid(9), atom!("nobody at all").into(), reference(u32::MAX));
        assert!(self.write(&monitor).await, "the connection is open");
        self.count_until(lab, part, &u32::MAX.to_be_bytes()).await
    }

    /// Reads up to the frame that contains `end`, and counts those before it that contain `part`.
    pub(crate) async fn count_until(&mut self, lab: &Lab, part: &[u8], end: &[u8]) -> usize {
        let mut reader = BufReader::new(&mut self.stream);
        let (mut count, mut frame) = (0, Vec::new());
        let contains = |frame: &[u8], part: &[u8]| frame.windows(part.len()).any(|w| w == part);
        loop {
            let read = async {
                let len = reader.read_u32().await?;
                frame.resize(len as usize, 0);
                reader.read_exact(&mut frame).await
            };
            timeout(PATIENCE, read)
                .await
                .unwrap()
                .unwrap_or_else(|error| {
                    panic!(
                        "{error}; the victim: {:?}",
                        lab.log.lines(tracing::Level::WARN)
                    )
                });
            if contains(&frame, end) {
                return count;
            }
            count += usize::from(contains(&frame, part));
        }
    }
}

pub(crate) fn node() -> NodeName {
    name(MALLORY)
}

/// A process of the attacker.
pub(crate) fn pid(id: u32) -> Pid {
    Pid {
        node: node(),
        creation: 7,
        id,
        serial: 0,
    }
}

pub(crate) fn reference(number: u32) -> Reference {
    Reference::new(node(), 7, &[number, 0, 0]).unwrap()
}

/// A frame with this body.
pub(crate) fn framed(body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap();
    [&len.to_be_bytes(), body].concat()
}

/// A term without its version byte.
pub(crate) fn bytes(term: &Term) -> Vec<u8> {
    to_external(term).split_off(1)
}

/// A frame of a control tuple and the bytes of a payload.
pub(crate) fn message(control: &Term, payload: &[u8]) -> Vec<u8> {
    framed(&[&[131, 68, 0], &bytes(control)[..], payload].concat())
}

pub(crate) fn control(items: impl IntoIterator<Item = Term>) -> Term {
    Term::tuple(items)
}

/// REG_SEND of these bytes.
pub(crate) fn reg_send(to: Term, payload: &[u8]) -> Vec<u8> {
    message(
        &control([6.into(), pid(1).into(), atom!("").into(), to]),
        payload,
    )
}

pub(crate) fn monitor(from: Pid, to: Term, reference: Reference) -> Vec<u8> {
    message(
        &control([19.into(), from.into(), to, reference.into()]),
        &[],
    )
}

pub(crate) fn link(from: Pid, to: Pid) -> Vec<u8> {
    message(&control([1.into(), from.into(), to.into()]), &[])
}

pub(crate) fn spawn_request(id: u32, function: [Term; 2], args: &[Term]) -> Vec<u8> {
    let [module, name] = function;
    let mfa = Term::tuple([module, name, Term::Int(args.len() as i64)]);
    let from = pid(1).into();
    let control = control([
        29.into(),
        reference(id).into(),
        from,
        pid(1).into(),
        mfa,
        Term::nil(),
    ]);
    message(&control, &bytes(&Term::list(args.iter().cloned())))
}

//! Strangers who dial the victim.

use std::time::Duration;

use purlin_node::{Delivery, DownReason, Flags, NodeEvent};
use purlin_proto::handshake::{Event, HandshakeError};
use tokio::time::timeout;

use crate::attacker::{Attacker, MALLORY, framed};
use crate::lab::{COOKIE, Expected, MEMORY, PATIENCE, run, run_with};

const SHORT: Duration = Duration::from_millis(300);

/// Sends these bytes instead of a handshake; the victim closes and says so.
fn opening(bytes: &[u8], warning: &str) {
    run(async |lab| {
        let mut stranger = Attacker::open(lab).await;
        stranger.write(bytes).await;
        stranger.closed().await;
        lab.assert(&Expected {
            warnings: &[warning],
            memory: MEMORY,
        });
    });
}

/// A name message: tag, flags, creation and name, with its length.
fn send_name(flags: Flags, name: &[u8]) -> Vec<u8> {
    let len = u16::try_from(name.len()).unwrap();
    let mut body = vec![b'N'];
    body.extend(flags.bits().to_be_bytes());
    body.extend(7_u32.to_be_bytes());
    body.extend(len.to_be_bytes());
    body.extend(name);
    let total = u16::try_from(body.len()).unwrap();
    [&total.to_be_bytes(), &body[..]].concat()
}

#[test]
fn garbage_instead_of_a_handshake() {
    opening(&[0xff; 64], "likely something other than an Erlang node");
    opening(
        &[0, 4, 0xff, 0xff, 0xff, 0xff],
        "malformed message where the peer's name",
    );
    opening(&[0, 0], "malformed message where the peer's name");
}

#[test]
fn an_http_request() {
    opening(
        b"GET / HTTP/1.1\r\nHost: purlin\r\n\r\n",
        "likely something other than an Erlang node",
    );
}

#[test]
fn our_own_name() {
    opening(
        &send_name(Flags::OTP28, b"victim@127.0.0.1"),
        "victim@127.0.0.1 is this node's own name",
    );
}

#[test]
fn names_that_are_none() {
    opening(&send_name(Flags::OTP28, b"mallory"), "`mallory` has no `@`");
    opening(&send_name(Flags::OTP28, b"@"), "has nothing before its `@`");
    opening(&send_name(Flags::OTP28, b"a\xff@b"), "is not UTF-8");
    opening(
        &send_name(Flags::OTP28, b"a\n@b"),
        "has a control character",
    );
}

#[test]
fn flags_that_are_too_few() {
    opening(
        &send_name(Flags::NONE, MALLORY.as_bytes()),
        "mallory@127.0.0.1",
    );
}

#[test]
fn a_wrong_cookie() {
    run(async |lab| {
        let mut stranger = Attacker::open(lab).await;
        let end = stranger
            .handshake(lab, MALLORY, "a wrong one", Flags::OTP28)
            .await;
        let Event::Failed(error) = end else {
            panic!("{end:?}")
        };
        assert!(
            matches!(error, HandshakeError::ClosedAfterReply { .. }),
            "{error}"
        );
        stranger.closed().await;
        lab.assert(&Expected {
            warnings: &["mallory@127.0.0.1 has another cookie"],
            memory: MEMORY,
        });
    });
}

/// A wrong cookie under the name of a node that is connected changes nothing for that node.
#[test]
fn a_wrong_cookie_under_the_name_of_a_connected_node() {
    run(async |lab| {
        let mut stranger = Attacker::open(lab).await;
        let end = stranger
            .handshake(lab, "honest@127.0.0.1", "a wrong one", Flags::OTP28)
            .await;
        assert!(matches!(end, Event::Failed(_)), "{end:?}");
        lab.assert(&Expected {
            warnings: &["honest@127.0.0.1 has another cookie"],
            memory: MEMORY,
        });
    });
}

#[test]
fn a_wrong_challenge_digest() {
    let mut reply = vec![0, 21, b'r'];
    reply.extend([0; 20]);
    let bytes = [send_name(Flags::OTP28, MALLORY.as_bytes()), reply].concat();
    opening(&bytes, "mallory@127.0.0.1 has another cookie");
}

#[test]
fn messages_that_are_too_long_or_too_short() {
    let name = send_name(Flags::OTP28, MALLORY.as_bytes());
    let short = [&name[..], &[0, 3, b'r', 0, 0]].concat();
    opening(
        &short,
        "malformed message where the peer's challenge reply was expected",
    );
    opening(
        &[0x10, 0x01],
        "a message of 4097 bytes came where the peer's name was expected",
    );
}

#[test]
fn half_a_handshake_and_then_nothing() {
    run_with(
        |victim| victim.handshake_timeout(SHORT),
        async |lab| {
            let mut mute = Attacker::open(lab).await;
            mute.write(&[0]).await;
            let mut half = Attacker::open(lab).await;
            half.write(&send_name(Flags::OTP28, MALLORY.as_bytes()))
                .await;
            mute.closed().await;
            half.closed().await;
            lab.assert(&Expected {
                warnings: &[
                    "timed out after 300 ms waiting for the peer's name",
                    "timed out after 300 ms waiting for the peer's challenge reply",
                ],
                memory: MEMORY,
            });
        },
    );
}

#[test]
fn a_handshake_in_slow_drips() {
    run_with(
        |victim| victim.handshake_timeout(SHORT),
        async |lab| {
            let mut slow = Attacker::open(lab).await;
            let name = send_name(Flags::OTP28, MALLORY.as_bytes());
            let mut pace = tokio::time::interval(SHORT / 10);
            let start = tokio::time::Instant::now();
            for byte in name.iter().cycle() {
                pace.tick().await;
                if !slow.write(&[*byte]).await {
                    break;
                }
                assert!(start.elapsed() < PATIENCE, "the drips are borne for ever");
            }
            slow.closed().await;
            lab.assert(&Expected {
                warnings: &["timed out after 300 ms waiting for the peer's name"],
                memory: MEMORY,
            });
        },
    );
}

/// More strangers than may shake hands at once, all of them silent: an honest node still gets in
/// at once, long before their deadline.
#[test]
fn three_hundred_half_open_connections_do_not_keep_an_honest_node_out() {
    run_with(
        |victim| victim.handshake_timeout(PATIENCE),
        async |lab| {
            let mut silent = Vec::new();
            for _ in 0..300 {
                silent.push(Attacker::open(lab).await);
            }
            let latecomer = lab
                .builder("latecomer@127.0.0.1")
                .handshake_timeout(PATIENCE / 2)
                .start()
                .await
                .unwrap();
            latecomer
                .ping(lab.victim.name(), PATIENCE / 2)
                .await
                .unwrap();
            latecomer.stop(PATIENCE).await;
            lab.assert(&Expected {
                warnings: &["too many handshakes at once"],
                memory: MEMORY,
            });
        },
    );
}

/// The same name, again and again: each new connection ends the one before.
#[test]
fn a_peer_that_connects_anew_all_the_time() {
    run(async |lab| {
        let mut last = None;
        for _ in 0..200 {
            let mut stranger = Attacker::open(lab).await;
            let end = stranger.handshake(lab, MALLORY, COOKIE, Flags::OTP28).await;
            assert!(matches!(end, Event::Established(_)), "{end:?}");
            last = Some(stranger);
        }
        last.unwrap().settle(lab).await;
        lab.assert(&Expected {
            warnings: &["closing the connection: the node connected anew"],
            memory: MEMORY,
        });
    });
}

/// Who watches nodes is told apart a connection that was replaced and one that the victim closed.
#[test]
fn watchers_are_told_whether_the_peer_connected_anew_or_broke_the_protocol() {
    run(async |lab| {
        let mut watcher = lab.victim.attach().unwrap();
        lab.victim.monitor_nodes(watcher.pid());
        let _first = Attacker::connect(lab).await;
        let mut second = Attacker::connect(lab).await;
        second.write(&framed(b"garbage")).await;
        let mut told = Vec::new();
        for _ in 0..4 {
            let event = timeout(PATIENCE, watcher.receive()).await.unwrap();
            told.push(match event {
                Delivery::Node(NodeEvent::Up { .. }) => None,
                Delivery::Node(NodeEvent::Down { reason, .. }) => Some(reason),
                other => panic!("{other:?}"),
            });
        }
        let (anew, killed) = (Some(DownReason::WaitPending), Some(DownReason::Killed));
        assert_eq!(told, [None, anew, None, killed]);
        lab.assert(&Expected {
            warnings: &["the node connected anew", "closing the connection"],
            memory: MEMORY,
        });
    });
}

//! Strangers whom the victim dials: a port mapper's answer leads to them.

use std::time::Duration;

use purlin_node::{ConnectError, Cookie, HandshakeError, Node, RemoteError};
use purlin_proto::handshake::{
    Accept, Config, Event, FullName, Handshake, Random, Standing, Verdict,
};
use tokio::net::TcpListener;

use crate::attacker::{Attacker, MALLORY};
use crate::lab::{COOKIE, Expected, Lab, MEMORY, PATIENCE, name, run, run_with};

/// A listener that the mapper knows by this name, as long as what is answered is held.
pub(crate) async fn listen(lab: &Lab, alive: &str) -> (TcpListener, Attacker) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut body = vec![120];
    body.extend(port.to_be_bytes());
    body.extend([77, 0, 0, 6, 0, 6, 0, alive.len() as u8]);
    body.extend(alive.as_bytes());
    body.extend([0, 0]);
    let mut registration = Attacker::open_at(lab.mapper.address()).await;
    let len = u16::try_from(body.len()).unwrap().to_be_bytes();
    registration.write(&[&len, &body[..]].concat()).await;
    (listener, registration)
}

/// Has the victim dial mallory, who behaves like this; answers the error.
async fn dialled(lab: &Lab, mallory: impl AsyncFnOnce(Attacker)) -> ConnectError {
    let (listener, _registration) = listen(lab, "mallory").await;
    let answer = async {
        let (stream, _) = listener.accept().await.unwrap();
        mallory(Attacker { stream }).await;
    };
    let ping = lab.victim.ping(name(MALLORY), PATIENCE);
    match tokio::join!(ping, answer).0 {
        Err(RemoteError::NotConnected(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Answers the victim's name with these bytes.
fn answered(bytes: &[u8], error: &str) {
    run(async |lab| {
        let found = dialled(lab, async |mut mallory| {
            mallory.write(bytes).await;
            mallory.closed().await;
        })
        .await;
        assert!(found.to_string().contains(error), "{found}");
        lab.assert(&Expected {
            warnings: &[error],
            memory: MEMORY,
        });
    });
}

fn status(text: &[u8]) -> Vec<u8> {
    [&[0, text.len() as u8 + 1, b's'], text].concat()
}

/// Accepts the victim's dial as another machine would, with this cookie and name.
async fn accept(mut mallory: Attacker, own_name: &str, cookie: &str) {
    let random = Random {
        challenge: 1,
        name: 2,
        creation: 9,
    };
    let accept = Accept {
        name: FullName::new(own_name).unwrap(),
        creation: 9,
        random,
    };
    let mut handshake = Handshake::accept(Duration::ZERO, Config::default(), accept);
    loop {
        mallory.step(&mut handshake).await;
        match handshake.poll_event() {
            Some(Event::Claim(_)) => {
                let verdict = Verdict::Admit {
                    cookie: Cookie::new(cookie).unwrap(),
                    standing: Standing::Free,
                };
                handshake.answer_claim(Duration::ZERO, verdict);
            }
            Some(_) => return,
            None => {}
        }
    }
}

#[test]
fn garbage_instead_of_a_status() {
    answered(
        b"HTTP/1.1 400 Bad Request\r\n",
        "likely something other than an Erlang node",
    );
    answered(
        &[0, 1, 0xff],
        "malformed message where the peer's status was expected",
    );
}

#[test]
fn an_unknown_status() {
    answered(&status(b"maybe"), "unknown status `maybe`");
    answered(&status(b"true"), "unknown status `true`");
}

#[test]
fn a_peer_that_does_not_allow_us() {
    answered(&status(b"not_allowed"), "mallory@127.0.0.1");
}

#[test]
fn silence_instead_of_a_status() {
    run_with(
        |victim| victim.handshake_timeout(Duration::from_millis(300)),
        async |lab| {
            let error = dialled(lab, Attacker::closed).await;
            let text = "timed out after 300 ms waiting for the peer's status";
            assert!(error.to_string().contains(text), "{error}");
            lab.assert(&Expected {
                warnings: &[text],
                memory: MEMORY,
            });
        },
    );
}

#[test]
fn an_acceptor_with_another_cookie() {
    run(async |lab| {
        let error = dialled(lab, async |mallory| {
            accept(mallory, MALLORY, "a wrong one").await
        });
        let error = error.await;
        let closed = matches!(
            error,
            ConnectError::Handshake(HandshakeError::ClosedAfterReply { .. })
        );
        assert!(closed, "{error}");
        lab.assert(&Expected {
            warnings: &["its cookie is likely another"],
            memory: MEMORY,
        });
    });
}

/// It lets us in, but does not prove that it knows the cookie.
#[test]
fn an_acceptor_with_a_wrong_digest() {
    run(async |lab| {
        let error = dialled(lab, async |mut mallory| {
            let mut challenge = vec![b'N'];
            challenge.extend(purlin_node::Flags::OTP28.bits().to_be_bytes());
            challenge.extend([0, 0, 0, 1, 0, 0, 0, 9]);
            challenge.extend([0, MALLORY.len() as u8]);
            challenge.extend(MALLORY.as_bytes());
            let len = (challenge.len() as u16).to_be_bytes();
            let mut ack = vec![0, 17, b'a'];
            ack.extend([0; 16]);
            let all = [&status(b"ok")[..], &len, &challenge, &ack].concat();
            mallory.write(&all).await;
            mallory.closed().await;
        })
        .await;
        let wrong = matches!(
            error,
            ConnectError::Handshake(HandshakeError::WrongCookie { .. })
        );
        assert!(wrong, "{error}");
        lab.assert(&Expected {
            warnings: &["mallory@127.0.0.1 has another cookie"],
            memory: MEMORY,
        });
    });
}

#[test]
fn an_acceptor_of_another_name() {
    run(async |lab| {
        let error = dialled(lab, async |mallory| {
            accept(mallory, "eve@127.0.0.1", COOKIE).await
        });
        let error = error.await;
        assert!(
            error.to_string().contains("is called `eve@127.0.0.1`"),
            "{error}"
        );
        lab.assert(&Expected {
            warnings: &["is called `eve@127.0.0.1`"],
            memory: MEMORY,
        });
    });
}

/// A port mapper that leads us to ourselves.
#[test]
fn a_name_that_leads_to_ourselves() {
    run(async |lab| {
        let victim: &Node = &lab.victim;
        let error = victim.connect_to(victim.name()).await.unwrap_err();
        assert!(error.to_string().contains("own name"), "{error}");
        lab.assert(&Expected {
            warnings: &["own name", "closed while waiting for the peer's name"],
            memory: MEMORY,
        });
    });
}

//! The port mapper among strangers.

use std::time::Duration;

use purlin_node::TokioHost;
use purlin_node::epmd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::attacker::Attacker;
use crate::lab::{Expected, Lab, MEMORY, MIB, PATIENCE, run};

/// The mapper closes a connection that sends this, with an answer or without.
async fn closes_on(lab: &Lab, bytes: &[u8]) {
    let mut stranger = Attacker::open_at(lab.mapper.address()).await;
    stranger.write(bytes).await;
    stranger.closed().await;
}

async fn is_found(lab: &Lab) {
    let port = lab.victim.address().unwrap().port();
    let found = epmd::lookup(&TokioHost::current(), lab.mapper.address(), "victim").await;
    assert_eq!(found.unwrap(), Some(port));
}

#[test]
fn garbage_to_the_mapper() {
    run(async |lab| {
        closes_on(lab, &[0, 0]).await;
        closes_on(lab, &[0, 1, 0xff]).await;
        closes_on(lab, &[0xff; 10_000]).await;
        closes_on(lab, b"GET / HTTP/1.1\r\n\r\n").await;
        closes_on(lab, &[0, 7, 122, b'v', b'i', b'c', 0xff, 0xff, 0xff]).await;
        closes_on(
            lab,
            &[0, 14, 120, 0, 1, 77, 0, 0, 6, 0, 6, 0xff, 0xff, b'x', 0, 0],
        )
        .await;
        // Kill and stop are for no one.
        closes_on(lab, &[0, 1, 107]).await;
        closes_on(lab, &[0, 7, 115, b'v', b'i', b'c', b't', b'i', b'm']).await;
        is_found(lab).await;
        lab.assert(&Expected {
            warnings: &[],
            memory: MEMORY,
        });
    });
}

#[test]
fn a_taken_name_stays_with_its_owner() {
    run(async |lab| {
        let mut body = vec![0, 19, 120, 0, 1, 77, 0, 0, 6, 0, 6, 0, 6];
        body.extend(b"victim");
        body.extend([0, 0]);
        closes_on(lab, &body).await;
        is_found(lab).await;
        lab.assert(&Expected {
            warnings: &[],
            memory: MEMORY,
        });
    });
}

/// Two thousand connections with half a request each, and everybody else is answered.
#[test]
fn half_requests_on_many_connections() {
    run(async |lab| {
        let mut half = Vec::new();
        for _ in 0..2000 {
            let mut stranger = Attacker::open_at(lab.mapper.address()).await;
            stranger.write(&[0, 10, 122]).await;
            half.push(stranger);
        }
        is_found(lab).await;
        let late = lab.builder("late@127.0.0.1").start().await.unwrap();
        late.ping(lab.victim.name(), PATIENCE).await.unwrap();
        late.stop(PATIENCE).await;
        lab.assert(&Expected {
            warnings: &[],
            memory: 32 * MIB,
        });
        // All are closed at the deadline of a request, which is theirs alone.
        let start = tokio::time::Instant::now();
        for stranger in half {
            stranger.closed().await;
        }
        assert!(start.elapsed() < Duration::from_secs(20));
        is_found(lab).await;
    });
}

/// Who waits for a node's stop gets its name: it ends when the mapper has closed the connection,
/// which it does after it freed the name.
#[test]
fn a_name_is_free_when_its_node_has_stopped() {
    run(async |lab| {
        let mapper = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = mapper.local_addr().unwrap().port();
        let starting = lab.builder("leaving@127.0.0.1").epmd_port(port).start();
        let registering = async {
            let (mut stream, _) = mapper.accept().await.unwrap();
            let len = stream.read_u16().await.unwrap();
            let mut request = vec![0; usize::from(len)];
            stream.read_exact(&mut request).await.unwrap();
            stream.write_all(&[118, 0, 0, 0, 0, 9]).await.unwrap();
            stream
        };
        let (node, mut stream) = tokio::join!(starting, registering);
        let node = node.unwrap();
        let stopping = tokio::spawn(async move { node.stop(PATIENCE).await });
        assert_eq!(
            stream.read(&mut [0]).await.unwrap(),
            0,
            "the name is given back"
        );
        assert!(!stopping.is_finished(), "the name is not free yet");
        drop(stream);
        stopping.await.unwrap();
        lab.assert(&Expected {
            warnings: &[],
            memory: MEMORY,
        });
    });
}

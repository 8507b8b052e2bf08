//! Peers that dial in.

use std::sync::Arc;
use std::time::Duration;

use purlin_proto::handshake::{Accept, Claim, Handshake, HandshakeError, Random, Verdict};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::serve;
use crate::host::{Listener, Stream};
use crate::node::Node;

/// Handshakes that run at once. Peers past that wait in the listener's backlog: whoever holds a
/// place gives it back at the handshake's deadline at the latest.
const HANDSHAKES_MAX: usize = 256;

/// Pause after a failed accept, which nearly always means that file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts peers until the task is ended.
pub(crate) async fn accept_all(node: Node, mut listener: Box<dyn Listener>) {
    let places = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok(stream) => {
                let (accepting, peer) = (node.clone(), stream.peer);
                node.host().spawn(Box::pin(async move {
                    let outcome = accept(&accepting, stream).await;
                    drop(place);
                    match outcome {
                        Ok(serving) => serving.run().await,
                        Err(error) => refused(&error, peer),
                    }
                }));
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Simultaneous dials and probes of the port are everyday; all else an operator wants to see.
fn refused(error: &HandshakeError, peer: std::net::SocketAddr) {
    match error {
        HandshakeError::OwnDialGoesOn { .. } | HandshakeError::AlreadyConnected { .. } => {
            tracing::debug!(%peer, "refused a connection: {error}");
        }
        _ => tracing::warn!(%peer, "refused a connection: {error}"),
    }
}

async fn accept(node: &Node, mut stream: Stream) -> Result<serve::Serving, HandshakeError> {
    let random = Random {
        challenge: node.random_u64() as u32,
        name: node.random_u64(),
        creation: node.random_u64() as u32,
    };
    let accept = Accept {
        name: node.protocol_name(),
        creation: node.creation(),
        random,
    };
    let handshake = Handshake::accept(node.now(), node.handshake_config(), accept);
    let verdict = |claim: &Claim| {
        let state = node.state();
        if state.peers.is_full() || node.is_stopping() {
            return Verdict::Refuse;
        }
        let standing = state.peers.standing(claim.name.as_str());
        Verdict::Admit {
            cookie: node.cookie(),
            standing,
        }
    };
    let established = super::handshake::run(node, &mut stream, handshake, verdict).await?;
    let peer = established.peer.clone();
    serve::install(node, stream, established, None)
        .await
        .map_err(|_| HandshakeError::Refused { peer })
}

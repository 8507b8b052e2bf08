//! Peers that dial in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use purlin_proto::handshake::{Accept, Claim, Handshake, HandshakeError, Random, Verdict};
use tokio::time::sleep;

use super::{Latch, serve};
use crate::host::{Listener, Stream};
use crate::node::Node;

/// Handshakes that run at once. When one more peer dials, the oldest is given up: whoever keeps the
/// protocol is done within milliseconds, so a crowd of silent strangers keeps nobody out. A guess,
/// unmeasured.
const HANDSHAKES_MAX: usize = 256;

/// Pause after a failed accept, which nearly always means that file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts peers until the task is ended.
pub(crate) async fn accept_all(node: Node, mut listener: Box<dyn Listener>) {
    let handshakes = Handshakes::default();
    loop {
        match listener.accept().await {
            Ok(stream) => {
                let (accepting, peer) = (node.clone(), stream.peer);
                let place = handshakes.enter();
                node.host().spawn_vital(Box::pin(async move {
                    let outcome = tokio::select! {
                        biased;
                        () = place.is_given_up.wait() => None,
                        outcome = accept(&accepting, stream) => Some(outcome),
                    };
                    drop(place);
                    match outcome {
                        Some(Ok(serving)) => serving.run().await,
                        Some(Err(error)) => refused(&error, peer),
                        None => tracing::warn!(
                            %peer,
                            "refused a connection: too many handshakes at once, and this one is the oldest"
                        ),
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

/// The handshakes that run, by age.
#[derive(Clone, Default)]
struct Handshakes(Arc<Mutex<Running>>);

#[derive(Default)]
struct Running {
    next: u64,
    by_age: BTreeMap<u64, Arc<Latch>>,
}

/// A handshake's place among those that run, given back when this is dropped.
struct Place {
    handshakes: Handshakes,
    number: u64,
    is_given_up: Arc<Latch>,
}

impl Handshakes {
    fn lock(&self) -> MutexGuard<'_, Running> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more; the oldest is given up when there is none.
    fn enter(&self) -> Place {
        let mut running = self.lock();
        if running.by_age.len() >= HANDSHAKES_MAX
            && let Some((_, oldest)) = running.by_age.pop_first()
        {
            oldest.set();
        }
        let number = running.next;
        running.next += 1;
        let is_given_up = Arc::new(Latch::default());
        running.by_age.insert(number, is_given_up.clone());
        Place {
            handshakes: self.clone(),
            number,
            is_given_up,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.handshakes.lock().by_age.remove(&self.number);
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

//! Drives a handshake over a stream.

use std::time::Duration;

use bytes::BytesMut;
use purlin_proto::handshake::{Claim, Established, Event, Handshake, HandshakeError, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::host::Stream;
use crate::node::Node;

/// Bytes read at once: a handshake message is far shorter.
const READ_LEN: usize = 2048;

/// How long a write may stall. The messages fit any socket buffer, so only a peer that was never
/// there makes it stall.
const WRITE_TIMEOUT: Duration = Duration::from_secs(7);

/// Runs `handshake` to its end. `claim` answers who dials in.
pub(super) async fn run(
    node: &Node,
    stream: &mut Stream,
    mut handshake: Handshake,
    mut claim: impl FnMut(&Claim) -> Verdict,
) -> Result<Box<Established>, HandshakeError> {
    let mut buffer = BytesMut::with_capacity(READ_LEN);
    loop {
        transmit(stream, &mut handshake).await;
        match handshake.poll_event() {
            Some(Event::Established(established)) => return Ok(established),
            Some(Event::Failed(error)) => {
                transmit(stream, &mut handshake).await;
                return Err(error);
            }
            Some(Event::Claim(claimed)) => {
                handshake.answer_claim(node.now(), claim(&claimed));
                continue;
            }
            // This node dials because it wants the connection: an older one is a leftover.
            Some(Event::Alive) => {
                handshake.answer_alive(node.now(), true);
                continue;
            }
            None => {}
        }
        let left = handshake
            .poll_timeout()
            .map(|at| at.saturating_sub(node.now()));
        buffer.clear();
        buffer.reserve(READ_LEN);
        match timeout(
            left.unwrap_or_default(),
            stream.reader.read_buf(&mut buffer),
        )
        .await
        {
            Ok(Ok(1..)) => handshake.handle_bytes(node.now(), &buffer),
            Ok(Ok(0) | Err(_)) => handshake.handle_closed(),
            Err(_) => handshake.handle_timeout(node.now()),
        }
    }
}

/// Writes what is to be sent. A write that fails shows at the next read.
async fn transmit(stream: &mut Stream, handshake: &mut Handshake) {
    while let Some(bytes) = handshake.poll_transmit() {
        if !matches!(
            timeout(WRITE_TIMEOUT, stream.writer.write_all(&bytes)).await,
            Ok(Ok(()))
        ) {
            handshake.handle_closed();
        }
    }
}

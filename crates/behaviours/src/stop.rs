//! Stopping a process that understands `sys`: `gen_server:stop/3`, here or on another node.

use std::time::Duration;

use purlin_otp::reason::Reason;
use purlin_otp::relations::Info;
use purlin_runtime::{Raw, Received, Runtime, SendError, Target};
use purlin_term::{EncodedTerm, Reference, Term, atom};
use tokio::time;

use crate::call::{CallError, ended};

/// Asks a server to end with `reason`, after its `terminate`, and waits until it has ended: the server
/// first handles what was sent to it before.
///
/// # Errors
/// [`CallError::Ended`]: it ended with another reason; [`CallError::TimedOut`]: it has not ended yet, and
/// will when it comes to it; and those of a call.
pub async fn stop(
    runtime: &Runtime,
    server: impl Into<Target>,
    reason: impl Into<Term>,
    timeout: Duration,
) -> Result<(), CallError> {
    let (server, reason) = (server.into(), Reason::new(reason.into()));
    let stopped = time::timeout(timeout, ask_to_end(runtime, server, reason)).await;
    stopped.unwrap_or(Err(CallError::TimedOut(timeout)))
}

async fn ask_to_end(runtime: &Runtime, server: Target, reason: Reason) -> Result<(), CallError> {
    let mut asker = runtime.attach::<Raw>()?;
    let (node, monitor) = (server.node(), asker.monitor(server.clone()));
    let from = Term::tuple([asker.pid().into(), runtime.make_reference().into()]);
    let terminate = Term::tuple([atom!("terminate").into(), Term::clone(&reason)]);
    let request = Term::tuple([atom!("system").into(), from, terminate]);
    let request = EncodedTerm::encode(&request).map_err(|e| SendError::Encode(e.to_string()))?;
    runtime
        .send_encoded(asker.pid(), server.into(), request)
        .await?;
    loop {
        let received = asker.receive().await;
        let received = received.map_err(|ended| CallError::Ended(Term::clone(&ended.0)))?;
        match down(received, &monitor) {
            Some(why) if why == reason => return Ok(()),
            Some(why) => return Err(ended(&why, node)),
            None => {}
        }
    }
}

/// Why the server ended, if that is what came; the reply before it says nothing more.
fn down(received: Received<Raw>, monitor: &Reference) -> Option<Reason> {
    match received {
        Received::Info(Info::Down {
            reference, reason, ..
        }) if reference == *monitor => Some(reason),
        _ => None,
    }
}

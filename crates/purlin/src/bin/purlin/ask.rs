//! The commands that ask one node: `ping` and `call`.

use std::process::ExitCode;

use purlin_node::CallError;
use serde_json::json;

use crate::client::{Client, not_connected};
use crate::commands::{Call, Ping};
use crate::failure::Failure;
use crate::{json, output};

/// What is said of a call without an answer.
const UNKNOWN: &str = ", and whether the call took place is unknown";

/// `purlin ping`: status 1 goes with pang, and why with it.
pub(crate) async fn ping(ping: Ping) -> Result<ExitCode, Failure> {
    let client = Client::start(&ping.asking, ping.peer.as_str()).await?;
    let peer = ping.peer;
    let answer = async {
        client.connect(peer).await?;
        let pong = client.node.ping(peer, client.time_left());
        let pong = client.within(peer, "", pong).await?;
        pong.map_err(|error| Failure::failed(format!("{peer}: {error}")))
    };
    let answer = answer.await;
    let word = if answer.is_ok() { "pong" } else { "pang" };
    match ping.asking.json {
        true => output::line(&json!({"node": peer.as_str(), "answer": word}).to_string()),
        false => output::line(word),
    }
    client.stop().await;
    answer.map(|()| ExitCode::SUCCESS)
}

/// `purlin call`.
pub(crate) async fn call(call: Call) -> Result<ExitCode, Failure> {
    let client = Client::start(&call.asking, call.peer.as_str()).await?;
    let peer = call.peer;
    client.connect(peer).await?;
    let name = format!("{}:{}/{}", call.module, call.function, call.args.len());
    let patience = client.time_left();
    let answer = client
        .node
        .call(peer, &call.module, &call.function, call.args, 2 * patience);
    let answer = client.within(peer, UNKNOWN, answer).await?;
    client.stop().await;
    match answer {
        Ok(term) => {
            match call.asking.json {
                true => output::line(
                    &json!({"value": json::value(&term), "text": term.to_string()}).to_string(),
                ),
                false => output::line(&term.to_string()),
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(CallError::Raised { class, reason, .. }) => {
            let advice = match reason.is_atom("undef") {
                true => "; the node has no such function, or does not export it",
                false => "",
            };
            Err(Failure::failed(format!(
                "{name} on {peer} raised {class}: {reason}{advice}"
            )))
        }
        Err(CallError::NotConnected(error)) => Err(not_connected(peer, &error)),
        Err(error) => Err(Failure::failed(format!("{name} on {peer}: {error}"))),
    }
}

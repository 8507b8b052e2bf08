//! The commands that ask one node: `ping` and `call`.

use std::process::ExitCode;

use purlin_term::{Atom, NodeName, Term};
use serde_json::json;

use crate::args::Asking;
use crate::client::Client;
use crate::failure::Failure;
use crate::{json, output};

#[derive(Debug)]
pub(crate) struct Ping {
    pub(crate) asking: Asking,
    pub(crate) peer: NodeName,
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) asking: Asking,
    pub(crate) peer: NodeName,
    pub(crate) module: Atom,
    pub(crate) function: Atom,
    pub(crate) args: Vec<Term>,
}

/// `purlin ping`: pang is status 1, and why goes to standard error.
pub(crate) async fn ping(ping: Ping) -> Result<ExitCode, Failure> {
    let client = Client::start(&ping.asking, ping.peer).await?;
    let answer = client.ping(ping.peer).await;
    let word = if answer.is_ok() { "pong" } else { "pang" };
    match ping.asking.json {
        true => output::line(&json!({"node": ping.peer.as_str(), "answer": word}).to_string()),
        false => output::line(word),
    }
    client.stop().await;
    answer.map(|()| ExitCode::SUCCESS)
}

/// `purlin call`.
pub(crate) async fn call(call: Call) -> Result<ExitCode, Failure> {
    let client = Client::start(&call.asking, call.peer).await?;
    let answer = client
        .call(call.peer, call.module, call.function, call.args)
        .await;
    client.stop().await;
    let term = answer?;
    let text = term.to_string();
    match call.asking.json {
        true => output::line(&json!({"value": json::value(&term), "text": text}).to_string()),
        false => output::line(&text),
    }
    Ok(ExitCode::SUCCESS)
}

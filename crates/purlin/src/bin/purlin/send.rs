//! `purlin send`: a message to a registered process.
//!
//! Sending in Erlang says nothing about success, so the command asks: is there a process of this
//! name, and, after the message and on the same flow, is the node still there? When that is
//! answered, the message is in the mailbox of the process.

use std::process::ExitCode;

use purlin_node::{Delivery, Mailbox, NodeEvent};
use purlin_term::{Atom, NodeName, Term, atom};
use serde_json::json;

use crate::args::Asking;
use crate::client::Client;
use crate::failure::Failure;
use crate::output;

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) asking: Asking,
    pub(crate) peer: NodeName,
    pub(crate) name: Atom,
    pub(crate) message: Term,
}

pub(crate) async fn run(options: Options) -> Result<ExitCode, Failure> {
    let Options {
        asking,
        peer,
        name,
        message,
    } = options;
    let client = Client::start(&asking, peer).await?;
    let args = vec![name.clone().into()];
    let found = client
        .call(peer, atom!("erlang"), atom!("whereis"), args)
        .await?;
    if found.as_pid().is_none() {
        return Err(Failure::failed(format!(
            "no process of {peer} is registered as {name}; `purlin call {peer} erlang registered \
             '[]'` lists the names"
        )));
    }
    let unknown = ", and whether the message arrived is unknown";
    let delivered = deliver(&client, peer, name, &message);
    client.within(peer, unknown, delivered).await??;
    if asking.json {
        output::line(&json!({"node": peer.as_str(), "sent": true}).to_string());
    }
    client.stop().await;
    Ok(ExitCode::SUCCESS)
}

async fn deliver(
    client: &Client,
    peer: NodeName,
    name: Atom,
    message: &Term,
) -> Result<(), Failure> {
    let not_sent = |error: &dyn std::fmt::Display| {
        Failure::failed(format!("{peer}: the message was not sent: {error}"))
    };
    let mut mailbox = client.node.attach().map_err(|error| not_sent(&error))?;
    client.node.monitor_node(mailbox.pid(), peer);
    let sent = mailbox.send((name, peer), message).await;
    sent.map_err(|error| not_sent(&error))?;
    let reference = client.node.make_reference();
    let from = Term::tuple([mailbox.pid().into(), reference.into()]);
    let question = Term::tuple([atom!("is_auth").into(), client.node.name().into()]);
    let call = Term::tuple([atom!("$gen_call").into(), from, question]);
    let not_asked = |error| {
        Failure::failed(format!(
            "{peer}: whether the message arrived is unknown: {error}"
        ))
    };
    mailbox
        .send((atom!("net_kernel"), peer), &call)
        .await
        .map_err(not_asked)?;
    answered(&mut mailbox, peer).await
}

/// Waits for the first message: only the node that was asked knows this mailbox.
async fn answered(mailbox: &mut Mailbox, peer: NodeName) -> Result<(), Failure> {
    loop {
        match mailbox.receive().await {
            Delivery::Message(_) => return Ok(()),
            Delivery::Node(NodeEvent::Down { .. }) => {
                return Err(Failure::failed(format!(
                    "the connection to {peer} ended; whether the message arrived is unknown"
                )));
            }
            _ => {}
        }
    }
}

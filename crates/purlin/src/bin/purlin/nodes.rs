//! `purlin nodes`: who is connected to whom.
//!
//! Asks a node and every node it knows, or, without a node, all that are registered with the port
//! mapper of this machine. A port mapper knows names without hosts; who is dialled under a wrong
//! host says in its handshake what it is called.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use purlin_node::{ConnectError, HandshakeError, TokioHost, epmd};
use purlin_term::{Atom, NodeName, Term, atom};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::args::Asking;
use crate::client::Client;
use crate::failure::Failure;
use crate::{environment, output};

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) asking: Asking,
    pub(crate) peer: Option<NodeName>,
}

/// Whom a node is connected to, or why it did not say.
type Answer = Result<Connected, String>;

struct Connected {
    visible: Vec<String>,
    hidden: Vec<String>,
}

pub(crate) async fn run(options: Options) -> Result<ExitCode, Failure> {
    let asking = &options.asking;
    let answers = match options.peer {
        Some(peer) => around(asking, peer).await?,
        None => registered_here(asking).await?,
    };
    match asking.json {
        true => output::line(&as_json(&answers).to_string()),
        false => answers
            .iter()
            .for_each(|(node, answer)| output::line(&as_text(node, answer))),
    }
    if !answers.is_empty() && answers.values().all(Result::is_err) {
        return Err(Failure::failed("none of these nodes answered"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks `peer`, then all that it is connected to.
async fn around(asking: &Asking, peer: NodeName) -> Result<BTreeMap<String, Answer>, Failure> {
    let client = Arc::new(Client::start(asking, peer).await?);
    let first = ask(&client, peer).await?;
    let mut others = JoinSet::new();
    for name in first.visible.clone() {
        let client = client.clone();
        others.spawn(async move {
            let answer = ask_named(&client, &name).await;
            (name, answer)
        });
    }
    let answers = others.join_all().await.into_iter();
    let answers = answers.chain([(peer.to_string(), Ok(first))]).collect();
    client.stop().await;
    Ok(answers)
}

/// Asks all nodes that are registered with the port mapper of this machine.
async fn registered_here(asking: &Asking) -> Result<BTreeMap<String, Answer>, Failure> {
    let mapper = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), environment::epmd_port()?);
    let names = epmd::names(&TokioHost::current(), mapper)
        .await
        .map_err(|error| {
            Failure::failed(format!(
                "no port mapper (epmd) answers on {mapper}: {error}; no node runs on this machine"
            ))
        })?;
    let mut asked = JoinSet::new();
    for entry in names {
        let asking = asking.clone();
        asked.spawn(async move { ask_registered(&asking, &entry.alive).await });
    }
    asked.join_all().await.into_iter().collect()
}

/// Asks the node called `alive` on this machine, whatever host its name has.
async fn ask_registered(asking: &Asking, alive: &str) -> Result<(String, Answer), Failure> {
    let mut name = format!("{alive}@127.0.0.1");
    for _attempt in 0..2 {
        let Ok(peer) = node_name(&name) else { break };
        let client = Client::start(asking, peer).await?;
        let connected = client.within(peer, "", client.node.connect_to(peer)).await;
        let answer = match connected {
            Ok(Err(ConnectError::Handshake(HandshakeError::NameMismatch { answered, .. }))) => {
                name = answered;
                continue;
            }
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok(())) => ask(&client, peer)
                .await
                .map_err(|failure| failure.to_string()),
            Err(failure) => Err(failure.to_string()),
        };
        client.stop().await;
        return Ok((name, answer));
    }
    Ok((name, Err("it does not say what it is called".to_owned())))
}

async fn ask_named(client: &Client, name: &str) -> Answer {
    let peer = node_name(name).map_err(|failure| failure.to_string())?;
    ask(client, peer)
        .await
        .map_err(|failure| failure.to_string())
}

/// Asks `peer`, which is connected. This client itself is left out.
async fn ask(client: &Client, peer: NodeName) -> Result<Connected, Failure> {
    let names = async |kind: Atom| {
        let nodes = client
            .call(peer, atom!("erlang"), atom!("nodes"), vec![kind.into()])
            .await?;
        let nodes = nodes.as_list().unwrap_or_default().iter();
        let nodes = nodes.filter_map(Term::as_atom).map(Atom::as_str);
        let mut names: Vec<String> = nodes
            .filter(|name| *name != client.node.name().as_str())
            .map(str::to_owned)
            .collect();
        names.sort();
        Ok::<_, Failure>(names)
    };
    Ok(Connected {
        visible: names(atom!("visible")).await?,
        hidden: names(atom!("hidden")).await?,
    })
}

fn node_name(text: &str) -> Result<NodeName, Failure> {
    let name = Atom::new(text).map_err(Failure::failed)?;
    NodeName::new(&name).map_err(Failure::failed)
}

fn as_text(node: &str, answer: &Answer) -> String {
    match answer {
        Ok(Connected { visible, hidden }) => {
            let hidden = hidden.iter().map(|name| format!("{name} (hidden)"));
            let names: Vec<String> = visible.iter().cloned().chain(hidden).collect();
            match names.is_empty() {
                true => format!("{node}: nobody"),
                false => format!("{node}: {}", names.join(", ")),
            }
        }
        Err(error) => format!("{node}: no answer: {error}"),
    }
}

fn as_json(answers: &BTreeMap<String, Answer>) -> Value {
    let nodes = answers.iter().map(|(node, answer)| match answer {
        Ok(Connected { visible, hidden }) => {
            json!({"node": node, "visible": visible, "hidden": hidden})
        }
        Err(error) => json!({"node": node, "error": error}),
    });
    nodes.collect()
}

//! `purlin dev`: a local cluster of OS processes of this binary.
//!
//! ```text
//! dev --stdin, held open--> purlin start --until-stdin-closes     (a, b, c ...)
//!     <--stdout: `ready`--  relayed as it is
//!     <--stderr: logs-----  relayed behind the node's letter
//! ```
//!
//! The nodes start one after the other, each joining those before it, so that all are connected
//! when the last is ready. They end when their standard input does: when `dev` wants it so, and
//! also when it is killed.

use std::io::IsTerminal;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use purlin_node::TokioHost;
use purlin_node::epmd::{self, ServingMapper};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::cookie::{CookieOptions, Found, IfMissing};
use crate::failure::Failure;
use crate::log::{self, Format, Log};
use crate::signals::StopSignal;
use crate::{environment, output};

/// Nodes of a cluster unless told otherwise.
pub(crate) const NODES: usize = 3;

/// Nodes of the largest cluster: one for each letter.
pub(crate) const NODES_MAX: usize = 26;

/// How long a node may take to be ready. Generous: the machine may be busy.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the nodes may take to stop before they are killed: longer than their own patience.
const STOP_PATIENCE: Duration = Duration::from_secs(8);

/// Foreground colours of ANSI terminals, one node after the other.
const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 31];

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) nodes: usize,
    pub(crate) cookie: CookieOptions,
    pub(crate) log: Log,
}

/// Runs the cluster until it is told to stop or a node does not start.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let mut stop = StopSignal::new()?;
    let cookie = options.cookie.find(IfMissing::Make)?;
    // Here rather than in the first node, so that any node can be killed to see what happens.
    let _mapper = mapper().await?;
    let mut cluster = Cluster::default();
    let result = tokio::select! {
        result = cluster.run(&options, &cookie) => result,
        () = stop.wait() => Ok(()),
    };
    cluster.end().await;
    result
}

/// Serves as the port mapper where none runs.
async fn mapper() -> Result<Option<ServingMapper>, Failure> {
    let port = environment::epmd_port()?;
    let addresses = epmd::addresses(&environment::epmd_addresses()?, port);
    // When it cannot be served, it most likely runs; else the first node says what is wrong.
    let serving = epmd::serve_on(Arc::new(TokioHost::current()), &addresses).await;
    Ok(serving.ok())
}

/// The nodes.
#[derive(Default)]
struct Cluster {
    /// Held open: a node ends when it is dropped.
    inputs: Vec<ChildStdin>,
    /// Kills a node when it is dropped.
    kills: Vec<oneshot::Sender<()>>,
    running: JoinSet<(String, std::io::Result<ExitStatus>)>,
}

/// What is seen of a node while it starts.
struct Starting {
    ready: oneshot::Receiver<()>,
    /// What the node itself says went wrong.
    complaint: Complaint,
    relays: [JoinHandle<()>; 2],
}

type Complaint = Arc<Mutex<Option<String>>>;

impl Cluster {
    async fn run(&mut self, options: &Options, cookie: &Found) -> Result<(), Failure> {
        for number in 0..options.nodes {
            let starting = self.spawn(number, options, &cookie.cookie)?;
            let name = node_name(number);
            let Starting {
                ready,
                complaint,
                relays,
            } = starting;
            match timeout(START_TIMEOUT, ready).await {
                Ok(Ok(())) => continue,
                Ok(Err(_)) => {}
                Err(_) => {
                    return Err(Failure::failed(format!(
                        "{name} was not ready after {START_TIMEOUT:?}; its log says why"
                    )));
                }
            }
            for relay in relays {
                let _ = relay.await;
            }
            let complaint = complaint
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            let complaint = complaint.unwrap_or_else(|| "its log says why".to_owned());
            return Err(Failure::failed(format!(
                "{name} did not start: {complaint}"
            )));
        }
        output::line(&how_to_join(options.nodes, cookie));
        while let Some(ended) = self.running.join_next().await {
            if let Ok((name, Ok(status))) = ended {
                output::error_line(&format!("{name} ended: {status}"));
            }
        }
        Err(Failure::failed("all nodes have ended"))
    }

    fn spawn(
        &mut self,
        number: usize,
        options: &Options,
        cookie: &str,
    ) -> Result<Starting, Failure> {
        let name = node_name(number);
        let failed = |error| Failure::failed(format!("cannot start {name}: {error}"));
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.args([
            "start",
            "--name",
            &name,
            "--app",
            "demo",
            "--until-stdin-closes",
        ]);
        command.args(["--log", &options.log.filter]);
        if options.log.format == Format::Json {
            command.args(["--log-format", "json"]);
        }
        for other in 0..number {
            command.args(["--join", &node_name(other)]);
        }
        // Not as an argument, which `ps` would show.
        command.env("PURLIN_COOKIE", cookie);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().map_err(failed)?;
        self.inputs.extend(child.stdin.take());
        let (told, ready) = oneshot::channel();
        let complaint = Complaint::default();
        let colour = COLOURS[number % COLOURS.len()];
        let relays = [
            tokio::spawn(relay_output(child.stdout.take(), colour, told)),
            tokio::spawn(relay_log(
                child.stderr.take(),
                Prefix::new(number, colour, options.log.format),
                complaint.clone(),
            )),
        ];
        let (kill, killed) = oneshot::channel();
        self.kills.push(kill);
        self.running.spawn(watch(name, child, killed));
        Ok(Starting {
            ready,
            complaint,
            relays,
        })
    }

    /// Asks all nodes to stop, and kills those that do not.
    async fn end(mut self) {
        self.inputs.clear();
        let all_ended = async { while self.running.join_next().await.is_some() {} };
        if timeout(STOP_PATIENCE, all_ended).await.is_err() {
            output::error_line("some nodes do not stop; killing them");
            self.kills.clear();
            while self.running.join_next().await.is_some() {}
        }
    }
}

async fn watch(
    name: String,
    mut child: Child,
    killed: oneshot::Receiver<()>,
) -> (String, std::io::Result<ExitStatus>) {
    tokio::select! {
        status = child.wait() => return (name, status),
        _ = killed => {}
    }
    let _ = child.start_kill();
    let status = child.wait().await;
    (name, status)
}

/// Relays `ready` lines, and tells of the first.
async fn relay_output(
    output: Option<impl AsyncRead + Unpin>,
    colour: u8,
    ready: oneshot::Sender<()>,
) {
    let Some(output) = output else { return };
    let colour = (std::io::stdout().is_terminal() && !log::is_colour_refused()).then_some(colour);
    let mut lines = BufReader::new(output).lines();
    let mut ready = Some(ready);
    while let Ok(Some(line)) = lines.next_line().await {
        output::line(&painted(&line, colour));
        if line.starts_with("ready ") {
            let _ = ready.take().map(|ready| ready.send(()));
        }
    }
}

/// Relays logs; the line of a failure is kept for ours.
async fn relay_log(log: Option<impl AsyncRead + Unpin>, prefix: Prefix, complaint: Complaint) {
    let Some(log) = log else { return };
    let mut lines = BufReader::new(log).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match line.strip_prefix("purlin: ") {
            Some(text) => {
                let mut complaint = complaint.lock().unwrap_or_else(PoisonError::into_inner);
                *complaint = Some(text.to_owned());
            }
            None => output::error_line(&prefix.put_before(&line)),
        }
    }
}

/// What log lines of a node begin with: its letter. Lines of JSON stay as they are.
struct Prefix(String);

impl Prefix {
    fn new(number: usize, colour: u8, format: Format) -> Self {
        let is_coloured = std::io::stderr().is_terminal() && !log::is_colour_refused();
        match format {
            Format::Human => {
                let letter = letter(number).to_string();
                Self(format!(
                    "{} | ",
                    painted(&letter, is_coloured.then_some(colour))
                ))
            }
            Format::Json => Self(String::new()),
        }
    }

    fn put_before(&self, line: &str) -> String {
        format!("{}{line}", self.0)
    }
}

fn painted(text: &str, colour: Option<u8>) -> String {
    match colour {
        Some(colour) => format!("\x1b[{colour}m{text}\x1b[0m"),
        None => text.to_owned(),
    }
}

fn letter(number: usize) -> char {
    (b'a'..=b'z').nth(number).map_or('?', char::from)
}

fn node_name(number: usize) -> String {
    format!("{}@127.0.0.1", letter(number))
}

/// The lines that bring others into the cluster.
fn how_to_join(nodes: usize, cookie: &Found) -> String {
    let port = std::env::var("ERL_EPMD_PORT")
        .ok()
        .filter(|port| !port.is_empty());
    let port = port.map_or(String::new(), |port| format!("ERL_EPMD_PORT={port} "));
    // In the shell's single quotes nothing is special but themselves.
    let quoted = format!("'{}'", cookie.cookie.replace('\'', r"'\''"));
    let (erl, iex, client) = match cookie.is_default {
        true => Default::default(),
        false => (
            format!(" -setcookie {quoted}"),
            format!(" --cookie {quoted}"),
            format!("PURLIN_COOKIE={quoted} "),
        ),
    };
    let whence = match cookie.is_default {
        true => ", with the cookie in ~/.erlang.cookie, which erl and iex find by themselves",
        false => "",
    };
    let last = node_name(nodes - 1);
    let count = match nodes {
        1 => "1 node is".to_owned(),
        nodes => format!("{nodes} nodes are"),
    };
    format!(
        "
{count} up{whence}. To join from Erlang:
    {port}erl -name me@127.0.0.1{erl}
    1> net_adm:ping('a@127.0.0.1').
    2> nodes().
    3> erpc:call('{last}', demo, add, [2, 3]).
    4> {{echo, 'a@127.0.0.1'}} ! {{self(), hello}}, receive M -> M after 5000 -> nothing end.
    5> gen_server:call({{counter, '{last}'}}, {{add, 1}}).
from Elixir:
    {port}iex --name me@127.0.0.1{iex}
    iex> Node.connect(:\"a@127.0.0.1\")
    iex> :erpc.call(:\"{last}\", :demo, :add, [2, 3])
from the command line:
    {port}{client}purlin nodes a@127.0.0.1
Ctrl-C ends {them}.
",
        them = if nodes == 1 { "it" } else { "them all" },
    )
}

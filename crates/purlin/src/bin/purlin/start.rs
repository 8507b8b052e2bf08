//! `purlin start`: a node in the foreground.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use purlin_node::{Node, StartError};
use purlin_proto::handshake::NodeName as ProtocolName;
use purlin_term::NodeName;
use tokio::time::{sleep, timeout};

use crate::args::Parser;
use crate::cookie::{CookieOptions, IfMissing};
use crate::failure::Failure;
use crate::signals::StopSignal;
use crate::{demo, environment, output};

/// Said of `--http`.
pub(crate) const NO_HTTP: &str = "there is no dashboard yet: leave --http out";

/// How long the first attempt to join may delay the `ready` line.
const FIRST_JOIN_TIMEOUT: Duration = Duration::from_secs(3);

/// Pauses between attempts to join: doubled from the first to the last. A guess, unmeasured.
const JOIN_PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// How long peers may take to read what is queued for them when the node stops.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// What flags or a file say about a node, unchecked.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) name: Option<String>,
    pub(crate) cookie: CookieOptions,
    pub(crate) hidden: Option<bool>,
    pub(crate) join: Vec<String>,
    pub(crate) listen: Option<String>,
    pub(crate) app: Vec<String>,
    pub(crate) http: Option<String>,
}

/// A node to be started.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) name: ProtocolName,
    pub(crate) cookie: CookieOptions,
    pub(crate) hidden: bool,
    pub(crate) join: Vec<NodeName>,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) apps: Vec<App>,
    pub(crate) until_stdin_closes: bool,
}

/// An application that a node can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum App {
    Demo,
}

impl Given {
    /// These, and what they leave open from the file.
    pub(crate) fn over(self, config: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = config else { return Ok(self) };
        let file = read_config(path)?;
        let or = |ours: Vec<String>, theirs| if ours.is_empty() { theirs } else { ours };
        // A cookie on the command line replaces the file's, whichever way each is given.
        let has_cookie = self.cookie.cookie.is_some() || self.cookie.file.is_some();
        Ok(Self {
            name: self.name.or(file.name),
            cookie: if has_cookie { self.cookie } else { file.cookie },
            hidden: self.hidden.or(file.hidden),
            join: or(self.join, file.join),
            listen: self.listen.or(file.listen),
            app: or(self.app, file.app),
            http: self.http.or(file.http),
        })
    }

    /// Checks everything that can be checked without starting anything.
    pub(crate) fn resolve(self, parser: &Parser) -> Result<Options, Failure> {
        let name = self.name.ok_or_else(|| {
            parser.usage("the node needs a name: --name NAME@HOST, such as --name a@127.0.0.1")
        })?;
        let name = ProtocolName::new(&name).map_err(|error| parser.usage(error))?;
        if self.http.is_some() {
            return Err(parser.usage(NO_HTTP));
        }
        let join = self.join.iter().map(|node| parser.node(node));
        let apps = self.app.iter().map(|app| match app.as_str() {
            "demo" => Ok(App::Demo),
            other => {
                Err(parser.usage(format!("there is no application `{other}`; there is: demo")))
            }
        });
        let listen = self.listen.map(|text| {
            text.parse().map_err(|_| {
                parser.usage(format!(
                    "--listen is IP:PORT, such as 127.0.0.1:9100 or 0.0.0.0:0, not `{text}`"
                ))
            })
        });
        Ok(Options {
            cookie: self.cookie,
            hidden: self.hidden.unwrap_or(false),
            join: join.collect::<Result<_, _>>()?,
            listen: listen.transpose()?,
            apps: apps.collect::<Result<_, _>>()?,
            until_stdin_closes: false,
            name,
        })
    }
}

fn read_config(path: &Path) -> Result<Given, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::failed(format!("cannot read {shown}: {error}")))?;
    let wrong = |message: &dyn std::fmt::Display| Failure::usage(format!("{shown}: {message}"));
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().map_or(0, |span| span.start);
        let line = 1 + text
            .bytes()
            .take(before)
            .filter(|byte| *byte == b'\n')
            .count();
        wrong(&format!("line {line}: {}", error.message()))
    })?;
    let mut given = Given::default();
    for (key, value) in table {
        let text = || match &value {
            toml::Value::String(text) => Ok(text.clone()),
            _ => Err(wrong(&format!("`{key}` is a text in quotes"))),
        };
        let texts = || {
            let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            let texts = value
                .is_array()
                .then(|| texts.collect::<Option<Vec<_>>>())
                .flatten();
            texts.ok_or_else(|| wrong(&format!("`{key}` is a list of texts, such as [\"x\"]")))
        };
        match key.as_str() {
            "name" => given.name = Some(text()?),
            "cookie" => given.cookie.cookie = Some(text()?),
            "cookie-file" => given.cookie.file = Some(PathBuf::from(text()?)),
            "listen" => given.listen = Some(text()?),
            "http" => given.http = Some(text()?),
            "join" => given.join = texts()?,
            "app" => given.app = texts()?,
            "hidden" => {
                let hidden = value.as_bool();
                given.hidden = Some(hidden.ok_or_else(|| wrong(&"`hidden` is true or false"))?);
            }
            _ => {
                return Err(wrong(&format!(
                    "there is no key `{key}`; there are name, cookie, cookie-file, hidden, join, \
                     listen, app, http"
                )));
            }
        }
    }
    Ok(given)
}

/// Runs the node until it is told to stop.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let mut stop = StopSignal::new()?;
    let node = start(&options).await?;
    for app in &options.apps {
        match app {
            App::Demo => demo::start(&node),
        }
    }
    join(&node, &options.join).await;
    if let Some(address) = node.address() {
        output::line(&format!("ready {} on {address}", node.name()));
    }
    tokio::select! {
        () = stop.wait() => {}
        () = stdin_closed(), if options.until_stdin_closes => {}
    }
    tracing::info!("stopping");
    node.stop(STOP_PATIENCE).await;
    Ok(())
}

async fn start(options: &Options) -> Result<Node, Failure> {
    if options.listen.is_none() && !is_loopback(options.name.host()) {
        return Err(Failure::usage(format!(
            "`{}` is not a name of this machine alone, and a node listens on loopback unless told \
             otherwise: add --listen 0.0.0.0:0 (or IP:PORT), or call it {}@127.0.0.1",
            options.name,
            options.name.alive()
        )));
    }
    let cookie = options.cookie.find(IfMissing::Make)?.cookie;
    let mut builder = Node::builder(options.name.as_str())
        .cookie(&cookie)
        .epmd_port(environment::epmd_port()?)
        .epmd_addresses(&environment::epmd_addresses()?);
    if options.hidden {
        builder = builder.hidden();
    }
    if let Some(address) = options.listen {
        builder = builder.listen(address);
    }
    builder.start().await.map_err(|error| match error {
        StartError::Name(_) => Failure::usage(error),
        StartError::Listen { .. } => Failure::failed(format!(
            "{error}; choose another with --listen, with port 0 for any free one"
        )),
        StartError::NameTaken { .. } => {
            Failure::failed(format!("{error}; stop it, or choose another name"))
        }
        _ => Failure::failed(error),
    })
}

/// True if peers that look for this host come to this machine by its loopback.
fn is_loopback(host: &str) -> bool {
    let literal = host.parse::<IpAddr>().ok();
    if let Some(address) = literal {
        return address == IpAddr::V4(Ipv4Addr::LOCALHOST);
    }
    let found = (host, 0).to_socket_addrs();
    found.is_ok_and(|mut addresses| addresses.any(|a| a.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST)))
}

/// Connects to each node, and goes on in the background where that does not work at once.
async fn join(node: &Node, peers: &[NodeName]) {
    let attempts = peers.iter().map(|peer| {
        let (node, peer) = (node.clone(), *peer);
        tokio::spawn(async move {
            let mut said = String::new();
            let mut pause = JOIN_PAUSES.0;
            while let Err(error) = node.connect_to(peer).await {
                let error = error.to_string();
                if error != said {
                    tracing::warn!(%peer, "cannot join yet: {error}");
                    said = error;
                }
                sleep(pause).await;
                pause = (2 * pause).min(JOIN_PAUSES.1);
            }
            tracing::info!(%peer, "joined");
        })
    });
    let attempts: Vec<_> = attempts.collect();
    let all = async {
        for attempt in attempts {
            let _ = attempt.await;
        }
    };
    let _ = timeout(FIRST_JOIN_TIMEOUT, all).await;
}

/// Returns when standard input ends: when whoever holds its other end is gone, however it went.
async fn stdin_closed() {
    let (told, closed) = tokio::sync::oneshot::channel();
    // A thread of its own, since a blocked read of standard input cannot be taken back.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = told.send(());
    });
    let _ = closed.await;
}

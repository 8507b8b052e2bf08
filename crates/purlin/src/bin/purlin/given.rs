//! What flags or a file say about a node that is to be started, and the check of it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use purlin_proto::handshake::FullName;

use crate::args::{Parser, duration};
use crate::cookie::CookieOptions;
use crate::failure::Failure;
use crate::finding::Finding;
use crate::start::{App, NO_HTTP, Options};

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
    pub(crate) no_epmd: Option<bool>,
    pub(crate) peer: Vec<String>,
    pub(crate) peer_port: Option<String>,
    pub(crate) net_ticktime: Option<String>,
    pub(crate) net_tickintensity: Option<String>,
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
            no_epmd: self.no_epmd.or(file.no_epmd),
            peer: or(self.peer, file.peer),
            peer_port: self.peer_port.or(file.peer_port),
            net_ticktime: self.net_ticktime.or(file.net_ticktime),
            net_tickintensity: self.net_tickintensity.or(file.net_tickintensity),
        })
    }

    /// Checks everything that can be checked without starting anything.
    pub(crate) fn resolve(self, parser: &Parser) -> Result<Options, Failure> {
        let name = self.name.ok_or_else(|| {
            parser.usage("the node needs a name: --name NAME@HOST, such as --name a@127.0.0.1")
        })?;
        let name = FullName::new(&name).map_err(|error| parser.usage(error))?;
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
        let listen = self.listen.map(|text| listen(parser, &text));
        let mut finding = Finding::default();
        for peer in &self.peer {
            finding.add_peer(parser, peer)?;
        }
        if let Some(port) = &self.peer_port {
            finding.set_port(parser, port)?;
        }
        let ticktime = self.net_ticktime.map(|text| net_ticktime(parser, &text));
        let looks = self
            .net_tickintensity
            .map(|text| net_tickintensity(parser, &text));
        Ok(Options {
            cookie: self.cookie,
            hidden: self.hidden.unwrap_or(false),
            join: join.collect::<Result<_, _>>()?,
            listen: listen.transpose()?,
            apps: apps.collect::<Result<_, _>>()?,
            no_epmd: self.no_epmd.unwrap_or(false),
            finding,
            net_ticktime: ticktime.transpose()?,
            net_tickintensity: looks.transpose()?,
            until_stdin_closes: false,
            name,
        })
    }
}

fn listen(parser: &Parser, text: &str) -> Result<SocketAddr, Failure> {
    text.parse().map_err(|_| {
        parser.usage(format!(
            "--listen is IP:PORT, such as 127.0.0.1:9100 or 0.0.0.0:0, not `{text}`"
        ))
    })
}

fn net_ticktime(parser: &Parser, text: &str) -> Result<Duration, Failure> {
    duration(text).ok_or_else(|| {
        parser.usage(format!(
            "--net-ticktime is a time such as 500ms, 8s or 1m, not `{text}`"
        ))
    })
}

/// The bounds are checked by the node.
fn net_tickintensity(parser: &Parser, text: &str) -> Result<u32, Failure> {
    text.parse()
        .map_err(|_| parser.usage(format!("--net-tickintensity is a number, not `{text}`")))
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
        let number = || match &value {
            toml::Value::Integer(number) => Ok(number.to_string()),
            _ => Err(wrong(&format!("`{key}` is a number"))),
        };
        let truth = || {
            let truth = value.as_bool();
            truth.ok_or_else(|| wrong(&format!("`{key}` is true or false")))
        };
        match key.as_str() {
            "name" => given.name = Some(text()?),
            "cookie" => given.cookie.cookie = Some(text()?),
            "cookie-file" => given.cookie.file = Some(PathBuf::from(text()?)),
            "listen" => given.listen = Some(text()?),
            "http" => given.http = Some(text()?),
            "join" => given.join = texts()?,
            "app" => given.app = texts()?,
            "hidden" => given.hidden = Some(truth()?),
            "no-epmd" => given.no_epmd = Some(truth()?),
            "peer" => given.peer = texts()?,
            "peer-port" => given.peer_port = Some(number()?),
            "net-ticktime" => given.net_ticktime = Some(text()?),
            "net-tickintensity" => given.net_tickintensity = Some(number()?),
            _ => {
                return Err(wrong(&format!(
                    "there is no key `{key}`; there are name, cookie, cookie-file, hidden, join, \
                     listen, app, http, no-epmd, peer, peer-port, net-ticktime, net-tickintensity"
                )));
            }
        }
    }
    Ok(given)
}

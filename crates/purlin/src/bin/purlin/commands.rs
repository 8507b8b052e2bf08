//! The commands and what each takes.

use std::ffi::OsString;
use std::path::PathBuf;

use purlin_term::Term;

use crate::args::{Parser, Takes};
use crate::ask::{Call, Ping};
use crate::failure::Failure;
use crate::given::Given;
use crate::log::Log;
use crate::{dev, environment, help, mapper, nodes, send, start, version};

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Command {
    Help(&'static str),
    Start(Log, start::Options),
    Dev(Log, dev::Options),
    Ping(Log, Ping),
    Call(Log, Call),
    Send(Log, send::Options),
    Nodes(Log, nodes::Options),
    Epmd(Log, mapper::Options),
    Version(version::Options),
}

/// How the arguments of a command are read.
type Reader = fn(Parser) -> Result<Command, Failure>;

/// Each command with its help.
const COMMANDS: &[(&str, Reader, &str)] = &[
    ("start", start, help::START),
    ("dev", dev, help::DEV),
    ("ping", ping, help::PING),
    ("call", call, help::CALL),
    ("send", send, help::SEND),
    ("nodes", nodes, help::NODES),
    ("epmd", epmd, help::EPMD),
    ("version", version, help::VERSION),
];

/// Reads the command line, the program's own name left out.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, Failure> {
    let mut args = args.into_iter();
    let Some(command) = args.next() else {
        return Err(Failure::usage(
            "which command? `purlin --help` lists them; `purlin dev` is a good first one",
        ));
    };
    let args: Vec<OsString> = args.collect();
    let named = |text: &OsString| {
        let known = COMMANDS.iter().find(|(name, ..)| text == name);
        let unknown = || {
            let text = text.display();
            Failure::usage(format!(
                "there is no command `{text}`; `purlin --help` lists them"
            ))
        };
        known.ok_or_else(unknown)
    };
    if ["-h", "--help", "help"]
        .iter()
        .any(|help| command == **help)
    {
        let of = args
            .iter()
            .find(|arg| !arg.to_string_lossy().starts_with('-'));
        return match of {
            Some(command) => Ok(Command::Help(named(command)?.2)),
            None => Ok(Command::Help(help::PURLIN)),
        };
    }
    let (name, read, help) = named(&command)?;
    let mut flags = args.iter().take_while(|arg| *arg != "--");
    match flags.any(|arg| arg == "-h" || arg == "--help") {
        true => Ok(Command::Help(help)),
        false => read(Parser::new(name, args)),
    }
}

/// Reads the whole of a client command: it has no flags of its own.
fn client(parser: &mut Parser) -> Result<Log, Failure> {
    match parser.next(Takes::Client)? {
        Some(flag) => Err(parser.unknown(&flag)),
        None => Ok(parser.log("off")),
    }
}

fn ping(mut parser: Parser) -> Result<Command, Failure> {
    let log = client(&mut parser)?;
    let [peer] = parser.operands(["NODE"])?;
    let ping = Ping {
        peer: parser.node(&peer)?,
        asking: parser.asking(),
    };
    Ok(Command::Ping(log, ping))
}

fn call(mut parser: Parser) -> Result<Command, Failure> {
    let log = client(&mut parser)?;
    let [peer, module, function, args] = parser.operands(["NODE", "MODULE", "FUNCTION", "ARGS"])?;
    let wrong = |error| parser.usage(format!("ARGS: {error}"));
    let call = Call {
        peer: parser.node(&peer)?,
        module: parser.atom(&module)?,
        function: parser.atom(&function)?,
        args: Term::parse_args(&args, None).map_err(wrong)?,
        asking: parser.asking(),
    };
    Ok(Command::Call(log, call))
}

fn send(mut parser: Parser) -> Result<Command, Failure> {
    let log = client(&mut parser)?;
    let [peer, name, message] = parser.operands(["NODE", "NAME", "TERM"])?;
    let wrong = |error| parser.usage(format!("TERM: {error}"));
    let options = send::Options {
        peer: parser.node(&peer)?,
        name: parser.atom(&name)?,
        message: Term::parse(&message).map_err(wrong)?,
        asking: parser.asking(),
    };
    Ok(Command::Send(log, options))
}

fn nodes(mut parser: Parser) -> Result<Command, Failure> {
    let log = client(&mut parser)?;
    let peer = parser.operand()?;
    let options = nodes::Options {
        peer: peer.map(|peer| parser.node(&peer)).transpose()?,
        asking: parser.asking(),
    };
    Ok(Command::Nodes(log, options))
}

fn epmd(mut parser: Parser) -> Result<Command, Failure> {
    let (mut addresses, mut port) = (None, None);
    while let Some(flag) = parser.next(Takes::Log)? {
        let text = match flag.as_str() {
            "--address" | "--port" => parser.value(&flag)?,
            _ => return Err(parser.unknown(&flag)),
        };
        if flag == "--address" {
            let wrong = || {
                parser.usage(format!(
                    "--address is an IP address, or some separated by commas, not `{text}`"
                ))
            };
            addresses = Some(environment::addresses(&text).ok_or_else(wrong)?);
        } else {
            let wrong =
                |_| parser.usage(format!("--port is a number from 0 to 65535, not `{text}`"));
            port = Some(text.parse().map_err(wrong)?);
        }
    }
    let [] = parser.operands([])?;
    let options = mapper::Options {
        addresses: addresses.map_or_else(environment::epmd_addresses, Ok)?,
        port: port.map_or_else(environment::epmd_port, Ok)?,
    };
    Ok(Command::Epmd(parser.log("info"), options))
}

fn version(mut parser: Parser) -> Result<Command, Failure> {
    let (mut verbose, mut json) = (false, false);
    while let Some(flag) = parser.next(Takes::Log)? {
        match flag.as_str() {
            "--verbose" | "-v" => verbose = true,
            "--json" => json = true,
            _ => return Err(parser.unknown(&flag)),
        }
    }
    let [] = parser.operands([])?;
    Ok(Command::Version(version::Options { verbose, json }))
}

fn dev(mut parser: Parser) -> Result<Command, Failure> {
    let mut nodes = dev::NODES;
    while let Some(flag) = parser.next(Takes::Cookie)? {
        match flag.as_str() {
            "--nodes" => {
                let text = parser.value(&flag)?;
                let count = text
                    .parse()
                    .ok()
                    .filter(|n| (1..=dev::NODES_MAX).contains(n));
                nodes = count.ok_or_else(|| {
                    let max = dev::NODES_MAX;
                    parser.usage(format!("--nodes is a number from 1 to {max}, not `{text}`"))
                })?;
            }
            "--http" => return Err(parser.usage(start::NO_HTTP)),
            _ => return Err(parser.unknown(&flag)),
        }
    }
    let [] = parser.operands([])?;
    let options = dev::Options {
        nodes,
        cookie: parser.cookie.clone(),
        log: parser.log("info"),
    };
    Ok(Command::Dev(parser.log("info"), options))
}

fn start(mut parser: Parser) -> Result<Command, Failure> {
    let mut given = Given::default();
    let mut config = None;
    let mut until_stdin_closes = false;
    while let Some(flag) = parser.next(Takes::Cookie)? {
        match flag.as_str() {
            "--name" => given.name = Some(parser.value(&flag)?),
            "--hidden" => given.hidden = Some(true),
            "--join" => given.join.push(parser.value(&flag)?),
            "--listen" => given.listen = Some(parser.value(&flag)?),
            "--app" => given.app.push(parser.value(&flag)?),
            "--http" => given.http = Some(parser.value(&flag)?),
            "--no-epmd" => given.no_epmd = Some(true),
            "--peer" => given.peer.push(parser.value(&flag)?),
            "--peer-port" => given.peer_port = Some(parser.value(&flag)?),
            "--net-ticktime" => given.net_ticktime = Some(parser.value(&flag)?),
            "--net-tickintensity" => given.net_tickintensity = Some(parser.value(&flag)?),
            "--config" => config = Some(PathBuf::from(parser.value(&flag)?)),
            // Not in the help: `dev` gives it to its children, whose standard input it holds.
            "--until-stdin-closes" => until_stdin_closes = true,
            _ => return Err(parser.unknown(&flag)),
        }
    }
    let [] = parser.operands([])?;
    given.cookie = parser.cookie.clone();
    let mut options = given.over(config.as_deref())?.resolve(&parser)?;
    options.until_stdin_closes = until_stdin_closes;
    Ok(Command::Start(parser.log("info"), options))
}

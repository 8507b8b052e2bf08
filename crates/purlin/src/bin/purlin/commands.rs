//! The commands and what each takes.

use std::ffi::OsString;
use std::path::PathBuf;

use purlin_term::{Atom, NodeName, Term};

use crate::args::{Asking, Parser, Takes};
use crate::failure::Failure;
use crate::help;
use crate::log::Log;
use crate::start;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Command {
    Help(&'static str),
    Start(Log, start::Options),
    Ping(Log, Ping),
    Call(Log, Call),
}

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

/// How the arguments of a command are read.
type Reader = fn(Parser) -> Result<Command, Failure>;

/// Each command with its help.
const COMMANDS: &[(&str, Reader, &str)] = &[
    ("start", start, help::START),
    ("ping", ping, help::PING),
    ("call", call, help::CALL),
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

fn start(mut parser: Parser) -> Result<Command, Failure> {
    let mut given = start::Given::default();
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

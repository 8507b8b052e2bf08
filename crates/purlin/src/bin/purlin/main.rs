//! `purlin`: runs a node, and asks others, from the command line.
//!
//! `commands` turns the command line into a [`Command`](commands::Command), a module for each command
//! carries it out, and what goes wrong comes back here as a [`Failure`]: one line on standard
//! error and the exit status, 2 for wrong usage and 1 for a refusal or failure. Results go to
//! standard output, logs to standard error.

mod args;
mod ask;
mod client;
mod commands;
mod cookie;
mod demo;
mod dev;
mod environment;
mod failure;
mod finding;
mod given;
mod help;
mod json;
mod log;
mod mapper;
mod nodes;
mod output;
mod send;
mod signals;
mod start;
mod version;

use std::process::ExitCode;

use commands::Command;
use failure::Failure;

fn main() -> ExitCode {
    match commands::parse(std::env::args_os().skip(1)).and_then(run) {
        Ok(status) => status,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Help(text) => output::line(text.trim_end()),
        Command::Version(options) => version::run(&options),
        Command::Start(log, options) => {
            log.start()?;
            block_on(start::run(options))?;
        }
        Command::Dev(log, options) => {
            log.start()?;
            block_on(dev::run(options))?;
        }
        Command::Epmd(log, options) => {
            log.start()?;
            block_on(mapper::run(options))?;
        }
        Command::Ping(log, options) => {
            log.start()?;
            return block_on(ask::ping(options));
        }
        Command::Call(log, options) => {
            log.start()?;
            return block_on(ask::call(options));
        }
        Command::Send(log, options) => {
            log.start()?;
            return block_on(send::run(options));
        }
        Command::Nodes(log, options) => {
            log.start()?;
            return block_on(nodes::run(options));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a command on a runtime of its own. Tasks that are left when it is done are dropped.
fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start the runtime: {error}")))?;
    let result = runtime.block_on(command);
    runtime.shutdown_background();
    result
}

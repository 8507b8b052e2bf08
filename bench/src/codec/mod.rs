//! The codec bench: decode to an owned term, encode from one, by several systems in turn.
//!
//! ```text
//! codec [--json FILE] [--rounds N] [--sample-ms N] [--only TEXT] [--instructions] [--write-cases FOLDER]
//! ```
//!
//! Every system is an OS process of its own that is told `decode 3 1000` and answers how many
//! nanoseconds the loop took, so heaps are apart and the systems take turns row by row, round by
//! round. The Rust ones are this program again (`--worker NAME`), the BEAM ones compiled code in
//! `erl/codec_bench.erl`. `PURLIN_OTP25` and `PURLIN_OTP28` name their `erl`.
//!
//! A system's turn is five samples of a few milliseconds, of which the fastest counts: long enough
//! for many collections of garbage, short enough that on a busy machine some are not interrupted.
//!
//! What an operation is, for all: *decode* makes a value that owns everything from bytes in
//! memory and gives it up again (Rust drops it, the BEAM collects it as garbage as its heap fills);
//! *encode* makes a fresh buffer from a value and gives that up. *walk* is Purlin's alone: the
//! check a connection's reader makes, listed beside and no victory.
//!
//! `--instructions` counts instead of timing: instructions of one operation of the Rust systems,
//! by valgrind's callgrind. `--write-cases` only writes the terms as files, to look at one of them
//! with `codec --worker purlin FOLDER decode NUMBER COUNT` under a profiler.

mod cases;
mod report;
mod rounds;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

/// What the command line asks for.
struct Options {
    json: Option<PathBuf>,
    rounds: usize,
    sample_ms: u64,
    only: Option<String>,
    instructions: bool,
    write_cases: Option<PathBuf>,
}

type Failure = Box<dyn std::error::Error>;

/// Runs the bench, or one worker of it.
pub fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.first().map(String::as_str) {
        Some("--worker") => worker::serve(&args[1..]),
        _ => Options::parse(&args).and_then(|options| rounds::run(&options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("codec: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Options {
    fn parse(args: &[String]) -> Result<Self, Failure> {
        let mut options = Self {
            json: None,
            rounds: 5,
            sample_ms: 4,
            only: None,
            instructions: false,
            write_cases: None,
        };
        let mut args = args.iter();
        while let Some(flag) = args.next() {
            let mut value = || args.next().ok_or(format!("{flag} wants a value"));
            match flag.as_str() {
                "--json" => options.json = Some(value()?.into()),
                "--rounds" => options.rounds = value()?.parse()?,
                "--sample-ms" => options.sample_ms = value()?.parse()?,
                "--only" => options.only = Some(value()?.clone()),
                "--write-cases" => options.write_cases = Some(value()?.into()),
                "--instructions" => options.instructions = true,
                other => return Err(format!("unknown argument {other}").into()),
            }
        }
        if options.rounds == 0 {
            return Err("--rounds wants at least 1".into());
        }
        Ok(options)
    }
}

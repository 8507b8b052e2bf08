//! The remote bench: messages, calls and spawning between two OS processes over loopback, by
//! several systems in turn.
//!
//! ```text
//! remote [--json FILE] [--rounds N] [--only TEXT] [--quick]
//! ```
//!
//! `loads.rs` says what is done, `systems/` how each system does it. `--only` keeps the loads whose
//! name or title, and the systems whose name has the text in it (commas between several texts).
//! `--quick` has a tenth of everything, to see that it runs: its figures are no result.
//!
//! A run is two OS processes: a *server*, which says `ready` and where it is, and a *client*, which
//! does one load with it once and answers. Systems take turns round by round, since absolute figures
//! drift; so a figure counts only as a ratio to another of the same run, and a difference under 20 %
//! is noise. Erlang's and Purlin's nodes find each other through a port mapper of this program's own.
//!
//! - I1. A run that has not ended after `LIMIT` is ended and reported.
//! - I2. A system that has used its `BUDGET` at a load sits out the remaining rounds of it, and the
//!   table says how many it had. At least one is always done.
//! - I3. What a system does otherwise than the load says is in a note beside its figure.
//! - I4. No process outlives this program: each is ended when its run is, however that ends, and
//!   servers and spinners end by themselves when their standard input closes, clients when their
//!   server is gone.
//!
//! `remote --worker serve SYSTEM MAPPER_PORT` and `remote --worker drive SYSTEM MAPPER_PORT ADDRESS
//! LOAD SIZE OPERATIONS` are the two halves of a run, to look at under a profiler.

mod loads;
mod pair;
mod report;
mod rounds;
mod spinners;
mod systems;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::turns::{Failure, Only};
use loads::Load;
use rounds::Bench;
use systems::System;

/// After so long a run is ended. The slowest take 6 seconds on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);

/// What a system may use at a load. So chosen that a whole run stays under ten minutes.
const BUDGET: Duration = Duration::from_secs(8);

/// What the command line asks for.
struct Options {
    json: Option<PathBuf>,
    rounds: usize,
    only: Only,
    quick: bool,
}

/// Runs the bench, or one half of one run of it.
pub fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.split_first() {
        Some((first, job)) if first == "--worker" => worker::work(job),
        _ => Options::parse(&args).and_then(|options| run(&options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("remote: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Shows and writes after each load what is known by then: a whole run is long.
fn run(options: &Options) -> Result<(), Failure> {
    options.check_names()?;
    let bench = Bench::prepare(options)?;
    let mut rows = Vec::new();
    for load in options.only.chosen(loads::ALL, Load::described) {
        let of_load = bench.rows(load);
        print!("{}", report::table(&of_load));
        rows.extend(of_load);
        if let Some(file) = &options.json {
            std::fs::write(file, report::json(&rows))?;
        }
    }
    print!("{}", report::LEGEND);
    Ok(())
}

impl Options {
    fn parse(args: &[String]) -> Result<Self, Failure> {
        let mut options = Self {
            json: None,
            rounds: 5,
            only: Only::default(),
            quick: false,
        };
        let mut args = args.iter();
        while let Some(flag) = args.next() {
            let mut value = || args.next().ok_or(format!("{flag} wants a value"));
            match flag.as_str() {
                "--json" => options.json = Some(value()?.into()),
                "--rounds" => options.rounds = value()?.parse()?,
                "--only" => options.only = Only::parse(value()?),
                "--quick" => options.quick = true,
                other => return Err(format!("unknown argument {other}").into()),
            }
        }
        if options.rounds == 0 {
            return Err("--rounds wants at least 1".into());
        }
        Ok(options)
    }

    /// Every text of `--only` names something.
    fn check_names(&self) -> Result<(), Failure> {
        let loads = loads::ALL.iter().map(Load::described);
        let systems = systems::ALL.iter().map(System::described);
        self.only.check(loads.chain(systems))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_make_no_sense_are_refused() {
        let parsed = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(ToString::to_string).collect();
            Options::parse(&args)
        };
        assert!(parsed(&["--rounds", "0"]).is_err());
        assert!(parsed(&["--json"]).is_err());
        assert!(parsed(&["--fast"]).is_err());
        assert!(parsed(&["--quick", "--rounds", "1", "--only", "R1"]).is_ok());
    }
}

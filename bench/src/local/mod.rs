//! The local bench: messages, spawning, memory, monitors and links within one OS process, by
//! several systems in turn.
//!
//! ```text
//! local [--json FILE] [--plot FILE.svg] [--rounds N] [--only TEXT] [--quick] [--no-growth]
//! ```
//!
//! `loads.rs` says what is done, `systems/` how each system does it. `--only` keeps the loads whose
//! name or title, and the systems whose name has the text in it (commas between several texts).
//! `--quick` has a tenth of everything, to see that it runs: its figures are no result.
//!
//! Each run of a system at a size is an OS process of its own, which does one load once and
//! answers one number, so heaps are fresh. Systems take turns round by round, since absolute
//! figures drift; so a figure counts only as a ratio to another of the same run, and a difference
//! under 20 % is noise.
//!
//! - I1. A run that has not ended after `LIMIT` is ended and reported, and larger sizes of that
//!   load are not tried with that system.
//! - I2. A system that has used its `GOAL_BUDGET` (or `GROWTH_BUDGET`) at a size sits out the
//!   remaining rounds of it, and the table says how many it had. At least one is always done.
//! - I3. What a system does otherwise than the load says is in a note beside its figure.
//!
//! `local --worker SYSTEM LOAD SIZE OPERATIONS` is one run, to look at under a profiler.

mod loads;
mod measure;
mod plot;
mod report;
mod rounds;
mod systems;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::turns::{Failure, Only};
use loads::Load;
use rounds::{Bench, Row};
use systems::System;

/// After so long a run is ended. The slowest, a million linked actors, take 30 seconds on a busy
/// machine.
const LIMIT: Duration = Duration::from_secs(120);

/// What a system may use at the size that the goals are about, and at each other size; and rounds
/// at the latter. So chosen that a whole run stays near ten minutes.
const GOAL_BUDGET: Duration = Duration::from_secs(10);
const GROWTH_BUDGET: Duration = Duration::from_secs(2);
const GROWTH_ROUNDS: usize = 3;

/// What the command line asks for.
struct Options {
    json: Option<PathBuf>,
    plot: Option<PathBuf>,
    rounds: usize,
    only: Only,
    quick: bool,
    growth: bool,
}

/// Runs the bench, or one worker of it.
pub fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.split_first() {
        Some((first, job)) if first == "--worker" => worker::answer(job),
        _ => Options::parse(&args).and_then(|options| run(&options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("local: {error}");
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
        save(options, &rows)?;
    }
    print!("{}", report::LEGEND);
    Ok(())
}

fn save(options: &Options, rows: &[Row]) -> Result<(), Failure> {
    if let Some(file) = &options.json {
        std::fs::write(file, report::json(rows))?;
    }
    if let Some(file) = &options.plot {
        std::fs::write(file, plot::svg(rows))?;
    }
    Ok(())
}

impl Options {
    fn parse(args: &[String]) -> Result<Self, Failure> {
        let mut options = Self {
            json: None,
            plot: None,
            rounds: 5,
            only: Only::default(),
            quick: false,
            growth: true,
        };
        let mut args = args.iter();
        while let Some(flag) = args.next() {
            let mut value = || args.next().ok_or(format!("{flag} wants a value"));
            match flag.as_str() {
                "--json" => options.json = Some(value()?.into()),
                "--plot" => options.plot = Some(value()?.into()),
                "--rounds" => options.rounds = value()?.parse()?,
                "--only" => options.only = Only::parse(value()?),
                "--quick" => options.quick = true,
                "--no-growth" => options.growth = false,
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

    fn parsed(args: &[&str]) -> Result<Options, Failure> {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        Options::parse(&args)
    }

    #[test]
    fn arguments_that_make_no_sense_are_refused() {
        assert!(parsed(&["--rounds", "0"]).is_err());
        assert!(parsed(&["--json"]).is_err());
        assert!(parsed(&["--fast"]).is_err());
    }
}

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

type Failure = Box<dyn std::error::Error>;

/// What the command line asks for.
struct Options {
    json: Option<PathBuf>,
    plot: Option<PathBuf>,
    rounds: usize,
    only: Vec<String>,
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
    for load in options.chosen(loads::ALL, Load::described) {
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
            only: Vec::new(),
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
                "--only" => options.only = split(value()?),
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
        let names: Vec<String> = loads.chain(systems).collect();
        let unknown = |text: &&String| !names.iter().any(|name| name.contains(text.as_str()));
        match self.only.iter().find(unknown) {
            Some(text) => Err(format!("no load and no system is named {text:?}").into()),
            None => Ok(()),
        }
    }

    /// Those of `all` that a text of `--only` names; all of them where none names any, so that
    /// texts may name loads alone, or systems alone.
    fn chosen<T>(&self, all: &'static [T], names: impl Fn(&T) -> String) -> Vec<&'static T> {
        let named = |item: &&T| self.only.iter().any(|text| names(item).contains(text));
        let chosen: Vec<_> = all.iter().filter(named).collect();
        match chosen.is_empty() {
            true => all.iter().collect(),
            false => chosen,
        }
    }
}

fn split(texts: &str) -> Vec<String> {
    texts
        .split(',')
        .map(|text| text.trim().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Options, Failure> {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        Options::parse(&args)
    }

    #[test]
    fn only_keeps_what_it_names_of_each_kind() {
        const LETTERS: [&str; 3] = ["a", "b", "c"];
        let options = parsed(&["--only", "a, c"]).expect("a valid line");
        let name = |letter: &&str| letter.to_string();
        assert_eq!(options.chosen(&LETTERS, name), [&"a", &"c"]);
        let options = parsed(&["--only", "other"]).expect("a valid line");
        assert_eq!(options.chosen(&LETTERS, name).len(), 3);
    }

    #[test]
    fn arguments_that_make_no_sense_are_refused() {
        assert!(parsed(&["--rounds", "0"]).is_err());
        assert!(parsed(&["--json"]).is_err());
        assert!(parsed(&["--fast"]).is_err());
    }
}

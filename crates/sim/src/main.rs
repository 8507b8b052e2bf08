//! Runs seeds of the scenario: `cargo xtask sim`.

use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lexopt::prelude::*;
use purlin_sim::{Options, Outcome, run_seed};

const HELP: &str = "\
cargo xtask sim [OPTIONS]

  --seeds N      run N seeds (100)
  --first SEED   from this one on (0)
  --nodes N      in clusters of N nodes (three to seven, as the seed chooses)
  --json FILE    also write the figures to FILE
  --replay SEED  run one seed and print all that happens
  --hash SEED    run one seed and print the hash over all that happens
";

enum Task {
    Seeds { first: u64, count: u64 },
    Replay(u64),
    Hash(u64),
}

struct Arguments {
    task: Task,
    nodes: Option<usize>,
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let nodes = arguments.nodes;
    match arguments.task {
        Task::Seeds { first, count } => run(first..first + count, nodes, arguments.json),
        Task::Replay(seed) => replay(seed, nodes),
        Task::Hash(seed) => {
            let outcome = run_seed(seed, Options::default().nodes(nodes));
            println!("{:016x}", outcome.hash);
            ExitCode::SUCCESS
        }
    }
}

fn arguments() -> Result<Option<Arguments>, lexopt::Error> {
    let (mut first, mut count, mut nodes, mut one, mut json) = (0, 100, None, None, None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seeds") => count = parser.value()?.parse()?,
            Long("first") => first = parser.value()?.parse()?,
            Long("nodes") => nodes = Some(at_least_two(parser.value()?.parse()?)?),
            Long("json") => json = Some(parser.value()?.into()),
            Long("replay") => one = Some(Task::Replay(parser.value()?.parse()?)),
            Long("hash") => one = Some(Task::Hash(parser.value()?.parse()?)),
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    let task = one.unwrap_or(Task::Seeds { first, count });
    Ok(Some(Arguments { task, nodes, json }))
}

/// One node alone has nobody to lose.
fn at_least_two(nodes: usize) -> Result<usize, lexopt::Error> {
    match nodes {
        0 | 1 => Err("--nodes: a cluster has at least two".into()),
        _ => Ok(nodes),
    }
}

fn run(seeds: Range<u64>, nodes: Option<usize>, json: Option<PathBuf>) -> ExitCode {
    let (start, count) = (Instant::now(), seeds.end - seeds.start);
    let (mut failed, mut virtual_time) = (0_u64, Duration::ZERO);
    for seed in seeds {
        let outcome = run_seed(seed, Options::default().nodes(nodes));
        virtual_time += outcome.virtual_time;
        if !outcome.failures.is_empty() {
            failed += 1;
            report(&outcome);
        }
    }
    let (wall, virtual_seconds) = (start.elapsed().as_secs_f64(), virtual_time.as_secs_f64());
    println!(
        "{count} seeds, {failed} failed, {virtual_seconds:.0} virtual seconds in {wall:.1} seconds"
    );
    let figures = format!(
        "{{\"seeds\": {count}, \"nodes\": {}, \"failures\": {failed}, \"virtual_seconds\": {virtual_seconds:.3}, \
         \"wall_seconds\": {wall:.3}}}\n",
        nodes.map_or("null".to_owned(), |nodes| nodes.to_string()),
    );
    if let Some(path) = json
        && let Err(error) = std::fs::write(&path, figures)
    {
        eprintln!("cannot write {}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    code(failed == 0)
}

fn replay(seed: u64, nodes: Option<usize>) -> ExitCode {
    let options = Options::default().nodes(nodes);
    let options = options.trace(Box::new(|line| println!("{line}")));
    let outcome = run_seed(seed, options);
    println!(
        "seed {seed}: hash {:016x}, {} events, {:.3} virtual seconds",
        outcome.hash,
        outcome.events,
        outcome.virtual_time.as_secs_f64()
    );
    report(&outcome);
    code(outcome.failures.is_empty())
}

fn report(outcome: &Outcome) {
    for failure in &outcome.failures {
        println!("seed {}: {failure}", outcome.seed);
    }
    if !outcome.failures.is_empty() {
        println!("replay it: {}", outcome.replay());
    }
}

fn code(is_good: bool) -> ExitCode {
    match is_good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

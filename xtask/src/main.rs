//! `cargo xtask`: every development command of Purlin.
//!
//! `test` is the one that matters: it provisions the machine, then runs every check that a change
//! must pass. The other commands are its parts, to run one at a time. Nothing here is needed to
//! build or use Purlin.
//!
//! - [`mod@test`] is the list of steps; [`steps`] times them and prints the table.
//! - [`provision`] installs what the tests need; [`fuzz`] builds and runs the fuzz targets.
//! - [`sim`] runs the simulator, [`soak`] the long runs.
//! - [`api`] writes down the public API and compares it.
//! - [`edges`], [`licences`], [`purity`] and [`status`] are checks that cargo does not have.
//! - [`test_output`] reads what `cargo test` prints, so that [`status`] knows what ran.
//! - [`workspace`] knows paths and `cargo metadata`; [`exec`] runs other programs.

mod api;
mod bench;
mod edges;
mod exec;
mod fuzz;
mod licences;
mod provision;
mod purity;
mod sim;
mod soak;
mod status;
mod steps;
mod test;
mod test_output;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};
use lexopt::prelude::*;

use crate::workspace::Workspace;

const HELP: &str = "\
cargo xtask COMMAND

  test [--fast]      everything a change must pass; --fast leaves out OTP and fuzzing
  provision          only the first step of `test`: OTP 25 and 28, Elixir and other tools
  rules              crate edges, purity, licences, sources and banned crates
  purity             only purity; with --self-test, shows that the lints catch planted code
  api                writes the public API into docs/api; with --check, compares it
  status             docs/status.toml, without running the tests it names
  fuzz [TARGET]      all fuzz targets, or one
       --seconds N   for this long, divided over the targets (300)
       --json FILE   also write the figures to FILE
       --replay FILE run TARGET once, on this input
  sim [--seeds N]    seeds of the simulator (100); `sim --help` has more
       --replay SEED run one seed and print all that happens
       --json FILE   also write the figures to FILE
  soak runtime       ten minutes of random processes, with exact accounting
       --seconds N   for this long (600); --processes N, --seed N
  bench NAME [ARGS]  a benchmark of bench/, with OTP 25 and 28 provisioned
";

fn main() -> ExitCode {
    match api::as_rustdoc().unwrap_or_else(dispatch) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch() -> Result<()> {
    let mut args = lexopt::Parser::from_env();
    let command = match args.next()? {
        Some(Value(command)) => command.string()?,
        Some(Short('h') | Long("help")) | None => {
            print!("{HELP}");
            return Ok(());
        }
        Some(other) => return Err(other.unexpected().into()),
    };
    match command.as_str() {
        "test" => test::run(&Workspace::load()?, flag(&mut args, "fast")?),
        "provision" => no_more(&mut args).and_then(|()| {
            let otp = provision::all(&Workspace::load()?)?;
            println!(
                "OTP 25: {}\nOTP 28: {}",
                otp.otp25.display(),
                otp.otp28.display()
            );
            Ok(())
        }),
        "rules" => no_more(&mut args).and_then(|()| test::rules(&Workspace::load()?)),
        "purity" => match flag(&mut args, "self-test")? {
            true => purity::self_test(&Workspace::load()?),
            false => purity::check(&Workspace::load()?),
        },
        "api" => match flag(&mut args, "check")? {
            true => api::check(&Workspace::load()?),
            false => api::write(&Workspace::load()?),
        },
        "status" => no_more(&mut args).and_then(|()| status::check_unrun(&Workspace::load()?)),
        "fuzz" => fuzz::run(&Workspace::load()?, &fuzz::Options::parse(&mut args)?),
        "sim" => sim::run(&Workspace::load()?, &mut args),
        "soak" => soak::run(&Workspace::load()?, &mut args),
        "bench" => bench::run(&Workspace::load()?, &mut args),
        other => bail!("there is no command `{other}`; `cargo xtask --help` lists them"),
    }
}

/// True when `--name` is given; anything else is an error.
fn flag(args: &mut lexopt::Parser, name: &str) -> Result<bool> {
    let mut given = false;
    while let Some(arg) = args.next()? {
        match arg {
            Long(long) if long == name => given = true,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(given)
}

fn no_more(args: &mut lexopt::Parser) -> Result<()> {
    match args.next()? {
        None => Ok(()),
        Some(other) => Err(other.unexpected().into()),
    }
}

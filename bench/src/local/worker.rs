//! One run: a worker that does one job and answers, and the command and the wait of whoever asked.
//!
//! A worker writes one line: nanoseconds (bytes for memory), or `cannot` and why. It ends without
//! clearing up, which with a million processes would take longer than the load.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::loads::{Job, Kind};
use super::systems::{self, Runs, System};
use crate::turns::{Failure, Lost, erl, last_line_of};

/// A word before the reason why a system does not do a load.
const CANNOT: &str = "cannot";

/// `--worker SYSTEM LOAD SIZE OPERATIONS`.
pub(super) fn answer(args: &[String]) -> Result<(), Failure> {
    let [system, kind, size, operations] = args else {
        return Err("--worker wants a system, a load, a size and a number of operations".into());
    };
    let job = Job {
        kind: Kind::named(kind).ok_or("no such load")?,
        size: size.parse()?,
        operations: operations.parse()?,
    };
    let system = systems::ALL.iter().find(|known| known.name == system);
    let Runs::Here(perform) = system.ok_or("no such system")?.runs else {
        return Err("that system is another program".into());
    };
    match perform(job) {
        Ok(number) => println!("{number}"),
        Err(reason) => println!("{CANNOT} {reason}"),
    }
    std::process::exit(0)
}

/// How workers are started.
pub(super) struct Workers {
    this: PathBuf,
    /// The folder with the compiled Erlang module.
    folder: PathBuf,
}

impl Workers {
    /// OTP 25's compiler makes the module for both: the wheel that brings OTP 28 has none.
    pub(super) fn prepare() -> Result<Self, Failure> {
        let folder =
            std::env::temp_dir().join(format!("purlin-local-bench-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let source = folder.join("local_bench.erl");
        fs::write(&source, include_str!("../../erl/local_bench.erl"))?;
        let workers = Self {
            this: std::env::current_exe()?,
            folder,
        };
        workers.compile(&source)?;
        Ok(workers)
    }

    fn compile(&self, source: &Path) -> Result<(), Failure> {
        let erl = erl("PURLIN_OTP25").unwrap_or_else(|| "erl".into());
        let folder = &self.folder;
        let compile = format!(
            "case compile:file({source:?}, [{{outdir, {folder:?}}}]) of {{ok, _}} -> halt(0); _ -> halt(1) end."
        );
        let compiled = Command::new(&erl)
            .args(["-noshell", "-eval", &compile])
            .status();
        match compiled.is_ok_and(|status| status.success()) {
            true => Ok(()),
            false => Err(format!("{} cannot compile: install erlang-base", erl.display()).into()),
        }
    }

    /// One run of a system, ended at the limit.
    pub(super) fn ask(&self, system: &System, job: Job, limit: Duration) -> Result<u64, Lost> {
        let mut command = match system.runs {
            Runs::Here(_) => self.here(system.name),
            Runs::Erl { variable, default } => self.beam(variable, default)?,
        };
        command.args([
            job.kind.name(),
            &job.size.to_string(),
            &job.operations.to_string(),
        ]);
        let line = last_line_of(&mut command, limit)?;
        match line.strip_prefix(CANNOT) {
            Some(reason) => Err(Lost::Cannot(reason.trim().to_owned())),
            None => line
                .parse()
                .map_err(|_| Lost::Failed(format!("it answered {line:?}"))),
        }
    }

    fn here(&self, system: &str) -> Command {
        let mut command = Command::new(&self.this);
        command.args(["--worker", system]);
        command
    }

    /// Two schedulers, as the others have two threads, and room for four million processes.
    fn beam(&self, variable: &str, default: Option<&str>) -> Result<Command, Lost> {
        let erl = erl(variable)
            .or(default.map(OsString::from))
            .ok_or_else(|| Lost::Cannot(format!("{variable} names no erl")))?;
        let mut command = Command::new(erl);
        command.args(["+P", "4000000", "+S", "2:2", "-noinput", "-noshell", "-pa"]);
        command.arg(&self.folder);
        command.args(["-run", "local_bench", "main", "-extra"]);
        Ok(command)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

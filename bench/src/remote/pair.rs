//! One run: a server and a client, started and ended.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use purlin_node::{TokioHost, epmd};

use super::loads::Job;
use super::systems::{Half, System};
use super::worker::READY;
use crate::turns::{Failure, Lost, erl, first_line, last_line_of};

/// How long a server may take until it is ready.
const START_LIMIT: Duration = Duration::from_secs(20);

/// What all nodes of the bench know, and nobody else need.
pub(super) const COOKIE: &str = "remote_bench";

/// How pairs are started.
pub(super) struct Pairs {
    this: PathBuf,
    /// The folder with the compiled Erlang module.
    folder: PathBuf,
    mapper: epmd::ServingMapper,
    /// Names of Erlang nodes have a number, so that no run meets what is left of the one before.
    nodes: AtomicU32,
    /// Serves the port mapper.
    _runtime: tokio::runtime::Runtime,
}

impl Pairs {
    /// OTP 25's compiler makes the module for both: the wheel that brings OTP 28 has none.
    pub(super) fn prepare() -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let address = "127.0.0.1:0".parse().expect("an address");
        let mapper = runtime
            .block_on(async { epmd::serve(Arc::new(TokioHost::current()), address).await })?;
        let folder =
            std::env::temp_dir().join(format!("purlin-remote-bench-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let pairs = Self {
            this: std::env::current_exe()?,
            folder,
            mapper,
            nodes: AtomicU32::new(0),
            _runtime: runtime,
        };
        pairs.compile()?;
        Ok(pairs)
    }

    fn compile(&self) -> Result<(), Failure> {
        let source = self.folder.join("remote_bench.erl");
        fs::write(&source, include_str!("../../erl/remote_bench.erl"))?;
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

    /// One run of a system, ended at the limit. The server ends with it.
    pub(super) fn ask(&self, system: &System, job: Job, limit: Duration) -> Result<Vec<u64>, Lost> {
        let mut serve = self.command(system.server, system, "serve")?;
        let server = Server::start(&mut serve)?;
        let mut drive = self.command(system.client, system, "drive")?;
        drive.args([
            &server.address,
            job.kind.name(),
            &job.size.to_string(),
            &job.operations.to_string(),
        ]);
        let line = last_line_of(&mut drive, limit)?;
        let numbers: Result<_, _> = line.split(' ').map(str::parse).collect();
        numbers.map_err(|_| Lost::Failed(format!("it answered {line:?}")))
    }

    /// The command for one half, but for the arguments of the load.
    fn command(&self, half: Half, system: &System, verb: &str) -> Result<Command, Lost> {
        let port = self.mapper.address().port().to_string();
        let mut command = match half {
            Half::Here(_) => {
                let mut command = Command::new(&self.this);
                command.args(["--worker", verb, system.name, &port]);
                return Ok(command);
            }
            Half::Beside(program) => {
                let program = self.this.with_file_name(program);
                if !program.exists() {
                    return Err(Lost::Cannot(format!("{} was not built", program.display())));
                }
                Command::new(program)
            }
            Half::Erl { variable, default } => self.beam(variable, default, verb)?,
        };
        command.env("ERL_EPMD_PORT", &port).arg(verb);
        Ok(command)
    }

    /// Two schedulers, as the others have two threads.
    fn beam(&self, variable: &str, default: Option<&str>, verb: &str) -> Result<Command, Lost> {
        let erl = erl(variable)
            .or(default.map(OsString::from))
            .ok_or_else(|| Lost::Cannot(format!("{variable} names no erl")))?;
        let mut command = Command::new(erl);
        command.args(["+S", "2:2", "-noshell", "-start_epmd", "false"]);
        let number = self.nodes.fetch_add(1, Ordering::Relaxed);
        let name = format!("{verb}{number}@127.0.0.1");
        command.args(["-name", &name, "-setcookie", COOKIE]);
        command.args(["-kernel", "inet_dist_use_interface", "{127,0,0,1}"]);
        command.arg("-pa").arg(&self.folder);
        command.args(["-run", "remote_bench", "main", "-extra"]);
        Ok(command)
    }
}

impl Drop for Pairs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A server that runs until this is dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(command: &mut Command) -> Result<Self, Lost> {
        let failed = |error: std::io::Error| Lost::Failed(error.to_string());
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut server = Self {
            child: child.map_err(failed)?,
            address: String::new(),
        };
        let line = first_line(&mut server.child, START_LIMIT)?;
        match line.strip_prefix(READY) {
            Some(address) => server.address = address.to_owned(),
            None => return Err(Lost::Failed(format!("the server said {line:?}"))),
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

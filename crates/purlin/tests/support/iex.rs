//! Elixir's shell, as a user has it.

use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Receiver;

use super::{PATIENCE, lines};

/// An `iex` that runs; it is killed when this is dropped.
pub struct Iex {
    child: Child,
    input: ChildStdin,
    out: Receiver<String>,
}

impl Iex {
    /// Starts one that finds its cookie at home, and the port mapper where it is.
    pub fn start(name: &str, home: &Path, mapper: u16) -> Self {
        let mut command = Command::new("iex");
        command
            .args(["--name", name])
            .env("HOME", home)
            .env("ERL_EPMD_PORT", mapper.to_string())
            .env("ERL_CRASH_DUMP_SECONDS", "0")
            // Else it warns of the encoding of file names.
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .expect("Elixir is there: `cargo xtask test` installs it");
        Self {
            input: child.stdin.take().expect("piped"),
            out: lines(child.stdout.take().expect("piped")),
            child,
        }
    }

    /// Types a line, and answers the first that is printed then.
    #[track_caller]
    pub fn eval(&mut self, code: &str) -> String {
        writeln!(self.input, "{code}").expect("it reads");
        loop {
            let line = self.out.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|error| panic!("no answer to `{code}`: {error}"));
            // The answer stands behind the prompt, since what was typed is not echoed.
            if let Some((_, answer)) = line.strip_prefix("iex(").and_then(|it| it.split_once("> "))
            {
                return answer.trim_end().to_owned();
            }
        }
    }
}

impl Drop for Iex {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

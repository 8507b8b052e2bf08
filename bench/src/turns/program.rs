//! Programs that answer a line on standard output, within a limit.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Why a run has no number.
#[derive(Clone)]
pub(crate) enum Lost {
    /// It will not have one in other rounds either.
    Cannot(String),
    /// It was ended at its limit.
    TooLong(Duration),
    Failed(String),
}

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cannot(reason) => f.write_str(reason),
            Self::TooLong(limit) => write!(f, "was ended after {} s", limit.as_secs()),
            Self::Failed(reason) => write!(f, "failed: {reason}"),
        }
    }
}

/// The `erl` that this variable of the environment names.
pub(crate) fn erl(variable: &str) -> Option<OsString> {
    std::env::var_os(variable).filter(|erl| !erl.is_empty())
}

/// The last line on standard output of a program that ends well before the limit.
pub(crate) fn last_line_of(command: &mut Command, limit: Duration) -> Result<String, Lost> {
    let failed = |error: std::io::Error| Lost::Failed(error.to_string());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let line = read_until(&mut child, limit);
    if line.is_err() {
        child.kill().map_err(failed)?;
    }
    let status = child.wait().map_err(failed)?;
    match line? {
        line if status.success() && !line.is_empty() => Ok(line),
        _ => Err(Lost::Failed(format!("it ended with {status}"))),
    }
}

fn read_until(child: &mut Child, limit: Duration) -> Result<String, Lost> {
    read(child, limit, |lines| lines.map_while(Result::ok).last())
}

/// The first line on standard output of a program that goes on; empty if it ended without one.
pub(crate) fn first_line(child: &mut Child, limit: Duration) -> Result<String, Lost> {
    read(child, limit, |mut lines| lines.next()?.ok())
}

/// Waits on another thread, for a pipe has no reading with a limit.
fn read(
    child: &mut Child,
    limit: Duration,
    choose: fn(Lines<BufReader<ChildStdout>>) -> Option<String>,
) -> Result<String, Lost> {
    let output = child.stdout.take().expect("it is piped");
    let (sender, line) = channel();
    std::thread::spawn(move || {
        let lines = BufReader::new(output).lines();
        let _ = sender.send(choose(lines).unwrap_or_default());
    });
    match line.recv_timeout(limit) {
        Ok(line) => Ok(line),
        Err(RecvTimeoutError::Timeout) => Err(Lost::TooLong(limit)),
        Err(RecvTimeoutError::Disconnected) => Err(Lost::Failed("its reader ended".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Result<String, String> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        last_line_of(&mut command, limit).map_err(|lost| lost.to_string())
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn the_last_line_is_the_answer() {
        assert_eq!(sh("echo noise; echo 17", LONG), Ok("17".to_owned()));
    }

    #[test]
    fn a_worker_past_its_limit_is_ended() {
        let answer = sh("exec sleep 30", Duration::from_millis(50));
        assert_eq!(answer, Err("was ended after 0 s".to_owned()));
    }

    #[test]
    fn a_worker_that_fails_has_no_answer() {
        assert!(sh("echo 17; exit 3", LONG).is_err_and(|lost| lost.contains("3")));
        assert!(sh("exit 0", LONG).is_err());
    }
}

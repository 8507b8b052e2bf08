//! Running other programs: with their output shown, captured, or both.

use std::io::{BufRead, BufReader, pipe};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Runs to the end, output shown; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| describe(command))?;
    if !status.success() {
        bail!("`{}` failed ({status})", describe(command));
    }
    Ok(())
}

/// Runs to the end and returns stdout; anything but success is an error that carries stderr.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| describe(command))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` failed ({}): {}",
            describe(command),
            output.status,
            stderr.trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs to the end and returns stdout, with stderr shown; anything but success is an error.
pub(crate) fn stdout(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| describe(command))?;
    ensure!(
        output.status.success(),
        "`{}` failed ({})",
        describe(command),
        output.status
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// True when the program can be started and succeeds; nothing is shown.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Runs with stdout and stderr in one stream, whose lines go to `on_line` in the order written.
///
/// After `limit` the program is killed and that is an error. A grandchild that keeps the stream
/// open does not keep us waiting then.
pub(crate) fn lines(
    command: &mut Command,
    limit: Duration,
    mut on_line: impl FnMut(&str),
) -> Result<ExitStatus> {
    let (reader, writer) = pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let described = describe(command);
    let mut child = command.spawn().with_context(|| described.clone())?;
    // The command owns our copies of the writing end: without this the stream never ends.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let mut stream = BufReader::new(reader);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            let text = String::from_utf8_lossy(&line)
                .trim_end_matches(['\r', '\n'])
                .to_owned();
            if sender.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });

    let deadline = Instant::now() + limit;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => on_line(&line),
            Err(RecvTimeoutError::Disconnected) => return Ok(child.wait()?),
            Err(RecvTimeoutError::Timeout) => {
                child.kill()?;
                child.wait()?;
                bail!(
                    "`{described}` was ended: it took more than {} seconds",
                    limit.as_secs()
                );
            }
        }
    }
}

/// The command line, short enough to read in an error.
pub(crate) fn describe(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let args = command
        .get_args()
        .map(|arg| arg.to_string_lossy().into_owned());
    std::iter::once(name.to_string_lossy().into_owned())
        .chain(args)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn lines_of_both_streams_keep_their_order() {
        let mut seen = Vec::new();
        let script = "echo one; echo two >&2; echo three; exit 3";
        let status = lines(&mut sh(script), Duration::from_secs(20), |l| {
            seen.push(l.to_owned())
        });
        assert_eq!(status.unwrap().code(), Some(3));
        assert_eq!(seen, ["one", "two", "three"]);
    }

    #[test]
    fn a_program_past_its_limit_is_an_error() {
        let error = lines(&mut sh("exec sleep 30"), Duration::from_millis(50), |_| {});
        assert!(error.unwrap_err().to_string().contains("was ended"));
    }
}

//! The binary under test, each test with a port mapper, a cookie and a home of its own.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "not every test file uses every part, and each is a crate of its own"
)]

pub mod iex;
pub mod readme;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long anything may take before the test fails. Generous: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// `purlin` with nothing of the caller's environment that it reads.
pub fn purlin(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_purlin"));
    for variable in [
        "PURLIN_COOKIE",
        "PURLIN_LOG",
        "ERL_EPMD_PORT",
        "ERL_EPMD_ADDRESS",
    ] {
        command.env_remove(variable);
    }
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What a command printed, and its exit status.
#[derive(Debug, PartialEq, Eq)]
pub struct Done {
    pub out: String,
    pub err: String,
    pub status: Option<i32>,
}

/// Runs a command to its end.
#[track_caller]
pub fn finish(command: &mut Command) -> Done {
    Running::spawn(command).finish()
}

/// A command that runs; it is killed when this is dropped.
pub struct Running {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Running {
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the binary was built for this test");
        let out = lines(child.stdout.take().expect("piped"));
        let err = lines(child.stderr.take().expect("piped"));
        Self { child, out, err }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of standard output.
    #[track_caller]
    pub fn line(&self) -> String {
        match self.out.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(error) => {
                let log: Vec<String> = self.err.try_iter().collect();
                panic!(
                    "no line of output: {error}; standard error:\n{}",
                    log.concat()
                );
            }
        }
    }

    /// The next line of standard error that has `text` in it.
    #[track_caller]
    pub fn log_line(&self, text: &str) -> String {
        loop {
            let line = self.err.recv_timeout(PATIENCE).expect("it logs");
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Sends a signal, `TERM` for instance.
    pub fn signal(&self, signal: &str) {
        self::signal(self.id(), signal);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn finish(mut self) -> Done {
        let deadline = Instant::now() + PATIENCE;
        let collect = |lines: &Receiver<String>| {
            let mut text = String::new();
            loop {
                let left = deadline.saturating_duration_since(Instant::now());
                match lines.recv_timeout(left) {
                    Ok(line) => text.push_str(&line),
                    Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return text,
                    Err(error) => panic!("it does not end: {error}\n{text}"),
                }
            }
        };
        let (out, err) = (collect(&self.out), collect(&self.err));
        let status = self.child.wait().expect("it was started").code();
        Done { out, err, status }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to an OS process.
pub fn signal(pid: u32, signal: &str) {
    let pid = pid.to_string();
    let sent = Command::new("kill").args(["-s", signal, &pid]).status();
    assert!(sent.expect("there is a kill").success());
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while stream.read_line(&mut line).is_ok_and(|len| len > 0) {
            let _ = sender.send(std::mem::take(&mut line));
        }
    });
    receiver
}

/// A port mapper, a cookie and a home for one test.
pub struct Net {
    pub port: u16,
    pub cookie: String,
    pub home: PathBuf,
    mapper: Running,
}

impl Net {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mapper = Running::spawn(&mut purlin(&["epmd", "--port", "0"]));
        let ready = mapper.line();
        let port = ready.trim_end().strip_prefix("ready epmd on 127.0.0.1:");
        let port = port.and_then(|port| port.parse().ok());
        let cookie = format!("cookie{}x{number}", std::process::id());
        let home = std::env::temp_dir().join(format!("purlin-cli-{cookie}"));
        std::fs::create_dir_all(&home).unwrap();
        Self {
            port: port.unwrap_or_else(|| panic!("not the line of a port mapper: {ready}")),
            cookie,
            home,
            mapper,
        }
    }

    /// A command in this network that does not know the cookie.
    pub fn stranger(&self, args: &[&str]) -> Command {
        let mut command = purlin(args);
        command.env("ERL_EPMD_PORT", self.port.to_string());
        command.env("HOME", &self.home);
        command
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.stranger(args);
        command.env("PURLIN_COOKIE", &self.cookie);
        command
    }

    /// Runs a command to its end.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Done {
        finish(&mut self.command(args))
    }

    /// Starts a node with the demo application and waits until it is ready.
    #[track_caller]
    pub fn start(&self, alive: &str, args: &[&str]) -> Running {
        let name = format!("{alive}@127.0.0.1");
        let mut all = vec!["start", "--name", &name, "--app", "demo"];
        all.extend(args);
        let node = Running::spawn(&mut self.command(&all));
        let ready = node.line();
        let expected = format!("ready {name} on 127.0.0.1:");
        assert!(ready.starts_with(&expected), "{ready}");
        node
    }

    /// Runs a command again and again until it prints `expected`.
    #[track_caller]
    pub fn wait_for(&self, args: &[&str], expected: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let done = self.run(args);
            if done.out == expected {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{args:?}: {done:?}, not {expected:?}"
            );
        }
    }

    pub fn file(&self, name: &str, content: &str, mode: u32) -> String {
        use std::os::unix::fs::PermissionsExt;
        let path = self.home.join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        shown(&path)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

pub fn shown(path: &Path) -> String {
    path.display().to_string()
}

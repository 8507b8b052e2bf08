//! `cargo xtask fuzz`: builds the targets of `fuzz/` and runs libFuzzer over them.
//!
//! The targets are in cargo-fuzz's layout, but cargo-fuzz is not needed: what it adds is a set of
//! compiler flags ([`FLAGS`]), which `RUSTC_BOOTSTRAP=1` lets a stable compiler take. With
//! cargo-fuzz and a nightly compiler, `cargo fuzz run TARGET` works as well.
//!
//! - `fuzz/fuzz_targets/TARGET.rs` and a `[[bin]]` in `fuzz/Cargo.toml` make a target.
//! - `fuzz/seeds/TARGET/` holds committed inputs to start from, `fuzz/corpus/TARGET/` what this
//!   machine found since (not committed), `fuzz/artifacts/TARGET/` inputs that crash.
//! - `[package.metadata.max_len]` in `fuzz/Cargo.toml` gives a target longer inputs than
//!   [`MAX_LEN`].
//!
//! A crash, a time-out, a leak or too much memory is a failure; the report has the command that
//! replays it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lexopt::prelude::*;
use serde::{Deserialize, Serialize};

use crate::workspace::{self, Workspace};
use crate::{exec, provision};

/// For all targets together, as `cargo xtask test` runs them.
const SECONDS: u64 = 300;
/// Longest input in bytes, libFuzzer's own default.
const MAX_LEN: u64 = 4096;
/// Seconds that one input may take; a guess, far above the slowest known input.
const TIMEOUT_SECONDS: u64 = 10;
/// Memory that a target may use, libFuzzer's own default.
const RSS_MB: u64 = 2048;
/// A run may take this much longer than asked: reading the corpus and one last input.
const GRACE: Duration = Duration::from_secs(120);

/// Coverage counters, comparison tracing and the address sanitizer, as cargo-fuzz sets them.
const FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Zsanitizer=address",
    "-Cdebug-assertions",
    "-Coverflow-checks",
    "-Ccodegen-units=1",
    "--cfg=fuzzing",
];

/// What the command line asks for.
pub(crate) struct Options {
    target: Option<String>,
    seconds: u64,
    json: Option<PathBuf>,
    replay: Option<PathBuf>,
}

/// What one run found.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Figures {
    executions: u64,
    executions_per_second: u64,
    /// Coverage points reached, of all in the target and its dependencies.
    coverage: u64,
    /// Inputs that the run ended with.
    corpus: u64,
    crashed: bool,
    /// The input that crashed it.
    artifact: Option<String>,
}

/// The parts of `fuzz/Cargo.toml` that this reads.
#[derive(Deserialize)]
struct Manifest {
    package: ManifestPackage,
    #[serde(default)]
    bin: Vec<ManifestBin>,
}

#[derive(Deserialize)]
struct ManifestPackage {
    #[serde(default)]
    metadata: ManifestMetadata,
}

#[derive(Default, Deserialize)]
struct ManifestMetadata {
    #[serde(default)]
    max_len: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct ManifestBin {
    name: String,
}

impl Options {
    /// All targets, for as long as `cargo xtask test` fuzzes.
    pub(crate) fn default_run() -> Self {
        Self {
            target: None,
            seconds: SECONDS,
            json: None,
            replay: None,
        }
    }

    pub(crate) fn parse(args: &mut lexopt::Parser) -> Result<Self> {
        let mut options = Self::default_run();
        while let Some(arg) = args.next()? {
            match arg {
                Long("seconds") => options.seconds = args.value()?.parse()?,
                Long("json") => options.json = Some(args.value()?.into()),
                Long("replay") => options.replay = Some(args.value()?.into()),
                Value(target) if options.target.is_none() => {
                    options.target = Some(target.string()?);
                }
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }
}

/// Builds the targets and runs them, one after the other.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let path = workspace.root.join("fuzz/Cargo.toml");
    let manifest: Manifest = toml::from_str(&std::fs::read_to_string(&path)?)?;
    let targets = chosen_targets(&manifest, options.target.as_deref())?;
    provision::cpp()?;
    let executables = build(workspace, &targets)?;
    if let Some(input) = &options.replay {
        let target = options
            .target
            .as_ref()
            .context("--replay needs the name of its target")?;
        return exec::run(Command::new(executables.join(target)).arg(input));
    }

    let seconds = (options.seconds / targets.len() as u64).max(1);
    let mut found = BTreeMap::new();
    for target in targets {
        let max_len = manifest.package.metadata.max_len.get(target).copied();
        println!("fuzzing {target} for {seconds} seconds");
        let executable = executables.join(target);
        let run = Run {
            workspace,
            target,
            executable,
            seconds,
            max_len,
        };
        found.insert(target.to_owned(), run.go()?);
    }
    print!("{}", table(&found));
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_string_pretty(&found)? + "\n")?;
    }
    let crashed: Vec<&str> = found
        .iter()
        .filter(|(_, f)| f.crashed)
        .map(|(target, _)| target.as_str())
        .collect();
    ensure!(crashed.is_empty(), "crashed: {}", crashed.join(", "));
    Ok(())
}

fn chosen_targets<'m>(manifest: &'m Manifest, chosen: Option<&str>) -> Result<Vec<&'m str>> {
    let all = manifest.bin.iter().map(|bin| bin.name.as_str());
    let targets: Vec<&str> = all
        .filter(|name| chosen.is_none_or(|one| one == *name))
        .collect();
    match chosen {
        Some(target) if targets.is_empty() => bail!("there is no fuzz target `{target}`"),
        _ => ensure!(!targets.is_empty(), "fuzz/Cargo.toml has no targets"),
    }
    Ok(targets)
}

/// Builds the targets; the folder of their executables.
fn build(workspace: &Workspace, targets: &[&str]) -> Result<PathBuf> {
    let host = host()?;
    let folder = workspace.target.join("fuzz");
    let mut command = workspace::cargo();
    // Without `--target`, the flags would reach build scripts and procedural macros too.
    command.args([
        "build",
        "--quiet",
        "--release",
        "--locked",
        "--target",
        &host,
    ]);
    command.args(targets.iter().flat_map(|target| ["--bin", target]));
    command
        .arg("--manifest-path")
        .arg(workspace.root.join("fuzz/Cargo.toml"));
    command
        .env("CARGO_TARGET_DIR", &folder)
        .env("RUSTC_BOOTSTRAP", "1");
    command.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"));
    exec::run(&mut command)?;
    Ok(folder.join(host).join("release"))
}

/// The triple of the compiler that is in use.
fn host() -> Result<String> {
    let version = exec::capture(Command::new("rustc").arg("-vV"))?;
    let line = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("`rustc -vV` names no host")?.to_owned())
}

/// One run of one target.
struct Run<'r> {
    workspace: &'r Workspace,
    target: &'r str,
    executable: PathBuf,
    seconds: u64,
    max_len: Option<u64>,
}

impl Run<'_> {
    fn go(&self) -> Result<Figures> {
        let mut tail = Tail::default();
        let mut figures = Figures::default();
        let limit = Duration::from_secs(self.seconds) + GRACE;
        let status = exec::lines(&mut self.command()?, limit, |line| {
            figures.line(line);
            tail.keep(line);
        })?;
        figures.crashed = !status.success();
        if figures.crashed {
            println!("{}", tail.text());
            self.print_replay(&figures);
        }
        Ok(figures)
    }

    fn command(&self) -> Result<Command> {
        let fuzz = self.workspace.root.join("fuzz");
        let corpus = fuzz.join("corpus").join(self.target);
        let artifacts = fuzz.join("artifacts").join(self.target);
        let seeds = fuzz.join("seeds").join(self.target);
        std::fs::create_dir_all(&corpus)?;
        std::fs::create_dir_all(&artifacts)?;
        let mut command = Command::new(&self.executable);
        command.arg(format!("-max_total_time={}", self.seconds));
        command.arg(format!("-max_len={}", self.max_len.unwrap_or(MAX_LEN)));
        command.arg(format!("-timeout={TIMEOUT_SECONDS}"));
        command.arg(format!("-rss_limit_mb={RSS_MB}"));
        command.arg(format!("-artifact_prefix={}/", artifacts.display()));
        command.arg("-print_final_stats=1").arg(corpus);
        // libFuzzer writes to the first folder only; the committed seeds stay as they are.
        command.args(seeds.exists().then_some(seeds));
        // libFuzzer prints the stack of a crash; a panic's own would come on top of it.
        command
            .current_dir(&self.workspace.root)
            .env("RUST_BACKTRACE", "0");
        Ok(command)
    }

    fn print_replay(&self, figures: &Figures) {
        if let Some(artifact) = &figures.artifact {
            let path = self.workspace.relative(artifact.as_ref());
            println!("the input is in {path}; this replays it:");
            println!("    cargo xtask fuzz {} --replay {path}", self.target);
        }
    }
}

impl Figures {
    /// Takes in one line of libFuzzer's output.
    fn line(&mut self, line: &str) {
        let number = |text: &str| text.trim().parse().unwrap_or(0);
        if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
            self.executions = number(count);
        } else if let Some(rate) = line.strip_prefix("stat::average_exec_per_sec:") {
            self.executions_per_second = number(rate);
        } else if let Some((_, path)) = line.split_once("Test unit written to ") {
            self.artifact = Some(path.trim().to_owned());
        } else if line.starts_with('#') {
            self.coverage = word_after(line, "cov:").map_or(self.coverage, number);
            let corpus = word_after(line, "corp:").and_then(|word| word.split('/').next());
            self.corpus = corpus.map_or(self.corpus, number);
        }
    }
}

fn word_after<'l>(line: &'l str, label: &str) -> Option<&'l str> {
    line.split_once(label)?.1.split_whitespace().next()
}

/// The last lines of a run, for the report of a crash.
#[derive(Default)]
struct Tail(std::collections::VecDeque<String>);

impl Tail {
    /// Enough for a panic, its stack and the input.
    const LINES: usize = 60;

    fn keep(&mut self, line: &str) {
        if self.0.len() == Self::LINES {
            self.0.pop_front();
        }
        self.0.push_back(line.to_owned());
    }

    fn text(&self) -> String {
        self.0.iter().map(|line| format!("    {line}\n")).collect()
    }
}

fn table(found: &BTreeMap<String, Figures>) -> String {
    let mut table = format!(
        "\n{:<28} {:>12} {:>8} {:>9} {:>7}  {}\n",
        "fuzz target", "executions", "exec/s", "coverage", "corpus", "result"
    );
    for (target, one) in found {
        let result = if one.crashed { "CRASHED" } else { "ok" };
        let (executions, rate) = (one.executions, one.executions_per_second);
        let (coverage, corpus) = (one.coverage, one.corpus);
        table += &format!(
            "{target:<28} {executions:>12} {rate:>8} {coverage:>9} {corpus:>7}  {result}\n"
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_read_from_what_libfuzzer_prints() {
        let mut figures = Figures::default();
        for line in [
            "#2\tINITED cov: 12 ft: 13 corp: 1/1b exec/s: 0 rss: 40Mb",
            "#3451\tREDUCE cov: 96 ft: 310 corp: 57/1043b lim: 38 exec/s: 0 rss: 49Mb",
            "Done 812345 runs in 6 second(s)",
            "stat::number_of_executed_units: 812345",
            "stat::average_exec_per_sec:     116049",
        ] {
            figures.line(line);
        }
        assert_eq!(figures.executions, 812_345);
        assert_eq!(figures.executions_per_second, 116_049);
        assert_eq!((figures.coverage, figures.corpus), (96, 57));
        assert_eq!(figures.artifact, None);
    }

    #[test]
    fn the_artifact_of_a_crash_is_found() {
        let mut figures = Figures::default();
        figures.line("artifact_prefix='a/'; Test unit written to fuzz/artifacts/t/crash-01");
        assert_eq!(
            figures.artifact.as_deref(),
            Some("fuzz/artifacts/t/crash-01")
        );
    }

    #[test]
    fn targets_are_those_of_the_manifest() {
        let text = "[package]\nname = \"f\"\n[[bin]]\nname = \"a\"\n[[bin]]\nname = \"b\"\n";
        let manifest: Manifest = toml::from_str(text).unwrap();
        assert_eq!(chosen_targets(&manifest, None).unwrap(), ["a", "b"]);
        assert_eq!(chosen_targets(&manifest, Some("b")).unwrap(), ["b"]);
        assert!(chosen_targets(&manifest, Some("c")).is_err());
    }
}

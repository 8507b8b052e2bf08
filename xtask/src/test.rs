//! `cargo xtask test`: the steps that a change must pass, in order.
//!
//! Tests that need OTP are integration tests in files named `otp_*.rs`; the prefix of the test
//! binary is how `--fast` leaves them out (they are built and listed all the same). The last line
//! is `N passed, N failed`, the sum over cargo's own results; the exit status also counts the
//! steps that are no tests.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::provision::{self, Otp};
use crate::steps::Steps;
use crate::test_output::{self, Binaries, Binary, Outcome, Reader, Report};
use crate::workspace::{self, Workspace};
use crate::{api, edges, exec, fuzz, licences, purity, sim, status};

/// All tests together; far above what they take, far below what CI allows.
const TESTS_LIMIT: Duration = Duration::from_secs(25 * 60);

/// Workspaces beside the main one.
const BESIDE: &[&str] = &["fuzz", "bench", "bench/ractor_cluster"];

/// Runs everything; with `fast`, everything that needs neither OTP nor minutes.
pub(crate) fn run(workspace: &Workspace, fast: bool) -> Result<()> {
    let otp = if fast {
        None
    } else {
        Some(provision_first(workspace)?)
    };
    let mut steps = Steps::default();
    steps.run("formatting", || formatting(workspace));
    steps.run("clippy", || clippy(workspace));
    steps.run("purity lints catch", || purity::self_test(workspace));
    steps.run("documentation", || documentation(workspace));
    steps.run("public API", || api::check(workspace));
    steps.run("rules", || rules(workspace));
    let mut report = Report::default();
    let left_out = steps.run("tests", || tests(workspace, otp.as_ref(), &mut report));
    steps.run("documentation tests", || doc_tests(workspace, &mut report));
    steps.run("planted bugs are found", || {
        sim::find_planted_bugs(workspace)
    });
    let left_out = left_out.unwrap_or_default();
    steps.run("status", || status::check(workspace, &report, &left_out));
    if !fast {
        steps.run("models of the mailbox", || mailbox_models(workspace));
        steps.run("benchmarks build", || build_benchmarks(workspace));
        steps.run("fuzzing", || {
            fuzz::run(workspace, &fuzz::Options::default_run())
        });
    }
    print!("{}", steps.table());
    println!("\n{} passed, {} failed", report.passed, report.failed);
    ensure!(
        steps.failed() == 0,
        "{} of the steps failed",
        steps.failed()
    );
    Ok(())
}

/// Edges, purity, licences, sources and bans; all are checked even when one fails.
pub(crate) fn rules(workspace: &Workspace) -> Result<()> {
    let checks = [
        edges::check(workspace),
        purity::check(workspace),
        licences::check(workspace),
    ];
    let offences: Vec<String> = checks
        .into_iter()
        .filter_map(Result::err)
        .map(|error| format!("{error:#}"))
        .collect();
    ensure!(offences.is_empty(), "{}", offences.join("\n"));
    Ok(())
}

/// Without OTP nothing else is worth its time, so this error ends the run.
fn provision_first(workspace: &Workspace) -> Result<Otp> {
    println!("== provisioning");
    provision::all(workspace)
}

fn formatting(workspace: &Workspace) -> Result<()> {
    let fmt = |folder: &str| {
        let mut command = workspace::cargo();
        command.args(["fmt", "--check", "--manifest-path"]);
        command.arg(workspace.root.join(folder).join("Cargo.toml"));
        exec::run(&mut command)
    };
    let mut command = workspace::cargo();
    exec::run(
        command
            .args(["fmt", "--all", "--check"])
            .current_dir(&workspace.root),
    )?;
    beside(workspace).try_for_each(fmt)
}

fn beside(workspace: &Workspace) -> impl Iterator<Item = &'static str> {
    BESIDE
        .iter()
        .copied()
        .filter(|folder| workspace.root.join(folder).join("Cargo.toml").exists())
}

fn clippy(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo("clippy");
    exec::run(command.args(["--workspace", "--all-targets", "--", "-D", "warnings"]))
}

/// Loom's models of the queue. In a target folder of their own, since the cfg builds all anew.
fn mailbox_models(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo("test");
    command
        .args(["--package", "purlin-mailbox", "--release", "--test", "loom"])
        .env("RUSTFLAGS", "--cfg purlin_loom")
        .env("CARGO_TARGET_DIR", workspace.target.join("loom"));
    exec::run(&mut command)
}

fn documentation(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo("doc");
    command
        .args(["--workspace", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings");
    exec::run(&mut command)
}

/// Builds unit and integration tests and runs them; the ids of those that were left out.
fn tests(
    workspace: &Workspace,
    otp: Option<&Otp>,
    report: &mut Report,
) -> Result<BTreeSet<String>> {
    let mut build = workspace.cargo("test");
    build.args(["--workspace", "--tests", "--no-run"]);
    let messages = exec::stdout(build.arg("--message-format=json-render-diagnostics"));
    report.failed += usize::from(messages.is_err());
    let binaries = test_output::binaries(&messages?, &workspace.metadata);

    let mut command = workspace.cargo("test");
    command.args(["--workspace", "--no-fail-fast"]);
    let Some(otp) = otp else {
        command
            .args(["--lib", "--bins"])
            .args(without_otp(&binaries));
        let left_out = list_otp_tests(&binaries, report)?;
        run_tests(&mut command, &binaries, report)?;
        println!("left out: {} tests that need OTP", left_out.len());
        return Ok(left_out);
    };
    otp.tell(&mut command);
    run_tests(command.arg("--tests"), &binaries, report)?;
    Ok(BTreeSet::new())
}

/// `--test NAME` for each integration test that does without OTP.
fn without_otp(binaries: &Binaries) -> Vec<String> {
    let names = binaries.values().filter(|binary| !binary.needs_otp());
    let names = names.filter_map(Binary::integration_test);
    names
        .flat_map(|name| ["--test".to_owned(), name.to_owned()])
        .collect()
}

/// The ids of all tests that need OTP; the report is told which of them are ignored.
fn list_otp_tests(binaries: &Binaries, report: &mut Report) -> Result<BTreeSet<String>> {
    let mut ids = BTreeSet::new();
    for binary in binaries.values().filter(|binary| binary.needs_otp()) {
        let list = |more: &[&str]| {
            let mut command = Command::new(&binary.executable);
            exec::stdout(command.args(["--list", "--format", "terse"]).args(more))
        };
        ids.extend(test_output::listed(&binary.id, &list(&[])?));
        let ignored = list(&["--ignored"])?;
        let ignored = test_output::listed(&binary.id, &ignored);
        report
            .outcomes
            .extend(ignored.map(|id| (id, Outcome::Ignored)));
    }
    Ok(ids)
}

fn doc_tests(workspace: &Workspace, report: &mut Report) -> Result<()> {
    let mut command = workspace.cargo("test");
    command.args(["--workspace", "--doc", "--no-fail-fast"]);
    run_tests(&mut command, &Binaries::new(), report)
}

/// Runs a `cargo test`, shows its lines and adds what it says to the report.
fn run_tests(command: &mut Command, binaries: &Binaries, report: &mut Report) -> Result<()> {
    // The names of binaries are read from lines that colour would change.
    command.env("CARGO_TERM_COLOR", "never");
    let mut reader = Reader::new(binaries);
    let status = exec::lines(command, TESTS_LIMIT, |line| {
        println!("{line}");
        reader.line(line);
    });
    let mut read = reader.report;
    let succeeded = status.as_ref().is_ok_and(|status| status.success());
    if !succeeded && read.failed == 0 {
        // A binary that did not build, or ended before it could say so.
        read.failed = 1;
    }
    let failed = read.failed;
    report.add(read);
    status?;
    if failed > 0 {
        bail!("{failed} tests failed");
    }
    Ok(())
}

/// Peers change under us, so the comparison with them must at least compile.
fn build_benchmarks(workspace: &Workspace) -> Result<()> {
    let manifest = workspace.root.join("bench/Cargo.toml");
    if !manifest.exists() {
        println!("there is no bench/Cargo.toml");
        return Ok(());
    }
    // One by one: together they would share features, which is what the packages keep apart.
    for package in ["purlin-bench", "ractor_cluster_bench"] {
        let mut command = workspace::cargo();
        command.args(["check", "--locked", "--all-targets", "--package", package]);
        command.arg("--manifest-path").arg(&manifest);
        command.env("CARGO_TARGET_DIR", workspace.target.join("bench"));
        exec::run(&mut command)?;
    }
    Ok(())
}

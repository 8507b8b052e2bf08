//! `cargo xtask bench NAME [ARGS]`: runs a benchmark of `bench/`.
//!
//! `bench/` is a workspace of its own with its own `Cargo.lock`, so that the systems we compare
//! with never enter ours. Arguments go to the benchmark as they are; paths in them are relative to
//! the folder the command was given in.

use anyhow::{Context, Result, ensure};
use lexopt::ValueExt;

use crate::workspace::{self, Workspace};
use crate::{exec, provision};

/// Packages of `bench/` that a benchmark starts as programs, besides its own.
const PROGRAMS: &[(&str, &str)] = &[("remote", "ractor_cluster_bench")];

/// Provisions OTP, then builds and runs one benchmark.
pub(crate) fn run(workspace: &Workspace, args: &mut lexopt::Parser) -> Result<()> {
    let mut args = args.raw_args()?;
    let name = args
        .next()
        .context("which benchmark? `cargo xtask bench NAME`")?
        .string()?;
    let manifest = workspace.root.join("bench/Cargo.toml");
    ensure!(manifest.exists(), "there is no bench/Cargo.toml");
    let otp = provision::all(workspace)?;
    let cargo = |verb| {
        let mut command = workspace::cargo();
        command.args([verb, "--quiet", "--release", "--locked", "--manifest-path"]);
        command.arg(&manifest);
        command.env("CARGO_TARGET_DIR", workspace.target.join("bench"));
        command
    };
    for (_, package) in PROGRAMS.iter().filter(|(user, _)| *user == name) {
        exec::run(cargo("build").args(["--package", package]))?;
    }
    let mut command = cargo("run");
    command.args(["--bin", &name, "--"]).args(args);
    otp.tell(&mut command);
    exec::run(&mut command)
}

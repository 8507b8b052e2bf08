//! `cargo xtask bench NAME [ARGS]`: runs a benchmark of `bench/`.
//!
//! `bench/` is a workspace of its own with its own `Cargo.lock`, so that the systems we compare
//! with never enter ours. Arguments go to the benchmark as they are; paths in them are relative to
//! the folder the command was given in.

use anyhow::{Context, Result, ensure};
use lexopt::ValueExt;

use crate::workspace::{self, Workspace};
use crate::{exec, provision};

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
    let mut command = workspace::cargo();
    command
        .args(["run", "--quiet", "--release", "--locked", "--manifest-path"])
        .arg(manifest);
    command.args(["--bin", &name, "--"]).args(args);
    command.env("CARGO_TARGET_DIR", workspace.target.join("bench"));
    otp.tell(&mut command);
    exec::run(&mut command)
}

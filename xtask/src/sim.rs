//! `cargo xtask sim [ARGS]`: runs the simulator.
//!
//! The program is `crates/sim`'s own, built for release since seeds are many; arguments go to it as
//! they are.

use anyhow::Result;

use crate::exec;
use crate::workspace::Workspace;

/// Builds the simulator and runs it.
pub(crate) fn run(workspace: &Workspace, args: &mut lexopt::Parser) -> Result<()> {
    let mut command = workspace.cargo("run");
    command.args(["--quiet", "--release", "--package", "purlin-sim", "--"]);
    exec::run(command.args(args.raw_args()?))
}

/// Shows that the judges find the bugs that are planted for them.
pub(crate) fn find_planted_bugs(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo("test");
    command.args(["--package", "purlin-sim", "--features", "planted-bugs"]);
    exec::run(command.args(["--test", "planted"]))
}

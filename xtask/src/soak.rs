//! `cargo xtask soak NAME [ARGS]`: the long runs that count everything.
//!
//! `runtime` is the example `soak` of `purlin-runtime`, built for release; arguments go to it as they are.

use anyhow::{Result, bail};
use lexopt::prelude::*;

use crate::exec;
use crate::workspace::Workspace;

/// Builds a soak and runs it.
pub(crate) fn run(workspace: &Workspace, args: &mut lexopt::Parser) -> Result<()> {
    let name = match args.next()? {
        Some(Value(name)) => name.string()?,
        Some(other) => return Err(other.unexpected().into()),
        None => bail!("which soak? There is `runtime`"),
    };
    if name != "runtime" {
        bail!("there is no soak `{name}`; there is `runtime`");
    }
    let mut command = workspace.cargo("run");
    command.args(["--quiet", "--release", "--package", "purlin-runtime"]);
    command.args(["--example", "soak", "--"]);
    exec::run(command.args(args.raw_args()?))
}

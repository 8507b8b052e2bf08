//! Where things are, and what `cargo metadata` says about the workspace and its dependencies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::exec;

/// The workspace that the command was started in.
pub(crate) struct Workspace {
    /// Folder of the workspace's Cargo.toml.
    pub(crate) root: PathBuf,
    /// The target folder; honours `CARGO_TARGET_DIR`.
    pub(crate) target: PathBuf,
    pub(crate) metadata: Metadata,
}

/// The parts of `cargo metadata` that the checks use.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Option<Resolve>,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    /// The registry or repository; none for a path.
    pub(crate) source: Option<String>,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

/// A dependency as a manifest declares it.
#[derive(Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// None for a normal one, else `dev` or `build`.
    pub(crate) kind: Option<String>,
    /// Set for a path dependency.
    pub(crate) path: Option<PathBuf>,
}

#[derive(Deserialize)]
pub(crate) struct Target {
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<NodeDep>,
}

#[derive(Deserialize)]
struct NodeDep {
    pkg: String,
    dep_kinds: Vec<DepKind>,
}

#[derive(Deserialize)]
struct DepKind {
    kind: Option<String>,
}

impl Workspace {
    /// Asks cargo about the workspace that xtask was started from.
    pub(crate) fn load() -> Result<Self> {
        // Read at run time: a target folder may be shared by several clones.
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("run it as `cargo xtask`")?;
        let root = Path::new(&manifest)
            .parent()
            .context("xtask has a parent")?
            .to_path_buf();
        let metadata = Metadata::of(&root.join("Cargo.toml"))?;
        Ok(Self {
            root,
            target: metadata.target_directory.clone(),
            metadata,
        })
    }

    /// `cargo SUBCOMMAND --locked`, in the root, for the workspace.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = cargo();
        command
            .arg(subcommand)
            .arg("--locked")
            .current_dir(&self.root);
        command.env("CARGO_TARGET_DIR", &self.target);
        command
    }

    /// A path as seen from the root, for messages.
    pub(crate) fn relative<'p>(&self, path: &'p Path) -> std::path::Display<'p> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}

/// Cargo itself, without the variables of the cargo run that started us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let inherited = std::env::vars_os().map(|(name, _)| name);
    let ours = inherited.filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    });
    for name in ours {
        command.env_remove(name);
    }
    command
}

impl Metadata {
    /// What cargo says about the workspace of `manifest`, all features on.
    pub(crate) fn of(manifest: &Path) -> Result<Self> {
        let mut command = cargo();
        command.args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--all-features",
        ]);
        let json = exec::capture(command.arg("--manifest-path").arg(manifest))?;
        serde_json::from_str(&json).context("what `cargo metadata` printed")
    }

    /// The packages of the workspace itself.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages
            .iter()
            .filter(|package| self.workspace_members.contains(&package.id))
    }

    /// Everything that is linked into `package`, itself included: its normal dependencies and
    /// theirs. Build scripts and procedural macros run elsewhere and are left out.
    pub(crate) fn linked_into<'a>(&'a self, package: &'a Package) -> Vec<&'a Package> {
        let by_id: BTreeMap<&str, &Package> = self
            .packages
            .iter()
            .map(|package| (package.id.as_str(), package))
            .collect();
        let mut found = vec![package];
        let mut next = 0;
        while next < found.len() {
            for id in self.normal_dependencies(&found[next].id) {
                let dependency = by_id[id];
                if !dependency.is_proc_macro() && !found.iter().any(|seen| seen.id == id) {
                    found.push(dependency);
                }
            }
            next += 1;
        }
        found
    }

    fn normal_dependencies<'a>(&'a self, id: &str) -> Vec<&'a str> {
        let nodes = self.resolve.iter().flat_map(|resolve| &resolve.nodes);
        nodes
            .filter(|node| node.id == id)
            .flat_map(|node| &node.deps)
            .filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind.is_none()))
            .map(|dep| dep.pkg.as_str())
            .collect()
    }
}

impl Package {
    /// The folder of its manifest.
    pub(crate) fn folder(&self) -> &Path {
        self.manifest_path
            .parent()
            .expect("a manifest is in a folder")
    }

    fn is_proc_macro(&self) -> bool {
        self.targets
            .iter()
            .any(|target| target.kind.iter().any(|kind| kind == "proc-macro"))
    }
}

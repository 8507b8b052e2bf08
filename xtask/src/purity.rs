//! Purity: the crates of protocols and data touch no socket, clock, task, thread or global.
//!
//! Three things together say so:
//! - each pure crate has a `clippy.toml` of its own, so that clippy refuses std's impure parts;
//! - nothing that is linked into it is an impure library ([`IMPURE`]);
//! - its sources nowhere switch those lints off (its integration tests may: they run real nodes).
//!
//! [`self_test`] shows that the lints work: it plants offences beside a copy of each `clippy.toml`
//! and fails unless clippy refuses every one of them.
//!
//! What this does not see: a dependency that reads the clock by itself and is not in the list.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::{self, Package, Workspace};

/// The pure crates. One that does not exist yet is fine; one without a `clippy.toml` is not.
const PURE: &[&str] = &[
    "purlin-term",
    "purlin-proto",
    "purlin-otp",
    "purlin-overlay",
    "purlin-crdt",
    "purlin-ring",
];

/// Libraries that bring sockets, clocks, threads, randomness or system calls.
const IMPURE: &[&str] = &[
    "async-std",
    "chrono",
    "crossbeam-channel",
    "fastrand",
    "flume",
    "futures-executor",
    "getrandom",
    "hyper",
    "jiff",
    "libc",
    "log",
    "memmap2",
    "mio",
    "nix",
    "once_cell",
    "parking_lot",
    "quinn",
    "rand",
    "rayon",
    "rustix",
    "smol",
    "socket2",
    "tempfile",
    "time",
    "tokio",
    "tracing",
    "uuid",
    "windows-sys",
];

/// What is planted, and the name that clippy must give in return.
const PLANTED: &[(&str, &str)] = &[
    (
        "pub fn f() -> std::time::Instant { std::time::Instant::now() }",
        "std::time::Instant::now",
    ),
    (
        "pub fn f() { let _ = std::time::SystemTime::now(); }",
        "std::time::SystemTime::now",
    ),
    (
        "pub fn f() { std::thread::spawn(|| ()); }",
        "std::thread::spawn",
    ),
    (
        "pub fn f() { let _ = std::env::var(\"HOME\"); }",
        "std::env::var",
    ),
    (
        "pub fn f() { let _ = std::fs::read(\"f\"); }",
        "std::fs::read",
    ),
    (
        "pub fn f(_: &std::net::TcpStream) {}",
        "std::net::TcpStream",
    ),
    (
        "pub fn f(_: &std::collections::HashMap<u8, u8>) {}",
        "std::collections::HashMap",
    ),
    (
        "pub static S: std::sync::RwLock<u8> = std::sync::RwLock::new(0);",
        "std::sync::RwLock",
    ),
    ("pub fn f() { println!(\"out\"); }", "std::println"),
];

/// Planted for all but `purlin-term`, whose table of node names is the one exception.
const PLANTED_BUT_IN_TERM: &[(&str, &str)] = &[(
    "pub static S: std::sync::Mutex<u8> = std::sync::Mutex::new(0);",
    "std::sync::Mutex",
)];

/// Checks dependencies and sources; the lints themselves run with clippy.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let mut offences = Vec::new();
    for package in pure(workspace) {
        if !clippy_toml(package).exists() {
            offences.push(format!("{} is pure but has no clippy.toml", package.name));
        }
        for linked in workspace.metadata.linked_into(package) {
            if IMPURE.contains(&linked.name.as_str()) {
                offences.push(format!(
                    "{} is pure but links {}",
                    package.name, linked.name
                ));
            }
        }
        for file in rust_files(&package.folder().join("src"))? {
            if switches_lints_off(&fs::read_to_string(&file)?) {
                let file = workspace.relative(&file);
                offences.push(format!(
                    "{file}: allows what the crate's clippy.toml refuses"
                ));
            }
        }
    }
    ensure!(offences.is_empty(), "{}", offences.join("\n"));
    println!(
        "{} pure crates: no impure dependency, no lint switched off",
        pure(workspace).len()
    );
    Ok(())
}

/// Plants offences beside each pure crate's `clippy.toml`; clippy must refuse every one.
pub(crate) fn self_test(workspace: &Workspace) -> Result<()> {
    for package in pure(workspace) {
        let only_some = if package.name == "purlin-term" {
            &[][..]
        } else {
            PLANTED_BUT_IN_TERM
        };
        let planted: Vec<_> = PLANTED.iter().chain(only_some).copied().collect();
        let folder = workspace.target.join("purity").join(&package.name);

        let clean = planted_crate(&folder.join("clean"), package, "pub fn f() {}\n")?;
        let (passed, said) = clippy(workspace, &clean)?;
        ensure!(
            passed,
            "{}: clippy refuses a crate that has no offence:\n{said}",
            package.name
        );
        ensure!(
            !said.contains("warning"),
            "{}'s clippy.toml: {said}",
            package.name
        );

        let modules = planted.iter().enumerate();
        let source: String = modules
            .map(|(at, (code, _))| format!("pub mod m{at} {{ {code} }}\n"))
            .collect();
        let dirty = planted_crate(&folder.join("planted"), package, &source)?;
        let (passed, said) = clippy(workspace, &dirty)?;
        ensure!(
            !passed,
            "{}: clippy passed a crate full of offences",
            package.name
        );
        for (code, name) in &planted {
            let named = said.contains(&format!("`{name}`"));
            ensure!(
                named,
                "{}: clippy did not refuse `{code}`:\n{said}",
                package.name
            );
        }
        println!(
            "{}: clippy refused all {} planted offences",
            package.name,
            planted.len()
        );
    }
    Ok(())
}

fn pure(workspace: &Workspace) -> Vec<&Package> {
    workspace
        .metadata
        .members()
        .filter(|package| PURE.contains(&package.name.as_str()))
        .collect()
}

fn clippy_toml(package: &Package) -> PathBuf {
    package.folder().join("clippy.toml")
}

/// A crate of its own workspace with this source and a copy of the package's `clippy.toml`.
fn planted_crate(folder: &Path, package: &Package, source: &str) -> Result<PathBuf> {
    fs::create_dir_all(folder.join("src"))?;
    let manifest = "[package]\nname = \"planted\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(folder.join("Cargo.toml"), manifest)?;
    fs::write(folder.join("src/lib.rs"), source)?;
    fs::copy(clippy_toml(package), folder.join("clippy.toml"))
        .with_context(|| format!("{}'s clippy.toml", package.name))?;
    Ok(folder.join("Cargo.toml"))
}

/// Whether clippy passed the crate, and what it said.
fn clippy(workspace: &Workspace, manifest: &Path) -> Result<(bool, String)> {
    let target = workspace.target.join("purity/target");
    // Clippy's result is cached, and a changed clippy.toml alone does not always undo that.
    let _ = fs::remove_dir_all(&target);
    let mut command: Command = workspace::cargo();
    command
        .args(["clippy", "--quiet", "--offline", "--manifest-path"])
        .arg(manifest);
    command
        .args(["--", "-D", "warnings"])
        .env("CARGO_TARGET_DIR", target);
    let output = command.output().context("cargo clippy")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() && !said.contains("could not compile") {
        bail!("clippy did not run: {said}");
    }
    Ok((output.status.success(), said))
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// True when a source allows or expects a `disallowed_*` lint, or all of clippy.
fn switches_lints_off(source: &str) -> bool {
    let words: String = source.chars().filter(|c| !c.is_whitespace()).collect();
    ["allow(", "expect("].iter().any(|attribute| {
        words.split(attribute).skip(1).any(|rest| {
            let lints = rest.split(')').next().unwrap_or_default();
            ["clippy::disallowed_", "clippy::all", "clippy::style"]
                .iter()
                .any(|lint| lints.contains(lint))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_that_switches_the_lints_off_is_seen() {
        assert!(switches_lints_off("#![allow(clippy::disallowed_methods)]"));
        assert!(switches_lints_off(
            "#[expect(\n    dead_code,\n    clippy::disallowed_types,\n)]"
        ));
        assert!(switches_lints_off("#![allow(clippy::all)]"));
        assert!(!switches_lints_off(
            "#[allow(clippy::too_many_arguments)] // disallowed_types"
        ));
    }
}

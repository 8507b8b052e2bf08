//! Which crate of the workspace may depend on which.
//!
//! [`DRAWN`] is the picture in `docs/ARCHITECTURE.md`: a crate may depend on what is drawn beneath
//! it, directly or further down. Everything else is a new edge, which changes the picture, this
//! table and ARCHITECTURE.md in one commit. Crates that judge or build the others ([`FREE`]) may
//! depend on anything, and nothing depends on them.
//!
//! It also checks that each member takes the workspace's lints, of which `unsafe_code = "forbid"`
//! is one. The one crate that has unsafe code ([`UNSAFE`]) cannot take that lint: it repeats all the
//! others, and denies unsafe code but in the modules that say so.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

use crate::workspace::{Package, Workspace};

/// A crate and what is drawn directly beneath it, names without the prefix `purlin-`.
const DRAWN: &[(&str, &[&str])] = &[
    ("term", &[]),
    ("proto", &["term"]),
    ("otp", &["term"]),
    ("overlay", &[]),
    ("crdt", &[]),
    ("ring", &[]),
    ("mailbox", &[]),
    ("macros", &[]),
    ("runtime", &["mailbox", "otp"]),
    ("behaviours", &["runtime"]),
    ("test", &["behaviours"]),
    ("node", &["behaviours", "proto", "overlay", "crdt", "ring"]),
    ("store", &["node", "overlay", "crdt", "ring"]),
    ("console", &["node"]),
    ("purlin", &["store", "console", "macros"]),
];

/// Edges that only tests have, besides the drawn ones.
const DRAWN_FOR_TESTS: &[(&str, &str)] = &[
    ("term", "macros"),
    ("behaviours", "macros"),
    ("test", "macros"),
];

/// Crates that may depend on anything, and that no other crate depends on.
const FREE: &[&str] = &["sim", "xtask"];

/// The crate that may have unsafe code, and so has a list of lints of its own.
const UNSAFE: &str = "purlin-mailbox";

/// Checks each edge and each member's lints; the error has one line for each offence.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let members: Vec<&Package> = workspace.metadata.members().collect();
    let mut offences = Vec::new();
    for member in &members {
        offences.extend(edge_offences(member));
        offences.extend(lint_offence(workspace, member)?);
    }
    if !forbids_unsafe(workspace)? {
        offences.push("Cargo.toml: the workspace's lints do not forbid unsafe_code".to_owned());
    }
    if !offences.is_empty() {
        bail!("{}", offences.join("\n"));
    }
    println!("{} crates: no edge but those that are drawn", members.len());
    Ok(())
}

fn edge_offences(member: &Package) -> Vec<String> {
    let from = short(&member.name);
    let ours = member
        .dependencies
        .iter()
        .filter(|dependency| dependency.path.is_some());
    ours.filter(|dependency| {
        let for_tests = dependency.kind.as_deref() == Some("dev");
        !is_allowed(from, short(&dependency.name), for_tests)
    })
    .map(|dependency| {
        format!(
            "{} depends on {}: a new edge between crates (see xtask/src/edges.rs)",
            member.name, dependency.name
        )
    })
    .collect()
}

fn is_allowed(from: &str, to: &str, for_tests: bool) -> bool {
    if from == to {
        return for_tests;
    }
    if FREE.contains(&to) {
        return false;
    }
    FREE.contains(&from)
        || is_example(from)
        || beneath(from).contains(to)
        || (for_tests && DRAWN_FOR_TESTS.contains(&(from, to)))
}

/// Members of `examples/` are named `example-...`.
fn is_example(name: &str) -> bool {
    name.starts_with("example-")
}

/// All that is drawn beneath a crate, however far down.
fn beneath(name: &str) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    let mut open = vec![name];
    while let Some(name) = open.pop() {
        let direct = DRAWN.iter().find(|(from, _)| *from == name);
        for &to in direct.map_or(&[][..], |(_, to)| to) {
            if found.insert(to) {
                open.push(to);
            }
        }
    }
    found
}

fn short(name: &str) -> &str {
    name.strip_prefix("purlin-").unwrap_or(name)
}

fn lint_offence(workspace: &Workspace, member: &Package) -> Result<Option<String>> {
    if member.name == UNSAFE {
        let root = parse(&workspace.root.join("Cargo.toml"))?;
        let repeated = repeats_lints_but_unsafe(&root, &parse(&member.manifest_path)?);
        return Ok((!repeated).then(|| {
            format!("{UNSAFE}: its lints are not the workspace's with unsafe_code = \"deny\"")
        }));
    }
    let taken = takes_workspace_lints(member)?;
    Ok((!taken).then(|| format!("{}: `[lints] workspace = true` is missing", member.name)))
}

/// True when a manifest has all lints of the workspace, `unsafe_code` denied instead of forbidden;
/// it may have more.
fn repeats_lints_but_unsafe(root: &toml::Table, manifest: &toml::Table) -> bool {
    let tools = member_of(root, &["workspace", "lints"]).and_then(toml::Value::as_table);
    let denied = member_of(manifest, &["lints", "rust", "unsafe_code"]);
    denied.and_then(toml::Value::as_str) == Some("deny")
        && tools.into_iter().flatten().all(|(tool, lints)| {
            let lints = lints.as_table().into_iter().flatten();
            lints
                .filter(|(lint, _)| *lint != "unsafe_code")
                .all(|(lint, level)| member_of(manifest, &["lints", tool, lint]) == Some(level))
        })
}

fn takes_workspace_lints(member: &Package) -> Result<bool> {
    let manifest = parse(&member.manifest_path)?;
    Ok(member_of(&manifest, &["lints", "workspace"]).and_then(toml::Value::as_bool) == Some(true))
}

fn forbids_unsafe(workspace: &Workspace) -> Result<bool> {
    let manifest = parse(&workspace.root.join("Cargo.toml"))?;
    let lint = member_of(&manifest, &["workspace", "lints", "rust", "unsafe_code"]);
    Ok(lint.and_then(toml::Value::as_str) == Some("forbid"))
}

fn parse(path: &std::path::Path) -> Result<toml::Table> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    toml::from_str(&text).with_context(|| path.display().to_string())
}

fn member_of<'t>(table: &'t toml::Table, path: &[&str]) -> Option<&'t toml::Value> {
    let (last, parents) = path.split_last()?;
    let mut table = table;
    for parent in parents {
        table = table.get(*parent)?.as_table()?;
    }
    table.get(*last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_may_skip_layers_but_never_goes_up() {
        assert!(is_allowed("node", "term", false));
        assert!(is_allowed("purlin", "proto", false));
        assert!(!is_allowed("term", "proto", false));
        assert!(!is_allowed("proto", "otp", false));
        assert!(!is_allowed("runtime", "proto", false));
        assert!(!is_allowed("crdt", "term", false));
    }

    #[test]
    fn macros_are_for_users_and_for_the_tests_of_term() {
        assert!(is_allowed("purlin", "macros", false));
        assert!(is_allowed("term", "macros", true));
        assert!(!is_allowed("term", "macros", false));
        assert!(!is_allowed("node", "macros", true));
    }

    #[test]
    fn judges_depend_on_anything_and_nothing_on_them() {
        assert!(is_allowed("sim", "node", false));
        assert!(is_allowed("xtask", "term", false));
        assert!(!is_allowed("node", "sim", false));
        assert!(!is_allowed("purlin", "xtask", true));
    }

    #[test]
    fn the_unsafe_crate_repeats_the_other_lints() {
        let root = "[workspace.lints.rust]\nunsafe_code = \"forbid\"\nmissing_docs = \"warn\"";
        let root = toml::from_str(root).unwrap();
        let repeated = |lints: &str| {
            let manifest = toml::from_str(&format!("[lints.rust]\n{lints}")).unwrap();
            repeats_lints_but_unsafe(&root, &manifest)
        };
        assert!(repeated(
            "unsafe_code = 'deny'\nmissing_docs = 'warn'\nmore = 'warn'"
        ));
        assert!(!repeated("unsafe_code = 'deny'"));
        assert!(!repeated("unsafe_code = 'deny'\nmissing_docs = 'allow'"));
        assert!(!repeated("unsafe_code = 'allow'\nmissing_docs = 'warn'"));
        assert!(!repeated("missing_docs = 'warn'"));
    }

    #[test]
    fn a_crate_that_is_not_drawn_may_depend_on_nothing() {
        assert!(!is_allowed("newcomer", "term", false));
        assert!(!is_allowed("node", "newcomer", false));
    }
}

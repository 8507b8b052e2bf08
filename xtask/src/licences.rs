//! Licences, sources and bans, by the rules of `deny.toml`.
//!
//! `deny.toml` is cargo-deny's format and `cargo deny check licenses sources bans` reads it too.
//! Building cargo-deny takes longer than all other checks together, so this reads the part of the
//! format that the file uses; a key that it does not know is an error, never ignored.
//!
//! All packages of `Cargo.lock` are judged, for every platform and feature, like cargo-deny does.
//! Sources: one registry (cargo's default), and paths; no git repositories.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use spdx::{Expression, ParseMode};

use crate::workspace::{Package, Workspace};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Licenses {
    /// SPDX identifiers, of which one must satisfy each package's expression.
    allow: Vec<String>,
    /// More identifiers for single packages.
    #[serde(default)]
    exceptions: Vec<Exception>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    #[serde(rename = "crate")]
    package: String,
    allow: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Bans {
    /// What cargo-deny says about two versions of one package; no matter here.
    #[serde(rename = "multiple-versions")]
    _multiple_versions: String,
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ban {
    #[serde(rename = "crate")]
    package: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Sources {
    unknown_registry: String,
    unknown_git: String,
}

/// Checks all packages; the error has one line for each offence.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let path = workspace.root.join("deny.toml");
    let text = std::fs::read_to_string(&path).context("deny.toml")?;
    let rules: Rules = toml::from_str(&text).context("deny.toml")?;
    let packages = &workspace.metadata.packages;
    let mut offences: Vec<String> = packages
        .iter()
        .flat_map(|package| rules.offences(package))
        .collect();
    offences.extend(several_registries(packages));
    if !offences.is_empty() {
        bail!("{}", offences.join("\n"));
    }
    println!("{} packages: licences, sources and bans", packages.len());
    Ok(())
}

impl Rules {
    fn offences(&self, package: &Package) -> Vec<String> {
        let named = format!("{} {}", package.name, package.version);
        let found = [
            self.licence_offence(package),
            self.ban(package),
            self.source(package),
        ];
        found
            .into_iter()
            .flatten()
            .map(|offence| format!("{named}: {offence}"))
            .collect()
    }

    fn licence_offence(&self, package: &Package) -> Option<String> {
        let Some(licence) = &package.license else {
            return Some("its manifest names no licence".to_owned());
        };
        match Expression::parse_mode(licence, ParseMode::LAX) {
            Err(_) => Some(format!("its licence `{licence}` is no SPDX expression")),
            Ok(expression) => {
                let allowed = self.allowed_for(&package.name);
                let fits = expression.evaluate(|wanted| allowed.contains(&wanted.to_string()));
                (!fits).then(|| format!("its licence `{licence}` is not allowed by deny.toml"))
            }
        }
    }

    fn allowed_for(&self, package: &str) -> BTreeSet<String> {
        let exceptions = self.licenses.exceptions.iter();
        let for_it = exceptions.filter(|exception| exception.package == package);
        let more = for_it.flat_map(|exception| &exception.allow);
        self.licenses.allow.iter().chain(more).cloned().collect()
    }

    fn ban(&self, package: &Package) -> Option<String> {
        let ban = self
            .bans
            .deny
            .iter()
            .find(|ban| ban.package == package.name)?;
        Some(format!("banned by deny.toml: {}", ban.reason))
    }

    fn source(&self, package: &Package) -> Option<String> {
        let source = package.source.as_deref()?;
        let denied = match source.split_once('+').map_or(source, |(kind, _)| kind) {
            "registry" | "sparse" => false,
            "git" => self.sources.unknown_git == "deny",
            _ => self.sources.unknown_registry == "deny",
        };
        denied.then(|| format!("comes from {source}, which deny.toml does not allow"))
    }
}

fn several_registries(packages: &[Package]) -> Option<String> {
    let sources: BTreeSet<&str> = packages
        .iter()
        .filter_map(|package| package.source.as_deref())
        .filter(|source| !source.starts_with("git+"))
        .collect();
    (sources.len() > 1).then(|| format!("packages come from several registries: {sources:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
        [licenses]
        allow = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"]
        exceptions = [{ crate = "odd", allow = ["Zlib"] }]
        [bans]
        multiple-versions = "allow"
        deny = [{ crate = "openssl", reason = "rustls is the one TLS" }]
        [sources]
        unknown-registry = "deny"
        unknown-git = "deny"
    "#;

    fn offences(name: &str, license: Option<&str>, source: Option<&str>) -> Vec<String> {
        let package = Package {
            id: name.to_owned(),
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            license: license.map(str::to_owned),
            source: source.map(str::to_owned),
            manifest_path: "Cargo.toml".into(),
            dependencies: Vec::new(),
            targets: Vec::new(),
        };
        toml::from_str::<Rules>(RULES).unwrap().offences(&package)
    }

    #[test]
    fn one_allowed_alternative_is_enough_but_every_part_must_be_allowed() {
        let none: [&str; 0] = [];
        assert_eq!(offences("a", Some("GPL-3.0-only OR MIT"), None), none);
        assert_eq!(offences("a", Some("MIT/Apache-2.0"), None), none);
        assert_eq!(
            offences("a", Some("Apache-2.0 WITH LLVM-exception"), None),
            none
        );
        let both = offences("a", Some("MIT AND Zlib"), None);
        assert_eq!(
            both,
            ["a 1.0.0: its licence `MIT AND Zlib` is not allowed by deny.toml"]
        );
        assert_eq!(
            offences("a", None, None),
            ["a 1.0.0: its manifest names no licence"]
        );
    }

    #[test]
    fn an_exception_is_for_its_package_only() {
        assert!(offences("odd", Some("Zlib"), None).is_empty());
        assert!(!offences("even", Some("Zlib"), None).is_empty());
    }

    #[test]
    fn a_banned_package_is_refused_with_the_reason() {
        let found = offences("openssl", Some("Apache-2.0"), None);
        assert_eq!(
            found,
            ["openssl 1.0.0: banned by deny.toml: rustls is the one TLS"]
        );
    }

    #[test]
    fn git_is_no_source() {
        assert!(offences("a", Some("MIT"), Some("registry+https://one")).is_empty());
        let found = offences("a", Some("MIT"), Some("git+https://somewhere"));
        assert!(found[0].contains("does not allow"), "{found:?}");
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        let text = RULES.replace("[bans]", "[bans]\nskip = []");
        assert!(toml::from_str::<Rules>(&text).is_err());
    }
}

//! The public API of the crates that users see, written down in `docs/api`.
//!
//! Rustdoc lists what a crate exports as JSON, and the crate `public-api` renders that as one line an item. That
//! format is not stable: `RUSTC_BOOTSTRAP` asks the stable rustdoc for it, and a rustdoc whose format the crate
//! does not read is an error that says so. What it writes is shortened so that people can read it:
//!
//! - Paths are as a program would write them: [`shortened`].
//! - Of the implementation of a trait its head and its associated types are listed; its functions are the trait's.
//! - Automatic and blanket implementations are left out, and those for tuples are named by their length.
//!
//! [`write()`] renews the files, [`check`] compares them: a change of the API is a change of a file in the same commit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use public_api::tokens::Token;
use public_api::{Builder, PublicApi, PublicItem};

use crate::exec;
use crate::workspace::Workspace;

/// What a user depends on, and what that gives on.
const CRATES: &[&str] = &[
    "purlin",
    "purlin-behaviours",
    "purlin-node",
    "purlin-runtime",
    "purlin-term",
    "purlin-test",
];

/// Lines of a difference that are shown; `git diff` shows all once the file is written.
const SHOWN_MAX: usize = 40;

/// Where the file of a crate is.
fn path(workspace: &Workspace, package: &str) -> PathBuf {
    workspace
        .root
        .join("docs/api")
        .join(format!("{package}.txt"))
}

/// Writes all files anew.
pub(crate) fn write(workspace: &Workspace) -> Result<()> {
    for (package, api) in rendered(workspace)? {
        let path = path(workspace, package);
        std::fs::write(&path, api).with_context(|| path.display().to_string())?;
        println!("{}", workspace.relative(&path));
    }
    Ok(())
}

/// Compares all files; the error shows what differs.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let mut offences = String::new();
    for (package, api) in rendered(workspace)? {
        let path = path(workspace, package);
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        if written != api {
            let difference = difference(&written, &api);
            offences += &format!("{} differs:\n{difference}", workspace.relative(&path));
        }
    }
    if !offences.is_empty() {
        bail!("{offences}if this is meant, `cargo xtask api` writes it down, to be committed");
    }
    println!(
        "{} crates: their public API is as docs/api says",
        CRATES.len()
    );
    Ok(())
}

/// The lines that only one of two texts has.
fn difference(written: &str, found: &str) -> String {
    let lines = |text: &'static str, of: &str, not: &str| -> Vec<String> {
        let not: BTreeSet<&str> = not.lines().collect();
        let only = of.lines().filter(|line| !not.contains(line));
        only.map(|line| format!("{text} {line}\n")).collect()
    };
    let all = [lines("-", written, found), lines("+", found, written)].concat();
    let mut shown = all[..all.len().min(SHOWN_MAX)].concat();
    if all.is_empty() {
        shown += "only the order of its lines\n";
    } else if all.len() > SHOWN_MAX {
        shown += &format!("and {} more lines\n", all.len() - SHOWN_MAX);
    }
    shown
}

/// Each crate with the text of its API.
fn rendered(workspace: &Workspace) -> Result<BTreeMap<&'static str, String>> {
    let docs = document(workspace)?;
    CRATES
        .iter()
        .map(|&package| {
            let library = package.replace('-', "_");
            let api = read(&docs.join(format!("{library}.json")))?;
            Ok((package, render(&api, &library)))
        })
        .collect()
}

/// Has rustdoc list what the crates export; the folder of its files.
///
/// Cargo is told that xtask is the rustdoc, so that `RUSTC_BOOTSTRAP` is set for rustdoc alone: a compiler that saw it
/// would build every dependency once more.
fn document(workspace: &Workspace) -> Result<PathBuf> {
    let mut command = workspace.cargo("doc");
    command.args(["--no-deps", "--lib"]);
    for package in CRATES {
        command.args(["--package", package]);
    }
    let rustdoc = std::env::var_os("RUSTDOC").unwrap_or_else(|| "rustdoc".into());
    command
        .env(RUSTDOC_BEHIND, rustdoc)
        .env("RUSTDOC", std::env::current_exe()?)
        .env(
            "RUSTDOCFLAGS",
            "-Zunstable-options --output-format=json --cap-lints=allow",
        );
    exec::run(&mut command)?;
    Ok(workspace.target.join("doc"))
}

/// The rustdoc that xtask is to run, where cargo runs xtask in its place.
const RUSTDOC_BEHIND: &str = "PURLIN_XTASK_RUSTDOC";

/// Where cargo runs this program as its rustdoc: runs that with our arguments and the unstable options allowed.
pub(crate) fn as_rustdoc() -> Option<Result<()>> {
    let mut rustdoc = Command::new(std::env::var_os(RUSTDOC_BEHIND)?);
    rustdoc
        .args(std::env::args_os().skip(1))
        .env("RUSTC_BOOTSTRAP", "1");
    Some(exec::run(&mut rustdoc))
}

fn read(json: &Path) -> Result<PublicApi> {
    let api = Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .include_function_parameter_names(true)
        .build();
    api.with_context(|| {
        format!(
            "{}: the version of `public-api` in xtask/Cargo.toml does not read the format of this rustdoc",
            json.display()
        )
    })
}

fn render(api: &PublicApi, library: &str) -> String {
    let line_of = |item: &PublicItem| shortened(item.tokens(), library);
    // Implementations of traits, and whether what they are for is a list of types.
    let implementations: BTreeMap<u32, bool> = api
        .items()
        .filter(|item| is_implementation_of_trait(item))
        .map(|item| (item.id().0, for_tuple(&line_of(item)).is_some()))
        .collect();
    let mut seen = BTreeSet::new();
    let mut text = String::new();
    for item in api.items() {
        let owner = item.parent_id().and_then(|id| implementations.get(&id.0));
        if owner.is_some_and(|&of_tuple| of_tuple || has_kind(item, "fn")) {
            continue;
        }
        let line = line_of(item);
        let line = for_tuple(&line).unwrap_or(line);
        // An implementation is listed with the trait, the type and each type that they mention.
        if line.contains("StructuralPartialEq for ") || !seen.insert(line.clone()) {
            continue;
        }
        if !text.is_empty() && OPENING.iter().any(|kind| has_kind(item, kind)) {
            text.push('\n');
        }
        text += &line;
        text.push('\n');
    }
    text
}

/// `impl Trait for a tuple of 3`, of the line of an implementation for a tuple of more than two: a macro wrote it, and
/// all that differs is how many there are.
fn for_tuple(line: &str) -> Option<String> {
    let (head, tuple) = line.split_once(" for (")?;
    let elements = tuple.split(", ").count();
    let parameters = head.strip_prefix("impl<")?;
    let mut depth = 1;
    let closing = parameters.find(|c| {
        depth += i32::from(c == '<') - i32::from(c == '>');
        depth == 0
    });
    let implemented = parameters[closing? + 1..].trim();
    (elements > 2).then(|| format!("impl {implemented} for a tuple of {elements}"))
}

/// What an empty line is set before.
const OPENING: &[&str] = &["mod", "enum", "struct", "trait"];

fn has_kind(item: &PublicItem, kind: &str) -> bool {
    let kind = Token::Kind(kind.to_owned());
    item.tokens().any(|token| *token == kind)
}

/// `impl Trait for Type`; the `for` of `for<'a>` has no space after it.
fn is_implementation_of_trait(item: &PublicItem) -> bool {
    let tokens: Vec<&Token> = item.tokens().collect();
    let begins = tokens.first().is_some_and(|token| token.text() == "impl");
    let has_for = |pair: &[&Token]| pair[0].text() == "for" && *pair[1] == Token::Whitespace;
    begins && tokens.windows(2).any(has_for)
}

/// The line of an item with its paths as programs write them.
fn shortened<'t>(tokens: impl Iterator<Item = &'t Token>, library: &str) -> String {
    let mut line = String::new();
    // The segments of a path that is not yet written.
    let mut path: Vec<&str> = Vec::new();
    let mut continues = false;
    for token in tokens {
        match token {
            Token::Symbol(symbol) if symbol == "::" && !path.is_empty() => continues = true,
            _ if is_segment(token) => {
                if !continues && !path.is_empty() {
                    // `Item: Send`, of which `public-api` leaves out what is between the two.
                    line += &short_path(&std::mem::take(&mut path), library);
                    line += ": ";
                }
                path.push(token.text());
                continues = false;
            }
            other => {
                line += &short_path(&std::mem::take(&mut path), library);
                line += other.text();
                continues = false;
            }
        }
    }
    line + &short_path(&path, library)
}

fn is_segment(token: &Token) -> bool {
    matches!(
        token,
        Token::Identifier(_) | Token::Type(_) | Token::Function(_)
    )
}

/// Modules of the standard library that programs name with what they take of them: `fmt::Result`.
const KEPT_MODULES: &[&str] = &["fmt", "io"];

/// A path without what a reader knows: the crate itself, and the modules of others.
fn short_path(path: &[&str], library: &str) -> String {
    let (Some(&first), true) = (path.first(), path.len() > 1) else {
        return path.concat();
    };
    if first == library {
        return path[1..].join("::");
    }
    let is_module = |segment: &&&str| segment.starts_with(|c: char| c.is_ascii_lowercase());
    let modules = path[..path.len() - 1].iter().take_while(is_module).count();
    let end = path[modules..].join("::");
    match first {
        "core" | "alloc" | "std" => {
            let kept = path[..modules]
                .iter()
                .find(|module| KEPT_MODULES.contains(module));
            kept.map_or(end.clone(), |module| format!("{module}::{end}"))
        }
        _ if modules > 0 => format!("{first}::{end}"),
        _ => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(path: &str) -> String {
        let path: Vec<&str> = path.split("::").collect();
        short_path(&path, "purlin_node")
    }

    #[test]
    fn paths_are_as_programs_write_them() {
        assert_eq!(short("purlin_node"), "purlin_node");
        assert_eq!(
            short("purlin_node::epmd::Mapper::port"),
            "epmd::Mapper::port"
        );
        assert_eq!(short("purlin_term::identity::Pid"), "purlin_term::Pid");
        assert_eq!(short("core::option::Option"), "Option");
        assert_eq!(short("core::fmt::Formatter"), "fmt::Formatter");
        assert_eq!(short("std::io::error::Result"), "io::Result");
        assert_eq!(short("Self::Reply"), "Self::Reply");
    }

    #[test]
    fn a_bound_of_an_associated_type_is_told_from_it() {
        let word = |text: &str| Token::Identifier(text.to_owned());
        let colons = || Token::Symbol("::".to_owned());
        let send = [
            word("core"),
            colons(),
            word("marker"),
            colons(),
            word("Send"),
        ];
        let tokens: Vec<Token> = [word("Item")].into_iter().chain(send).collect();
        assert_eq!(shortened(tokens.iter(), "purlin"), "Item: Send");
    }

    #[test]
    fn an_implementation_for_a_tuple_is_named_by_its_length() {
        let line = "impl<S: Server, A: Messages<S>, B, C> Messages<S> for (A, B, C)";
        let named = for_tuple(line).unwrap();
        assert_eq!(named, "impl Messages<S> for a tuple of 3");
        assert_eq!(for_tuple("impl<A, B> Messages for (A, B)"), None);
    }

    #[test]
    fn a_difference_has_the_lines_of_one_side() {
        assert_eq!(difference("a\nb\n", "b\nc\n"), "- a\n+ c\n");
        assert_eq!(
            difference("a\nb\n", "b\na\n"),
            "only the order of its lines\n"
        );
    }
}

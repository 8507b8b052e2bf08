//! `docs/status.toml`: what works, by the names of the tests that show it.
//!
//! One `[[row]]` for each system that Purlin is to cover. A `working` or `partial` row names tests
//! by the ids of [`test_output`](crate::test_output); a `missing` row names none. [`check`] refuses
//! a name that does not exist, was ignored, failed, or did not run; tests left out on purpose
//! (`--fast`) need only exist. So the page cannot claim what no test of this run has shown.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::test_output::{Outcome, Report};
use crate::workspace::Workspace;

/// The page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    row: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    system: String,
    status: Status,
    #[serde(default)]
    tests: Vec<String>,
    /// What is there and what is not, in a sentence.
    #[serde(default)]
    note: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Working,
    Partial,
    Missing,
}

impl Page {
    pub(crate) fn read(workspace: &Workspace) -> Result<Self> {
        let path = workspace.root.join("docs/status.toml");
        let text = std::fs::read_to_string(&path).context("docs/status.toml")?;
        toml::from_str(&text).context("docs/status.toml")
    }

    /// What is wrong with the page by itself.
    fn offences(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let mut offences = Vec::new();
        for row in &self.row {
            let system = &row.system;
            if !seen.insert(system) {
                offences.push(format!("`{system}`: two rows have this name"));
            }
            match (row.status, row.tests.is_empty()) {
                (Status::Missing, false) => {
                    offences.push(format!("`{system}`: is missing, yet names tests"));
                }
                (Status::Working | Status::Partial, true) => {
                    offences.push(format!("`{system}`: names no test that shows it"));
                }
                _ => {}
            }
            if row.status == Status::Partial && row.note.is_empty() {
                offences.push(format!(
                    "`{system}`: is partial, so a note must say what is not"
                ));
            }
        }
        offences
    }

    /// What is wrong with the tests it names, after a run; `left_out` exist but were not to run.
    fn test_offences(&self, report: &Report, left_out: &BTreeSet<String>) -> Vec<String> {
        let named = self
            .row
            .iter()
            .flat_map(|row| row.tests.iter().map(move |test| (row, test)));
        named
            .filter_map(|(row, test)| {
                let wrong = match report.outcomes.get(test) {
                    Some(Outcome::Passed) => return None,
                    Some(Outcome::Ignored) => "is ignored",
                    Some(Outcome::Failed) => "failed",
                    None if left_out.contains(test) => return None,
                    None => "does not exist or did not run",
                };
                Some(format!("`{}`: the test {test} {wrong}", row.system))
            })
            .collect()
    }

    fn summary(&self) -> String {
        let count = |status| self.row.iter().filter(|row| row.status == status).count();
        let (working, partial) = (count(Status::Working), count(Status::Partial));
        let missing = count(Status::Missing);
        format!("status: {working} working, {partial} partial, {missing} missing")
    }
}

/// Checks the page against a run of the tests; the error has one line for each offence.
pub(crate) fn check(
    workspace: &Workspace,
    report: &Report,
    left_out: &BTreeSet<String>,
) -> Result<()> {
    let page = Page::read(workspace)?;
    let mut offences = page.offences();
    offences.extend(page.test_offences(report, left_out));
    ensure!(offences.is_empty(), "{}", offences.join("\n"));
    println!("{}", page.summary());
    Ok(())
}

/// Checks only the page itself.
pub(crate) fn check_unrun(workspace: &Workspace) -> Result<()> {
    let page = Page::read(workspace)?;
    let offences = page.offences();
    ensure!(offences.is_empty(), "{}", offences.join("\n"));
    println!("{}", page.summary());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(status: &str, tests: &str) -> Page {
        let text = format!("[[row]]\nsystem = \"s\"\nstatus = \"{status}\"\ntests = {tests}\n");
        toml::from_str(&text).unwrap()
    }

    fn ran(outcome: Outcome) -> Report {
        let mut report = Report::default();
        report.outcomes.insert("p/lib::t".to_owned(), outcome);
        report
    }

    #[test]
    fn a_test_that_passed_is_accepted() {
        let page = page("working", r#"["p/lib::t"]"#);
        assert!(page.offences().is_empty());
        assert!(
            page.test_offences(&ran(Outcome::Passed), &BTreeSet::new())
                .is_empty()
        );
    }

    #[test]
    fn a_test_that_is_unknown_ignored_or_failed_is_refused() {
        let page = page("working", r#"["p/lib::t"]"#);
        let none = BTreeSet::new();
        let said = |report: &Report| page.test_offences(report, &none).join("");
        assert!(said(&Report::default()).contains("does not exist or did not run"));
        assert!(said(&ran(Outcome::Ignored)).contains("is ignored"));
        assert!(said(&ran(Outcome::Failed)).contains("failed"));
    }

    #[test]
    fn a_test_that_was_left_out_must_exist() {
        let page = page("working", r#"["p/tests/otp_a::t"]"#);
        let there = BTreeSet::from(["p/tests/otp_a::t".to_owned()]);
        let other = BTreeSet::from(["p/tests/otp_a::u".to_owned()]);
        assert!(page.test_offences(&Report::default(), &there).is_empty());
        assert_eq!(page.test_offences(&Report::default(), &other).len(), 1);
    }

    #[test]
    fn working_needs_a_test_and_missing_has_none() {
        assert_eq!(
            page("working", "[]").offences(),
            ["`s`: names no test that shows it"]
        );
        assert_eq!(
            page("missing", r#"["t"]"#).offences(),
            ["`s`: is missing, yet names tests"]
        );
        assert!(page("partial", r#"["t"]"#).offences()[0].contains("a note must say"));
    }

    #[test]
    fn two_rows_of_one_name_are_refused() {
        let text = "[[row]]\nsystem = \"s\"\nstatus = \"missing\"\n".repeat(2);
        let page: Page = toml::from_str(&text).unwrap();
        assert_eq!(page.offences(), ["`s`: two rows have this name"]);
    }

    #[test]
    fn an_unknown_status_or_key_is_refused() {
        let row = |line: &str| toml::from_str::<Page>(&format!("[[row]]\nsystem = \"s\"\n{line}"));
        assert!(row("status = \"nearly\"").is_err());
        assert!(row("status = \"missing\"\nowner = \"me\"").is_err());
    }
}

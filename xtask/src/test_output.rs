//! Reads what `cargo test` prints: which tests ran, how each ended, and the totals.
//!
//! Cargo names a test binary by its file (`Running tests/a.rs (target/debug/deps/a-0123)`), not by
//! its package, so the reader is given a table from file name to [`binary id`](Binaries), made from
//! cargo's JSON messages. A test's id is `BINARY::PATH`:
//!
//! - `purlin-term/lib::atom::tests::name` for a unit test,
//! - `purlin/bin/purlin::tests::name` for one of a binary,
//! - `purlin-term/tests/otp_oracle::name` for an integration test.
//!
//! Documentation tests count in the totals and have no id: their names hold line numbers.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::workspace::Metadata;

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    Ignored,
}

/// What a run of `cargo test` said.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// By test id.
    pub(crate) outcomes: BTreeMap<String, Outcome>,
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) ignored: usize,
}

/// The test binaries that cargo built: file name of the executable to what it is.
pub(crate) type Binaries = BTreeMap<String, Binary>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binary {
    /// `purlin-term/tests/otp_oracle`.
    pub(crate) id: String,
    pub(crate) executable: std::path::PathBuf,
}

/// Reads lines as they come.
pub(crate) struct Reader<'b> {
    binaries: &'b Binaries,
    running: Option<&'b str>,
    pub(crate) report: Report,
}

impl<'b> Reader<'b> {
    pub(crate) fn new(binaries: &'b Binaries) -> Self {
        Self {
            binaries,
            running: None,
            report: Report::default(),
        }
    }

    pub(crate) fn line(&mut self, line: &str) {
        if let Some(rest) = line.trim_start().strip_prefix("Running ") {
            self.running = self.named(rest);
        } else if line.trim_start().starts_with("Doc-tests ") {
            self.running = None;
        } else if let Some(rest) = line.strip_prefix("test result: ") {
            self.totals(rest);
        } else if let Some(binary) = self.running
            && let Some((name, outcome)) = line.strip_prefix("test ").and_then(outcome)
        {
            self.report
                .outcomes
                .insert(format!("{binary}::{name}"), outcome);
        }
    }

    /// The id of the binary in `tests/a.rs (target/debug/deps/a-0123)`.
    fn named(&self, rest: &str) -> Option<&'b str> {
        let executable = rest.rsplit_once('(')?.1.strip_suffix(')')?;
        let file = executable.rsplit(['/', '\\']).next()?;
        self.binaries.get(file).map(|binary| binary.id.as_str())
    }

    /// Adds up `ok. 5 passed; 0 failed; 1 ignored; ...`.
    fn totals(&mut self, rest: &str) {
        let counts = rest.split_once(". ").map_or("", |(_, counts)| counts);
        for part in counts.split("; ") {
            let mut words = part.split(' ');
            let (Some(Ok(count)), Some(what)) = (words.next().map(str::parse), words.next()) else {
                continue;
            };
            let count: usize = count;
            match what {
                "passed" => self.report.passed += count,
                "failed" => self.report.failed += count,
                "ignored" => self.report.ignored += count,
                _ => {}
            }
        }
    }
}

impl Binary {
    /// The name of the integration test that it is; none for other kinds.
    pub(crate) fn integration_test(&self) -> Option<&str> {
        self.id.split_once("/tests/").map(|(_, name)| name)
    }

    /// True for an integration test in a file named `otp_*.rs`.
    pub(crate) fn needs_otp(&self) -> bool {
        self.integration_test()
            .is_some_and(|name| name.starts_with("otp_"))
    }
}

impl Report {
    pub(crate) fn add(&mut self, other: Report) {
        self.outcomes.extend(other.outcomes);
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// Name and outcome in `a::b ... ok`, `a::b - should panic ... ok`, `a::b ... ignored, why`.
fn outcome(rest: &str) -> Option<(&str, Outcome)> {
    let (name, word) = rest.split_once(" ... ")?;
    let name = name.strip_suffix(" - should panic").unwrap_or(name);
    let outcome = match word.split([',', ' ']).next()? {
        "ok" => Outcome::Passed,
        "FAILED" => Outcome::Failed,
        "ignored" => Outcome::Ignored,
        _ => return None,
    };
    Some((name, outcome))
}

/// The test binaries in the messages of `cargo test --no-run --message-format=json`.
pub(crate) fn binaries(messages: &str, metadata: &Metadata) -> Binaries {
    let artifacts = messages
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    artifacts
        .filter_map(|artifact: Artifact| {
            let executable = artifact.executable.filter(|_| artifact.profile.test)?;
            let file = executable.file_name()?.to_string_lossy().into_owned();
            let package = metadata
                .packages
                .iter()
                .find(|one| one.id == artifact.package_id)?;
            let id = format!("{}/{}", package.name, artifact.target.place());
            Some((file, Binary { id, executable }))
        })
        .collect()
}

/// The names in what a test binary prints for `--list --format terse`.
pub(crate) fn listed<'l>(binary: &'l str, list: &'l str) -> impl Iterator<Item = String> + 'l {
    let names = list.lines().filter_map(|line| line.strip_suffix(": test"));
    names.map(move |name| format!("{binary}::{name}"))
}

#[derive(Deserialize)]
struct Artifact {
    package_id: String,
    target: ArtifactTarget,
    profile: ArtifactProfile,
    executable: Option<std::path::PathBuf>,
}

#[derive(Deserialize)]
struct ArtifactTarget {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct ArtifactProfile {
    test: bool,
}

impl ArtifactTarget {
    fn place(&self) -> String {
        match self.kind.first().map(String::as_str) {
            Some("test") => format!("tests/{}", self.name),
            Some("bin") => format!("bin/{}", self.name),
            Some("example") => format!("examples/{}", self.name),
            Some("bench") => format!("benches/{}", self.name),
            _ => "lib".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
   Compiling purlin-term v0.1.0
     Running unittests src/lib.rs (target/debug/deps/purlin_term-01)

running 3 tests
test atom::tests::short_is_inline ... ok
test atom::tests::long_panics - should panic ... ok
test slow ... ignored, needs a day

test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

     Running tests/otp_oracle.rs (/elsewhere/debug/deps/otp_oracle-02)
test agrees ... FAILED

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s

   Doc-tests purlin_term
test crates/term/src/lib.rs - Term (line 12) ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
";

    fn table() -> Binaries {
        let one = |file: &str, id: &str| {
            (
                file.to_owned(),
                Binary {
                    id: id.to_owned(),
                    executable: file.into(),
                },
            )
        };
        Binaries::from([
            one("purlin_term-01", "purlin-term/lib"),
            one("otp_oracle-02", "purlin-term/tests/otp_oracle"),
        ])
    }

    #[test]
    fn totals_are_summed_over_all_binaries_and_doc_tests() {
        let binaries = table();
        let mut reader = Reader::new(&binaries);
        OUTPUT.lines().for_each(|line| reader.line(line));
        let report = reader.report;
        assert_eq!((report.passed, report.failed, report.ignored), (3, 1, 1));
    }

    #[test]
    fn each_test_has_the_id_of_its_binary_and_its_outcome() {
        let binaries = table();
        let mut reader = Reader::new(&binaries);
        OUTPUT.lines().for_each(|line| reader.line(line));
        let found: Vec<_> = reader
            .report
            .outcomes
            .iter()
            .map(|(id, o)| (id.as_str(), *o))
            .collect();
        assert_eq!(
            found,
            [
                ("purlin-term/lib::atom::tests::long_panics", Outcome::Passed),
                (
                    "purlin-term/lib::atom::tests::short_is_inline",
                    Outcome::Passed
                ),
                ("purlin-term/lib::slow", Outcome::Ignored),
                ("purlin-term/tests/otp_oracle::agrees", Outcome::Failed),
            ]
        );
    }

    #[test]
    fn a_list_gives_tests_and_leaves_out_benchmarks() {
        let ids: Vec<_> = listed("purlin-term/lib", "a::b: test\nc: benchmark\n\n").collect();
        assert_eq!(ids, ["purlin-term/lib::a::b"]);
    }

    #[test]
    fn what_a_test_prints_is_no_result() {
        let binaries = table();
        let mut reader = Reader::new(&binaries);
        reader.line("     Running unittests src/lib.rs (target/debug/deps/purlin_term-01)");
        reader.line("test has been running for over 60 seconds");
        reader.line("test result pending");
        assert!(reader.report.outcomes.is_empty());
    }
}

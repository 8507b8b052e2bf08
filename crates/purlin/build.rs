//! Tells the binary what it was built from: commit, time and target.
//!
//! Everything can be given from outside, for builds without a repository and for reproducible
//! ones: `PURLIN_COMMIT`, and `SOURCE_DATE_EPOCH` (<https://reproducible-builds.org>).

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PURLIN_COMMIT");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let target = std::env::var("TARGET").expect("cargo sets TARGET");
    println!("cargo::rustc-env=PURLIN_TARGET={target}");
    println!("cargo::rustc-env=PURLIN_COMMIT={}", commit());
    println!("cargo::rustc-env=PURLIN_BUILD_TIME={}", build_time());
}

fn commit() -> String {
    if let Ok(commit) = std::env::var("PURLIN_COMMIT") {
        return commit;
    }
    // A package from a registry may lie inside another project's repository.
    if !Path::new("../../.git").exists() {
        return "unknown".to_owned();
    }
    rerun_if_the_commit_changes();
    git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned())
}

/// Watches HEAD and the branch it names, as far as they are files.
fn rerun_if_the_commit_changes() {
    let branch = git(&["symbolic-ref", "-q", "HEAD"]);
    for name in ["HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        let path = git(&["rev-parse", "--git-path", name]);
        if let Some(path) = path.filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// The time of this build in UTC, as `2026-01-31T12:00:00Z`.
fn build_time() -> String {
    let given = std::env::var("SOURCE_DATE_EPOCH").ok();
    let given = given.and_then(|seconds| seconds.trim().parse().ok());
    let now = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |now| now.as_secs())
    };
    utc(given.unwrap_or_else(now))
}

/// Days to a date by Howard Hinnant's `civil_from_days`, for years from 1970.
fn utc(seconds: u64) -> String {
    let (days, time) = (seconds / 86400 + 719_468, seconds % 86400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

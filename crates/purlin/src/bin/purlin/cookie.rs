//! Where the cookie comes from.
//!
//! In this order: `--cookie`, `--cookie-file`, `PURLIN_COOKIE`, `~/.erlang.cookie`. Files are held to
//! what OTP's `auth` wants of them: readable by their owner only, one line. If there is no
//! `~/.erlang.cookie`, a node makes one as OTP does: 20 capital letters, mode 0400.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// What the command line says about the cookie.
#[derive(Debug, Clone, Default)]
pub(crate) struct CookieOptions {
    pub(crate) cookie: Option<String>,
    pub(crate) file: Option<PathBuf>,
}

/// A cookie and where it was found.
pub(crate) struct Found {
    pub(crate) cookie: String,
    /// True if `erl` of the same user finds it by itself.
    pub(crate) is_default: bool,
}

/// Whether to make a cookie where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfMissing {
    Make,
    Fail,
}

/// Letters of a cookie that is made here; as many as OTP's.
const MADE_LEN: usize = 20;

impl CookieOptions {
    /// Finds the cookie.
    pub(crate) fn find(&self, if_missing: IfMissing) -> Result<Found, Failure> {
        let given = |cookie| Found {
            cookie,
            is_default: false,
        };
        if let Some(cookie) = &self.cookie {
            return check(cookie, "--cookie").map(given);
        }
        if let Some(file) = &self.file {
            let missing = || Failure::failed(format!("there is no cookie file {}", file.display()));
            return read(file)?.ok_or_else(missing).map(given);
        }
        if let Some(cookie) = std::env::var_os("PURLIN_COOKIE") {
            let cookie = cookie.into_string().map_err(|_| {
                Failure::failed("PURLIN_COOKIE is not text; write letters and digits into it")
            })?;
            return check(&cookie, "PURLIN_COOKIE").map(given);
        }
        let cookie = default_cookie(if_missing)?;
        Ok(Found {
            cookie,
            is_default: true,
        })
    }
}

fn default_cookie(if_missing: IfMissing) -> Result<String, Failure> {
    const GIVE: &str = "give one with --cookie-file, --cookie or PURLIN_COOKIE";
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home = home.ok_or_else(|| {
        Failure::failed(format!("there is no cookie, since HOME is not set; {GIVE}"))
    })?;
    let file = Path::new(&home).join(".erlang.cookie");
    if let Some(cookie) = read(&file)? {
        return Ok(cookie);
    }
    if if_missing == IfMissing::Fail {
        let file = file.display();
        return Err(Failure::failed(format!(
            "there is no cookie: {file} does not exist; {GIVE}"
        )));
    }
    make(&file).map_err(|error| {
        let file = file.display();
        Failure::failed(format!(
            "cannot write the cookie file {file}: {error}; {GIVE}"
        ))
    })?;
    tracing::info!(file = %file.display(), "made a cookie");
    let vanished = || Failure::failed(format!("the cookie file {} vanished", file.display()));
    read(&file)?.ok_or_else(vanished)
}

/// Reads a cookie file; `None` if there is none.
fn read(file: &Path) -> Result<Option<String>, Failure> {
    let name = file.display();
    let unreadable = |error| {
        Failure::failed(format!(
            "cannot read the cookie file {name}: {error}; make it readable by you, and you only"
        ))
    };
    let metadata = match std::fs::metadata(file) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    if !metadata.is_file() {
        return Err(Failure::failed(format!(
            "the cookie file {name} is not a file"
        )));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(Failure::failed(format!(
            "the cookie file {name} can be read by others; run `chmod 400 {name}`"
        )));
    }
    let bytes = std::fs::read(file).map_err(unreadable)?;
    let text = String::from_utf8_lossy(&bytes);
    let cookie = text.trim_end_matches(['\n', '\r', ' ']);
    check(cookie, &format!("the cookie file {name}")).map(Some)
}

/// What OTP takes as a cookie from a file: printable ASCII.
fn check(cookie: &str, whence: &str) -> Result<String, Failure> {
    let len = cookie.chars().count();
    let wrong = match len {
        0 => "is empty".to_owned(),
        1..=255 if cookie.chars().all(|c| matches!(c, ' '..='~')) => return Ok(cookie.to_owned()),
        1..=255 => "has a character that is not printable ASCII".to_owned(),
        _ => format!("has {len} characters, and a cookie at most 255"),
    };
    let message = format!("{whence} {wrong}; write one line of letters and digits into it");
    Err(match whence.starts_with("--") {
        true => Failure::usage(message),
        false => Failure::failed(message),
    })
}

/// Writes a new cookie file. It appears whole: of two that start at once, one writes and both read
/// the same.
fn make(file: &Path) -> std::io::Result<()> {
    let mut random = [0; MADE_LEN + 8];
    getrandom::fill(&mut random).map_err(|error| std::io::Error::other(error.to_string()))?;
    let (letters, suffix) = random.split_at(MADE_LEN);
    // 256 is no multiple of 26, so some letters come a little more often: OTP's are worse.
    let cookie: String = letters.iter().map(|b| char::from(b'A' + b % 26)).collect();
    let suffix: String = suffix.iter().map(|b| format!("{b:02x}")).collect();
    let draft = file.with_file_name(format!(".erlang.cookie.{suffix}"));
    let mut options = std::fs::OpenOptions::new();
    let mut out = options
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(&draft)?;
    let linked = out
        .write_all(cookie.as_bytes())
        .and_then(|()| std::fs::hard_link(&draft, file));
    std::fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

//! Flags, operands and their values.
//!
//! Every mistake is wrong usage: one line that names what is wrong and what to write instead.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::Arg;
use purlin_proto::handshake::FullName;
use purlin_term::{Atom, NodeName};

use crate::cookie::CookieOptions;
use crate::failure::Failure;
use crate::finding::Finding;
use crate::log::{Format, Log};

/// How to ask a node: what all client commands have in common.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub(crate) cookie: CookieOptions,
    pub(crate) timeout: Duration,
    pub(crate) json: bool,
    pub(crate) finding: Finding,
}

/// How long a client command waits unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the arguments of one command.
pub(crate) struct Parser {
    command: &'static str,
    parser: lexopt::Parser,
    operands: Vec<String>,
    pub(crate) cookie: CookieOptions,
    timeout: Duration,
    json: bool,
    finding: Finding,
    filter: Option<String>,
    format: Format,
}

/// Which common flags a command takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Log,
    Cookie,
    Client,
}

impl Parser {
    pub(crate) fn new(command: &'static str, args: Vec<OsString>) -> Self {
        Self {
            command,
            parser: lexopt::Parser::from_args(args),
            operands: Vec::new(),
            cookie: CookieOptions::default(),
            timeout: TIMEOUT,
            json: false,
            finding: Finding::default(),
            filter: None,
            format: Format::Human,
        }
    }

    /// The next flag that is the command's own; operands and common flags are put aside.
    pub(crate) fn next(&mut self, takes: Takes) -> Result<Option<String>, Failure> {
        loop {
            if let Some(number) = self.negative_number() {
                self.operands.push(number);
                continue;
            }
            let flag = match self.parser.next() {
                Ok(Some(Arg::Long(name))) => format!("--{name}"),
                Ok(Some(Arg::Short(name))) => format!("-{name}"),
                Ok(Some(Arg::Value(value))) => {
                    self.operands.push(self.text(value)?);
                    continue;
                }
                Ok(None) => return Ok(None),
                Err(error) => return Err(self.usage(error)),
            };
            if !self.common(&flag, takes)? {
                return Ok(Some(flag));
            }
        }
    }

    /// An operand such as `-5`, which is a term and not a flag.
    fn negative_number(&mut self) -> Option<String> {
        let mut raw = self.parser.try_raw_args()?;
        let text = raw.peek()?.to_str()?.to_owned();
        let digits = text.strip_prefix('-')?;
        if !digits.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        raw.next();
        Some(text)
    }

    /// Takes a common flag; false if it is none that this command takes.
    fn common(&mut self, flag: &str, takes: Takes) -> Result<bool, Failure> {
        match flag {
            "--log" => self.filter = Some(self.value(flag)?),
            "--log-format" => {
                self.format = match self.value(flag)?.as_str() {
                    "human" => Format::Human,
                    "json" => Format::Json,
                    other => {
                        return Err(
                            self.usage(format!("--log-format is human or json, not `{other}`"))
                        );
                    }
                }
            }
            "--cookie" if takes != Takes::Log => self.cookie.cookie = Some(self.value(flag)?),
            "--cookie-file" if takes != Takes::Log => {
                self.cookie.file = Some(PathBuf::from(self.value(flag)?));
            }
            "--timeout" if takes == Takes::Client => {
                let text = self.value(flag)?;
                self.timeout = duration(&text).ok_or_else(|| {
                    self.usage(format!(
                        "--timeout is a time such as 500ms, 5s or 1m, not `{text}`"
                    ))
                })?;
            }
            "--json" if takes == Takes::Client => self.json = true,
            "--peer" | "--peer-port" if takes == Takes::Client => {
                let text = self.value(flag)?;
                let mut finding = self.finding.clone();
                match flag {
                    "--peer" => finding.add_peer(self, &text)?,
                    _ => finding.set_port(self, &text)?,
                }
                self.finding = finding;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(crate) fn value(&mut self, flag: &str) -> Result<String, Failure> {
        match self.parser.value() {
            Ok(value) => self.text(value),
            Err(_) => Err(self.usage(format!("{flag} needs a value"))),
        }
    }

    fn text(&self, value: OsString) -> Result<String, Failure> {
        value
            .into_string()
            .map_err(|value| self.usage(format!("`{}` is not UTF-8", value.display())))
    }

    pub(crate) fn usage(&self, message: impl std::fmt::Display) -> Failure {
        let command = self.command;
        Failure::usage(format!("{message} (see `purlin {command} --help`)"))
    }

    pub(crate) fn unknown(&self, flag: &str) -> Failure {
        self.usage(format!("`purlin {}` takes no {flag}", self.command))
    }

    /// The one operand, if there is any.
    pub(crate) fn operand(&mut self) -> Result<Option<String>, Failure> {
        match self.operands.is_empty() {
            true => Ok(None),
            false => self.operands(["NODE"]).map(|[operand]| Some(operand)),
        }
    }

    /// The operands, which must be as many as `names`.
    pub(crate) fn operands<const N: usize>(
        &mut self,
        names: [&str; N],
    ) -> Result<[String; N], Failure> {
        let operands = std::mem::take(&mut self.operands);
        if let Some(missing) = names.get(operands.len()) {
            return Err(self.usage(format!("{missing} is missing")));
        }
        operands.try_into().map_err(|operands: Vec<String>| {
            self.usage(format!("`{}` is one argument too many", operands[N]))
        })
    }

    pub(crate) fn log(&self, default: &str) -> Log {
        let from_environment = || std::env::var("PURLIN_LOG").ok().filter(|f| !f.is_empty());
        let filter = self.filter.clone().or_else(from_environment);
        Log {
            filter: filter.unwrap_or_else(|| default.to_owned()),
            format: self.format,
        }
    }

    pub(crate) fn node(&self, text: &str) -> Result<NodeName, Failure> {
        let name = FullName::new(text).map_err(|error| self.usage(error))?;
        let name = Atom::new(name.as_str()).map_err(|error| self.usage(error))?;
        NodeName::new(&name).map_err(|error| self.usage(error))
    }

    pub(crate) fn atom(&self, text: &str) -> Result<Atom, Failure> {
        Atom::new(text).map_err(|error| self.usage(error))
    }

    /// What a client command was told about how to ask.
    pub(crate) fn asking(&self) -> Asking {
        Asking {
            cookie: self.cookie.clone(),
            timeout: self.timeout,
            json: self.json,
            finding: self.finding.clone(),
        }
    }
}

/// Reads `500ms`, `5s`, `1.5s` or `1m`; more than nothing, less than a year.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    if !number.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let value = number.parse::<f64>().ok()? * seconds;
    let a_year = 366.0 * 86400.0;
    (value > 0.0 && value < a_year).then(|| Duration::from_secs_f64(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("5s"), Some(Duration::from_secs(5)));
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(duration("1m"), Some(Duration::from_secs(60)));
        for wrong in [
            "",
            "5",
            "s",
            "-5s",
            "0s",
            "1e9s",
            "5 s",
            "5y",
            "99999999h",
            "infinity",
        ] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}

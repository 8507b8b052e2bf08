//! A system to be measured, as an OS process of its own, in Rust.

use std::hint::black_box;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use purlin_term::{Decoder, Limits, NameBudget, from_external, to_external};

use super::Failure;

/// `--worker SYSTEM FOLDER`: answers lines on standard input;
/// `--worker SYSTEM FOLDER OPERATION CASE COUNT`: does one of them and ends.
pub(super) fn serve(args: &[String]) -> Result<(), Failure> {
    let [system, folder, once @ ..] = args else {
        return Err("--worker wants a system and a folder".into());
    };
    let folder = PathBuf::from(folder);
    if !once.is_empty() {
        return answer(system, &folder, &once.join(" ")).map(drop);
    }
    for line in std::io::stdin().lock().lines() {
        let answer = match answer(system, &folder, &line?) {
            Ok(nanoseconds) => nanoseconds.to_string(),
            Err(error) => format!("error {error}"),
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn answer(system: &str, folder: &Path, request: &str) -> Result<u128, Failure> {
    let [operation, case, count] = *request.split(' ').collect::<Vec<_>>() else {
        return Err("a request is: operation case count".into());
    };
    let bytes = std::fs::read(folder.join(format!("{case}.etf")))?;
    let count = count.parse()?;
    match system {
        "purlin" => purlin(operation, &bytes, count),
        "eetf" => eetf(operation, &bytes, count),
        other => Err(format!("no system {other}").into()),
    }
}

fn purlin(operation: &str, bytes: &[u8], count: u64) -> Result<u128, Failure> {
    let limits = Limits::default();
    let term = from_external(bytes, &limits)?;
    same_size(bytes, &to_external(&term))?;
    match operation {
        "decode" => Ok(timed(count, || from_external(black_box(bytes), &limits))),
        "encode" => Ok(timed(count, || to_external(black_box(&term)))),
        "walk" => {
            let mut names = NameBudget::new(0);
            let body = &bytes[1..];
            Ok(timed(count, || {
                Decoder::new(&[], &limits, &mut names).validate(black_box(body))
            }))
        }
        other => Err(format!("no operation {other}").into()),
    }
}

fn eetf(operation: &str, bytes: &[u8], count: u64) -> Result<u128, Failure> {
    let term = eetf::Term::decode(bytes)?;
    let encode = |term: &eetf::Term| {
        let mut buffer = Vec::new();
        term.encode(&mut buffer).map(|()| buffer)
    };
    same_size(bytes, &encode(&term)?)?;
    match operation {
        "decode" => Ok(timed(count, || eetf::Term::decode(black_box(bytes)))),
        "encode" => Ok(timed(count, || encode(black_box(&term)))),
        other => Err(format!("no operation {other}").into()),
    }
}

/// A system that decoded something else, or writes another form of it, does other work.
fn same_size(read: &[u8], written: &[u8]) -> Result<(), Failure> {
    if read.len() == written.len() {
        return Ok(());
    }
    Err(format!("read {} bytes and wrote {}", read.len(), written.len()).into())
}

fn timed<T>(count: u64, mut operation: impl FnMut() -> T) -> u128 {
    let start = Instant::now();
    for _ in 0..count {
        black_box(operation());
    }
    start.elapsed().as_nanos()
}

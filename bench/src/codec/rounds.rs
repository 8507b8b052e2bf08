//! Starts the systems, lets them take turns, and keeps what they answer.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::cases::{self, Case};
use super::report::{self, Row};
use super::{Failure, Options};

/// A worker, and how to talk to it.
struct System {
    name: &'static str,
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// A system's time in a round is the fastest of so many samples: what else runs on the machine can
/// only add to a sample, and on a busy one adds to most.
const TRIES: usize = 5;

const OPERATIONS: [&str; 3] = ["decode", "encode", "walk"];

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let cases = chosen(options);
    if let Some(folder) = &options.write_cases {
        return write_cases(&cases, folder);
    }
    let folder = Folder::create()?;
    write_cases(&cases, &folder.0)?;
    if options.instructions {
        return count_instructions(&cases, &folder.0);
    }
    let mut systems = start(&folder.0)?;
    let mut rows = Vec::new();
    for operation in OPERATIONS {
        for (number, case) in cases.iter().enumerate() {
            rows.push(row(&mut systems, operation, number, case, options)?);
            report::progress(rows.last().expect("just pushed"));
        }
    }
    report::table(&rows);
    if let Some(file) = &options.json {
        fs::write(file, report::json(&rows))?;
    }
    Ok(())
}

fn chosen(options: &Options) -> Vec<Case> {
    let wanted = |case: &Case| {
        options
            .only
            .as_ref()
            .is_none_or(|only| case.name.contains(only))
    };
    cases::all().into_iter().filter(wanted).collect()
}

fn write_cases(cases: &[Case], folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder)?;
    for (number, case) in cases.iter().enumerate() {
        fs::write(folder.join(format!("{number}.etf")), &case.bytes)?;
    }
    Ok(())
}

/// Every system in turn, round by round.
fn row(
    systems: &mut [System],
    operation: &'static str,
    number: usize,
    case: &Case,
    options: &Options,
) -> Result<Row, Failure> {
    let target = u128::from(options.sample_ms) * 1_000_000;
    let mut samples = Vec::new();
    for system in systems.iter_mut().filter(|system| system.does(operation)) {
        let count = system.calibrate(operation, number, target);
        samples.push((system, count, Vec::new()));
    }
    for _ in 0..options.rounds {
        for (system, count, taken) in &mut samples {
            let Ok(count) = count else { continue };
            let mut fastest = u128::MAX;
            for _ in 0..TRIES {
                fastest = fastest.min(system.ask(operation, number, *count)?);
            }
            taken.push(fastest as f64 / *count as f64);
        }
    }
    let of = samples
        .into_iter()
        .map(|(system, count, taken)| (system.name, count.map(|_| taken)));
    Ok(Row::new(case.name, operation, of))
}

impl System {
    fn start(name: &'static str, command: &mut Command) -> Result<Self, Failure> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let requests = child.stdin.take().ok_or("no standard input")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        Ok(Self {
            name,
            child,
            requests,
            answers,
        })
    }

    fn does(&self, operation: &str) -> bool {
        operation != "walk" || self.name.starts_with("purlin")
    }

    /// How often the operation is done in about the time that a sample should take, or why this
    /// system cannot do it.
    fn calibrate(&mut self, operation: &str, case: usize, target: u128) -> Result<u64, String> {
        let mut count = 1;
        loop {
            let took = self
                .ask(operation, case, count)
                .map_err(|error| error.to_string())?;
            if took * 4 >= target {
                return Ok((u128::from(count) * target / took).max(1) as u64);
            }
            count *= 4;
        }
    }

    fn ask(&mut self, operation: &str, case: usize, count: u64) -> Result<u128, Failure> {
        writeln!(self.requests, "{operation} {case} {count}")?;
        self.requests.flush()?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        let answer = answer.trim();
        answer
            .parse()
            .map_err(|_| format!("{}: {answer}", self.name).into())
    }
}

/// A worker ends with its standard input; none outlives the bench.
impl Drop for System {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(folder: &Path) -> Result<Vec<System>, Failure> {
    let this = std::env::current_exe()?;
    let worker = |name, program: &Path, system: &str| {
        System::start(
            name,
            Command::new(program).args(["--worker", system]).arg(folder),
        )
    };
    let mut systems = vec![
        worker("purlin", &this, "purlin")?,
        worker("eetf", &this, "eetf")?,
    ];
    systems.extend(beams(folder)?);
    let with_mimalloc = this.with_file_name("codec_mimalloc");
    if with_mimalloc.exists() {
        systems.push(worker("purlin, mimalloc", &with_mimalloc, "purlin")?);
        systems.push(worker("eetf, mimalloc", &with_mimalloc, "eetf")?);
    }
    Ok(systems)
}

/// OTP 25's compiler makes the module for both: the wheel that brings OTP 28 has none, and what
/// the loop is compiled to is the same few instructions.
fn beams(folder: &Path) -> Result<Vec<System>, Failure> {
    let source = folder.join("codec_bench.erl");
    fs::write(&source, include_str!("../../erl/codec_bench.erl"))?;
    let otp25 = std::env::var_os("PURLIN_OTP25").unwrap_or_else(|| "erl".into());
    let compile = format!(
        "case compile:file({source:?}, [{{outdir, {folder:?}}}]) of {{ok, _}} -> halt(0); _ -> halt(1) end."
    );
    let compiled = Command::new(&otp25)
        .args(["-noshell", "-eval", &compile])
        .status();
    if !compiled.is_ok_and(|status| status.success()) {
        return Err(format!("{} cannot compile: install erlang-base", otp25.display()).into());
    }
    let mut systems = vec![beam("OTP 25", &otp25, folder)?];
    match std::env::var_os("PURLIN_OTP28") {
        Some(otp28) => systems.push(beam("OTP 28", &otp28, folder)?),
        None => eprintln!("codec: PURLIN_OTP28 names no erl, its rows are left out"),
    }
    Ok(systems)
}

/// Idle schedulers do not spin: they would take a core from whoever's turn it is.
fn beam(name: &'static str, erl: &std::ffi::OsStr, folder: &Path) -> Result<System, Failure> {
    let flags = "+sbwt none +sbwtdcpu none +sbwtdio none -noshell -pa";
    let mut command = Command::new(erl);
    command.args(flags.split(' ')).arg(folder);
    command
        .args(["-run", "codec_bench", "main", "-extra"])
        .arg(folder);
    System::start(name, &mut command)
}

/// Instructions of one operation: what a run of 3 n takes over a run of n.
fn count_instructions(cases: &[Case], folder: &Path) -> Result<(), Failure> {
    println!("instructions of one operation\n");
    println!(
        "{:<26}{:>12}{:>12}{:>12}{:>12}{:>12}",
        "", "decode", "encode", "walk", "eetf dec", "eetf enc"
    );
    for (number, case) in cases.iter().enumerate() {
        let base = (200_000 / case.bytes.len() as u64).clamp(2, 500);
        let columns = [
            ("purlin", "decode"),
            ("purlin", "encode"),
            ("purlin", "walk"),
            ("eetf", "decode"),
            ("eetf", "encode"),
        ];
        print!("{:<26}", case.name);
        for (system, operation) in columns {
            let few = instructions(system, operation, number, base, folder)?;
            let many = instructions(system, operation, number, 3 * base, folder)?;
            print!("{:>12}", many.saturating_sub(few) / (2 * base));
            std::io::stdout().flush()?;
        }
        println!();
    }
    Ok(())
}

fn instructions(
    system: &str,
    operation: &str,
    case: usize,
    count: u64,
    folder: &Path,
) -> Result<u64, Failure> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["--worker", system])
        .arg(folder)
        .args([operation, &case.to_string(), &count.to_string()])
        .output()?;
    let log = String::from_utf8_lossy(&output.stderr);
    let collected = log
        .lines()
        .find_map(|line| line.split("Collected : ").nth(1));
    let collected = collected.ok_or_else(|| format!("valgrind did not count: {log}"))?;
    Ok(collected.trim().parse()?)
}

/// A temporary folder, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("purlin-codec-bench-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

//! What the rounds found, for people and for programs.

use std::fmt::Write;

/// One operation on one term, by every system.
pub(super) struct Row {
    case: &'static str,
    operation: &'static str,
    systems: Vec<(&'static str, Result<Times, String>)>,
}

/// Nanoseconds of one operation.
struct Times {
    median: f64,
    min: f64,
    max: f64,
}

impl Row {
    pub(super) fn new(
        case: &'static str,
        operation: &'static str,
        samples: impl Iterator<Item = (&'static str, Result<Vec<f64>, String>)>,
    ) -> Self {
        let systems = samples
            .map(|(name, taken)| (name, taken.map(Times::of)))
            .collect();
        Self {
            case,
            operation,
            systems,
        }
    }

    fn times(&self, system: &str) -> Option<&Times> {
        let (_, times) = self.systems.iter().find(|(name, _)| *name == system)?;
        times.as_ref().ok()
    }
}

impl Times {
    fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        Self {
            median: samples[samples.len() / 2],
            min: samples[0],
            max: samples[samples.len() - 1],
        }
    }
}

pub(super) fn progress(row: &Row) {
    eprintln!("{} {}", row.operation, row.case);
    for (system, times) in &row.systems {
        if let Err(error) = times {
            eprintln!("    {system}: {error}");
        }
    }
}

/// Medians with minimum and maximum, and below them how many times the peer's time Purlin takes:
/// under 1.00 Purlin is ahead.
pub(super) fn table(rows: &[Row]) {
    let mut ratios = Vec::new();
    for row in rows {
        println!("\n{}, {}", row.operation, row.case);
        let ours = row.times("purlin").map(|times| times.median);
        for (system, times) in &row.systems {
            let Ok(Times { median, min, max }) = times else {
                println!("    {system:<18} cannot do this");
                continue;
            };
            let ratio = ours.map_or(f64::NAN, |ours| ours / median);
            println!("    {system:<18}{median:>12.1} ns   ({min:.1} to {max:.1})   x{ratio:.2}");
            if *system != "purlin" && !system.ends_with("mimalloc") {
                ratios.push((ratio, format!("{}, {}, {system}", row.operation, row.case)));
            }
        }
    }
    ratios.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!("\nPurlin's time over the peer's, the least favourable first:");
    for (ratio, name) in ratios.iter().take(8) {
        println!("    x{ratio:.2}  {name}");
    }
    let behind = ratios.iter().filter(|(ratio, _)| *ratio >= 1.0).count();
    println!(
        "ahead in {} of {} comparisons",
        ratios.len() - behind,
        ratios.len()
    );
}

/// An array of one object a row, system by system.
pub(super) fn json(rows: &[Row]) -> String {
    let mut objects = Vec::new();
    for row in rows {
        for (system, times) in &row.systems {
            let Ok(Times { median, min, max }) = times else {
                continue;
            };
            let mut object = String::new();
            write!(
                object,
                r#"{{"workload": "codec {}", "variant": "{}", "system": "{system}", "median": {median:.2}, "min": {min:.2}, "max": {max:.2}, "unit": "ns/op"}}"#,
                row.operation, row.case
            )
            .expect("a string takes everything");
            objects.push(object);
        }
    }
    format!("[\n  {}\n]\n", objects.join(",\n  "))
}

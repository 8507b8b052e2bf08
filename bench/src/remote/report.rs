//! What the rounds found, for people and for programs.

use std::fmt::Write;

use super::loads::{Goal, Unit};
use super::rounds::{Entry, Row};
use super::systems::{BEAM, RAW};
use crate::turns::{Figures, human_rate, is_noise, three_digits};

const WRITES: &str = "a string takes everything";

pub(super) const LEGEND: &str = "
x: times the rate of OTP 25 and of plain sockets (in rows of µs, times the time)
~: the same, but under 20 %: noise
";

/// The rows of one load, with their goals.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let (load, variant) = (row.load, row.variant());
        let (name, title, unit) = (load.name, load.title, load.unit.name());
        writeln!(text, "\n{name}, {variant}: {title} ({unit})").expect(WRITES);
        for entry in &row.entries {
            line(&mut text, row, entry);
        }
        for goal in row.column.goals {
            if let Some(verdict) = verdict(row, *goal) {
                writeln!(text, "    {verdict}").expect(WRITES);
            }
        }
    }
    text
}

fn line(text: &mut String, row: &Row, entry: &Entry) {
    let name = entry.system.name;
    let figures = match &entry.figures {
        Ok(figures) => figures,
        Err(lost) => return writeln!(text, "    {name:<20}{lost}").expect(WRITES),
    };
    let [median, min, max] =
        [figures.median, figures.min, figures.max].map(|figure| human(figure, row.load.unit));
    let rounds = if figures.rounds == 1 {
        "round"
    } else {
        "rounds"
    };
    let range = format!("({min} to {max}, {} {rounds})", figures.rounds);
    write!(text, "    {name:<20}{median:>9}  {range:<34}").expect(WRITES);
    for reference in [BEAM, RAW] {
        let ratio = ratio(row, figures, reference).unwrap_or_default();
        write!(text, "{ratio:>20}").expect(WRITES);
    }
    if let Some(note) = (entry.system.note)(row.load.kind) {
        write!(text, "   {note}").expect(WRITES);
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
}

/// `x1.30 OTP 25`.
fn ratio(row: &Row, figures: &Figures, reference: &str) -> Option<String> {
    let ratio = figures.median / row.figures(reference)?.median;
    let noise = if is_noise(ratio) { "~" } else { "x" };
    Some(format!("{noise}{ratio:.2} {reference}"))
}

/// What is to be reached here, and whether it is; nothing where the one or the other did not run.
fn verdict(row: &Row, goal: Goal) -> Option<String> {
    let more = row.load.unit.more_is_better();
    let Goal {
        system,
        factor,
        other,
    } = goal;
    let ratio = row.figures(system)?.median / row.figures(other)?.median;
    let reached = match (ratio >= factor) == more {
        true => "reached",
        false => "NOT REACHED",
    };
    let sign = if more { ">=" } else { "<=" };
    Some(format!(
        "goal: {system} {sign} {factor} x {other}: {reached} ({ratio:.2})"
    ))
}

fn human(figure: f64, unit: Unit) -> String {
    match unit {
        Unit::Rate(_) => human_rate(figure),
        Unit::Megabytes | Unit::Microseconds => three_digits(figure),
    }
}

/// An array of one object a row and system.
pub(super) fn json(rows: &[Row]) -> String {
    let objects: Vec<String> = rows
        .iter()
        .flat_map(|row| row.entries.iter().filter_map(|entry| object(row, entry)))
        .collect();
    format!("[\n  {}\n]\n", objects.join(",\n  "))
}

fn object(row: &Row, entry: &Entry) -> Option<String> {
    let figures = entry.figures.as_ref().ok()?;
    let (load, system) = (row.load.name, entry.system.name);
    Some(figures.json(load, &row.variant(), system, row.load.unit.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::{loads, systems};
    use crate::turns::Lost;

    /// A row in which each system has one figure.
    fn row(load: &str, figures: &[f64]) -> Row {
        let load = loads::ALL.iter().find(|known| known.name == load);
        let load = load.expect("a load of that name");
        let entry = |(system, figure): (&'static systems::System, &f64)| Entry {
            system,
            figures: Ok(Figures::of(vec![*figure])),
        };
        Row {
            load,
            column: &load.columns[0],
            entries: systems::ALL.iter().zip(figures).map(entry).collect(),
        }
    }

    #[test]
    fn a_time_reaches_its_goal_from_above() {
        let names: Vec<_> = systems::ALL.iter().map(|system| system.name).collect();
        let beam = names
            .iter()
            .position(|name| *name == BEAM)
            .expect("it is there");
        let mut figures = vec![100.0; names.len()];
        figures[0] = 80.0;
        let fast = table(&[row("R1", &figures)]);
        assert!(
            fast.contains("goal: purlin <= 0.85 x OTP 25: reached (0.80)"),
            "{fast}"
        );
        figures[beam] = 90.0;
        let slow = table(&[row("R1", &figures)]);
        assert!(
            slow.contains("<= 0.85 x OTP 25: NOT REACHED (0.89)"),
            "{slow}"
        );
    }

    #[test]
    fn json_has_one_object_for_a_row_and_system() {
        let json = json(&[row("R1", &[40.0, 50.0])]);
        assert_eq!(json.matches("\"workload\": \"R1\"").count(), 2);
        assert!(
            json.contains(r#""variant": "p50, 1 pair", "system": "purlin""#),
            "{json}"
        );
    }

    #[test]
    fn a_system_that_lost_is_in_the_table_with_its_reason_and_without_a_verdict() {
        let mut row = row("R2", &[4.0, 2.0]);
        row.entries[0].figures = Err(Lost::Cannot("was not built".to_owned()));
        let table = table(&[row]);
        assert!(table.contains("was not built"), "{table}");
        assert!(!table.contains("15 x"), "{table}");
    }
}

//! What the rounds found, for people and for programs.

use std::fmt::Write;

use super::loads::{Goal, Load, Unit, grouped};
use super::rounds::{Entry, Row};
use super::systems::{BEAM, PURLIN, TOKIO};
use crate::turns::{Figures, Lost, human_rate, is_noise, three_digits};

const WRITES: &str = "a string takes everything";

pub(super) const LEGEND: &str = "
x: times the rate of OTP 25 and of plain tokio (in rows of ms and bytes, times the time or bytes)
~: the same, but under 20 %: noise
";

/// Of one load: the row that goals are about, with its goals; then how cost grows with size.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows.iter().filter(|row| row.is_goal) {
        heading(&mut text, row);
        for entry in &row.entries {
            line(&mut text, row, entry);
        }
        for goal in row.load.goals {
            writeln!(text, "    {}", verdict(row, *goal)).expect(WRITES);
        }
    }
    growth(&mut text, rows);
    text
}

fn heading(text: &mut String, row: &Row) {
    let Load {
        name, title, unit, ..
    } = row.load;
    writeln!(text, "\n{name}, {}: {title} ({})", row.variant, unit.name()).expect(WRITES);
}

fn line(text: &mut String, row: &Row, entry: &Entry) {
    let name = entry.system.name;
    let figures = match &entry.figures {
        Ok(figures) => figures,
        Err(lost) => return writeln!(text, "    {name:<18}{lost}").expect(WRITES),
    };
    let [median, min, max] =
        [figures.median, figures.min, figures.max].map(|figure| human(figure, row.load.unit));
    let rounds = if figures.rounds == 1 {
        "round"
    } else {
        "rounds"
    };
    let range = format!("({min} to {max}, {} {rounds})", figures.rounds);
    write!(text, "    {name:<18}{median:>9}  {range:<34}").expect(WRITES);
    for reference in [BEAM, TOKIO] {
        write!(text, "{:>14}", ratio(row, figures, reference)).expect(WRITES);
    }
    if let Some(note) = (entry.system.note)(row.load.kind) {
        write!(text, "   {note}").expect(WRITES);
    }
    let trimmed = text.trim_end().len();
    text.truncate(trimmed);
    text.push('\n');
}

/// `x1.30 OTP 25`.
fn ratio(row: &Row, figures: &Figures, reference: &str) -> String {
    let Some(other) = row.figures(reference) else {
        return String::new();
    };
    let ratio = figures.median / other.median;
    let noise = if is_noise(ratio) { "~" } else { "x" };
    let places = if ratio < 0.1 { 3 } else { 2 };
    format!("{noise}{ratio:.places$} {reference}")
}

/// What Purlin is to reach here, and whether it does.
fn verdict(row: &Row, goal: Goal) -> String {
    let more = row.load.unit.more_is_better();
    let (text, ratio, limit) = match goal {
        Goal::Times(factor, other) => (
            format!(
                "goal: {} {factor} x {other}",
                if more { ">=" } else { "<=" }
            ),
            row.figures(PURLIN)
                .zip(row.figures(other))
                .map(|(ours, other)| ours.median / other.median),
            factor,
        ),
        Goal::AtMost(limit) => (
            format!("goal: <= {limit} {}", row.load.unit.name()),
            row.figures(PURLIN).map(|ours| ours.median),
            limit,
        ),
    };
    match ratio {
        None => text,
        Some(ratio) if (ratio >= limit) == more || ratio == limit => {
            format!("{text}: reached ({ratio:.2})")
        }
        Some(ratio) => format!("{text}: NOT REACHED ({ratio:.2})"),
    }
}

/// The cost of one operation, size by size.
fn growth(text: &mut String, rows: &[Row]) {
    let [first, _, ..] = rows else {
        return;
    };
    let (cost, axis) = (first.load.unit.cost_name(), first.load.axis());
    writeln!(text, "\n    {cost} an operation, by {axis}").expect(WRITES);
    write!(text, "    {:<18}", "").expect(WRITES);
    for row in rows {
        write!(text, "{:>12}", grouped(row.job.size)).expect(WRITES);
    }
    text.push('\n');
    for entry in &first.entries {
        growth_line(text, rows, entry.system.name);
    }
    for row in rows.iter().filter(|row| !row.is_goal) {
        losses(text, row);
    }
}

/// Why a size has no figure; at the goal's size the line of the system says it.
fn losses(text: &mut String, row: &Row) {
    for entry in &row.entries {
        if let Err(lost @ (Lost::TooLong(_) | Lost::Failed(_))) = &entry.figures {
            writeln!(text, "    {}, {}: {lost}", entry.system.name, row.variant).expect(WRITES);
        }
    }
}

fn growth_line(text: &mut String, rows: &[Row], system: &str) {
    write!(text, "    {system:<18}").expect(WRITES);
    for row in rows {
        let cost = row.cost(system).map(cost_text);
        write!(text, "{:>12}", cost.unwrap_or_else(|| "-".to_owned())).expect(WRITES);
    }
    text.push('\n');
}

fn cost_text(cost: f64) -> String {
    match cost {
        small if small < 100.0 => format!("{small:.1}"),
        large => grouped(large.round() as u64),
    }
}

impl Row {
    /// Nanoseconds or bytes of one operation.
    pub(super) fn cost(&self, system: &str) -> Option<f64> {
        let figures = self.figures(system)?;
        Some(self.load.unit.cost(figures.median, self.job.operations))
    }
}

fn human(figure: f64, unit: Unit) -> String {
    match unit {
        Unit::Rate(_) => human_rate(figure),
        Unit::Bytes => grouped(figure.round() as u64),
        Unit::Milliseconds if figure >= 1_000.0 => grouped(figure.round() as u64),
        Unit::Milliseconds => three_digits(figure),
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
    Some(figures.json(load, &row.variant, system, row.load.unit.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::{loads, systems};

    /// A row in which each system has one figure.
    fn row(load: &str, figures: &[f64]) -> Row {
        let load = loads::ALL.iter().find(|known| known.name == load);
        let load = load.expect("a load of that name");
        let job = load.job(load.size, false);
        let entry = |(system, figure): (&'static systems::System, &f64)| Entry {
            system,
            figures: Ok(Figures::of(vec![*figure])),
        };
        Row {
            load,
            job,
            variant: load.variant(job.size),
            is_goal: true,
            entries: systems::ALL.iter().zip(figures).map(entry).collect(),
        }
    }

    #[test]
    fn figures_have_three_digits() {
        assert_eq!(human(711_400.0, Unit::Rate("msg/s")), "711 k");
        assert_eq!(human(2_673.2, Unit::Bytes), "2,673");
        assert_eq!(human(26.14, Unit::Milliseconds), "26.1");
    }

    #[test]
    fn json_has_one_object_for_a_row_and_system() {
        let rows = [row("L1", &[4e6, 2e6])];
        let json = json(&rows);
        assert_eq!(json.matches("\"workload\": \"L1\"").count(), 2);
        let first = r#"{"workload": "L1", "variant": "1 pair", "system": "purlin", "median": 4000000.000, "#;
        assert!(json.contains(first), "{json}");
    }

    #[test]
    fn a_system_that_lost_is_in_the_table_with_its_reason() {
        let mut row = row("L8a", &[4.0, 2.0]);
        let reason = "has no monitors".to_owned();
        row.entries[0].figures = Err(Lost::Cannot(reason));
        let table = table(&[row]);
        assert!(table.contains("has no monitors"), "{table}");
        assert!(table.contains("goal: <= 0.6 x OTP 25\n"), "{table}");
    }

    #[test]
    fn a_run_that_was_ended_is_told_at_every_size() {
        let mut rows = [row("L8a", &[4.0]), row("L8a", &[4.0])];
        rows[0].is_goal = false;
        rows[0].entries[0].figures = Err(Lost::TooLong(std::time::Duration::from_secs(60)));
        let table = table(&rows);
        assert!(
            table.contains("purlin, 100,000 watched: was ended after 60 s"),
            "{table}"
        );
    }
}

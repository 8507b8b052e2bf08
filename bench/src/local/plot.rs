//! How the cost of an operation grows with size, as an SVG: one panel a load, one line a system,
//! both axes logarithmic. A flat line is a load whose cost does not depend on how many there are.

use std::fmt::Write;

use super::loads::grouped;
use super::rounds::Row;
use super::systems;

const COLUMNS: usize = 2;
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 340.0;
/// Room in a panel for title and axes.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 44.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 48.0;
/// Room above all panels for the legend.
const LEGEND: f64 = 40.0;

/// Told apart by the colour-blind too: Okabe and Ito, "Color Universal Design" (2008).
const COLOURS: [&str; 8] = [
    "#000000", "#d55e00", "#e69f00", "#0072b2", "#56b4e9", "#009e73", "#cc79a7", "#999999",
];

const WRITES: &str = "a string takes everything";

/// Panels of all loads that were run at several sizes.
pub(super) fn svg(rows: &[Row]) -> String {
    let panels: Vec<&[Row]> = rows
        .chunk_by(|a, b| a.load.name == b.load.name)
        .filter(|rows| rows.len() > 1)
        .collect();
    let width = WIDTH * COLUMNS as f64;
    let height = LEGEND + HEIGHT * panels.len().div_ceil(COLUMNS) as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    legend(&mut svg);
    for (index, panel) in panels.into_iter().enumerate() {
        let x = WIDTH * (index % COLUMNS) as f64;
        let y = LEGEND + HEIGHT * (index / COLUMNS) as f64;
        writeln!(svg, "<g transform=\"translate({x},{y})\">").expect(WRITES);
        draw(&mut svg, panel);
        svg += "</g>\n";
    }
    svg + "</svg>\n"
}

fn legend(svg: &mut String) {
    for (index, system) in systems::ALL.iter().enumerate() {
        let x = LEFT + 130.0 * index as f64;
        let colour = COLOURS[index % COLOURS.len()];
        writeln!(
            svg,
            "<rect x=\"{x}\" y=\"14\" width=\"12\" height=\"12\" fill=\"{colour}\"/>"
        )
        .expect(WRITES);
        text(svg, x + 18.0, 24.0, "start", system.name);
    }
}

/// From sizes and costs to points of a panel.
struct Axes {
    sizes: Range,
    costs: Range,
}

/// A logarithmic range, on so many points of the screen.
struct Range {
    from: f64,
    to: f64,
    begin: f64,
    end: f64,
}

/// What a range begins and ends with, times powers of ten.
const RUNGS: [f64; 3] = [1.0, 2.0, 5.0];

/// A range of more decades than this has its ticks at powers of ten alone.
const DECADES_OF_RUNGS: f64 = 2.5;

impl Range {
    /// The narrowest from rung to rung that holds all values.
    fn of(values: impl Iterator<Item = f64> + Clone, begin: f64, end: f64) -> Self {
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let most = values.fold(0.0, f64::max).max(least * 1.01);
        let below = rungs().take_while(|rung| *rung <= least).last();
        let above = rungs().find(|rung| *rung >= most);
        Self {
            from: below.unwrap_or(least),
            to: above.unwrap_or(most),
            begin,
            end,
        }
    }

    fn at(&self, value: f64) -> f64 {
        let part = (value / self.from).log10() / (self.to / self.from).log10();
        self.begin + part * (self.end - self.begin)
    }

    fn ticks(&self) -> Vec<f64> {
        match (self.to / self.from).log10() <= DECADES_OF_RUNGS {
            true => rungs().filter(|rung| self.holds(*rung)).collect(),
            false => self.powers(),
        }
    }

    fn powers(&self) -> Vec<f64> {
        let powers = rungs().step_by(RUNGS.len());
        powers.filter(|power| self.holds(*power)).collect()
    }

    fn holds(&self, value: f64) -> bool {
        (self.from..=self.to).contains(&value)
    }
}

/// From a thousandth of a nanosecond to a second: costs are within, and sizes.
fn rungs() -> impl Iterator<Item = f64> {
    let decade = |power| move |rung| rung * 10f64.powi(power);
    (-3..=9).flat_map(move |power| RUNGS.into_iter().map(decade(power)))
}

fn draw(svg: &mut String, rows: &[Row]) {
    let points: Vec<_> = systems::ALL
        .iter()
        .map(|system| points_of(rows, system.name))
        .collect();
    let all = points.iter().flatten();
    if all.clone().next().is_none() {
        return;
    }
    let axes = Axes {
        sizes: Range::of(all.clone().map(|point| point.0), LEFT, WIDTH - RIGHT),
        costs: Range::of(all.map(|point| point.1), HEIGHT - BOTTOM, TOP),
    };
    frame(svg, rows, &axes);
    for (index, points) in points.iter().enumerate() {
        line(svg, points, &axes, COLOURS[index % COLOURS.len()]);
    }
}

/// Size and cost, wherever the system has a figure.
fn points_of(rows: &[Row], system: &str) -> Vec<(f64, f64)> {
    rows.iter()
        .filter_map(|row| Some((row.job.size as f64, row.cost(system)?)))
        .collect()
}

fn frame(svg: &mut String, rows: &[Row], axes: &Axes) {
    let load = rows[0].load;
    text(
        svg,
        LEFT,
        20.0,
        "start",
        &format!("{}: {}", load.name, load.title),
    );
    let cost = format!("{} an operation", load.unit.cost_name());
    text(svg, LEFT, 38.0, "start", &cost);
    let middle = (axes.sizes.begin + axes.sizes.end) / 2.0;
    text(svg, middle, HEIGHT - 10.0, "middle", load.axis());
    for size in axes.sizes.powers() {
        let x = axes.sizes.at(size);
        grid(svg, (x, axes.costs.begin), (x, axes.costs.end));
        text(svg, x, HEIGHT - BOTTOM + 16.0, "middle", &label(size));
    }
    for cost in axes.costs.ticks() {
        let y = axes.costs.at(cost);
        grid(svg, (axes.sizes.begin, y), (axes.sizes.end, y));
        text(svg, LEFT - 6.0, y + 4.0, "end", &label(cost));
    }
}

/// `10,000`, or `0.1`.
fn label(value: f64) -> String {
    match value {
        small if small < 1.0 => small.to_string(),
        whole => grouped(whole.round() as u64),
    }
}

fn grid(svg: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    writeln!(
        svg,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#dddddd\"/>"
    )
    .expect(WRITES);
}

fn line(svg: &mut String, points: &[(f64, f64)], axes: &Axes, colour: &str) {
    let mut path = String::new();
    for &(size, cost) in points {
        let (x, y) = (axes.sizes.at(size), axes.costs.at(cost));
        write!(path, "{x:.1},{y:.1} ").expect(WRITES);
        writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
        )
        .expect(WRITES);
    }
    writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\"/>",
        path.trim_end()
    )
    .expect(WRITES);
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>"
    )
    .expect(WRITES);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_factors_are_equally_far() {
        let range = Range::of([30.0, 4_000.0].into_iter(), 0.0, 240.0);
        assert_eq!((range.from, range.to), (20.0, 5_000.0));
        let [a, b, c] = [50.0, 500.0, 5_000.0].map(|value| range.at(value));
        assert!((b - a - (c - b)).abs() < 1e-9);
        assert_eq!(c, 240.0);
    }

    #[test]
    fn a_wide_range_has_ticks_at_powers_of_ten_and_a_narrow_one_more() {
        let narrow = Range::of([30.0, 900.0].into_iter(), 0.0, 1.0);
        assert_eq!(narrow.ticks(), [20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0]);
        let wide = Range::of([1.0, 90_000.0].into_iter(), 0.0, 1.0);
        assert_eq!(wide.ticks().len(), 6);
    }

    #[test]
    fn equal_values_still_make_a_range() {
        let range = Range::of([10.0, 10.0].into_iter(), 0.0, 1.0);
        assert!(range.at(10.0).is_finite());
    }

    #[test]
    fn every_system_has_a_colour() {
        assert!(systems::ALL.len() <= COLOURS.len());
    }
}

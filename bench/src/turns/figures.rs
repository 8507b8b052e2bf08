//! Figures of several rounds, and how they are written.

/// A difference smaller than this says nothing.
const NOISE: f64 = 0.20;

/// Figures of some rounds.
#[derive(Debug, PartialEq)]
pub(crate) struct Figures {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) rounds: usize,
}

impl Figures {
    pub(crate) fn of(mut taken: Vec<f64>) -> Self {
        taken.sort_by(f64::total_cmp);
        let middle = [taken[(taken.len() - 1) / 2], taken[taken.len() / 2]];
        Self {
            median: middle.iter().sum::<f64>() / 2.0,
            min: taken[0],
            max: taken[taken.len() - 1],
            rounds: taken.len(),
        }
    }

    /// One object of the array that `--json` writes.
    pub(crate) fn json(&self, workload: &str, variant: &str, system: &str, unit: &str) -> String {
        let Self {
            median,
            min,
            max,
            rounds,
        } = self;
        format!(
            r#"{{"workload": "{workload}", "variant": "{variant}", "system": "{system}", "median": {median:.3}, "min": {min:.3}, "max": {max:.3}, "unit": "{unit}", "rounds": {rounds}}}"#
        )
    }
}

pub(crate) fn is_noise(ratio: f64) -> bool {
    ratio.max(1.0 / ratio) < 1.0 + NOISE
}

/// `117`, `26.1`, `0.53`.
pub(crate) fn three_digits(figure: f64) -> String {
    match figure {
        large if large >= 100.0 => format!("{large:.0}"),
        middle if middle >= 10.0 => format!("{middle:.1}"),
        small => format!("{small:.2}"),
    }
}

/// `5.95 M`, `712 k`, `26.1`.
pub(crate) fn human_rate(figure: f64) -> String {
    match figure {
        millions if millions >= 999_500.0 => format!("{} M", three_digits(millions / 1e6)),
        thousands if thousands >= 999.5 => format!("{} k", three_digits(thousands / 1e3)),
        ones => three_digits(ones),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_the_sorted_figures() {
        let odd = Figures::of(vec![30.0, 10.0, 20.0]);
        assert_eq!(
            (odd.median, odd.min, odd.max, odd.rounds),
            (20.0, 10.0, 30.0, 3)
        );
        let even = Figures::of(vec![30.0, 10.0]);
        assert_eq!((even.median, even.rounds), (20.0, 2));
    }

    #[test]
    fn a_difference_under_a_fifth_is_marked_as_noise() {
        assert!(is_noise(1.15) && is_noise(0.9));
        assert!(!is_noise(1.25) && !is_noise(0.8));
    }

    #[test]
    fn rates_have_three_digits() {
        assert_eq!(human_rate(5_954_321.0), "5.95 M");
        assert_eq!(human_rate(711_400.0), "711 k");
        assert_eq!(human_rate(999_900.0), "1.00 M");
    }
}

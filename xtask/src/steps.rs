//! The steps of a run: each is announced, timed and kept for the table at the end.
//!
//! A step that fails does not stop the next ones, so that one run shows all there is to mend.

use std::time::{Duration, Instant};

use anyhow::Result;

#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<Step>,
}

struct Step {
    name: &'static str,
    took: Duration,
    error: Option<String>,
}

impl Steps {
    /// Runs one step; its value, if it succeeded.
    pub(crate) fn run<T>(
        &mut self,
        name: &'static str,
        step: impl FnOnce() -> Result<T>,
    ) -> Option<T> {
        println!("\n== {name}");
        let started = Instant::now();
        let result = step();
        let took = started.elapsed();
        let error = result.as_ref().err().map(|error| format!("{error:#}"));
        if let Some(error) = &error {
            eprintln!("xtask: {name}: {error}");
        }
        self.done.push(Step { name, took, error });
        result.ok()
    }

    pub(crate) fn failed(&self) -> usize {
        self.done.iter().filter(|step| step.error.is_some()).count()
    }

    /// One line a step, then the total.
    pub(crate) fn table(&self) -> String {
        let mut table = format!("\n{:<24} {:<8} {:>8}\n", "step", "result", "seconds");
        for step in &self.done {
            let result = if step.error.is_some() { "FAILED" } else { "ok" };
            table += &format!(
                "{:<24} {result:<8} {:>8.1}\n",
                step.name,
                step.took.as_secs_f64()
            );
        }
        let total: Duration = self.done.iter().map(|step| step.took).sum();
        table += &format!("{:<24} {:<8} {:>8.1}\n", "total", "", total.as_secs_f64());
        for step in self.done.iter().filter(|step| step.error.is_some()) {
            let error = step.error.as_deref().unwrap_or_default();
            let first = error.lines().next().unwrap_or_default();
            table += &format!("{}: {first}\n", step.name);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_is_counted_and_shown_and_the_next_one_runs() {
        let mut steps = Steps::default();
        assert_eq!(
            steps.run("first", || anyhow::bail!("no luck") as Result<()>),
            None
        );
        assert_eq!(steps.run("second", || Ok(7)), Some(7));
        assert_eq!(steps.failed(), 1);
        let table = steps.table();
        assert!(table.contains("first: no luck"), "{table}");
        assert!(table.contains("second"), "{table}");
    }
}

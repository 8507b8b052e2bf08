//! Lets the systems take turns at each load, and keeps what they answer.

use std::time::{Duration, Instant};

use super::loads::{Column, Job, Load};
use super::pair::Pairs;
use super::spinners::Spinners;
use super::systems::{self, System};
use super::{BUDGET, LIMIT, Options};
use crate::turns::{Failure, Figures, Lost};

/// One column of one load, by every system.
pub(super) struct Row {
    pub(super) load: &'static Load,
    pub(super) column: &'static Column,
    pub(super) entries: Vec<Entry>,
}

/// What a system did in a row.
pub(super) struct Entry {
    pub(super) system: &'static System,
    /// In the unit of the load, or why there are none.
    pub(super) figures: Result<Figures, Lost>,
}

impl Row {
    pub(super) fn variant(&self) -> String {
        format!("{}{}", self.column.prefix, self.load.variant)
    }

    pub(super) fn figures(&self, system: &str) -> Option<&Figures> {
        let entry = self
            .entries
            .iter()
            .find(|entry| entry.system.name == system)?;
        entry.figures.as_ref().ok()
    }
}

/// What stays the same for all loads.
pub(super) struct Bench<'a> {
    pairs: Pairs,
    started: Instant,
    systems: Vec<&'static System>,
    options: &'a Options,
}

impl<'a> Bench<'a> {
    pub(super) fn prepare(options: &'a Options) -> Result<Self, Failure> {
        Ok(Self {
            pairs: Pairs::prepare()?,
            started: Instant::now(),
            systems: options.only.chosen(systems::ALL, System::described),
            options,
        })
    }

    /// Every system in turn, round by round.
    pub(super) fn rows(&self, load: &'static Load) -> Vec<Row> {
        let systems = self.systems.iter();
        let able = systems.filter(|system| (system.does)(load.kind, load.size));
        let mut turns: Vec<Turn> = able.map(|system| Turn::new(system)).collect();
        let spinners = load.has_spinners.then(Spinners::start).transpose();
        if let Err(error) = &spinners {
            let lost = || Some(Lost::Cannot(error.to_string()));
            turns.iter_mut().for_each(|turn| turn.lost = lost());
        }
        let job = load.job(self.options.quick);
        for _ in 0..self.options.rounds {
            for turn in turns.iter_mut().filter(|turn| turn.goes_on()) {
                turn.take(&self.pairs, load, job);
            }
        }
        let seconds = self.started.elapsed().as_secs();
        eprintln!("{seconds:>5} s  {}, {}", load.name, load.variant);
        let columns = load.columns.iter().enumerate();
        let row = |(number, column)| Row {
            load,
            column,
            entries: turns.iter().map(|turn| turn.entry(number)).collect(),
        };
        columns.map(row).collect()
    }
}

/// A system at one load.
struct Turn {
    system: &'static System,
    /// The figures of each column, run by run.
    taken: Vec<Vec<f64>>,
    used: Duration,
    lost: Option<Lost>,
}

impl Turn {
    fn new(system: &'static System) -> Self {
        Self {
            system,
            taken: Vec::new(),
            used: Duration::ZERO,
            lost: None,
        }
    }

    fn goes_on(&self) -> bool {
        self.lost.is_none() && self.used < BUDGET
    }

    fn take(&mut self, pairs: &Pairs, load: &Load, job: Job) {
        let start = Instant::now();
        match pairs.ask(self.system, job, LIMIT) {
            Ok(answer) if answer.len() == load.columns.len() => {
                let figure = |nanoseconds: &u64| load.unit.figure(*nanoseconds, job);
                self.taken.push(answer.iter().map(figure).collect());
            }
            Ok(answer) => self.lost = Some(Lost::Failed(format!("it answered {answer:?}"))),
            Err(lost) => self.lost = Some(lost),
        }
        self.used += start.elapsed();
    }

    fn entry(&self, column: usize) -> Entry {
        let figures = match &self.lost {
            Some(lost) => Err(lost.clone()),
            None => Ok(Figures::of(
                self.taken.iter().map(|run| run[column]).collect(),
            )),
        };
        Entry {
            system: self.system,
            figures,
        }
    }
}

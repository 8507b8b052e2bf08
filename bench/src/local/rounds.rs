//! Lets the systems take turns at each size of each load, and keeps what they answer.

use std::time::{Duration, Instant};

use super::loads::{Job, Load};
use super::systems::{self, System};
use super::worker::Workers;
use super::{GOAL_BUDGET, GROWTH_BUDGET, GROWTH_ROUNDS, LIMIT, Options};
use crate::turns::{Failure, Figures, Lost};

/// One size of one load, by every system.
pub(super) struct Row {
    pub(super) load: &'static Load,
    pub(super) job: Job,
    pub(super) variant: String,
    /// The size that the goals are about.
    pub(super) is_goal: bool,
    pub(super) entries: Vec<Entry>,
}

/// What a system did in a row.
pub(super) struct Entry {
    pub(super) system: &'static System,
    /// In the unit of the load, or why there are none.
    pub(super) figures: Result<Figures, Lost>,
}

impl Row {
    pub(super) fn figures(&self, system: &str) -> Option<&Figures> {
        let entry = self
            .entries
            .iter()
            .find(|entry| entry.system.name == system)?;
        entry.figures.as_ref().ok()
    }
}

impl Entry {
    fn took_too_long(&self) -> bool {
        matches!(self.figures, Err(Lost::TooLong(_)))
    }
}

/// What stays the same for all loads.
pub(super) struct Bench<'a> {
    workers: Workers,
    started: Instant,
    systems: Vec<&'static System>,
    options: &'a Options,
}

impl<'a> Bench<'a> {
    pub(super) fn prepare(options: &'a Options) -> Result<Self, Failure> {
        Ok(Self {
            workers: Workers::prepare()?,
            started: Instant::now(),
            systems: options.only.chosen(systems::ALL, System::described),
            options,
        })
    }

    /// One load, at its size or at all sizes.
    pub(super) fn rows(&self, load: &'static Load) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for &size in load.sizes {
            if self.options.growth || size == load.size {
                let row = self.row(load, size, rows.last());
                self.tell(&row);
                rows.push(row);
            }
        }
        rows
    }

    /// Every system in turn, round by round.
    fn row(&self, load: &'static Load, size: u64, smaller: Option<&Row>) -> Row {
        let job = load.job(size, self.options.quick);
        let is_goal = size == load.size;
        let (rounds, budget) = match is_goal {
            true => (self.options.rounds, GOAL_BUDGET),
            false => (self.options.rounds.min(GROWTH_ROUNDS), GROWTH_BUDGET),
        };
        let turn = |system: &&'static System| Turn::new(system, load, job, smaller);
        let mut turns: Vec<Turn> = self.systems.iter().map(turn).collect();
        for _ in 0..rounds {
            for turn in turns.iter_mut().filter(|turn| turn.goes_on(budget)) {
                turn.take(&self.workers, load);
            }
        }
        Row {
            load,
            job,
            variant: load.variant(job.size),
            is_goal,
            entries: turns.into_iter().map(Turn::finish).collect(),
        }
    }

    fn tell(&self, row: &Row) {
        let seconds = self.started.elapsed().as_secs();
        eprintln!("{seconds:>5} s  {}, {}", row.load.name, row.variant);
    }
}

/// A system at one size.
struct Turn {
    system: &'static System,
    job: Job,
    taken: Vec<f64>,
    used: Duration,
    lost: Option<Lost>,
}

impl Turn {
    fn new(system: &'static System, load: &'static Load, job: Job, smaller: Option<&Row>) -> Self {
        let entries = smaller.iter().flat_map(|row| &row.entries);
        let before = entries
            .filter(|entry| std::ptr::eq(entry.system, system))
            .find(|entry| entry.took_too_long());
        Self {
            system,
            job: job.shared((system.share)(load.kind)),
            taken: Vec::new(),
            used: Duration::ZERO,
            lost: before.map(|_| Lost::TooLong(LIMIT)),
        }
    }

    fn goes_on(&self, budget: Duration) -> bool {
        self.lost.is_none() && self.used < budget
    }

    fn take(&mut self, workers: &Workers, load: &Load) {
        let start = Instant::now();
        match workers.ask(self.system, self.job, LIMIT) {
            Ok(answer) => self
                .taken
                .push(load.unit.figure(answer, self.job.operations)),
            Err(lost) => self.lost = Some(lost),
        }
        self.used += start.elapsed();
    }

    fn finish(self) -> Entry {
        let figures = match self.lost {
            Some(lost) => Err(lost),
            None => Ok(Figures::of(self.taken)),
        };
        Entry {
            system: self.system,
            figures,
        }
    }
}

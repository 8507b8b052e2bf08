//! What is logged, as lines.

#![allow(
    dead_code,
    reason = "not every test file uses every part, and each is a crate of its own"
)]

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber, span};

/// Keeps every event as a line: its level, its fields.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

impl Log {
    /// What this thread logs from now on, until the guard is dropped.
    pub(crate) fn collect() -> (Self, DefaultGuard) {
        let log = Self::default();
        let guard = tracing::subscriber::set_default(log.clone());
        (log, guard)
    }

    /// What this OS process logs from now on.
    pub(crate) fn collect_all() -> Self {
        let log = Self::default();
        tracing::subscriber::set_global_default(log.clone()).expect("nobody else collects");
        log
    }

    /// The first line with a text.
    pub(crate) fn with(&self, text: &str) -> Option<String> {
        let lines = self.0.lock().unwrap();
        lines.iter().find(|line| line.contains(text)).cloned()
    }

    /// The lines with a text, which are not kept any more, nor are others.
    pub(crate) fn take(&self, text: &str) -> Vec<String> {
        let mut lines = std::mem::take(&mut *self.0.lock().unwrap());
        lines.retain(|line| line.contains(text));
        lines
    }
}

//! Logs, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::failure::Failure;

/// What is logged, and how.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    /// Levels and targets, as `info` or `warn,purlin_node=debug`.
    pub(crate) filter: String,
    pub(crate) format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Human,
    Json,
}

impl Log {
    /// Logs from here on, and says in the log what panicked.
    pub(crate) fn start(&self) -> Result<(), Failure> {
        let filter = targets(&self.filter).ok_or_else(|| {
            let text = &self.filter;
            Failure::usage(format!(
                "the log filter `{text}` cannot be read; write a level (error, warn, info, debug, \
                 trace, off) or TARGET=LEVEL, separated by commas"
            ))
        })?;
        let is_coloured = std::io::stderr().is_terminal() && !is_colour_refused();
        let layer = fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(is_coloured)
            // They would go to standard error, which is what failed.
            .log_internal_errors(false);
        let layer = match self.format {
            Format::Human => layer.boxed(),
            Format::Json => layer.json().boxed(),
        };
        tracing_subscriber::registry()
            .with(layer.with_filter(filter))
            .init();
        std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
        // Those of processes go into their exit reasons and crash reports instead.
        purlin::node::panics::install_hook();
        Ok(())
    }
}

/// Reads a filter. A word alone is a level: taken for a target, as the library has it, a misspelt
/// level would silence everything.
fn targets(filter: &str) -> Option<Targets> {
    let is_known = |word: &str| word.contains('=') || word.parse::<LevelFilter>().is_ok();
    filter
        .split(',')
        .all(is_known)
        .then(|| filter.parse().ok())?
}

/// True if the user wants no colours: see <https://no-color.org>.
pub(crate) fn is_colour_refused() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

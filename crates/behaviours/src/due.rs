//! Times that are given as OTP's are: from now on, or as a point in time (`{abs, Time}`).

use std::time::Duration;

use tokio::time::Instant;

/// When a time is over: that of a timeout, or that for which a reply is waited for.
#[derive(Debug, Clone, Copy)]
pub enum Due {
    /// After this time. After none: when what is there already has been looked at. After [`Duration::MAX`]: never,
    /// OTP's `infinity`.
    After(Duration),
    /// At this time.
    At(Instant),
}

impl Due {
    /// How long it is until then.
    pub(crate) fn left(self) -> Duration {
        match self {
            Self::After(after) => after,
            Self::At(at) => at.saturating_duration_since(Instant::now()),
        }
    }
}

impl From<Duration> for Due {
    fn from(after: Duration) -> Self {
        Self::After(after)
    }
}

impl From<Instant> for Due {
    fn from(at: Instant) -> Self {
        Self::At(at)
    }
}

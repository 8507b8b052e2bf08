//! How to monitor, to make an alias, and to ask for a process.

use purlin_term::{Pid, Term};

/// When an alias ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AliasMode {
    /// Never: only by `unalias/1`.
    ExplicitUnalias,
    /// With its monitor, when that fires or is taken back.
    Demonitor,
    /// With its monitor, or by the first message through it, which takes the monitor back. Without
    /// a monitor this is what `alias/1` calls `reply`.
    ReplyDemonitor,
}

/// How to monitor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MonitorOptions {
    /// The reference is to be an alias too.
    pub alias: Option<AliasMode>,
    /// What the process wants in the place of `'DOWN'`.
    pub tag: Option<Box<Term>>,
    /// Who has the name now, where a name of this node is monitored. Its signals go to that
    /// process: the name may be another's when the monitor is taken back.
    pub holder: Option<Pid>,
}

/// What a spawn request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpawnOptions {
    /// The new process is to be linked to this one.
    pub link: bool,
    /// The new process is to be monitored, with the request's reference. An alias becomes active
    /// with the reply.
    pub monitor: Option<MonitorOptions>,
    /// Deliver [`Info::Spawned`](super::Info::Spawned).
    pub reply_on_success: bool,
    /// Deliver [`Info::SpawnFailed`](super::Info::SpawnFailed).
    pub reply_on_error: bool,
    /// What the process wants in the place of `spawn_reply`.
    pub reply_tag: Option<Box<Term>>,
}

impl Default for SpawnOptions {
    /// No ties, and replies of both kinds.
    fn default() -> Self {
        Self {
            link: false,
            monitor: None,
            reply_on_success: true,
            reply_on_error: true,
            reply_tag: None,
        }
    }
}

//! Stopping: every process ends, in order, and none is left behind unnoticed.
//!
//! Processes are asked to shut down from the youngest to the oldest, so that who was started by another
//! ends before it. Those that have not ended when the deadline passes are killed. What a process does not
//! let go of, since it never comes to an await, is reported, not waited for.
//!
//! Two kinds of processes are not waited for: attached ones, which end when the code that has them lets
//! go, and kept ones, which whoever started them ends after all others.

use std::time::Duration;

use purlin_otp::reason;
use purlin_term::{Pid, Term};
use tokio::time::{Instant, sleep_until};

use crate::process::Seen;
use crate::runtime::Runtime;

/// How long a process that was killed may take to come to its next await. A guess, unmeasured.
const KILL_PATIENCE: Duration = Duration::from_secs(1);

/// How a runtime stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Processes that did not end in time and were killed.
    pub killed: usize,
    /// Processes that hold their threads and have not ended yet.
    pub left: Vec<Pid>,
}

impl Runtime {
    /// Ends every process: by `shutdown`, and after `timeout` by `kill`. Starts none any more.
    pub async fn stop(&self, timeout: Duration) -> Stopped {
        self.table().close();
        let mut stopped = Stopped::default();
        if !self.end_all(&reason::shutdown(), timeout).await {
            stopped.killed = self.table().ordinary();
            self.end_all(&reason::kill(), KILL_PATIENCE).await;
        }
        self.timers().stop();
        self.system_monitors().stop();
        stopped.left = self.ordinary_processes();
        for pid in &stopped.left {
            tracing::error!(%pid, "a process holds its thread and does not end");
        }
        stopped
    }

    fn ordinary_processes(&self) -> Vec<Pid> {
        let all = self.table().all().into_iter();
        let ordinary = all.filter(|process| !process.head().is_apart());
        ordinary.map(|process| process.head().pid()).collect()
    }

    /// Tells every process to end, and waits until none is left that is waited for; false when that
    /// takes longer than `timeout`.
    async fn end_all(&self, reason: &Term, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut told = Seen::default();
        loop {
            let changed = self.table().changed();
            let mut changed = std::pin::pin!(changed);
            // Before it looks: what changes between the two is not to be missed.
            changed.as_mut().enable();
            self.tell_new(reason, &mut told);
            if self.table().ordinary() == 0 {
                return true;
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = sleep_until(deadline) => return false,
            }
        }
    }

    /// Tells those to end that were not told yet, the youngest first.
    fn tell_new(&self, reason: &Term, told: &mut Seen) {
        for process in self.table().unseen(told).iter().rev() {
            self.exit(process.head().pid(), reason.clone());
        }
    }
}

//! The real executor: tokio's tasks, the system's clock and random bytes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::runtime::Handle;

use crate::executor::{BoxFuture, Executor, TaskHandle};

/// An [`Executor`] on the tokio runtime that it was made in.
#[derive(Debug, Clone)]
pub struct TokioExecutor {
    runtime: Handle,
}

impl TokioExecutor {
    /// An executor whose tasks run on the current runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn current() -> Self {
        Self {
            runtime: Handle::current(),
        }
    }
}

impl Executor for TokioExecutor {
    fn spawn(&self, task: BoxFuture<'static, ()>) -> Box<dyn TaskHandle> {
        Box::new(TokioTask(self.runtime.spawn(task).abort_handle()))
    }

    fn tokio(&self) -> Option<&Handle> {
        Some(&self.runtime)
    }

    fn spawn_on_thread(&self, task: BoxFuture<'static, ()>) {
        let runtime = self.runtime.clone();
        drop(self.runtime.spawn_blocking(move || runtime.block_on(task)));
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        drop(self.runtime.spawn_blocking(work));
    }

    fn wall_clock(&self) -> Duration {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    }

    fn random(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}

struct TokioTask(tokio::task::AbortHandle);

impl TaskHandle for TokioTask {
    fn abort(&self) {
        self.0.abort();
    }
}

//! What processes need from the world: a place to run, threads for blocking work, a wall clock and
//! random bytes.
//!
//! Every task that a runtime starts goes through one [`Executor`], so that a simulator can run the
//! same processes in virtual time. Monotonic time is tokio's (`tokio::time`), which a simulator
//! pauses. A node's `Host` extends this trait by a network.

use std::pin::Pin;
use std::time::Duration;

/// A future on the heap, as a trait object needs it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a runtime needs from the world.
pub trait Executor: Send + Sync + 'static {
    /// Runs a task until it ends or its handle aborts it.
    fn spawn(&self, task: BoxFuture<'static, ()>) -> Box<dyn TaskHandle>;

    /// Runs a task that other nodes rely on. It goes on, if more slowly, while processes hold every thread
    /// that runs tasks; only its timers may be as late as those processes make all others.
    fn spawn_vital(&self, task: BoxFuture<'static, ()>) -> Box<dyn TaskHandle> {
        self.spawn(task)
    }

    /// The tokio runtime on which processes may be started directly, if any may: it spares each an
    /// allocation. Otherwise they come by [`Executor::spawn`], and are ended by signals all the same.
    fn tokio(&self) -> Option<&tokio::runtime::Handle> {
        None
    }

    /// Runs a task on a thread of its own, where it may block without delaying others.
    fn spawn_on_thread(&self, task: BoxFuture<'static, ()>);

    /// Runs blocking work on a thread where it delays no task.
    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send>);

    /// Time since the Unix epoch. For people and protocols that carry it; nothing is decided by it.
    fn wall_clock(&self) -> Duration;

    /// Fills `bytes` with random ones, fit for challenges.
    fn random(&self, bytes: &mut [u8]);
}

/// Stops a task.
pub trait TaskHandle: Send + Sync {
    /// Drops the task at its next await; no effect on one that has ended.
    fn abort(&self);
}

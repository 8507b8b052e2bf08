//! What a program lets its node run: supervision trees, which end before the node leaves its cluster.

use std::time::Duration;

use purlin_behaviours::supervisor::Supervisor;
use purlin_behaviours::{GenServer, ServerRef, StartError, Starter, Starting};
use purlin_otp::relations::Info;
use purlin_runtime::{Attached, Received};
use purlin_term::{Pid, Reference, atom};
use tokio::time::{Instant, timeout_at};

use super::Node;
use crate::process::Mailbox;

impl Starter for Node {
    fn starting(&self) -> Starting<'_> {
        Starting::on(self.runtime())
    }
}

impl Starter for Mailbox {
    fn starting(&self) -> Starting<'_> {
        let process: &purlin_runtime::Process<_> = self;
        process.starting()
    }
}

impl Node {
    /// Starts a supervision tree, and waits until all of its children are started. [`Node::stop`] ends the
    /// trees first, the youngest first, each in the order of its supervisor.
    ///
    /// # Errors
    /// [`StartError`]: a child did not start; nothing of the tree is left.
    pub async fn supervise(
        &self,
        supervisor: Supervisor,
    ) -> Result<ServerRef<Supervisor>, StartError> {
        let started = supervisor.start(self).await?;
        if let Some(pid) = started.pid() {
            self.end_with_node(pid);
        }
        Ok(started)
    }

    /// A process that ends before the node leaves its cluster.
    pub(super) fn end_with_node(&self, pid: Pid) {
        let mut trees = self.trees();
        trees.retain(|tree| self.runtime().is_process_alive(*tree));
        trees.push(pid);
    }

    fn trees(&self) -> std::sync::MutexGuard<'_, Vec<Pid>> {
        let trees = self.0.trees.lock();
        trees.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Ends all trees, one after another. What has not ended after `patience` is left to the end of all
    /// processes.
    pub(crate) async fn end_trees(&self, patience: Duration) {
        let trees = std::mem::take(&mut *self.trees());
        let Ok(mut watcher) = self.runtime().attach::<()>() else {
            return;
        };
        let deadline = Instant::now() + patience;
        for tree in trees.into_iter().rev() {
            let monitor = watcher.monitor(tree);
            self.runtime().exit(tree, atom!("shutdown"));
            if timeout_at(deadline, ended(&mut watcher, monitor))
                .await
                .is_err()
            {
                tracing::warn!(supervisor = %tree, "a supervision tree did not end in time");
                return;
            }
        }
    }
}

/// Returns when what the monitor watches has ended.
async fn ended(watcher: &mut Attached<()>, monitor: Reference) {
    loop {
        match watcher.receive().await {
            Ok(Received::Info(Info::Down { reference, .. })) if reference == monitor => return,
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

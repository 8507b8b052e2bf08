//! What a program lets its node run: supervision trees, which end before the node leaves its cluster.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use purlin_behaviours::supervisor::Supervisor;
use purlin_behaviours::{GenServer, ServerRef, StartError, Starter, Starting};
use purlin_otp::relations::Info;
use purlin_runtime::{Attached, Received, Runtime};
use purlin_term::{Pid, Reference, atom};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time;

use super::Node;
use crate::process::Mailbox;

/// The processes that end before their node leaves its cluster, in the order in which they were started; a handle.
#[derive(Clone, Default)]
pub(super) struct Trees(Arc<TreesInner>);

#[derive(Default)]
struct TreesInner {
    trees: Mutex<Vec<Pid>>,
    /// Held while they are ended: who else stops the node waits for that too.
    ending: AsyncMutex<()>,
}

impl Trees {
    pub(super) fn push(&self, runtime: &Runtime, pid: Pid) {
        let mut trees = self.trees();
        trees.retain(|tree| runtime.is_process_alive(*tree));
        trees.push(pid);
    }

    /// The youngest.
    fn pop(&self) -> Option<Pid> {
        self.trees().pop()
    }

    fn trees(&self) -> MutexGuard<'_, Vec<Pid>> {
        self.0.trees.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
            self.0.trees.push(self.runtime(), pid);
        }
        Ok(started)
    }

    /// Ends all trees, one after another, also those that are started meanwhile. What has not ended after
    /// `timeout` is left to the end of all processes.
    pub(crate) async fn end_trees(&self, timeout: Duration) {
        if time::timeout(timeout, self.end_each_tree()).await.is_err() {
            tracing::warn!("a supervision tree did not end in time");
        }
    }

    async fn end_each_tree(&self) {
        let trees = &self.0.trees;
        let _ending = trees.0.ending.lock().await;
        let mut watcher = None;
        while let Some(tree) = trees.pop() {
            if watcher.is_none() {
                watcher = self.runtime().attach::<()>().ok();
            }
            let monitor = watcher.as_ref().map(|watcher| watcher.monitor(tree));
            self.runtime().exit(tree, atom!("shutdown"));
            match (&mut watcher, monitor) {
                (Some(watcher), Some(monitor)) => ended(watcher, monitor).await,
                _ => tracing::warn!(
                    supervisor = %tree,
                    "as many processes live as may: the end of a supervision tree is not waited for"
                ),
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

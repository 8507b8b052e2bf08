//! A node on threads of its own, which its processes can hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use purlin_node::{Mailbox, Node, NodeBuilder};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

/// Threads that run the tasks of the node.
const THREADS: usize = 2;

/// A node whose tasks no other node of the test shares the threads of.
pub struct Apart {
    pub node: Node,
    runtime: Option<Runtime>,
}

impl Apart {
    pub async fn start(builder: NodeBuilder) -> Self {
        let mut threads = Builder::new_multi_thread();
        let runtime = threads
            .worker_threads(THREADS)
            .enable_all()
            .build()
            .unwrap();
        let started = runtime.spawn(builder.start()).await.unwrap();
        Self {
            node: started.unwrap(),
            runtime: Some(runtime),
        }
    }

    /// Holds every thread with processes that compute until [`Held::release`].
    pub async fn hold(&self) -> Held {
        let held = Held::default();
        let (running, mut runs) = mpsc::unbounded_channel();
        for _ in 0..THREADS {
            let (is_released, running) = (held.is_released.clone(), running.clone());
            let computing = move |_: Mailbox| async move {
                running.send(()).unwrap();
                compute(&is_released);
            };
            self.node.spawn(computing).unwrap();
        }
        for _ in 0..THREADS {
            runs.recv().await.unwrap();
        }
        held
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Threads that are held.
#[derive(Default)]
pub struct Held {
    pub is_released: Arc<AtomicBool>,
}

impl Held {
    pub fn release(self) {}
}

impl Drop for Held {
    fn drop(&mut self) {
        self.is_released.store(true, Ordering::Relaxed);
    }
}

/// Computes without an await until it is told to stop.
pub fn compute(is_released: &AtomicBool) {
    while !is_released.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
}

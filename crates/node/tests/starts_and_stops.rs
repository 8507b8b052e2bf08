//! Nodes that were stopped and dropped leave no thread behind.
//!
//! Alone in its file, since it counts the threads of the whole OS process.

mod support;

use support::{Net, PATIENCE};

const RUNS: usize = 50;

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_were_connected_and_stopped_leave_no_thread() {
    let net = Net::new().await;
    let before = threads();
    for _ in 0..RUNS {
        let (one, other) = (net.node("one").await, net.node("other").await);
        one.ping(other.name(), PATIENCE).await.unwrap();
        one.stop(PATIENCE).await;
        other.stop(PATIENCE).await;
    }
    // Threads that were told to end do so soon, not at once.
    let ended = tokio::time::timeout(PATIENCE, async {
        while threads() > before {
            tokio::task::yield_now().await;
        }
    });
    let ended = ended.await;
    assert!(ended.is_ok(), "{} instead of {before}", threads());
}

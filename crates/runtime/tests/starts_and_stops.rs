//! A runtime that was stopped and dropped leaves nothing behind: no task, no thread, no memory.
//!
//! Alone in its file, since it counts what the whole OS process has.

use std::sync::Arc;
use std::time::Duration;

use purlin_runtime::{Config, Process, Runtime, SpawnOptions, Stopped, TokioExecutor};
use purlin_term::{NodeName, Term, atom};

const RUNS: usize = 1_000;

/// After so many runs allocator and thread pools have what they keep.
const WARM: usize = 200;

/// What may be added between warm and the end: 4 KiB a run would be 3.2 MB.
const GROWTH_MAX: u64 = 3 << 20;

async fn start_and_stop() {
    let node = NodeName::new(&atom!("again@127.0.0.1")).unwrap();
    let mut config = Config::default();
    config.long_schedule = Some(Duration::from_secs(60));
    let runtime = Runtime::new(node, 1, Arc::new(TokioExecutor::current()), config);
    let parent = runtime
        .spawn_with(
            SpawnOptions::default().name(atom!("parent")),
            |mut me: Process<Term>| async move {
                me.trap_exit(true);
                for _ in 0..10 {
                    // Refused from the moment when the runtime stops, which may be at once.
                    let child = me.spawn_link(|mut me: Process<Term>| async move {
                        me.receive().await;
                    });
                    if child.is_err() {
                        break;
                    }
                    me.monitor(me.runtime().whereis(&atom!("parent")).unwrap());
                }
                me.receive().await;
            },
        )
        .unwrap();
    runtime.send_after(Duration::from_secs(600), parent.clone(), Term::from(1));
    runtime
        .send(atom!("parent"), vec![7_u8; 1000])
        .await
        .unwrap();
    let stopped = runtime.stop(Duration::from_secs(10)).await;
    assert_eq!(stopped, Stopped::default());
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_starts_and_stops_leave_no_task_no_thread_and_no_memory() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let (tasks, before) = (metrics.num_alive_tasks(), threads());
    let mut warm = 0;
    for run in 0..RUNS {
        start_and_stop().await;
        if run == WARM {
            warm = resident_bytes();
        }
    }
    // Tasks and threads that were told to end do so soon, not at once.
    let ended = tokio::time::timeout(Duration::from_secs(10), async {
        while metrics.num_alive_tasks() > tasks || threads() > before {
            tokio::task::yield_now().await;
        }
    });
    let left = ended.await.is_err();
    let now = (metrics.num_alive_tasks(), threads());
    assert!(!left, "{now:?} instead of {:?}", (tasks, before));
    let growth = resident_bytes().saturating_sub(warm);
    assert!(
        growth < GROWTH_MAX,
        "{growth} bytes more than after {WARM} runs"
    );
}

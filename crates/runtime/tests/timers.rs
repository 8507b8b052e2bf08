//! Timers: many at once, and when they fire.

use std::sync::Arc;
use std::time::Duration;

use purlin_runtime::limits::FIRES_MAX;
use purlin_runtime::{Config, Process, Runtime, TokioExecutor};
use purlin_term::{NodeName, atom};
use tokio::time::Instant;

fn runtime() -> Runtime {
    let node = NodeName::new(&atom!("here@127.0.0.1")).unwrap();
    let mut config = Config::default();
    config.watermark = None;
    Runtime::new(node, 1, Arc::new(TokioExecutor::current()), config)
}

/// On one thread, whose clock stands still but for what the test adds: the counts are exact.
#[tokio::test(start_paused = true)]
async fn timers_that_are_due_at_once_let_others_have_their_turns() {
    const TURNS: usize = 20;
    let runtime = runtime();
    let mut mailbox = runtime.attach::<usize>().unwrap();
    let count = 4 * TURNS * FIRES_MAX as usize;
    for number in 0..count {
        runtime.send_after(Duration::from_millis(10), mailbox.address(), number);
    }
    assert_eq!(runtime.timer_count(), count);
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_millis(11)).await;
    let mut turns = 0;
    let mut left = runtime.timer_count();
    while left > 0 {
        turns += 1;
        tokio::task::yield_now().await;
        let fewer = runtime.timer_count();
        assert!(left - fewer <= 4 * FIRES_MAX as usize, "{left}, {fewer}");
        left = fewer;
    }
    assert!(turns >= TURNS - 1, "{turns}");
    for _ in 0..count {
        mailbox.receive().await.unwrap();
    }
    assert!(mailbox.try_receive().unwrap().is_none());
}

/// What SEMANTICS says of the resolution; with a clock that jumps from timer to timer.
#[tokio::test(start_paused = true)]
async fn a_timer_is_never_early_and_at_most_a_millisecond_late() {
    let runtime = runtime();
    let micros = [0, 1, 999, 1_000, 1_001, 2_500, 77_777, 3_600_000_001];
    for delay in micros.map(Duration::from_micros) {
        let (sender, fired) = tokio::sync::oneshot::channel();
        let address = runtime
            .spawn(|mut me: Process<()>| async move {
                me.receive_message().await;
                let _ = sender.send(Instant::now());
            })
            .unwrap();
        let begun = Instant::now();
        let timer = runtime.send_after(delay, address, ());
        assert_eq!(runtime.read_timer(&timer), Some(delay));
        let taken = fired.await.unwrap() - begun;
        assert!(taken >= delay, "{delay:?} took {taken:?}");
        assert!(
            taken <= delay + Duration::from_millis(1),
            "{delay:?} took {taken:?}"
        );
    }
}

//! Tasks run behind the gate of their process, and virtual time is exact.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use purlin_node::host::Executor;
use purlin_sim::{Config, Sim, SimHost, World};
use tokio::time::sleep;

const MILLI: Duration = Duration::from_millis(1);

fn play<F>(scenario: impl FnOnce(World, Arc<SimHost>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let run = Sim::new(Config::new(1)).run(|world| {
        let host = world.machine("here").boot();
        scenario(world, host)
    });
    assert!(run.output.is_some());
}

/// A task that counts its steps, one a millisecond.
fn count(host: &SimHost) -> Arc<AtomicU64> {
    let steps = Arc::new(AtomicU64::new(0));
    let counting = steps.clone();
    host.spawn(Box::pin(async move {
        loop {
            counting.fetch_add(1, Ordering::Relaxed);
            sleep(MILLI).await;
        }
    }));
    steps
}

#[test]
fn a_paused_process_stands_still_and_goes_on() {
    play(|_, host| async move {
        let steps = count(&host);
        sleep(10 * MILLI).await;
        host.pause();
        let before = steps.load(Ordering::Relaxed);
        sleep(100 * MILLI).await;
        assert_eq!(steps.load(Ordering::Relaxed), before);
        host.resume();
        sleep(10 * MILLI).await;
        assert!(steps.load(Ordering::Relaxed) > before);
    });
}

#[test]
fn a_slow_process_pays_for_each_step() {
    play(|_, host| async move {
        host.slow(10 * MILLI);
        let steps = [count(&host), count(&host)];
        sleep(1000 * MILLI).await;
        let total: u64 = steps.iter().map(|n| n.load(Ordering::Relaxed)).sum();
        assert!(
            (90..=110).contains(&total),
            "{total} steps of 10 ms in a second"
        );
    });
}

#[test]
fn a_killed_process_drops_its_tasks_and_starts_none() {
    play(|_, host| async move {
        let held = Arc::new(());
        let holding = held.clone();
        host.spawn(Box::pin(async move {
            let _held = holding;
            std::future::pending::<()>().await;
        }));
        sleep(MILLI).await;
        assert_eq!(Arc::strong_count(&held), 2);
        host.kill();
        assert_eq!(Arc::strong_count(&held), 1);
        let steps = count(&host);
        sleep(10 * MILLI).await;
        assert_eq!(steps.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn an_aborted_task_is_dropped_later_and_not_within_the_abort() {
    play(|_, host| async move {
        let held = Arc::new(());
        let holding = held.clone();
        let task = host.spawn(Box::pin(async move {
            let _held = holding;
            std::future::pending::<()>().await;
        }));
        sleep(MILLI).await;
        task.abort();
        assert_eq!(Arc::strong_count(&held), 2);
        sleep(MILLI).await;
        assert_eq!(Arc::strong_count(&held), 1);
    });
}

#[test]
fn the_worlds_own_time_has_nanoseconds_and_keeps_tokios_timers_exact() {
    play(|world, _| async move {
        let nanos = Duration::from_nanos;
        world.sleep(nanos(1_234_567)).await;
        assert_eq!(world.now(), nanos(1_234_567));
        sleep(MILLI).await;
        assert_eq!(
            world.now(),
            3 * MILLI,
            "tokio rounds up to whole milliseconds"
        );
        world.sleep(nanos(1)).await;
        world.sleep(nanos(1)).await;
        assert_eq!(world.now(), 3 * MILLI + nanos(2));
    });
}

#[test]
fn a_wall_clock_jumps_and_the_worlds_time_does_not() {
    play(|world, host| async move {
        let (wall, now) = (host.wall_clock(), world.now());
        host.machine().set_skew_ms(-5000);
        assert_eq!(host.wall_clock() + Duration::from_secs(5), wall);
        assert_eq!(world.now(), now);
    });
}

#[test]
fn blocking_work_is_done_and_delays_no_task() {
    play(|_, host| async move {
        let done = Arc::new(AtomicU64::new(0));
        let doing = done.clone();
        host.spawn_blocking(Box::new(move || {
            doing.fetch_add(1, Ordering::Relaxed);
        }));
        assert_eq!(done.load(Ordering::Relaxed), 0);
        sleep(10 * MILLI).await;
        assert_eq!(done.load(Ordering::Relaxed), 1);
    });
}

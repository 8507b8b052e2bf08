//! Skeletons: what is done when a process falls, and that nothing is lost.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use purlin_behaviours::skeleton::{Farm, JobError, Worker, map, pipe, reduce};
use purlin_behaviours::supervisor::Status;
use purlin_behaviours::task::TaskError;
use purlin_otp::relations::Info;
use purlin_runtime::{Config, Process, Received};
use purlin_term::{Pid, atom};
use support::{runtime, runtime_of};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Takes ten milliseconds for a job and falls with those that say so. Counts its attempts and what runs.
struct Slow {
    attempts: Arc<AtomicUsize>,
    running: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

/// A number to double, and how many attempts fail.
#[derive(Clone)]
struct Double(u64, usize, Arc<AtomicUsize>);

fn double(n: u64, falls: usize) -> Double {
    Double(n, falls, Arc::default())
}

impl Worker for Slow {
    type Job = Double;
    type Result = u64;

    async fn work(&mut self, Double(n, falls, fallen): Double) -> u64 {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(running, Ordering::Relaxed);
        sleep(ms(10)).await;
        self.running.fetch_sub(1, Ordering::Relaxed);
        assert!(fallen.fetch_add(1, Ordering::Relaxed) >= falls, "fallen");
        2 * n
    }
}

#[derive(Default, Clone)]
struct Counts {
    attempts: Arc<AtomicUsize>,
    running: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Counts {
    fn worker(&self) -> Slow {
        Slow {
            attempts: self.attempts.clone(),
            running: self.running.clone(),
            most: self.most.clone(),
        }
    }

    fn attempts(&self) -> usize {
        self.attempts.load(Ordering::Relaxed)
    }
}

fn farm(workers: usize, counts: &Counts) -> Farm<Double, u64> {
    let counts = counts.clone();
    Farm::new(workers, move || counts.worker())
}

#[tokio::test(start_paused = true)]
async fn jobs_are_done_by_so_many_workers_at_once_and_answered_in_their_order() {
    let (runtime, counts) = (runtime(), Counts::default());
    let farm = farm(3, &counts);
    farm.start(&runtime).await.unwrap();
    let began = Instant::now();
    let results = farm.run_all((0..9).map(|n| double(n, 0))).await;
    assert_eq!(results, (0..9).map(|n| Ok(2 * n)).collect::<Vec<_>>());
    assert_eq!(counts.most.load(Ordering::Relaxed), 3);
    assert!((ms(30)..ms(40)).contains(&began.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_worker_falls_is_tried_again_so_often_and_then_answered() {
    let (runtime, counts) = (runtime(), Counts::default());
    let farm = farm(2, &counts).retries(2);
    farm.start(&runtime).await.unwrap();
    let results = farm
        .run_all([double(1, 2), double(2, 3), double(3, 0)])
        .await;
    assert_eq!((&results[0], &results[2]), (&Ok(2), &Ok(6)));
    let Err(JobError::Failed {
        reason,
        attempts: 3,
    }) = &results[1]
    else {
        panic!("{results:?}");
    };
    assert!(reason.to_string().contains("fallen"), "{reason}");
    assert_eq!(counts.attempts(), 3 + 3 + 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_worker_is_killed_is_tried_again() {
    let (runtime, counts) = (runtime(), Counts::default());
    let farm = farm(1, &counts).retries(1);
    let supervisor = farm.start(&runtime).await.unwrap();
    let pending = farm.submit(double(4, 0)).await;
    for attempt in 1..=2 {
        sleep(ms(5)).await;
        assert_eq!(counts.attempts(), attempt);
        if attempt == 1 {
            let children = supervisor.which_children().await.unwrap();
            let Status::Running(pid) = children[0].status else {
                panic!("it runs");
            };
            runtime.exit(pid, atom!("kill"));
        }
    }
    assert_eq!(pending.await, Ok(8));
}

#[tokio::test(start_paused = true)]
async fn who_brings_a_job_to_a_full_farm_waits_and_one_given_up_is_not_done() {
    let (runtime, counts) = (runtime(), Counts::default());
    let farm = farm(1, &counts).queue_max(2);
    let first = farm.submit(double(1, 0)).await;
    let second = farm.submit(double(2, 0)).await;
    assert!(timeout(ms(100), farm.submit(double(3, 0))).await.is_err());
    drop(first);
    farm.start(&runtime).await.unwrap();
    assert_eq!(farm.run(double(4, 0)).await, Ok(8));
    assert_eq!(second.await, Ok(4));
    assert_eq!(counts.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn stages_work_at_once_and_a_failed_item_is_passed_on_in_its_place() {
    let runtime = runtime();
    let began = Instant::now();
    let mut pipe = pipe(&runtime, 1, 0..6_u64)
        .unwrap()
        .stage(|n| async move {
            sleep(ms(10)).await;
            assert_ne!(n, 2, "two");
            n + 1
        })
        .unwrap()
        .stage(|n| async move {
            sleep(ms(10)).await;
            n * 10
        })
        .unwrap();
    for n in 0..6 {
        let result = pipe.next().await.unwrap();
        match n {
            2 => assert!(result.unwrap_err().to_string().contains("two")),
            n => assert_eq!(result, Ok((n + 1) * 10)),
        }
    }
    assert_eq!(pipe.next().await, None);
    assert!(began.elapsed() <= ms(75), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_pipe_takes_in_no_more_than_its_queues_hold_and_ends_when_it_is_dropped() {
    let runtime = runtime();
    let before = runtime.process_count();
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = taken.clone();
    let items = (0..).inspect(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let mut pipe = pipe(&runtime, 2, items)
        .unwrap()
        .stage(|n: u64| async move { n })
        .unwrap();
    sleep(ms(10)).await;
    // Two wait in each of two queues, and each of two stages has one in hand.
    assert_eq!(taken.load(Ordering::Relaxed), 6);
    assert_eq!(pipe.next().await, Some(Ok(0)));
    drop(pipe);
    sleep(ms(1)).await;
    assert_eq!(runtime.process_count(), before);
}

#[tokio::test(start_paused = true)]
async fn a_pipe_whose_stage_is_killed_says_that_it_is_cut() {
    let runtime = runtime();
    let mut pipe = pipe(&runtime, 1, 0..9_u64)
        .unwrap()
        .stage(|n| async move {
            if n == 1 {
                std::future::pending::<()>().await;
            }
            n
        })
        .unwrap();
    assert_eq!(pipe.next().await, Some(Ok(0)));
    let stage = *runtime.processes().last().unwrap();
    runtime.exit(stage, atom!("kill"));
    assert!(matches!(pipe.next().await, Some(Err(TaskError::Exit(_)))));
    assert_eq!(pipe.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_pipe_whose_items_fail_to_come_says_why_after_those_that_came() {
    let runtime = runtime();
    let items = (0..9_u64).inspect(|n| assert_ne!(*n, 1, "no item"));
    let mut pipe = pipe(&runtime, 1, items)
        .unwrap()
        .stage(|n| async move { n + 1 })
        .unwrap();
    assert_eq!(pipe.next().await, Some(Ok(1)));
    let failed = pipe.next().await.unwrap().unwrap_err().to_string();
    assert!(failed.contains("no item"), "{failed}");
    assert_eq!(pipe.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_farm_of_no_workers_has_one() {
    let runtime = runtime();
    let farm = Farm::new(0, || Fragile);
    farm.start(&runtime).await.unwrap();
    assert_eq!(farm.run(2).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_map_is_in_order_or_fails_with_the_first_failure_and_ends_the_rest() {
    let runtime = runtime();
    let before = runtime.process_count();
    let squares = map(&runtime, 0..100_u64, |n| async move { n * n })
        .await
        .unwrap();
    assert_eq!(squares, (0..100).map(|n| n * n).collect::<Vec<_>>());
    let failed = map(&runtime, 0..10_u64, |n| async move {
        match n {
            3 => panic!("three"),
            n if n > 3 => std::future::pending().await,
            _ => {}
        }
    });
    let failed = failed.await.unwrap_err();
    assert!(failed.to_string().contains("three"), "{failed}");
    sleep(ms(1)).await;
    assert_eq!(runtime.process_count(), before);
}

#[tokio::test(start_paused = true)]
async fn a_reduction_combines_all_items_in_their_order() {
    let runtime = runtime();
    for count in [0, 1, 2, 15, 16, 17, 33, 1000] {
        let words = (0..count).map(|n| format!("{n},"));
        let expected = words.clone().reduce(|one, other| one + &other);
        let combined = reduce(&runtime, words, |one, other| one + &other).await;
        assert_eq!(combined, Ok(expected), "{count}");
    }
    let failed = reduce(&runtime, 0..100_u64, |_, _| panic!("no")).await;
    assert!(matches!(failed, Err(TaskError::Exit(_))));
}

/// Falls with a job that is odd.
struct Fragile;

impl Worker for Fragile {
    type Job = u64;
    type Result = u64;

    async fn work(&mut self, n: u64) -> u64 {
        assert!(n.is_multiple_of(2), "odd");
        n
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_be_made_is_the_failure_of_the_job_that_it_was_to_have() {
    let runtime = runtime();
    let made = Arc::new(AtomicUsize::new(0));
    let counted = made.clone();
    let farm = Farm::new(1, move || {
        let before = counted.fetch_add(1, Ordering::Relaxed);
        assert!(before >= 4, "no worker");
        Fragile
    });
    farm.start(&runtime).await.unwrap();
    sleep(ms(1000)).await;
    assert_eq!(made.load(Ordering::Relaxed), 1, "nobody brings a job");
    let Err(JobError::Failed { reason, .. }) = farm.run(2).await else {
        panic!("no worker could be made");
    };
    assert!(reason.to_string().contains("no worker"), "{reason}");
    assert!(farm.clone().run(4).await.is_err());
    assert_eq!(farm.run(6).await, Ok(6));
}

/// Runs nothing but takes the place of one that ends in the table of processes, before anybody else can.
async fn take_place_of(mut process: Process<()>, of: oneshot::Receiver<Pid>) {
    process.monitor(of.await.unwrap());
    loop {
        if let Received::Info(Info::Down { .. }) = process.receive().await {
            let other = |_: Process<()>| std::future::pending::<()>();
            process.runtime().spawn(other).unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_farm_that_can_start_no_workers_lets_others_run_and_tries_again() {
    let mut config = Config::default();
    config.processes_max = 3;
    let runtime = runtime_of(config);
    let (worker, of) = oneshot::channel();
    let taker = move |process| take_place_of(process, of);
    let taker = runtime.spawn(taker).unwrap().pid();
    let farm = Farm::new(1, || Fragile);
    let supervisor = farm.start(&runtime).await.unwrap();
    worker.send(runtime.processes()[2]).unwrap();
    farm.run(1).await.unwrap_err();
    // As many live as may, and the farm's supervisor answers all the same.
    let children = supervisor.which_children().await.unwrap();
    let status = children[0].status;
    assert!(matches!(status, Status::Restarting(_)), "{status:?}");
    runtime.exit(taker, atom!("kill"));
    assert_eq!(farm.run(2).await, Ok(2));
}

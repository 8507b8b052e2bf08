//! Tasks as programs know them.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use purlin_behaviours::supervisor::{Child, Shutdown, dynamic};
use purlin_behaviours::task::{Task, TaskError, async_stream, async_stream_nolink, yield_many};
use purlin_behaviours::{GenServer, ServerRef, supervisor::Supervisor};
use purlin_otp::relations::Info;
use purlin_runtime::{BoxFuture, Process, Reason, Received, Runtime};
use purlin_term::{Atom, Pid, Term, atom};
use support::runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

async fn suspend(runtime: &Runtime, pid: Pid, request: &str) {
    let request = Atom::new(request).unwrap();
    assert_eq!(support::ask_sys(runtime, pid, request.into()).await, "ok");
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn exit(name: &'static str) -> Reason {
    Reason::new(Atom::new(name).unwrap().into())
}

/// Runs a body in a process, and answers what it ended with.
async fn in_process<F>(
    runtime: &Runtime,
    body: impl FnOnce(Process<()>) -> F + Send + 'static,
) -> Reason
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut watcher = runtime.attach::<()>().unwrap();
    watcher.trap_exit(true);
    watcher.spawn_monitor(body).unwrap();
    watcher.receive().await.unwrap().down().unwrap().2
}

#[tokio::test(start_paused = true)]
async fn a_task_answers_its_value_without_the_codec() {
    let runtime = runtime();
    let (sender, receiver) = oneshot::channel::<u8>();
    let task = Task::async_(&runtime, async { sender }).unwrap();
    task.await.unwrap().send(1).unwrap();
    assert_eq!(receiver.await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_panics_or_is_ended_answers_why() {
    let runtime = runtime();
    let panicking = Task::async_(&runtime, async { panic!("no") }).unwrap();
    let result: Result<(), _> = panicking.await;
    let TaskError::Exit(reason) = result.unwrap_err() else {
        panic!("it ended");
    };
    assert!(reason.to_string().contains("no"), "{reason}");
    for (sent, heard) in [("kill", "killed"), ("other", "other")] {
        let task = Task::async_(&runtime, std::future::pending::<()>()).unwrap();
        runtime.exit(task.pid(), Term::clone(&exit(sent)));
        assert_eq!(task.await, Err(TaskError::Exit(exit(heard))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_takes_too_long_can_be_waited_for_again() {
    let runtime = runtime();
    let slow = || async {
        sleep(ms(100)).await;
        5
    };
    let mut task = Task::async_(&runtime, slow()).unwrap();
    assert_eq!(task.yield_(ms(60)).await, None);
    assert_eq!(task.yield_(ms(60)).await, Some(Ok(5)));
    let task = Task::async_(&runtime, slow()).unwrap();
    let timed_out = TaskError::TimedOut(ms(10));
    assert_eq!(task.await_timeout(ms(10)).await, Err(timed_out));
}

#[tokio::test(start_paused = true)]
async fn many_tasks_are_waited_for_as_long_as_one() {
    let runtime = runtime();
    let tasks = [50, 500, 70].map(|after| {
        let body = async move {
            sleep(ms(after)).await;
            after
        };
        Task::async_(&runtime, body).unwrap()
    });
    let (mut tasks, began) = (Vec::from(tasks), Instant::now());
    let results = yield_many(&mut tasks, ms(100)).await;
    assert_eq!(results, [Some(Ok(50)), None, Some(Ok(70))]);
    assert_eq!(began.elapsed(), ms(100));
    assert_eq!(tasks.remove(1).await, Ok(500));
}

#[tokio::test(start_paused = true)]
async fn a_process_falls_with_its_task_and_a_task_with_its_process() {
    let runtime = runtime();
    let (seen, mut told) = mpsc::unbounded_channel();
    let reason = in_process(&runtime, async move |process| {
        let task = Task::async_with(&process, async |task: Process<()>| {
            task.exit(task.pid(), atom!("bad"));
            sleep(ms(1)).await;
        });
        let _ = seen.send(task.unwrap().await);
    })
    .await;
    assert_eq!(reason, exit("bad"));
    assert_eq!(told.recv().await, None, "it was to see nothing of it");
    let (alive, dropped) = oneshot::channel::<()>();
    let reason = in_process(&runtime, async move |process| {
        let body = async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        };
        let _task = Task::async_(&process, body).unwrap();
        process.exit(process.pid(), atom!("gone"));
        sleep(ms(1)).await;
    })
    .await;
    assert_eq!(reason, exit("gone"));
    assert!(dropped.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_shut_down_takes_nobody_with_it() {
    let runtime = runtime();
    let (seen, mut told) = mpsc::unbounded_channel();
    let reason = in_process(&runtime, async move |process| {
        let pending = || Task::async_(&process, std::future::pending::<u8>()).unwrap();
        let five = Shutdown::Timeout(ms(5));
        let _ = seen.send(pending().shutdown(&process, five).await);
        let _ = seen.send(pending().shutdown(&process, Shutdown::BrutalKill).await);
        let deaf = |task: Process<()>| async move {
            task.trap_exit(true);
            std::future::pending::<u8>().await
        };
        let deaf = Task::async_with(&process, deaf).unwrap();
        tokio::task::yield_now().await;
        let _ = seen.send(deaf.shutdown(&process, five).await);
        let ready = Task::async_(&process, async { 9 }).unwrap();
        sleep(ms(1)).await;
        let _ = seen.send(ready.shutdown(&process, five).await);
        let _ = seen.send(pending().ignore(&process));
    })
    .await;
    assert!(reason.is_normal(), "{reason}");
    for expected in [None, None, None, Some(Ok(9)), None] {
        assert_eq!(told.recv().await.unwrap(), expected);
    }
}

async fn supervisor(runtime: &Runtime) -> ServerRef<Supervisor> {
    dynamic().start(runtime).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_supervised_task_fails_alone_and_goes_with_its_supervisor() {
    let runtime = runtime();
    let supervisor = supervisor(&runtime).await;
    let bad = async { panic!("bad") };
    let task: Task<()> = supervisor.async_nolink(bad).await.unwrap();
    assert!(matches!(task.await, Err(TaskError::Exit(_))));
    let task = supervisor.async_nolink(async { 3 }).await.unwrap();
    assert_eq!(task.await, Ok(3));
    let hangs = std::future::pending::<()>();
    let task = supervisor.async_nolink(hangs).await.unwrap();
    assert_eq!(supervisor.count_children().await.unwrap().active, 1);
    let (ran, mut told) = mpsc::unbounded_channel();
    let child = Child::task(async move { ran.send(1).unwrap() });
    supervisor.start_child(child).await.unwrap();
    assert_eq!(told.recv().await, Some(1));
    runtime.exit(supervisor.pid().unwrap(), atom!("kill"));
    assert_eq!(task.await, Err(TaskError::Exit(exit("killed"))));
}

#[tokio::test(start_paused = true)]
async fn a_supervised_task_that_is_linked_takes_who_started_it_with_it() {
    let runtime = runtime();
    let supervisor = supervisor(&runtime).await;
    let asked = supervisor.clone();
    let reason = in_process(&runtime, async move |process| {
        let quick = asked.async_(&process, async { 1 }).await.unwrap();
        assert_eq!(quick.await, Ok(1));
        let bad = async { panic!("bad") };
        let task: Task<()> = asked.async_(&process, bad).await.unwrap();
        let _ = task.await;
    })
    .await;
    assert!(reason.to_string().contains("bad"), "{reason}");
    assert!(supervisor.count_children().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_in_the_order_of_its_items_and_runs_them_at_once() {
    let runtime = runtime();
    let began = Instant::now();
    let slow = |n: u64| async move {
        sleep(ms(100 - n)).await;
        n
    };
    let stream = async_stream(&runtime, 0..8, slow).max_concurrency(4);
    let all: Vec<_> = stream.collect().await;
    assert_eq!(all, (0..8).map(Ok).collect::<Vec<_>>());
    assert!(began.elapsed() < ms(210), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_slow_item_keeps_a_bounded_number_of_results_waiting() {
    let runtime = runtime();
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = begun.clone();
    let function = move |n: u64| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            if n == 0 {
                sleep(ms(1000)).await;
            }
        }
    };
    let mut stream = async_stream(&runtime, 0.., function).max_concurrency(3);
    assert!(tokio::time::timeout(ms(999), stream.next()).await.is_err());
    assert_eq!(begun.load(Ordering::Relaxed), 6);
    stream.next().await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_item_that_fails_or_takes_too_long_says_so_in_its_place() {
    let runtime = runtime();
    let function = |n: u64| async move {
        match n {
            1 => panic!("one"),
            2 => std::future::pending().await,
            n => n,
        }
    };
    let stream = async_stream_nolink(&runtime, 0..4, function).timeout(ms(20));
    let all: Vec<_> = stream.collect().await;
    assert_eq!(all[0], Ok(0));
    assert!(matches!(&all[1], Err(TaskError::Exit(reason)) if reason.to_string().contains("one")));
    assert_eq!(all[2], Err(TaskError::TimedOut(ms(20))));
    assert_eq!(all[3], Ok(3));
}

#[tokio::test(start_paused = true)]
async fn a_process_falls_with_an_item_unless_it_traps_exits_or_is_not_linked() {
    let runtime = runtime();
    let (seen, mut told) = mpsc::unbounded_channel();
    let bad = |_: u64| async { panic!("item") };
    for (traps, links) in [(false, true), (true, true), (false, false)] {
        let seen = seen.clone();
        let reason = in_process(&runtime, async move |process| {
            process.trap_exit(traps);
            let result: Option<Result<(), _>> = match links {
                true => async_stream(&process, 0..1, bad).next().await,
                false => async_stream_nolink(&process, 0..1, bad).next().await,
            };
            let _ = seen.send(result);
        })
        .await;
        if traps || !links {
            assert!(reason.is_normal(), "{reason}");
            assert!(matches!(told.recv().await, Some(Some(Err(_)))));
        } else {
            assert!(reason.to_string().contains("item"), "{reason}");
            assert!(told.try_recv().is_err());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_dropped_ends_what_runs() {
    let runtime = runtime();
    let before = runtime.process_count();
    let function = |_: u64| std::future::pending::<()>();
    let mut stream = async_stream(&runtime, 0..10, function).max_concurrency(5);
    assert!(tokio::time::timeout(ms(1), stream.next()).await.is_err());
    assert_eq!(runtime.process_count(), before + 5);
    drop(stream);
    sleep(ms(1)).await;
    assert_eq!(runtime.process_count(), before);
}

#[tokio::test(start_paused = true)]
async fn a_stream_under_a_supervisor_has_its_items_as_children_and_takes_them_with_it() {
    let runtime = runtime();
    let supervisor = dynamic().max_children(3).start(&runtime).await.unwrap();
    let function = |n: u64| async move {
        sleep(ms(10)).await;
        assert_ne!(n, 3, "three");
        n
    };
    let stream = supervisor.async_stream_nolink(0..6, function);
    let all: Vec<_> = stream.max_concurrency(2).collect().await;
    for (n, result) in (0..6).zip(all) {
        match n {
            3 => assert!(result.unwrap_err().to_string().contains("three")),
            n => assert_eq!(result, Ok(n)),
        }
    }
    let hangs = |_: u64| std::future::pending::<u64>();
    let stream = supervisor.async_stream_nolink(0..4, hangs);
    let mut stream = stream.max_concurrency(4).unordered();
    assert_eq!(stream.next().await, Some(Err(TaskError::Refused)));
    assert_eq!(supervisor.count_children().await.unwrap().active, 3);
    drop(stream);
    sleep(ms(1)).await;
    assert_eq!(supervisor.count_children().await.unwrap().active, 0);
    let stream = supervisor.async_stream_nolink(0..2, hangs);
    runtime.exit(supervisor.pid().unwrap(), atom!("kill"));
    sleep(ms(1)).await;
    let all: Vec<_> = stream.collect().await;
    assert_eq!(all, [Err(TaskError::Refused), Err(TaskError::Refused)]);
}

#[tokio::test(start_paused = true)]
async fn a_trapping_process_hears_nothing_of_the_items_of_a_stream() {
    let runtime = runtime();
    let mut process = runtime.attach::<()>().unwrap();
    process.trap_exit(true);
    let stream = async_stream(&*process, 0..100, |n: u64| async move { n });
    assert_eq!(stream.collect::<Vec<_>>().await.len(), 100);
    sleep(ms(1)).await;
    let heard = process.try_receive().unwrap();
    assert!(!matches!(heard, Some(Received::Info(Info::Exit { .. }))));
}

/// What an item does.
#[derive(Debug, Clone, Copy)]
enum Does {
    Answer { after_ms: u64 },
    Fail { after_ms: u64 },
    Hang,
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        4 => (0..30_u64).prop_map(|after_ms| Does::Answer { after_ms }),
        1 => (0..30_u64).prop_map(|after_ms| Does::Fail { after_ms }),
        1 => Just(Does::Hang),
    ]
}

/// Counts itself while it lives.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn run(plan: Vec<Does>, max: usize, is_ordered: bool) -> Result<(), TestCaseError> {
    const PATIENCE: u64 = 40;
    let runtime = runtime();
    let (live, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, peak) = (live.clone(), most.clone());
    let function = move |(index, does): (usize, Does)| {
        let running = now.fetch_add(1, Ordering::Relaxed) + 1;
        peak.fetch_max(running, Ordering::Relaxed);
        let counted = Counted(now.clone());
        async move {
            let _counted = counted;
            match does {
                Does::Answer { after_ms } => sleep(ms(after_ms)).await,
                Does::Fail { after_ms } => {
                    sleep(ms(after_ms)).await;
                    panic!("planned");
                }
                Does::Hang => std::future::pending().await,
            }
            index
        }
    };
    let items: Vec<_> = plan.iter().copied().enumerate().collect();
    let stream = async_stream(&runtime, items, function)
        .max_concurrency(max)
        .timeout(ms(PATIENCE));
    let stream = match is_ordered {
        true => stream,
        false => stream.unordered(),
    };
    let results: Vec<_> = stream.collect().await;
    prop_assert!(most.load(Ordering::Relaxed) <= max);
    prop_assert_eq!(results.len(), plan.len());
    let count = |wanted: fn(&Does) -> bool| plan.iter().filter(|does| wanted(does)).count();
    let failed = |wanted: fn(&TaskError) -> bool| {
        let errors = results.iter().filter_map(|result| result.as_ref().err());
        errors.filter(|error| wanted(error)).count()
    };
    prop_assert_eq!(
        failed(|error| matches!(error, TaskError::TimedOut(_))),
        count(|does| matches!(does, Does::Hang))
    );
    prop_assert_eq!(
        failed(|error| matches!(error, TaskError::Exit(_))),
        count(|does| matches!(does, Does::Fail { .. }))
    );
    let mut answered: Vec<usize> = results.iter().flatten().copied().collect();
    if is_ordered {
        for (index, result) in results.iter().enumerate() {
            prop_assert!(result.as_ref().is_ok_and(|of| *of == index) || result.is_err());
        }
    }
    answered.sort_unstable();
    let answers =
        |(index, does): (usize, &Does)| matches!(does, Does::Answer { .. }).then_some(index);
    let expected: Vec<usize> = plan.iter().enumerate().filter_map(answers).collect();
    prop_assert_eq!(answered, expected);
    sleep(ms(1)).await;
    prop_assert_eq!(live.load(Ordering::Relaxed), 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// `S1`, `S3`: at most so many at once, each item's result once, in order if asked for.
    #[test]
    fn a_stream_loses_nothing_and_keeps_order_and_bound(
        plan in prop::collection::vec(does(), 0..40),
        max in 1..8_usize,
        is_ordered: bool,
    ) {
        let paused = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        paused.block_on(run(plan, max, is_ordered))?;
    }
}

/// Holds its thread until that is so.
fn wait_for(flag: &AtomicUsize) {
    while flag.load(Ordering::Acquire) == 0 {
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_computes_while_its_task_fails_on_another_thread_sees_nothing_of_that() {
    let runtime = runtime();
    // Each takes a quarter of a second: so long the task waits for the thread of who has woken it.
    for _ in 0..4 {
        let (seen, mut told) = mpsc::unbounded_channel();
        let reason = in_process(&runtime, async move |process| {
            let (begun, runtime) = (Arc::new(AtomicUsize::new(0)), process.runtime().clone());
            let begins = begun.clone();
            let bad = async move {
                begins.store(1, Ordering::Release);
                panic!("bad")
            };
            let task: Task<()> = Task::async_(&process, bad).unwrap();
            wait_for(&begun);
            while runtime.is_process_alive(task.pid()) {
                std::thread::yield_now();
            }
            // Its end is told when it is out of the table: a moment later.
            std::thread::sleep(ms(1));
            let _ = seen.send(task.await);
        })
        .await;
        assert!(reason.to_string().contains("bad"), "{reason}");
        assert_eq!(told.recv().await, None, "it was to see nothing of it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_is_there_is_answered_to_who_does_not_want_to_wait() {
    let runtime = runtime();
    let failing =
        [(); 5].map(|()| -> Task<()> { Task::async_(&runtime, async { panic!("bad") }).unwrap() });
    let [mut yielded, awaited, ignored, one, other] = failing;
    sleep(ms(1)).await;
    let now = ms(0);
    let results = [
        yielded.yield_(now).await,
        Some(awaited.await_timeout(now).await),
        ignored.ignore(&runtime),
    ];
    let many = yield_many(&mut [one, other], now).await;
    for result in results.iter().chain(&many) {
        assert!(
            matches!(result, Some(Err(TaskError::Exit(_)))),
            "{result:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn tasks_that_have_come_out_may_be_asked_for_again_among_many_and_without_a_deadline() {
    let runtime = runtime();
    let tasks = [1, 50].map(|after| {
        let body = async move {
            sleep(ms(after)).await;
            after
        };
        Task::async_(&runtime, body).unwrap()
    });
    let mut tasks = Vec::from(tasks);
    assert_eq!(yield_many(&mut tasks, ms(10)).await, [Some(Ok(1)), None]);
    let rest = yield_many(&mut tasks, Duration::MAX).await;
    assert_eq!(rest, [None, Some(Ok(50))]);
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_asker_is_gone_before_its_supervisor_starts_it_does_not_run() {
    let runtime = runtime();
    let supervisor = supervisor(&runtime).await;
    let ran = Arc::new(AtomicUsize::new(0));
    let body = || {
        let ran = ran.clone();
        async move {
            ran.store(1, Ordering::Release);
        }
    };
    let busy = supervisor.pid().unwrap();
    for linked in [true, false] {
        // It takes no requests until it is resumed.
        suspend(&runtime, busy, "suspend").await;
        let asked = async {
            match linked {
                true => supervisor.async_(&runtime, body()).await,
                false => supervisor.async_nolink(body()).await,
            }
        };
        let given_up = tokio::time::timeout(ms(1), asked).await;
        assert!(given_up.is_err());
        suspend(&runtime, busy, "resume").await;
        assert_eq!(supervisor.count_children().await.unwrap().active, 0);
        sleep(ms(1)).await;
        assert_eq!(ran.load(Ordering::Acquire), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_asker_is_gone_before_it_hears_of_it_does_not_run() {
    let runtime = runtime();
    let supervisor = supervisor(&runtime).await;
    let ran = Arc::new(AtomicUsize::new(0));
    let body = || {
        let ran = ran.clone();
        async move { ran.store(1, Ordering::Release) }
    };
    for linked in [true, false] {
        let mut asking: BoxFuture<'_, _> = match linked {
            true => Box::pin(supervisor.async_(&runtime, body())),
            false => Box::pin(supervisor.async_nolink(body())),
        };
        // The supervisor has started it, of which the asker never hears.
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(asking.as_mut().poll(&mut cx).is_pending());
        while supervisor.count_children().await.unwrap().active == 0 {}
        drop(asking);
        sleep(ms(1)).await;
        assert_eq!(ran.load(Ordering::Acquire), 0, "{linked}");
        assert_eq!(supervisor.count_children().await.unwrap().active, 0);
    }
}

//! Who runs when: processes on a few threads, beside tasks of tokio's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Wake;
use std::thread::ThreadId;
use std::time::Duration;

use purlin_runtime::{
    Address, Config, Local, Process, Runtime, TokioExecutor, briefly, wake_later,
};
use purlin_term::{NodeName, atom};
use tokio::runtime::RuntimeMetrics;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn runtime() -> Runtime {
    runtime_with(Config::default().long_schedule)
}

fn runtime_with(long_schedule: Option<Duration>) -> Runtime {
    let mut config = Config::default();
    config.long_schedule = long_schedule;
    let node = NodeName::new(&atom!("scheduling@127.0.0.1")).unwrap();
    Runtime::new(node, 1, Arc::new(TokioExecutor::current()), config)
}

/// Answers each message with one that carries its number.
fn echo(runtime: &Runtime) -> Address<(u64, Address<u64>)> {
    let body = |mut me: Process<(u64, Address<u64>)>| async move {
        loop {
            let (number, back) = me.receive_message().await;
            let _ = me.send(&back, number).await;
        }
    };
    runtime.spawn(body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wake_up_from_another_thread_is_lost() {
    const ROUNDS: u64 = 20_000;
    let runtime = runtime();
    let echo = echo(&runtime);
    let asking: Vec<_> = (0..3)
        .map(|_| {
            let (runtime, echo) = (runtime.clone(), echo.clone());
            // A thread that waits for each answer: between two of them all runners fall asleep.
            std::thread::spawn(move || {
                let mut me = runtime.attach::<u64>().unwrap();
                let waiting = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .unwrap();
                for number in 0..ROUNDS {
                    runtime.try_send(&echo, (number, me.address())).unwrap();
                    let answer = waiting.block_on(async { timeout(PATIENCE, me.receive()).await });
                    let answer = answer.expect("an answer in time").unwrap();
                    assert_eq!(answer.message(), Some(number));
                }
            })
        })
        .collect();
    for thread in asking {
        let joined = tokio::task::spawn_blocking(move || thread.join());
        joined.await.unwrap().expect("every question is answered");
    }
    runtime.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_goes_on_while_the_one_that_woke_it_holds_its_thread() {
    let runtime = runtime();
    let is_done = Arc::new(AtomicBool::new(false));
    let done = is_done.clone();
    let woken = runtime
        .spawn(move |mut me: Process<u64>| async move {
            me.receive().await;
            done.store(true, Ordering::SeqCst);
        })
        .unwrap();
    let (told, seen) = oneshot::channel();
    runtime
        .spawn(move |me: Process<()>| async move {
            me.send(&woken, 1).await.unwrap();
            // Held until the other has run, which can be nowhere but on another thread.
            let start = std::time::Instant::now();
            while !is_done.load(Ordering::SeqCst) && start.elapsed() < PATIENCE {
                std::thread::yield_now();
            }
            let _ = told.send(is_done.load(Ordering::SeqCst));
        })
        .unwrap();
    assert!(seen.await.unwrap());
    runtime.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_woken_while_all_threads_were_busy_goes_on_when_one_is_idle() {
    let runtime = runtime();
    let flag = || Arc::new(AtomicBool::new(false));
    let (is_busy, is_sent, is_done) = (flag(), flag(), flag());
    let wait_for = |flag: &AtomicBool| {
        let start = std::time::Instant::now();
        while !flag.load(Ordering::SeqCst) && start.elapsed() < PATIENCE {
            std::thread::yield_now();
        }
    };
    let done = is_done.clone();
    let woken = runtime
        .spawn(move |mut me: Process<u64>| async move {
            me.receive().await;
            done.store(true, Ordering::SeqCst);
        })
        .unwrap();
    let (busy, sent) = (is_busy.clone(), is_sent.clone());
    let (told, seen) = oneshot::channel();
    runtime
        .spawn(move |me: Process<()>| async move {
            wait_for(&is_busy);
            me.send(&woken, 1).await.unwrap();
            is_sent.store(true, Ordering::SeqCst);
            wait_for(&is_done);
            let _ = told.send(is_done.load(Ordering::SeqCst));
        })
        .unwrap();
    // It keeps the other thread busy until the message was sent, and then ends.
    runtime
        .spawn(move |_: Process<()>| async move {
            busy.store(true, Ordering::SeqCst);
            wait_for(&sent);
        })
        .unwrap();
    assert!(seen.await.unwrap());
    runtime.stop(PATIENCE).await;
}

/// Short turns, so that whoever wakes others has nobody come for them.
async fn have_short_turns(me: &mut Process<u64>, echo: &Address<(u64, Address<u64>)>) {
    for number in 0..5_000 {
        me.send(echo, (number, me.address())).await.unwrap();
        me.receive().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_left_waiting_since_turns_are_short_does_not_wait_for_one_that_becomes_long() {
    const ROUNDS: usize = 20;
    // A fifth of what it took if it were only looked for as rarely as where nobody is left waiting.
    const LONGEST: Duration = Duration::from_millis(250 / 5 * ROUNDS as u64);
    let runtime = runtime_with(None);
    let echo = echo(&runtime);
    let counted = Arc::new(AtomicU64::new(0));
    let counting: Vec<_> = (0..2)
        .map(|_| {
            let counted = counted.clone();
            let body = |mut me: Process<u64>| async move {
                loop {
                    me.receive().await;
                    counted.fetch_add(1, Ordering::SeqCst);
                }
            };
            runtime.spawn(body).unwrap()
        })
        .collect();
    let (told, held) = oneshot::channel();
    runtime
        .spawn(move |mut me: Process<u64>| async move {
            let mut held = Duration::ZERO;
            for round in 1..=ROUNDS as u64 {
                have_short_turns(&mut me, &echo).await;
                for process in &counting {
                    me.send(process, 1).await.unwrap();
                }
                let start = std::time::Instant::now();
                while counted.load(Ordering::SeqCst) < 2 * round && start.elapsed() < PATIENCE {
                    std::thread::yield_now();
                }
                held += start.elapsed();
            }
            let _ = told.send(held);
        })
        .unwrap();
    let held = held.await.unwrap();
    assert!(held < LONGEST, "{held:?} for {ROUNDS} rounds");
    runtime.stop(PATIENCE).await;
}

/// Spins until the flag is set; far longer than that takes, and this gives up.
fn spin_until(flag: &AtomicBool) {
    let start = std::time::Instant::now();
    while !flag.load(Ordering::SeqCst) && start.elapsed() < PATIENCE {
        std::hint::spin_loop();
    }
}

/// Returns when no thread has anything to do.
fn all_threads_rest(tokio: &RuntimeMetrics) {
    // The count is odd while a thread is parked.
    let rests = |worker| tokio.worker_park_unpark_count(worker) % 2 == 1;
    while !(0..tokio.num_workers()).all(rests) {
        std::thread::yield_now();
    }
}

/// A task that polls as the readers of connections do: it passes on what it gets, briefly, by `forward`.
fn brief_task<T: Send + 'static>(
    mut inbox: tokio::sync::mpsc::UnboundedReceiver<T>,
    forward: impl Fn(T) + Send + 'static,
) {
    tokio::spawn(std::future::poll_fn(move |cx| {
        briefly(|| {
            loop {
                match std::task::ready!(inbox.poll_recv(cx)) {
                    Some(item) => forward(item),
                    None => return std::task::Poll::Ready(()),
                }
            }
        })
    }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_woken_by_a_brief_task_goes_on_after_it_on_its_thread() {
    const ROUNDS: usize = 200;
    // Long for another thread to take the process in, short for a round.
    const REST: Duration = Duration::from_millis(1);
    let runtime = runtime();
    let (answer, answers) = std::sync::mpsc::channel();
    let body = move |mut me: Process<Local<ThreadId>>| async move {
        loop {
            let Local(waker) = me.receive_message().await;
            let _ = answer.send(waker == std::thread::current().id());
        }
    };
    let woken = runtime.spawn(body).unwrap();
    let (ask, asked) = tokio::sync::mpsc::unbounded_channel();
    let sender = runtime.clone();
    brief_task(asked, move |()| {
        let here = std::thread::current().id();
        sender.try_send(&woken, Local(here)).unwrap();
        let start = std::time::Instant::now();
        while start.elapsed() < REST {
            std::hint::spin_loop();
        }
    });
    let tokio = tokio::runtime::Handle::current().metrics();
    let asking = tokio::task::spawn_blocking(move || {
        let rounds = (0..ROUNDS).map(|_| {
            all_threads_rest(&tokio);
            ask.send(()).unwrap();
            answers.recv_timeout(PATIENCE).expect("an answer in time")
        });
        rounds.filter(|is_same| *is_same).count()
    });
    assert_eq!(asking.await.unwrap(), ROUNDS);
    runtime.stop(PATIENCE).await;
}

/// Tells when it is woken.
struct Follower(std::sync::mpsc::Sender<()>);

impl Wake for Follower {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_brief_task_wakes_later_is_woken_with_a_process_and_without() {
    const ROUNDS: u64 = 2_000;
    let runtime = runtime();
    let body = |mut me: Process<u64>| async move {
        loop {
            me.receive_message().await;
        }
    };
    let woken = runtime.spawn(body).unwrap();
    let (ask, asked) = tokio::sync::mpsc::unbounded_channel();
    let sender = runtime.clone();
    brief_task(asked, move |(round, tell)| {
        wake_later(&Arc::new(Follower(tell)).into());
        if round % 3 > 0 {
            sender.try_send(&woken, round).unwrap();
        }
    });
    let tokio = tokio::runtime::Handle::current().metrics();
    let asking = tokio::task::spawn_blocking(move || {
        for round in 0..ROUNDS {
            // At times with a runner asleep, at times with one about to be.
            if round % 2 == 0 {
                all_threads_rest(&tokio);
            }
            let (tell, told) = std::sync::mpsc::channel();
            ask.send((round, tell)).unwrap();
            assert_eq!(told.recv_timeout(PATIENCE), Ok(()), "in round {round}");
        }
    });
    asking.await.unwrap();
    runtime.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_woken_by_a_brief_task_goes_on_elsewhere_when_another_task_takes_its_thread() {
    const ROUNDS: u64 = 200;
    let runtime = runtime();
    let (answer, answers) = std::sync::mpsc::channel();
    let body = move |mut me: Process<Local<Arc<AtomicBool>>>| async move {
        loop {
            let Local(is_done) = me.receive_message().await;
            is_done.store(true, Ordering::SeqCst);
        }
    };
    let woken = runtime.spawn(body).unwrap();
    let (hold, mut held) = tokio::sync::mpsc::unbounded_channel::<Arc<AtomicBool>>();
    tokio::spawn(async move {
        while let Some(is_done) = held.recv().await {
            spin_until(&is_done);
            let _ = answer.send(is_done.load(Ordering::SeqCst));
        }
    });
    let (ask, asked) = tokio::sync::mpsc::unbounded_channel();
    let sender = runtime.clone();
    brief_task(asked, move |()| {
        let is_done = Arc::new(AtomicBool::new(false));
        sender.try_send(&woken, Local(is_done.clone())).unwrap();
        // Woken last, it is the next of this thread, and keeps it until the process has run.
        hold.send(is_done).unwrap();
    });
    let asking = tokio::task::spawn_blocking(move || {
        for round in 0..ROUNDS {
            ask.send(()).unwrap();
            let answer = answers.recv_timeout(2 * PATIENCE);
            assert_eq!(answer, Ok(true), "in round {round}");
        }
    });
    asking.await.unwrap();
    runtime.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_starts_while_another_holds_its_thread() {
    // Many times the turns between two looks into the common queue.
    const ROUNDS: u64 = 1_000;
    let runtime = runtime();
    for round in 0..ROUNDS {
        let (running, is_running) = oneshot::channel();
        let (release, released) = std::sync::mpsc::channel();
        let (end, ended) = oneshot::channel();
        let holding = move |_: Process<()>| async move {
            let _ = running.send(());
            let _ = end.send(released.recv_timeout(PATIENCE));
        };
        runtime.spawn(holding).unwrap();
        is_running.await.unwrap();
        let releasing = move |_: Process<()>| async move { release.send(()).unwrap() };
        runtime.spawn(releasing).unwrap();
        let released = ended.await.unwrap();
        assert_eq!(released, Ok(()), "in round {round}");
    }
    runtime.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_blocks_in_place_can_ask_another_process() {
    // What waits behind the one that blocks is found without regard to what is reported.
    let runtime = runtime_with(None);
    let echo = echo(&runtime);
    let (told, answered) = oneshot::channel();
    runtime
        .spawn(move |mut me: Process<u64>| async move {
            let answer = tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(async {
                    // Again, since at first the other threads may just be awake.
                    for number in 0..2 {
                        me.send(&echo, (number, me.address())).await.unwrap();
                        timeout(PATIENCE, me.receive_message()).await?;
                    }
                    me.send(&echo, (7, me.address())).await.unwrap();
                    timeout(PATIENCE, me.receive_message()).await
                })
            });
            let _ = told.send(answer);
        })
        .unwrap();
    assert_eq!(answered.await.unwrap(), Ok(7));
    runtime.stop(PATIENCE).await;
}

#[tokio::test]
async fn who_only_sends_lets_others_run() {
    let runtime = runtime();
    let counted = Arc::new(AtomicU64::new(0));
    let counting = counted.clone();
    let receiver = runtime
        .spawn(move |mut me: Process<u64>| async move {
            loop {
                me.receive_message().await;
                counting.fetch_add(1, Ordering::SeqCst);
            }
        })
        .unwrap();
    let (told, unread_most) = oneshot::channel();
    runtime
        .spawn(move |me: Process<()>| async move {
            let mut most = 0;
            for sent in 0..100_000 {
                me.send(&receiver, sent).await.unwrap();
                most = most.max(sent - counted.load(Ordering::SeqCst).min(sent));
            }
            let _ = told.send(most);
        })
        .unwrap();
    let most = unread_most.await.unwrap();
    // On one thread the receiver runs only when the sender lets it.
    assert!(most < 1000, "{most} messages waited");
    runtime.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_and_tasks_have_their_turn_beside_processes_that_never_wait() {
    let runtime = runtime();
    let turns = Arc::new(AtomicU64::new(0));
    for _ in 0..8 {
        let turns = turns.clone();
        runtime
            .spawn(move |_: Process<()>| async move {
                loop {
                    turns.fetch_add(1, Ordering::Relaxed);
                    yield_to_processes().await;
                }
            })
            .unwrap();
    }
    // Here and below the timer is what is tested: it is to fire beside them.
    for _ in 0..20 {
        let slept = tokio::spawn(tokio::time::sleep(Duration::from_millis(1)));
        timeout(PATIENCE, slept).await.expect("a turn").unwrap();
    }
    let before = turns.load(Ordering::Relaxed);
    let (told, seen) = oneshot::channel();
    runtime
        .spawn(move |_: Process<()>| async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let _ = told.send(());
        })
        .unwrap();
    timeout(PATIENCE, seen).await.expect("a turn").unwrap();
    assert!(turns.load(Ordering::Relaxed) > before);
    runtime.stop(PATIENCE).await;
}

/// Pending once, and woken at once.
async fn yield_to_processes() {
    let mut is_second = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut is_second, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// Counts what was dropped.
struct Counted(Arc<AtomicU64>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn processes_end_with_their_tokio_runtime() {
    let dropped = Arc::new(AtomicU64::new(0));
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let runtime = tokio.block_on(async { runtime() });
    let mut before = None;
    for number in 0..100_u64 {
        let (guard, next) = (Counted(dropped.clone()), before.take());
        let process = runtime
            .spawn(move |mut me: Process<u64>| async move {
                let _guard = guard;
                if let Some(next) = next {
                    me.link(next);
                }
                match number % 3 {
                    0 => drop(me.receive().await),
                    1 => tokio::time::sleep(Duration::from_secs(3600)).await,
                    _ => loop {
                        yield_to_processes().await;
                    },
                }
            })
            .unwrap();
        before = Some(process.pid());
    }
    drop(tokio);
    assert_eq!(dropped.load(Ordering::SeqCst), 100);
    assert_eq!(runtime.process_count(), 0);
    // Nobody can run any more, so whoever comes later ends before it begins.
    let guard = Counted(dropped.clone());
    let late = runtime.spawn(move |_: Process<()>| async move { drop(guard) });
    assert!(late.is_ok());
    assert_eq!(dropped.load(Ordering::SeqCst), 101);
    assert_eq!(runtime.process_count(), 0);
}

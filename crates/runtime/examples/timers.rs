//! What a million pending timers cost: time for each verb, bytes, and the turns of others while they fire.
//!
//!     cargo run -p purlin-runtime --release --example timers [TIMERS]
//!
//! Two worker threads. Bytes are the resident memory of the OS process, divided by the timers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use purlin_runtime::{Address, Config, Process, Runtime, TimerRef, TokioExecutor};
use purlin_term::{NodeName, atom};

/// Longer than all of this takes, so that nothing fires before it shall.
const LATER: Duration = Duration::from_secs(3_600);

fn main() {
    let timers = std::env::args().nth(1).map_or(1_000_000, |count| {
        count.parse().expect("TIMERS is a number of timers")
    });
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads can be started");
    tokio.block_on(async { tokio::spawn(run(timers)).await.expect("no panic") });
}

async fn run(count: usize) {
    let node = NodeName::new(&atom!("timers@127.0.0.1")).expect("a name");
    let executor = Arc::new(TokioExecutor::current());
    let runtime = Runtime::new(node, 1, executor, Config::default());
    let (sender, done) = tokio::sync::oneshot::channel();
    let receiver = runtime
        .spawn(move |mut me: Process<usize>| async move {
            for _ in 0..count {
                me.receive_message().await;
            }
            let _ = sender.send(Instant::now());
        })
        .expect("room for a process");

    let before = resident_bytes();
    let begun = Instant::now();
    let pending = start(&runtime, &receiver, count);
    tell("start", begun.elapsed(), count);
    let kept = size_of::<TimerRef>() * count;
    let bytes = resident_bytes().saturating_sub(before + kept) / count;
    println!(
        "{:<8}{bytes:>8} bytes each, without their references",
        "pending"
    );

    let begun = Instant::now();
    let read = pending.iter().filter_map(|timer| runtime.read_timer(timer));
    assert_eq!(read.count(), count);
    tell("read", begun.elapsed(), count);

    let begun = Instant::now();
    let cancelled = pending
        .iter()
        .filter_map(|timer| runtime.cancel_timer(timer));
    assert_eq!(cancelled.count(), count);
    tell("cancel", begun.elapsed(), count);

    fire(&runtime, &receiver, count, done).await;
}

/// Timers at times that have nothing to do with the order in which they are started.
fn start(runtime: &Runtime, to: &Address<usize>, count: usize) -> Vec<TimerRef> {
    let mut pending = Vec::with_capacity(count);
    for number in 0..count {
        // A multiplicative generator, by Park and Miller: spread evenly, and the same each time.
        let spread = (number as u64 * 48_271) % 2_147_483_647;
        let delay = LATER + Duration::from_micros(spread);
        pending.push(runtime.send_after(delay, to.clone(), number));
    }
    pending
}

/// All are due at once: how long they take, and how long somebody else has to wait for a turn.
async fn fire(
    runtime: &Runtime,
    to: &Address<usize>,
    count: usize,
    mut done: tokio::sync::oneshot::Receiver<Instant>,
) {
    let delay = Duration::from_secs(3);
    let begun = Instant::now();
    for number in 0..count {
        let left = delay.saturating_sub(begun.elapsed());
        runtime.send_after(left, to.clone(), number);
    }
    let due = begun + delay;
    tokio::time::sleep_until(due.into()).await;
    let (mut turns, mut longest, mut last) = (0_u32, Duration::ZERO, Instant::now());
    let end = loop {
        if let Ok(end) = done.try_recv() {
            break end;
        }
        tokio::task::yield_now().await;
        longest = longest.max(last.elapsed());
        last = Instant::now();
        turns += 1;
    };
    tell("fire", end.saturating_duration_since(due), count);
    println!(
        "{:<8}{turns:>8} of somebody else meanwhile; the longest wait {longest:?}",
        "turns"
    );
}

fn tell(what: &str, time: Duration, count: usize) {
    let each = time.as_nanos() / count as u128;
    println!("{what:<8}{each:>8} ns each, {time:.1?} in all");
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm.split(' ').nth(1).expect("a resident size");
    pages.parse::<usize>().expect("a number") * 4096
}

//! How fast the mailbox is, beside tokio's unbounded channel in the same harness.
//!
//!     cargo run -p purlin-mailbox --release --example throughput [ROUNDS]
//!
//! Two worker threads. Each case runs alternately with both queues, ROUNDS times (default 5); the
//! figure is the median. Then what things weigh in memory.
//!
//! `count ours|tokio DEPTH ROUNDS` instead pushes and pops on one thread, for callgrind: the
//! difference between two numbers of rounds is what the queue costs.

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use purlin_mailbox::{Receiver, Shared, mailbox};
use tokio::sync::mpsc;

/// Counts the bytes that are allocated.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes everything on to the system's allocator.
#[expect(unsafe_code, reason = "an allocator")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A queue of numbers, as the cases use it.
trait Queue: 'static {
    type Sender: Clone + Send + 'static;
    type Receiver: Send + 'static;
    fn new() -> (Self::Sender, Self::Receiver);
    fn send(sender: &Self::Sender, number: u64);
    fn take(receiver: &mut Self::Receiver) -> Option<u64>;
    fn receive(receiver: &mut Self::Receiver) -> impl Future<Output = u64> + Send;
}

struct Ours;

impl Queue for Ours {
    type Sender = Arc<Shared<u64, ()>>;
    type Receiver = Receiver<u64, ()>;

    fn new() -> (Self::Sender, Self::Receiver) {
        mailbox(())
    }

    fn send(sender: &Self::Sender, number: u64) {
        sender.push(number).unwrap();
    }

    fn take(receiver: &mut Self::Receiver) -> Option<u64> {
        receiver.pop()
    }

    async fn receive(receiver: &mut Self::Receiver) -> u64 {
        loop {
            if let Some(number) = receiver.pop() {
                return number;
            }
            let start = receiver.start();
            poll_fn(|cx| receiver.poll_arrival(cx, &start)).await;
        }
    }
}

struct Tokio;

impl Queue for Tokio {
    type Sender = mpsc::UnboundedSender<u64>;
    type Receiver = mpsc::UnboundedReceiver<u64>;

    fn new() -> (Self::Sender, Self::Receiver) {
        mpsc::unbounded_channel()
    }

    fn send(sender: &Self::Sender, number: u64) {
        sender.send(number).unwrap();
    }

    fn take(receiver: &mut Self::Receiver) -> Option<u64> {
        receiver.try_recv().ok()
    }

    async fn receive(receiver: &mut Self::Receiver) -> u64 {
        receiver.recv().await.unwrap()
    }
}

/// Nanoseconds a message when `senders` tasks send `each` to one receiver.
async fn flood<Q: Queue>(senders: u64, each: u64) -> f64 {
    let (sender, mut receiver) = Q::new();
    let begin = Instant::now();
    for _ in 0..senders {
        let sender = sender.clone();
        tokio::spawn(async move {
            for number in 0..each {
                Q::send(&sender, number);
            }
        });
    }
    let receiving = tokio::spawn(async move {
        let mut sum = 0;
        for _ in 0..senders * each {
            sum += Q::receive(&mut receiver).await;
        }
        sum
    });
    assert_eq!(receiving.await.unwrap(), senders * (each * (each - 1) / 2));
    begin.elapsed().as_nanos() as f64 / (senders * each) as f64
}

/// Nanoseconds a round trip between two tasks.
async fn ping_pong<Q: Queue>(rounds: u64) -> f64 {
    let (ping, mut pinged) = Q::new();
    let (pong, mut ponged) = Q::new();
    let begin = Instant::now();
    tokio::spawn(async move {
        for _ in 0..rounds {
            let number = Q::receive(&mut pinged).await;
            Q::send(&pong, number);
        }
    });
    let playing = tokio::spawn(async move {
        for number in 0..rounds {
            Q::send(&ping, number);
            assert_eq!(Q::receive(&mut ponged).await, number);
        }
    });
    playing.await.unwrap();
    begin.elapsed().as_nanos() as f64 / rounds as f64
}

/// Nanoseconds for a message pushed and popped in one task, `depth` at a time.
async fn alone<Q: Queue>(depth: u64, rounds: u64) -> f64 {
    let (sender, mut receiver) = Q::new();
    let begin = Instant::now();
    for _ in 0..rounds {
        for number in 0..depth {
            Q::send(&sender, number);
        }
        for number in 0..depth {
            assert_eq!(Q::receive(&mut receiver).await, number);
        }
    }
    begin.elapsed().as_nanos() as f64 / (depth * rounds) as f64
}

async fn case<Q: Queue>(name: &str) -> f64 {
    match name {
        "1 sender x 5 M" => flood::<Q>(1, 5_000_000).await,
        "100 senders x 50 k" => flood::<Q>(100, 50_000).await,
        "ping-pong" => ping_pong::<Q>(300_000).await,
        "alone, 1 deep" => alone::<Q>(1, 3_000_000).await,
        _ => alone::<Q>(100, 50_000).await,
    }
}

const CASES: [&str; 5] = [
    "1 sender x 5 M",
    "100 senders x 50 k",
    "ping-pong",
    "alone, 1 deep",
    "alone, 100 deep",
];

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Pushes and pops without a runtime, `depth` at a time.
fn count<Q: Queue>(depth: u64, rounds: u64) {
    let (sender, mut receiver) = Q::new();
    for _ in 0..rounds {
        for number in 0..depth {
            Q::send(&sender, number);
        }
        for number in 0..depth {
            assert_eq!(Q::take(&mut receiver), Some(number));
        }
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [command, queue, depth, rounds] = &args[..] {
        assert_eq!(command, "count");
        let number = |text: &str| text.parse().expect("a number");
        let (depth, rounds) = (number(depth), number(rounds));
        return match &queue[..] {
            "ours" => count::<Ours>(depth, rounds),
            _ => count::<Tokio>(depth, rounds),
        };
    }
    compare(
        args.first()
            .map_or(5, |rounds| rounds.parse().expect("a number")),
    );
    weigh();
}

fn compare(rounds: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    println!("{:20} {:>8} {:>8}  ratio", "ns a message", "ours", "tokio");
    for name in CASES {
        let (mut ours, mut tokio) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(runtime.block_on(async { tokio::spawn(case::<Ours>(name)).await.unwrap() }));
            tokio
                .push(runtime.block_on(async { tokio::spawn(case::<Tokio>(name)).await.unwrap() }));
        }
        let (ours, tokio) = (median(ours), median(tokio));
        println!("{name:20} {ours:8.1} {tokio:8.1}  {:5.2}", tokio / ours);
    }
}

fn weigh() {
    let bytes = |begin| ALLOCATED.load(Ordering::Relaxed) - begin;
    println!("\nbytes");
    println!("Shared<u64, ()>      {}", size_of::<Shared<u64, ()>>());
    println!("Receiver<u64, ()>    {}", size_of::<Receiver<u64, ()>>());
    let begin = ALLOCATED.load(Ordering::Relaxed);
    let (shared, mut receiver) = mailbox::<u64, ()>(());
    println!("allocated, unused    {}", bytes(begin));
    shared.push(0).unwrap();
    println!("with one message     {}", bytes(begin));
    for _ in 0..1000 {
        receiver.pop();
        shared.push(0).unwrap();
    }
    receiver.pop();
    println!("after 1000, one by one   {}", bytes(begin));
    let begin = ALLOCATED.load(Ordering::Relaxed);
    (0..1_000_000).for_each(|number| shared.push(number).unwrap());
    println!("each of 1 M queued   {:.2}", bytes(begin) as f64 / 1e6);
    while receiver.pop().is_some() {}
    println!("after they are taken {}", bytes(begin));
}

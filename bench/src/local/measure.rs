//! What the Rust systems measure with, so that all are measured alike: the end of a load, and
//! resident memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

/// Nanoseconds or bytes; or why the system cannot do this load.
pub(super) type Answer = Result<u64, &'static str>;

/// Opens when so many have arrived: one counter and no message, the least that any system could
/// tell the end by. The Erlang module has the same as an `atomics` counter.
#[derive(Clone)]
pub(super) struct Latch(Arc<Count>);

struct Count {
    missing: AtomicU64,
    open: Notify,
}

impl Latch {
    pub(super) fn new(count: u64) -> Self {
        Self(Arc::new(Count {
            missing: AtomicU64::new(count),
            open: Notify::new(),
        }))
    }

    pub(super) fn arrive(&self) {
        let Self(count) = self;
        if count.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            count.open.notify_one();
        }
    }

    /// Only one may wait, but it may begin after the last has arrived.
    pub(super) async fn wait(&self) {
        self.0.open.notified().await;
    }

    /// Arrives when it is dropped: where a death is what counts.
    pub(super) fn guard(&self) -> Guard {
        Guard(self.clone())
    }
}

pub(super) struct Guard(Latch);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.arrive();
    }
}

/// Clients that are told to begin together, each in a task or process that a system starts for it.
pub(super) struct Clients {
    starts: Vec<oneshot::Sender<()>>,
    done: Latch,
}

/// One of them.
pub(super) struct Client {
    started: oneshot::Receiver<()>,
    done: Latch,
}

impl Clients {
    pub(super) fn new(count: u64) -> Self {
        Self {
            starts: Vec::new(),
            done: Latch::new(count),
        }
    }

    pub(super) fn add(&mut self) -> Client {
        let (start, started) = oneshot::channel();
        self.starts.push(start);
        Client {
            started,
            done: self.done.clone(),
        }
    }

    /// How long they take from when they are told to begin.
    pub(super) async fn timed(self) -> Answer {
        at_rest().await;
        let start = Instant::now();
        for client in self.starts {
            let _ = client.send(());
        }
        self.done.wait().await;
        nanoseconds_since(start)
    }
}

impl Client {
    /// What it does once it is told to.
    pub(super) async fn does(self, work: impl Future<Output = ()>) {
        let _ = self.started.await;
        work.await;
        self.done.arrive();
    }
}

pub(super) fn nanoseconds_since(start: Instant) -> Answer {
    Ok(start.elapsed().as_nanos() as u64)
}

/// How often it is looked whether all is at rest, and how often in a row it must have been: two
/// ticks of the clock that processor time is counted in, twice, to outlast an interruption.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOKS: u32 = 2;

/// What stands still when nothing runs.
#[derive(PartialEq)]
struct Looks {
    resident_bytes: u64,
    /// Processor time of all threads, in ticks.
    ticks: u64,
}

/// Returns resident bytes once all that was started has come to rest.
pub(super) async fn at_rest() -> u64 {
    let (mut last, mut still) = (Looks::now(), 0);
    while still < LOOKS {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = Looks::now();
        still = if now == last { still + 1 } else { 0 };
        last = now;
    }
    last.resident_bytes
}

/// What was added since `before`, once all is at rest.
pub(super) async fn bytes_since(before: u64) -> Answer {
    let now = at_rest().await;
    now.checked_sub(before).ok_or("resident memory shrank")
}

impl Looks {
    fn now() -> Self {
        Self {
            resident_bytes: resident_bytes().expect("proc(5): VmRSS in kB"),
            ticks: ticks().expect("proc(5): utime and stime"),
        }
    }
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Fields 14 and 15 of `/proc/self/stat`; the second, the program's name, ends with a bracket.
fn ticks() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(14 - 3);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_latch_opens_with_the_last_arrival_and_not_before() {
        let latch = Latch::new(2);
        latch.arrive();
        let mut waiting = std::pin::pin!(latch.wait());
        assert!(poll_once(waiting.as_mut()).is_none());
        drop(latch.guard());
        assert!(poll_once(waiting.as_mut()).is_some());
    }

    fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn a_page_that_was_written_is_resident() {
        let before = Looks::now();
        let pages = std::hint::black_box(vec![7_u8; 32 << 20]);
        assert!(Looks::now().resident_bytes - before.resident_bytes > 24 << 20);
        drop(pages);
    }

    #[tokio::test]
    async fn a_thread_that_runs_is_not_at_rest() {
        let start = Instant::now();
        let busy_for = Duration::from_millis(300);
        let busy = std::thread::spawn(move || while start.elapsed() < busy_for {});
        at_rest().await;
        assert!(start.elapsed() > busy_for);
        busy.join().expect("it only looks at the clock");
    }
}

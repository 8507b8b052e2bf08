//! Deadlines of calls that follow each other.
//!
//! Nearly every call is answered long before its patience ends, and starting a timer for it and taking it
//! back costs as much as the call. So whoever calls keeps one timer: it stays where it is while calls come
//! and go, and when it fires it is set to the deadline of the call that waits then, if that is later.
//!
//! Invariant `A1`: a call ends with a timeout at its deadline, to the millisecond, neither earlier nor later.

use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

type Timer = Pin<Box<Sleep>>;

/// A timer for one call after another; for calls that overlap, the others have their own.
#[derive(Default)]
pub(crate) struct Alarm(Mutex<Option<Timer>>);

impl Alarm {
    fn kept(&self) -> MutexGuard<'_, Option<Timer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `work` answers, if it does so in time.
    pub(crate) async fn timeout<F: Future>(
        &self,
        patience: Duration,
        work: F,
    ) -> Option<F::Output> {
        let mut work = pin!(work);
        let mut waiting: Option<(Instant, Timer)> = None;
        let done = std::future::poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            let (deadline, timer) = waiting.get_or_insert_with(|| self.set(patience));
            while timer.as_mut().poll(cx).is_ready() {
                if Instant::now() >= *deadline {
                    return Poll::Ready(None);
                }
                timer.as_mut().reset(*deadline);
            }
            Poll::Pending
        });
        let done = done.await;
        if let Some((_, timer)) = waiting {
            *self.kept() = Some(timer);
        }
        done
    }

    /// A timer that fires at the deadline of a call that waits from now on, or before.
    fn set(&self, patience: Duration) -> (Instant, Timer) {
        let now = Instant::now();
        // As `tokio::time::timeout`: what is too far away is thirty years away.
        let far = || now + Duration::from_secs(86_400 * 365 * 30);
        let deadline = now.checked_add(patience).unwrap_or_else(far);
        let kept = self.kept().take();
        let timer = kept.filter(|timer| timer.deadline() <= deadline && !timer.is_elapsed());
        (
            deadline,
            timer.unwrap_or_else(|| Box::pin(sleep_until(deadline))),
        )
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[tokio::test(start_paused = true)]
    async fn each_wait_ends_at_its_own_deadline_whatever_came_before() {
        let alarm = Alarm::default();
        for (work, patience, took) in [
            (10, 100, 10),
            (200, 100, 100),
            (50, 1000, 50),
            (2000, 300, 300),
            (2000, 900, 900),
            (5, 6, 5),
            (700, 650, 650),
        ] {
            let before = Instant::now();
            let done = alarm.timeout(ms(patience), sleep(ms(work))).await;
            assert_eq!(done.is_some(), work == took, "{work} {patience}");
            assert_eq!(before.elapsed(), ms(took), "{work} {patience}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_that_overlap_end_each_in_time() {
        let alarm = Alarm::default();
        assert!(alarm.timeout(ms(50), sleep(ms(1))).await.is_some());
        let before = Instant::now();
        let long = alarm.timeout(ms(400), sleep(ms(5000)));
        let short = async {
            let done = alarm.timeout(ms(100), sleep(ms(5000))).await;
            (done.is_none(), before.elapsed())
        };
        let (long, short) = tokio::join!(long, short);
        assert_eq!((long.is_none(), before.elapsed()), (true, ms(400)));
        assert_eq!(short, (true, ms(100)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_is_kept_from_wait_to_wait() {
        let alarm = Alarm::default();
        alarm.timeout(ms(500), sleep(ms(1))).await;
        let first = alarm.kept().as_ref().map(|timer| timer.deadline());
        alarm.timeout(ms(500), sleep(ms(1))).await;
        assert_eq!(alarm.kept().as_ref().map(|timer| timer.deadline()), first);
        assert!(first.is_some());
    }
}

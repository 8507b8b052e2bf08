//! Deadlines of calls that follow each other.
//!
//! Nearly every call is answered long before its timeout ends, and starting a timer for it and taking it
//! back costs as much as the call. So whoever calls keeps one timer: it stays where it is while calls come
//! and go, and when it fires it is set to the deadline of the call that waits then, if that is later.
//!
//! Nor is the timer polled for each call: while the same task waits, the timer wakes it already.
//!
//! Invariants:
//! - `A1` a call ends with a timeout at its deadline, to the millisecond, neither earlier nor later;
//! - `A2` a timer that has not fired wakes its `wakes`, so whoever waits with that waker may go without
//!   polling it until it is woken.

use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// A timer, and whom it wakes.
struct Timer {
    sleep: Pin<Box<Sleep>>,
    wakes: Option<Waker>,
}

impl Timer {
    fn at(deadline: Instant) -> Self {
        Self {
            sleep: Box::pin(sleep_until(deadline)),
            wakes: None,
        }
    }

    fn wakes(&self, waker: &Waker) -> bool {
        self.wakes
            .as_ref()
            .is_some_and(|held| held.will_wake(waker))
    }

    /// Ready at the deadline, whenever the timer was to fire before.
    fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        // Tokio's budget would have it be pending without having taken the waker (`A2`).
        while pin!(unconstrained(self.sleep.as_mut())).poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(deadline);
        }
        if !self.wakes(cx.waker()) {
            self.wakes = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// A timer for one call after another; for calls that overlap, the others have their own.
#[derive(Default)]
pub(crate) struct Alarm(Mutex<Option<Timer>>);

impl Alarm {
    fn kept(&self) -> MutexGuard<'_, Option<Timer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `work` answers, if it does so in time.
    pub(crate) async fn timeout<F: Future>(&self, timeout: Duration, work: F) -> Option<F::Output> {
        let mut work = pin!(work);
        let mut waiting: Option<(Instant, Timer)> = None;
        let done = std::future::poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            if let Some((deadline, timer)) = &mut waiting {
                return timer.poll(cx, *deadline).map(|()| None);
            }
            let (deadline, timer) = waiting.insert(self.set(timeout));
            match timer.wakes(cx.waker()) {
                true => Poll::Pending,
                false => timer.poll(cx, *deadline).map(|()| None),
            }
        });
        let done = done.await;
        if let Some((_, timer)) = waiting {
            *self.kept() = Some(timer);
        }
        done
    }

    /// A timer that fires at the deadline of a call that waits from now on, or before.
    fn set(&self, timeout: Duration) -> (Instant, Timer) {
        let now = Instant::now();
        // As `tokio::time::timeout`: what is too far away is thirty years away.
        let far = || now + Duration::from_secs(86_400 * 365 * 30);
        let deadline = now.checked_add(timeout).unwrap_or_else(far);
        let kept = self.kept().take();
        let is_of_use = |sleep: &Sleep| sleep.deadline() <= deadline && !sleep.is_elapsed();
        let kept = kept.filter(|timer| is_of_use(&timer.sleep));
        (deadline, kept.unwrap_or_else(|| Timer::at(deadline)))
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
        for (work, timeout, took) in [
            (10, 100, 10),
            (200, 100, 100),
            (50, 1000, 50),
            (2000, 300, 300),
            (2000, 900, 900),
            (5, 6, 5),
            (700, 650, 650),
        ] {
            let before = Instant::now();
            let done = alarm.timeout(ms(timeout), sleep(ms(work))).await;
            assert_eq!(done.is_some(), work == took, "{work} {timeout}");
            assert_eq!(before.elapsed(), ms(took), "{work} {timeout}");
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
        let first = alarm.kept().as_ref().map(|timer| timer.sleep.deadline());
        alarm.timeout(ms(500), sleep(ms(1))).await;
        assert_eq!(
            alarm.kept().as_ref().map(|timer| timer.sleep.deadline()),
            first
        );
        assert!(first.is_some());
    }

    /// A wait of 300 ms for what never comes ends after those.
    async fn ends_in_time(alarm: &Alarm) {
        let before = Instant::now();
        let wait = alarm.timeout(ms(300), std::future::pending::<()>());
        let ended = tokio::time::timeout(ms(1000), wait).await;
        assert!(ended.is_ok_and(|done| done.is_none()));
        assert_eq!(before.elapsed(), ms(300));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_another_task_left_wakes_the_one_that_waits_now() {
        let alarm = Alarm::default();
        alarm.timeout(ms(100), sleep(ms(1))).await;
        tokio::spawn(async move { ends_in_time(&alarm).await })
            .await
            .unwrap();
    }

    /// Its task has no budget left when it takes the alarm over.
    async fn take_over_without_budget(alarm: &Alarm) {
        while tokio::task::coop::has_budget_remaining() {
            tokio::task::coop::consume_budget().await;
        }
        let mut is_second = false;
        let second_time = std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            match std::mem::replace(&mut is_second, true) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        });
        assert!(alarm.timeout(ms(100), second_time).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_wakes_a_task_that_had_no_budget_when_it_took_it_over() {
        let alarm = Alarm::default();
        alarm.timeout(ms(100), sleep(ms(1))).await;
        let other = tokio::spawn(async move {
            take_over_without_budget(&alarm).await;
            // Whatever else has woken it is over then.
            sleep(ms(1)).await;
            ends_in_time(&alarm).await;
        });
        other.await.unwrap();
    }
}

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

/// A timer for one call after another.
#[derive(Default)]
pub(crate) struct Alarm(Option<Timer>);

impl Alarm {
    /// What `work` answers, if it does so in time.
    pub(crate) async fn timeout<F: Future>(
        &mut self,
        timeout: Duration,
        work: F,
    ) -> Option<F::Output> {
        let mut work = pin!(work);
        let mut deadline: Option<Instant> = None;
        let done = std::future::poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            if let (Some(deadline), Some(timer)) = (deadline, &mut self.0) {
                return timer.poll(cx, deadline).map(|()| None);
            }
            let at = *deadline.insert(deadline_after(timeout));
            let timer = self.set(at);
            match timer.wakes(cx.waker()) {
                true => Poll::Pending,
                false => timer.poll(cx, at).map(|()| None),
            }
        });
        done.await
    }

    /// A timer that fires at the deadline, or before.
    fn set(&mut self, deadline: Instant) -> &mut Timer {
        let is_of_use = |timer: &Timer| {
            let sleep = &timer.sleep;
            sleep.deadline() <= deadline && !sleep.is_elapsed()
        };
        if !self.0.as_ref().is_some_and(is_of_use) {
            self.0 = None;
        }
        self.0.get_or_insert_with(|| Timer::at(deadline))
    }
}

/// The end of a wait that begins now.
fn deadline_after(timeout: Duration) -> Instant {
    let now = Instant::now();
    // As `tokio::time::timeout`: what is too far away is thirty years away.
    let far = || now + Duration::from_secs(86_400 * 365 * 30);
    now.checked_add(timeout).unwrap_or_else(far)
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
        let mut alarm = Alarm::default();
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
    async fn a_timer_is_kept_from_wait_to_wait() {
        let mut alarm = Alarm::default();
        alarm.timeout(ms(500), sleep(ms(1))).await;
        let first = alarm.0.as_ref().map(|timer| timer.sleep.deadline());
        alarm.timeout(ms(500), sleep(ms(1))).await;
        assert_eq!(alarm.0.as_ref().map(|timer| timer.sleep.deadline()), first);
        assert!(first.is_some());
    }

    /// A wait of 300 ms for what never comes ends after those.
    async fn ends_in_time(alarm: &mut Alarm) {
        let before = Instant::now();
        let wait = alarm.timeout(ms(300), std::future::pending::<()>());
        let ended = tokio::time::timeout(ms(1000), wait).await;
        assert!(ended.is_ok_and(|done| done.is_none()));
        assert_eq!(before.elapsed(), ms(300));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_another_task_left_wakes_the_one_that_waits_now() {
        let mut alarm = Alarm::default();
        alarm.timeout(ms(100), sleep(ms(1))).await;
        tokio::spawn(async move { ends_in_time(&mut alarm).await })
            .await
            .unwrap();
    }

    /// Its task has no budget left when it takes the alarm over.
    async fn take_over_without_budget(alarm: &mut Alarm) {
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
        let mut alarm = Alarm::default();
        alarm.timeout(ms(100), sleep(ms(1))).await;
        let other = tokio::spawn(async move {
            take_over_without_budget(&mut alarm).await;
            // Whatever else has woken it is over then.
            sleep(ms(1)).await;
            ends_in_time(&mut alarm).await;
        });
        other.await.unwrap();
    }
}

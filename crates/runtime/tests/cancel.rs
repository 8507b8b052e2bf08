//! Cancel-safety: whatever a process waits for, the future can be dropped at any time it is pending, and
//! nothing is lost or doubled.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use purlin_runtime::limits::RECEIVES_MAX;
use purlin_runtime::{
    Address, Config, Mark, Overflow, Peek, Process, Received, Runtime, SendError, SpawnOptions,
    TokioExecutor,
};
use purlin_term::{NodeName, Pid, Term, atom};
use tokio::sync::Semaphore;

const PATIENCE: Duration = Duration::from_millis(10);

fn runtime() -> Runtime {
    let node = NodeName::new(&atom!("here@127.0.0.1")).unwrap();
    Runtime::new(
        node,
        1,
        Arc::new(TokioExecutor::current()),
        Config::default(),
    )
}

/// Runs `body` as a process; its panics are the test's.
async fn in_process<B, F, R>(runtime: &Runtime, body: B) -> R
where
    B: FnOnce(Process<Term>) -> F + Send + 'static,
    F: Future<Output = R> + Send + 'static,
    R: Send + 'static,
{
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let process = |me| async move {
        let _ = sender.send(body(me).await);
    };
    runtime.spawn(process).unwrap();
    receiver.await.expect("the process came to its end")
}

#[derive(Debug, Clone, Copy)]
enum Verb {
    Receive,
    Timeout,
    Where,
    After,
}

/// The verb, waiting for the message 100 where it can choose.
fn begin<'p>(
    verb: Verb,
    me: &'p mut Process<Term>,
    mark: &'p Mark,
) -> Pin<Box<dyn Future<Output = Option<Received<Term>>> + Send + 'p>> {
    let wanted = |peek: Peek<'_, Term>| matches!(peek, Peek::Message(Term::Int(100)));
    Box::pin(async move {
        match verb {
            Verb::Receive => Some(me.receive().await),
            Verb::Timeout => me.receive_timeout(PATIENCE).await,
            Verb::Where => Some(me.receive_where(wanted).await),
            Verb::After => Some(me.receive_after(mark, wanted).await),
        }
    })
}

/// What happens while the process waits.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Event {
    /// Nothing that it would see: its task is woken all the same.
    Signal,
    /// Less time than the patience of a receive passes.
    Time,
    Message(i64),
    /// A message that the process is still to decode.
    Encoded(u8),
    /// The end of what it monitors.
    Down,
}

const EVENTS: [Event; 8] = [
    Event::Signal,
    Event::Time,
    Event::Message(1),
    Event::Encoded(2),
    Event::Down,
    Event::Signal,
    Event::Encoded(3),
    Event::Message(100),
];

/// A process that waits, what it is told by, and what it monitors.
struct Waiting {
    me: Process<Term>,
    runtime: Runtime,
    own: Address<Term>,
    watched: Pid,
}

impl Waiting {
    fn new(me: Process<Term>) -> Self {
        let pending = |_: Process<Term>| std::future::pending::<()>();
        let watched = me.spawn_monitor(pending).unwrap().0.pid();
        Self {
            runtime: me.runtime().clone(),
            own: me.address(),
            watched,
            me,
        }
    }

    /// Begins the verb after message 0, polls it once before each event, and drops it when it is done or
    /// was pending so many times. Answers what it received; then all events have happened.
    async fn dropped_after(&mut self, verb: Verb, pending_times: usize) -> Option<String> {
        let (runtime, own, watched) = (self.runtime.clone(), self.own.clone(), self.watched);
        if let Verb::Where | Verb::After = verb {
            happen(&runtime, &own, watched, Event::Message(0)).await;
        }
        let mark = self.me.mark();
        let mut events = EVENTS.into_iter();
        let mut future = begin(verb, &mut self.me, &mark);
        let mut received = None;
        for _ in 0..pending_times {
            if let Poll::Ready(done) = poll_once(&mut future).await {
                received = done;
                break;
            }
            match events.next() {
                Some(event) => happen(&runtime, &own, watched, event).await,
                None => panic!("{verb:?} is pending after all has happened"),
            }
        }
        drop(future);
        for event in events {
            happen(&runtime, &own, watched, event).await;
        }
        received.as_ref().map(text)
    }

    fn drain(&mut self) -> Vec<String> {
        let left = std::iter::from_fn(|| self.me.try_receive());
        left.map(|received| text(&received)).collect()
    }

    /// Whether the process is still woken by what arrives.
    async fn is_woken(&mut self) -> bool {
        let (runtime, own) = (self.runtime.clone(), self.own.clone());
        tokio::spawn(async move { runtime.send(&own, Term::from(7)).await });
        self.me.receive().await.message() == Some(Term::from(7))
    }
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

async fn happen(runtime: &Runtime, me: &Address<Term>, watched: Pid, event: Event) {
    match event {
        Event::Signal => runtime.set_group_leader(me.pid(), me.pid()),
        Event::Time => tokio::time::advance(PATIENCE / 4).await,
        Event::Message(number) => runtime.send(me, Term::from(number)).await.unwrap(),
        Event::Encoded(number) => runtime.send(me.pid(), number).await.unwrap(),
        Event::Down => {
            runtime.exit(watched, atom!("kill"));
            while runtime.is_process_alive(watched) {
                tokio::task::yield_now().await;
            }
        }
    }
}

fn text(received: &Received<Term>) -> String {
    match received {
        Received::Message(message) => message.to_string(),
        Received::Info(_) => "down".into(),
        Received::Foreign(_) => "foreign".into(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_receive_that_is_dropped_at_any_poll_has_taken_nothing() {
    for verb in [Verb::Receive, Verb::Timeout, Verb::Where, Verb::After] {
        // The poll before the first event is the first.
        for pending_times in 1..=EVENTS.len() + 1 {
            let runtime = runtime();
            in_process(&runtime, move |me| async move {
                let mut waiting = Waiting::new(me);
                let received = waiting.dropped_after(verb, pending_times).await;
                let (mut all, first) = match verb {
                    Verb::Receive | Verb::Timeout => (vec!["1", "2", "down", "3", "100"], "1"),
                    Verb::Where | Verb::After => (vec!["0", "1", "2", "down", "3", "100"], "100"),
                };
                let is_done = match verb {
                    Verb::Receive | Verb::Timeout => pending_times > 3,
                    Verb::Where | Verb::After => pending_times > EVENTS.len(),
                };
                assert_eq!(received.as_deref(), is_done.then_some(first), "{verb:?}");
                all.retain(|text| !(is_done && *text == first));
                assert_eq!(
                    waiting.drain(),
                    all,
                    "{verb:?}, pending {pending_times} times"
                );
                assert!(waiting.is_woken().await);
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_receive_whose_time_is_over_has_taken_nothing() {
    let runtime = runtime();
    in_process(&runtime, |me| async move {
        let mut waiting = Waiting::new(me);
        let mut future = Box::pin(waiting.me.receive_timeout(PATIENCE));
        assert!(poll_once(&mut future).await.is_pending());
        tokio::time::advance(PATIENCE * 2).await;
        assert!(future.await.is_none());
        waiting
            .runtime
            .send(&waiting.own, Term::from(1))
            .await
            .unwrap();
        assert_eq!(waiting.drain(), ["1"]);
        assert!(waiting.is_woken().await);
    })
    .await;
}

/// A process that has received much is to yield first: `receive` is pending though messages wait.
#[tokio::test]
async fn a_receive_that_is_dropped_while_it_yields_has_taken_nothing() {
    let runtime = runtime();
    in_process(&runtime, |mut me| async move {
        let count = 3 * i64::from(RECEIVES_MAX);
        for number in 0..count {
            me.send(&me.address(), Term::from(number)).await.unwrap();
        }
        let (mut received, mut dropped) = (Vec::new(), 0);
        while received.len() < count as usize && dropped < 10 {
            let polled = poll_once(&mut Box::pin(me.receive())).await;
            match polled {
                Poll::Ready(message) => received.push(message.message().unwrap()),
                Poll::Pending => {
                    dropped += 1;
                    tokio::task::yield_now().await;
                }
            }
        }
        assert!(dropped >= 2, "{dropped}");
        let sent: Vec<_> = (0..count).map(Term::from).collect();
        assert_eq!(received, sent);
    })
    .await;
}

/// Begins to send 9 to a mailbox with room for two that is full.
fn begin_send<'p>(
    me: &'p Process<Term>,
    to: &'p Address<i64>,
    has_timeout: bool,
) -> Pin<Box<dyn Future<Output = Result<(), SendError>> + Send + 'p>> {
    match has_timeout {
        true => Box::pin(me.send_timeout(to, 9, PATIENCE)),
        false => Box::pin(me.send(to, 9)),
    }
}

/// It is pending while there is no room; and again when there is, and it has not been polled since.
#[tokio::test(start_paused = true)]
async fn a_send_that_is_dropped_at_any_poll_sent_nothing_and_leaves_the_room_it_waited_for() {
    for has_timeout in [false, true] {
        for has_room in [false, true] {
            let runtime = runtime();
            in_process(&runtime, move |me| async move {
                let (give, take) = tokio::sync::mpsc::unbounded_channel();
                let allowed = Arc::new(Semaphore::new(0));
                let permits = allowed.clone();
                let options = SpawnOptions::default().mailbox(2, Overflow::Wait);
                let body = move |mut to: Process<i64>| async move {
                    loop {
                        permits.acquire().await.unwrap().forget();
                        let _ = give.send(to.receive_message().await);
                    }
                };
                let to = me.runtime().spawn_with(options, body).unwrap();
                let mut take = take;
                for number in [1, 2] {
                    me.try_send(&to, number).unwrap();
                }
                let mut future = begin_send(&me, &to, has_timeout);
                assert!(poll_once(&mut future).await.is_pending());
                let mut left = vec![1, 2];
                if has_room {
                    allowed.add_permits(1);
                    assert_eq!(take.recv().await, Some(left.remove(0)));
                }
                drop(future);
                // As much room as if nobody had waited.
                if has_room {
                    me.try_send(&to, 3).unwrap();
                    left.push(3);
                }
                assert!(matches!(me.try_send(&to, 4), Err(SendError::Full(_))));
                allowed.add_permits(3);
                for number in left {
                    assert_eq!(take.recv().await, Some(number));
                }
                me.send(&to, 5).await.unwrap();
                assert_eq!(take.recv().await, Some(5));
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_send_whose_time_is_over_sent_nothing() {
    let runtime = runtime();
    in_process(&runtime, |me| async move {
        let options = SpawnOptions::default().mailbox(1, Overflow::Wait);
        let body = |_: Process<i64>| std::future::pending::<()>();
        let to = me.runtime().spawn_with(options, body).unwrap();
        me.try_send(&to, 1).unwrap();
        let sent = me.send_timeout(&to, 2, PATIENCE).await;
        assert!(
            matches!(sent, Err(SendError::TimedOut(PATIENCE))),
            "{sent:?}"
        );
        let info = me.runtime().process_info(to.pid()).await.unwrap();
        assert_eq!(info.message_queue_len, 1);
    })
    .await;
}

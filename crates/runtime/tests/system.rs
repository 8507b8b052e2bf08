//! What a runtime tells of processes that do not keep up: long queues, full mailboxes.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use purlin_runtime::{
    Address, Attached, Config, Overflow, Process, Received, Recipient, Route, Runtime, SendError,
    SpawnOptions, SystemEvent, SystemEventKind, SystemMonitor, TokioExecutor, Watermark,
};
use purlin_term::{NodeName, Term, atom};

/// Pushes that may pass before a long queue is noticed: the slots of the largest block.
const LATE: usize = 32;

fn runtime(watermark: Option<Watermark>) -> Runtime {
    let node = NodeName::new(&atom!("here@127.0.0.1")).unwrap();
    let mut config = Config::default();
    config.watermark = watermark;
    Runtime::new(node, 1, Arc::new(TokioExecutor::current()), config)
}

/// A mailbox that is told of everything, and what keeps it so.
fn monitor(runtime: &Runtime) -> (Attached<SystemEvent>, SystemMonitor) {
    let told = runtime.attach::<SystemEvent>().unwrap();
    let monitor = runtime.system_monitor(told.address());
    (told, monitor)
}

/// What was told so far.
fn events(told: &mut Attached<SystemEvent>) -> Vec<SystemEvent> {
    let received = std::iter::from_fn(|| told.try_receive().unwrap());
    received.filter_map(Received::message).collect()
}

/// Whether each event of a queue says that it became long, and the messages it had.
fn lengths(told: &mut Attached<SystemEvent>) -> Vec<(bool, usize)> {
    let length = |event: SystemEvent| match event.kind {
        SystemEventKind::LongMessageQueue { len, is_long } => (is_long, len),
        other => panic!("{other:?}"),
    };
    events(told).into_iter().map(length).collect()
}

/// Receives as many messages as it is told to, and says how many it has received in all.
struct Worker {
    address: Address<u32>,
    permits: Arc<tokio::sync::Semaphore>,
    done: Arc<AtomicUsize>,
}

impl Worker {
    fn spawn(runtime: &Runtime, options: SpawnOptions) -> Self {
        let permits = Arc::new(tokio::sync::Semaphore::new(0));
        let done = Arc::new(AtomicUsize::new(0));
        let (allowed, counted) = (permits.clone(), done.clone());
        let body = |mut me: Process<u32>| async move {
            loop {
                allowed.acquire().await.unwrap().forget();
                me.receive().await;
                counted.fetch_add(1, Ordering::SeqCst);
            }
        };
        Self {
            address: runtime.spawn_with(options, body).unwrap(),
            permits,
            done,
        }
    }

    async fn fill(&self, runtime: &Runtime, count: u32) {
        for number in 0..count {
            runtime.send(&self.address, number).await.unwrap();
        }
    }

    /// Lets it receive so many, and go to wait for more.
    async fn work(&self, count: usize) {
        let goal = self.done.load(Ordering::SeqCst) + count;
        self.permits.add_permits(count);
        while self.done.load(Ordering::SeqCst) < goal {
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_queue_that_becomes_long_is_told_of_once_and_once_when_it_is_short_again() {
    let runtime = runtime(Some(Watermark::new(10, 100)));
    let (mut told, _monitor) = monitor(&runtime);
    let options = SpawnOptions::default().label("slow").name(atom!("slow"));
    let worker = Worker::spawn(&runtime, options);
    worker.fill(&runtime, 99).await;
    assert_eq!(events(&mut told), []);
    worker.fill(&runtime, 901).await;
    let [event] = &events(&mut told)[..] else {
        panic!("one event");
    };
    assert_eq!(event.pid, worker.address.pid());
    assert_eq!(event.label.as_deref(), Some("slow"));
    assert_eq!(event.registered_name, Some(atom!("slow")));
    let SystemEventKind::LongMessageQueue { len, is_long: true } = event.kind else {
        panic!("{event:?}");
    };
    assert!((100..=100 + LATE).contains(&len), "{len}");

    worker.work(989).await;
    assert_eq!(lengths(&mut told), []);
    worker.work(1).await;
    assert_eq!(lengths(&mut told), [(false, 10)]);
    worker.fill(&runtime, 100 + LATE as u32).await;
    assert!(matches!(lengths(&mut told)[..], [(true, _)]));
    // All at once: the last turn, after which nothing comes, tells as well.
    worker.work(142).await;
    assert_eq!(lengths(&mut told), [(false, 0)]);
}

#[tokio::test]
async fn a_queue_about_its_mark_causes_no_flood_of_events() {
    let runtime = runtime(Some(Watermark::new(50, 100)));
    let (mut told, _monitor) = monitor(&runtime);
    let worker = Worker::spawn(&runtime, SpawnOptions::default());
    worker.fill(&runtime, 120).await;
    for _ in 0..100 {
        worker.work(40).await;
        worker.fill(&runtime, 40).await;
    }
    assert!(matches!(lengths(&mut told)[..], [(true, _)]));
}

#[tokio::test]
async fn a_bound_or_a_watermark_of_its_own_takes_the_place_of_the_common_one() {
    let runtime = runtime(Some(Watermark::new(10, 100)));
    let (mut told, _monitor) = monitor(&runtime);
    let options = SpawnOptions::default;
    let bounded = options().mailbox(1_000, Overflow::Refuse);
    let later = options().watermark(Watermark::new(0, 500));
    let both = bounded.clone().watermark(Watermark::new(0, 500));
    let worker = Worker::spawn(&runtime, bounded);
    worker.fill(&runtime, 1_000).await;
    assert_eq!(lengths(&mut told), []);
    for options in [later, both] {
        let worker = Worker::spawn(&runtime, options);
        worker.fill(&runtime, 499).await;
        assert_eq!(lengths(&mut told), []);
        worker.fill(&runtime, 100).await;
        assert!(matches!(lengths(&mut told)[..], [(true, 500..)]));
    }
}

#[tokio::test]
async fn without_a_watermark_and_without_a_monitor_nothing_is_told() {
    let silent = runtime(None);
    let (mut told, _monitor) = monitor(&silent);
    Worker::spawn(&silent, SpawnOptions::default())
        .fill(&silent, 200_000)
        .await;
    assert_eq!(events(&mut told), []);

    let runtime = runtime(Some(Watermark::new(1, 2)));
    let (mut told, monitor) = monitor(&runtime);
    drop(monitor);
    Worker::spawn(&runtime, SpawnOptions::default())
        .fill(&runtime, 100)
        .await;
    assert_eq!(events(&mut told), []);
}

/// The events of a queue alternate, begin with a long one and end with a short one, whoever notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_many_senders_and_the_receiver_alternate() {
    const SENDERS: u32 = 4;
    const EACH: u32 = 5_000;
    let runtime = runtime(None);
    let (mut told, _monitor) = monitor(&runtime);
    let (sender, done) = tokio::sync::oneshot::channel();
    let options = SpawnOptions::default().watermark(Watermark::new(2, 40));
    let receiver = runtime
        .spawn_with(options, |mut me: Process<u32>| async move {
            for _ in 0..SENDERS * EACH {
                me.receive().await;
            }
            let _ = sender.send(());
            std::future::pending::<()>().await;
        })
        .unwrap();
    for _ in 0..SENDERS {
        let (runtime, receiver) = (runtime.clone(), receiver.clone());
        tokio::spawn(async move {
            for number in 0..EACH {
                runtime.send(&receiver, number).await.unwrap();
                if number % 100 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        });
    }
    done.await.unwrap();
    // It answers after the turn in which it received the last message, so after what it told then.
    runtime.process_info(receiver.pid()).await.unwrap();
    let told = lengths(&mut told);
    let becomes: Vec<_> = told.iter().map(|(is_long, _)| *is_long).collect();
    let alternating: Vec<_> = (0..told.len()).map(|index| index % 2 == 0).collect();
    assert_eq!(becomes, alternating);
    assert_ne!(becomes.last(), Some(&true), "{told:?}");
    for (is_long, len) in told {
        assert!(if is_long { len >= 40 } else { len <= 2 }, "{len}");
    }
}

#[tokio::test]
async fn what_a_full_mailbox_refuses_is_counted_and_told_when_it_has_doubled() {
    for overflow in [
        Overflow::Refuse,
        Overflow::DropOldest,
        Overflow::DropNewest,
        Overflow::Wait,
    ] {
        let runtime = runtime(None);
        let (mut told, _monitor) = monitor(&runtime);
        let worker = Worker::spawn(&runtime, SpawnOptions::default().mailbox(3, overflow));
        worker.fill(&runtime, 3).await;
        for number in 0..9 {
            let sent = runtime.try_send(&worker.address, number);
            match overflow {
                Overflow::Refuse | Overflow::Wait => {
                    assert!(matches!(sent, Err(SendError::Full(_))), "{sent:?}");
                }
                _ => sent.unwrap(),
            }
        }
        let pid = worker.address.pid();
        let info = runtime.process_info(pid).await.unwrap();
        assert_eq!(info.messages_dropped, 9, "{overflow:?}");
        let counts = events(&mut told).into_iter().map(|event| event.kind);
        let refused = [1, 2, 4, 8].map(|refused| SystemEventKind::MailboxFull { refused });
        assert_eq!(counts.collect::<Vec<_>>(), refused, "{overflow:?}");
    }
}

#[tokio::test]
async fn who_waits_for_room_is_not_counted_as_refused() {
    let runtime = runtime(None);
    let worker = Worker::spawn(&runtime, SpawnOptions::default().mailbox(1, Overflow::Wait));
    worker.fill(&runtime, 1).await;
    let waiting = tokio::spawn({
        let (runtime, to) = (runtime.clone(), worker.address.clone());
        async move { runtime.send(&to, 2).await }
    });
    tokio::task::yield_now().await;
    worker.work(2).await;
    waiting.await.unwrap().unwrap();
    let info = runtime.process_info(worker.address.pid()).await.unwrap();
    assert_eq!(info.messages_dropped, 0);
}

#[tokio::test]
async fn an_event_is_a_term_to_who_takes_terms() {
    let runtime = runtime(Some(Watermark::new(1, 10)));
    let mut told = runtime.attach::<Term>().unwrap();
    let _monitor = runtime.system_monitor(told.pid());
    let worker = Worker::spawn(&runtime, SpawnOptions::default());
    worker.fill(&runtime, 50).await;
    let event = told.receive().await.unwrap().message().unwrap().to_string();
    for part in ["kind", "long_message_queue", "is_long => true", "undefined"] {
        assert!(event.contains(part), "{part} in {event}");
    }
}

#[tokio::test]
async fn a_runtime_that_was_stopped_keeps_no_monitor() {
    let runtime = runtime(None);
    let (told, monitor) = monitor(&runtime);
    let held = Arc::new(());
    let kept = held.clone();
    let child = runtime
        .spawn(move |mut me: Process<SystemEvent>| async move {
            let _kept = kept;
            me.receive().await;
        })
        .unwrap();
    let other = runtime.system_monitor(child);
    runtime.stop(std::time::Duration::from_secs(10)).await;
    assert_eq!(Arc::strong_count(&held), 1);
    drop((told, monitor, other));
}

#[tokio::test]
async fn who_is_told_hears_of_its_own_queue_as_well() {
    let runtime = runtime(Some(Watermark::new(1, 10)));
    let (mut told, _monitor) = monitor(&runtime);
    for _ in 0..50 {
        let worker = Worker::spawn(&runtime, SpawnOptions::default());
        worker.fill(&runtime, 50).await;
    }
    let own = told.pid();
    let (of_own, of_others): (Vec<_>, Vec<_>) = events(&mut told)
        .into_iter()
        .partition(|event| event.pid == own);
    assert_eq!((of_own.len(), of_others.len()), (1, 50));
}

/// Tells a mailbox, and before it does so, empties the queue that is told of.
struct Emptying {
    to: Address<SystemEvent>,
    queue: Mutex<Attached<u32>>,
}

impl Recipient<SystemEvent> for Emptying {
    fn route(&self) -> Route<'_, SystemEvent> {
        // Told of while it is emptied, it is only told.
        if let Ok(mut queue) = self.queue.try_lock() {
            let mut cx = Context::from_waker(Waker::noop());
            while pin!(queue.receive()).poll(&mut cx).is_ready() {}
        }
        self.to.route()
    }
}

#[tokio::test]
async fn what_changes_while_it_is_told_is_told_after_that() {
    let runtime = runtime(Some(Watermark::new(0, 10)));
    let mut told = runtime.attach::<SystemEvent>().unwrap();
    let queue = runtime.attach::<u32>().unwrap();
    let (own, address) = (queue.pid(), queue.address());
    let _monitor = runtime.system_monitor(Emptying {
        to: told.address(),
        queue: Mutex::new(queue),
    });
    for number in 0..50 {
        runtime.send(&address, number).await.unwrap();
    }
    let told = events(&mut told);
    assert!(told.iter().all(|event| event.pid == own), "{told:?}");
    let becomes = told.iter().map(|event| match event.kind {
        SystemEventKind::LongMessageQueue { len, is_long } => (is_long, len > 0),
        _ => panic!("{event:?}"),
    });
    let becomes: Vec<_> = becomes.collect();
    assert_eq!(becomes[..2], [(true, true), (false, false)]);
    assert_eq!(becomes.len() % 2, 0, "{becomes:?}");
}

//! Bounded mailboxes, and stopping.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use purlin_runtime::limits::FOREIGN_BYTES_MAX;
use purlin_runtime::{
    Address, AliasMode, Config, Message, Overflow, Process, Received, Runtime, SendError,
    SpawnOptions, Stopped, TokioExecutor,
};
use purlin_term::{DeserializeError, EncodedTerm, NodeName, SerializeError, Term, atom};

fn runtime() -> Runtime {
    let node = NodeName::new(&atom!("here@127.0.0.1")).unwrap();
    let executor = Arc::new(TokioExecutor::current());
    Runtime::new(node, 1, executor, Config::default())
}

/// A process that receives nothing until it is told by `go`, and then answers all it has.
fn collector(
    runtime: &Runtime,
    overflow: Overflow,
) -> (
    Address<i64>,
    Arc<tokio::sync::Notify>,
    tokio::sync::oneshot::Receiver<Vec<i64>>,
) {
    let go = Arc::new(tokio::sync::Notify::new());
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let options = SpawnOptions::default().mailbox(3, overflow);
    let started = go.clone();
    let address = runtime
        .spawn_with(options, |mut me: Process<i64>| async move {
            started.notified().await;
            let mut all = Vec::new();
            while let Some(Received::Message(number)) =
                me.receive_timeout(Duration::from_millis(50)).await
            {
                all.push(number);
            }
            let _ = sender.send(all);
        })
        .unwrap();
    (address, go, receiver)
}

#[tokio::test]
async fn a_full_mailbox_refuses_by_name_and_keeps_what_it_has() {
    let runtime = runtime();
    let (to, go, all) = collector(&runtime, Overflow::Refuse);
    for number in 0..3 {
        runtime.send(&to, number).await.unwrap();
    }
    let refused = runtime.send(&to, 3).await;
    assert!(matches!(refused, Err(SendError::Full(pid)) if pid == to.pid()));
    let refused = runtime.send(to.pid(), 3_u8).await;
    assert!(matches!(refused, Err(SendError::Full(_))));
    let info = runtime.process_info(to.pid()).await.unwrap();
    assert_eq!((info.message_queue_len, info.messages_dropped), (3, 2));
    go.notify_one();
    assert_eq!(all.await.unwrap(), [0, 1, 2]);
}

#[tokio::test]
async fn the_oldest_or_the_newest_is_dropped_as_asked() {
    let runtime = runtime();
    let (oldest, go_oldest, kept_oldest) = collector(&runtime, Overflow::DropOldest);
    let (newest, go_newest, kept_newest) = collector(&runtime, Overflow::DropNewest);
    for number in 0..5 {
        runtime.send(&oldest, number).await.unwrap();
        runtime.send(&newest, number).await.unwrap();
    }
    go_oldest.notify_one();
    go_newest.notify_one();
    assert_eq!(kept_oldest.await.unwrap(), [2, 3, 4]);
    assert_eq!(kept_newest.await.unwrap(), [0, 1, 2]);
}

#[tokio::test]
async fn who_waits_for_room_is_served_in_turn_and_nothing_is_lost() {
    let runtime = runtime();
    let (to, go, all) = collector(&runtime, Overflow::Wait);
    for number in 0..3 {
        runtime.send(&to, number).await.unwrap();
    }
    assert!(matches!(runtime.try_send(&to, 9), Err(SendError::Full(_))));
    let senders: Vec<_> = (3..9)
        .map(|number| {
            let (runtime, to) = (runtime.clone(), to.clone());
            tokio::spawn(async move { runtime.send(&to, number).await })
        })
        .collect();
    // On one thread they come to wait in the order in which they were started.
    tokio::task::yield_now().await;
    go.notify_one();
    for sender in senders {
        sender.await.unwrap().unwrap();
    }
    assert_eq!(all.await.unwrap(), (0..9).collect::<Vec<_>>());
}

#[tokio::test]
async fn who_waits_for_room_of_one_that_ends_waits_no_more() {
    let runtime = runtime();
    let (to, _go, _all) = collector(&runtime, Overflow::Wait);
    for number in 0..3 {
        runtime.send(&to, number).await.unwrap();
    }
    let waiting = {
        let (runtime, to) = (runtime.clone(), to.clone());
        tokio::spawn(async move { runtime.send(&to, 3).await })
    };
    tokio::task::yield_now().await;
    runtime.exit(to.pid(), atom!("kill"));
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn replies_and_timers_enter_a_full_mailbox_and_take_no_room_for_long() {
    let runtime = runtime();
    let options = SpawnOptions::default().mailbox(1, Overflow::Refuse);
    let (sender, done) = tokio::sync::oneshot::channel();
    runtime
        .spawn_with(options, |mut me: Process<i64>| async move {
            let own = me.address();
            let alias = me.alias(AliasMode::ExplicitUnalias);
            for _ in 0..100 {
                me.send(&own, 1).await.unwrap();
                me.send(alias, 2_i64).await.unwrap();
                me.runtime().send_after(Duration::ZERO, own.clone(), 3);
                let mut sum = 0;
                for _ in 0..3 {
                    sum += me.receive_message().await;
                }
                assert_eq!(sum, 6);
            }
            me.send(&own, 1).await.unwrap();
            assert!(me.try_send(&own, 1).is_err());
            let _ = sender.send(());
        })
        .unwrap();
    done.await.unwrap();
}

#[tokio::test]
async fn stopping_ends_the_youngest_first_and_kills_who_does_not_listen() {
    let runtime = runtime();
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    for number in 0..5 {
        let order = order.clone();
        runtime
            .spawn(move |mut me: Process<Term>| async move {
                me.trap_exit(true);
                me.receive().await;
                order.lock().unwrap().push(number);
            })
            .unwrap();
    }
    runtime
        .spawn(|me: Process<Term>| async move {
            me.trap_exit(true);
            std::future::pending::<()>().await;
        })
        .unwrap();
    tokio::task::yield_now().await;
    let stopped = runtime.stop(Duration::from_millis(50)).await;
    assert_eq!(
        stopped,
        Stopped {
            killed: 1,
            left: Vec::new()
        }
    );
    assert_eq!(*order.lock().unwrap(), [4, 3, 2, 1, 0]);
    assert_eq!(runtime.process_count(), 0);
    assert!(runtime.spawn(|_: Process<Term>| async {}).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_holds_its_thread_is_reported_and_not_waited_for() {
    let runtime = runtime();
    let hold = Arc::new(AtomicBool::new(true));
    let held = hold.clone();
    let options = SpawnOptions::default().own_thread();
    let (sender, begun) = tokio::sync::oneshot::channel();
    let pid = runtime
        .spawn_with(options, move |_: Process<Term>| async move {
            let _ = sender.send(());
            while held.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
        })
        .unwrap()
        .pid();
    begun.await.unwrap();
    let stopped = runtime.stop(Duration::from_millis(20)).await;
    assert_eq!(
        stopped,
        Stopped {
            killed: 1,
            left: vec![pid]
        }
    );
    hold.store(false, Ordering::Relaxed);
}

#[tokio::test]
async fn stopping_waits_neither_for_attached_processes_nor_for_kept_ones() {
    let runtime = runtime();
    let mut attached = runtime.attach::<Term>().unwrap();
    let kept = runtime.prepare::<Term>(SpawnOptions::default()).unwrap();
    kept.keep();
    let pid = kept.pid();
    kept.start(|_| std::future::pending::<()>());
    runtime
        .spawn(|_: Process<Term>| std::future::pending::<()>())
        .unwrap();
    let stopped = runtime.stop(Duration::from_secs(3600)).await;
    assert_eq!(stopped, Stopped::default());
    assert!(runtime.is_process_alive(pid));
    assert!(attached.receive().await.unwrap_err().0.is_atom("shutdown"));
}

/// A message that keeps nothing of what it came as.
struct Light;

impl Message for Light {
    fn encode(&self) -> Result<EncodedTerm, SerializeError> {
        EncodedTerm::serialize(&())
    }

    fn decode(_: &EncodedTerm) -> Result<Self, DeserializeError> {
        Ok(Self)
    }
}

#[tokio::test]
async fn what_is_passed_over_counts_until_it_is_received() {
    const LEN: usize = 64 << 20;
    const ROOM: usize = FOREIGN_BYTES_MAX / LEN;
    let runtime = runtime();
    let mut me = runtime.attach::<Light>().unwrap();
    let message = EncodedTerm::encode(&Term::Binary(vec![0; LEN].into())).unwrap();
    for _ in 0..2 {
        for _ in 0..2 * ROOM {
            runtime.deliver_encoded(None, &me.pid().into(), message.clone());
            tokio::select! {
                biased;
                _ = me.receive_where(|_| false) => unreachable!("nothing is wanted"),
                () = ready(()) => {}
            }
        }
        let mut received = 0;
        loop {
            tokio::select! {
                biased;
                message = me.receive() => assert!(message.is_ok()),
                () = ready(()) => break,
            }
            received += 1;
        }
        // They are a few bytes longer than what they hold.
        assert_eq!(received, ROOM - 1);
    }
}

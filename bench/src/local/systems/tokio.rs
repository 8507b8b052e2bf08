//! Plain tokio: tasks and unbounded channels, as one writes them without any library of actors.
//!
//! It is the floor: no pids that others can know, no signals, no reasons. A watcher of many is a
//! `JoinSet`, a death that many hear of is a `watch` channel whose sender is dropped, and a supervisor is written by
//! hand.

use std::collections::VecDeque;
use std::time::Instant;

use futures_util::{StreamExt, stream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::{Answer, Runs, System, all_of_it, threads};
use crate::local::loads::{Job, Kind, supervisors_of_each};
use crate::local::measure::{Clients, Latch, at_rest, bytes_since, nanoseconds_since};

pub(super) const SYSTEM: System = System {
    name: "tokio",
    runs: Runs::Here(|job| threads::run(perform(job))),
    note,
    share: all_of_it,
};

fn note(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::WatchMany => Some("no monitors: a JoinSet"),
        Kind::ManyWatch => Some("no monitors: a watch channel that closes"),
        Kind::Linked => Some("no links: a watch channel that closes"),
        Kind::Restart => Some("no supervisors: a task that waits for another and starts the next"),
        Kind::StartChildren | Kind::StopChildren | Kind::ChildBytes => {
            Some("no supervisors: a JoinSet")
        }
        Kind::Stream => Some("tasks in `buffered` of futures"),
        _ => None,
    }
}

async fn perform(job: Job) -> Answer {
    let (size, each) = (job.size, job.each());
    match job.kind {
        Kind::PingPong => ping_pong(size, each).await,
        Kind::FanIn => fan_in(size, each).await,
        Kind::Ring => ring(size, job.operations).await,
        Kind::Call => call(size, each).await,
        Kind::Spawn => spawn(size).await,
        Kind::Idle => idle(size).await,
        Kind::WatchMany => watch_many(size).await,
        Kind::ManyWatch => one_dies(size).await,
        Kind::Linked => one_dies(size).await,
        Kind::Restart => restart(size, each).await,
        Kind::StartChildren => start_children(size).await,
        Kind::StopChildren => stop_children(size).await,
        Kind::ChildBytes => child_bytes(size).await,
        Kind::Transition => Err("has no state machines"),
        Kind::Stream => stream(size, job.operations).await,
    }
}

struct Ball {
    from: UnboundedSender<Ball>,
    number: u64,
}

async fn ping_pong(pairs: u64, round_trips: u64) -> Answer {
    let done = Latch::new(pairs);
    let mut players = Vec::new();
    for _ in 0..pairs {
        let (ping, of_ping) = unbounded_channel();
        let (pong, of_pong) = unbounded_channel();
        let finished = done.clone();
        let me = ping.clone();
        tokio::spawn(async move {
            play(me, of_ping, round_trips).await;
            finished.arrive();
        });
        tokio::spawn(play(pong.clone(), of_pong, u64::MAX));
        players.push((ping, pong));
    }
    at_rest().await;
    let start = Instant::now();
    for (ping, from) in players {
        let _ = ping.send(Ball { from, number: 0 });
    }
    done.wait().await;
    nanoseconds_since(start)
}

/// Sends so many balls back to where they came from, and keeps the one after them.
async fn play(me: UnboundedSender<Ball>, mut balls: UnboundedReceiver<Ball>, mut left: u64) {
    while let Some(Ball { from, number }) = balls.recv().await {
        if left == 0 {
            return;
        }
        left -= 1;
        let _ = from.send(Ball {
            from: me.clone(),
            number: number + 1,
        });
    }
}

async fn fan_in(senders: u64, messages: u64) -> Answer {
    let done = Latch::new(1);
    let receiver = receiver_of(senders * messages, &done);
    let starts: Vec<_> = (0..senders)
        .map(|_| {
            let (start, mut started) = unbounded_channel::<()>();
            let receiver = receiver.clone();
            tokio::spawn(async move {
                started.recv().await;
                for number in 0..messages {
                    let _ = receiver.send(number);
                }
            });
            start
        })
        .collect();
    at_rest().await;
    let start = Instant::now();
    for sender in &starts {
        let _ = sender.send(());
    }
    done.wait().await;
    nanoseconds_since(start)
}

/// Takes so many messages.
fn receiver_of(count: u64, done: &Latch) -> UnboundedSender<u64> {
    let (receiver, mut messages) = unbounded_channel();
    let done = done.clone();
    tokio::spawn(async move {
        for _ in 0..count {
            messages.recv().await;
        }
        done.arrive();
    });
    receiver
}

async fn ring(processes: u64, hops: u64) -> Answer {
    let done = Latch::new(1);
    let (first, of_first) = unbounded_channel();
    let mut next = first.clone();
    for _ in 1..processes {
        let (member, tokens) = unbounded_channel();
        tokio::spawn(pass_on(tokens, next, done.clone()));
        next = member;
    }
    tokio::spawn(pass_on(of_first, next, done.clone()));
    at_rest().await;
    let start = Instant::now();
    let _ = first.send(hops);
    done.wait().await;
    nanoseconds_since(start)
}

async fn pass_on(mut tokens: UnboundedReceiver<u64>, next: UnboundedSender<u64>, done: Latch) {
    while let Some(left) = tokens.recv().await {
        if left == 0 {
            done.arrive();
        } else {
            let _ = next.send(left - 1);
        }
    }
}

/// A number to add one to, and who waits for it.
type Increment = (u64, oneshot::Sender<u64>);

async fn call(clients: u64, calls: u64) -> Answer {
    let (server, mut requests) = unbounded_channel::<Increment>();
    tokio::spawn(async move {
        while let Some((number, reply)) = requests.recv().await {
            let _ = reply.send(number + 1);
        }
    });
    let client = |server: UnboundedSender<Increment>| async move {
        for number in 0..calls {
            let (reply, sum) = oneshot::channel();
            let _ = server.send((number, reply));
            assert!(sum.await.is_ok_and(|sum| sum == number + 1));
        }
    };
    let mut all = Clients::new(clients);
    for _ in 0..clients {
        tokio::spawn(all.add().does(client(server.clone())));
    }
    all.timed().await
}

async fn spawn(processes: u64) -> Answer {
    let done = Latch::new(1);
    let collector = receiver_of(processes, &done);
    let start = Instant::now();
    for number in 0..processes {
        let collector = collector.clone();
        tokio::spawn(async move {
            let _ = collector.send(number);
        });
    }
    done.wait().await;
    nanoseconds_since(start)
}

async fn idle(processes: u64) -> Answer {
    let before = at_rest().await;
    let mut handles = Vec::with_capacity(processes as usize);
    for _ in 0..processes {
        let (handle, mut messages) = unbounded_channel::<u64>();
        tokio::spawn(async move { while messages.recv().await.is_some() {} });
        handles.push(handle);
    }
    let answer = bytes_since(before).await;
    drop(handles);
    answer
}

async fn watch_many(watched: u64) -> Answer {
    let done = Latch::new(1);
    let mut watcher = JoinSet::new();
    let mut handles = Vec::with_capacity(watched as usize);
    for _ in 0..watched {
        let (handle, mut messages) = unbounded_channel::<()>();
        watcher.spawn(async move {
            messages.recv().await;
        });
        handles.push(handle);
    }
    let finished = done.clone();
    tokio::spawn(async move {
        while watcher.join_next().await.is_some() {}
        finished.arrive();
    });
    at_rest().await;
    let start = Instant::now();
    for handle in &handles {
        let _ = handle.send(());
    }
    done.wait().await;
    nanoseconds_since(start)
}

/// Many tasks end when they hear that one has: monitors and links are the same thing here.
async fn one_dies(others: u64) -> Answer {
    let done = Latch::new(others);
    let (alive, ended) = watch::channel(());
    for _ in 0..others {
        let mut ended = ended.clone();
        let guard = done.guard();
        tokio::spawn(async move {
            let _guard = guard;
            let _ = ended.changed().await;
        });
    }
    let (handle, mut messages) = unbounded_channel::<()>();
    tokio::spawn(async move {
        let _alive = alive;
        messages.recv().await;
    });
    at_rest().await;
    let start = Instant::now();
    let _ = handle.send(());
    done.wait().await;
    nanoseconds_since(start)
}

/// What a child is asked: to add one, or `None`, to fail.
type Asked = Option<Increment>;

/// A task that starts its child anew whenever it failed, and tells the client of each.
async fn supervise(client: UnboundedSender<UnboundedSender<Asked>>) {
    loop {
        let (child, asked) = unbounded_channel();
        let running = tokio::spawn(faulty(asked));
        let _ = client.send(child);
        if running.await.is_ok_and(|ended| ended.is_ok()) {
            return;
        }
    }
}

async fn faulty(mut asked: UnboundedReceiver<Asked>) -> Result<(), &'static str> {
    while let Some(asked) = asked.recv().await {
        let (number, reply) = asked.ok_or("failed")?;
        let _ = reply.send(number + 1);
    }
    Ok(())
}

async fn restart(clients: u64, restarts: u64) -> Answer {
    let mut all = Clients::new(clients);
    for _ in 0..clients {
        let (client, mut of_client) = unbounded_channel();
        let mut children = VecDeque::new();
        for _ in 0..supervisors_of_each(clients) {
            tokio::spawn(supervise(client.clone()));
            children.extend(of_client.recv().await);
        }
        let client = all.add();
        tokio::spawn(client.does(restart_in_turn(of_client, children, restarts)));
    }
    all.timed().await
}

async fn restart_in_turn(
    mut of_client: UnboundedReceiver<UnboundedSender<Asked>>,
    mut children: VecDeque<UnboundedSender<Asked>>,
    restarts: u64,
) {
    for number in 0..restarts {
        let child = children.pop_front().expect("there are as many as before");
        let _ = child.send(None);
        let successor = of_client.recv().await.expect("supervisors live");
        let (reply, sum) = oneshot::channel();
        let _ = successor.send(Some((number, reply)));
        assert!(sum.await.is_ok_and(|sum| sum == number + 1));
        children.push_back(successor);
    }
}

/// A set with so many tasks that wait for a message, and what they are sent messages by.
fn set_of(children: u64) -> (JoinSet<()>, Vec<UnboundedSender<u64>>) {
    let mut set = JoinSet::new();
    let start = |_| {
        let (handle, mut messages) = unbounded_channel();
        set.spawn(async move { while messages.recv().await.is_some() {} });
        handle
    };
    let handles = (0..children).map(start).collect();
    (set, handles)
}

async fn start_children(children: u64) -> Answer {
    let start = Instant::now();
    let (set, _handles) = set_of(children);
    assert_eq!(set.len() as u64, children);
    nanoseconds_since(start)
}

async fn stop_children(children: u64) -> Answer {
    let (mut set, _handles) = set_of(children);
    at_rest().await;
    let start = Instant::now();
    set.shutdown().await;
    nanoseconds_since(start)
}

async fn child_bytes(children: u64) -> Answer {
    let before = at_rest().await;
    let all = set_of(children);
    let answer = bytes_since(before).await;
    drop(all);
    answer
}

async fn stream(at_once: u64, items: u64) -> Answer {
    at_rest().await;
    let start = Instant::now();
    let tasks = stream::iter(0..items).map(|number| tokio::spawn(async move { number + 1 }));
    let mut results = tasks.buffered(at_once as usize);
    for number in 0..items {
        let result = results.next().await.expect("each item has a result");
        assert!(result.is_ok_and(|result| result == number + 1));
    }
    nanoseconds_since(start)
}

//! Plain tokio: tasks and unbounded channels, as one writes them without any library of actors.
//!
//! It is the floor: no pids that others can know, no signals, no reasons. A watcher of many is a
//! `JoinSet`, a death that many hear of is a `watch` channel whose sender is dropped.

use std::time::Instant;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::{Answer, Runs, System, all_of_it, threads};
use crate::local::loads::{Job, Kind};
use crate::local::measure::{Latch, at_rest, bytes_since, nanoseconds_since};

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

async fn call(clients: u64, calls: u64) -> Answer {
    let (server, mut requests) = unbounded_channel::<(u64, oneshot::Sender<u64>)>();
    tokio::spawn(async move {
        while let Some((number, reply)) = requests.recv().await {
            let _ = reply.send(number + 1);
        }
    });
    let done = Latch::new(clients);
    let starts: Vec<_> = (0..clients)
        .map(|_| {
            let (start, mut started) = unbounded_channel::<()>();
            let (server, done) = (server.clone(), done.clone());
            tokio::spawn(async move {
                started.recv().await;
                for number in 0..calls {
                    let (reply, sum) = oneshot::channel();
                    let _ = server.send((number, reply));
                    assert!(sum.await.is_ok_and(|sum| sum == number + 1));
                }
                done.arrive();
            });
            start
        })
        .collect();
    at_rest().await;
    let start = Instant::now();
    for client in &starts {
        let _ = client.send(());
    }
    done.wait().await;
    nanoseconds_since(start)
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

//! Purlin's own runtime. Every message has an encoding, so the same programs could be spread over
//! nodes; within one the messages are moved.

mod behaviours;

use std::sync::Arc;
use std::time::Instant;

use purlin_runtime::{Address, Config, Process, Runtime, TokioExecutor};
use purlin_term::{NodeName, Term, atom};
use serde::{Deserialize, Serialize};

use super::{Answer, Runs, System, all_of_it, as_described, threads};
use crate::local::loads::{Job, Kind};
use crate::local::measure::{Guard, Latch, at_rest, bytes_since, nanoseconds_since};

pub(super) const SYSTEM: System = System {
    name: super::PURLIN,
    runs: Runs::Here(|job| threads::run(perform(job))),
    note: as_described,
    share: all_of_it,
};

/// More than any load has at once.
const PROCESSES_MAX: usize = 4_000_000;

const ROOM: &str = "there is room for every process of a load";

async fn perform(job: Job) -> Answer {
    let (size, each) = (job.size, job.each());
    match job.kind {
        Kind::PingPong => ping_pong(size, each).await,
        Kind::FanIn => fan_in(size, each).await,
        Kind::Ring => ring(size, job.operations).await,
        Kind::Call => behaviours::call(size, each).await,
        Kind::Spawn => spawn(size).await,
        Kind::Idle => idle(size).await,
        Kind::WatchMany => watch_many(size).await,
        Kind::ManyWatch => many_watch(size).await,
        Kind::Linked => linked_die(size).await,
        Kind::Restart => behaviours::restart(size, each).await,
        Kind::StartChildren => behaviours::start_children(size).await,
        Kind::StopChildren => behaviours::stop_children(size).await,
        Kind::ChildBytes => behaviours::child_bytes(size).await,
        Kind::Transition => behaviours::transition(size, each).await,
        Kind::Stream => behaviours::stream(size, job.operations).await,
    }
}

fn runtime() -> Runtime {
    let node = NodeName::new(&atom!("bench@localhost")).expect("a valid name");
    let mut config = Config::default();
    config.processes_max = PROCESSES_MAX;
    Runtime::new(node, 1, Arc::new(TokioExecutor::current()), config)
}

#[derive(Serialize, Deserialize)]
struct Ball {
    from: Address<Ball>,
    number: u64,
}

async fn ping_pong(pairs: u64, round_trips: u64) -> Answer {
    let runtime = runtime();
    let done = Latch::new(pairs);
    let mut players = Vec::new();
    for _ in 0..pairs {
        let finished = done.clone();
        let ping = runtime.spawn(move |me| async move {
            play(me, round_trips).await;
            finished.arrive();
        });
        let pong = runtime.spawn(|me| play(me, u64::MAX));
        players.push((ping.expect(ROOM), pong.expect(ROOM)));
    }
    at_rest().await;
    let start = Instant::now();
    for (ping, from) in players {
        let _ = runtime.try_send(&ping, Ball { from, number: 0 });
    }
    done.wait().await;
    nanoseconds_since(start)
}

/// Sends so many balls back to where they came from, and keeps the one after them.
async fn play(mut me: Process<Ball>, mut left: u64) {
    loop {
        let Ball { from, number } = me.receive_message().await;
        if left == 0 {
            return;
        }
        left -= 1;
        let back = Ball {
            from: me.address(),
            number: number + 1,
        };
        let _ = me.send(&from, back).await;
    }
}

async fn fan_in(senders: u64, messages: u64) -> Answer {
    let runtime = runtime();
    let done = Latch::new(1);
    let receiver = receiver_of(&runtime, senders * messages, &done);
    let starts: Vec<_> = (0..senders)
        .map(|_| {
            let receiver = receiver.clone();
            let sender = runtime.spawn(move |mut me: Process<()>| async move {
                me.receive_message().await;
                for number in 0..messages {
                    let _ = me.send(&receiver, number).await;
                }
            });
            sender.expect(ROOM)
        })
        .collect();
    at_rest().await;
    let start = Instant::now();
    for sender in &starts {
        let _ = runtime.try_send(sender, ());
    }
    done.wait().await;
    nanoseconds_since(start)
}

/// Takes so many messages.
fn receiver_of(runtime: &Runtime, count: u64, done: &Latch) -> Address<u64> {
    let done = done.clone();
    let receiver = runtime.spawn(move |mut me| async move {
        for _ in 0..count {
            me.receive_message().await;
        }
        done.arrive();
    });
    receiver.expect(ROOM)
}

async fn ring(processes: u64, hops: u64) -> Answer {
    let runtime = runtime();
    let done = Latch::new(1);
    // The first closes the ring: it is told of the last.
    let last_done = done.clone();
    let first = runtime.spawn(move |mut me: Process<Token>| async move {
        if let Token::Next(next) = me.receive_message().await {
            pass_on(me, next, last_done).await;
        }
    });
    let first = first.expect(ROOM);
    let mut next = first.clone();
    for _ in 1..processes {
        let (onward, done) = (next.clone(), done.clone());
        let member = runtime.spawn(move |me| pass_on(me, onward, done));
        next = member.expect(ROOM);
    }
    let _ = runtime.try_send(&first, Token::Next(next));
    at_rest().await;
    let start = Instant::now();
    let _ = runtime.try_send(&first, Token::Hops(hops));
    done.wait().await;
    nanoseconds_since(start)
}

#[derive(Serialize, Deserialize)]
enum Token {
    Next(Address<Token>),
    Hops(u64),
}

async fn pass_on(mut me: Process<Token>, next: Address<Token>, done: Latch) {
    loop {
        match me.receive_message().await {
            Token::Hops(0) => done.arrive(),
            Token::Hops(left) => drop(me.send(&next, Token::Hops(left - 1)).await),
            Token::Next(_) => {}
        }
    }
}

async fn spawn(processes: u64) -> Answer {
    let runtime = runtime();
    let done = Latch::new(1);
    let collector = receiver_of(&runtime, processes, &done);
    let start = Instant::now();
    for number in 0..processes {
        let collector = collector.clone();
        let started = runtime.spawn(move |me: Process<()>| async move {
            let _ = me.send(&collector, number).await;
        });
        started.expect(ROOM);
    }
    done.wait().await;
    nanoseconds_since(start)
}

async fn idle(processes: u64) -> Answer {
    let runtime = runtime();
    let before = at_rest().await;
    let mut handles = Vec::with_capacity(processes as usize);
    for _ in 0..processes {
        let handle = runtime.spawn(|mut me: Process<u64>| async move {
            loop {
                me.receive_message().await;
            }
        });
        handles.push(handle.expect(ROOM));
    }
    let answer = bytes_since(before).await;
    drop(handles);
    answer
}

/// A process that ends with its first message.
async fn mortal(mut me: Process<()>) {
    me.receive_message().await;
}

async fn watch_many(watched: u64) -> Answer {
    let runtime = runtime();
    let done = Latch::new(1);
    let handles: Vec<_> = (0..watched)
        .map(|_| runtime.spawn(mortal).expect(ROOM))
        .collect();
    let (pids, finished) = (pids(&handles), done.clone());
    let watcher = runtime.spawn(move |mut me: Process<()>| async move {
        for pid in pids {
            me.monitor(pid);
        }
        for _ in 0..watched {
            while me.receive().await.down().is_none() {}
        }
        finished.arrive();
    });
    watcher.expect(ROOM);
    at_rest().await;
    let start = Instant::now();
    for handle in &handles {
        let _ = runtime.try_send(handle, ());
    }
    done.wait().await;
    nanoseconds_since(start)
}

fn pids<M>(handles: &[Address<M>]) -> Vec<purlin_term::Pid> {
    handles.iter().map(Address::pid).collect()
}

async fn many_watch(watchers: u64) -> Answer {
    let runtime = runtime();
    let done = Latch::new(watchers);
    let handle = runtime.spawn(mortal).expect(ROOM);
    let watched = handle.pid();
    for _ in 0..watchers {
        let finished = done.clone();
        let watcher = runtime.spawn(move |mut me: Process<()>| async move {
            me.monitor(watched);
            while me.receive().await.down().is_none() {}
            finished.arrive();
        });
        watcher.expect(ROOM);
    }
    at_rest().await;
    let start = Instant::now();
    let _ = runtime.try_send(&handle, ());
    done.wait().await;
    nanoseconds_since(start)
}

async fn linked_die(linked: u64) -> Answer {
    let runtime = runtime();
    let done = Latch::new(linked);
    let failing = runtime.spawn(|mut me: Process<()>| async move {
        me.receive_message().await;
        Term::from(atom!("failed"))
    });
    let failing = failing.expect(ROOM);
    let to = failing.pid();
    for _ in 0..linked {
        let guard = done.guard();
        let started = runtime.spawn(move |me| live_linked(me, to, guard));
        started.expect(ROOM);
    }
    at_rest().await;
    let start = Instant::now();
    let _ = runtime.try_send(&failing, ());
    done.wait().await;
    nanoseconds_since(start)
}

async fn live_linked(mut me: Process<()>, to: purlin_term::Pid, _guard: Guard) {
    me.link(to);
    loop {
        me.receive_message().await;
    }
}

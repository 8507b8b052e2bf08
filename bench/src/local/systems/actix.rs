//! actix, on one thread and on two.
//!
//! An actor stays on the thread, the *arbiter*, that it was started on. On one thread nothing ever
//! crosses cores: a cooperative loop. On two, every other actor is on the other thread, and a pair
//! or a ring crosses at each message.

use std::collections::VecDeque;
use std::time::Instant;

use actix::dev::ToEnvelope;
use actix::{
    Actor, ActorContext, Addr, Arbiter, ArbiterHandle, AsyncContext, Context, Handler, Message,
    Supervised, Supervisor, System as ActixSystem,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{Answer, Runs, System, all_of_it};
use crate::local::loads::{Job, Kind, supervisors_of_each};
use crate::local::measure::{Clients, Latch, at_rest, bytes_since, nanoseconds_since};

pub(super) const ONE_THREAD: System = System {
    name: "actix, 1 thread",
    runs: Runs::Here(|job| run(1, job)),
    note: restarts_itself,
    share: all_of_it,
};

pub(super) const TWO_THREADS: System = System {
    name: "actix, 2 threads",
    runs: Runs::Here(|job| run(2, job)),
    note: |kind| {
        let crosses = matches!(kind, Kind::PingPong | Kind::Ring);
        crosses
            .then_some("every message crosses threads; a tenth of the messages")
            .or(restarts_itself(kind))
    },
    share: |kind| match kind {
        Kind::PingPong | Kind::Ring => 10,
        _ => 1,
    },
};

fn restarts_itself(kind: Kind) -> Option<&'static str> {
    let restarts = kind == Kind::Restart;
    restarts.then_some("the same actor goes on: nothing is made anew")
}

/// Runs the load on the first of its threads. What it started is not ended, as in `threads`.
fn run(threads: usize, job: Job) -> Answer {
    let system = ActixSystem::new();
    let threads = system.block_on(Threads::start(threads));
    let answer = system.block_on(perform(threads, job));
    std::mem::forget(system);
    answer
}

async fn perform(threads: Threads, job: Job) -> Answer {
    let (size, each) = (job.size, job.each());
    match job.kind {
        Kind::PingPong => ping_pong(threads, size, each).await,
        Kind::FanIn => fan_in(threads, size, each).await,
        Kind::Ring => ring(threads, size, job.operations).await,
        Kind::Call => call(threads, size, each).await,
        Kind::Spawn => spawn(threads, size).await,
        Kind::Idle => idle(threads, size).await,
        Kind::WatchMany | Kind::ManyWatch => Err("has no monitors"),
        Kind::Linked => Err("has no links"),
        Kind::Restart => restart(threads, size, each).await,
        Kind::StartChildren | Kind::StopChildren | Kind::ChildBytes => {
            Err("has no supervisors of several")
        }
        Kind::Transition => Err("has no state machines"),
        Kind::Stream => Err("has no streams over processes"),
    }
}

/// Where actors are started, in turn.
struct Threads(Vec<ArbiterHandle>);

impl Threads {
    async fn start(count: usize) -> Self {
        let first = Arbiter::current();
        let others = (1..count).map(|_| Arbiter::new().handle());
        Self(std::iter::once(first).chain(others).collect())
    }

    /// Clients are on the last thread, servers on the first.
    fn start_client(&self, client: impl Future<Output = ()> + Send + 'static) {
        let Self(arbiters) = self;
        arbiters[arbiters.len() - 1].spawn(client);
    }

    /// Numbers that follow each other are on different threads, if there are two.
    fn start_on<A>(&self, number: u64, actor: A) -> Addr<A>
    where
        A: Actor<Context = Context<A>> + Send,
    {
        let Self(arbiters) = self;
        match number as usize % arbiters.len() {
            0 => actor.start(),
            other => A::start_in_arbiter(&arbiters[other], |_| actor),
        }
    }
}

/// Past any bound of the mailbox: other sends would wait for it.
fn send<A, M>(to: &Addr<A>, message: M)
where
    A: Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message<Result = ()> + Send,
{
    to.do_send(message);
}

struct Player {
    left: u64,
    done: Latch,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Ball {
    from: Addr<Player>,
    number: u64,
}

impl Actor for Player {
    type Context = Context<Self>;
}

impl Handler<Ball> for Player {
    type Result = ();

    fn handle(&mut self, ball: Ball, context: &mut Context<Self>) {
        if self.left == 0 {
            return self.done.arrive();
        }
        self.left -= 1;
        let back = Ball {
            from: context.address(),
            number: ball.number + 1,
        };
        send(&ball.from, back);
    }
}

async fn ping_pong(threads: Threads, pairs: u64, round_trips: u64) -> Answer {
    let done = Latch::new(pairs);
    let player = |number, left| {
        let done = done.clone();
        threads.start_on(number, Player { left, done })
    };
    let players: Vec<_> = (0..pairs)
        .map(|pair| (player(pair, round_trips), player(pair + 1, u64::MAX)))
        .collect();
    at_rest().await;
    let start = Instant::now();
    for (ping, pong) in &players {
        let from = pong.clone();
        send(ping, Ball { from, number: 0 });
    }
    done.wait().await;
    nanoseconds_since(start)
}

/// Takes so many messages.
struct Receiver {
    missing: u64,
    done: Latch,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Number(#[expect(dead_code, reason = "nobody reads it")] u64);

impl Actor for Receiver {
    type Context = Context<Self>;
}

impl Handler<Number> for Receiver {
    type Result = ();

    fn handle(&mut self, _: Number, _: &mut Context<Self>) {
        self.missing -= 1;
        if self.missing == 0 {
            self.done.arrive();
        }
    }
}

/// On the first thread.
fn receiver_of(missing: u64, done: &Latch) -> Addr<Receiver> {
    let done = done.clone();
    Receiver { missing, done }.start()
}

struct Sender(Addr<Receiver>);

#[derive(Message)]
#[rtype(result = "()")]
struct Burst {
    count: u64,
}

impl Actor for Sender {
    type Context = Context<Self>;
}

impl Handler<Burst> for Sender {
    type Result = ();

    fn handle(&mut self, Burst { count }: Burst, _: &mut Context<Self>) {
        for number in 0..count {
            send(&self.0, Number(number));
        }
    }
}

/// The first sender is not on the receiver's thread.
async fn fan_in(threads: Threads, senders: u64, messages: u64) -> Answer {
    let done = Latch::new(1);
    let receiver = receiver_of(senders * messages, &done);
    let all: Vec<_> = (0..senders)
        .map(|number| threads.start_on(number + 1, Sender(receiver.clone())))
        .collect();
    at_rest().await;
    let start = Instant::now();
    for sender in &all {
        send(sender, Burst { count: messages });
    }
    done.wait().await;
    nanoseconds_since(start)
}

struct Member {
    next: Option<Addr<Member>>,
    done: Latch,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Next(Addr<Member>);

#[derive(Message)]
#[rtype(result = "()")]
struct Token(u64);

impl Actor for Member {
    type Context = Context<Self>;
}

impl Handler<Next> for Member {
    type Result = ();

    fn handle(&mut self, Next(next): Next, _: &mut Context<Self>) {
        self.next = Some(next);
    }
}

impl Handler<Token> for Member {
    type Result = ();

    fn handle(&mut self, Token(left): Token, _: &mut Context<Self>) {
        match &self.next {
            Some(next) if left > 0 => send(next, Token(left - 1)),
            _ => self.done.arrive(),
        }
    }
}

async fn ring(threads: Threads, processes: u64, hops: u64) -> Answer {
    let done = Latch::new(1);
    let member = |number, next| {
        let done = done.clone();
        threads.start_on(number, Member { next, done })
    };
    let first = member(0, None);
    let mut next = first.clone();
    for number in 1..processes {
        next = member(number, Some(next));
    }
    send(&first, Next(next));
    at_rest().await;
    let start = Instant::now();
    send(&first, Token(hops));
    done.wait().await;
    nanoseconds_since(start)
}

/// Sends one message and stops.
struct Brief {
    collector: Addr<Receiver>,
    number: u64,
}

impl Actor for Brief {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        send(&self.collector, Number(self.number));
        context.stop();
    }
}

struct Adder;

impl Actor for Adder {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Increment(u64);

impl Handler<Increment> for Adder {
    type Result = u64;

    fn handle(&mut self, Increment(number): Increment, _: &mut Context<Self>) -> u64 {
        number + 1
    }
}

async fn call(threads: Threads, clients: u64, calls: u64) -> Answer {
    let server = threads.start_on(0, Adder);
    let client = |server: Addr<Adder>| async move {
        for number in 0..calls {
            let sum = server.send(Increment(number)).await;
            assert!(sum.is_ok_and(|sum| sum == number + 1));
        }
    };
    let mut all = Clients::new(clients);
    for _ in 0..clients {
        threads.start_client(all.add().does(client(server.clone())));
    }
    all.timed().await
}

/// Says when it starts again.
struct Faulty {
    client: UnboundedSender<()>,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Fail;

impl Actor for Faulty {
    type Context = Context<Self>;
}

impl Supervised for Faulty {
    fn restarting(&mut self, _: &mut Context<Self>) {
        let _ = self.client.send(());
    }
}

impl Handler<Fail> for Faulty {
    type Result = ();

    fn handle(&mut self, _: Fail, context: &mut Context<Self>) {
        context.stop();
    }
}

impl Handler<Increment> for Faulty {
    type Result = u64;

    fn handle(&mut self, Increment(number): Increment, _: &mut Context<Self>) -> u64 {
        number + 1
    }
}

async fn restart(threads: Threads, clients: u64, restarts: u64) -> Answer {
    let mut all = Clients::new(clients);
    for _ in 0..clients {
        let (client, of_client) = unbounded_channel();
        let start_one = |_| {
            let client = client.clone();
            Supervisor::start(|_| Faulty { client })
        };
        let children = (0..supervisors_of_each(clients)).map(start_one).collect();
        threads.start_client(
            all.add()
                .does(restart_in_turn(of_client, children, restarts)),
        );
    }
    all.timed().await
}

async fn restart_in_turn(
    mut of_client: UnboundedReceiver<()>,
    mut children: VecDeque<Addr<Faulty>>,
    restarts: u64,
) {
    for number in 0..restarts {
        let child = children.pop_front().expect("there are as many as before");
        send(&child, Fail);
        of_client.recv().await;
        let sum = child.send(Increment(number)).await;
        assert!(sum.is_ok_and(|sum| sum == number + 1));
        children.push_back(child);
    }
}

async fn spawn(threads: Threads, processes: u64) -> Answer {
    let done = Latch::new(1);
    let collector = receiver_of(processes, &done);
    let start = Instant::now();
    for number in 0..processes {
        let collector = collector.clone();
        threads.start_on(number, Brief { collector, number });
    }
    done.wait().await;
    nanoseconds_since(start)
}

/// Has nothing to do.
struct Idler;

impl Actor for Idler {
    type Context = Context<Self>;
}

impl Handler<Number> for Idler {
    type Result = ();

    fn handle(&mut self, _: Number, _: &mut Context<Self>) {}
}

async fn idle(threads: Threads, processes: u64) -> Answer {
    let before = at_rest().await;
    let mut handles = Vec::with_capacity(processes as usize);
    handles.extend((0..processes).map(|number| threads.start_on(number, Idler)));
    let answer = bytes_since(before).await;
    drop(handles);
    answer
}

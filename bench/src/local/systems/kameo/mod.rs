//! kameo, without the tracing that it has by default. Actors stop when nobody can reach them.

mod supervision;

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::time::Instant;

use kameo::actor::{Actor, ActorId, ActorRef, Spawn, WeakActorRef};
use kameo::error::ActorStopReason;
use kameo::mailbox;
use kameo::message::{Context, Message};

use super::{Answer, Runs, System, all_of_it, threads};
use crate::local::loads::{Job, Kind};
use crate::local::measure::{Clients, Guard, Latch, at_rest, bytes_since, nanoseconds_since};

pub(super) const SYSTEM: System = System {
    name: "kameo",
    runs: Runs::Here(|job| threads::run(perform(job))),
    note,
    share: all_of_it,
};

fn note(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::WatchMany | Kind::ManyWatch => Some("no monitors: links, whose deaths are handled"),
        Kind::Restart => Some("the successor has the mailbox of who failed"),
        Kind::StartChildren => Some("a supervisor cannot be asked how many it has"),
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
        Kind::ManyWatch => many_watch(size).await,
        Kind::Linked => linked_die(size).await,
        Kind::Restart => supervision::restart(size, each).await,
        Kind::StartChildren => supervision::start_children(size).await,
        Kind::StopChildren => supervision::stop_children(size).await,
        Kind::ChildBytes => supervision::child_bytes(size).await,
        Kind::Transition => Err("has no state machines"),
        Kind::Stream => Err("has no streams over processes"),
    }
}

fn start<A: Actor<Args = A>>(actor: A) -> ActorRef<A> {
    A::spawn_with_mailbox(actor, mailbox::unbounded())
}

/// Unbounded, so it never has to wait.
fn send<A: Message<M>, M: Send + 'static>(to: &ActorRef<A>, message: M) {
    let _ = to.tell(message).try_send();
}

struct Player {
    left: u64,
    done: Latch,
}

struct Ball {
    from: ActorRef<Player>,
    number: u64,
}

impl Actor for Player {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(player: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(player)
    }
}

impl Message<Ball> for Player {
    type Reply = ();

    async fn handle(&mut self, ball: Ball, context: &mut Context<Self, ()>) {
        if self.left == 0 {
            return self.done.arrive();
        }
        self.left -= 1;
        let back = Ball {
            from: context.actor_ref().clone(),
            number: ball.number + 1,
        };
        send(&ball.from, back);
    }
}

async fn ping_pong(pairs: u64, round_trips: u64) -> Answer {
    let done = Latch::new(pairs);
    let player = |left| {
        let done = done.clone();
        start(Player { left, done })
    };
    let players: Vec<_> = (0..pairs)
        .map(|_| (player(round_trips), player(u64::MAX)))
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

/// Takes so many messages, or deaths of those it is linked to.
struct Receiver {
    missing: u64,
    done: Latch,
}

impl Receiver {
    fn take(&mut self) {
        self.missing -= 1;
        if self.missing == 0 {
            self.done.arrive();
        }
    }
}

impl Actor for Receiver {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(receiver: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(receiver)
    }

    async fn on_link_died(
        &mut self,
        _: WeakActorRef<Self>,
        _: ActorId,
        _: ActorStopReason,
    ) -> Result<ControlFlow<ActorStopReason>, Infallible> {
        self.take();
        Ok(ControlFlow::Continue(()))
    }
}

impl Message<u64> for Receiver {
    type Reply = ();

    async fn handle(&mut self, _: u64, _: &mut Context<Self, ()>) {
        self.take();
    }
}

fn receiver_of(missing: u64, done: &Latch) -> ActorRef<Receiver> {
    let done = done.clone();
    start(Receiver { missing, done })
}

/// Is told how many messages to send.
struct Sender(ActorRef<Receiver>);

impl Actor for Sender {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(sender: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(sender)
    }
}

impl Message<u64> for Sender {
    type Reply = ();

    async fn handle(&mut self, count: u64, _: &mut Context<Self, ()>) {
        for number in 0..count {
            send(&self.0, number);
        }
    }
}

async fn fan_in(senders: u64, messages: u64) -> Answer {
    let done = Latch::new(1);
    let receiver = receiver_of(senders * messages, &done);
    let all: Vec<_> = (0..senders)
        .map(|_| start(Sender(receiver.clone())))
        .collect();
    at_rest().await;
    let start = Instant::now();
    for sender in &all {
        send(sender, messages);
    }
    done.wait().await;
    nanoseconds_since(start)
}

struct Member {
    next: Option<ActorRef<Member>>,
    done: Latch,
}

struct Next(ActorRef<Member>);

struct Token(u64);

impl Actor for Member {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(member: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(member)
    }
}

impl Message<Next> for Member {
    type Reply = ();

    async fn handle(&mut self, Next(next): Next, _: &mut Context<Self, ()>) {
        self.next = Some(next);
    }
}

impl Message<Token> for Member {
    type Reply = ();

    async fn handle(&mut self, Token(left): Token, _: &mut Context<Self, ()>) {
        match &self.next {
            Some(next) if left > 0 => send(next, Token(left - 1)),
            _ => self.done.arrive(),
        }
    }
}

async fn ring(processes: u64, hops: u64) -> Answer {
    let done = Latch::new(1);
    let member = |next| {
        let done = done.clone();
        start(Member { next, done })
    };
    let first = member(None);
    let mut members = vec![first.clone()];
    for _ in 1..processes {
        members.push(member(members.last().cloned()));
    }
    let last = members.last().expect("a ring has a first member").clone();
    send(&first, Next(last));
    at_rest().await;
    let start = Instant::now();
    send(&first, Token(hops));
    done.wait().await;
    nanoseconds_since(start)
}

/// Sends one message; it stops because nobody keeps a reference to it.
struct Brief;

impl Actor for Brief {
    type Args = ActorRef<Receiver>;
    type Error = Infallible;

    async fn on_start(
        collector: ActorRef<Receiver>,
        me: ActorRef<Self>,
    ) -> Result<Self, Infallible> {
        send(&collector, me.id().sequence_id());
        Ok(Self)
    }
}

struct Adder;

struct Increment(u64);

impl Actor for Adder {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(adder: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(adder)
    }
}

impl Message<Increment> for Adder {
    type Reply = u64;

    async fn handle(&mut self, Increment(n): Increment, _: &mut Context<Self, u64>) -> u64 {
        n + 1
    }
}

/// The clients are tasks, as in its own guide.
async fn call(clients: u64, calls: u64) -> Answer {
    let server = start(Adder);
    let client = |server: ActorRef<Adder>| async move {
        for number in 0..calls {
            let sum = server.ask(Increment(number)).await;
            assert!(sum.is_ok_and(|sum| sum == number + 1));
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
    for _ in 0..processes {
        drop(Brief::spawn_with_mailbox(
            collector.clone(),
            mailbox::unbounded(),
        ));
    }
    done.wait().await;
    nanoseconds_since(start)
}

/// Has nothing to do, or is there to be watched; a message ends it.
struct Idler;

impl Actor for Idler {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(idler: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(idler)
    }
}

impl Message<u64> for Idler {
    type Reply = ();

    /// Killed, not stopped: of a normal end the linked do not die.
    async fn handle(&mut self, _: u64, context: &mut Context<Self, ()>) {
        context.actor_ref().kill();
    }
}

async fn idle(processes: u64) -> Answer {
    let before = at_rest().await;
    let mut handles = Vec::with_capacity(processes as usize);
    handles.extend((0..processes).map(|_| start(Idler)));
    let answer = bytes_since(before).await;
    drop(handles);
    answer
}

async fn watch_many(watched: u64) -> Answer {
    let done = Latch::new(1);
    let watcher = receiver_of(watched, &done);
    let handles: Vec<_> = (0..watched).map(|_| start(Idler)).collect();
    for handle in &handles {
        watcher.link(handle).await;
    }
    at_rest().await;
    let start = Instant::now();
    for handle in &handles {
        send(handle, 0);
    }
    done.wait().await;
    nanoseconds_since(start)
}

async fn many_watch(watchers: u64) -> Answer {
    let done = Latch::new(watchers);
    all_linked_to_one(
        &done,
        (0..watchers).map(|_| receiver_of(1, &done)).collect(),
    )
    .await
}

/// Is there to die with the one it is linked to.
struct Linked(#[expect(dead_code, reason = "it tells by being dropped")] Guard);

impl Actor for Linked {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(linked: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(linked)
    }
}

async fn linked_die(linked: u64) -> Answer {
    let done = Latch::new(linked);
    all_linked_to_one(
        &done,
        (0..linked).map(|_| start(Linked(done.guard()))).collect(),
    )
    .await
}

async fn all_linked_to_one<A: Actor>(done: &Latch, others: Vec<ActorRef<A>>) -> Answer {
    let one = start(Idler);
    for other in &others {
        other.link(&one).await;
    }
    at_rest().await;
    let start = Instant::now();
    send(&one, 0);
    done.wait().await;
    nanoseconds_since(start)
}

//! ractor, without the tracing of spans across messages that it has by default, and with monitors,
//! which it has not.

mod supervision;

use std::time::Instant;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr, SupervisionEvent};

use super::{Answer, Runs, System, all_of_it, threads};
use crate::local::loads::{Job, Kind};
use crate::local::measure::{Clients, Guard, Latch, at_rest, bytes_since, nanoseconds_since};

pub(super) const SYSTEM: System = System {
    name: "ractor",
    runs: Runs::Here(|job| threads::run(perform(job))),
    note,
    share: all_of_it,
};

fn note(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Linked => Some("no links: a supervisor that stops and its children"),
        Kind::Restart => Some("its supervisor is written by hand"),
        Kind::StartChildren => Some("children are linked to an actor, which is not asked"),
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

type Handled = Result<(), ActorProcessingErr>;

/// Its arguments are its state.
async fn start<A, M: ractor::Message, S: ractor::State>(actor: A, state: S) -> ActorRef<M>
where
    A: Actor<Msg = M, State = S, Arguments = S>,
{
    let started: Result<_, SpawnErr> = A::spawn(None, actor, state).await;
    started.expect("an actor without a name starts").0
}

struct Player;

struct Ball {
    from: ActorRef<Ball>,
    number: u64,
}

struct Turns {
    left: u64,
    done: Latch,
}

impl Actor for Player {
    type Msg = Ball;
    type State = Turns;
    type Arguments = Turns;

    async fn pre_start(
        &self,
        _: ActorRef<Ball>,
        turns: Turns,
    ) -> Result<Turns, ActorProcessingErr> {
        Ok(turns)
    }

    async fn handle(&self, me: ActorRef<Ball>, ball: Ball, turns: &mut Turns) -> Handled {
        if turns.left == 0 {
            turns.done.arrive();
            return Ok(());
        }
        turns.left -= 1;
        let number = ball.number + 1;
        let _ = ball.from.cast(Ball { from: me, number });
        Ok(())
    }
}

async fn ping_pong(pairs: u64, round_trips: u64) -> Answer {
    let done = Latch::new(pairs);
    let turns = |left| Turns {
        left,
        done: done.clone(),
    };
    let mut players = Vec::new();
    for _ in 0..pairs {
        let ping = start(Player, turns(round_trips)).await;
        let pong = start(Player, turns(u64::MAX)).await;
        players.push((ping, pong));
    }
    at_rest().await;
    let start = Instant::now();
    for (ping, from) in players {
        let _ = ping.cast(Ball { from, number: 0 });
    }
    done.wait().await;
    nanoseconds_since(start)
}

/// Takes so many messages.
struct Receiver;

struct Missing {
    count: u64,
    done: Latch,
}

impl Actor for Receiver {
    type Msg = u64;
    type State = Missing;
    type Arguments = Missing;

    async fn pre_start(
        &self,
        _: ActorRef<u64>,
        missing: Missing,
    ) -> Result<Missing, ActorProcessingErr> {
        Ok(missing)
    }

    async fn handle(&self, _: ActorRef<u64>, _: u64, missing: &mut Missing) -> Handled {
        missing.count -= 1;
        if missing.count == 0 {
            missing.done.arrive();
        }
        Ok(())
    }
}

async fn receiver_of(count: u64, done: &Latch) -> ActorRef<u64> {
    let done = done.clone();
    start(Receiver, Missing { count, done }).await
}

/// Is told how many messages to send.
struct Sender;

impl Actor for Sender {
    type Msg = u64;
    type State = ActorRef<u64>;
    type Arguments = ActorRef<u64>;

    async fn pre_start(
        &self,
        _: ActorRef<u64>,
        receiver: ActorRef<u64>,
    ) -> Result<ActorRef<u64>, ActorProcessingErr> {
        Ok(receiver)
    }

    async fn handle(&self, _: ActorRef<u64>, count: u64, receiver: &mut ActorRef<u64>) -> Handled {
        for number in 0..count {
            let _ = receiver.cast(number);
        }
        Ok(())
    }
}

async fn fan_in(senders: u64, messages: u64) -> Answer {
    let done = Latch::new(1);
    let receiver = receiver_of(senders * messages, &done).await;
    let mut all = Vec::new();
    for _ in 0..senders {
        all.push(start(Sender, receiver.clone()).await);
    }
    at_rest().await;
    let start = Instant::now();
    for sender in &all {
        let _ = sender.cast(messages);
    }
    done.wait().await;
    nanoseconds_since(start)
}

struct Member;

enum Turn {
    Next(ActorRef<Turn>),
    Token(u64),
}

struct Place {
    next: Option<ActorRef<Turn>>,
    done: Latch,
}

impl Actor for Member {
    type Msg = Turn;
    type State = Place;
    type Arguments = Place;

    async fn pre_start(
        &self,
        _: ActorRef<Turn>,
        place: Place,
    ) -> Result<Place, ActorProcessingErr> {
        Ok(place)
    }

    async fn handle(&self, _: ActorRef<Turn>, turn: Turn, place: &mut Place) -> Handled {
        match (turn, &place.next) {
            (Turn::Next(next), _) => place.next = Some(next),
            (Turn::Token(0), _) => place.done.arrive(),
            (Turn::Token(left), Some(next)) => drop(next.cast(Turn::Token(left - 1))),
            (Turn::Token(_), None) => return Err("the ring is open".into()),
        }
        Ok(())
    }
}

async fn ring(processes: u64, hops: u64) -> Answer {
    let done = Latch::new(1);
    let place = |next| Place {
        next,
        done: done.clone(),
    };
    let first = start(Member, place(None)).await;
    let mut next = first.clone();
    for _ in 1..processes {
        next = start(Member, place(Some(next))).await;
    }
    let _ = first.cast(Turn::Next(next));
    at_rest().await;
    let start = Instant::now();
    let _ = first.cast(Turn::Token(hops));
    done.wait().await;
    nanoseconds_since(start)
}

/// Sends one message and stops.
struct Brief;

impl Actor for Brief {
    type Msg = ();
    type State = ActorRef<u64>;
    type Arguments = ActorRef<u64>;

    async fn pre_start(
        &self,
        me: ActorRef<()>,
        collector: ActorRef<u64>,
    ) -> Result<ActorRef<u64>, ActorProcessingErr> {
        let _ = collector.cast(me.get_id().pid());
        me.stop(None);
        Ok(collector)
    }
}

struct Adder;

enum Sum {
    Increment(u64, RpcReplyPort<u64>),
}

impl Actor for Adder {
    type Msg = Sum;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Sum>, (): ()) -> Handled {
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Sum>, sum: Sum, (): &mut ()) -> Handled {
        let Sum::Increment(number, reply) = sum;
        let _ = reply.send(number + 1);
        Ok(())
    }
}

/// The clients are tasks, as in its own guide.
async fn call(clients: u64, calls: u64) -> Answer {
    let server = start(Adder, ()).await;
    let client = |server: ActorRef<Sum>| async move {
        for number in 0..calls {
            let sum = ractor::call!(server, Sum::Increment, number);
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
    let collector = receiver_of(processes, &done).await;
    let now = Instant::now();
    for _ in 0..processes {
        start(Brief, collector.clone()).await;
    }
    done.wait().await;
    nanoseconds_since(now)
}

/// Has nothing to do, or is there to be watched; a message stops it.
struct Idler;

impl Actor for Idler {
    type Msg = u64;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<u64>, (): ()) -> Handled {
        Ok(())
    }

    async fn handle(&self, me: ActorRef<u64>, _: u64, (): &mut ()) -> Handled {
        me.stop(None);
        Ok(())
    }

    /// A child that stops is not a reason to.
    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<u64>,
        _: SupervisionEvent,
        (): &mut (),
    ) -> Handled {
        Ok(())
    }
}

async fn idle(processes: u64) -> Answer {
    let before = at_rest().await;
    let mut handles = Vec::with_capacity(processes as usize);
    for _ in 0..processes {
        handles.push(start(Idler, ()).await);
    }
    let answer = bytes_since(before).await;
    drop(handles);
    answer
}

/// Counts the ends of those it monitors.
struct Watcher;

impl Actor for Watcher {
    type Msg = ();
    type State = Missing;
    type Arguments = Missing;

    async fn pre_start(
        &self,
        _: ActorRef<()>,
        missing: Missing,
    ) -> Result<Missing, ActorProcessingErr> {
        Ok(missing)
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        event: SupervisionEvent,
        missing: &mut Missing,
    ) -> Handled {
        if let SupervisionEvent::ActorTerminated(..) = event {
            missing.count -= 1;
            if missing.count == 0 {
                missing.done.arrive();
            }
        }
        Ok(())
    }
}

async fn watch_many(watched: u64) -> Answer {
    let done = Latch::new(1);
    let missing = Missing {
        count: watched,
        done: done.clone(),
    };
    let watcher = start(Watcher, missing).await;
    let mut handles = Vec::new();
    for _ in 0..watched {
        let handle = start(Idler, ()).await;
        watcher.monitor(handle.get_cell());
        handles.push(handle);
    }
    at_rest().await;
    let start = Instant::now();
    for handle in &handles {
        let _ = handle.cast(0);
    }
    done.wait().await;
    nanoseconds_since(start)
}

async fn many_watch(watchers: u64) -> Answer {
    let done = Latch::new(watchers);
    let one = start(Idler, ()).await;
    let mut handles = Vec::new();
    for _ in 0..watchers {
        let missing = Missing {
            count: 1,
            done: done.clone(),
        };
        let watcher = start(Watcher, missing).await;
        watcher.monitor(one.get_cell());
        handles.push(watcher);
    }
    at_rest().await;
    let start = Instant::now();
    let _ = one.cast(0);
    done.wait().await;
    nanoseconds_since(start)
}

/// Is there to die with its supervisor.
struct Child;

impl Actor for Child {
    type Msg = ();
    type State = Guard;
    type Arguments = Guard;

    async fn pre_start(&self, _: ActorRef<()>, guard: Guard) -> Result<Guard, ActorProcessingErr> {
        Ok(guard)
    }
}

async fn linked_die(linked: u64) -> Answer {
    let done = Latch::new(linked);
    let one = start(Idler, ()).await;
    let mut handles = Vec::new();
    for _ in 0..linked {
        let child = start(Child, done.guard()).await;
        child.link(one.get_cell());
        handles.push(child);
    }
    at_rest().await;
    let start = Instant::now();
    let _ = one.cast(0);
    done.wait().await;
    nanoseconds_since(start)
}

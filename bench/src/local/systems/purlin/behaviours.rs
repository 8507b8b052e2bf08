//! What servers, state machines, supervisors and tasks cost.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use purlin_behaviours::supervisor::{Child, Supervisor, dynamic, one_for_one};
use purlin_behaviours::task::async_stream;
use purlin_behaviours::{
    Context, EventFrom, Events, GenServer, GenStatem, HandleCall, HandleCast, InitError, ReplyTo,
    Request, ServerRef, StatemContext, StatemRef, by, stop,
};
use purlin_runtime::{Address, Local, Process, Runtime};
use purlin_term::atom;
use serde::{Deserialize, Serialize};

use super::{ROOM, runtime};
use crate::local::loads::supervisors_of_each;
use crate::local::measure::{Answer, Clients, at_rest, bytes_since, nanoseconds_since};

/// Clients are processes.
fn start_client(runtime: &Runtime, client: impl Future<Output = ()> + Send + 'static) {
    let started = runtime.spawn(move |_: Process<()>| client);
    started.expect(ROOM);
}

#[derive(Serialize, Deserialize)]
struct Increment(u64);

impl Request for Increment {
    type Reply = u64;
}

struct Adder;

impl GenServer for Adder {
    type Messages = (by::Call<Increment>,);
}

impl HandleCall<Increment> for Adder {
    async fn handle_call(&mut self, Increment(n): Increment, _: &mut Context<Self>) -> u64 {
        n + 1
    }
}

pub(super) async fn call(clients: u64, calls: u64) -> Answer {
    let runtime = runtime();
    let server = Adder.start(&runtime).await.expect(ROOM);
    let client = |server: ServerRef<Adder>| async move {
        for number in 0..calls {
            let sum = server.call(Increment(number)).await;
            assert!(sum.is_ok_and(|sum| sum == number + 1));
        }
    };
    let mut all = Clients::new(clients);
    for _ in 0..clients {
        start_client(&runtime, all.add().does(client(server.clone())));
    }
    all.timed().await
}

/// Says who it is when it starts.
struct Faulty {
    client: Address<Up>,
}

type Up = Local<ServerRef<Faulty>>;

#[derive(Serialize, Deserialize)]
struct Fail;

impl GenServer for Faulty {
    type Messages = (by::Call<Increment>, by::Cast<Fail>);

    async fn init(&mut self, ctx: &mut Context<Self>) -> Result<(), InitError> {
        Ok(ctx.send(&self.client, Local(ctx.server())).await?)
    }
}

impl HandleCall<Increment> for Faulty {
    async fn handle_call(&mut self, Increment(n): Increment, _: &mut Context<Self>) -> u64 {
        n + 1
    }
}

impl HandleCast<Fail> for Faulty {
    async fn handle_cast(&mut self, _: Fail, ctx: &mut Context<Self>) {
        ctx.stop(atom!("failed"));
    }
}

pub(super) async fn restart(clients: u64, restarts: u64) -> Answer {
    let (runtime, mut all) = (runtime(), Clients::new(clients));
    let supervisors = supervisors_of_each(clients);
    for _ in 0..clients {
        let client = all.add();
        let client = runtime.spawn(move |mut me: Process<Up>| async move {
            let mut children = VecDeque::new();
            for _ in 0..supervisors {
                children.push_back(me.receive_message().await);
            }
            client.does(restart_in_turn(me, children, restarts)).await;
        });
        start_supervisors(&runtime, supervisors, &client.expect(ROOM)).await;
    }
    all.timed().await
}

/// So many, each with a child that the client hears of.
async fn start_supervisors(runtime: &Runtime, supervisors: u64, client: &Address<Up>) {
    for _ in 0..supervisors {
        let client = client.clone();
        let make = move || Faulty {
            client: client.clone(),
        };
        let supervisor = one_for_one()
            .intensity(u32::MAX, Duration::from_secs(1))
            .child("faulty", make);
        supervisor.start(runtime).await.expect(ROOM);
    }
}

async fn restart_in_turn(mut me: Process<Up>, mut children: VecDeque<Up>, restarts: u64) {
    for number in 0..restarts {
        let Local(child) = children.pop_front().expect("there are as many as before");
        let _ = child.cast(Fail).await;
        let Local(successor) = me.receive_message().await;
        let sum = successor.call(Increment(number)).await;
        assert!(sum.is_ok_and(|sum| sum == number + 1));
        children.push_back(Local(successor));
    }
}

/// Starts so many servers under the supervisor, one after another.
async fn start_under(supervisor: &ServerRef<Supervisor>, children: u64) {
    for _ in 0..children {
        let child = Child::new("adder", || Adder).temporary();
        supervisor.start_child(child).await.expect(ROOM);
    }
}

pub(super) async fn start_children(children: u64) -> Answer {
    let runtime = runtime();
    let supervisor = dynamic().start(&runtime).await.expect(ROOM);
    let start = Instant::now();
    start_under(&supervisor, children).await;
    let counts = supervisor.count_children().await;
    assert!(counts.is_ok_and(|counts| counts.active as u64 == children));
    nanoseconds_since(start)
}

/// More than it takes.
const STOP_PATIENCE: Duration = Duration::from_secs(100);

pub(super) async fn stop_children(children: u64) -> Answer {
    let runtime = runtime();
    let supervisor = dynamic().start(&runtime).await.expect(ROOM);
    start_under(&supervisor, children).await;
    at_rest().await;
    let start = Instant::now();
    let stopped = stop(&runtime, &supervisor, atom!("shutdown"), STOP_PATIENCE).await;
    stopped.expect("it ends as it was told to");
    nanoseconds_since(start)
}

pub(super) async fn child_bytes(children: u64) -> Answer {
    let runtime = runtime();
    let supervisor = dynamic().start(&runtime).await.expect(ROOM);
    let before = at_rest().await;
    start_under(&supervisor, children).await;
    bytes_since(before).await
}

/// A switch that every call turns.
struct Switch;

#[derive(Serialize, Deserialize, PartialEq, Clone, Copy)]
enum Position {
    Off,
    On,
}

#[derive(Serialize, Deserialize)]
struct Turn;

impl Request for Turn {
    type Reply = Position;
}

enum Event {
    Turn(ReplyTo<Position>),
}

impl Events for Event {
    type Messages = (by::Call<Turn>,);

    fn name(&self) -> &'static str {
        "turn"
    }
}

impl EventFrom<by::Call<Turn>> for Event {
    fn event_from((Turn, from): (Turn, ReplyTo<Position>)) -> Self {
        Self::Turn(from)
    }
}

impl GenStatem for Switch {
    type State = Position;
    type Event = Event;

    async fn init(&mut self, _: &mut StatemContext<'_, Self>) -> Result<Position, InitError> {
        Ok(Position::Off)
    }

    async fn handle_event(
        &mut self,
        position: &Position,
        Event::Turn(from): Event,
        ctx: &mut StatemContext<'_, Self>,
    ) {
        let next = match position {
            Position::Off => Position::On,
            Position::On => Position::Off,
        };
        ctx.next_state(next);
        from.reply(next).await;
    }
}

pub(super) async fn transition(clients: u64, calls: u64) -> Answer {
    let runtime = runtime();
    let switch = Switch.start(&runtime).await.expect(ROOM);
    let client = |switch: StatemRef<Switch>| async move {
        for _ in 0..calls {
            assert!(switch.call(Turn).await.is_ok());
        }
    };
    let mut all = Clients::new(clients);
    for _ in 0..clients {
        start_client(&runtime, all.add().does(client(switch.clone())));
    }
    all.timed().await
}

pub(super) async fn stream(at_once: u64, items: u64) -> Answer {
    let runtime = runtime();
    at_rest().await;
    let start = Instant::now();
    let mut results = async_stream(&runtime, 0..items, |number| async move { number + 1 })
        .max_concurrency(at_once as usize);
    for number in 0..items {
        let result = results.next().await.expect("each item has a result");
        assert!(result.is_ok_and(|result| result == number + 1));
    }
    nanoseconds_since(start)
}

//! Supervision in ractor: an actor hears of the end of those that are linked to it, and does what it likes; this one
//! starts a successor, as in its own example.

use std::collections::VecDeque;
use std::time::Instant;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent, call};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{Child, Handled, Idler, start};
use crate::local::loads::supervisors_of_each;
use crate::local::measure::{Answer, Clients, Latch, at_rest, bytes_since, nanoseconds_since};

/// Says who it is when it starts.
struct Faulty;

enum Ask {
    Increment(u64, RpcReplyPort<u64>),
    Fail,
}

/// Where the client hears of children.
type Client = UnboundedSender<ActorRef<Ask>>;

impl Actor for Faulty {
    type Msg = Ask;
    type State = ();
    type Arguments = Client;

    async fn pre_start(&self, me: ActorRef<Ask>, client: Client) -> Handled {
        Ok(client.send(me)?)
    }

    async fn handle(&self, _: ActorRef<Ask>, ask: Ask, (): &mut ()) -> Handled {
        match ask {
            Ask::Increment(number, reply) => Ok(reply.send(number + 1)?),
            Ask::Fail => Err("failed".into()),
        }
    }
}

/// Starts its child anew.
struct Restarter;

impl Actor for Restarter {
    type Msg = ();
    type State = Client;
    type Arguments = Client;

    async fn pre_start(
        &self,
        me: ActorRef<()>,
        client: Client,
    ) -> Result<Client, ActorProcessingErr> {
        Actor::spawn_linked(None, Faulty, client.clone(), me.get_cell()).await?;
        Ok(client)
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<()>,
        event: SupervisionEvent,
        client: &mut Client,
    ) -> Handled {
        if let SupervisionEvent::ActorFailed(..) = event {
            Actor::spawn_linked(None, Faulty, client.clone(), me.get_cell()).await?;
        }
        Ok(())
    }
}

pub(super) async fn restart(clients: u64, restarts: u64) -> Answer {
    let (mut all, mut supervisors) = (Clients::new(clients), Vec::new());
    for _ in 0..clients {
        let (client, mut of_client) = unbounded_channel();
        let mut children = VecDeque::new();
        for _ in 0..supervisors_of_each(clients) {
            supervisors.push(start(Restarter, client.clone()).await);
            children.extend(of_client.recv().await);
        }
        let client = all.add();
        tokio::spawn(client.does(restart_in_turn(of_client, children, restarts)));
    }
    all.timed().await
}

async fn restart_in_turn(
    mut of_client: UnboundedReceiver<ActorRef<Ask>>,
    mut children: VecDeque<ActorRef<Ask>>,
    restarts: u64,
) {
    for number in 0..restarts {
        let child = children.pop_front().expect("there are as many as before");
        let _ = child.cast(Ask::Fail);
        let successor = of_client.recv().await.expect("supervisors live");
        let sum = call!(successor, Ask::Increment, number);
        assert!(sum.is_ok_and(|sum| sum == number + 1));
        children.push_back(successor);
    }
}

/// An actor with so many children, which arrive when they end.
async fn supervisor_of(children: u64, done: &Latch) -> ActorRef<u64> {
    let supervisor = start(Idler, ()).await;
    for _ in 0..children {
        let child = Actor::spawn_linked(None, Child, done.guard(), supervisor.get_cell()).await;
        child.expect("its supervisor lives");
    }
    supervisor
}

pub(super) async fn start_children(children: u64) -> Answer {
    let done = Latch::new(children);
    let now = Instant::now();
    let supervisor = supervisor_of(children, &done).await;
    assert_eq!(supervisor.get_children().len() as u64, children);
    nanoseconds_since(now)
}

pub(super) async fn stop_children(children: u64) -> Answer {
    let done = Latch::new(children);
    let supervisor = supervisor_of(children, &done).await;
    at_rest().await;
    let now = Instant::now();
    supervisor.stop(None);
    done.wait().await;
    nanoseconds_since(now)
}

pub(super) async fn child_bytes(children: u64) -> Answer {
    let before = at_rest().await;
    let supervisor = supervisor_of(children, &Latch::new(children)).await;
    let answer = bytes_since(before).await;
    drop(supervisor);
    answer
}

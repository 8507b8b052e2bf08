//! Supervision in kameo: any actor supervises others that are started in its name. Who refers to a child refers to
//! its successors.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use kameo::actor::{Actor, ActorRef, Spawn};
use kameo::mailbox;
use kameo::message::{Context, Message};
use kameo::supervision::RestartPolicy;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{Idler, Increment, Linked, send, start};
use crate::local::loads::supervisors_of_each;
use crate::local::measure::{Answer, Clients, Latch, at_rest, bytes_since, nanoseconds_since};

/// Says when it starts.
#[derive(Clone)]
struct Faulty {
    client: UnboundedSender<()>,
}

struct Fail;

impl Actor for Faulty {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(faulty: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        let _ = faulty.client.send(());
        Ok(faulty)
    }
}

impl Message<Increment> for Faulty {
    type Reply = u64;

    async fn handle(&mut self, Increment(n): Increment, _: &mut Context<Self, u64>) -> u64 {
        n + 1
    }
}

impl Message<Fail> for Faulty {
    type Reply = Result<(), &'static str>;

    /// An error that nobody waits for ends the actor.
    async fn handle(&mut self, _: Fail, _: &mut Context<Self, Self::Reply>) -> Self::Reply {
        Err("failed")
    }
}

pub(super) async fn restart(clients: u64, restarts: u64) -> Answer {
    let (mut all, mut supervisors) = (Clients::new(clients), Vec::new());
    for _ in 0..clients {
        let (client, mut of_client) = unbounded_channel();
        let mut children = VecDeque::new();
        for _ in 0..supervisors_of_each(clients) {
            let (supervisor, client) = (start(Idler), client.clone());
            let child = Faulty::supervise(&supervisor, Faulty { client })
                .restart_limit(u32::MAX, Duration::from_secs(1))
                .spawn_with_mailbox(mailbox::unbounded());
            children.push_back(child.await);
            supervisors.push(supervisor);
            of_client.recv().await;
        }
        let client = all.add();
        tokio::spawn(client.does(restart_in_turn(of_client, children, restarts)));
    }
    all.timed().await
}

async fn restart_in_turn(
    mut of_client: UnboundedReceiver<()>,
    mut children: VecDeque<ActorRef<Faulty>>,
    restarts: u64,
) {
    for number in 0..restarts {
        let child = children.pop_front().expect("there are as many as before");
        send(&child, Fail);
        of_client.recv().await;
        let sum = child.ask(Increment(number)).await;
        assert!(sum.is_ok_and(|sum| sum == number + 1));
        children.push_back(child);
    }
}

/// An actor with so many children, which arrive when they end; and its children, which end when nobody refers to
/// them.
async fn supervisor_of(children: u64, done: &Latch) -> (ActorRef<Idler>, Vec<ActorRef<Linked>>) {
    let supervisor = start(Idler);
    let mut all = Vec::with_capacity(children as usize);
    for _ in 0..children {
        let done = done.clone();
        let child = Linked::supervise_with(&supervisor, move || Linked(done.guard()))
            .restart_policy(RestartPolicy::Never)
            .spawn_with_mailbox(mailbox::unbounded());
        all.push(child.await);
    }
    (supervisor, all)
}

pub(super) async fn start_children(children: u64) -> Answer {
    let done = Latch::new(children);
    let now = Instant::now();
    let supervised = supervisor_of(children, &done).await;
    let answer = nanoseconds_since(now);
    drop(supervised);
    answer
}

pub(super) async fn stop_children(children: u64) -> Answer {
    let done = Latch::new(children);
    let (supervisor, _children) = supervisor_of(children, &done).await;
    at_rest().await;
    let now = Instant::now();
    let _ = supervisor.stop_gracefully().await;
    done.wait().await;
    nanoseconds_since(now)
}

pub(super) async fn child_bytes(children: u64) -> Answer {
    let before = at_rest().await;
    let supervised = supervisor_of(children, &Latch::new(children)).await;
    let answer = bytes_since(before).await;
    drop(supervised);
    answer
}

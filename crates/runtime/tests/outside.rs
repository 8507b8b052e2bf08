//! What goes to other nodes, as the node sees it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use purlin_runtime::{
    Attached, BoxFuture, Config, Destination, Epoch, Info, Outside, Reason, Received,
    RequestOptions, Runtime, SendError, Signal, TokioExecutor,
};
use purlin_term::{EncodedTerm, NodeName, Pid, Reference, Term, atom};
use tokio::time::timeout;

/// The connection that is current all the time.
const EPOCH: Epoch = Epoch(7);

/// Notes every signal, and the connection it is meant for.
#[derive(Default)]
struct Noted(Mutex<Vec<(Signal, Option<Epoch>)>>);

impl Noted {
    fn take(&self) -> Vec<(Signal, Option<Epoch>)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Outside for Noted {
    fn signal(&self, _: Pid, _: Destination, signal: Signal, over: Option<Epoch>) {
        self.0.lock().unwrap().push((signal, over));
    }

    fn epoch(&self, _: NodeName) -> Epoch {
        EPOCH
    }

    fn connect(&self, _: NodeName) -> Epoch {
        EPOCH
    }

    fn adopt_orphan(&self, _: Reference, _: NodeName, _: Reason) {}

    fn send(&self, _: Pid, _: Destination, _: EncodedTerm) -> BoxFuture<'_, Result<(), SendError>> {
        Box::pin(async { Ok(()) })
    }

    fn try_send(&self, _: Pid, _: Destination, _: EncodedTerm) -> Result<(), SendError> {
        Ok(())
    }

    fn try_send_noconnect(&self, _: Pid, _: Destination, _: EncodedTerm) -> Result<(), SendError> {
        Ok(())
    }
}

fn start() -> (Attached<Term>, Arc<Noted>, Pid) {
    let name = |name| NodeName::new(&name).unwrap();
    let executor = Arc::new(TokioExecutor::current());
    let here = name(atom!("here@127.0.0.1"));
    let runtime = Runtime::new(here, 1, executor, Config::default());
    let noted = Arc::new(Noted::default());
    runtime.set_outside(noted.clone());
    let there = Pid {
        node: name(atom!("there@127.0.0.1")),
        creation: 1,
        id: 1,
        serial: 0,
    };
    (runtime.attach().unwrap(), noted, there)
}

async fn receives_nothing(me: &mut Attached<Term>) -> bool {
    timeout(Duration::ZERO, me.receive()).await.is_err()
}

#[tokio::test]
async fn a_signal_that_makes_a_tie_is_meant_for_the_connection_it_was_noted_for() {
    let (me, noted, there) = start();
    me.link(there);
    let monitor = me.monitor(there);
    let made = noted.take();
    assert!(matches!(
        made[..],
        [
            (Signal::Link { .. }, Some(EPOCH)),
            (Signal::Monitor { .. }, Some(EPOCH))
        ]
    ));
    me.unlink(there);
    me.demonitor(monitor);
    me.exit(there, atom!("bye"));
    assert!(noted.take().iter().all(|(_, over)| over.is_none()));
}

#[tokio::test]
async fn a_lost_connection_ends_its_ties_and_no_later_ones() {
    let (mut me, _, there) = start();
    me.trap_exit(true);
    let monitor = me.monitor(there);
    let (runtime, pid) = (me.runtime().clone(), me.pid());
    let earlier = Epoch(EPOCH.0 - 1);
    runtime.connection_lost(pid, there.node, earlier);
    runtime.connection_lost(pid, there.node, EPOCH);
    let (fired, _, reason) = me.receive().await.unwrap().down().unwrap();
    assert!(fired == monitor && reason.is_atom("noconnection"));
    assert!(receives_nothing(&mut me).await);
}

/// A process that is to see the loss of a connection three times, and behind that a message and another
/// `DOWN`; with the monitors, in any order, and the last one.
fn loses_three_before_a_message() -> (Attached<Term>, Vec<Reference>, Reference) {
    let (me, _, there) = start();
    me.trap_exit(true);
    me.link(there);
    let monitors = vec![me.monitor(there), me.monitor(there)];
    let here = me.runtime().clone();
    here.connection_lost(me.pid(), there.node, EPOCH);
    here.try_send(me.pid(), Term::from(atom!("later"))).unwrap();
    let last = me.monitor(me.runtime().attach::<Term>().unwrap().pid());
    (me, monitors, last)
}

#[derive(Debug, PartialEq)]
enum Seen {
    Exit,
    Down(Reference),
    Message,
}

fn seen(received: &Received<Term>) -> Seen {
    match received {
        Received::Info(Info::Exit { .. }) => Seen::Exit,
        Received::Info(Info::Down { reference, .. }) => Seen::Down(*reference),
        Received::Message(_) => Seen::Message,
        other => panic!("{other:?}"),
    }
}

/// Whether these are the ends of all ties to there, and then the others.
fn is_in_order(all: &[Seen], monitors: &[Reference], last: Reference) -> bool {
    let (lost, later) = all.split_at(3);
    lost.contains(&Seen::Exit)
        && monitors.iter().all(|it| lost.contains(&Seen::Down(*it)))
        && later == [Seen::Message, Seen::Down(last)]
}

#[tokio::test]
async fn all_of_a_lost_connection_is_received_before_what_came_after_it() {
    // Signals are met by who receives, or act before that.
    for act_before in [false, true] {
        let (mut me, monitors, last) = loses_three_before_a_message();
        if act_before {
            assert_eq!(queue_len(&me).await, 5);
        }
        let mut all = Vec::new();
        for _ in 0..5 {
            all.push(seen(&me.receive().await.unwrap()));
        }
        assert!(is_in_order(&all, &monitors, last), "{all:?}");
        assert!(receives_nothing(&mut me).await);
    }
}

/// The messages that wait; all signals have acted then.
async fn queue_len(me: &Attached<Term>) -> usize {
    let info = me.runtime().process_info(me.pid()).await;
    info.unwrap().message_queue_len
}

#[tokio::test]
async fn all_of_a_lost_connection_is_chosen_from_in_its_place() {
    // The first is received from the queue itself or chosen; the rest come before the queue or lie in it.
    for takes_the_first in [false, true] {
        let (mut me, monitors, last) = loses_three_before_a_message();
        let mut all = Vec::new();
        if takes_the_first {
            all.push(seen(&me.receive().await.unwrap()));
        }
        let rest = if takes_the_first { 4 } else { 5 };
        let chosen = monitors.iter().find(|it| !all.contains(&Seen::Down(**it)));
        let chosen = *chosen.unwrap();
        assert_eq!(queue_len(&me).await, rest);
        let down = me.receive_where(|peek| peek.is_down(&chosen)).await;
        let down = down.unwrap();
        all.push(seen(&down));
        assert_eq!(queue_len(&me).await, rest - 1);
        while let Some(received) = me.try_receive().unwrap() {
            all.push(seen(&received));
        }
        assert!(is_in_order(&all, &monitors, last), "{all:?}");
        assert_eq!(queue_len(&me).await, 0);
    }
}

#[tokio::test]
async fn the_reply_to_a_spawn_request_is_received_once_and_from_its_node_only() {
    let (mut me, _, there) = start();
    let (request, epoch) = me.note_spawn_request(there.node, RequestOptions::default());
    assert_eq!(epoch, EPOCH);
    let failed = |node| Signal::SpawnFailed {
        reference: request,
        node,
        reason: atom!("notsup"),
    };
    let (runtime, pid) = (me.runtime().clone(), me.pid());
    for node in [runtime.node(), there.node, there.node] {
        runtime.deliver_signal(pid.into(), failed(node), EPOCH);
    }
    let received = me.receive().await.unwrap();
    assert!(format!("{received:?}").contains("notsup"));
    assert!(receives_nothing(&mut me).await);
}

//! A process that waits for something else than messages, turn after turn: its queue wakes it all the same.

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use purlin_runtime::{Address, Attached, Config, Process, Runtime, TokioExecutor};
use purlin_term::{NodeName, Term, atom};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

/// What the process does in a turn, before it waits for the next.
enum Turn {
    Nothing,
    /// It looks for a message as a future would that has a waker of its own, which wakes nobody.
    LookElsewhere,
    /// It takes a message that waits.
    Take,
}

/// A process that has its turns when it is told to, and never waits for a message.
struct Rester {
    address: Address<i64>,
    turns: UnboundedSender<Turn>,
    had: UnboundedReceiver<()>,
    watcher: Attached<Term>,
}

impl Rester {
    fn start() -> Self {
        let node = NodeName::new(&atom!("here@127.0.0.1")).unwrap();
        let executor = Arc::new(TokioExecutor::current());
        let runtime = Runtime::new(node, 1, executor, Config::default());
        let (turns, told) = unbounded_channel();
        let (done, had) = unbounded_channel();
        let address = runtime.spawn(move |me| rest(me, told, done)).unwrap();
        let watcher = runtime.attach().unwrap();
        watcher.monitor(address.pid());
        Self {
            address,
            turns,
            had,
            watcher,
        }
    }

    /// The process has had that turn, and waits.
    async fn has(&mut self, turn: Turn) {
        self.turns.send(turn).ok().unwrap();
        let had = timeout(Duration::from_secs(10), self.had.recv()).await;
        had.unwrap().unwrap();
    }

    fn send(&self, message: i64) {
        self.watcher.try_send(&self.address, message).unwrap();
    }

    /// It is told to, and does.
    async fn dies(mut self) {
        self.watcher.exit(self.address.pid(), atom!("kill"));
        let down = timeout(Duration::from_secs(10), self.watcher.receive()).await;
        let (_, _, reason) = down.expect("it was killed").unwrap().down().unwrap();
        assert_eq!(*reason, Term::from(atom!("killed")));
    }
}

async fn rest(mut me: Process<i64>, mut turns: UnboundedReceiver<Turn>, done: UnboundedSender<()>) {
    while let Some(turn) = turns.recv().await {
        match turn {
            Turn::Nothing => {}
            Turn::LookElsewhere => {
                let mut elsewhere = Context::from_waker(Waker::noop());
                assert!(me.poll_receive(&mut elsewhere).is_pending());
            }
            Turn::Take => assert!(me.try_receive().is_some()),
        }
        done.send(()).unwrap();
    }
}

#[tokio::test]
async fn kill_acts_after_turns_in_which_nothing_came() {
    for turns in 0..4 {
        let mut rester = Rester::start();
        for _ in 0..turns {
            rester.has(Turn::Nothing).await;
        }
        rester.dies().await;
    }
}

#[tokio::test]
async fn kill_acts_after_messages_that_nobody_takes() {
    for messages in 1..12 {
        let mut rester = Rester::start();
        for message in 0..messages {
            rester.has(Turn::Nothing).await;
            rester.send(message);
            rester.has(Turn::Nothing).await;
        }
        rester.dies().await;
    }
}

#[tokio::test]
async fn kill_acts_after_messages_that_are_taken_one_by_one() {
    for messages in 1..12 {
        let mut rester = Rester::start();
        for message in 0..messages {
            rester.has(Turn::Nothing).await;
            rester.send(message);
            rester.has(Turn::Take).await;
        }
        rester.dies().await;
    }
}

/// The waker that the queue was given last is one of a future that is gone.
#[tokio::test]
async fn kill_acts_after_a_receive_elsewhere_was_given_up() {
    let mut rester = Rester::start();
    for _ in 0..3 {
        rester.has(Turn::Nothing).await;
        rester.has(Turn::LookElsewhere).await;
        rester.has(Turn::Nothing).await;
    }
    rester.dies().await;
}

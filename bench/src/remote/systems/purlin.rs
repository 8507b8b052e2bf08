//! Purlin's nodes, with processes whose messages are terms. They talk to Erlang's in
//! `erl/remote_bench.erl` too, so names and messages are the same there.

use std::time::{Duration, Instant};

use purlin_node::{
    Atom, Delivery, Destination, Envelope, Mailbox, MonitorOptions, Node, NodeName, Pid,
    RequestOptions, Target, Term, atom,
};
use tokio::sync::{mpsc, oneshot};

use super::{Here, percentiles, run, warm_up};
use crate::remote::loads::{Job, Kind};
use crate::remote::pair::COOKIE;
use crate::remote::worker::READY;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Purlin;

impl Here for Purlin {
    fn serve(&self, mapper: u16) {
        run(async move {
            let node = start("purlin_server", mapper).await;
            name(&node, atom!("echo"), echo);
            name(&node, atom!("sink"), sink);
            name(&node, atom!("remote_bench"), add_one);
            node.export("remote_bench", "noop", || async {});
            node.export("remote_bench", "identity", |term: Term| async { term });
            println!("{READY}{}", node.name());
            std::future::pending().await
        })
    }

    fn drive(&self, mapper: u16, address: &str, job: Job) -> Vec<u64> {
        let peer = Atom::new(address).expect("a node's name is short");
        let peer = NodeName::new(&peer).expect("a server gives a node's name");
        run(async move {
            let node = start("purlin_client", mapper).await;
            node.connect_to(peer).await.expect("the server is there");
            match job.kind {
                Kind::PingPong => {
                    in_process(&node, move |mailbox| ping(mailbox, peer, job.operations)).await
                }
                Kind::OneWay => in_process(&node, move |mailbox| one_way(mailbox, peer, job)).await,
                Kind::Spawn | Kind::Erpc | Kind::GenCall => calls(&node, peer, job).await,
            }
        })
    }
}

/// With a number in its name, so that no run meets what is left of the one before.
async fn start(alive: &str, mapper: u16) -> Node {
    let name = format!("{alive}{}@127.0.0.1", std::process::id());
    let node = Node::builder(&name)
        .cookie(COOKIE)
        .epmd_port(mapper)
        .start();
    node.await.expect("there is a port mapper")
}

fn name<F: Future<Output = ()> + Send + 'static>(
    node: &Node,
    name: Atom,
    body: impl FnOnce(Mailbox) -> F + Send + 'static,
) {
    let pid = node.spawn(body).expect("there is room for a process");
    node.register(name, pid).expect("the name is free");
}

/// The answer of a process that runs `body`.
async fn in_process<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    node: &Node,
    body: impl FnOnce(Mailbox) -> F + Send + 'static,
) -> T {
    let (done, answer) = oneshot::channel();
    let process = node.spawn(|mailbox| async {
        let _ = done.send(body(mailbox).await);
    });
    process.expect("there is room for a process");
    answer.await.expect("it does not fail")
}

async fn send(mailbox: &Mailbox, to: impl Into<Destination>, message: &Term) {
    let sent = mailbox.send(to, message).await;
    sent.expect("the other node is there");
}

/// The next message.
async fn message(mailbox: &mut Mailbox) -> Term {
    loop {
        if let Delivery::Message(message) = mailbox.receive().await {
            return message
                .to_term()
                .expect("nobody sends a map with a key twice");
        }
    }
}

/// A `{pid, something}`.
async fn from(mailbox: &mut Mailbox) -> (Pid, Term) {
    let message = message(mailbox).await;
    match message.as_tuple() {
        Some([Term::Pid(from), content]) => (*from, content.clone()),
        _ => panic!("expected a pair, not {message}"),
    }
}

fn with_own_pid(mailbox: &Mailbox, content: Term) -> Term {
    Term::tuple([mailbox.pid().into(), content])
}

async fn echo(mut mailbox: Mailbox) {
    loop {
        let (pid, number) = from(&mut mailbox).await;
        let answer = with_own_pid(&mailbox, number);
        send(&mailbox, pid, &answer).await;
    }
}

/// `{From, Count}`, answered with `{self(), ready}`; then so many binaries; then `{self(), done}`.
async fn sink(mut mailbox: Mailbox) {
    loop {
        let (pid, count) = from(&mut mailbox).await;
        let ready = with_own_pid(&mailbox, atom!("ready").into());
        send(&mailbox, pid, &ready).await;
        for _ in 0..count.as_int().expect("a count") {
            let chunk = message(&mut mailbox).await;
            assert!(matches!(chunk, Term::Binary(_)), "{chunk}");
        }
        let done = with_own_pid(&mailbox, atom!("done").into());
        send(&mailbox, pid, &done).await;
    }
}

/// A `gen_server`.
async fn add_one(mut mailbox: Mailbox) {
    loop {
        if let Envelope::Call(caller, Term::Int(number)) =
            Envelope::open(message(&mut mailbox).await)
        {
            let reply = Term::tuple([caller.tag.clone(), Term::Int(number + 1)]);
            send(&mailbox, caller.reply_to(), &reply).await;
        }
    }
}

async fn ping(mut mailbox: Mailbox, peer: NodeName, round_trips: u64) -> Vec<u64> {
    let first = with_own_pid(&mailbox, Term::Int(0));
    send(&mailbox, (atom!("echo"), peer), &first).await;
    let (echo, _) = from(&mut mailbox).await;
    let mut times = Vec::new();
    for number in 0..warm_up(round_trips) + round_trips {
        let start = Instant::now();
        let ping = with_own_pid(&mailbox, Term::Int(number as i64));
        send(&mailbox, echo, &ping).await;
        from(&mut mailbox).await;
        times.push(start.elapsed().as_nanos() as u64);
    }
    percentiles(times.split_off(warm_up(round_trips) as usize))
}

async fn one_way(mut mailbox: Mailbox, peer: NodeName, job: Job) -> Vec<u64> {
    let count = with_own_pid(&mailbox, Term::Int(job.operations as i64));
    send(&mailbox, (atom!("sink"), peer), &count).await;
    let (sink, _) = from(&mut mailbox).await;
    let chunk = Term::Binary(vec![0; job.size as usize].into());
    let start = Instant::now();
    for _ in 0..job.operations {
        send(&mailbox, sink, &chunk).await;
    }
    from(&mut mailbox).await;
    vec![start.elapsed().as_nanos() as u64]
}

/// Each client a process of its own, all at once.
async fn calls(node: &Node, peer: NodeName, job: Job) -> Vec<u64> {
    let each = job.operations / job.size;
    call(
        node.attach().expect("there is room"),
        peer,
        job.kind,
        warm_up(each),
    )
    .await;
    let (done, mut answers) = mpsc::unbounded_channel();
    let start = Instant::now();
    for _ in 0..job.size {
        let done = done.clone();
        let client = node.spawn(move |mailbox| async move {
            call(mailbox, peer, job.kind, each).await;
            let _ = done.send(());
        });
        client.expect("there is room for a process");
    }
    drop(done);
    for _ in 0..job.size {
        answers.recv().await.expect("no client fails");
    }
    vec![start.elapsed().as_nanos() as u64]
}

async fn call(mut mailbox: Mailbox, peer: NodeName, kind: Kind, count: u64) {
    let node = mailbox.node().clone();
    for number in 0..count as i64 {
        let answer = match kind {
            Kind::GenCall => {
                let to = Target::Name(atom!("remote_bench"), peer);
                node.call_term_timeout(to, &Term::Int(number), PATIENCE)
                    .await
            }
            Kind::Erpc => {
                let args = vec![Term::Int(number)];
                node.erpc_call(peer, "remote_bench", "identity", args, PATIENCE)
                    .await
            }
            _ => {
                spawn_monitor(&mut mailbox, peer).await;
                continue;
            }
        };
        answer.expect("the server answers");
    }
}

/// Starts the no-op there, and waits for the end of it.
async fn spawn_monitor(mailbox: &mut Mailbox, peer: NodeName) {
    let monitored = RequestOptions {
        monitor: Some(MonitorOptions::default()),
        ..RequestOptions::default()
    };
    let asked = mailbox.spawn_request(peer, "remote_bench", "noop", (), monitored);
    let asked = asked.await.expect("the nodes are connected");
    loop {
        match mailbox.receive().await {
            Delivery::Down { reference, .. } if reference == asked => return,
            Delivery::Spawned { .. } => {}
            other => panic!("neither a start nor an end: {other:?}"),
        }
    }
}

//! Two nodes in two OS processes over TCP on loopback: round trips of one small message, then messages
//! one way. `docs/decisions/a-stand-in-for-held-threads.md` has its figures.
//!
//! `cargo run --release -p purlin-node --example ping_pong -- [round trips] [messages one way]`

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use purlin_node::{Delivery, Destination, Mailbox, Node, NodeBuilder, Term};

/// How long the other node may take to come up, and a message to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// Round trips before the clock counts.
const WARM_UP: i64 = 1000;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, mapper] = &arguments[..]
        && role == "serve"
    {
        return serve(mapper.parse().expect("a port")).await;
    }
    let number = |at: usize, default| {
        arguments
            .get(at)
            .map_or(default, |n| n.parse().expect("a number"))
    };
    measure(number(0, 20_000), number(1, 500_000)).await;
}

fn builder(alive: &str, mapper: u16) -> NodeBuilder {
    let name = format!("{alive}@127.0.0.1");
    Node::builder(&name).cookie("ping_pong").epmd_port(mapper)
}

/// Answers `{From, N}` with `N`, and of a row `{From, N, Last}` only the last.
async fn serve(mapper: u16) {
    let node = builder("server", mapper).start().await.expect("it starts");
    let echo = node.spawn(|mut mailbox: Mailbox| async move {
        loop {
            let Delivery::Message(message) = mailbox.receive().await else {
                continue;
            };
            let Ok(message) = message.to_term() else {
                continue;
            };
            let (from, number) = match message.as_tuple() {
                Some([Term::Pid(from), number]) => (*from, number.clone()),
                Some([Term::Pid(from), number, last]) if number == last => (*from, number.clone()),
                _ => continue,
            };
            if mailbox.send(from, &number).await.is_err() {
                std::process::exit(0);
            }
        }
    });
    let echo = echo.expect("there is room for a process");
    node.register("echo", echo).expect("the name is free");
    println!("ready");
    std::future::pending().await
}

async fn measure(round_trips: i64, one_way: i64) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let port = port.expect("a port is free").port();
    let node = builder("client", port).start().await.expect("it starts");
    let program = std::env::current_exe().expect("a program has a path");
    let mut server = Command::new(program)
        .args(["serve", &port.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut ready = [0; 6];
    let mut output = server.stdout.take().expect("it is piped");
    std::io::Read::read_exact(&mut output, &mut ready).expect("it says that it is ready");
    let echo = Destination::from(("echo", "server@127.0.0.1"));
    // In a process, as messages are sent in programs.
    let (done, wait) = tokio::sync::oneshot::channel();
    let client = node.spawn(move |mailbox: Mailbox| async move {
        let line = run(mailbox, &echo, round_trips, one_way).await;
        let _ = done.send(line);
    });
    client.expect("there is room for a process");
    println!("{}", wait.await.expect("it ends"));
    server.kill().expect("it can be ended");
    server.wait().expect("it ends");
}

async fn run(mut mailbox: Mailbox, echo: &Destination, round_trips: i64, one_way: i64) -> String {
    let pid = mailbox.pid();
    let mut times = Vec::new();
    for number in 0..WARM_UP + round_trips {
        let start = Instant::now();
        let ping = Term::tuple([pid.into(), number.into()]);
        mailbox.send(echo.clone(), &ping).await.expect("it is sent");
        answer(&mut mailbox, number).await;
        times.push(start.elapsed());
    }
    let mut times = times.split_off(WARM_UP as usize);
    times.sort_unstable();
    let at = |part: f64| times[(times.len() as f64 * part) as usize].as_micros();
    let start = Instant::now();
    for number in 1..=one_way {
        let message = Term::tuple([pid.into(), number.into(), one_way.into()]);
        mailbox
            .send(echo.clone(), &message)
            .await
            .expect("it is sent");
    }
    answer(&mut mailbox, one_way).await;
    let rate = one_way as f64 / start.elapsed().as_secs_f64();
    let (p50, p99) = (at(0.5), at(0.99));
    format!("p50 {p50} µs  p99 {p99} µs  one way {rate:.0} messages/s")
}

async fn answer(mailbox: &mut Mailbox, number: i64) {
    let answer = tokio::time::timeout(PATIENCE, mailbox.receive()).await;
    let Ok(Delivery::Message(message)) = answer else {
        panic!("no answer to {number}: {answer:?}")
    };
    assert_eq!(message.to_term().expect("it decodes"), Term::Int(number));
}

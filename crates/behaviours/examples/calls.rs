//! What a call of a server costs beside a bare request and reply of two processes.
//!
//! `cargo run --release -p purlin-behaviours --example calls [ROUNDS [CALLS]]`, and for a profile of the one or
//! the other: `calls bare CALLS`, `calls called CALLS`.

use std::sync::Arc;
use std::time::Instant;

use purlin_behaviours::{Context, GenServer, HandleCall, Request, by};
use purlin_runtime::{Address, Config, Local, Process, Runtime, TokioExecutor};
use purlin_term::{NodeName, atom};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// Calls of all clients together, if nothing else is said.
const CALLS: u64 = 1_000_000;

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

type Ask = Local<(Address<Local<u64>>, u64)>;

/// Two processes, each with the address of the other.
async fn bare(runtime: &Runtime, clients: u64, calls: u64) {
    let server = runtime.spawn(|mut process: Process<Ask>| async move {
        loop {
            let Local((from, n)) = process.receive_message().await;
            let _ = process.send(&from, Local(n + 1)).await;
        }
    });
    let server = server.unwrap();
    run(
        runtime,
        clients,
        calls,
        move |process: Process<Local<u64>>, count| {
            let server = server.clone();
            async move {
                let mut process = process;
                let me = process.address();
                for n in 0..count {
                    process.send(&server, Local((me.clone(), n))).await.unwrap();
                    process.receive_message().await;
                }
            }
        },
    )
    .await;
}

async fn called(runtime: &Runtime, clients: u64, calls: u64) {
    let server = Adder.start(runtime).await.unwrap();
    run(
        runtime,
        clients,
        calls,
        move |_: Process<Local<u64>>, count| {
            let server = server.clone();
            async move {
                for n in 0..count {
                    server.call(Increment(n)).await.unwrap();
                }
            }
        },
    )
    .await;
}

async fn run<F: Future<Output = ()> + Send + 'static>(
    runtime: &Runtime,
    clients: u64,
    calls: u64,
    client: impl Fn(Process<Local<u64>>, u64) -> F + Clone + Send + 'static,
) {
    let mut all = Vec::new();
    for _ in 0..clients {
        let (done, finished) = oneshot::channel();
        let client = client.clone();
        let process = runtime.spawn(move |process| async move {
            client(process, calls / clients).await;
            let _ = done.send(());
        });
        process.unwrap();
        all.push(finished);
    }
    for finished in all {
        finished.await.unwrap();
    }
}

#[tokio::main]
async fn main() {
    let node = NodeName::new(&atom!("calls@example")).unwrap();
    let runtime = Runtime::new(
        node,
        1,
        Arc::new(TokioExecutor::current()),
        Config::default(),
    );
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next();
    let calls = arguments.next().and_then(|calls| calls.parse().ok());
    let calls = calls.unwrap_or(CALLS);
    match what.as_deref() {
        Some("bare") => bare(&runtime, 1, calls).await,
        Some("called") => called(&runtime, 1, calls).await,
        rounds => {
            let rounds = rounds.and_then(|rounds| rounds.parse().ok());
            for _ in 0..rounds.unwrap_or(3) {
                compare(&runtime, calls).await;
            }
        }
    }
}

async fn compare(runtime: &Runtime, calls: u64) {
    for clients in [1, 64, 10_000] {
        let start = Instant::now();
        bare(runtime, clients, calls).await;
        let bare = start.elapsed();
        let start = Instant::now();
        called(runtime, clients, calls).await;
        let called = start.elapsed();
        let rate = |time: std::time::Duration| calls as f64 / time.as_secs_f64() / 1e6;
        println!(
            "{clients} clients: bare {:.2} M/s, called {:.2} M/s, {:.2} x",
            rate(bare),
            rate(called),
            called.as_secs_f64() / bare.as_secs_f64()
        );
    }
}

//! A pool of workers under a dynamic supervisor: jobs go to whoever is idle, and a worker that a job crashes
//! is replaced.
//!
//! `cargo run --example worker_pool`

use std::collections::VecDeque;
use std::time::Duration;

use purlin::behaviours::StartError;
use purlin::prelude::*;

struct Worker;

#[purlin::gen_server]
impl GenServer for Worker {
    #[call]
    fn square(&self, n: i64) -> i64 {
        assert!(n != 13, "unlucky");
        n * n
    }
}

/// Gives each job to a worker of its own, and starts no more than so many at once.
struct Pool {
    workers: ServerRef<Supervisor>,
    idle: usize,
    waiting: VecDeque<(i64, ReplyTo<Option<i64>>)>,
}

#[purlin::gen_server]
impl GenServer for Pool {
    /// `None` if the job crashed its worker.
    #[call]
    async fn job(&mut self, n: i64, from: ReplyTo<Option<i64>>, ctx: &mut Context<Self>) {
        self.waiting.push_back((n, from));
        self.work(ctx).await;
    }

    #[info]
    async fn done(&mut self, ctx: &mut Context<Self>) {
        self.idle += 1;
        self.work(ctx).await;
    }
}

impl Pool {
    async fn work(&mut self, ctx: &mut Context<Self>) {
        while self.idle > 0
            && let Some((n, from)) = self.waiting.pop_front()
        {
            self.idle -= 1;
            let (pool, workers) = (ctx.server(), self.workers.clone());
            let job = ctx.runtime().spawn(move |me: Process<()>| async move {
                from.reply(run(&workers, &me, n).await.ok()).await;
                let _ = pool.send(Done).await;
            });
            if job.is_err() {
                self.idle += 1;
            }
        }
    }
}

async fn run(
    workers: &ServerRef<Supervisor>,
    me: &Process<()>,
    n: i64,
) -> Result<i64, Box<dyn std::error::Error>> {
    let worker = workers
        .start_child(Child::new("worker", || Worker).temporary())
        .await?;
    let worker = worker.ok_or(StartError::Ignored)?;
    let square = ServerRef::<Worker>::of(me, worker).call(Square(n)).await;
    let _ = workers.terminate_child(worker).await;
    Ok(square?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Node::builder("pool@127.0.0.1")
        .cookie("secret")
        .without_epmd();
    let node = node.start().await?;
    let workers = node.supervise(dynamic().max_children(4)).await?;
    let pool = Pool {
        workers,
        idle: 4,
        waiting: VecDeque::new(),
    };
    let pool = pool.start(&node).await?;

    let jobs: Vec<_> = (10..16).map(|n| pool.send_request(Job(n))).collect();
    for job in jobs {
        match job.await? {
            Some(square) => println!("{square}"),
            None => println!("a job crashed"),
        }
    }
    node.stop(Duration::from_secs(1)).await;
    Ok(())
}

//! `--app demo`: processes and functions for tutorials and tests.
//!
//! `echo` answers `{From, Msg}` with `{self(), Msg}`. `counter` is a `gen_server` that starts again
//! from 0 when it ends. Both are children of the supervisor `demo_sup`. The functions of module `demo`
//! are exported.

use std::time::Duration;

use purlin::prelude::*;
use purlin::runtime::Raw;
use purlin_term::EncodedTerm;
use tokio::time::sleep;

/// Starts the processes and exports the functions.
pub(crate) async fn start(node: &Node) {
    export(node);
    if let Err(error) = start_processes(node).await {
        tracing::error!("cannot start the demo: {error}");
    }
}

/// The demo is to go on however often a shell crashes its counter.
const RESTARTS: (u32, Duration) = (1000, Duration::from_secs(1));

async fn start_processes(node: &Node) -> Result<(), Box<dyn std::error::Error>> {
    let demo = one_for_one()
        .intensity(RESTARTS.0, RESTARTS.1)
        .registered("counter", Counter::default)
        .with(Child::process(atom!("echo"), echo).registered("echo"))
        .offer("demo", "start_counter", |args| {
            args.is_empty().then(Counter::default)
        });
    let supervisor = node.supervise(demo).await?;
    if let Some(pid) = supervisor.pid() {
        node.register("demo_sup", pid)?;
    }
    Ok(())
}

fn export(node: &Node) {
    node.export("demo", "add", |a: Term, b: Term| async move {
        add(&a, &b).ok_or_else(|| Raise::Error(atom!("badarith").into()))
    });
    node.export("demo", "whoami", async |call: &CallContext| {
        Term::from(call.node.name())
    });
    node.export("demo", "sleep", |ms: u64| async move {
        sleep(Duration::from_millis(ms)).await
    });
    node.export("demo", "crash", || async { crash() });
    node.export("demo", "spawn_counter", async |call: &CallContext| {
        let counter = Counter::default().start(&call.node).await;
        counter
            .map_err(|_| Raise::system_limit())
            .map(|counter| counter.pid())
    });
}

fn crash() {
    panic!("crashed, as was asked for")
}

/// The sum of two numbers; `None` if one is not a number, or the sum is no finite float.
fn add(a: &Term, b: &Term) -> Option<Term> {
    if let (Some(a), Some(b)) = (a.to_bigint(), b.to_bigint()) {
        return Some((a + b).into());
    }
    let float = |term: &Term| match term {
        Term::Int(int) => Some(*int as f64),
        Term::Float(float) => Some(float.get()),
        _ => None,
    };
    Term::float(float(a)? + float(b)?)
}

async fn echo(mut process: Process<Raw>) {
    loop {
        let Raw(message) = process.receive_message().await;
        let Some((from, message)) = echo_of(&message) else {
            tracing::debug!(?message, "echo takes {{From, Msg}}, where From is a pid");
            continue;
        };
        let answer = Term::tuple([process.pid().into(), message]);
        if let Err(error) = process.send(from, answer).await {
            tracing::debug!(%from, "echo cannot answer: {error}");
        }
    }
}

fn echo_of(message: &EncodedTerm) -> Option<(Pid, Term)> {
    let [from, message] = message.view().as_tuple_of()?;
    Some((from.as_pid()?, message.to_term().ok()?))
}

/// Counts, in numbers of any kind.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
struct Counter(Term);

impl Default for Counter {
    fn default() -> Self {
        Self(0.into())
    }
}

#[purlin::gen_server]
impl GenServer for Counter {
    #[call]
    fn get(&self) -> Term {
        self.0.clone()
    }

    #[call]
    fn add(&mut self, number: Term) -> Term {
        match add(&self.0, &number) {
            Some(sum) => {
                self.0 = sum;
                self.0.clone()
            }
            None => error("badarith", number),
        }
    }

    #[call]
    fn crash(&self) {
        panic!("the counter crashed, as was asked for");
    }

    #[call]
    async fn sleep(&self, ms: u64) {
        sleep(Duration::from_millis(ms)).await;
    }

    #[call(Term)]
    fn anything_else(&self, request: Term) -> Term {
        error("unknown_request", request)
    }

    #[cast]
    fn reset(&mut self) {
        self.0 = 0.into();
    }
}

/// `{error, {Kind, What}}`.
fn error(kind: &'static str, what: Term) -> Term {
    let kind = Atom::new(kind).expect("a short word");
    Term::tuple([atom!("error").into(), Term::tuple([kind.into(), what])])
}

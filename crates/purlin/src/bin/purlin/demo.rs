//! `--app demo`: processes and functions for tutorials and tests.
//!
//! `echo` answers `{From, Msg}` with `{self(), Msg}`. `counter` is a `gen_server` that starts again
//! from 0 when it ends. The functions of module `demo` are exported.

use std::time::Duration;

use purlin_node::{Call, Caller, Delivery, Envelope, Mailbox, Node, Raise, TooManyProcesses};
use purlin_term::{Atom, EncodedTerm, Pid, Term, atom};
use tokio::time::sleep;

/// Starts the processes and exports the functions.
pub(crate) fn start(node: &Node) {
    export(node);
    if let Err(error) = start_processes(node) {
        tracing::error!("cannot start the demo: {error}");
    }
}

fn start_processes(node: &Node) -> Result<(), TooManyProcesses> {
    register(node, atom!("echo"), node.spawn(echo)?);
    let counter = start_counter(node)?;
    node.spawn(move |mailbox| keep_counter(mailbox, counter))?;
    Ok(())
}

fn register(node: &Node, name: Atom, pid: Pid) {
    if let Err(error) = node.register(name.clone(), pid) {
        tracing::error!(%name, "cannot register: {error}");
    }
}

fn export(node: &Node) {
    node.export("demo", "add", |a: Term, b: Term| async move {
        add(&a, &b).ok_or_else(|| Raise::Error(atom!("badarith").into()))
    });
    node.export("demo", "whoami", async |call: &Call| {
        Term::from(call.node.name())
    });
    node.export("demo", "sleep", |ms: u64| async move {
        sleep(Duration::from_millis(ms)).await
    });
    node.export("demo", "crash", || async { crash() });
    node.export("demo", "spawn_counter", async |call: &Call| {
        let counter = call.node.spawn(counter);
        counter.map_err(|_| Raise::system_limit())
    });
}

fn crash() {
    panic!("crashed, as was asked for")
}

fn milliseconds(term: &Term) -> Option<Duration> {
    u64::try_from(term.as_int()?)
        .ok()
        .map(Duration::from_millis)
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

async fn echo(mut mailbox: Mailbox) -> Term {
    loop {
        let Delivery::Message(message) = mailbox.receive().await else {
            continue;
        };
        let Some((from, message)) = echo_of(&message) else {
            tracing::debug!(?message, "echo takes {{From, Msg}}, where From is a pid");
            continue;
        };
        let answer = Term::tuple([mailbox.pid().into(), message]);
        if let Err(error) = mailbox.send(from, &answer).await {
            tracing::debug!(%from, "echo cannot answer: {error}");
        }
    }
}

fn echo_of(message: &EncodedTerm) -> Option<(Pid, Term)> {
    let [from, message] = message.view().as_tuple_of()?;
    Some((from.as_pid()?, message.to_term().ok()?))
}

fn start_counter(node: &Node) -> Result<Pid, TooManyProcesses> {
    let pid = node.spawn(counter)?;
    register(node, atom!("counter"), pid);
    Ok(pid)
}

/// Starts the counter again whenever it ends.
async fn keep_counter(mut mailbox: Mailbox, mut counter: Pid) -> Result<(), TooManyProcesses> {
    loop {
        let monitor = mailbox.monitor(counter);
        let reason = loop {
            match mailbox.receive().await {
                Delivery::Down {
                    reference, reason, ..
                } if reference == monitor => break reason,
                _ => {}
            }
        };
        tracing::warn!(%reason, "the counter ended; starting it again");
        counter = start_counter(mailbox.node())?;
    }
}

/// A `gen_server`.
async fn counter(mut mailbox: Mailbox) -> Term {
    let mut value = Term::from(0);
    loop {
        let Delivery::Message(message) = mailbox.receive().await else {
            continue;
        };
        match Envelope::decode(&message) {
            Some(Envelope::Call(caller, request)) => {
                let answer = answer(&mut value, &request).await;
                reply(&mailbox, &caller, answer).await;
            }
            Some(Envelope::Cast(message)) if message.is_atom("reset") => value = 0.into(),
            Some(Envelope::System(caller, request)) => {
                // What OTP's `sys` answers to what it does not know.
                reply(&mailbox, &caller, error("unknown_system_msg", request)).await;
            }
            _ => tracing::debug!(?message, "the counter does not know this message"),
        }
    }
}

async fn answer(value: &mut Term, request: &Term) -> Term {
    let unknown = || error("unknown_request", request.clone());
    if request.is_atom("get") {
        return value.clone();
    }
    if request.is_atom("crash") {
        panic!("the counter crashed, as was asked for");
    }
    match request.as_tuple() {
        Some([tag, number]) if tag.is_atom("add") => match add(value, number) {
            Some(sum) => {
                *value = sum;
                value.clone()
            }
            None => error("badarith", number.clone()),
        },
        Some([tag, time]) if tag.is_atom("sleep") => match milliseconds(time) {
            Some(time) => {
                sleep(time).await;
                atom!("ok").into()
            }
            None => unknown(),
        },
        _ => unknown(),
    }
}

/// `{error, {Kind, What}}`.
fn error(kind: &'static str, what: Term) -> Term {
    let kind = Atom::new(kind).expect("a short word");
    Term::tuple([atom!("error").into(), Term::tuple([kind.into(), what])])
}

async fn reply(mailbox: &Mailbox, caller: &Caller, reply: Term) {
    if let Err(error) = mailbox.reply(caller, &reply).await {
        tracing::debug!(caller = %caller.pid, "cannot answer: {error}");
    }
}

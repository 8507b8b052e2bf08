//! What the tests of behaviours share.

use std::sync::Arc;

use purlin_runtime::{Config, Raw, Runtime, TokioExecutor};
use purlin_term::{EncodedTerm, NodeName, Pid, Term, atom};

/// A runtime of a node without a network.
pub(crate) fn runtime() -> Runtime {
    let node = NodeName::new(&atom!("behaviours@test")).unwrap();
    let executor = Arc::new(TokioExecutor::current());
    Runtime::new(node, 1, executor, Config::default())
}

/// What a process answers to a request of `sys`, as text.
pub(crate) async fn ask_sys(runtime: &Runtime, pid: Pid, request: Term) -> String {
    let mut asker = runtime.attach::<Raw>().unwrap();
    let tag = Term::from(runtime.make_reference());
    let from = Term::tuple([asker.pid().into(), tag]);
    let message = Term::tuple([atom!("system").into(), from, request]);
    let message = EncodedTerm::encode(&message).unwrap();
    runtime.send(pid, Raw(message)).await.unwrap();
    let Raw(reply) = asker.receive().await.unwrap().message().unwrap();
    let [_, reply] = reply.view().as_tuple_of().unwrap();
    reply.to_term().unwrap().to_string()
}

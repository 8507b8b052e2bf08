//! What the tests of behaviours share.

#![allow(
    dead_code,
    unused_imports,
    reason = "not every test file uses every part, and each is a crate of its own"
)]

use std::sync::Arc;

use purlin_runtime::{Config, Raw, Runtime, TokioExecutor};
use purlin_term::{EncodedTerm, NodeName, Pid, Term, atom};

/// What the macros refer to as the crate `purlin`.
pub(crate) mod paths {
    pub(crate) use purlin_behaviours as behaviours;
    pub(crate) use purlin_macros::message;
    pub(crate) mod __private {
        pub(crate) use ::serde;
    }
}

/// A runtime of a node without a network.
pub(crate) fn runtime() -> Runtime {
    runtime_of(Config::default())
}

/// As [`runtime`], of one's own making.
pub(crate) fn runtime_of(config: Config) -> Runtime {
    let node = NodeName::new(&atom!("behaviours@test")).unwrap();
    let executor = Arc::new(TokioExecutor::current());
    Runtime::new(node, 1, executor, config)
}

/// What a process answers to a request of `sys`, as text. It fails where the process ends instead.
pub(crate) async fn ask_sys(runtime: &Runtime, pid: Pid, request: Term) -> String {
    let mut asker = runtime.attach::<Raw>().unwrap();
    asker.monitor(pid);
    let tag = Term::from(runtime.make_reference());
    let from = Term::tuple([asker.pid().into(), tag]);
    let message = Term::tuple([atom!("system").into(), from, request]);
    let message = EncodedTerm::encode(&message).unwrap();
    runtime.send(pid, Raw(message)).await.unwrap();
    let answered = asker.receive().await.unwrap().message();
    let Raw(reply) = answered.expect("it answers, and goes on");
    let [_, reply] = reply.view().as_tuple_of().unwrap();
    reply.to_term().unwrap().to_string()
}

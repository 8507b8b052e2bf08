//! One question to many nodes at once. Each node has an answer of its own: its result, or why there is
//! none. OTP's functions answer these as `{Replies, BadNodes}` or as a list in the order of the nodes;
//! here it is always the latter, with the error of each bad node.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use purlin_term::{Atom, NodeName, Term};
use serde::Serialize;

use super::{Arguments, RemoteError};
use crate::connection::SendError;
use crate::node::Node;

/// What each node answered, in the order in which they were asked.
pub type Answers<T, E> = Vec<(NodeName, Result<T, E>)>;

impl Node {
    /// `gen_server:multi_call`: calls the process of that name on each of `nodes`. All have the same
    /// time.
    pub async fn multi_call(
        &self,
        nodes: &[NodeName],
        name: impl Into<Atom>,
        request: &(impl Serialize + Sync + ?Sized),
        timeout: Duration,
    ) -> Answers<Term, RemoteError> {
        let name = name.into();
        let call = |node| self.call_term_timeout((name.clone(), node), request, timeout);
        on_each(nodes, call).await
    }

    /// `gen_server:abcast`, in nobody's name: casts to the process of that name on each of `nodes`, as
    /// [`Node::cast`] does. Nodes that are not connected are dialled meanwhile.
    pub async fn abcast(
        &self,
        nodes: &[NodeName],
        name: impl Into<Atom>,
        request: &(impl Serialize + Sync + ?Sized),
    ) -> Answers<(), SendError> {
        let name = name.into();
        on_each(nodes, |node| self.cast((name.clone(), node), request)).await
    }

    /// `erpc:multicall`: calls a function on each of `nodes`. All have the same time.
    pub async fn erpc_multicall(
        &self,
        nodes: &[NodeName],
        module: impl Into<Atom>,
        function: impl Into<Atom>,
        args: impl Arguments + Sync,
        timeout: Duration,
    ) -> Answers<Term, RemoteError> {
        let (module, function) = (module.into(), function.into());
        let call = |node| self.erpc_call(node, &module, &function, &args, timeout);
        on_each(nodes, call).await
    }

    /// `erpc:multicast`: runs a function on each of `nodes`, and does not wait for its result.
    pub async fn erpc_multicast(
        &self,
        nodes: &[NodeName],
        module: impl Into<Atom>,
        function: impl Into<Atom>,
        args: impl Arguments + Sync,
    ) -> Answers<(), SendError> {
        let (module, function) = (module.into(), function.into());
        let cast = |node| self.erpc_cast(node, &module, &function, &args);
        on_each(nodes, cast).await
    }
}

/// Does something with each of `nodes`, all at the same time.
async fn on_each<F: Future>(
    nodes: &[NodeName],
    mut act: impl FnMut(NodeName) -> F,
) -> Vec<(NodeName, F::Output)> {
    let mut waiting: Vec<(NodeName, State<F>)> = nodes
        .iter()
        .map(|node| (*node, State::Acts(Box::pin(act(*node)))))
        .collect();
    // Whoever wakes, all are asked again: they are as many as there are nodes.
    std::future::poll_fn(|cx| {
        let mut is_ready = true;
        for (_, state) in &mut waiting {
            if let State::Acts(future) = state {
                match future.as_mut().poll(cx) {
                    Poll::Ready(output) => *state = State::Done(output),
                    Poll::Pending => is_ready = false,
                }
            }
        }
        match is_ready {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    let done = |(node, state)| match state {
        State::Done(output) => (node, output),
        State::Acts(_) => unreachable!("all are done"),
    };
    waiting.into_iter().map(done).collect()
}

enum State<F: Future> {
    Acts(Pin<Box<F>>),
    Done(F::Output),
}

//! Calls of functions: the client side of `erpc`.
//!
//! A call is a spawn request for `erpc:execute_call/4` with a monitor; the new process ends with the
//! result as its exit reason (distribution document, section 10). A call of this node's own functions
//! goes the same way, and ends as one of a peer's does.

use std::time::Duration;

use purlin_runtime::{MonitorOptions, RequestOptions};
use purlin_term::{Atom, NodeName, Reference, Term};
use tokio::time;

use super::{Arguments, ListOf, RemoteError};
use crate::connection::SendError;
use crate::node::{Node, Start};
use crate::process::{Delivery, Mailbox};

impl Node {
    /// `erpc:call`: runs a function on `peer` and answers what it returns.
    ///
    /// # Errors
    /// [`RemoteError`]: see there what each case says about whether the call took place.
    ///
    /// ```no_run
    /// # async fn example(node: purlin_node::Node, peer: purlin_node::NodeName) -> Result<(), purlin_node::RemoteError> {
    /// use std::time::Duration;
    /// let numbers = vec![1, 2, 300];
    /// let sum = node.erpc_call(peer, "lists", "sum", (numbers,), Duration::from_secs(5)).await?;
    /// println!("{sum}");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn erpc_call(
        &self,
        peer: impl Into<NodeName>,
        module: impl Into<Atom>,
        function: impl Into<Atom>,
        args: impl Arguments,
        timeout: Duration,
    ) -> Result<Term, RemoteError> {
        let peer = peer.into();
        let result = self.make_reference();
        let (module, function) = (module.into(), function.into());
        let inner = (result, module, function, ListOf(&args));
        let start = Start::new("erpc", "execute_call", &inner)?;
        let called = time::timeout(timeout, self.call_function(peer, start, result)).await;
        called.unwrap_or(Err(RemoteError::TimedOut(timeout)))
    }

    /// `erpc:cast`: runs a function on `peer`, and does not wait for its result.
    ///
    /// # Errors
    /// [`SendError`]: the request was not sent. Whether one that was sent is carried out is unknown.
    pub async fn erpc_cast(
        &self,
        peer: impl Into<NodeName>,
        module: impl Into<Atom>,
        function: impl Into<Atom>,
        args: impl Arguments,
    ) -> Result<(), SendError> {
        let peer = peer.into();
        let (module, function) = (module.into(), function.into());
        let start = Start::new("erpc", "execute_cast", &(module, function, ListOf(&args)))?;
        let mailbox = self.attach()?;
        let options = RequestOptions {
            reply_on_success: false,
            reply_on_error: false,
            ..RequestOptions::default()
        };
        self.request_start(&mailbox, peer, start, options).await?;
        Ok(())
    }

    async fn call_function(
        &self,
        peer: NodeName,
        start: Start,
        result: Reference,
    ) -> Result<Term, RemoteError> {
        let mut mailbox = self.attach()?;
        let options = RequestOptions {
            monitor: Some(MonitorOptions::default()),
            reply_on_success: false,
            ..RequestOptions::default()
        };
        let id = self.request_start(&mailbox, peer, start, options).await?;
        wait_for_result(&mut mailbox, id, result, peer).await
    }
}

async fn wait_for_result(
    mailbox: &mut Mailbox,
    id: Reference,
    result: Reference,
    node: NodeName,
) -> Result<Term, RemoteError> {
    loop {
        match mailbox.receive().await {
            Delivery::SpawnFailed { reference, reason } if reference == id => {
                return Err(match reason.as_str() {
                    "noconnection" => RemoteError::Disconnected(node),
                    _ => RemoteError::Refused(reason),
                });
            }
            Delivery::Down {
                reference, reason, ..
            } if reference == id => {
                return call_result(&reason, result, node);
            }
            _ => {}
        }
    }
}

/// Reads the exit reason of `erpc:execute_call`.
fn call_result(reason: &Term, expected: Reference, node: NodeName) -> Result<Term, RemoteError> {
    if reason.is_atom("noconnection") {
        return Err(RemoteError::Disconnected(node));
    }
    let (class, value, stack) = match reason.as_tuple() {
        Some([Term::Reference(result), Term::Atom(class), value]) if **result == expected => {
            (class, value, Term::nil())
        }
        Some([Term::Reference(result), Term::Atom(class), value, stack])
            if **result == expected =>
        {
            (class, value, stack.clone())
        }
        _ => return Err(RemoteError::Ended(reason.clone())),
    };
    if *class == *"return" {
        return Ok(value.clone());
    }
    Err(RemoteError::Raised {
        class: class.clone(),
        reason: value.clone(),
        stack,
    })
}

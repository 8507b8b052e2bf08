//! Calls and casts to processes: the client side of the `gen_server` family.

use std::time::Duration;

use purlin_behaviours::{CALL_TIMEOUT, Request};
use purlin_runtime::{AliasMode, Destination, Message, MonitorOptions, Process, Raw, Target};
use purlin_term::{Atom, EncodedTerm, NodeName, Reference, Term, atom};
use serde::Serialize;
use tokio::time;

use super::RemoteError;
use crate::connection::SendError;
use crate::node::Node;
use crate::process::{Delivery, Mailbox};

impl Node {
    /// `gen_server:call`: sends a request and waits for its reply, which has the type that the request says;
    /// for five seconds.
    ///
    /// # Errors
    /// [`CallError`](purlin_behaviours::CallError): see there what each case says about whether the call
    /// took place.
    pub async fn call<R: Request>(
        &self,
        to: impl Into<Target>,
        request: R,
    ) -> Result<R::Reply, purlin_behaviours::CallError> {
        self.call_timeout(to, request, CALL_TIMEOUT).await
    }

    /// As [`Node::call`], waiting no longer than `timeout`.
    ///
    /// # Errors
    /// [`CallError`](purlin_behaviours::CallError): see there what each case says about whether the call
    /// took place.
    pub async fn call_timeout<R: Request>(
        &self,
        to: impl Into<Target>,
        request: R,
        timeout: Duration,
    ) -> Result<R::Reply, purlin_behaviours::CallError> {
        purlin_behaviours::call(self.runtime(), to, &request, timeout).await
    }

    /// `gen_server:call/2` of what has no type here: sends a request and waits for its reply, for five seconds.
    /// [`Node::call`] knows both by their types.
    ///
    /// # Errors
    /// [`RemoteError`]: see there what each case says about whether the call took place.
    ///
    /// ```no_run
    /// # async fn example(node: purlin_node::Node, peer: purlin_node::NodeName) -> Result<(), purlin_node::RemoteError> {
    /// use purlin_node::atom;
    /// let value = node.call_term(("counter", peer), &(atom!("add"), 2)).await?;
    /// println!("{value}");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn call_term(
        &self,
        to: impl Into<Target>,
        request: &(impl Serialize + Sync + ?Sized),
    ) -> Result<Term, RemoteError> {
        self.call_term_timeout(to, request, CALL_TIMEOUT).await
    }

    /// As [`Node::call_term`], waiting no longer than `timeout`.
    ///
    /// # Errors
    /// [`RemoteError`]: see there what each case says about whether the call took place.
    pub async fn call_term_timeout(
        &self,
        to: impl Into<Target>,
        request: &(impl Serialize + Sync + ?Sized),
        timeout: Duration,
    ) -> Result<Term, RemoteError> {
        let asked = time::timeout(timeout, self.ask(to.into(), request)).await;
        asked.unwrap_or(Err(RemoteError::TimedOut(timeout)))
    }

    async fn ask(
        &self,
        to: Target,
        request: &(impl Serialize + Sync + ?Sized),
    ) -> Result<Term, RemoteError> {
        if to.node() != self.name() {
            self.connect(to.node()).await?;
        }
        let mut mailbox = self.attach()?;
        // The process ends with this call, and its monitor and alias with it.
        let options = MonitorOptions {
            alias: Some(AliasMode::ReplyDemonitor),
            ..MonitorOptions::default()
        };
        let reference = mailbox.monitor_with(to.clone(), options);
        let tag = Term::list_with_tail([atom!("alias").into()], reference.into());
        let from = (mailbox.pid(), &tag);
        let call = EncodedTerm::serialize(&(atom!("$gen_call"), from, request));
        let call = call.map_err(SendError::from)?;
        self.send_for(&mailbox, to.clone().into(), call).await?;
        wait_for_reply(&mut mailbox, &tag, reference, to.node()).await
    }

    /// `gen_server:cast`, in nobody's name: sends a request that has no reply. Waits while the road is full, and
    /// not for a connection: to a node that is not connected the cast waits with the connection to come, and is
    /// gone if there is none to be had.
    ///
    /// All casts of a node's that were awaited in turn arrive in that order.
    ///
    /// # Errors
    /// [`SendError`]: it was not sent. Whether a cast that was sent arrives is unknown.
    pub async fn cast(
        &self,
        to: impl Into<Destination>,
        request: &(impl Serialize + Sync + ?Sized),
    ) -> Result<(), SendError> {
        let (to, cast) = (to.into(), encode_cast(request)?);
        if to.node() == self.name() {
            return Ok(self.runtime().send(to, Raw(cast)).await?);
        }
        self.cast_outside(self.runtime().nobody(), to, cast).await
    }

    /// Sends for a process of this node, connecting if need be, waiting while the road is full.
    pub(crate) async fn send_for<M: Message>(
        &self,
        process: &Process<M>,
        to: Destination,
        message: EncodedTerm,
    ) -> Result<(), SendError> {
        if to.node() == self.name() {
            return Ok(process.send(to, Raw(message)).await?);
        }
        self.send_outside(process.pid(), to, message).await
    }

    /// As [`Node::send_for`], not waiting for a connection.
    async fn cast_for<M: Message>(
        &self,
        process: &Process<M>,
        to: Destination,
        message: EncodedTerm,
    ) -> Result<(), SendError> {
        if to.node() == self.name() {
            return Ok(process.send(to, Raw(message)).await?);
        }
        self.cast_outside(process.pid(), to, message).await
    }
}

impl Mailbox {
    /// `gen_server:cast`: sends a request that has no reply. Waits while the road is full, and not for a
    /// connection, as [`Node::cast`].
    ///
    /// # Errors
    /// [`SendError`]: it was not sent. Whether a cast that was sent arrives is unknown.
    pub async fn cast(
        &self,
        to: impl Into<Destination>,
        request: &(impl Serialize + Sync + ?Sized),
    ) -> Result<(), SendError> {
        let cast = encode_cast(request)?;
        self.node().cast_for(self, to.into(), cast).await
    }
}

/// `{'$gen_cast', Request}`.
fn encode_cast(request: &(impl Serialize + Sync + ?Sized)) -> Result<EncodedTerm, SendError> {
    Ok(EncodedTerm::serialize(&(atom!("$gen_cast"), request))?)
}

async fn wait_for_reply(
    mailbox: &mut Mailbox,
    tag: &Term,
    monitor: Reference,
    node: NodeName,
) -> Result<Term, RemoteError> {
    loop {
        match mailbox.receive().await {
            Delivery::Message(message) => {
                let message = message.to_term();
                let message = message.map_err(|error| RemoteError::Malformed(error.to_string()))?;
                match message.as_tuple() {
                    Some([answered, reply]) if answered == tag => return Ok(reply.clone()),
                    // The mailbox is known to nobody but the one asked: a stray message.
                    _ => continue,
                }
            }
            Delivery::Down {
                reference, reason, ..
            } if reference == monitor => {
                return Err(match reason.as_atom().map(Atom::as_str) {
                    Some("noproc") => RemoteError::NoProcess,
                    Some("noconnection") => RemoteError::Disconnected(node),
                    _ => RemoteError::Ended(reason),
                });
            }
            _ => {}
        }
    }
}

//! The right, and the duty, to answer one call.
//!
//! A call through a [`ServerRef`](crate::ServerRef) on the same node is answered without the codec; any
//! other by a message, in the name of the server. A reply has nothing dialled: whoever waits for it is connected,
//! or is nobody. It never waits for a mailbox, and for the road to another node only in [`ReplyTo::reply`].

use purlin_runtime::{Message, Process, Runtime, SendError};
use purlin_term::{EncodedTerm, Pid, Term};
use tokio::sync::oneshot;

use crate::envelope::Caller;
use crate::slot::Answer;

/// Who waits for the reply to a call: OTP's `From`.
///
/// A server that cannot answer yet keeps it and answers later, from anywhere: `gen_server:reply`. Dropped
/// without an answer it ends the call of a [`ServerRef`](crate::ServerRef) with
/// [`CallError::NoReply`](crate::CallError); a caller elsewhere waits on until its timeout ends, as in OTP.
#[must_use = "the caller waits for a reply"]
pub struct ReplyTo<T>(Road<T>);

enum Road<T> {
    /// To a call.
    Here(Answer<T>),
    /// To a request whose reply is waited for later.
    Later(oneshot::Sender<T>),
    There(Box<There>),
}

struct There {
    caller: Caller,
    /// The server that answers.
    by: Option<(Runtime, Pid)>,
}

impl<T> ReplyTo<T> {
    pub(crate) fn here(answer: Answer<T>) -> Self {
        Self(Road::Here(answer))
    }

    pub(crate) fn later(sender: oneshot::Sender<T>) -> Self {
        Self(Road::Later(sender))
    }

    pub(crate) fn remote(caller: Caller) -> Self {
        Self(Road::There(Box::new(There { caller, by: None })))
    }

    /// The server that has taken it out of its queue is the one that answers.
    pub(crate) fn answered_by<M: Message>(mut self, process: &Process<M>) -> Self {
        if let Road::There(there) = &mut self.0 {
            there.by = Some((process.runtime().clone(), process.pid()));
        }
        self
    }

    /// As [`ReplyTo::answered_by`], without the process at hand.
    pub(crate) fn remote_by(caller: Caller, by: (Runtime, Pid)) -> Self {
        let by = Some(by);
        Self(Road::There(Box::new(There { caller, by })))
    }

    /// Who waits, if it asked by a message.
    pub(crate) fn caller(&self) -> Option<&Caller> {
        match &self.0 {
            Road::Here(_) | Road::Later(_) => None,
            Road::There(there) => Some(&there.caller),
        }
    }

    /// Whether nobody waits any more, as far as this node knows: only a caller by
    /// [`ServerRef`](crate::ServerRef) is known to have given up.
    pub fn is_abandoned(&self) -> bool {
        match &self.0 {
            Road::Here(answer) => answer.is_abandoned(),
            Road::Later(sender) => sender.is_closed(),
            Road::There(_) => false,
        }
    }

    /// The process that waits, where it is known: a caller by [`ServerRef`](crate::ServerRef) is not.
    pub fn pid(&self) -> Option<Pid> {
        match &self.0 {
            Road::Here(_) | Road::Later(_) => None,
            Road::There(there) => Some(there.caller.pid),
        }
    }
}

impl<T> ReplyTo<T> {
    /// Answers a caller of this node; one that asks by messages gets nothing.
    #[inline]
    pub(crate) fn reply_here(self, reply: T) {
        match self.0 {
            Road::Here(answer) => answer.give(reply),
            // Whoever asked may have given up.
            Road::Later(sender) => drop(sender.send(reply)),
            Road::There(_) => {}
        }
    }
}

impl<T: Message> ReplyTo<T> {
    /// Answers a caller of this node; one that asks by messages is still to be answered.
    #[inline]
    pub(crate) fn try_reply_here(self, reply: T) -> Result<(), (Self, T)> {
        match self.0 {
            there @ Road::There(_) => Err((Self(there), reply)),
            here => {
                Self(here).reply_here(reply);
                Ok(())
            }
        }
    }

    /// Answers, waiting while the road to another node is full. Nobody is told where the reply reaches
    /// nobody: the caller has given up then, or is lost, or its node is not connected any more.
    pub async fn reply(self, reply: T) {
        let there = match self.0 {
            Road::There(there) => there,
            here => return Self(here).reply_here(reply),
        };
        match reply.encode() {
            Ok(reply) => there.send(&reply).await,
            Err(error) => {
                tracing::error!(to = %there.caller.pid, %error, "a reply has no encoding")
            }
        }
    }
}

impl There {
    async fn send(self, reply: &EncodedTerm) {
        let Some((runtime, pid)) = self.by else {
            return;
        };
        if let Err(error) = send_reply(&runtime, pid, &self.caller, reply).await {
            tracing::debug!(to = %self.caller.pid, %error, "a reply was not sent");
        }
    }
}

/// `{Tag, Reply}`.
pub(crate) fn reply_message(
    caller: &Caller,
    reply: &EncodedTerm,
) -> Result<EncodedTerm, SendError> {
    let encoded = |error: &dyn std::fmt::Display| SendError::Encode(error.to_string());
    let tag = EncodedTerm::encode(&caller.tag).map_err(|error| encoded(&error))?;
    let message = EncodedTerm::tuple([tag.view(), reply.view()]);
    message.map_err(|error| encoded(&error))
}

/// Sends `{Tag, Reply}` to who waits for it, in the name of `from`. Anybody can name a node that is not
/// there as the one that waits: it is not dialled.
pub(crate) async fn send_reply(
    runtime: &Runtime,
    from: Pid,
    caller: &Caller,
    reply: &EncodedTerm,
) -> Result<(), SendError> {
    let (to, message) = (caller.reply_to(), reply_message(caller, reply)?);
    if to.node() != runtime.node() {
        match runtime.try_send_encoded(from, to.clone(), message.clone()) {
            Err(SendError::Busy(_)) => {}
            sent => return sent,
        }
    }
    runtime.send_encoded(from, to, message).await
}

/// As [`send_reply`], for terms that are known.
pub(crate) async fn send_term(runtime: &Runtime, from: Pid, caller: &Caller, reply: &Term) {
    let sent = match EncodedTerm::encode(reply) {
        Ok(reply) => send_reply(runtime, from, caller, &reply).await,
        Err(error) => Err(SendError::Encode(error.to_string())),
    };
    if let Err(error) = sent {
        tracing::debug!(to = %caller.pid, %error, "a reply was not sent");
    }
}

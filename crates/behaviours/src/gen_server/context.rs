//! What a handler has of its process.

use std::collections::VecDeque;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use purlin_otp::reason::Reason;
use purlin_runtime::{Address, BoxFuture, Message, Process, SendError, Target, TimerRef};
use purlin_term::{Pid, Term};
use tokio::time::Instant;

use super::{GenServer, ServerMessage};
use crate::answers::Answers;
use crate::bounded::Bounded;
use crate::by;
use crate::call::{CALL_TIMEOUT, CallError, call_from, cast_from};
use crate::envelope::Caller;
use crate::messages::{Has, Messages};
use crate::request::Request;
use crate::server_ref::ServerRef;
use crate::sys::Debug;

/// The process of a server, as its handlers see it: it derefs to [`Process`], with its links, monitors
/// and names, and has the verbs of a server besides.
pub struct Context<S: GenServer> {
    pub(crate) process: Process<ServerMessage<S>>,
    pub(super) parent: Option<Pid>,
    /// Never locked: handlers lend their context to others by reference, so it has to be `Sync`, which a
    /// message need not be.
    continues: Mutex<VecDeque<<S::Messages as Messages<S>>::Any>>,
    pub(super) timeout: Option<Duration>,
    pub(super) deadline: Option<Instant>,
    defers_suspension: bool,
    pub(super) stopping: Option<Reason>,
    /// The reply to the call whose handler stopped the server. Never locked, as `continues`.
    last_reply: Mutex<Option<BoxFuture<'static, ()>>>,
    pub(crate) debug: Debug,
    answers: Answers,
    unhandled: u64,
}

impl<S: GenServer> Context<S> {
    pub(super) fn new(process: Process<ServerMessage<S>>, parent: Option<Pid>) -> Self {
        Self {
            process,
            parent,
            continues: Mutex::default(),
            timeout: None,
            deadline: None,
            defers_suspension: false,
            stopping: None,
            last_reply: Mutex::default(),
            debug: Debug::default(),
            answers: Answers::default(),
            unhandled: 0,
        }
    }

    /// The process that started the server and is linked to it, if one did.
    pub fn parent(&self) -> Option<Pid> {
        self.parent
    }

    /// Whose exit signals end the server, also if it traps them. One that no process started is ended by code
    /// that is none.
    pub(super) fn parent_or_nobody(&self) -> Pid {
        self.parent
            .unwrap_or_else(|| self.process.runtime().nobody())
    }

    /// The server as others know it.
    pub fn server(&self) -> ServerRef<S> {
        ServerRef::here(self.process.address(), self.process.runtime().clone())
    }

    /// The typed address of the process.
    pub fn address(&self) -> Address<ServerMessage<S>> {
        self.process.address()
    }

    /// The server ends with this reason when the handler is done, after [`GenServer::terminate`]. What the handler
    /// of a call returns is the reply all the same, and goes when `terminate` has run: `{stop, Reason, Reply, State}`.
    pub fn stop(&mut self, reason: impl Into<Term>) {
        self.stopping.get_or_insert(Reason::new(reason.into()));
    }

    /// When the handler is done, and no message comes for so long, [`GenServer::handle_timeout`] is called,
    /// once. Whatever message comes first, it is not.
    pub fn set_timeout(&mut self, after: Duration) {
        self.timeout = Some(after);
    }

    /// When the handler is done, the server goes on with this, before any message: `{continue, _}`.
    pub fn continue_with<M: Send + 'static, Place>(&mut self, message: M)
    where
        S::Messages: Has<S, by::Continue<M>, Place>,
    {
        self.continues().push_back(S::Messages::wrap(message));
    }

    /// Sends the server a plain message after a while: `erlang:send_after(Time, self(), Message)`.
    pub fn send_after<M: Message, Place>(&self, after: Duration, message: M) -> TimerRef
    where
        S::Messages: Has<S, by::Info<M>, Place>,
    {
        let message = ServerMessage::own(S::Messages::wrap(message));
        let to = self.process.address();
        self.process.runtime().send_after(after, to, message)
    }

    /// Asks a process and waits for its reply, for [`CALL_TIMEOUT`]: `gen_server:call/2`. Messages to this
    /// server wait meanwhile. A [`ServerRef`] is asked by its own `call`.
    ///
    /// # Errors
    /// [`CallError`]: see there what each case says about whether the request was carried out.
    pub async fn call<R: Request>(
        &self,
        to: impl Into<Target>,
        request: R,
    ) -> Result<R::Reply, CallError> {
        self.call_timeout(to, request, CALL_TIMEOUT).await
    }

    /// As [`Context::call`], waiting for the reply no longer than `timeout`.
    ///
    /// # Errors
    /// [`CallError`]: see there what each case says about whether the request was carried out.
    pub async fn call_timeout<R: Request>(
        &self,
        to: impl Into<Target>,
        request: R,
        timeout: Duration,
    ) -> Result<R::Reply, CallError> {
        call_from(&self.process, to, &request, timeout).await
    }

    /// Sends a request that has no reply: `gen_server:cast`.
    ///
    /// # Errors
    /// [`SendError`]: it was not sent.
    pub async fn cast<M: Message>(
        &self,
        to: impl Into<Target>,
        message: M,
    ) -> Result<(), SendError> {
        cast_from(&self.process, to.into(), &message).await
    }

    /// The server goes on with this, before any message.
    pub(crate) fn go_on_with(&mut self, message: <S::Messages as Messages<S>>::Any) {
        self.continues().push_back(message);
    }

    /// Answers who asked by a message, without waiting.
    pub(crate) fn answer(&mut self, caller: &Caller, reply: &Term) {
        self.answers.give(&self.process, caller, reply);
    }

    /// Whether a handler has stopped the server.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    /// Whoever asked is answered when [`GenServer::terminate`] has run.
    pub(super) fn reply_at_end(&mut self, reply: BoxFuture<'static, ()>) {
        self.last_reply = Mutex::new(Some(reply));
    }

    pub(super) async fn give_last_reply(&mut self) {
        let last = self.last_reply.get_mut();
        if let Some(reply) = last.unwrap_or_else(PoisonError::into_inner).take() {
            reply.await;
        }
    }

    fn continues(&mut self) -> &mut VecDeque<<S::Messages as Messages<S>>::Any> {
        self.continues
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What a handler left to be done first.
    pub(super) fn next_continue(&mut self) -> Option<<S::Messages as Messages<S>>::Any> {
        self.continues().pop_front()
    }

    /// [`GenServer::handle_timeout`] is called when this time is over, before any message; and again and again,
    /// so it has to say anew when it is to be called. Unlike a timeout, no message takes it away.
    pub(crate) fn set_deadline(&mut self, at: Option<Instant>) {
        self.deadline = at;
    }

    /// Whether the server goes on though `sys` has suspended it, until this is said anew.
    pub(crate) fn defer_suspension(&mut self, defers: bool) {
        self.defers_suspension = defers;
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.debug.is_suspended() && !self.defers_suspension
    }

    /// Whether the server just takes the next message: nothing is to be timed, noted or held back.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.timeout.is_none()
            && self.deadline.is_none()
            && !self.debug.is_suspended()
            && !self.debug.is_on()
    }

    /// A message that nobody handles: counted, and told the first time.
    pub(crate) fn unhandled(&mut self, message: &dyn fmt::Display) {
        self.unhandled += 1;
        if self.unhandled == 1 {
            let (pid, server) = (self.process.pid(), std::any::type_name::<S>());
            let message = Bounded(message);
            tracing::warn!(%pid, server, "a server does not handle a message: {message}");
        }
    }
}

impl<S: GenServer> Deref for Context<S> {
    type Target = Process<ServerMessage<S>>;

    fn deref(&self) -> &Self::Target {
        &self.process
    }
}

impl<S: GenServer> DerefMut for Context<S> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.process
    }
}

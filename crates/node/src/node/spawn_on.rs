//! Starting functions of other nodes as processes: `spawn_request`, as the one who asks.
//!
//! [`Node::spawn_request`] is the one road: it asks in the name of any process, and that process
//! receives the reply ([`Relations::spawn_request`](purlin_otp::relations::Relations::spawn_request)
//! says what follows from it). Calls of functions (`client/erpc.rs`) and the verbs that wait for the pid
//! go by it. A request to this node itself is carried out as one of a peer is (`spawned`).
//!
//! Source: `erlang:spawn_request/5`, `spawn/4`; ERTS, *Distribution Protocol*, `SPAWN_REQUEST`.
//! Deviation: why there is no connection is answered at once, as an error, and not as a reply.
//!
//! Invariant `S1`: a request that was noted is sent, or its reply is delivered here: also when whoever
//! asks is dropped while the road is full.

use purlin_otp::relations::SpawnOptions as RequestOptions;
use purlin_otp::signal::{Epoch, Signal};
use purlin_proto::control::EncodeSignalError;
use purlin_proto::flags::Flags;
use purlin_proto::signal::{Signal as Wire, SpawnRequest};
use purlin_runtime::{Message, Process, TooManyProcesses};
use purlin_term::{Atom, EncodedTerm, NodeName, Pid, Reference, Term, atom};

use super::{Node, encoded};
use crate::client::{Arguments, ListOf};
use crate::connection::{ConnectError, Connection, SendError};
use crate::process::{Delivery, Mailbox};

/// Why a process was not started on another node.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnOnError {
    /// There is no connection to the node; nothing was asked.
    #[error(transparent)]
    NotConnected(#[from] ConnectError),
    /// A process asks, and there may be no more; nothing was asked.
    #[error(transparent)]
    TooManyProcesses(#[from] TooManyProcesses),
    /// The request could not be sent; nothing was asked.
    #[error("the request could not be sent: {0}")]
    NotSent(SendError),
    /// The connection ended before the reply came. Whether the process was started is unknown.
    #[error(
        "the connection to {0} ended before it answered; whether the process was started is unknown"
    )]
    Disconnected(NodeName),
    /// The node started no process, and says why: `notsup`, `system_limit`, ...
    #[error("the node refused to start the process: {0}")]
    Refused(Atom),
}

impl From<SendError> for SpawnOnError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::NotConnected(error) => Self::NotConnected(error),
            SendError::TooManyProcesses(error) => Self::TooManyProcesses(error),
            other => Self::NotSent(other),
        }
    }
}

/// A function and its arguments, encoded.
pub(crate) struct Start {
    module: Atom,
    function: Atom,
    arity: u32,
    arguments: EncodedTerm,
}

impl Start {
    pub(crate) fn new(
        module: impl Into<Atom>,
        function: impl Into<Atom>,
        args: &impl Arguments,
    ) -> Result<Self, SendError> {
        let arguments = match args.arity() {
            0 => EncodedTerm::nil(),
            _ => EncodedTerm::serialize(&ListOf(args))?,
        };
        Ok(Self {
            module: module.into(),
            function: function.into(),
            // A list that is longer has no encoding.
            arity: u32::try_from(args.arity()).unwrap_or(u32::MAX),
            arguments,
        })
    }

    fn request(
        self,
        id: Reference,
        from: Pid,
        group_leader: Pid,
        options: EncodedTerm,
    ) -> SpawnRequest {
        SpawnRequest {
            id,
            from,
            group_leader,
            module: self.module,
            function: self.function,
            arity: self.arity,
            options,
            arguments: self.arguments,
            token: None,
        }
    }
}

/// What the peer has to know of the options of a request, encoded: the rest is the asking process's.
pub(super) struct StartOptions {
    none: EncodedTerm,
    link: EncodedTerm,
    monitor: EncodedTerm,
    both: EncodedTerm,
}

impl Default for StartOptions {
    fn default() -> Self {
        let (link, monitor) = (Term::from(atom!("link")), Term::from(atom!("monitor")));
        Self {
            none: encoded(&Term::nil()),
            link: encoded(&Term::list([link.clone()])),
            monitor: encoded(&Term::list([monitor.clone()])),
            both: encoded(&Term::list([link, monitor])),
        }
    }
}

impl StartOptions {
    fn of(&self, options: &RequestOptions) -> EncodedTerm {
        let encoded = match (options.link, options.monitor.is_some()) {
            (false, false) => &self.none,
            (true, false) => &self.link,
            (false, true) => &self.monitor,
            (true, true) => &self.both,
        };
        encoded.clone()
    }
}

impl Node {
    /// Starts `module:function` with `args` as a process of `peer` and answers its pid: `spawn/4`.
    ///
    /// Dropped before it is ready, it may have started the process. A process that is to be linked or
    /// monitored is started by one: [`Mailbox::spawn_on`], or [`Node::spawn_request`].
    ///
    /// # Errors
    /// [`SpawnOnError`]: see there what each case says about whether the process was started. That there
    /// is no such function is none: the process then ends with `undef`, as in OTP.
    ///
    /// ```no_run
    /// # async fn example(node: purlin_node::Node, peer: purlin_node::NodeName) -> Result<(), purlin_node::SpawnOnError> {
    /// let pid = node.spawn_on(peer, "timer", "sleep", (1000,)).await?;
    /// println!("{pid} sleeps");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn spawn_on(
        &self,
        peer: impl Into<NodeName>,
        module: impl Into<Atom>,
        function: impl Into<Atom>,
        args: impl Arguments,
    ) -> Result<Pid, SpawnOnError> {
        let peer = peer.into();
        let start = Start::new(module, function, &args)?;
        let mut mailbox = self.attach().map_err(SpawnOnError::from)?;
        let started = mailbox.start_on(peer, start, RequestOptions::default());
        started.await.map(|(pid, _)| pid)
    }

    /// Asks `peer`, in the name of `process`, to start `module:function` with `args` as a process:
    /// `spawn_request/5`. `process` receives the reply, as `Info::Spawned` or `Info::SpawnFailed` with the
    /// reference that this answers, as far as the options say. It is linked to the new process, and
    /// monitors it by that reference, from the reply on; its group leader is that of the new one.
    ///
    /// Cancel-safe: dropped before it is ready, it has asked for nothing.
    ///
    /// # Errors
    /// [`SendError`]: nothing was asked, and there will be no reply. Once there is a connection all else
    /// is told by the reply: `noconnection` when that ends, `notsup` from a peer that starts no processes
    /// for others.
    pub async fn spawn_request<M: Message>(
        &self,
        process: &Process<M>,
        peer: impl Into<NodeName>,
        module: impl Into<Atom>,
        function: impl Into<Atom>,
        args: impl Arguments,
        options: RequestOptions,
    ) -> Result<Reference, SendError> {
        let peer = peer.into();
        let start = Start::new(module, function, &args)?;
        self.request_start(process, peer, start, options).await
    }

    /// As [`Node::spawn_request`].
    pub(crate) async fn request_start<M: Message>(
        &self,
        process: &Process<M>,
        peer: NodeName,
        start: Start,
        options: RequestOptions,
    ) -> Result<Reference, SendError> {
        let (pid, leader) = (process.pid(), process.group_leader());
        let told = self.0.start_options.of(&options);
        if peer == self.name() {
            let (id, _) = process.note_spawn_request(peer, options);
            self.spawn_for_one_here(start.request(id, pid, leader, told));
            return Ok(id);
        }
        let connection = self.connect(peer).await?;
        let (id, epoch) = process.note_spawn_request(peer, options);
        let unsent = Unsent {
            node: self,
            process,
            peer,
            id,
            epoch,
        };
        let is_noted = connection.ties.note(pid, |pid| self.is_process_alive(pid));
        // A reply that comes from another connection than the noted one would not be believed.
        if !is_noted || epoch != connection.epoch() {
            unsent.refuse(atom!("noconnection"));
            return Ok(id);
        }
        let request = start.request(id, pid, leader, told);
        unsent.send(&connection, request).await?;
        Ok(id)
    }
}

/// A request that was noted and not sent (`S1`).
struct Unsent<'a, M: Message> {
    node: &'a Node,
    process: &'a Process<M>,
    peer: NodeName,
    id: Reference,
    epoch: Epoch,
}

impl<M: Message> Unsent<'_, M> {
    async fn send(self, connection: &Connection, request: SpawnRequest) -> Result<(), SendError> {
        let request = Wire::SpawnRequest(Box::new(request));
        match connection.send(self.process.pid(), &request).await {
            Ok(()) => self.disarm(),
            // Who was noted with it is told of its end.
            Err(SendError::Disconnected(_)) => self.disarm(),
            Err(SendError::Signal(EncodeSignalError::NotSupported(Flags::SPAWN))) => {
                self.refuse(atom!("notsup"));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn disarm(self) {
        std::mem::forget(self);
    }

    /// The reply, in the place of the peer.
    fn refuse(self, reason: Atom) {
        self.answer(reason);
        self.disarm();
    }

    fn answer(&self, reason: Atom) {
        let failed = Signal::SpawnFailed {
            reference: self.id,
            node: self.peer,
            reason,
        };
        let runtime = self.node.runtime();
        runtime.deliver_signal(self.process.pid().into(), failed, self.epoch);
    }
}

/// Whoever asked does not wait for a reply any more.
impl<M: Message> Drop for Unsent<'_, M> {
    fn drop(&mut self) {
        self.process.spawn_request_abandon(self.id);
        self.answer(atom!("noconnection"));
    }
}

impl Mailbox {
    /// As [`Node::spawn_request`], in the name of this process; the reply is received as
    /// [`Delivery::Spawned`] or [`Delivery::SpawnFailed`].
    ///
    /// # Errors
    /// [`SendError`]: nothing was asked, and there will be no reply.
    pub async fn spawn_request(
        &self,
        peer: impl Into<NodeName>,
        module: impl Into<Atom>,
        function: impl Into<Atom>,
        args: impl Arguments,
        options: RequestOptions,
    ) -> Result<Reference, SendError> {
        let peer = peer.into();
        let start = Start::new(module, function, &args)?;
        self.node().request_start(self, peer, start, options).await
    }

    /// Starts a process on `peer` and waits for its pid: `spawn_opt/5`, and by the options
    /// `spawn_link/4` and `spawn_monitor/4`. Answers the reference of the monitor too, where one is asked
    /// for. What else arrives meanwhile stays in the mailbox.
    ///
    /// Dropped before it is ready, it may have started the process, and the reply will be received.
    ///
    /// # Errors
    /// [`SpawnOnError`]: see there what each case says about whether the process was started.
    pub async fn spawn_on(
        &mut self,
        peer: impl Into<NodeName>,
        module: impl Into<Atom>,
        function: impl Into<Atom>,
        args: impl Arguments,
        options: RequestOptions,
    ) -> Result<(Pid, Reference), SpawnOnError> {
        let peer = peer.into();
        let start = Start::new(module, function, &args)?;
        self.start_on(peer, start, options).await
    }

    async fn start_on(
        &mut self,
        peer: NodeName,
        start: Start,
        options: RequestOptions,
    ) -> Result<(Pid, Reference), SpawnOnError> {
        // What is waited for comes in any case.
        let options = RequestOptions {
            reply_on_success: true,
            reply_on_error: true,
            ..options
        };
        let node = self.node().clone();
        let id = node.request_start(self, peer, start, options).await?;
        match self.receive_spawn_reply(id).await {
            Delivery::Spawned { pid, .. } => Ok((pid, id)),
            Delivery::SpawnFailed { reason, .. } if reason == *"noconnection" => {
                Err(SpawnOnError::Disconnected(peer))
            }
            Delivery::SpawnFailed { reason, .. } => Err(SpawnOnError::Refused(reason)),
            other => unreachable!("only the reply is picked: {other:?}"),
        }
    }
}

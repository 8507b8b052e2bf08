//! What programs do with processes of this node: start them, name them, send for them.

use purlin_proto::control::EncodeSignalError;
use purlin_proto::flags::Flags;
use purlin_runtime::{
    IntoExit, Message, Process, ProcessInfo, Raw, RegisterError, SpawnError, SpawnOptions,
    TooManyProcesses,
};
use purlin_term::{Atom, EncodedTerm, Pid, Reference, Term};
use tokio::time::timeout;

use super::Node;
use super::outside::{message_signal, recipient};
use crate::connection::SendError;
use crate::limits::PROCESS_INFO_PATIENCE;
use crate::process::{Caller, Destination, Mailbox, encode_reply};

impl Node {
    /// Starts a process that runs `body` and ends with the reason that it answers.
    ///
    /// For processes whose messages are Rust types, see [`Node::runtime`].
    ///
    /// # Errors
    /// [`TooManyProcesses`], also when the node is stopping; nothing was started.
    ///
    /// ```no_run
    /// # async fn example(node: purlin_node::Node) -> Result<(), purlin_node::TooManyProcesses> {
    /// use purlin_node::{Delivery, Mailbox};
    /// let pid = node.spawn(|mut mailbox: Mailbox| async move {
    ///     if let Delivery::Message(message) = mailbox.receive().await {
    ///         println!("{message:?}");
    ///     }
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn<B, F>(&self, body: B) -> Result<Pid, TooManyProcesses>
    where
        B: FnOnce(Mailbox) -> F + Send + 'static,
        F: Future<Output: IntoExit> + Send + 'static,
    {
        let node = self.clone();
        let address = self
            .runtime()
            .spawn(|process| body(Mailbox::of_body(node, process)))?;
        Ok(address.pid())
    }

    /// As [`Node::spawn`], with a group leader.
    pub(crate) fn spawn_with_leader<B, F>(&self, leader: Pid, body: B) -> Result<Pid, SpawnError>
    where
        B: FnOnce(Mailbox) -> F + Send + 'static,
        F: Future<Output: IntoExit> + Send + 'static,
    {
        let node = self.clone();
        let options = SpawnOptions::default().group_leader(leader);
        let address = self
            .runtime()
            .spawn_with(options, |process| body(Mailbox::of_body(node, process)))?;
        Ok(address.pid())
    }

    /// A process for code that is not one: it has a pid and a mailbox, and ends when that is
    /// dropped. Signals act when it receives, or is asked for its `process_info`.
    ///
    /// # Errors
    /// [`TooManyProcesses`], also when the node is stopping.
    #[track_caller]
    pub fn attach(&self) -> Result<Mailbox, TooManyProcesses> {
        let attached = self.runtime().attach()?;
        Ok(Mailbox::attached(self.clone(), attached))
    }

    /// Gives a process of this node a name.
    ///
    /// # Errors
    /// [`RegisterError`]; nothing was changed.
    pub fn register(&self, name: impl Into<Atom>, pid: Pid) -> Result<(), RegisterError> {
        self.runtime().register(name, pid)
    }

    /// The process that has a name.
    pub fn whereis(&self, name: impl Into<Atom>) -> Option<Pid> {
        let name = name.into();
        let holder = self.runtime().whereis(&name);
        #[cfg(feature = "planted-bugs")]
        let holder = self
            .0
            .kept_names
            .lead(self.0.config.planted_bug, &name, holder);
        holder
    }

    /// All registered names, sorted.
    pub fn registered(&self) -> Vec<Atom> {
        self.runtime().registered()
    }

    /// All processes of this node.
    pub fn processes(&self) -> Vec<Pid> {
        self.runtime().processes()
    }

    /// True if `pid` is a live process of this incarnation of this node.
    pub fn is_process_alive(&self, pid: Pid) -> bool {
        self.runtime().is_process_alive(pid)
    }

    /// What a process says about itself; `None` if it has ended, or does not come to an await in time.
    pub(crate) async fn process_info(&self, pid: Pid) -> Option<ProcessInfo> {
        let asked = timeout(PROCESS_INFO_PATIENCE, self.runtime().process_info(pid)).await;
        asked.ok().flatten()
    }

    /// Sends an exit signal to a process, as `exit/2` does, in nobody's name. By a name or an alias it
    /// reaches a node of OTP 28 or later, and is dropped before an older one.
    pub fn exit(&self, to: impl Into<Destination>, reason: impl Into<Term>) {
        self.runtime().exit(to, reason);
    }

    /// Makes a new reference.
    pub fn make_reference(&self) -> Reference {
        self.runtime().make_reference()
    }

    /// Sends a message to another node for `from`, connecting if need be, waiting while the road is full.
    pub(crate) async fn send_outside(
        &self,
        from: Pid,
        to: Destination,
        message: EncodedTerm,
    ) -> Result<(), SendError> {
        let connection = self.connect(to.node()).await?;
        let signal = message_signal(from, recipient(to), message);
        connection.send(from, &signal).await
    }

    /// Sends a message at once, to nodes that are connected; to others it is dropped. Never waits:
    /// a peer that does not read loses its connection.
    pub(crate) fn push_message(&self, from: Pid, to: Destination, message: &Term) {
        if let Ok(message) = EncodedTerm::encode(message) {
            let _ = self.push_encoded(from, to, message);
        }
    }

    fn push_encoded(
        &self,
        from: Pid,
        to: Destination,
        message: EncodedTerm,
    ) -> Result<(), SendError> {
        if to.node() == self.name() {
            // A full mailbox refuses it, which is as good as lost on the way.
            return Ok(self.runtime().try_send(to, Raw(message))?);
        }
        let connection = self.state().peers.get(to.node());
        let connection = connection.ok_or(SendError::Disconnected(to.node()))?;
        connection.push(from, &message_signal(from, recipient(to), message))
    }

    /// Sends a reply at once, as [`Node::push_message`] does.
    pub(crate) fn push_reply(&self, from: Pid, caller: &Caller, message: EncodedTerm) {
        let pushed = self.push_encoded(from, caller.reply_to(), message.clone());
        if takes_no_aliases(&pushed) {
            let _ = self.push_encoded(from, caller.pid.into(), message);
        }
    }

    /// Answers a call in the name of `process`, which received it: `gen_server:reply`. Connects if need
    /// be, and waits while the road is full.
    ///
    /// # Errors
    /// [`SendError`] when the reply cannot be sent.
    pub async fn reply<M: Message>(
        &self,
        process: &Process<M>,
        caller: &Caller,
        reply: &Term,
    ) -> Result<(), SendError> {
        let message = encode_reply(caller, reply)?;
        let sent = self.send_for(process, caller.reply_to(), message.clone());
        let sent = sent.await;
        if takes_no_aliases(&sent) {
            return self.send_for(process, caller.pid.into(), message).await;
        }
        sent
    }
}

/// Whether a message was not sent since it goes to an alias and the peer knows none. A peer like that is
/// no OTP node of a release that is still in use; its processes take replies all the same.
fn takes_no_aliases(sent: &Result<(), SendError>) -> bool {
    matches!(
        sent,
        Err(SendError::Signal(EncodeSignalError::NotSupported(
            Flags::ALIAS
        )))
    )
}

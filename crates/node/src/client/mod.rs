//! Asking other nodes: ping, `gen_server` calls, and remote function calls.
//!
//! Each question is asked by a process of its own, whose mailbox nobody else knows: an answer that
//! comes too late finds it gone. A timeout says that the outcome is unknown; the question may have
//! been, or yet be, carried out.

use std::time::Duration;

use purlin_proto::signal::{Signal, SpawnRequest};
use purlin_runtime::{AliasMode, MonitorOptions, RequestOptions, Target, TooManyProcesses};
use purlin_term::{Atom, EncodedTerm, NodeName, Reference, Term, atom};
use tokio::time::timeout;

use crate::connection::{ConnectError, SendError};
use crate::export::FunctionName;
use crate::node::Node;
use crate::process::{Delivery, Destination, Mailbox};
use crate::remote_call::{self, Application};

/// How a call ended without an answer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// There is no connection to the node; nothing was asked.
    #[error(transparent)]
    NotConnected(#[from] ConnectError),
    /// A call is asked by a process, and there may be no more; nothing was asked.
    #[error(transparent)]
    TooManyProcesses(#[from] TooManyProcesses),
    /// The question could not be sent; nothing was asked.
    #[error("the request could not be sent: {0}")]
    NotSent(SendError),
    /// The connection ended before the answer came. Whether the call took place is unknown.
    #[error(
        "the connection to {0} ended before it answered; whether the call took place is unknown"
    )]
    Disconnected(NodeName),
    /// No answer in time. Whether the call took place, or will, is unknown.
    #[error("no answer within {} ms; whether the call took place is unknown", .0.as_millis())]
    TimedOut(Duration),
    /// There is no such process.
    #[error("there is no such process")]
    NoProcess,
    /// The process that was asked ended before it answered.
    #[error("the process ended before it answered: {0}")]
    Ended(Term),
    /// The peer started no process for the call, and says why.
    #[error("the node refused the call: {0}")]
    Refused(Atom),
    /// The function raised.
    #[error("the function raised {class}: {reason}")]
    Raised {
        /// `throw`, `exit` or `error`.
        class: Atom,
        /// The value thrown, or the reason.
        reason: Term,
        /// The stack trace; empty but for `error`.
        stack: Term,
    },
    /// The answer is not one that the protocol knows, or does not decode.
    #[error("the answer cannot be understood: {0}")]
    Malformed(String),
}

impl From<SendError> for CallError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::NotConnected(error) => Self::NotConnected(error),
            other => Self::NotSent(other),
        }
    }
}

impl Node {
    /// Asks whether `peer` is there, connecting if need be: `net_adm:ping`.
    ///
    /// # Errors
    /// [`CallError`]: why the peer is not there.
    pub async fn ping(&self, peer: NodeName, patience: Duration) -> Result<(), CallError> {
        let request = Term::tuple([atom!("is_auth").into(), self.name().into()]);
        let to = Target::Name(atom!("net_kernel"), peer);
        let reply = self.gen_call(to, &request, patience).await?;
        match reply.is_atom("yes") {
            true => Ok(()),
            false => Err(CallError::Malformed(reply.to_string())),
        }
    }

    /// `gen_server:call`: sends a request and waits for its reply.
    ///
    /// # Errors
    /// [`CallError`]: see there what each case says about whether the call took place.
    pub async fn gen_call(
        &self,
        to: Target,
        request: &Term,
        patience: Duration,
    ) -> Result<Term, CallError> {
        let asked = timeout(patience, self.ask(to, request)).await;
        asked.unwrap_or(Err(CallError::TimedOut(patience)))
    }

    async fn ask(&self, to: Target, request: &Term) -> Result<Term, CallError> {
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
        let from = Term::tuple([mailbox.pid().into(), tag.clone()]);
        let call = Term::tuple([atom!("$gen_call").into(), from, request.clone()]);
        let destination = match &to {
            Target::Pid(pid) => Destination::Pid(*pid),
            Target::Name(name, node) => Destination::Name(name.clone(), *node),
        };
        mailbox.send(destination, &call).await?;
        wait_for_reply(&mut mailbox, &tag, reference, to.node()).await
    }

    /// `erpc:call`: runs a function on `peer` and answers what it returns.
    ///
    /// # Errors
    /// [`CallError`]: see there what each case says about whether the call took place.
    pub async fn call(
        &self,
        peer: NodeName,
        module: &Atom,
        function: &Atom,
        args: Vec<Term>,
        patience: Duration,
    ) -> Result<Term, CallError> {
        let called = timeout(patience, self.call_function(peer, module, function, args)).await;
        called.unwrap_or(Err(CallError::TimedOut(patience)))
    }

    async fn call_function(
        &self,
        peer: NodeName,
        module: &Atom,
        function: &Atom,
        args: Vec<Term>,
    ) -> Result<Term, CallError> {
        if peer == self.name() {
            return self.call_here(module, function, args).await;
        }
        let connection = self.connect(peer).await?;
        let mut mailbox = self.attach()?;
        let options = RequestOptions {
            monitor: Some(MonitorOptions::default()),
            ..RequestOptions::default()
        };
        let (id, epoch) = mailbox.note_spawn_request(peer, options);
        let is_noted = connection
            .ties
            .note(mailbox.pid(), |pid| self.is_process_alive(pid));
        if !is_noted || epoch != connection.epoch() {
            return Err(CallError::NotSent(SendError::Disconnected(peer)));
        }
        let result = self.make_reference();
        let arguments = Term::list([
            result.into(),
            module.clone().into(),
            function.clone().into(),
            Term::list(args),
        ]);
        let encode = |term: &Term| {
            EncodedTerm::encode(term).map_err(|error| CallError::NotSent(error.into()))
        };
        let request = SpawnRequest {
            id,
            from: mailbox.pid(),
            group_leader: mailbox.group_leader(),
            module: atom!("erpc"),
            function: atom!("execute_call"),
            arity: 4,
            options: encode(&Term::list([atom!("monitor").into()]))?,
            arguments: encode(&arguments)?,
            token: None,
        };
        connection
            .send(mailbox.pid(), &Signal::SpawnRequest(Box::new(request)))
            .await?;
        wait_for_result(&mut mailbox, id, result, peer).await
    }
}

impl Node {
    /// A call of this node's own functions ends as one of a peer's does.
    async fn call_here(
        &self,
        module: &Atom,
        function: &Atom,
        args: Vec<Term>,
    ) -> Result<Term, CallError> {
        let mailbox = self.attach()?;
        let application = Application {
            name: FunctionName {
                module: module.clone(),
                function: function.clone(),
                arity: args.len(),
            },
            args,
            caller: mailbox.pid(),
            group_leader: mailbox.group_leader(),
        };
        let outcome = Box::pin(remote_call::apply(self, application)).await;
        let result = self.make_reference();
        let reason = remote_call::call_result(result.into(), outcome);
        call_result(&reason, result, self.name())
    }
}

async fn wait_for_reply(
    mailbox: &mut Mailbox,
    tag: &Term,
    monitor: Reference,
    node: NodeName,
) -> Result<Term, CallError> {
    loop {
        match mailbox.receive().await {
            Delivery::Message(message) => {
                let message = message.to_term().map_err(malformed)?;
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
                    Some("noproc") => CallError::NoProcess,
                    Some("noconnection") => CallError::Disconnected(node),
                    _ => CallError::Ended(reason),
                });
            }
            _ => {}
        }
    }
}

async fn wait_for_result(
    mailbox: &mut Mailbox,
    id: Reference,
    result: Reference,
    node: NodeName,
) -> Result<Term, CallError> {
    loop {
        match mailbox.receive().await {
            Delivery::SpawnFailed { reference, reason } if reference == id => {
                return Err(match reason.as_str() {
                    "noconnection" => CallError::Disconnected(node),
                    _ => CallError::Refused(reason),
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
fn call_result(reason: &Term, expected: Reference, node: NodeName) -> Result<Term, CallError> {
    if reason.is_atom("noconnection") {
        return Err(CallError::Disconnected(node));
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
        _ => return Err(CallError::Ended(reason.clone())),
    };
    if *class == *"return" {
        return Ok(value.clone());
    }
    Err(CallError::Raised {
        class: class.clone(),
        reason: value.clone(),
        stack,
    })
}

fn malformed(error: purlin_term::DecodeError) -> CallError {
    CallError::Malformed(error.to_string())
}

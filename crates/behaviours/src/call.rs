//! Calls and casts to whatever answers `gen_server:call`: by pid or name, here or on another node.
//!
//! A call is asked by a process of its own whose mailbox nobody else knows, and which monitors whom it
//! asks: an answer that comes too late finds it gone. It is sent in the flow of the process that asks, so
//! that it arrives after what that process sent before. A timeout says that the outcome is unknown: the
//! request may have been, or yet be, carried out.

use std::time::Duration;

use purlin_otp::relations::Info;
use purlin_runtime::{
    AliasMode, Attached, BoxFuture, Destination, Message, MonitorOptions, Process, Raw, Received,
    Runtime, SendError, Target, TooManyProcesses,
};
use purlin_term::{EncodedTerm, NodeName, Pid, Reference, Term, atom};
use tokio::time;

use crate::request::Request;
use crate::task::Task;

/// How long a call waits for its reply where nothing else is said: OTP's `gen_server:call/2`.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// How a call ended without an answer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The request could not be sent; nothing was asked.
    #[error("the request could not be sent: {0}")]
    NotSent(#[from] SendError),
    /// A call is asked by a process, and there may be no more; nothing was asked.
    #[error(transparent)]
    TooManyProcesses(#[from] TooManyProcesses),
    /// There is no such process, or there is none any more. A request to a server of this node may have been
    /// begun before that.
    #[error("there is no such process, or none any more")]
    NoProcess,
    /// The process ended before it answered. Whether the request was carried out is unknown.
    #[error("the process ended before it answered: {0}")]
    Ended(Term),
    /// The connection ended before the answer came. Whether the request was carried out is unknown.
    #[error(
        "the connection to {0} ended before it answered; whether the request was carried out is unknown"
    )]
    Disconnected(NodeName),
    /// No answer in time. Whether the request was carried out, or will be, is unknown.
    #[error("no answer within {} ms; whether the request was carried out is unknown", .0.as_millis())]
    TimedOut(Duration),
    /// The server gave up its duty to answer.
    #[error("{0} did not answer the request, and never will")]
    NoReply(Pid),
    /// The answer is not of the type that the request has.
    #[error("the answer cannot be understood: {0}")]
    Malformed(String),
}

/// Asks `to` in nobody's name and waits for the reply: `gen_server:call/3`.
///
/// # Errors
/// [`CallError`]: see there what each case says about whether the request was carried out.
pub async fn call<R: Request>(
    runtime: &Runtime,
    to: impl Into<Target>,
    request: &R,
    timeout: Duration,
) -> Result<R::Reply, CallError> {
    let request = request.encode().map_err(SendError::from)?;
    let asked = ask(runtime, None, to.into(), &request);
    let asked = time::timeout(timeout, asked).await;
    read(asked.unwrap_or(Err(CallError::TimedOut(timeout)))?)
}

/// As [`call`], for a process: the request arrives after what it sent to the same process before.
///
/// # Errors
/// [`CallError`]: see there what each case says about whether the request was carried out.
pub async fn call_from<M: Message, R: Request>(
    process: &Process<M>,
    to: impl Into<Target>,
    request: &R,
    timeout: Duration,
) -> Result<R::Reply, CallError> {
    let (runtime, from) = (process.runtime().clone(), process.pid());
    let request = request.encode().map_err(SendError::from)?;
    let asked = time::timeout(timeout, ask(&runtime, Some(from), to.into(), &request)).await;
    read(asked.unwrap_or(Err(CallError::TimedOut(timeout)))?)
}

/// Sends a request that has no reply, in nobody's name: `gen_server:cast`. Waits while the road or a bounded
/// mailbox is full, and not for a connection: to a node that is not connected the cast waits with the
/// connection to come, and is gone if there is none to be had.
///
/// # Errors
/// [`SendError`]: it was not sent. Whether a cast that was sent arrives is unknown.
pub async fn cast<M: Message>(
    runtime: &Runtime,
    to: impl Into<Destination>,
    message: &M,
) -> Result<(), SendError> {
    let cast = encode_cast(message)?;
    runtime
        .cast_encoded(runtime.nobody(), to.into(), cast)
        .await
}

/// As [`cast`], in the name of a process.
///
/// # Errors
/// [`SendError`]: it was not sent. Whether a cast that was sent arrives is unknown.
pub async fn cast_from<P: Message, M: Message>(
    process: &Process<P>,
    to: impl Into<Destination>,
    message: &M,
) -> Result<(), SendError> {
    let cast = encode_cast(message)?;
    let runtime = process.runtime().clone();
    runtime.cast_encoded(process.pid(), to.into(), cast).await
}

/// `{'$gen_cast', Message}`.
fn encode_cast<M: Message>(message: &M) -> Result<EncodedTerm, SendError> {
    let tag = encode(&atom!("$gen_cast").into())?;
    envelope([tag.view(), message.encode()?.view()])
}

fn encode(term: &Term) -> Result<EncodedTerm, SendError> {
    EncodedTerm::encode(term).map_err(|error| SendError::Encode(error.to_string()))
}

fn envelope<const N: usize>(parts: [purlin_term::View<'_>; N]) -> Result<EncodedTerm, SendError> {
    EncodedTerm::tuple(parts).map_err(|error| SendError::Encode(error.to_string()))
}

fn read<T: Message>(reply: EncodedTerm) -> Result<T, CallError> {
    T::decode(&reply).map_err(|error| CallError::Malformed(error.to_string()))
}

/// A call that was made and is to be sent: by whom it is asked, and what is sent.
struct Asking {
    asker: Attached<Raw>,
    monitor: Reference,
    /// In whose flow it is sent.
    from: Pid,
    to: Target,
    call: EncodedTerm,
}

/// Makes `{'$gen_call', {From, [alias | Ref]}, Request}`, and who waits for `{[alias | Ref], Reply}`.
fn make_call(
    runtime: &Runtime,
    from: Option<Pid>,
    to: Target,
    request: &EncodedTerm,
) -> Result<Asking, CallError> {
    let asker: Attached<Raw> = runtime.attach()?;
    // It ends with this call, and its monitor and alias with it.
    let options = MonitorOptions {
        alias: Some(AliasMode::ReplyDemonitor),
        ..MonitorOptions::default()
    };
    let monitor = asker.monitor_with(to.clone(), options);
    let from = from.unwrap_or(asker.pid());
    let tag = Term::list_with_tail([atom!("alias").into()], monitor.into());
    let caller = encode(&Term::tuple([from.into(), tag]))?;
    let name = encode(&atom!("$gen_call").into())?;
    let call = envelope([name.view(), caller.view(), request.view()])?;
    Ok(Asking {
        asker,
        monitor,
        from,
        to,
        call,
    })
}

async fn ask(
    runtime: &Runtime,
    from: Option<Pid>,
    to: Target,
    request: &EncodedTerm,
) -> Result<EncodedTerm, CallError> {
    let mut asking = make_call(runtime, from, to, request)?;
    let (node, to) = (asking.to.node(), asking.to.into());
    runtime.send_encoded(asking.from, to, asking.call).await?;
    wait_for_reply(&mut asking.asker, asking.monitor, node).await
}

/// Sends a request to whatever answers calls; its reply is waited for later. Where there is no road to it
/// yet, or no room, a process waits for that in the caller's place.
pub(crate) fn send_request<R: Request>(
    runtime: &Runtime,
    to: Target,
    request: &R,
) -> Result<BoxFuture<'static, Result<R::Reply, CallError>>, CallError> {
    let request = request.encode().map_err(SendError::from)?;
    let mut asking = make_call(runtime, None, to, &request)?;
    let (node, to) = (asking.to.node(), Destination::from(asking.to));
    let (call, from) = (asking.call.clone(), asking.from);
    let sent = runtime.try_send_encoded(from, to.clone(), call);
    let sending = match sent {
        Ok(()) => None,
        Err(SendError::Busy(_) | SendError::Full(_) | SendError::NotConnected { .. }) => {
            let (runtime, call) = (runtime.clone(), asking.call);
            let on = runtime.clone();
            let sending = async move { runtime.send_encoded(from, to, call).await };
            Some(Task::async_(&on, sending)?)
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Box::pin(async move {
        if let Some(sending) = sending {
            let sent = sending.await;
            sent.map_err(|error| CallError::Ended(error.to_string().as_str().into()))??;
        }
        read(wait_for_reply(&mut asking.asker, asking.monitor, node).await?)
    }))
}

async fn wait_for_reply(
    asker: &mut Attached<Raw>,
    monitor: Reference,
    node: NodeName,
) -> Result<EncodedTerm, CallError> {
    loop {
        let received = asker.receive().await;
        match received.map_err(|ended| CallError::Ended(Term::clone(&ended.0)))? {
            Received::Message(Raw(message)) => {
                if let Some(reply) = reply_in(&message, &monitor) {
                    return Ok(reply);
                }
            }
            Received::Info(Info::Down {
                reference, reason, ..
            }) if reference == monitor => return Err(ended(&reason, node)),
            Received::Info(_) | Received::Foreign(_) => {}
        }
    }
}

/// The reply in `{[alias | Ref], Reply}`; `None` for a stray message.
fn reply_in(message: &EncodedTerm, expected: &Reference) -> Option<EncodedTerm> {
    let [tag, reply] = message.view().as_tuple_of()?;
    let tag = tag.to_term().ok()?;
    let is_expected = match &tag {
        Term::ImproperList(list) => list.tail().as_reference() == Some(expected),
        _ => false,
    };
    is_expected.then(|| reply.to_encoded())
}

/// What the end of the process that was asked is to who asked.
pub(crate) fn ended(reason: &Term, node: NodeName) -> CallError {
    match reason.as_atom().map(purlin_term::Atom::as_str) {
        Some("noproc") => CallError::NoProcess,
        Some("noconnection") => CallError::Disconnected(node),
        _ => CallError::Ended(reason.clone()),
    }
}

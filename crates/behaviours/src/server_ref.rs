//! A server as others know it: by its type.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crossbeam_utils::atomic::AtomicCell;
use purlin_runtime::{Address, Message, Runtime, SendError, Target};
use purlin_term::{EncodedTerm, Pid};
use tokio::sync::oneshot;

use crate::alarm::Alarm;
use crate::by;
use crate::call::{CALL_TIMEOUT, CallError, call, cast, send_request};
use crate::gen_server::{GenServer, ServerMessage, Starter};
use crate::messages::Has;
use crate::reply_to::ReplyTo;
use crate::request::Request;
use crate::requests::{Response, unanswered};
use crate::slot::Slots;

/// A server of type `S`, on this node or another.
///
/// What can be asked of it, and what comes back, the compiler knows. A server of this node is asked
/// without the codec, if the reference came of starting it, or of the key under which it is found
/// ([`Registry::server`](crate::Registry::server)); any other by OTP's messages.
pub struct ServerRef<S: GenServer> {
    road: Road<S>,
    runtime: Runtime,
    /// For calls that overlap, the others have their own.
    kept: AtomicCell<Option<Box<Kept>>>,
}

/// What is kept from call to call.
#[derive(Default)]
struct Kept {
    alarm: Alarm,
    slots: Slots,
}

enum Road<S: GenServer> {
    Here(Address<ServerMessage<S>>),
    To(Target),
    Via(Arc<dyn Lookup<S>>),
}

/// Finds a server of this node whenever it is asked: OTP's `via`.
pub(crate) trait Lookup<S: GenServer>: Send + Sync {
    /// Where it is asked now, if it runs.
    fn lookup(&self) -> Option<Address<ServerMessage<S>>>;
}

/// How a server is asked now.
enum Way<'a, S: GenServer> {
    Here(&'a Address<ServerMessage<S>>),
    To(&'a Target),
    Nobody,
}

impl<S: GenServer> Clone for ServerRef<S> {
    fn clone(&self) -> Self {
        let road = match &self.road {
            Road::Here(address) => Road::Here(address.clone()),
            Road::To(target) => Road::To(target.clone()),
            Road::Via(place) => Road::Via(place.clone()),
        };
        let runtime = self.runtime.clone();
        Self::new(road, runtime)
    }
}

impl<S: GenServer> fmt::Debug for ServerRef<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.target() {
            Target::Pid(pid) => write!(f, "ServerRef({pid})"),
            Target::Name(name, node) => write!(f, "ServerRef({{{name}, {node}}})"),
        }
    }
}

impl<S: GenServer> ServerRef<S> {
    fn new(road: Road<S>, runtime: Runtime) -> Self {
        let kept = AtomicCell::default();
        Self {
            road,
            runtime,
            kept,
        }
    }

    pub(crate) fn here(address: Address<ServerMessage<S>>, runtime: Runtime) -> Self {
        Self::new(Road::Here(address), runtime)
    }

    pub(crate) fn via(place: Arc<dyn Lookup<S>>, runtime: Runtime) -> Self {
        Self::new(Road::Via(place), runtime)
    }

    /// How it is asked now; `found` is where it was found, if it had to be looked for.
    #[inline]
    fn way<'a>(&'a self, found: &'a mut Option<Address<ServerMessage<S>>>) -> Way<'a, S> {
        match &self.road {
            Road::Here(address) => Way::Here(address),
            Road::To(target) => Way::To(target),
            Road::Via(place) => {
                *found = place.lookup();
                found.as_ref().map_or(Way::Nobody, Way::Here)
            }
        }
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The server that has this pid or name, here or on another node, as `on` sees it: a node, or a process
    /// or runtime of one. That it is of type `S` the caller
    /// vouches for: a request that it does not take is answered with an error.
    pub fn of(on: &(impl Starter + ?Sized), target: impl Into<Target>) -> Self {
        Self::new(Road::To(target.into()), on.starting().runtime.clone())
    }

    /// Where it is asked: the pid, or a name. Of a server that is found by a key it is the pid now, that of nobody
    /// where it does not run.
    pub fn target(&self) -> Target {
        match self.way(&mut None) {
            Way::Here(address) => Target::Pid(address.pid()),
            Way::To(target) => target.clone(),
            Way::Nobody => Target::Pid(self.runtime.nobody()),
        }
    }

    /// Its pid, where that is known.
    pub fn pid(&self) -> Option<Pid> {
        match self.way(&mut None) {
            Way::Here(address) => Some(address.pid()),
            Way::To(Target::Pid(pid)) => Some(*pid),
            Way::To(Target::Name(..)) | Way::Nobody => None,
        }
    }

    /// Asks and waits for the reply, for [`CALL_TIMEOUT`]: `gen_server:call/2`.
    ///
    /// # Errors
    /// [`CallError`]: see there what each case says about whether the request was carried out.
    pub async fn call<R: Request, Place>(&self, request: R) -> Result<R::Reply, CallError>
    where
        S::Messages: Has<S, by::Call<R>, Place>,
    {
        self.call_timeout(request, CALL_TIMEOUT).await
    }

    /// As [`ServerRef::call`], waiting for the reply no longer than `timeout`: `gen_server:call/3`.
    ///
    /// # Errors
    /// [`CallError`]: see there what each case says about whether the request was carried out.
    pub async fn call_timeout<R: Request, Place>(
        &self,
        request: R,
        timeout: Duration,
    ) -> Result<R::Reply, CallError>
    where
        S::Messages: Has<S, by::Call<R>, Place>,
    {
        let mut found = None;
        let address = match self.way(&mut found) {
            Way::Here(address) => address,
            Way::To(target) => {
                return call(&self.runtime, target.clone(), &request, timeout).await;
            }
            Way::Nobody => return Err(CallError::NoProcess),
        };
        let mut kept = self.kept.take().unwrap_or_default();
        let Kept { alarm, slots } = &mut *kept;
        let asked = async {
            let (answer, mut waiting) =
                poll_fn(|cx| Poll::Ready(slots.open::<R::Reply>(cx.waker()))).await;
            let message = S::Messages::wrap((request, ReplyTo::here(answer)));
            let message = ServerMessage::own(message);
            self.runtime.send(address, message).await?;
            let came = poll_fn(|cx| waiting.poll(cx)).await;
            let reply = slots.close(waiting, came);
            reply.ok_or_else(|| unanswered(&self.runtime, address.pid()))
        };
        // Pinned here: moved into another future, it would be copied with the request.
        let asked = alarm.timeout(timeout, pin!(asked)).await;
        self.kept.store(Some(kept));
        asked.unwrap_or(Err(CallError::TimedOut(timeout)))
    }

    /// Asks without waiting; the reply is waited for later, alone or with others
    /// ([`Requests`](crate::Requests)): `gen_server:send_request`.
    pub fn send_request<R: Request, Place>(&self, request: R) -> Response<R::Reply>
    where
        S::Messages: Has<S, by::Call<R>, Place>,
    {
        let mut found = None;
        let address = match self.way(&mut found) {
            Way::Here(address) => address,
            Way::To(target) => {
                let sent = send_request(&self.runtime, target.clone(), &request);
                return sent.map_or_else(Response::refused, Response::there);
            }
            Way::Nobody => return Response::refused(CallError::NoProcess),
        };
        let (sender, reply) = oneshot::channel();
        let message = S::Messages::wrap((request, ReplyTo::later(sender)));
        match self.runtime.try_send(address, ServerMessage::own(message)) {
            Ok(()) => Response::here(reply, address.pid(), self.runtime.clone()),
            Err(error) => Response::refused(error.into()),
        }
    }

    /// Sends a request that has no reply: `gen_server:cast`. Waits while the road or a bounded mailbox is
    /// full, and not for a connection: to a node that is not connected it waits with the connection to come. To a
    /// key that nobody has, as to a process that has ended or a node that cannot be reached, it is gone.
    ///
    /// # Errors
    /// [`SendError`]: it was not sent. Whether a cast that was sent arrives is unknown.
    pub async fn cast<M: Message, Place>(&self, message: M) -> Result<(), SendError>
    where
        S::Messages: Has<S, by::Cast<M>, Place>,
    {
        match self.way(&mut None) {
            Way::Here(address) => {
                let message = ServerMessage::own(S::Messages::wrap(message));
                self.runtime.send(address, message).await
            }
            Way::Nobody => Ok(()),
            Way::To(target) => cast(&self.runtime, target.clone(), &message).await,
        }
    }

    /// Sends a plain message. Waits as [`Process::send`](purlin_runtime::Process::send) does.
    ///
    /// # Errors
    /// [`SendError`]: it was not sent.
    pub async fn send<M: Message, Place>(&self, message: M) -> Result<(), SendError>
    where
        S::Messages: Has<S, by::Info<M>, Place>,
    {
        match self.way(&mut None) {
            Way::Here(address) => {
                let message = ServerMessage::own(S::Messages::wrap(message));
                self.runtime.send(address, message).await
            }
            Way::Nobody => Ok(()),
            Way::To(target) => {
                let message: EncodedTerm = message.encode()?;
                let (runtime, to) = (&self.runtime, target.clone().into());
                runtime.send_encoded(runtime.nobody(), to, message).await
            }
        }
    }

    /// As [`ServerRef::send`], waiting as a cast does.
    pub(crate) async fn notify_server<M: Message, Place>(&self, message: M) -> Result<(), SendError>
    where
        S::Messages: Has<S, by::Info<M>, Place>,
    {
        match self.way(&mut None) {
            Way::To(target) => {
                let message: EncodedTerm = message.encode()?;
                let (runtime, to) = (&self.runtime, target.clone().into());
                runtime.cast_encoded(runtime.nobody(), to, message).await
            }
            Way::Here(_) | Way::Nobody => self.send(message).await,
        }
    }
}

/// Which server it is, nothing else of it.
impl<S: GenServer> From<&ServerRef<S>> for Target {
    fn from(server: &ServerRef<S>) -> Self {
        server.target()
    }
}

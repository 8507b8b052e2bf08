//! Requests that were sent and whose replies are waited for later: `gen_server`'s request ids.
//!
//! A [`Response`] is one, a [`Requests`] a collection of them, each with a label. Replies do not come through
//! the mailbox of who asks, so OTP's `check_response(Msg, ReqId)` has no message here: it looks whether the
//! reply is there.
//!
//! Invariant `R1`: each request of a collection is answered once, in the order in which replies came, and
//! looked at only when something came for it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use purlin_runtime::{BoxFuture, Runtime};
use purlin_term::Pid;
use tokio::sync::oneshot;
use tokio::time;

use crate::call::CallError;
use crate::due::Due;

/// The reply to a request that was sent: [`ServerRef::send_request`](crate::ServerRef::send_request).
///
/// It is a future, which can be waited for with any other; dropped, the request is carried out and its
/// reply thrown away.
#[must_use = "a reply that nobody waits for is thrown away"]
pub struct Response<T>(Road<T>);

/// By which way the reply comes.
enum Road<T> {
    Here {
        reply: oneshot::Receiver<T>,
        from: Pid,
        runtime: Runtime,
    },
    There(BoxFuture<'static, Result<T, CallError>>),
    Refused(CallError),
    /// The reply was given.
    Done,
}

impl<T> Unpin for Response<T> {}

impl<T> Response<T> {
    pub(crate) fn here(reply: oneshot::Receiver<T>, from: Pid, runtime: Runtime) -> Self {
        Self(Road::Here {
            reply,
            from,
            runtime,
        })
    }

    pub(crate) fn there(reply: BoxFuture<'static, Result<T, CallError>>) -> Self {
        Self(Road::There(reply))
    }

    pub(crate) fn refused(error: CallError) -> Self {
        Self(Road::Refused(error))
    }

    /// Waits for the reply until it is `due` to be there, and then no more: `gen_server:receive_response/2`. The time
    /// is a `Duration` from now on, or an `Instant`.
    ///
    /// # Errors
    /// [`CallError`]: see there what each case says about whether the request was carried out.
    ///
    /// # Panics
    /// As any future that is waited for again: when the reply was given already.
    pub async fn receive_response(self, due: impl Into<Due>) -> Result<T, CallError> {
        let timeout = due.into().left();
        let waited = time::timeout(timeout, self).await;
        waited.unwrap_or(Err(CallError::TimedOut(timeout)))
    }

    /// Waits for the reply until it is `due` to be there; `None` if it is not, and can be waited for again:
    /// `gen_server:wait_response/2`. `None` at once if it was given already: a reply is given once.
    pub async fn wait_response(&mut self, due: impl Into<Due>) -> Option<Result<T, CallError>> {
        if self.is_done() {
            return None;
        }
        time::timeout(due.into().left(), self).await.ok()
    }

    /// The reply, if it is there, and was not given already.
    pub fn check_response(&mut self) -> Option<Result<T, CallError>> {
        if self.is_done() {
            return None;
        }
        let polled = Pin::new(self).poll(&mut Context::from_waker(Waker::noop()));
        match polled {
            Poll::Ready(reply) => Some(reply),
            Poll::Pending => None,
        }
    }

    fn is_done(&self) -> bool {
        matches!(self.0, Road::Done)
    }
}

impl<T> Future for Response<T> {
    type Output = Result<T, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = match &mut self.0 {
            Road::Here {
                reply,
                from,
                runtime,
            } => {
                let reply = Pin::new(reply).poll(cx);
                reply.map(|reply| reply.map_err(|_| unanswered(runtime, *from)))
            }
            Road::There(reply) => reply.as_mut().poll(cx),
            Road::Refused(error) => Poll::Ready(Err(error.clone())),
            Road::Done => panic!("a reply was waited for after it was given"),
        };
        if polled.is_ready() {
            self.0 = Road::Done;
        }
        polled
    }
}

/// Why a server of this node has not answered, and never will.
pub(crate) fn unanswered(runtime: &Runtime, pid: Pid) -> CallError {
    match runtime.is_process_alive(pid) {
        true => CallError::NoReply(pid),
        false => CallError::NoProcess,
    }
}

/// Requests whose replies are waited for together, each with a label: `gen_server`'s collections of request
/// ids.
///
/// All have one type of reply. A request that is dropped with the collection is carried out, and its reply
/// thrown away.
pub struct Requests<T, L> {
    /// By place; places are taken again.
    requests: Vec<Option<Asked<T, L>>>,
    free: Vec<usize>,
    shared: Arc<Shared>,
}

struct Asked<T, L> {
    response: Response<T>,
    label: L,
    waker: Waker,
}

/// Requests for which something came.
#[derive(Default)]
struct Shared(Mutex<Came>);

#[derive(Default)]
struct Came {
    places: VecDeque<usize>,
    waiter: Option<Waker>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Came> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes that something came for a request.
struct Note {
    place: usize,
    shared: Arc<Shared>,
}

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        let waiter = {
            let mut came = self.shared.lock();
            came.places.push_back(self.place);
            came.waiter.take()
        };
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }
}

impl<T, L> Default for Requests<T, L> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, L> Requests<T, L> {
    /// No requests: `gen_server:reqids_new/0`.
    pub fn new() -> Self {
        Self {
            requests: Vec::new(),
            free: Vec::new(),
            shared: Arc::default(),
        }
    }

    /// How many have not been answered: `gen_server:reqids_size/1`.
    pub fn len(&self) -> usize {
        self.requests.len() - self.free.len()
    }

    /// Whether all have been answered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One more: `gen_server:reqids_add/3`.
    pub fn add(&mut self, response: Response<T>, label: L) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.requests.push(None);
            self.requests.len() - 1
        });
        let note = Note {
            place,
            shared: self.shared.clone(),
        };
        self.requests[place] = Some(Asked {
            response,
            label,
            waker: Waker::from(Arc::new(note)),
        });
        // Its reply may be there: it is looked at once.
        self.shared.lock().places.push_back(place);
    }

    /// Waits for the next reply, of whichever request, until one is `due` to be there; `None` if there is no request
    /// left: `gen_server:wait_response/3`. The time is a `Duration` from now on, `Duration::MAX` for OTP's
    /// `infinity`, or an `Instant`. Cancel-safe: dropped before it is ready, nothing is lost.
    ///
    /// # Errors
    /// [`CallError::TimedOut`]: there was none in time. All requests that were left can be waited for again.
    pub async fn wait_response(
        &mut self,
        due: impl Into<Due>,
    ) -> Result<Option<(L, Result<T, CallError>)>, CallError> {
        let timeout = due.into().left();
        let next = std::future::poll_fn(|cx| self.poll_response(cx));
        let waited = time::timeout(timeout, next).await;
        waited.map_err(|_| CallError::TimedOut(timeout))
    }

    /// As [`Requests::wait_response`], but when the time is over nothing is waited for any more, and the collection
    /// is empty: `gen_server:receive_response/3`.
    ///
    /// # Errors
    /// [`CallError::TimedOut`]: whether the requests that were left are carried out is unknown.
    pub async fn receive_response(
        &mut self,
        due: impl Into<Due>,
    ) -> Result<Option<(L, Result<T, CallError>)>, CallError> {
        let waited = self.wait_response(due).await;
        waited.inspect_err(|_| *self = Self::new())
    }

    /// The next reply, if one is there: `gen_server:check_response/3`. Whether there is none yet, or no request left,
    /// [`Requests::is_empty`] tells.
    pub fn check_response(&mut self) -> Option<(L, Result<T, CallError>)> {
        match self.poll_response(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(reply) => reply,
            Poll::Pending => None,
        }
    }

    /// As [`Requests::wait_response`] without a time, for futures written by hand.
    pub fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<(L, Result<T, CallError>)>> {
        loop {
            if self.is_empty() {
                return Poll::Ready(None);
            }
            let place = {
                let mut came = self.shared.lock();
                let Some(place) = came.places.pop_front() else {
                    came.waiter = Some(cx.waker().clone());
                    return Poll::Pending;
                };
                place
            };
            if let Some(answered) = self.look(place) {
                return Poll::Ready(Some(answered));
            }
        }
    }

    /// The reply to a request for which something came, if it is that.
    fn look(&mut self, place: usize) -> Option<(L, Result<T, CallError>)> {
        let asked = self.requests[place].as_mut()?;
        let polled = Pin::new(&mut asked.response).poll(&mut Context::from_waker(&asked.waker));
        let Poll::Ready(reply) = polled else {
            return None;
        };
        let asked = self.requests[place].take()?;
        self.free.push(place);
        Some((asked.label, reply))
    }
}

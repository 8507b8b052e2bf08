//! A function over many items, so many at once.
//!
//! Each item has a process of its own, which is there as long as the function runs. What an item leaves is its
//! result, until that is taken. Nothing runs that nobody asks for: items are started while somebody waits for
//! the next result.
//!
//! Source: Elixir's `Task.async_stream`. Deviations: there results that came before their turn are kept without a
//! bound; a timeout ends the caller there if nothing else is said, and here the item alone.
//!
//! Invariants:
//! - `S1` at most `max_concurrency` items run at once;
//! - `S2` where order is kept, no item is started that is `2 * max_concurrency` or more after the oldest whose
//!   result was not taken: so fewer results than that wait for their turn;
//! - `S3` each item has one result, in the order of the items if that is asked for;
//! - `S4` nothing runs on when the stream is dropped.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use purlin_runtime::{Prepared, Process};
use purlin_term::{Pid, atom};
use tokio::sync::mpsc;
use tokio::time;

use super::supervised::{child, refused};
use super::{TaskError, prepare};
use crate::gen_server::{ServerMessage, Starter, Starting};
use crate::server_ref::ServerRef;
use crate::supervisor::Supervisor;

/// How many items run at once where nothing else is said. Elixir takes the number of schedulers; what runs here
/// mostly waits, and a number of the machine would not be the same everywhere. A guess.
const MAX_CONCURRENCY: usize = 16;

/// Runs `function` over `items`, each in a process of its own, in the order of the items.
///
/// A process that does not trap exits falls with the first item that fails, before it sees that; one that
/// does, and code that is no process, gets the failure as that item's result.
///
/// ```
/// # use std::sync::Arc;
/// # use purlin_runtime::{Config, Runtime, TokioExecutor};
/// # use purlin_term::{NodeName, atom};
/// use purlin_behaviours::task::async_stream;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = NodeName::new(&atom!("stream@doc"))?;
/// # let runtime = Runtime::new(node, 1, Arc::new(TokioExecutor::current()), Config::default());
/// let mut squares = async_stream(&runtime, 1..=3, |n| async move { n * n }).max_concurrency(2);
/// while let Some(square) = squares.next().await {
///     println!("{}", square?);
/// }
/// # Ok(())
/// # }
/// ```
pub fn async_stream<'a, I, F, Fut>(
    on: &'a (impl Starter + ?Sized),
    items: I,
    function: F,
) -> AsyncStream<'a, I::IntoIter, F, Fut::Output>
where
    I: IntoIterator,
    F: Fn(I::Item) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: Send + 'static,
{
    AsyncStream::new(on.starting(), items.into_iter(), function, true)
}

/// As [`async_stream`], but nobody falls with an item that fails: its failure is its result.
pub fn async_stream_nolink<'a, I, F, Fut>(
    on: &'a (impl Starter + ?Sized),
    items: I,
    function: F,
) -> AsyncStream<'a, I::IntoIter, F, Fut::Output>
where
    I: IntoIterator,
    F: Fn(I::Item) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: Send + 'static,
{
    AsyncStream::new(on.starting(), items.into_iter(), function, false)
}

impl ServerRef<Supervisor> {
    /// As [`async_stream_nolink`], with the items' processes as children of this supervisor, which is to be one of
    /// this node that was started here: Elixir's `Task.Supervisor.async_stream_nolink`. An item that it does
    /// not start has the result [`TaskError::Refused`].
    pub fn async_stream_nolink<I, F, Fut>(
        &self,
        items: I,
        function: F,
    ) -> AsyncStream<'_, I::IntoIter, F, Fut::Output>
    where
        I: IntoIterator,
        F: Fn(I::Item) -> Fut + Send + Sync + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: Send + 'static,
    {
        let starting = Starting::on(self.runtime());
        let mut stream = AsyncStream::new(starting, items.into_iter(), function, false);
        stream.supervisor = Some(self.clone());
        stream
    }
}

/// The results of a function over many items: see [`async_stream`].
#[must_use = "nothing runs until somebody waits for the next result"]
pub struct AsyncStream<'a, I, F, T> {
    starting: Starting<'a>,
    items: I,
    function: Arc<F>,
    is_linked: bool,
    max_concurrency: usize,
    is_ordered: bool,
    timeout: Option<Duration>,
    /// Whose children the items are, if a supervisor's.
    supervisor: Option<ServerRef<Supervisor>>,
    running: Running,
    /// The next item's number.
    next: u64,
    has_more: bool,
    /// Results in the order in which they are to be taken. Where order is kept they are those of all items
    /// from the oldest that was not taken; `None`: it runs.
    waiting: VecDeque<Option<Result<T, TaskError>>>,
    outcomes: mpsc::UnboundedReceiver<Outcome<T>>,
    /// As many outcomes lie there as run at most: no bound is needed.
    tell: mpsc::UnboundedSender<Outcome<T>>,
}

/// What an item came out with.
struct Outcome<T> {
    item: u64,
    place: usize,
    result: Result<T, TaskError>,
}

/// What runs: items by places, which are taken again.
#[derive(Default)]
struct Running {
    places: Vec<Option<(u64, Pid)>>,
    free: Vec<usize>,
}

impl Running {
    fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    fn take_place(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        })
    }

    /// The item has come out; false if it had before.
    fn remove(&mut self, item: u64, place: usize) -> bool {
        let is_there = self.places[place].is_some_and(|(running, _)| running == item);
        if is_there {
            self.places[place] = None;
            self.free.push(place);
        }
        is_there
    }
}

impl<'a, I, F, T> AsyncStream<'a, I, F, T> {
    fn new(starting: Starting<'a>, items: I, function: F, is_linked: bool) -> Self {
        let (tell, outcomes) = mpsc::unbounded_channel();
        Self {
            starting,
            items,
            function: Arc::new(function),
            is_linked,
            max_concurrency: MAX_CONCURRENCY,
            is_ordered: true,
            timeout: None,
            supervisor: None,
            running: Running::default(),
            next: 0,
            has_more: true,
            waiting: VecDeque::new(),
            outcomes,
            tell,
        }
    }

    /// So many items run at once, at least one.
    pub fn max_concurrency(mut self, items: usize) -> Self {
        self.max_concurrency = items.max(1);
        self
    }

    /// Results come as they are ready, not in the order of the items.
    pub fn unordered(mut self) -> Self {
        self.is_ordered = false;
        self
    }

    /// An item that takes longer is ended, at its next await, and its result is [`TaskError::TimedOut`]:
    /// Elixir's `on_timeout: :kill_task`. Without this an item has all the time it needs.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl<I, F, Fut, T> AsyncStream<'_, I, F, T>
where
    I: Iterator,
    I::Item: Send + 'static,
    F: Fn(I::Item) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    /// The next result; `None` after the last. Cancel-safe: dropped before it is ready, nothing is lost.
    pub async fn next(&mut self) -> Option<Result<T, TaskError>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// All results that are left.
    pub async fn collect<C: FromIterator<Result<T, TaskError>>>(mut self) -> C {
        let mut all = Vec::new();
        while let Some(result) = self.next().await {
            all.push(result);
        }
        all.into_iter().collect()
    }

    /// As [`AsyncStream::next`], for futures written by hand.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, TaskError>>> {
        loop {
            self.start_items();
            if let Some(result) = self.next_in_order() {
                return Poll::Ready(Some(result));
            }
            if self.running.len() == 0 {
                return Poll::Ready(None);
            }
            let outcome = ready!(self.outcomes.poll_recv(cx)).expect("the stream can tell itself");
            if !self.running.remove(outcome.item, outcome.place) {
                continue;
            }
            let falls = self.is_linked && self.falls(&outcome.result);
            self.keep(outcome);
            if falls {
                // A process ends now; an attached one learns of its end elsewhere.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    /// Keeps a result until its turn.
    fn keep(&mut self, outcome: Outcome<T>) {
        let result = Some(outcome.result);
        if !self.is_ordered {
            return self.waiting.push_back(result);
        }
        let oldest = self.next - self.waiting.len() as u64;
        self.waiting[(outcome.item - oldest) as usize] = result;
    }

    /// The oldest result, if it is there.
    fn next_in_order(&mut self) -> Option<Result<T, TaskError>> {
        match self.waiting.front() {
            Some(Some(_)) => self.waiting.pop_front()?,
            _ => None,
        }
    }

    /// Whether the process that waits falls with what an item came out with.
    fn falls(&self, result: &Result<T, TaskError>) -> bool {
        match (result, self.starting.parent) {
            (Err(TaskError::Exit(reason)), Some(parent)) => parent.falls_with(reason),
            _ => false,
        }
    }

    fn start_items(&mut self) {
        let window = self.max_concurrency.saturating_mul(2);
        while self.has_more
            && self.running.len() < self.max_concurrency
            && self.waiting.len() < window
        {
            match self.items.next() {
                Some(item) => self.start(item),
                None => self.has_more = false,
            }
        }
    }

    fn start(&mut self, item: I::Item) {
        let (number, place) = (self.next, self.running.take_place());
        self.next += 1;
        if self.is_ordered {
            self.waiting.push_back(None);
        }
        let launch = Launch {
            function: self.function.clone(),
            item,
            timeout: self.timeout,
            teller: Teller {
                item: number,
                place,
                tell: self.tell.clone(),
            },
        };
        let pid = match &self.supervisor {
            Some(supervisor) => {
                start_under(supervisor, launch);
                self.starting.runtime.nobody()
            }
            None => self.start_here(launch),
        };
        self.running.places[place] = Some((number, pid));
    }

    /// Starts an item; answers its process.
    fn start_here(&self, launch: Launch<F, I::Item, T>) -> Pid {
        match prepare(&self.starting) {
            Ok(prepared) => {
                let pid = prepared.pid();
                launch.start(prepared, Launch::run);
                pid
            }
            Err(error) => {
                launch.teller.tell(Err(TaskError::NotStarted(error)));
                self.starting.runtime.nobody()
            }
        }
    }
}

/// An item that is to run.
struct Launch<F, A, T> {
    function: Arc<F>,
    item: A,
    timeout: Option<Duration>,
    teller: Teller<T>,
}

/// Tells what an item came out with.
struct Teller<T> {
    item: u64,
    place: usize,
    tell: mpsc::UnboundedSender<Outcome<T>>,
}

impl<T> Clone for Teller<T> {
    fn clone(&self) -> Self {
        Self {
            tell: self.tell.clone(),
            ..*self
        }
    }
}

impl<T> Teller<T> {
    fn tell(&self, result: Result<T, TaskError>) {
        let (item, place) = (self.item, self.place);
        // The stream may have been dropped.
        let _ = self.tell.send(Outcome {
            item,
            place,
            result,
        });
    }
}

impl<F, A, Fut, T> Launch<F, A, T>
where
    F: Fn(A) -> Fut + Send + Sync + 'static,
    A: Send + 'static,
    Fut: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    /// Has it run in a process.
    fn start<B>(self, prepared: Prepared<()>, run: impl FnOnce(Self) -> B + Send + 'static)
    where
        B: Future<Output = ()> + Send + 'static,
    {
        let ended = self.teller.clone();
        prepared.at_end(move |reason| {
            if !reason.is_normal() {
                ended.tell(Err(TaskError::Exit(reason.clone())));
            }
        });
        prepared.start(move |_: Process<()>| run(self));
    }

    async fn run(self) {
        let result = match self.timeout {
            None => Ok((self.function)(self.item).await),
            Some(timeout) => time::timeout(timeout, (self.function)(self.item))
                .await
                .map_err(|_| TaskError::TimedOut(timeout)),
        };
        self.teller.tell(result);
    }

    /// As `run`, until nobody takes results any more: for one whose process the stream does not know.
    async fn run_while_wanted(self) {
        let tell = self.teller.tell.clone();
        let (mut running, mut closed) = (pin!(self.run()), pin!(tell.closed()));
        std::future::poll_fn(|cx| match running.as_mut().poll(cx) {
            Poll::Pending => closed.as_mut().poll(cx),
            Poll::Ready(()) => Poll::Ready(()),
        })
        .await;
    }
}

/// Asks a supervisor to start an item. One that does not, or is not there, drops what would have started it,
/// which is told.
fn start_under<F, A, Fut, T>(supervisor: &ServerRef<Supervisor>, launch: Launch<F, A, T>)
where
    F: Fn(A) -> Fut + Send + Sync + 'static,
    A: Send + 'static,
    Fut: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let unstarted = Unstarted(Some(launch.teller.clone()));
    let start = move |supervisor: &Process<ServerMessage<Supervisor>>| {
        let prepared = prepare(&supervisor.starting()).map_err(refused)?;
        let pid = prepared.pid();
        supervisor.link(pid);
        unstarted.started();
        launch.start(prepared, Launch::run_while_wanted);
        Ok(pid)
    };
    supervisor.start_child_unheard(child(std::any::type_name::<F>(), start));
}

/// An item that a supervisor has not started yet. Dropped, it will not be.
struct Unstarted<T>(Option<Teller<T>>);

impl<T> Unstarted<T> {
    fn started(mut self) {
        self.0 = None;
    }
}

impl<T> Drop for Unstarted<T> {
    fn drop(&mut self) {
        if let Some(teller) = &self.0 {
            teller.tell(Err(TaskError::Refused));
        }
    }
}

impl<I, F, T> Drop for AsyncStream<'_, I, F, T> {
    fn drop(&mut self) {
        let running = self.running.places.iter().flatten();
        for (_, pid) in running {
            self.starting.runtime.exit(*pid, atom!("kill"));
        }
    }
}

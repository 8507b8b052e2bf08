//! A farm: workers that take jobs from one queue.
//!
//! Workers are children of a supervisor. One that falls is started anew; the job that it had goes to the front
//! of the queue, to be tried again by the next, until it was tried often enough: then who waits for it is
//! told. A worker that cannot be made is a failure of the job that it was to have, too. So a job may be done more
//! than once, in part or in whole, and `work` has to bear that.
//!
//! Invariants:
//! - `F1` each job that was taken in is answered once, or its [`Pending`] says that it will not be;
//! - `F2` at most `queue_max` jobs wait that no worker had yet; who brings one more waits;
//! - `F3` a job is tried once, and again `retries` times at most.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use purlin_otp::reason::{self, Reason};
use purlin_runtime::{Process, panics};
use purlin_term::Term;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::gen_server::{GenServer, ServerOptions, StartError, Starter, caught};
use crate::server_ref::ServerRef;
use crate::supervisor::{Child, Supervisor, one_for_one};

/// Jobs that may wait for a worker, for each that there is. A guess: enough that none has to wait for who
/// brings the next.
const QUEUE_PER_WORKER: usize = 4;

/// How long a worker that falls waits before it is started anew, and one that falls again within `BACKOFF_MAX`
/// longer, up to that: so that a farm that can start none does not keep a thread busy with it. Short beside
/// what makes a worker fall; a guess, unmeasured.
const BACKOFF_MIN: Duration = Duration::from_millis(1);

/// See [`BACKOFF_MIN`].
const BACKOFF_MAX: Duration = Duration::from_millis(100);

/// What works off jobs, one at a time, with a state of its own.
pub trait Worker: Send + 'static {
    /// What it is given. Cloned for each attempt.
    type Job: Clone + Send + 'static;
    /// What it answers.
    type Result: Send + 'static;

    /// Does a job.
    fn work(&mut self, job: Self::Job) -> impl Future<Output = Self::Result> + Send;
}

/// Why a job has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobError {
    /// Each worker that had it fell, or could not be made, the last with this reason.
    Failed {
        /// Why the last one fell.
        reason: Reason,
        /// How often it was tried.
        attempts: u32,
    },
    /// No farm has the job any more: its tree has ended, and no handle of it is left that could be started again.
    /// So who holds one, as during [`Farm::run`], never hears this: jobs wait for the next start.
    Gone,
}

impl std::error::Error for JobError {}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { reason, attempts } => {
                write!(f, "the job failed {attempts} times, at last with {reason}")
            }
            Self::Gone => write!(f, "the farm is no more"),
        }
    }
}

/// A queue of jobs, and what makes the workers that take them; a handle, cheap to clone.
///
/// ```
/// # use std::sync::Arc;
/// # use purlin_runtime::{Config, Runtime, TokioExecutor};
/// # use purlin_term::{NodeName, atom};
/// use purlin_behaviours::skeleton::{Farm, Worker};
///
/// struct Squarer;
///
/// impl Worker for Squarer {
///     type Job = u64;
///     type Result = u64;
///
///     async fn work(&mut self, n: u64) -> u64 {
///         n * n
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = NodeName::new(&atom!("farm@doc"))?;
/// # let runtime = Runtime::new(node, 1, Arc::new(TokioExecutor::current()), Config::default());
/// let farm = Farm::new(4, || Squarer).retries(2);
/// farm.start(&runtime).await?;
/// assert_eq!(farm.run(12).await?, 144);
/// # Ok(())
/// # }
/// ```
pub struct Farm<J, R> {
    queue: Arc<Queue<J, R>>,
    tree: Arc<Tree<J, R>>,
}

/// Makes the workers of a queue.
type Tree<J, R> = dyn Fn(&Arc<Queue<J, R>>) -> Supervisor + Send + Sync;

impl<J, R> Clone for Farm<J, R> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            tree: self.tree.clone(),
        }
    }
}

struct Queue<J, R> {
    jobs: Mutex<VecDeque<Job<J, R>>>,
    /// One permit for each job in the queue.
    waiting: Semaphore,
    /// Places for jobs that no worker had yet.
    room: Arc<Semaphore>,
    retries: u32,
}

struct Job<J, R> {
    job: J,
    /// How often it was tried.
    attempts: u32,
    answer: Answer<R>,
    /// Given back when a worker has it.
    place: Option<OwnedSemaphorePermit>,
}

/// Where the result of a job goes.
enum Answer<R> {
    One(oneshot::Sender<Result<R, JobError>>),
    OfMany(usize, mpsc::UnboundedSender<(usize, Result<R, JobError>)>),
}

impl<R> Answer<R> {
    fn is_closed(&self) -> bool {
        match self {
            Self::One(one) => one.is_closed(),
            Self::OfMany(_, many) => many.is_closed(),
        }
    }

    fn send(self, result: Result<R, JobError>) {
        // Whoever waits may have given up.
        match self {
            Self::One(one) => drop(one.send(result)),
            Self::OfMany(index, many) => drop(many.send((index, result))),
        }
    }
}

/// The result of a job, to come. A future; dropped before a worker has the job, the job is not done.
#[must_use = "a job whose result nobody waits for is not done"]
pub struct Pending<R>(oneshot::Receiver<Result<R, JobError>>);

impl<R> Future for Pending<R> {
    type Output = Result<R, JobError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.0).poll(cx);
        answer.map(|answer| answer.unwrap_or(Err(JobError::Gone)))
    }
}

impl<J: Clone + Send + 'static, R: Send + 'static> Farm<J, R> {
    /// So many workers, at least one, each made by `make`, also after a fall. They do not run yet.
    pub fn new<W>(workers: usize, make: impl Fn() -> W + Send + Sync + 'static) -> Self
    where
        W: Worker<Job = J, Result = R>,
    {
        let workers = workers.max(1);
        let make = Arc::new(make);
        let tree = move |queue: &Arc<Queue<J, R>>| {
            // How often a job may make one fall the farm bounds itself.
            let tree = one_for_one().intensity(u32::MAX, Duration::from_secs(1));
            let mut tree = tree.backoff(BACKOFF_MIN, BACKOFF_MAX);
            for number in 0..workers {
                let (queue, make) = (queue.clone(), make.clone());
                let body = move |_: Process<()>| serve(queue.clone(), make.clone());
                tree = tree.with(Child::process(Term::from(number as i64), body));
            }
            tree
        };
        let queue = Queue::new(workers * QUEUE_PER_WORKER, 0);
        Self {
            queue: Arc::new(queue),
            tree: Arc::new(tree),
        }
    }

    /// How often a job is tried again whose worker fell; zero if nothing is said. For a farm that has no jobs
    /// yet.
    pub fn retries(mut self, retries: u32) -> Self {
        let queue_max = self.queue.room.available_permits();
        self.queue = Arc::new(Queue::new(queue_max, retries));
        self
    }

    /// How many jobs may wait that no worker had yet, at least one. For a farm that has no jobs yet.
    pub fn queue_max(mut self, jobs: usize) -> Self {
        let jobs = jobs.clamp(1, Semaphore::MAX_PERMITS);
        self.queue = Arc::new(Queue::new(jobs, self.queue.retries));
        self
    }

    /// The workers under their supervisor, to be started as a child of another:
    /// `Child::new("farm", move || farm.tree())`. Jobs wait as long as it does not run.
    pub fn tree(&self) -> Supervisor {
        (self.tree)(&self.queue)
    }

    /// Starts the workers, linked to `on` if that is a process.
    ///
    /// # Errors
    /// [`StartError`]: a worker did not start; none runs.
    pub async fn start(
        &self,
        on: &(impl Starter + ?Sized),
    ) -> Result<ServerRef<Supervisor>, StartError> {
        let options = ServerOptions::default().link();
        self.tree().start_with(on, options).await
    }

    /// Brings a job, waiting while the queue is full; its result is waited for later. Cancel-safe: dropped
    /// before it is ready, the job was not brought.
    pub async fn submit(&self, job: J) -> Pending<R> {
        let (answer, pending) = oneshot::channel();
        self.bring(job, Answer::One(answer)).await;
        Pending(pending)
    }

    /// Has a job done, and waits for its result, also for the start of the farm.
    ///
    /// # Errors
    /// [`JobError`].
    pub async fn run(&self, job: J) -> Result<R, JobError> {
        self.submit(job).await.await
    }

    /// Has jobs done; results are in their order.
    pub async fn run_all(&self, jobs: impl IntoIterator<Item = J>) -> Vec<Result<R, JobError>> {
        let mut results = self.run_unordered(jobs).await;
        results.sort_unstable_by_key(|(index, _)| *index);
        results.into_iter().map(|(_, result)| result).collect()
    }

    /// Has jobs done; results come as they are ready, each with the number of its job.
    pub async fn run_unordered(
        &self,
        jobs: impl IntoIterator<Item = J>,
    ) -> Vec<(usize, Result<R, JobError>)> {
        let (answer, mut results) = mpsc::unbounded_channel();
        let jobs: Vec<J> = jobs.into_iter().collect();
        for (index, job) in jobs.into_iter().enumerate() {
            self.bring(job, Answer::OfMany(index, answer.clone())).await;
        }
        drop(answer);
        let mut all = Vec::new();
        while let Some(result) = results.recv().await {
            all.push(result);
        }
        all
    }

    async fn bring(&self, job: J, answer: Answer<R>) {
        let room = self.queue.room.clone();
        let place = room.acquire_owned().await.ok();
        let job = Job {
            job,
            attempts: 0,
            answer,
            place,
        };
        self.queue.jobs().push_back(job);
        self.queue.waiting.add_permits(1);
    }
}

impl<J, R> Queue<J, R> {
    fn new(queue_max: usize, retries: u32) -> Self {
        Self {
            jobs: Mutex::default(),
            waiting: Semaphore::new(0),
            room: Arc::new(Semaphore::new(queue_max)),
            retries,
        }
    }

    fn jobs(&self) -> MutexGuard<'_, VecDeque<Job<J, R>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job that somebody waits for.
    async fn take(self: &Arc<Self>) -> InHand<J, R> {
        loop {
            let waiting = self.waiting.acquire().await;
            waiting.expect("it is never closed").forget();
            let job = self.jobs().pop_front();
            let mut job = job.expect("there is one for each permit");
            job.place = None;
            job.attempts += 1;
            if !job.answer.is_closed() {
                return InHand {
                    job: Some(job),
                    queue: self.clone(),
                };
            }
        }
    }

    /// The worker that had a job fell.
    fn failed(&self, job: Job<J, R>, reason: Reason) {
        if job.attempts <= self.retries {
            self.jobs().push_front(job);
            self.waiting.add_permits(1);
        } else {
            let attempts = job.attempts;
            job.answer.send(Err(JobError::Failed { reason, attempts }));
        }
    }
}

/// A job that a worker has. Dropped without an answer, it fell with the worker, which was ended from outside.
struct InHand<J, R> {
    job: Option<Job<J, R>>,
    queue: Arc<Queue<J, R>>,
}

impl<J: Clone, R> InHand<J, R> {
    fn job(&self) -> J {
        let job = self.job.as_ref().expect("it was not answered yet");
        job.job.clone()
    }

    fn done(mut self, result: R) {
        if let Some(job) = self.job.take() {
            job.answer.send(Ok(result));
        }
    }

    fn failed(mut self, reason: Reason) {
        if let Some(job) = self.job.take() {
            self.queue.failed(job, reason);
        }
    }
}

impl<J, R> Drop for InHand<J, R> {
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            self.queue.failed(job, reason::killed());
        }
    }
}

/// The life of a worker. One that cannot be made waits for a job, for which it is tried again, and whose
/// failure that is: whoever waits for the job hears why.
async fn serve<W: Worker>(
    queue: Arc<Queue<W::Job, W::Result>>,
    make: Arc<impl Fn() -> W + Send + Sync>,
) {
    let mut worker = made(&*make);
    loop {
        let in_hand = queue.take().await;
        let (job, worker, make) = (in_hand.job(), &mut worker, &*make);
        // The calls too, since they may fail before there is a future of them.
        let work = async move { worker.get_or_insert_with(make).work(job).await };
        match caught(work).await {
            Ok(result) => in_hand.done(result),
            Err(panic) => {
                in_hand.failed(panics::exit_reason(&*panic));
                resume_unwind(panic);
            }
        }
    }
}

fn made<W>(make: impl Fn() -> W) -> Option<W> {
    let made = catch_unwind(AssertUnwindSafe(make));
    made.inspect_err(|panic| {
        let reason = panics::exit_reason(&**panic);
        tracing::error!(%reason, "a worker of a farm could not be made");
    })
    .ok()
}

//! A pipe: stages, each a process, joined by bounded queues.
//!
//! All stages work at once, each on one item. An item for which a stage fails comes out as that failure, in its
//! place, and later stages pass it on; the stage goes on with the next. Where the items themselves fail to come, that
//! failure is the last. A stage that is ended from outside ends
//! the pipe, and what it had and what was behind it is lost: the last result says so.
//!
//! Invariants:
//! - `P1` results come in the order of the items, one for each, unless a stage was ended from outside;
//! - `P2` at most `bound` items wait between two stages;
//! - `P3` no stage runs on when the pipe is dropped.

use std::panic::{AssertUnwindSafe, catch_unwind};

use purlin_otp::reason;
use purlin_runtime::{Process, Runtime, TooManyProcesses, panics};
use purlin_term::{Pid, atom};
use tokio::sync::mpsc;

use crate::gen_server::{Starter, caught};
use crate::task::TaskError;

/// What goes from stage to stage.
enum Flow<T> {
    Item(Result<T, TaskError>),
    /// There are no more.
    End,
}

/// Stages that items pass through, and what comes out of the last: see [`pipe`].
#[must_use = "a pipe from which nobody takes stands still"]
pub struct Pipe<T> {
    output: mpsc::Receiver<Flow<T>>,
    bound: usize,
    stages: Stages,
    is_over: bool,
}

/// The processes of a pipe, which end with it.
struct Stages {
    runtime: Runtime,
    pids: Vec<Pid>,
}

impl Drop for Stages {
    fn drop(&mut self) {
        for pid in &self.pids {
            self.runtime.exit(*pid, atom!("kill"));
        }
    }
}

impl Stages {
    fn start<F>(&mut self, body: F) -> Result<(), TooManyProcesses>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let started = self.runtime.spawn(move |_: Process<()>| body)?;
        self.pids.push(started.pid());
        Ok(())
    }
}

/// A pipe that `items` go into; at most `bound`, and at least one, wait between two stages.
///
/// ```
/// # use std::sync::Arc;
/// # use purlin_runtime::{Config, Runtime, TokioExecutor};
/// # use purlin_term::{NodeName, atom};
/// use purlin_behaviours::skeleton::pipe;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = NodeName::new(&atom!("pipe@doc"))?;
/// # let runtime = Runtime::new(node, 1, Arc::new(TokioExecutor::current()), Config::default());
/// let mut lengths = pipe(&runtime, 8, ["one", "three"])?
///     .stage(|word| async move { word.len() })?
///     .stage(|length| async move { length * 10 })?;
/// assert_eq!(lengths.next().await, Some(Ok(30)));
/// assert_eq!(lengths.next().await, Some(Ok(50)));
/// assert_eq!(lengths.next().await, None);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`TooManyProcesses`] when as many live as may; nothing runs.
pub fn pipe<I>(
    on: &(impl Starter + ?Sized),
    bound: usize,
    items: I,
) -> Result<Pipe<I::Item>, TooManyProcesses>
where
    I: IntoIterator<IntoIter: Send + 'static, Item: Send + 'static>,
{
    let bound = bound.max(1);
    let (input, output) = mpsc::channel(bound);
    let mut stages = Stages {
        runtime: on.starting().runtime.clone(),
        pids: Vec::new(),
    };
    let items = items.into_iter();
    stages.start(take_in(items, input))?;
    Ok(Pipe {
        output,
        bound,
        stages,
        is_over: false,
    })
}

impl<T: Send + 'static> Pipe<T> {
    /// One more stage, which does this with each item.
    ///
    /// # Errors
    /// [`TooManyProcesses`] when as many live as may; nothing of the pipe runs any more.
    pub fn stage<U, F, Fut>(self, function: F) -> Result<Pipe<U>, TooManyProcesses>
    where
        U: Send + 'static,
        F: FnMut(T) -> Fut + Send + 'static,
        Fut: Future<Output = U> + Send + 'static,
    {
        let (next, output) = mpsc::channel(self.bound);
        let mut stages = self.stages;
        stages.start(run(self.output, function, next))?;
        Ok(Pipe {
            output,
            bound: self.bound,
            stages,
            is_over: false,
        })
    }

    /// The next result; `None` after the last. Cancel-safe: dropped before it is ready, nothing is lost.
    pub async fn next(&mut self) -> Option<Result<T, TaskError>> {
        if self.is_over {
            return None;
        }
        match self.output.recv().await {
            Some(Flow::Item(result)) => Some(result),
            Some(Flow::End) => {
                self.is_over = true;
                None
            }
            None => {
                self.is_over = true;
                Some(Err(ended_from_outside()))
            }
        }
    }
}

fn ended_from_outside() -> TaskError {
    TaskError::Exit(reason::killed())
}

/// The life of what takes items in. What fails to give the next is not asked again.
async fn take_in<T>(mut items: impl Iterator<Item = T>, input: mpsc::Sender<Flow<T>>) {
    loop {
        let item = match catch_unwind(AssertUnwindSafe(|| items.next())) {
            Ok(Some(item)) => Ok(item),
            Ok(None) => break,
            Err(panic) => Err(TaskError::Exit(panics::exit_reason(&*panic))),
        };
        let is_last = item.is_err();
        if input.send(Flow::Item(item)).await.is_err() {
            return;
        }
        if is_last {
            break;
        }
    }
    let _ = input.send(Flow::End).await;
}

/// The life of a stage.
async fn run<T, U, F, Fut>(
    mut input: mpsc::Receiver<Flow<T>>,
    mut function: F,
    output: mpsc::Sender<Flow<U>>,
) where
    F: FnMut(T) -> Fut,
    Fut: Future<Output = U>,
{
    loop {
        let result = match input.recv().await {
            Some(Flow::Item(Ok(item))) => {
                // The function too, since it may fail before there is a future of it.
                let done = caught(async { function(item).await }).await;
                done.map_err(|panic| TaskError::Exit(panics::exit_reason(&*panic)))
            }
            Some(Flow::Item(Err(failed))) => Err(failed),
            Some(Flow::End) => break,
            // The one before was ended, and has said nothing: no more is said of it here.
            None => return,
        };
        if output.send(Flow::Item(result)).await.is_err() {
            return;
        }
    }
    let _ = output.send(Flow::End).await;
}

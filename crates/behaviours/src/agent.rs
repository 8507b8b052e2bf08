//! Agents: state in a process, looked at and changed by functions that are moved to it.
//!
//! An [`Agent`] is a server whose requests are closures. They run one after another, in the order in which
//! they came; what they answer is moved, not encoded. A function that panics ends the agent, and whoever
//! waits for it is told why.
//!
//! Source: Elixir's `Agent`. Deviation: functions cannot go to another node, so neither can an agent be asked
//! from there.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use purlin_runtime::{Local, Reason, Runtime, SendError, panics};
use purlin_term::{Atom, Pid, Term, atom};
use tokio::sync::oneshot;
use tokio::time;

use crate::by;
use crate::call::{CALL_TIMEOUT, CallError};
use crate::gen_server::{
    Context, GenServer, HandleCast, ServerMessage, ServerOptions, StartError, Starter,
};
use crate::messages::Has;
use crate::server_ref::ServerRef;
use crate::supervisor::Child;

/// The process of an agent.
struct Cell<S>(S);

/// What is done with a state; answers whether the agent goes on.
type Step<S> = Box<dyn FnOnce(&mut S) -> bool + Send>;

impl<S: Send + 'static> GenServer for Cell<S> {
    type Messages = (by::Cast<Local<Step<S>>>,);
}

impl<S: Send + 'static> HandleCast<Local<Step<S>>> for Cell<S> {
    async fn handle_cast(&mut self, Local(step): Local<Step<S>>, ctx: &mut Context<Self>) {
        if !step(&mut self.0) {
            ctx.stop(atom!("normal"));
        }
    }
}

fn wrap<S: Send + 'static>(step: Step<S>) -> ServerMessage<Cell<S>> {
    type Taken<S> = <Cell<S> as GenServer>::Messages;
    let message = <Taken<S> as Has<Cell<S>, by::Cast<Local<Step<S>>>, _>>::wrap(Local(step));
    ServerMessage::own(message)
}

/// A state of type `S` in a process of this node.
///
/// ```
/// # use std::sync::Arc;
/// # use purlin_runtime::{Config, Runtime, TokioExecutor};
/// # use purlin_term::{NodeName, atom};
/// use purlin_behaviours::Agent;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = NodeName::new(&atom!("agents@doc"))?;
/// # let runtime = Runtime::new(node, 1, Arc::new(TokioExecutor::current()), Config::default());
/// let names = Agent::start(&runtime, vec!["ann"]).await?;
/// names.update(|names| names.push("bob")).await?;
/// assert_eq!(names.get(|names| names.len()).await?, 2);
/// # Ok(())
/// # }
/// ```
pub struct Agent<S: Send + 'static> {
    at: At<S>,
    runtime: Runtime,
    timeout: Duration,
}

enum At<S: Send + 'static> {
    Server(ServerRef<Cell<S>>),
    Name(Atom),
}

impl<S: Send + 'static> Clone for Agent<S> {
    fn clone(&self) -> Self {
        let at = match &self.at {
            At::Server(server) => At::Server(server.clone()),
            At::Name(name) => At::Name(name.clone()),
        };
        Self {
            at,
            runtime: self.runtime.clone(),
            timeout: self.timeout,
        }
    }
}

impl<S: Send + 'static> Agent<S> {
    /// Starts an agent with this state.
    ///
    /// # Errors
    /// [`StartError`]: there is no such process.
    pub async fn start(on: &(impl Starter + ?Sized), state: S) -> Result<Self, StartError> {
        Self::start_with(on, ServerOptions::default(), state).await
    }

    /// As [`Agent::start`], with a name, or linked to who starts it.
    ///
    /// # Errors
    /// [`StartError`]: there is no such process.
    pub async fn start_with(
        on: &(impl Starter + ?Sized),
        options: ServerOptions,
        state: S,
    ) -> Result<Self, StartError> {
        let runtime = on.starting().runtime.clone();
        let server = Cell(state).start_with(on, options).await?;
        Ok(Self {
            at: At::Server(server),
            runtime,
            timeout: CALL_TIMEOUT,
        })
    }

    /// The agent of this node that has this name, whichever it is when it is asked. That its state is an `S` the
    /// caller vouches for: one of another type is not asked, and the answer is [`SendError::Encode`].
    pub fn named(on: &(impl Starter + ?Sized), name: impl Into<Atom>) -> Self {
        Self {
            at: At::Name(name.into()),
            runtime: on.starting().runtime.clone(),
            timeout: CALL_TIMEOUT,
        }
    }

    /// An agent as a child of a supervisor, with the state that `make` makes for each start. Others ask it by
    /// its name: [`Child::registered`], [`Agent::named`].
    pub fn child(id: impl Into<Term>, make: impl Fn() -> S + Send + Sync + 'static) -> Child {
        Child::new(id, move || Cell(make()))
    }

    /// How long answers are waited for, if not [`CALL_TIMEOUT`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The process, if there is one.
    pub fn pid(&self) -> Option<Pid> {
        match &self.at {
            At::Server(server) => server.pid(),
            At::Name(name) => self.runtime.whereis(name),
        }
    }

    /// What a function says of the state.
    ///
    /// # Errors
    /// [`CallError`]: see there what each case says about whether the function was run.
    pub async fn get<R: Send + 'static>(
        &self,
        look: impl FnOnce(&S) -> R + Send + 'static,
    ) -> Result<R, CallError> {
        self.get_and_update(|state| look(state)).await
    }

    /// Changes the state, and waits until that is done.
    ///
    /// # Errors
    /// [`CallError`]: see there what each case says about whether the function was run.
    pub async fn update(
        &self,
        change: impl FnOnce(&mut S) + Send + 'static,
    ) -> Result<(), CallError> {
        self.get_and_update(change).await
    }

    /// Changes the state, and answers what the function does.
    ///
    /// # Errors
    /// [`CallError`]: see there what each case says about whether the function was run.
    pub async fn get_and_update<R: Send + 'static>(
        &self,
        change: impl FnOnce(&mut S) -> R + Send + 'static,
    ) -> Result<R, CallError> {
        let (told, answer) = oneshot::channel::<Result<R, Reason>>();
        let step: Step<S> = Box::new(move |state| {
            match catch_unwind(AssertUnwindSafe(|| change(state))) {
                Ok(answer) => drop(told.send(Ok(answer))),
                Err(panic) => {
                    let _ = told.send(Err(panics::exit_reason(&*panic)));
                    resume_unwind(panic);
                }
            }
            true
        });
        let asked = async {
            self.send(step).await?;
            match answer.await {
                Ok(answer) => answer.map_err(|reason| CallError::Ended(Term::clone(&reason))),
                Err(_) => Err(CallError::NoProcess),
            }
        };
        let asked = time::timeout(self.timeout, asked).await;
        asked.unwrap_or(Err(CallError::TimedOut(self.timeout)))
    }

    /// Changes the state some time, without waiting for it.
    ///
    /// # Errors
    /// [`SendError`]: it was not sent. Whether a change that was sent is made is unknown.
    pub async fn cast(
        &self,
        change: impl FnOnce(&mut S) + Send + 'static,
    ) -> Result<(), SendError> {
        let step: Step<S> = Box::new(move |state| {
            change(state);
            true
        });
        self.send(step).await
    }

    /// Ends the agent, after what it was asked before.
    ///
    /// # Errors
    /// [`SendError`]: it was not sent.
    pub async fn stop(&self) -> Result<(), SendError> {
        self.send(Box::new(|_| false)).await
    }

    async fn send(&self, step: Step<S>) -> Result<(), SendError> {
        match &self.at {
            At::Server(server) => server.cast(Local(step)).await,
            At::Name(name) => self.runtime.send(name.clone(), wrap(step)).await,
        }
    }
}

//! The master of an application: the process that starts its tree, and ends with it. One without a tree has one
//! if something is to be done around its start or end.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use purlin_otp::reason::{self, Reason};
use purlin_otp::relations::Info;
use purlin_runtime::{Process, Received, panics};
use purlin_term::{Pid, Term, atom};
use tokio::sync::oneshot;

use super::controller::{Changing, Running};
use super::{Application, Env, Loaded, Phase, Stopping};
use crate::gen_server::{GenServer, ServerOptions, StartError, caught};

/// Runs an application until its tree has ended; answers why it did. Who starts it is told by `ready` when it
/// has started, and by the end of this process if it has not. Nobody else starts or stops one before that, which
/// `changing` says: who starts it may give up meanwhile, and then it does not start, or is ended again.
pub(super) async fn run(
    process: Process<()>,
    application: Loaded,
    running: Running,
    mut ready: Ready,
    changing: Changing,
) -> Reason {
    let mut master = Master {
        process,
        application,
    };
    let root = match master.start(&mut ready).await {
        Ok(root) => root,
        Err(reason) => {
            let _ = ready.send(Err(reason));
            return reason::normal();
        }
    };
    running.begin(master.process.pid());
    let ended = match ready.send(Ok(())) {
        Ok(()) => {
            drop(changing);
            master.wait(root, &running).await
        }
        Err(_) => {
            master.stop(root, &running).await;
            reason::normal()
        }
    };
    master.run("stop", |application| &application.stop).await;
    ended
}

/// Tells who starts an application how that came out.
type Ready = oneshot::Sender<Result<(), Reason>>;

struct Master {
    process: Process<()>,
    application: Loaded,
}

impl Master {
    fn env(&self) -> Env {
        self.application.env.clone()
    }

    /// Starts the tree, if there is one, and runs the phases.
    async fn start(&mut self, ready: &mut Ready) -> Result<Option<Pid>, Reason> {
        self.process.trap_exit(true);
        let root = match &self.application.tree {
            Some(tree) => {
                let options = ServerOptions::default().link();
                let started = tree(&self.env()).start_with(&self.process, options).await;
                started.map_err(|error| reason_of(&error))?.pid()
            }
            None => None,
        };
        if let Err(reason) = self.run_phases(ready).await {
            self.end(root).await;
            return Err(reason);
        }
        Ok(root)
    }

    async fn run_phases(&self, ready: &mut Ready) -> Result<(), Reason> {
        for (name, phase) in &self.application.phases {
            let env = self.env();
            // The call too, since it may fail before there is a future of it.
            let done = caught(async move { Phase::as_ref(phase)(env).await });
            let Some(done) = unless(ready.closed(), done).await else {
                return Err(reason::shutdown());
            };
            let done: Result<(), Reason> =
                done.unwrap_or_else(|panic| Err(panics::exit_reason(&*panic)));
            done.map_err(|reason| {
                let failed = [atom!("start_phase").into(), name.clone().into()];
                let failed = failed.into_iter().chain([Term::clone(&reason)]);
                Reason::new(Term::tuple(failed.collect::<Vec<_>>()))
            })?;
        }
        Ok(())
    }

    /// Waits until the tree has ended, by itself or because this process is told to end; answers the reason.
    async fn wait(&mut self, root: Option<Pid>, running: &Running) -> Reason {
        loop {
            let Received::Info(Info::Exit { from, reason }) = self.process.receive().await else {
                continue;
            };
            if Some(from) == root {
                return reason;
            }
            self.stop(root, running).await;
            return reason::normal();
        }
    }

    /// Prepares the end, and ends the tree.
    async fn stop(&mut self, root: Option<Pid>, running: &Running) {
        running.stopping();
        self.run("prep_stop", |application| &application.prep_stop)
            .await;
        self.end(root).await;
    }

    /// Ends the tree.
    async fn end(&mut self, root: Option<Pid>) {
        let Some(root) = root else { return };
        self.process.exit(root, atom!("shutdown"));
        loop {
            if let Received::Info(Info::Exit { from, .. }) = self.process.receive().await
                && from == root
            {
                return;
            }
        }
    }

    /// Runs a function around the end; one that fails does not keep the application from ending.
    async fn run(&self, what: &'static str, which: impl Fn(&Application) -> &Option<Stopping>) {
        let Some(function) = which(&self.application) else {
            return;
        };
        let env = self.env();
        if let Err(panic) = caught(async move { function(env).await }).await {
            let (application, reason) = (self.application.name(), panics::exit_reason(&*panic));
            tracing::error!(%application, what, %reason, "a function of an application failed");
        }
    }
}

/// What comes of `wanted`; `None` if that was given up before.
async fn unless<T>(
    given_up: impl Future<Output = ()>,
    wanted: impl Future<Output = T>,
) -> Option<T> {
    let (mut given_up, mut wanted) = (pin!(given_up), pin!(wanted));
    poll_fn(|cx| match wanted.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => given_up.as_mut().poll(cx).map(|()| None),
    })
    .await
}

fn reason_of(error: &StartError) -> Reason {
    match error {
        StartError::Failed(reason) => reason.clone(),
        other => Reason::new(other.to_string().as_str().into()),
    }
}

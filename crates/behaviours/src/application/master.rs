//! The master of an application: the process that starts its tree, and ends with it.

use purlin_otp::reason::{self, Reason};
use purlin_otp::relations::Info;
use purlin_runtime::{Process, Received};
use purlin_term::{Pid, Term, atom};
use tokio::sync::oneshot;

use super::controller::Running;
use super::{Application, Env, Loaded, Phase};
use crate::gen_server::{GenServer, ServerOptions, StartError};

/// Runs an application until its tree has ended; answers why it did. Who starts it is told by `ready` when it
/// has started, and by the end of this process if it has not.
pub(super) async fn run(
    process: Process<()>,
    application: Loaded,
    running: Running,
    ready: oneshot::Sender<Result<(), Reason>>,
) -> Reason {
    let mut master = Master {
        process,
        application,
    };
    match master.start().await {
        Ok(root) => {
            running.begin(master.process.pid());
            let _ = ready.send(Ok(()));
            let ended = master.wait(root, &running).await;
            master.run(|application| &application.stop).await;
            ended
        }
        Err(reason) => {
            let _ = ready.send(Err(reason));
            reason::normal()
        }
    }
}

struct Master {
    process: Process<()>,
    application: Loaded,
}

impl Master {
    fn env(&self) -> Env {
        self.application.env.clone()
    }

    /// Starts the tree and runs the phases.
    async fn start(&mut self) -> Result<Pid, Reason> {
        self.process.trap_exit(true);
        let tree = self.application.tree.as_ref();
        let tree = tree.expect("an application without a tree has no master")(&self.env());
        let options = ServerOptions::default().link();
        let started = tree.start_with(&self.process, options).await;
        let root = started.map_err(|error| reason_of(&error))?;
        let root = root.pid().expect("it was started here");
        if let Err(reason) = self.run_phases().await {
            self.end(root).await;
            return Err(reason);
        }
        Ok(root)
    }

    async fn run_phases(&self) -> Result<(), Reason> {
        for (name, phase) in &self.application.phases {
            let done: Result<(), Reason> = Phase::as_ref(phase)(self.env()).await;
            done.map_err(|reason| {
                let failed = [atom!("start_phase").into(), name.clone().into()];
                let failed = failed.into_iter().chain([Term::clone(&reason)]);
                Reason::new(Term::tuple(failed.collect::<Vec<_>>()))
            })?;
        }
        Ok(())
    }

    /// Waits until the tree has ended, by itself or because this process is told to end; answers the reason.
    async fn wait(&mut self, root: Pid, running: &Running) -> Reason {
        loop {
            let Received::Info(Info::Exit { from, reason }) = self.process.receive().await else {
                continue;
            };
            if from == root {
                return reason;
            }
            running.stopping();
            self.run(|application| &application.prep_stop).await;
            self.end(root).await;
            return reason::normal();
        }
    }

    /// Ends the tree.
    async fn end(&mut self, root: Pid) {
        self.process.exit(root, atom!("shutdown"));
        loop {
            if let Received::Info(Info::Exit { from, .. }) = self.process.receive().await
                && from == root
            {
                return;
            }
        }
    }

    async fn run(&self, which: impl Fn(&Application) -> &Option<super::Stopping>) {
        if let Some(function) = which(&self.application) {
            function(self.env()).await;
        }
    }
}

fn reason_of(error: &StartError) -> Reason {
    match error {
        StartError::Failed(reason) => reason.clone(),
        other => Reason::new(other.to_string().as_str().into()),
    }
}

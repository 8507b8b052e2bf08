//! What is loaded, and what runs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use purlin_otp::reason::{self, Reason};
use purlin_runtime::{Process, Runtime, SpawnError, SpawnOptions, TooManyProcesses};
use purlin_term::{Atom, Pid, Term, atom};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, oneshot};

use super::{Application, Env, Loaded, RestartType, master};

/// Why an application was not loaded, started or stopped. What it says happened before was undone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApplicationError {
    /// There is one of this name.
    AlreadyLoaded(Atom),
    /// There is none of this name.
    NotLoaded(Atom),
    /// It runs already.
    AlreadyStarted(Atom),
    /// It does not run; to start it this one has to run before.
    NotStarted(Atom),
    /// It depends on itself, by others.
    Circular(Atom),
    /// Its tree or a start phase of it did not start; nothing of it runs.
    Failed(Atom, Reason),
    /// There is no room for its process.
    TooManyProcesses(TooManyProcesses),
}

impl std::error::Error for ApplicationError {}

impl fmt::Display for ApplicationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyLoaded(name) => write!(f, "application {name} is loaded already"),
            Self::NotLoaded(name) => write!(f, "application {name} is not loaded"),
            Self::AlreadyStarted(name) => write!(f, "application {name} is started already"),
            Self::NotStarted(name) => write!(f, "application {name} is not started"),
            Self::Circular(name) => write!(f, "application {name} depends on itself"),
            Self::Failed(name, reason) => {
                write!(f, "application {name} did not start: {reason}")
            }
            Self::TooManyProcesses(error) => error.fmt(f),
        }
    }
}

/// An application that runs, as `which_applications` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningApplication {
    /// Its name.
    pub name: Atom,
    /// What it is.
    pub description: String,
    /// Its version.
    pub version: String,
}

/// The applications of a node; a handle, cheap to clone.
#[derive(Clone)]
pub struct Applications(Arc<Inner>);

struct Inner {
    runtime: Runtime,
    state: Mutex<State>,
    /// Held while one is started or stopped (`A2`).
    changing: Arc<AsyncMutex<()>>,
    /// Told of each master when its application begins.
    begun: Box<dyn Fn(Pid) + Send + Sync>,
}

/// One start or stop is under way, as long as somebody has this: who asked for it, or a master that begins (`A4`).
pub(super) type Changing = Arc<OwnedMutexGuard<()>>;

#[derive(Default)]
struct State {
    loaded: BTreeMap<Atom, Loaded>,
    /// In the order in which they were started.
    running: Vec<Entry>,
}

struct Entry {
    name: Atom,
    /// `None`: it has no processes.
    master: Option<Pid>,
    /// It was told to end.
    is_stopping: bool,
    /// Who waits for its end, which needs no process: dropped with this.
    waiting: Vec<oneshot::Sender<()>>,
}

/// An application as its master tells of it.
#[derive(Clone)]
pub(super) struct Running {
    applications: Weak<Inner>,
    name: Atom,
}

impl Running {
    pub(super) fn begin(&self, master: Pid) {
        if let Some(inner) = self.applications.upgrade() {
            inner.begin(&self.name, Some(master));
            (inner.begun)(master);
        }
    }

    pub(super) fn stopping(&self) {
        if let Some(inner) = self.applications.upgrade() {
            let mut state = inner.state();
            let of = |entry: &&mut Entry| entry.name == self.name;
            if let Some(entry) = state.running.iter_mut().find(of) {
                entry.is_stopping = true;
            }
        }
    }

    /// Its master has ended.
    fn ended(&self, master: Pid, reason: &Reason) {
        if let Some(inner) = self.applications.upgrade() {
            inner.ended(&self.name, master, reason);
        }
    }
}

impl Applications {
    /// None, for the node of this runtime.
    pub fn new(runtime: Runtime) -> Self {
        Self::observed(runtime, |_| {})
    }

    /// As [`Applications::new`]; `begun` is told of the process that each application depends on, in the order in
    /// which they start, before who starts one hears of it. Told to `shutdown`, that process ends it.
    #[doc(hidden)]
    pub fn observed(runtime: Runtime, begun: impl Fn(Pid) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            runtime,
            state: Mutex::default(),
            changing: Arc::default(),
            begun: Box::new(begun),
        }))
    }

    async fn changing(&self) -> Changing {
        Arc::new(self.0.changing.clone().lock_owned().await)
    }

    /// Makes an application known, so that it can be started by name: `application:load/1`.
    ///
    /// # Errors
    /// [`ApplicationError::AlreadyLoaded`].
    pub fn load(&self, application: Application) -> Result<(), ApplicationError> {
        let name = application.name.clone();
        let mut state = self.0.state();
        if state.loaded.contains_key(&name) {
            return Err(ApplicationError::AlreadyLoaded(name));
        }
        state.loaded.insert(name, Arc::new(application));
        Ok(())
    }

    /// Starts an application that is loaded, and waits until its tree and phases are: `application:start/1`.
    /// Cancel-safe: dropped before it is ready, the application does not start, and what it has started ends.
    ///
    /// # Errors
    /// [`ApplicationError`]: nothing of it runs, or did before.
    pub async fn start(&self, name: impl Into<Atom>) -> Result<(), ApplicationError> {
        let name = name.into();
        let changing = self.changing().await;
        self.start_one(&name, &changing).await
    }

    /// Starts an application and before it, in order, what it depends on and does not run yet:
    /// `application:ensure_all_started/1`. Answers what was started, in that order. Dropped before it is ready, what
    /// it has started stays so, and the one that is being started is ended.
    ///
    /// # Errors
    /// [`ApplicationError`]: what was started for it is stopped again.
    pub async fn ensure_all_started(
        &self,
        name: impl Into<Atom>,
    ) -> Result<Vec<Atom>, ApplicationError> {
        let name = name.into();
        let changing = self.changing().await;
        let mut order = Vec::new();
        self.0.state().order(&name, &mut Vec::new(), &mut order)?;
        for (started, name) in order.iter().enumerate() {
            if let Err(error) = self.start_one(name, &changing).await {
                for name in order[..started].iter().rev() {
                    // It may have ended by itself.
                    let _ = self.stop_one(name).await;
                }
                return Err(error);
            }
        }
        Ok(order)
    }

    /// Stops an application, and waits until its tree has ended: `application:stop/1`. What depends on it is
    /// left alone. It stays loaded.
    ///
    /// # Errors
    /// [`ApplicationError::NotStarted`].
    pub async fn stop(&self, name: impl Into<Atom>) -> Result<(), ApplicationError> {
        let name = name.into();
        let _changing = self.changing().await;
        self.stop_one(&name).await
    }

    /// Stops all, the youngest first, so each before what it depends on.
    pub async fn stop_all(&self) {
        let _changing = self.changing().await;
        let running = self.0.state().running_names();
        for name in running.iter().rev() {
            // It may have ended by itself.
            let _ = self.stop_one(name).await;
        }
    }

    /// What runs, the youngest first: `application:which_applications/0`.
    pub fn which_applications(&self) -> Vec<RunningApplication> {
        let state = self.0.state();
        let running = state.running.iter().rev();
        let shown = |entry: &Entry| {
            let application = state.loaded.get(&entry.name)?;
            Some(RunningApplication {
                name: entry.name.clone(),
                description: application.description.clone(),
                version: application.version.clone(),
            })
        };
        running.filter_map(shown).collect()
    }

    /// The process that an application that runs depends on: told to `shutdown`, it ends it.
    pub fn master(&self, name: impl Into<Atom>) -> Option<Pid> {
        let name = name.into();
        let state = self.0.state();
        state
            .running
            .iter()
            .find(|entry| entry.name == name)?
            .master
    }

    /// The environment of an application that is loaded.
    pub fn env(&self, name: impl Into<Atom>) -> Option<Env> {
        let state = self.0.state();
        state
            .loaded
            .get(&name.into())
            .map(|loaded| loaded.env.clone())
    }

    async fn start_one(&self, name: &Atom, changing: &Changing) -> Result<(), ApplicationError> {
        let application = self.0.state().startable(name)?;
        if application.is_bare() {
            self.0.begin(name, None);
            return Ok(());
        }
        let options = SpawnOptions::default().label(format!("application {name}"));
        let prepared = self.0.runtime.prepare::<()>(options);
        let prepared = prepared.map_err(|error| match error {
            SpawnError::TooManyProcesses(error) => ApplicationError::TooManyProcesses(error),
            other => failed(name, Reason::new(other.to_string().as_str().into())),
        })?;
        let running = Running {
            applications: Arc::downgrade(&self.0),
            name: name.clone(),
        };
        let (ready, started) = oneshot::channel();
        let (told, ended) = oneshot::channel();
        let (end, master) = (running.clone(), prepared.pid());
        prepared.at_end(move |reason| {
            let _ = told.send(reason.clone());
            end.ended(master, reason);
        });
        let changing = changing.clone();
        prepared.start(move |process| master::run(process, application, running, ready, changing));
        match started.await {
            Ok(started) => started.map_err(|reason| failed(name, reason)),
            Err(_) => {
                let reason = ended.await.unwrap_or_else(|_| reason::killed());
                Err(failed(name, reason))
            }
        }
    }

    async fn stop_one(&self, name: &Atom) -> Result<(), ApplicationError> {
        if let Some(ended) = self.0.remove_or_stop(name)? {
            // It answers nothing, but ends.
            let _ = ended.await;
        }
        Ok(())
    }
}

fn failed(name: &Atom, reason: Reason) -> ApplicationError {
    ApplicationError::Failed(name.clone(), reason)
}

impl State {
    /// In the order in which they were started.
    fn running_names(&self) -> Vec<Atom> {
        let running = self.running.iter();
        running.map(|entry| entry.name.clone()).collect()
    }

    fn is_running(&self, name: &Atom) -> bool {
        self.running.iter().any(|entry| entry.name == *name)
    }

    fn loaded(&self, name: &Atom) -> Result<&Loaded, ApplicationError> {
        let not_loaded = || ApplicationError::NotLoaded(name.clone());
        self.loaded.get(name).ok_or_else(not_loaded)
    }

    /// An application that can be started now (`A1`).
    fn startable(&self, name: &Atom) -> Result<Loaded, ApplicationError> {
        let application = self.loaded(name)?;
        if self.is_running(name) {
            return Err(ApplicationError::AlreadyStarted(name.clone()));
        }
        let missing = |name: &&Atom| !self.is_running(name);
        match application.dependencies.iter().find(missing) {
            Some(missing) => Err(ApplicationError::NotStarted(missing.clone())),
            None => Ok(application.clone()),
        }
    }

    /// Puts into `order` what is to be started for an application, it last. `within` are those for which that
    /// is wanted.
    fn order(
        &self,
        name: &Atom,
        within: &mut Vec<Atom>,
        order: &mut Vec<Atom>,
    ) -> Result<(), ApplicationError> {
        if self.is_running(name) || order.contains(name) {
            return Ok(());
        }
        if within.contains(name) {
            return Err(ApplicationError::Circular(name.clone()));
        }
        within.push(name.clone());
        for dependency in &self.loaded(name)?.dependencies {
            self.order(dependency, within, order)?;
        }
        within.pop();
        order.push(name.clone());
        Ok(())
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, name: &Atom, master: Option<Pid>) {
        tracing::info!(application = %name, "an application is started");
        self.state().running.push(Entry {
            name: name.clone(),
            master,
            is_stopping: false,
            waiting: Vec::new(),
        });
    }

    /// Tells the master of an application to end, and answers what comes out when it has; one without is gone at
    /// once.
    fn remove_or_stop(
        &self,
        name: &Atom,
    ) -> Result<Option<oneshot::Receiver<()>>, ApplicationError> {
        let mut state = self.state();
        let of = |entry: &Entry| entry.name == *name;
        let Some(place) = state.running.iter().position(of) else {
            return Err(ApplicationError::NotStarted(name.clone()));
        };
        let entry = &mut state.running[place];
        let Some(master) = entry.master else {
            state.running.remove(place);
            return Ok(None);
        };
        entry.is_stopping = true;
        let (alive, ended) = oneshot::channel();
        entry.waiting.retain(|waiting| !waiting.is_closed());
        entry.waiting.push(alive);
        drop(state);
        self.runtime.exit(master, atom!("shutdown"));
        Ok(Some(ended))
    }

    /// The master of an application has ended.
    fn ended(self: &Arc<Self>, name: &Atom, master: Pid, reason: &Reason) {
        let mut state = self.state();
        let of = |entry: &Entry| entry.master == Some(master);
        // It was not started, or was stopped and is forgotten.
        let Some(place) = state.running.iter().position(of) else {
            return;
        };
        let ended = state.running.remove(place);
        let restart = state.loaded.get(name).map(|loaded| loaded.restart);
        drop(state);
        if ended.is_stopping {
            return tracing::info!(application = %name, "an application was stopped");
        }
        let ends_all = match restart.unwrap_or_default() {
            RestartType::Permanent => true,
            RestartType::Transient => !reason.is_normal(),
            RestartType::Temporary => false,
        };
        let reason: &Term = reason;
        if !ends_all {
            return tracing::warn!(application = %name, %reason, "an application has ended");
        }
        tracing::error!(application = %name, %reason, "an application has ended, and all others are stopped");
        let applications = Applications(self.clone());
        let stopping = move |_: Process<()>| async move { applications.stop_all().await };
        if let Err(error) = self.runtime.spawn(stopping) {
            tracing::warn!(%error, "no process can stop applications in their order: all are told at once");
            self.tell_all_to_stop();
        }
    }

    fn tell_all_to_stop(&self) {
        let names = self.state().running_names();
        for name in names.iter().rev() {
            let _ = self.remove_or_stop(name);
        }
    }
}

//! Applications: what a node runs, by name, each with what it depends on, an environment and a supervision tree.
//!
//! An [`Application`] says what it is; [`Applications`] loads, starts and stops them. A node has one of these.
//! Each application that has a tree, or something to be done around its start or end, has a process of its own, its
//! master: the parent of the tree's root, which starts it, runs the start phases and the functions around its end, and
//! ends when the root does. A panic of one of these functions is its failure: a phase's keeps the application from
//! starting, that of a function around its end is logged.
//!
//! Source: OTP's `application`, `application_controller` and `application_master`. Deviations:
//! - the environment holds Rust values, and is read through the [`Env`] that the tree is made with, not by group
//!   leader;
//! - the end of a permanent application ends the others, and not the operating system's process;
//! - no included, distributed or taken-over applications.
//!
//! Invariants:
//! - `A1` an application runs only while those it depends on did when it was started;
//! - `A2` one start or stop is under way at a time, so starting an application inside the start of another
//!   never comes to an end, as in OTP;
//! - `A3` what runs is listed from before its starter hears of it until its tree has ended;
//! - `A4` a start that is given up ends what it has begun before there is another start or stop.
//!
//! - `controller`: what is loaded and what runs; `master`: one of them; `env`: its environment.

mod controller;
mod env;
mod master;

use std::sync::Arc;

use purlin_otp::reason::Reason;
use purlin_runtime::BoxFuture;
use purlin_term::Atom;

use crate::supervisor::Supervisor;
pub use controller::{ApplicationError, Applications, RunningApplication};
pub use env::Env;

/// What the end of an application means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RestartType {
    /// Its end ends all others.
    Permanent,
    /// Its end ends all others, if its reason is not `normal`.
    Transient,
    /// Its end is reported; OTP's default.
    #[default]
    Temporary,
}

type Tree = Box<dyn Fn(&Env) -> Supervisor + Send + Sync>;
type Phase = Box<dyn Fn(Env) -> BoxFuture<'static, Result<(), Reason>> + Send + Sync>;
type Stopping = Box<dyn Fn(Env) -> BoxFuture<'static, ()> + Send + Sync>;

/// An application: what OTP's `.app` file and callback module say.
///
/// ```
/// use purlin_behaviours::application::Application;
/// use purlin_behaviours::supervisor::one_for_one;
///
/// let shop = Application::new("shop")
///     .depends_on("stock")
///     .env("port", 8080_u16)
///     .tree(|env| {
///         let port: u16 = env.get("port").unwrap_or(80);
///         // .child("http", move || Http::on(port))
///         # let _ = port;
///         one_for_one()
///     });
/// ```
pub struct Application {
    name: Atom,
    description: String,
    version: String,
    dependencies: Vec<Atom>,
    restart: RestartType,
    env: Env,
    tree: Option<Tree>,
    phases: Vec<(Atom, Phase)>,
    prep_stop: Option<Stopping>,
    stop: Option<Stopping>,
}

impl Application {
    /// An application without anything but a name.
    pub fn new(name: impl Into<Atom>) -> Self {
        Self {
            name: name.into(),
            description: String::new(),
            version: String::new(),
            dependencies: Vec::new(),
            restart: RestartType::default(),
            env: Env::default(),
            tree: None,
            phases: Vec::new(),
            prep_stop: None,
            stop: None,
        }
    }

    /// What it is, for people.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }

    /// Its version, for people.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// An application that has to run before this one. Those are started in the order in which they are given.
    pub fn depends_on(mut self, name: impl Into<Atom>) -> Self {
        self.dependencies.push(name.into());
        self
    }

    /// Its end ends all other applications: [`RestartType::Permanent`].
    pub fn permanent(mut self) -> Self {
        self.restart = RestartType::Permanent;
        self
    }

    /// Its end ends all others if its reason is not `normal`: [`RestartType::Transient`].
    pub fn transient(mut self) -> Self {
        self.restart = RestartType::Transient;
        self
    }

    /// A value of its environment, which can be changed before it starts and while it runs.
    pub fn env<T: Clone + Send + Sync + 'static>(self, key: impl Into<Atom>, value: T) -> Self {
        self.env.put(key, value);
        self
    }

    /// Its supervision tree, made anew for each start: `Mod:start/2`.
    pub fn tree(mut self, tree: impl Fn(&Env) -> Supervisor + Send + Sync + 'static) -> Self {
        self.tree = Some(Box::new(tree));
        self
    }

    /// What is done when the tree has started, before the application counts as started; phases follow each other
    /// in the order in which they are given. One that fails ends the application: `Mod:start_phase/3`.
    pub fn start_phase<F>(
        mut self,
        name: impl Into<Atom>,
        phase: impl Fn(Env) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), Reason>> + Send + 'static,
    {
        let phase: Phase = Box::new(move |env| Box::pin(phase(env)));
        self.phases.push((name.into(), phase));
        self
    }

    /// What is done before the tree is told to end: `Mod:prep_stop/1`.
    pub fn prep_stop<F>(mut self, prepare: impl Fn(Env) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.prep_stop = Some(Box::new(move |env| Box::pin(prepare(env))));
        self
    }

    /// What is done when the tree has ended, however it did: `Mod:stop/1`.
    pub fn stop<F>(mut self, stop: impl Fn(Env) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.stop = Some(Box::new(move |env| Box::pin(stop(env))));
        self
    }

    /// Nothing of it runs, ever.
    fn is_bare(&self) -> bool {
        let has_process = self.tree.is_some() || !self.phases.is_empty();
        !has_process && self.prep_stop.is_none() && self.stop.is_none()
    }

    /// Its name.
    pub fn name(&self) -> &Atom {
        &self.name
    }
}

/// An application that is loaded.
type Loaded = Arc<Application>;

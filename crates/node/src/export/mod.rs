//! Functions that other nodes may call, and how a call ends.
//!
//! The cookie is not a master key: a remote call runs an exported function or a documented
//! built-in, and everything else ends as OTP ends a call of an undefined function. A call ends by
//! returning or by raising one of Erlang's three classes ([`Raise`]); a panic is class `error`.
//! Each call of another node runs in a process of its own.

mod handler;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use purlin_term::{Atom, NodeName, Pid, Term, atom};
use tokio::time::Instant;

pub use handler::{Answer, Handler};
pub(crate) use handler::{Run, Value};

use crate::host::BoxFuture;
use crate::node::Node;

/// How a call failed, in Erlang's classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Raise {
    /// `throw(Value)`.
    Throw(Term),
    /// `exit(Reason)`.
    Exit(Term),
    /// `error(Reason)`.
    Error(Term),
}

impl Raise {
    /// `error(badarg)`: the arguments are of the wrong type or value.
    pub fn badarg() -> Self {
        Self::Error(atom!("badarg").into())
    }

    /// `error(undef)`: there is no such function.
    pub fn undef() -> Self {
        Self::Error(atom!("undef").into())
    }

    /// `error(system_limit)`: there is no room for what is needed.
    pub fn system_limit() -> Self {
        Self::Error(atom!("system_limit").into())
    }

    /// `error(eacces)`: the function is exported, but not to the node that calls.
    pub(crate) fn eacces() -> Self {
        Self::Error(atom!("eacces").into())
    }
}

/// Who calls, and where.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CallContext {
    /// The node that runs the function.
    pub node: Node,
    /// The process that asked.
    pub caller: Pid,
    /// The group leader that the caller wants output to go to.
    pub group_leader: Pid,
    /// When the call is given up, if the export has a [time limit](ExportOptions::time_limit). What
    /// time the caller has is not known: OTP does not say it.
    pub deadline: Option<Instant>,
}

/// Who may call an exported function, and for how long.
#[derive(Clone, Default)]
pub struct ExportOptions {
    allow: Option<Arc<dyn Fn(NodeName) -> bool + Send + Sync>>,
    time_limit: Option<Duration>,
}

impl ExportOptions {
    /// Only nodes of which `allow` is true may call; others get `error(eacces)`. A node is who it says
    /// it is as far as it knows the cookie.
    #[must_use]
    pub fn allow(mut self, allow: impl Fn(NodeName) -> bool + Send + Sync + 'static) -> Self {
        self.allow = Some(Arc::new(allow));
        self
    }

    /// A call that takes longer is dropped at its next await, and ends with `exit({timeout, {M, F, Args}})`.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    pub(crate) fn allows(&self, caller: NodeName) -> bool {
        self.allow.as_ref().is_none_or(|allow| allow(caller))
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        Some(Instant::now() + self.time_limit?)
    }
}

impl std::fmt::Debug for ExportOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExportOptions")
            .field("allow", &self.allow.as_ref().map(|_| "a rule"))
            .field("time_limit", &self.time_limit)
            .finish()
    }
}

/// What a call gives.
pub type Outcome = Result<Term, Raise>;

impl std::fmt::Display for FunctionName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}/{}", self.module, self.function, self.arity)
    }
}

/// An exported function.
#[derive(Clone)]
pub(crate) struct Export {
    pub(crate) options: ExportOptions,
    handle: Arc<dyn Fn(Run) -> BoxFuture<'static, Outcome> + Send + Sync>,
}

impl Export {
    pub(crate) fn new<H: Handler<Shape>, Shape>(options: ExportOptions, handler: H) -> Self {
        let handler = Arc::new(handler);
        Self {
            options,
            handle: Arc::new(move |run| handler.clone().handle(run)),
        }
    }

    pub(crate) fn handle(&self, run: Run) -> BoxFuture<'static, Outcome> {
        (self.handle)(run)
    }
}

/// `Module:Function/Arity`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FunctionName {
    /// The module.
    pub module: Atom,
    /// The function.
    pub function: Atom,
    /// The number of arguments.
    pub arity: usize,
}

/// The exported functions of a node.
#[derive(Default)]
pub(crate) struct Exports(BTreeMap<FunctionName, Export>);

impl Exports {
    /// Adds a function; one of the same name and arity is replaced.
    pub(crate) fn add(&mut self, name: FunctionName, export: Export) {
        self.0.insert(name, export);
    }

    pub(crate) fn get(&self, name: &FunctionName) -> Option<Export> {
        self.0.get(name).cloned()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &FunctionName> {
        self.0.keys()
    }

    pub(crate) fn has_module(&self, module: &Atom) -> bool {
        self.0.keys().any(|name| name.module == *module)
    }
}

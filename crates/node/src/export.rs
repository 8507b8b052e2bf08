//! Functions that other nodes may call, and how a call ends.
//!
//! The cookie is not a master key: a remote call runs an exported function or a documented
//! built-in, and everything else ends as OTP ends a call of an undefined function. A call ends by
//! returning or by raising one of Erlang's three classes ([`Raise`]); a panic is class `error`.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use purlin_term::{Atom, Pid, Term, atom};

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
}

/// Who calls, and where.
#[derive(Debug, Clone)]
pub struct Call {
    /// The node that runs the function.
    pub node: Node,
    /// The process that asked.
    pub caller: Pid,
    /// The group leader that the caller wants output to go to.
    pub group_leader: Pid,
}

/// What a call gives.
pub type Outcome = Result<Term, Raise>;

/// An exported function: arguments to outcome.
pub(crate) type Handler = Arc<dyn Fn(Call, Vec<Term>) -> BoxFuture<'static, Outcome> + Send + Sync>;

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
pub(crate) struct Exports(BTreeMap<FunctionName, Handler>);

impl Exports {
    /// Adds a function; one of the same name and arity is replaced.
    pub(crate) fn add<F, R>(&mut self, name: FunctionName, handler: F)
    where
        F: Fn(Call, Vec<Term>) -> R + Send + Sync + 'static,
        R: Future<Output = Outcome> + Send + 'static,
    {
        self.0.insert(
            name,
            Arc::new(move |call, args| Box::pin(handler(call, args))),
        );
    }

    pub(crate) fn get(&self, name: &FunctionName) -> Option<Handler> {
        self.0.get(name).cloned()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &FunctionName> {
        self.0.keys()
    }

    pub(crate) fn has_module(&self, module: &Atom) -> bool {
        self.0.keys().any(|name| name.module == *module)
    }
}

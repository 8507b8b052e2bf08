//! The functions that other nodes may call.

use std::sync::{MutexGuard, PoisonError};

use purlin_term::{Atom, Term};

use super::Node;
use crate::export::{Call, Exports, FunctionName, Handler, Outcome};

impl Node {
    /// Lets other nodes call `module:function/arity`; one exported before is replaced.
    ///
    /// ```no_run
    /// # fn example(node: purlin_node::Node) {
    /// use purlin_node::{Raise, Term};
    /// node.export("demo", "add", 2, |_call, args| async move {
    ///     match args[..] {
    ///         [Term::Int(a), Term::Int(b)] => Ok(Term::Int(a + b)),
    ///         _ => Err(Raise::badarg()),
    ///     }
    /// });
    /// # }
    /// ```
    ///
    /// # Panics
    /// When `module` or `function` has more than 255 characters.
    pub fn export<F, R>(&self, module: &str, function: &str, arity: usize, handler: F)
    where
        F: Fn(Call, Vec<Term>) -> R + Send + Sync + 'static,
        R: Future<Output = Outcome> + Send + 'static,
    {
        let atom = |text| Atom::new(text).expect("names of functions are atoms");
        let name = FunctionName {
            module: atom(module),
            function: atom(function),
            arity,
        };
        self.lock_exports().add(name, handler);
    }

    pub(crate) fn exported(&self, name: &FunctionName) -> Option<Handler> {
        self.lock_exports().get(name)
    }

    pub(crate) fn is_exported(&self, name: &FunctionName) -> bool {
        self.lock_exports().get(name).is_some()
    }

    pub(crate) fn is_module(&self, module: &Atom) -> bool {
        self.lock_exports().has_module(module)
    }

    /// The functions that other nodes may call, built-ins aside.
    pub fn exports(&self) -> Vec<FunctionName> {
        self.lock_exports().names().cloned().collect()
    }

    fn lock_exports(&self) -> MutexGuard<'_, Exports> {
        self.0
            .exports
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

//! The functions that other nodes may call.

use std::sync::{MutexGuard, PoisonError};

use purlin_term::Atom;

use super::Node;
use crate::export::{Export, ExportOptions, Exports, FunctionName, Handler};

impl Node {
    /// Lets other nodes call `module:function` with as many arguments as `handler` takes; one exported
    /// before is replaced.
    ///
    /// Arguments are decoded to the handler's types: who sends others gets `badarg`. What it answers gets
    /// the form of a term; `Err` of a [`Raise`](crate::Raise) raises it in the caller, and a panic is of
    /// class `error`. Each call of another node is a process of its own.
    ///
    /// ```no_run
    /// # fn example(node: purlin_node::Node) {
    /// use purlin_node::{CallContext, Delivery, Mailbox, Raise, Term};
    /// // erpc:call(Node, shop, price, [<<"nail">>, 12]).
    /// node.export("shop", "price", |item: String, pieces: u32| async move {
    ///     match item.as_str() {
    ///         "nail" => Ok(3 * pieces),
    ///         _ => Err(Raise::Throw(Term::from("unknown"))),
    ///     }
    /// });
    /// // With who calls:
    /// node.export("shop", "whoami", async |call: &CallContext| call.caller);
    /// // A function that lives on as a process: spawn(Node, shop, till, [100]).
    /// node.export("shop", "till", |mut mailbox: Mailbox, mut sum: i64| async move {
    ///     while let Delivery::Message(message) = mailbox.receive().await {
    ///         sum += message.to_term().ok().and_then(|term| term.as_int()).unwrap_or(0);
    ///     }
    ///     sum
    /// });
    /// # }
    /// ```
    pub fn export<H, Shape>(&self, module: impl Into<Atom>, function: impl Into<Atom>, handler: H)
    where
        H: Handler<Shape>,
    {
        self.export_with(ExportOptions::default(), module, function, handler);
    }

    /// As [`Node::export`], with a rule for who may call and a time limit.
    pub fn export_with<H, Shape>(
        &self,
        options: ExportOptions,
        module: impl Into<Atom>,
        function: impl Into<Atom>,
        handler: H,
    ) where
        H: Handler<Shape>,
    {
        let name = FunctionName {
            module: module.into(),
            function: function.into(),
            arity: H::ARITY,
        };
        self.lock_exports().add(name, Export::new(options, handler));
    }

    pub(crate) fn exported(&self, name: &FunctionName) -> Option<Export> {
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

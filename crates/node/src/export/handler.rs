//! Handlers with typed arguments: what an exported function is written as.
//!
//! A handler is an async function or closure of up to eight arguments, each of a type that decodes
//! from a term, and answers what has the form of a term. It may take a [`&CallContext`](CallContext) first, or, if it
//! is to live on as a process, its own [`Mailbox`]. How many arguments are wanted is read off the
//! function's own type, so nothing is said twice.

use std::marker::PhantomData;
use std::sync::Arc;

use purlin_term::{Term, atom, from_term, to_term};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{CallContext, Outcome, Raise};
use crate::host::BoxFuture;
use crate::process::Mailbox;

/// An async function that other nodes may call: see [`Node::export`](crate::Node::export).
///
/// `Shape` tells apart what handlers take first, and is always inferred.
#[diagnostic::on_unimplemented(
    message = "this cannot be exported",
    label = "not a handler of an exported function",
    note = "a handler is an async function or closure: `|item: String, pieces: i64| async move {{ ... }}`",
    note = "it takes at most eight arguments of types that own what they hold and implement \
            `serde::Deserialize`; before them it may take a `&CallContext`, or a `Mailbox`",
    note = "it answers a type that implements `serde::Serialize`, or a `Result` of one with `Raise`; \
            its future is `Send`"
)]
pub trait Handler<Shape>: Send + Sync + 'static {
    /// How many arguments it takes, a `&CallContext` or `Mailbox` aside.
    const ARITY: usize;

    /// Decodes the arguments, runs the function and gives its answer the form of a term.
    #[doc(hidden)]
    fn handle(self: Arc<Self>, run: Run) -> BoxFuture<'static, Outcome>;
}

/// One run of a handler.
#[doc(hidden)]
pub struct Run {
    pub(crate) call: CallContext,
    /// The process that the function is, where it has one to itself.
    pub(crate) mailbox: Option<Mailbox>,
    /// As many as the handler takes.
    pub(crate) args: Arc<Vec<Term>>,
    pub(crate) value: Value,
}

/// What becomes of the value that a function answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(hidden)]
pub enum Value {
    /// Somebody waits for it.
    Wanted,
    /// It is that of a process's body: nobody sees it, and it is not encoded.
    Dropped,
}

/// What a handler may answer: a value with the form of a term, or a `Result` of one with [`Raise`].
/// `Kind` tells which, and is always inferred.
pub trait Answer<Kind> {
    #[doc(hidden)]
    fn into_outcome(self, value: Value) -> Outcome;
}

/// The kind of answers that are values.
#[doc(hidden)]
pub struct Plainly;

/// The kind of answers that may raise.
#[doc(hidden)]
pub struct Raising;

impl<T: Serialize> Answer<Plainly> for T {
    fn into_outcome(self, value: Value) -> Outcome {
        if value == Value::Dropped {
            return Ok(Term::nil());
        }
        to_term(&self).map_err(|error| {
            let text = Term::from(error.to_string().as_str());
            Raise::Error(Term::tuple([atom!("unencodable").into(), text]))
        })
    }
}

// `Raise` is no `Serialize`, so a result of it is no value.
impl<T: Serialize> Answer<Raising> for Result<T, Raise> {
    fn into_outcome(self, value: Value) -> Outcome {
        self.and_then(|answer| answer.into_outcome(value))
    }
}

/// The shape of handlers of arguments alone.
#[doc(hidden)]
pub struct Plain<Args, Kind>(PhantomData<(Args, Kind)>);

/// The shape of handlers that take the call first.
#[doc(hidden)]
pub struct WithCall<Args, Kind>(PhantomData<(Args, Kind)>);

/// The shape of handlers that take their mailbox first.
#[doc(hidden)]
pub struct WithMailbox<Args, Kind>(PhantomData<(Args, Kind)>);

/// A function of a call that lives as long as `'c`, and of arguments. Its future may borrow the call.
#[doc(hidden)]
pub trait Handle<'c, Args, Kind> {
    type Future: Future<Output: Answer<Kind>> + Send + 'c;

    fn handle_call(&self, call: &'c CallContext, args: Args) -> Self::Future;
}

impl Run {
    /// An argument as its type. The caller gets OTP's form of `badarg`, the log says what was wrong.
    fn arg<T: DeserializeOwned>(&self, index: usize) -> Result<T, Raise> {
        let arg = self.args.get(index).ok_or_else(Raise::badarg)?;
        from_term(arg).map_err(|error| {
            tracing::debug!(%error, index, "an argument of a call is not of its type");
            Raise::badarg()
        })
    }

    /// The process of the function, or one for as long as it runs.
    fn take_mailbox(&mut self) -> Result<Mailbox, Raise> {
        let own = self.mailbox.take();
        own.map_or_else(
            || self.call.node.attach().map_err(|_| Raise::system_limit()),
            Ok,
        )
    }
}

macro_rules! handlers {
    ($($arity:literal: $($index:literal $type:ident $arg:ident)*;)*) => {$(
        impl<H, F, K, $($type,)*> Handler<Plain<($($type,)*), K>> for H
        where
            H: Fn($($type),*) -> F + Send + Sync + 'static,
            F: Future<Output: Answer<K>> + Send,
            $($type: DeserializeOwned + Send,)*
        {
            const ARITY: usize = $arity;

            fn handle(self: Arc<Self>, run: Run) -> BoxFuture<'static, Outcome> {
                Box::pin(async move {
                    let (future, value) = (self($(run.arg::<$type>($index)?),*), run.value);
                    drop(run);
                    future.await.into_outcome(value)
                })
            }
        }

        impl<H, F, K, $($type,)*> Handler<WithMailbox<($($type,)*), K>> for H
        where
            H: Fn(Mailbox, $($type),*) -> F + Send + Sync + 'static,
            F: Future<Output: Answer<K>> + Send,
            $($type: DeserializeOwned + Send,)*
        {
            const ARITY: usize = $arity;

            fn handle(self: Arc<Self>, mut run: Run) -> BoxFuture<'static, Outcome> {
                Box::pin(async move {
                    let mailbox = run.take_mailbox()?;
                    let (future, value) = (self(mailbox, $(run.arg::<$type>($index)?),*), run.value);
                    drop(run);
                    future.await.into_outcome(value)
                })
            }
        }

        impl<'c, H, F, K, $($type,)*> Handle<'c, ($($type,)*), K> for H
        where
            H: Fn(&'c CallContext, $($type),*) -> F,
            F: Future<Output: Answer<K>> + Send + 'c,
        {
            type Future = F;

            fn handle_call(&self, call: &'c CallContext, ($($arg,)*): ($($type,)*)) -> F {
                self(call, $($arg),*)
            }
        }

        impl<H, K, $($type,)*> Handler<WithCall<($($type,)*), K>> for H
        where
            H: for<'c> Handle<'c, ($($type,)*), K> + Send + Sync + 'static,
            $($type: DeserializeOwned + Send,)*
        {
            const ARITY: usize = $arity;

            fn handle(self: Arc<Self>, run: Run) -> BoxFuture<'static, Outcome> {
                Box::pin(async move {
                    let args = ($(run.arg::<$type>($index)?,)*);
                    let Run { call, value, .. } = run;
                    self.handle_call(&call, args).await.into_outcome(value)
                })
            }
        }
    )*};
}

handlers! {
    0: ;
    1: 0 A1 a1;
    2: 0 A1 a1 1 A2 a2;
    3: 0 A1 a1 1 A2 a2 2 A3 a3;
    4: 0 A1 a1 1 A2 a2 2 A3 a3 3 A4 a4;
    5: 0 A1 a1 1 A2 a2 2 A3 a3 3 A4 a4 4 A5 a5;
    6: 0 A1 a1 1 A2 a2 2 A3 a3 3 A4 a4 4 A5 a5 5 A6 a6;
    7: 0 A1 a1 1 A2 a2 2 A3 a3 3 A4 a4 4 A5 a5 5 A6 a6 6 A7 a7;
    8: 0 A1 a1 1 A2 a2 2 A3 a3 3 A4 a4 4 A5 a5 5 A6 a6 6 A7 a7 7 A8 a8;
}

//! A registry: running servers of this node by keys of the program's own.
//!
//! An entry is a value that its process holds ([`Process::hold`]), so no process of the registry's own has to
//! watch for ends, and nothing has to be taken out by hand. A [`Registry`] is a value, and a handle of it is
//! cheap to clone: whoever is to find servers by it is given one.
//!
//! Source: Elixir's `Registry` with unique keys. Deviations: keys and servers have types; a process that has ended
//! is never found, where Elixir's may be for a moment.
//!
//! Invariants:
//! - `R1` a key leads to one process at most, which may have several keys;
//! - `R2` an entry is there before the first step of a server that is started under its key;
//! - `R3` it goes with its process, before anybody is told of that end: who restarts a server finds its key free.
//!
//! [`Process::hold`]: purlin_runtime::Process::hold

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use purlin_runtime::{Address, Prepared, Runtime};
use purlin_term::{Pid, Term};

use crate::by;
use crate::call::CallError;
use crate::gen_server::{
    Context, Enter, GenServer, ServerMessage, ServerOptions, StartError, Starter, start_entered,
};
use crate::messages::Has;
use crate::request::Request;
use crate::server_ref::ServerRef;
use crate::supervisor::Child;

/// Another process has the key, or this one has it already; nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} has the key already")]
pub struct AlreadyRegistered(pub Pid);

/// Servers of type `S` by keys of type `K`, each for as long as it runs.
///
/// ```
/// # use std::sync::Arc;
/// # use purlin_behaviours::{Context, GenServer, HandleCall, Request, by};
/// # use purlin_runtime::{Config, Runtime, TokioExecutor};
/// # use purlin_term::{NodeName, atom};
/// # use serde::{Deserialize, Serialize};
/// use purlin_behaviours::Registry;
/// use purlin_behaviours::supervisor::dynamic;
///
/// # #[derive(Serialize, Deserialize)]
/// # struct Greet;
/// # impl Request for Greet {
/// #     type Reply = String;
/// # }
/// # struct User(&'static str);
/// # impl GenServer for User {
/// #     type Messages = (by::Call<Greet>,);
/// # }
/// # impl HandleCall<Greet> for User {
/// #     async fn handle_call(&mut self, _: Greet, _: &mut Context<Self>) -> String {
/// #         format!("I am {}", self.0)
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let node = NodeName::new(&atom!("registry@doc"))?;
/// # let runtime = Runtime::new(node, 1, Arc::new(TokioExecutor::current()), Config::default());
/// let users = Registry::<String, User>::new();
/// users.start(&runtime, "ann", User("ann")).await?;
///
/// let supervisor = dynamic().start(&runtime).await?;
/// supervisor.start_child(users.child("user", "bob", || User("bob"))).await?;
///
/// assert_eq!(users.keys(), ["ann", "bob"]);
/// assert_eq!(users.call("bob", Greet).await?, "I am bob");
/// # Ok(())
/// # }
/// ```
pub struct Registry<K, S: GenServer> {
    entries: Arc<RwLock<Entries<K, S>>>,
}

type Entries<K, S> = BTreeMap<K, Running<S>>;

/// A server that has a key.
struct Running<S: GenServer> {
    address: Address<ServerMessage<S>>,
    runtime: Runtime,
}

impl<K, S: GenServer> Clone for Registry<K, S> {
    fn clone(&self) -> Self {
        let entries = self.entries.clone();
        Self { entries }
    }
}

impl<K, S: GenServer> Default for Registry<K, S> {
    fn default() -> Self {
        let entries = Arc::default();
        Self { entries }
    }
}

impl<K: fmt::Debug, S: GenServer> fmt::Debug for Registry<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = read(&self.entries);
        let pids = entries.iter().map(|(key, at)| (key, at.address.pid()));
        f.debug_map().entries(pids).finish()
    }
}

impl<K: Ord + Clone + Send + Sync + 'static, S: GenServer> Registry<K, S> {
    /// A registry without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a server under a key, which it has before its `init`.
    ///
    /// # Errors
    /// [`StartError`]: there is no such process, or none any more. [`StartError::AlreadyStarted`] says who has the
    /// key.
    pub async fn start(
        &self,
        on: &(impl Starter + ?Sized),
        key: impl Into<K>,
        server: S,
    ) -> Result<ServerRef<S>, StartError> {
        let options = ServerOptions::default();
        self.start_with(on, options, key, server).await
    }

    /// As [`Registry::start`], with a name too, or linked to who starts it.
    ///
    /// # Errors
    /// As [`Registry::start`].
    pub async fn start_with(
        &self,
        on: &(impl Starter + ?Sized),
        options: ServerOptions,
        key: impl Into<K>,
        server: S,
    ) -> Result<ServerRef<S>, StartError> {
        start_entered(on.starting(), options, self.enter(key.into()), server).await
    }

    /// As [`Child::new`], under a key: who asks for it finds the server again after a restart. Where another process
    /// has the key, its start fails with `{already_started, Pid}`.
    pub fn child(
        &self,
        id: impl Into<Term>,
        key: impl Into<K>,
        make: impl Fn() -> S + Send + Sync + 'static,
    ) -> Child {
        Child::entered(id.into(), self.enter(key.into()), make)
    }

    /// A server registers itself under a key, or under one more.
    ///
    /// # Errors
    /// [`AlreadyRegistered`] says who has the key.
    pub fn register(&self, ctx: &Context<S>, key: impl Into<K>) -> Result<(), AlreadyRegistered> {
        let running = Running {
            address: ctx.address(),
            runtime: ctx.runtime().clone(),
        };
        ctx.hold(self.insert(key.into(), running)?);
        Ok(())
    }

    /// The server that has a key now. It is asked faster than by the key, and gone when the server has ended.
    pub fn get<Q>(&self, key: &Q) -> Option<ServerRef<S>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let entries = read(&self.entries);
        let Running { address, runtime } = entries.get(key)?;
        Some(ServerRef::here(address.clone(), runtime.clone()))
    }

    /// Asks the server that has a key and waits for the reply: [`ServerRef::call`].
    ///
    /// # Errors
    /// [`CallError`]; [`CallError::NoProcess`] also where nobody has the key.
    pub async fn call<Q, R: Request, Place>(
        &self,
        key: &Q,
        request: R,
    ) -> Result<R::Reply, CallError>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        S::Messages: Has<S, by::Call<R>, Place>,
    {
        let server = self.get(key).ok_or(CallError::NoProcess)?;
        server.call(request).await
    }

    /// All keys, sorted.
    pub fn keys(&self) -> Vec<K> {
        read(&self.entries).keys().cloned().collect()
    }

    /// Enters a server that is about to run.
    fn enter(&self, key: K) -> impl Enter<S> + Clone + Send + Sync + 'static + use<K, S> {
        let registry = self.clone();
        move |prepared: &Prepared<ServerMessage<S>>, runtime: &Runtime| {
            let running = Running {
                address: prepared.address(),
                runtime: runtime.clone(),
            };
            let held = registry.insert(key, running);
            prepared.hold(held.map_err(|AlreadyRegistered(pid)| StartError::AlreadyStarted(pid))?);
            Ok(())
        }
    }

    fn insert(&self, key: K, running: Running<S>) -> Result<Held<K, S>, AlreadyRegistered> {
        match write(&self.entries).entry(key.clone()) {
            Entry::Occupied(held) => return Err(AlreadyRegistered(held.get().address.pid())),
            Entry::Vacant(free) => free.insert(running),
        };
        let registry = self.clone();
        Ok(Held { registry, key })
    }
}

/// An entry, as its process holds it.
struct Held<K: Ord, S: GenServer> {
    registry: Registry<K, S>,
    key: K,
}

impl<K: Ord, S: GenServer> Drop for Held<K, S> {
    fn drop(&mut self) {
        // The process has its queue still, so nothing of that is dropped while this is locked.
        write(&self.registry.entries).remove(&self.key);
    }
}

fn read<K, S: GenServer>(entries: &RwLock<Entries<K, S>>) -> RwLockReadGuard<'_, Entries<K, S>> {
    entries.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<K, S: GenServer>(entries: &RwLock<Entries<K, S>>) -> RwLockWriteGuard<'_, Entries<K, S>> {
    entries.write().unwrap_or_else(PoisonError::into_inner)
}

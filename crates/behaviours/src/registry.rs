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
//! - `R3` it goes with its process, before anybody is told of that end, or of an `init` that failed: who starts
//!   another finds the key free;
//! - `R4` `by_pid` has the keys of a process that are in `by_key`, and no others, from its first key to its end.
//!
//! [`Process::hold`]: purlin_runtime::Process::hold

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use purlin_runtime::{Address, Message, Prepared, Runtime, SendError};
use purlin_term::{Pid, Term};

use crate::by;
use crate::call::CallError;
use crate::gen_server::{
    Context, Enter, GenServer, ServerMessage, ServerOptions, StartError, Starter, start_entered,
};
use crate::messages::Has;
use crate::request::Request;
use crate::server_ref::{Lookup, ServerRef};
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

struct Entries<K, S: GenServer> {
    by_key: BTreeMap<K, Running<S>>,
    by_pid: BTreeMap<Pid, Vec<K>>,
}

impl<K, S: GenServer> Default for Entries<K, S> {
    fn default() -> Self {
        Self {
            by_key: BTreeMap::new(),
            by_pid: BTreeMap::new(),
        }
    }
}

/// A server that has a key.
struct Running<S: GenServer> {
    address: Address<ServerMessage<S>>,
    runtime: Runtime,
}

impl<S: GenServer> Running<S> {
    fn server(&self) -> ServerRef<S> {
        ServerRef::here(self.address.clone(), self.runtime.clone())
    }
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
        let pids = entries
            .by_key
            .iter()
            .map(|(key, at)| (key, at.address.pid()));
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

    /// As [`Child::new`], under a key: [`Registry::server`] finds it again after a restart. Where another process has the
    /// key, its start fails with `{already_started, Pid}`.
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
        if let Some(held) = self.insert(key.into(), running)? {
            ctx.hold(held);
        }
        Ok(())
    }

    /// A server gives a key up that it has; answers whether it had it.
    pub fn unregister<Q>(&self, ctx: &Context<S>, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let (pid, mut entries) = (ctx.pid(), write(&self.entries));
        let Entries { by_key, by_pid } = &mut *entries;
        let keys = by_pid.get_mut(&pid);
        let place = keys.and_then(|keys| {
            let place = keys.iter().position(|held| held.borrow() == key)?;
            Some(keys.swap_remove(place))
        });
        place.is_some_and(|key| by_key.remove::<K>(&key).is_some())
    }

    /// The server that has a key now, which is no more when that has ended: see [`Registry::server`].
    pub fn lookup<Q>(&self, key: &Q) -> Option<ServerRef<S>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let entries = read(&self.entries);
        entries.by_key.get(key).map(Running::server)
    }

    /// The server that has a key whenever it is asked, as `on` sees it: `{via, Registry, Key}`. It may be made
    /// before there is one, and finds the next after a restart.
    pub fn server(&self, on: &(impl Starter + ?Sized), key: impl Into<K>) -> ServerRef<S> {
        let by_key = ByKey {
            registry: self.clone(),
            key: key.into(),
        };
        ServerRef::via(Arc::new(by_key), on.starting().runtime.clone())
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
        let server = self.lookup(key).ok_or(CallError::NoProcess)?;
        server.call(request).await
    }

    /// Sends the server that has a key a request that has no reply: [`ServerRef::cast`]. Where nobody has the key
    /// it is gone, as in OTP.
    ///
    /// # Errors
    /// [`SendError`]: it was not sent.
    pub async fn cast<Q, M: Message, Place>(&self, key: &Q, message: M) -> Result<(), SendError>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        S::Messages: Has<S, by::Cast<M>, Place>,
    {
        match self.lookup(key) {
            Some(server) => server.cast(message).await,
            None => Ok(()),
        }
    }

    /// All keys, sorted.
    pub fn keys(&self) -> Vec<K> {
        read(&self.entries).by_key.keys().cloned().collect()
    }

    /// The keys of a process, in no order.
    pub fn keys_of(&self, pid: Pid) -> Vec<K> {
        let entries = read(&self.entries);
        entries.by_pid.get(&pid).cloned().unwrap_or_default()
    }

    /// All keys with the servers that have them now, sorted by key: for what all of them are told.
    pub fn servers(&self) -> Vec<(K, ServerRef<S>)> {
        let entries = read(&self.entries);
        let servers = entries.by_key.iter();
        servers
            .map(|(key, running)| (key.clone(), running.server()))
            .collect()
    }

    /// How many keys there are.
    pub fn count(&self) -> usize {
        read(&self.entries).by_key.len()
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
            let held = held.map_err(|AlreadyRegistered(pid)| StartError::AlreadyStarted(pid))?;
            if let Some(held) = held {
                prepared.hold(held);
            }
            Ok(())
        }
    }

    /// Answers what the process is to hold, if this is its first key.
    fn insert(&self, key: K, running: Running<S>) -> Result<Option<Held<K, S>>, AlreadyRegistered> {
        let pid = running.address.pid();
        let mut entries = write(&self.entries);
        match entries.by_key.entry(key.clone()) {
            Entry::Occupied(held) => return Err(AlreadyRegistered(held.get().address.pid())),
            Entry::Vacant(free) => free.insert(running),
        };
        match entries.by_pid.entry(pid) {
            Entry::Occupied(keys) => {
                keys.into_mut().push(key);
                Ok(None)
            }
            Entry::Vacant(first) => {
                first.insert(vec![key]);
                let registry = self.clone();
                Ok(Some(Held { registry, pid }))
            }
        }
    }
}

/// Who has a key when it is asked for.
struct ByKey<K, S: GenServer> {
    registry: Registry<K, S>,
    key: K,
}

impl<K: Ord + Send + Sync, S: GenServer> Lookup<S> for ByKey<K, S> {
    fn lookup(&self) -> Option<Address<ServerMessage<S>>> {
        let entries = read(&self.registry.entries);
        Some(entries.by_key.get(&self.key)?.address.clone())
    }
}

/// The entries of a process, as it holds them.
struct Held<K: Ord, S: GenServer> {
    registry: Registry<K, S>,
    pid: Pid,
}

impl<K: Ord, S: GenServer> Drop for Held<K, S> {
    fn drop(&mut self) {
        // The process has its queue still, so nothing of that is dropped while this is locked.
        let mut entries = write(&self.registry.entries);
        for key in entries.by_pid.remove(&self.pid).unwrap_or_default() {
            entries.by_key.remove(&key);
        }
    }
}

fn read<K, S: GenServer>(entries: &RwLock<Entries<K, S>>) -> RwLockReadGuard<'_, Entries<K, S>> {
    entries.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<K, S: GenServer>(entries: &RwLock<Entries<K, S>>) -> RwLockWriteGuard<'_, Entries<K, S>> {
    entries.write().unwrap_or_else(PoisonError::into_inner)
}

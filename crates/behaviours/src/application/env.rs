//! The environment of an application: values by key.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use purlin_term::Atom;

type Values = BTreeMap<Atom, Arc<dyn Any + Send + Sync>>;

/// The environment of an application; a handle, cheap to clone: whoever has it sees the values as they are
/// then. `application:get_env` and its kin.
#[derive(Clone, Default)]
pub struct Env(Arc<Mutex<Values>>);

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values().keys()).finish()
    }
}

impl Env {
    fn values(&self) -> MutexGuard<'_, Values> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of a key; `None` if it has none, or one of another type.
    pub fn get<T: Clone + 'static>(&self, key: impl Into<Atom>) -> Option<T> {
        let value = self.values().get(&key.into()).cloned()?;
        value.downcast_ref().cloned()
    }

    /// Gives a key a value, whatever it had before: `application:set_env/3`.
    pub fn put<T: Clone + Send + Sync + 'static>(&self, key: impl Into<Atom>, value: T) {
        let before = self.values().insert(key.into(), Arc::new(value));
        // Outside of the lock: what a value does when it is dropped is its own.
        drop(before);
    }

    /// Takes a key's value away: `application:unset_env/2`.
    pub fn remove(&self, key: impl Into<Atom>) {
        let before = self.values().remove(&key.into());
        drop(before);
    }
}

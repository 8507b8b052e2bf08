//! The primitives of what the models run: `tests/loom_*.rs` take the modules that name nothing else for
//! threads to meet at, and give them loom's instead. So the models explore the very code that runs.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};
pub(crate) use std::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub(crate) use tokio::sync::Notify;
pub(crate) use tokio::sync::futures::Notified;

//! Processes for Rust programs: spawn, signals, timers, names.
//!
//! Start at [`Runtime`]; a process sees itself as a [`Process`].

mod executor;
pub mod limits;
mod message;
mod outside;
pub mod panics;
mod process;
mod report;
mod runtime;
mod schedule;
mod scheduler;
mod send;
mod stop;
mod sync;
mod system;
mod timer;
mod tokio_executor;

pub use executor::{BoxFuture, Executor, TaskHandle};
pub use message::{Local, Message, Raw};
pub use outside::Destination;
#[doc(hidden)]
pub use outside::Outside;
#[doc(hidden)]
pub use process::Prepared;
pub use process::{
    Attached, Encoded, Ended, IntoExit, MailboxBound, Mark, Overflow, Peek, Process, ProcessInfo,
    Received, RegisterError, SpawnError, SpawnOptions, TooManyProcesses, Watermark,
};
pub use purlin_otp::reason::{self, Reason, WeakReason};
pub use purlin_otp::relations::{AliasMode, Info, MonitorOptions, SpawnOptions as RequestOptions};
pub use purlin_otp::signal::Target;
#[doc(hidden)]
pub use purlin_otp::signal::{Epoch, Signal};
#[doc(hidden)]
pub use report::{CrashReport, LinkList};
pub use runtime::{Config, Runtime};
#[doc(hidden)]
pub use scheduler::{briefly, wake_later};
#[doc(hidden)]
pub use send::Route;
pub use send::{Address, Recipient, SendError};
pub use stop::Stopped;
pub use system::{SystemEvent, SystemEventKind, SystemMonitor};
pub use timer::TimerRef;
pub use tokio_executor::TokioExecutor;

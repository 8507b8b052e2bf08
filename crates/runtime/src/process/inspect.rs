//! What a process says about itself when asked.
//!
//! As in OTP, the question is a signal: the process answers between two steps of its work, and the
//! answer shows all that the asker had sent before.

use std::panic::Location;

use purlin_otp::signal::Target;
use purlin_term::{Atom, Pid, Term};

/// A look into a process.
pub(crate) trait Inspect {
    fn info(&self) -> ProcessInfo;
}

/// What `process_info` tells.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProcessInfo {
    /// The process.
    pub pid: Pid,
    /// Its registered name.
    pub registered_name: Option<Atom>,
    /// The label it was given, for people.
    pub label: Option<String>,
    /// Where in the program it was started.
    pub spawned_at: &'static Location<'static>,
    /// What waits in its mailbox.
    pub message_queue_len: usize,
    /// Messages, and exit signals to be received, that were refused or dropped since its mailbox was full.
    pub messages_dropped: u64,
    /// The processes it is linked to.
    pub links: Vec<Pid>,
    /// What it monitors.
    pub monitors: Vec<Target>,
    /// Who monitors it.
    pub monitored_by: Vec<Pid>,
    /// Whether it traps exits.
    pub trap_exit: bool,
    /// Where its output goes.
    pub group_leader: Pid,
    /// Its own keys and values.
    pub dictionary: Vec<(Term, Term)>,
}

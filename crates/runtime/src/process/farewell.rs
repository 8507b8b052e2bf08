//! Telling others that a process has ended.
//!
//! Most processes leave a link or a monitor, some a hundred thousand. To these the signals go in
//! batches: the signals of a batch lie in one allocation that their receivers share, and the receivers
//! are looked up together. So a fan-out allocates nothing for each receiver, and does not meet the
//! threads that free at the same time what the first receivers leave.
//!
//! Invariant `F1`: signals leave in the order in which [`Ending`] gives them.

use std::mem;
use std::sync::Arc;

use purlin_otp::reason::Reason;
use purlin_otp::relations::{Ending, Farewell, Relations};
use purlin_otp::signal::{Signal, Target};
use purlin_term::Pid;

use super::cell::AnyProcess;
use super::head::{Head, number_of};
use crate::runtime::Runtime;

/// Signals of one process to as many others, each by its place.
pub(crate) type Batch = Vec<Signal>;

/// Signals in a batch. Its memory is held until the last of its receivers has come to an await: a guess
/// between that and what a batch costs.
const BATCH_MAX: usize = 64;

const _: () = assert!(BATCH_MAX - 1 <= u8::MAX as usize);

/// So few signals are told one by one. A guess: a batch is three allocations.
const FEW: usize = 4;

/// Tells everybody who is tied to a process that has ended.
pub(super) fn bid(head: &Head, relations: Relations, reason: Reason) {
    let ties = relations.held_by_others() + relations.held();
    let ending = relations.exit(reason);
    if ties <= FEW {
        ending.for_each(|farewell| tell(head, farewell));
    } else {
        bid_many(head, ending);
    }
}

fn bid_many(head: &Head, ending: Ending) {
    let runtime = head.runtime();
    let mut group = Group::default();
    for farewell in ending {
        match farewell {
            Farewell::Send {
                to: Target::Pid(to),
                signal,
            } if runtime.is_local(to) => group.add(runtime, to, signal),
            other => {
                group.tell(runtime);
                tell(head, other);
            }
        }
    }
    group.tell(runtime);
}

fn tell(head: &Head, farewell: Farewell) {
    let runtime = head.runtime();
    match farewell {
        Farewell::Send { to, signal } => runtime.send_signal(head.pid(), to.into(), signal, None),
        Farewell::Orphan {
            reference,
            node,
            reason,
        } => runtime.adopt_orphan(reference, node, reason),
    }
}

/// A batch that is being made, and whom its signals are for.
#[derive(Default)]
struct Group {
    signals: Batch,
    to: Vec<Pid>,
    found: Vec<Option<Arc<dyn AnyProcess>>>,
    shares: Vec<Arc<Batch>>,
}

impl Group {
    fn add(&mut self, runtime: &Runtime, to: Pid, signal: Signal) {
        if self.signals.capacity() == 0 {
            self.signals.reserve_exact(BATCH_MAX);
        }
        self.signals.push(signal);
        self.to.push(to);
        if self.signals.len() == BATCH_MAX {
            self.tell(runtime);
        }
    }

    fn tell(&mut self, runtime: &Runtime) {
        let batch = Arc::new(mem::take(&mut self.signals));
        let numbers = self.to.iter().map(|to| number_of(*to));
        runtime.table().get_all(numbers, &mut self.found);
        // All at once: from the first push on, others count themselves out at the same place.
        self.shares.resize(self.to.len(), batch.clone());
        let each = self.to.drain(..).zip(self.found.drain(..));
        for ((index, (to, process)), share) in each.enumerate().zip(self.shares.drain(..)) {
            let is_there = process.is_some_and(|process| process.push_shared(share, index as u8));
            if !is_there {
                runtime.answer_for(&to.into(), &batch[index], runtime.noproc());
            }
        }
    }
}

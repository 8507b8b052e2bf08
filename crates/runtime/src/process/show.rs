//! What waits in a queue, for people: in crash reports.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

use purlin_otp::relations::Info;
use purlin_term::EncodedTerm;

use super::cell::Slot;
use super::inside::Inside;
use super::task::shown;
use crate::limits::MESSAGE_BYTES_SHOWN_MAX;
use crate::message::Message;
use crate::panics;

impl<M: Message> Inside<'_, M> {
    /// The texts of the first messages that wait, at most so many. They stay.
    pub(crate) fn show_messages(&mut self, most: usize) -> Vec<String> {
        let mut texts: Vec<_> = self.first().take(most).map(show_info).collect();
        let mut cursor = self.owner.start();
        while texts.len() < most
            && let Some(slot) = self.owner.next(&mut cursor)
        {
            let rest = most - texts.len();
            match slot {
                Slot::Infos(infos) => texts.extend(infos.iter().take(rest).map(show_info)),
                slot => texts.extend(show(slot)),
            }
        }
        texts
    }
}

/// The text of what the process would have received; signals are none of it.
fn show<M: Message>(slot: &Slot<M>) -> Option<String> {
    match slot {
        Slot::Message(message) => Some(show_own(message)),
        Slot::Passed(passed) => Some(show_own(&passed.message)),
        Slot::Encoded(encoded) => Some(show_encoded(&encoded.term)),
        Slot::Info(info) => Some(show_info(info)),
        Slot::Infos(_) | Slot::Signal(_) | Slot::Shared(..) | Slot::Gone => None,
    }
}

fn show_info(info: &Info) -> String {
    shown(&format_args!("{info:?}"))
}

fn show_own<M: Message>(message: &M) -> String {
    // Code of the user's, at the end of a process: nothing may come out of it.
    let encode = || catch_unwind(AssertUnwindSafe(|| message.encode()));
    match panics::in_process(encode) {
        Ok(Ok(encoded)) => show_encoded(&encoded),
        _ => format!("a {}", std::any::type_name::<M>()),
    }
}

fn show_encoded(encoded: &EncodedTerm) -> String {
    let len = encoded.bytes().len();
    if len > MESSAGE_BYTES_SHOWN_MAX {
        return format!("a message of {len} bytes");
    }
    match encoded.to_term() {
        Ok(term) => shown(&term),
        Err(error) => shown(&error as &dyn Display),
    }
}

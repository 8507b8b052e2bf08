//! Answers that a server gives without waiting: to `sys`, to what it refuses, and all those of a supervisor.
//!
//! Nearly always the road has room, and an answer goes at once, in the name of the server. One for which there
//! is none waits for it in a process of its own, whose message it then is. A peer that asks and asks and does
//! not read has so many of them as [`ANSWERS_MAX`] allows, and neither holds up the server nor takes the room of
//! its node.

use purlin_runtime::{Destination, Message, Process, Raw, SendError};
use purlin_term::{EncodedTerm, Pid, Term};

use crate::envelope::Caller;
use crate::reply_to::reply_message;
use crate::room::Room;

/// Bytes of answers of one server that wait for a road, each with [`ANSWER_COST`]. A guess, unmeasured: a
/// thousand short ones.
const ANSWERS_MAX: usize = 16 << 20;

/// What an answer that waits takes besides: a process.
const ANSWER_COST: usize = 16 << 10;

/// The answers of one server that wait.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// There is none before the first has to wait.
    room: Option<Room>,
    dropped: u64,
}

impl Answers {
    /// Answers at once, or when there is room; nobody who is not connected, since whoever asked has gone then.
    pub(crate) fn give<M: Message>(&mut self, by: &Process<M>, caller: &Caller, reply: &Term) {
        let message = match EncodedTerm::encode(reply) {
            Ok(reply) => reply_message(caller, &reply),
            Err(error) => Err(SendError::Encode(error.to_string())),
        };
        let (runtime, to) = (by.runtime(), caller.reply_to());
        let sent = message.and_then(|message| {
            match runtime.try_send_encoded(by.pid(), to.clone(), message.clone()) {
                Err(SendError::Busy(_) | SendError::Full(_)) => Ok(Some(message)),
                sent => sent.map(|()| None),
            }
        });
        match sent {
            Ok(None) => {}
            Ok(Some(message)) => self.give_later(by, to, message),
            Err(error) => tracing::debug!(to = %caller.pid, %error, "an answer was not sent"),
        }
    }

    fn give_later<M: Message>(&mut self, by: &Process<M>, to: Destination, message: EncodedTerm) {
        let cost = message.bytes().len().saturating_add(ANSWER_COST);
        let room = self.room.get_or_insert_default();
        let Some(place) = room.take(cost, ANSWERS_MAX) else {
            return self.note_dropped(by.pid(), &"there are too many already");
        };
        let waiting = by.runtime().spawn(move |process: Process<()>| async move {
            let _place = place;
            if let Err(error) = process.send(to, Raw(message)).await {
                tracing::debug!(%error, "an answer was not sent");
            }
        });
        if let Err(error) = waiting {
            self.note_dropped(by.pid(), &error);
        }
    }

    /// Told when it begins, and each time that the number has doubled.
    fn note_dropped(&mut self, pid: Pid, why: &dyn std::fmt::Display) {
        self.dropped += 1;
        if self.dropped.is_power_of_two() {
            let dropped = self.dropped;
            tracing::warn!(%pid, dropped, "answers that could not wait for a road were dropped: {why}");
        }
    }
}

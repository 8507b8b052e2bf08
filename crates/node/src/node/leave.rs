//! A node that stops says so to its peers.
//!
//! All its connections end at once, but those who stay do not see it at the same instant, and a node that hears
//! from another of an end that it has not seen yet takes it for a broken link (`services/global/partition.rs`).
//! So a Purlin node that stops sends each visible peer a message before it closes the connections, to a name
//! that OTP nodes do not have: they drop it. In a Purlin node the connection takes it, and no process: it speaks of
//! that connection's peer and of nobody else, and comes before its end.

use std::sync::Arc;

use purlin_proto::signal::Recipient;
use purlin_term::{Atom, EncodedTerm, Term, atom};

use super::Node;
use super::outside::message_signal;
use crate::connection::Connection;

/// Whom the message is addressed to.
const NAME: &str = "purlin_leaves";

/// Whether a message to this name is the announcement of the peer that sent it.
pub(super) fn is_leave(name: &Atom) -> bool {
    name.as_str() == NAME
}

impl Node {
    /// Tells the peers that this node stops. Hidden ones, which may be programs that take every message for
    /// theirs, have no part in what it is for.
    pub(crate) fn announce_leave(&self, connections: &[Arc<Connection>]) {
        let Some(from) = self.whereis(&atom!("net_kernel")) else {
            return;
        };
        let name = Atom::new(NAME).expect("it is short");
        let message = Term::tuple([atom!("leaves").into(), self.name().into()]);
        let message = EncodedTerm::encode(&message).expect("it is small");
        let leave = message_signal(from, Recipient::Name(name), message);
        for connection in connections.iter().filter(|it| it.is_visible()) {
            // A connection that has ended has told its peer already.
            let _ = connection.push(from, &leave);
        }
    }
}

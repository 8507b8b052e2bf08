//! What tests do with a mailbox of ours.

use purlin_node::{Delivery, Mailbox, Node, Term};
use tokio::time::timeout;

use super::PATIENCE;

/// The next thing that is delivered.
pub async fn next(mailbox: &mut Mailbox) -> Delivery {
    let next = timeout(PATIENCE, mailbox.receive()).await;
    next.expect("something is delivered")
}

/// The next thing, which is a message.
pub async fn message(mailbox: &mut Mailbox) -> Term {
    match next(mailbox).await {
        Delivery::Message(message) => message.to_term().unwrap(),
        other => panic!("a message, not {other:?}"),
    }
}

/// One that traps exits.
pub fn trapping(node: &Node) -> Mailbox {
    let mailbox = node.attach().unwrap();
    mailbox.trap_exit(true);
    mailbox
}

//! The registered processes that OTP expects on every node.
//!
//! Each service is an ordinary process with a name. Messages it does not know are dropped, since
//! OTP's servers would only log them.

pub mod global;
pub(crate) mod global_name_server;
mod logger;
mod net_kernel;
mod pg;
mod rex;

use purlin_term::{Atom, Pid, Term};

use crate::host::BoxFuture;
use crate::node::Node;
use crate::process::{Caller, Delivery, Envelope, Mailbox};

/// A registered process of every node.
struct Service {
    name: Atom,
    run: fn(Mailbox) -> BoxFuture<'static, Term>,
}

/// Starts all services of `node`.
pub(crate) fn start(node: &Node) {
    let services = [
        net_kernel::SERVICE,
        rex::SERVICE,
        pg::SERVICE,
        logger::SERVICE,
    ];
    for Service { name, run } in services {
        let pid = node.spawn(run);
        node.register(name, pid).expect("a new node has no names");
    }
    global_name_server::start(node);
}

/// The next message, out of its envelope; `None` for other signals and undecodable messages.
async fn next_envelope(mailbox: &mut Mailbox) -> Option<Envelope> {
    match mailbox.receive().await {
        Delivery::Message(message) => Envelope::decode(&message),
        _ => None,
    }
}

/// Sends, and lets go what cannot be sent: the peer learns from its monitor, or does not care.
async fn send(mailbox: &Mailbox, to: Pid, message: Term) {
    let _ = mailbox.send(to, &message).await;
}

/// Answers a call with `{Tag, Reply}`.
pub(crate) async fn reply(mailbox: &Mailbox, caller: &Caller, reply: Term) {
    let message = Term::tuple([caller.tag.clone(), reply]);
    let _ = mailbox.send(caller.reply_to(), &message).await;
}

fn uses_long_names(node: &Node) -> bool {
    node.host_name().contains('.')
}

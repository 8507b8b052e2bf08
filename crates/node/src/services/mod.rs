//! The registered processes that OTP expects on every node.
//!
//! Each service is a process with a name that no exit signal ends. Messages it does not know are dropped, since
//! OTP's servers would only log them.

pub mod global;
pub(crate) mod global_name_server;
mod logger;
mod net_kernel;
mod pg;
mod rex;

use std::sync::{Arc, MutexGuard, PoisonError};

use purlin_runtime::SpawnOptions;
use purlin_term::{Atom, Term, atom};

use crate::connection::Latch;
use crate::host::BoxFuture;
use crate::node::Node;
use crate::process::{Caller, Delivery, Destination, Envelope, Mailbox, encode_reply};

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
        start_one(node, name, run);
    }
    global_name_server::start(node);
}

/// Starts a service, which lives until the node dismisses it.
fn start_one<B, F>(node: &Node, name: Atom, run: B)
where
    B: FnOnce(Mailbox) -> F + Send + 'static,
    F: Future<Output = Term> + Send + 'static,
{
    let options = SpawnOptions::default().name(name);
    let process = node.runtime().prepare(options);
    let process = process.expect("a new node has no processes and no names");
    process.keep();
    let ended = Arc::new(Latch::default());
    node.services().push(ended.clone());
    let node = node.clone();
    process.start(move |process| async move {
        let _end = ServiceEnd(ended);
        let running = run(Mailbox::of_body(node.clone(), process));
        tokio::select! {
            biased;
            () = node.0.dismissing.wait() => atom!("shutdown").into(),
            reason = running => reason,
        }
    });
}

/// Tells that a service has ended, however it did.
struct ServiceEnd(Arc<Latch>);

impl Drop for ServiceEnd {
    fn drop(&mut self) {
        self.0.set();
    }
}

impl Node {
    fn services(&self) -> MutexGuard<'_, Vec<Arc<Latch>>> {
        self.0
            .services
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the services, and returns when they have.
    pub(crate) async fn dismiss_services(&self) {
        self.0.dismissing.set();
        let ended = self.services().clone();
        for service in ended {
            service.wait().await;
        }
    }
}

/// The next message, out of its envelope; `None` for other signals and undecodable messages.
async fn next_envelope(mailbox: &mut Mailbox) -> Option<Envelope> {
    match mailbox.receive().await {
        Delivery::Message(message) => Envelope::decode(&message),
        _ => None,
    }
}

/// Sends at once, and lets go what cannot be sent: the peer learns from its monitor, or does not
/// care. A service serves all peers, so it never waits for one: it does not dial whoever a message
/// names, and a peer that reads nothing loses its connection (`connection`).
fn send(mailbox: &Mailbox, to: impl Into<Destination>, message: &Term) {
    mailbox
        .node()
        .push_message(mailbox.pid(), to.into(), message);
}

/// Answers a call, at once or never: [`Mailbox::reply`] waits for the road.
pub(crate) fn reply(mailbox: &Mailbox, caller: &Caller, reply: Term) {
    if let Ok(message) = encode_reply(caller, &reply) {
        let node = mailbox.node();
        node.push_reply(mailbox.pid(), caller, message);
    }
}

fn uses_long_names(node: &Node) -> bool {
    node.host_name().contains('.')
}

//! `pg`: answers the discovery of process groups with an empty list of our own.
//!
//! A node that has no members of the default scope still answers, so that OTP's scope servers know
//! it and send their updates (distribution document, section 11). Only `{discover, Peer}` is ever
//! sent: any other message would crash the scope server of OTP 25. Keeping the peers' groups comes
//! with the services.

use std::collections::BTreeMap;

use purlin_runtime::Target;
use purlin_term::{NodeName, Pid, Term, atom};

use super::Service;
use crate::process::{Delivery, Envelope, Mailbox, NodeEvent};

pub(super) const SERVICE: Service = Service {
    name: atom!("pg"),
    run: |m| Box::pin(run(m)),
};

async fn run(mut mailbox: Mailbox) -> Term {
    // One scope server a node, so that connections bound them.
    let mut peers: BTreeMap<NodeName, Pid> = BTreeMap::new();
    mailbox.node().monitor_nodes(mailbox.pid());
    loop {
        match mailbox.receive().await {
            Delivery::Node(NodeEvent::Up { node, .. }) => {
                super::send(&mailbox, (atom!("pg"), node), &discover(mailbox.pid()));
            }
            Delivery::Message(message) => {
                let Some(Envelope::Info(message)) = Envelope::decode(&message) else {
                    continue;
                };
                let Some(peer) = discovered(&message) else {
                    continue;
                };
                if peers.insert(peer.node, peer) != Some(peer) {
                    mailbox.monitor_connected(peer);
                    super::send(&mailbox, peer, &discover(mailbox.pid()));
                }
                super::send(&mailbox, peer, &empty_sync(mailbox.pid()));
            }
            Delivery::Down {
                watched: Target::Pid(peer),
                ..
            } if peers.get(&peer.node) == Some(&peer) => {
                peers.remove(&peer.node);
            }
            _ => {}
        }
    }
}

/// The scope server that says `{discover, Peer}` or `{discover, Peer, Version}`.
fn discovered(message: &Term) -> Option<Pid> {
    match message.as_tuple()? {
        [tag, Term::Pid(peer)] | [tag, Term::Pid(peer), _] if tag.is_atom("discover") => {
            Some(*peer)
        }
        _ => None,
    }
}

fn discover(me: Pid) -> Term {
    Term::tuple([atom!("discover").into(), me.into()])
}

fn empty_sync(me: Pid) -> Term {
    let sync = Term::tuple([atom!("sync").into(), me.into(), Term::nil()]);
    Term::tuple([atom!("$gen_cast").into(), sync])
}

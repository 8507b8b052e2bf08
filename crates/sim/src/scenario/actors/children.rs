//! Children: workers that a watcher has started on any node, its own included.
//!
//! A child says first that it runs, to the judges and to who asked for it. Both know the request by its
//! token, which is drawn from the seed.

use purlin_node::{Mailbox, MonitorOptions, Node, Pid, Raise, RequestOptions, Term};

use super::{Actor, ties};
use crate::judge::Observation;
use crate::scenario::cluster::Cluster;

const MODULE: &str = "sim";
const FUNCTION: &str = "child";

/// Tokens are positive small integers of Erlang's: two of a run are never the same, in any likelihood.
const TOKENS: u64 = 1 << 58;

/// Lets other nodes start children on this one.
pub(super) fn export(cluster: &Cluster, node: &Node) {
    let cluster = cluster.clone();
    node.export(
        MODULE,
        FUNCTION,
        move |mailbox: Mailbox, parent: Term, token: u64| {
            let cluster = cluster.clone();
            async move {
                let random = cluster.world().random();
                let actor = Actor {
                    cluster,
                    mailbox,
                    random,
                };
                let parent = parent.as_pid().expect("it is a pid");
                let reason = be_born(actor, parent, token).await;
                Err::<Term, Raise>(Raise::Exit(reason))
            }
        },
    );
}

async fn be_born(mut actor: Actor, parent: Pid, token: u64) -> Term {
    actor.mailbox.trap_exit(true);
    let pid = actor.me();
    actor.observe(&Observation::Born { pid, token });
    actor.cluster.directory().children.insert((parent, pid));
    let hello = Term::tuple([pid.into(), (token as i64).into()]);
    // It may be lost with its connection.
    let _ = actor.mailbox.send(parent, &hello).await;
    ties::live(&mut actor).await
}

/// Has a child started somewhere.
pub(super) async fn ask(actor: &mut Actor) {
    let names = actor.cluster.names();
    let to = *actor.random.pick(&names).expect("there are some");
    let (by, token) = (actor.me(), actor.random.below(TOKENS));
    let (link, monitor) = (actor.random.one_in(2), actor.random.one_in(2));
    let options = RequestOptions {
        link,
        monitor: monitor.then(MonitorOptions::default),
        ..RequestOptions::default()
    };
    actor.observe(&Observation::Asking {
        by,
        to,
        token,
        link,
        monitor,
    });
    let args = (Term::from(by), token);
    let asked = actor
        .mailbox
        .spawn_request(to, MODULE, FUNCTION, args, options);
    let reference = asked.await.ok();
    actor.observe(&Observation::Asked {
        by,
        token,
        reference,
    });
}

/// A message to one who may have asked for a child.
pub(super) fn hear(actor: &Actor, message: &Term) {
    if let Some([Term::Pid(from), Term::Int(token)]) = message.as_tuple() {
        let (by, from, token) = (actor.me(), *from, *token as u64);
        actor.observe(&Observation::Heard { by, from, token });
    }
}

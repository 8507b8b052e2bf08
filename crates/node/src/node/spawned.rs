//! Processes that peers start, and those that are started here in the same way: a request of a process
//! of this node to the node itself is carried out as one of a peer, so that both end alike.
//!
//! The reply to a spawn request is queued before the process runs, so that nothing of the process
//! overtakes it. What a peer's requests cost at once is bounded by the number of their processes and
//! the bytes of their arguments.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use purlin_otp::signal::{ChildIs, Epoch, Signal};
use purlin_proto::signal::{Signal as Wire, SpawnRequest as WireRequest};
use purlin_runtime::{Prepared, SpawnOptions as Options};
use purlin_term::{Atom, EncodedTerm, NodeName, Pid, Reference, atom};

use super::Node;
use crate::connection::{Connection, TieRefused};
use crate::export::FunctionName;
use crate::limits::{SPAWNED_BYTES_MAX, SPAWNED_MAX, SPAWNED_PROCESSES_MAX};
use crate::process::{Mailbox, NodeMessage};
use crate::remote_call::{self, SpawnOptions, SpawnRequest};

/// What runs for spawn requests, by the node that asked.
#[derive(Default)]
pub(super) struct Spawned(BTreeMap<NodeName, Load>);

#[derive(Default)]
struct Load {
    processes: usize,
    bytes: usize,
    was_refused: bool,
    /// The options of the last request, as they came and as they were read: nearly always those of
    /// the next.
    options: Option<(EncodedTerm, SpawnOptions)>,
}

/// Options that take more bytes are read anew each time, without the lock: room for more than there are.
const OPTIONS_KEPT_LEN_MAX: usize = 64;

impl Load {
    /// Reads the options of a request.
    fn options(&mut self, encoded: &EncodedTerm) -> Option<SpawnOptions> {
        let is_same = |known: &EncodedTerm| {
            known.bytes() == encoded.bytes() && known.atoms() == encoded.atoms()
        };
        if let Some((known, options)) = &self.options
            && is_same(known)
        {
            return Some(*options);
        }
        let options = SpawnOptions::read(encoded)?;
        self.options = Some((encoded.clone(), options));
        Some(options)
    }
}

/// The place of a process among those that a peer may have, given back when it is dropped.
struct Place {
    node: Node,
    peer: NodeName,
    bytes: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut spawned = self.node.spawned();
        let Some(load) = spawned.0.get_mut(&self.peer) else {
            return;
        };
        load.processes -= 1;
        load.bytes -= self.bytes;
        // What is left of it stays, since the next process comes soon: names of nodes are bounded.
        load.was_refused &= load.processes > 0;
    }
}

impl Node {
    fn spawned(&self) -> MutexGuard<'_, Spawned> {
        self.0
            .spawned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more process of `peer`, which has this `load`, with so many bytes of arguments.
    fn place_for(&self, peer: NodeName, load: &mut Load, bytes: usize) -> Option<Place> {
        let is_full = load.processes >= SPAWNED_MAX
            || load.bytes.saturating_add(bytes) > SPAWNED_BYTES_MAX
            || self.runtime().process_count() >= SPAWNED_PROCESSES_MAX;
        if is_full {
            if !std::mem::replace(&mut load.was_refused, true) {
                let processes = load.processes;
                tracing::warn!(%peer, processes, "a peer started as many processes as it may");
            }
            return None;
        }
        load.processes += 1;
        load.bytes += bytes;
        let node = self.clone();
        Some(Place { node, peer, bytes })
    }

    /// Starts a process for a peer, or says why not.
    pub(super) fn spawn_for(&self, connection: &Arc<Connection>, request: WireRequest) {
        self.spawn_in(Asker::Peer(self, connection), request);
    }

    /// Starts a process for one of this node, or says why not.
    pub(super) fn spawn_for_one_here(&self, request: WireRequest) {
        self.spawn_in(Asker::Here(self), request);
    }

    fn spawn_in(&self, asker: Asker<'_>, request: WireRequest) {
        let (from, id) = (request.from, request.id);
        let child = match self.prepare_for(&asker, request) {
            Ok(child) => child,
            Err(reason) => return asker.refuse(from, id, reason),
        };
        if let Err(refused) = child.tie(&asker, id) {
            return asker.close(&refused);
        }
        asker.tell(from, id, child.options, child.process.pid());
        let node = self.clone();
        let (request, place) = (child.request, child.place);
        child.process.start(move |process| {
            remote_call::run(Mailbox::of_body(node, process), request, place)
        });
    }

    /// A process that does not run yet, or what a spawn reply says of it.
    fn prepare_for(&self, asker: &Asker<'_>, request: WireRequest) -> Result<Child, Atom> {
        let bytes = request.arguments.bytes().len();
        let (options, place) = asker.admit(&request.options, bytes)?;
        let request = decode_request(request).ok_or(atom!("badopt"))?;
        let leader = Options::default().group_leader(request.group_leader);
        let process = self.runtime().prepare(leader);
        let process = process.map_err(|_| atom!("system_limit"))?;
        Ok(Child {
            process,
            request,
            options,
            place,
        })
    }
}

/// A process that does not run yet.
struct Child {
    process: Prepared<NodeMessage>,
    request: SpawnRequest,
    options: SpawnOptions,
    place: Option<Place>,
}

impl Child {
    /// Ties it to who asked for it.
    fn tie(&self, asker: &Asker<'_>, id: Reference) -> Result<(), TieRefused> {
        let (from, to, epoch) = (self.request.from, self.process.pid(), asker.epoch());
        if self.options.link {
            if let Asker::Peer(_, connection) = asker {
                connection.ties.hold_link(from, to)?;
            }
            self.process.link(from, epoch);
        }
        if self.options.monitor {
            if let Asker::Peer(_, connection) = asker {
                connection.ties.hold_monitor(id, from, to)?;
            }
            self.process.monitor(from, id, epoch);
        }
        Ok(())
    }
}

/// Whose process asks for another.
enum Asker<'a> {
    /// The peer's at the other end.
    Peer(&'a Node, &'a Arc<Connection>),
    /// This node's.
    Here(&'a Node),
}

impl Asker<'_> {
    /// Reads the options of a request, and finds a place for its process: peers have bounds, processes here
    /// have the node's own.
    fn admit(
        &self,
        encoded: &EncodedTerm,
        bytes: usize,
    ) -> Result<(SpawnOptions, Option<Place>), Atom> {
        let badopt = || atom!("badopt");
        let (node, asker) = match self {
            Self::Peer(node, connection) => (node, connection.peer()),
            Self::Here(node) => (node, node.name()),
        };
        let is_long = encoded.bytes().len() > OPTIONS_KEPT_LEN_MAX;
        let long = is_long.then(|| SpawnOptions::read(encoded).ok_or_else(badopt));
        let long = long.transpose()?;
        let mut spawned = node.spawned();
        let load = spawned.0.entry(asker).or_default();
        let options = long.or_else(|| load.options(encoded));
        let options = options.ok_or_else(badopt)?;
        let place = match self {
            Self::Peer(node, _) => {
                let place = node.place_for(asker, load, bytes);
                Some(place.ok_or(atom!("system_limit"))?)
            }
            Self::Here(_) => None,
        };
        Ok((options, place))
    }

    fn epoch(&self) -> Epoch {
        match self {
            Self::Peer(_, connection) => connection.epoch(),
            Self::Here(_) => Epoch::LOCAL,
        }
    }

    /// The process was started. Said in its own flow, and so before anything that it says itself.
    fn tell(&self, to: Pid, id: Reference, options: SpawnOptions, pid: Pid) {
        let (linked, monitored) = (options.link, options.monitor);
        match self {
            Self::Peer(_, connection) => push_reply(connection, pid, id, to, options, Ok(pid)),
            Self::Here(node) => {
                let spawned = Signal::Spawned {
                    reference: id,
                    child: pid,
                    is: ChildIs { linked, monitored },
                };
                node.runtime()
                    .deliver_signal(to.into(), spawned, self.epoch());
            }
        }
    }

    /// No process was started.
    fn refuse(&self, to: Pid, id: Reference, reason: Atom) {
        match self {
            Self::Peer(_, connection) => {
                push_reply(connection, to, id, to, SpawnOptions::default(), Err(reason));
            }
            Self::Here(node) => {
                let failed = Signal::SpawnFailed {
                    reference: id,
                    node: node.name(),
                    reason,
                };
                node.runtime()
                    .deliver_signal(to.into(), failed, self.epoch());
            }
        }
    }

    fn close(&self, why: &TieRefused) {
        if let Self::Peer(_, connection) = self {
            connection.close(why);
        }
    }
}

fn push_reply(
    connection: &Connection,
    flow: Pid,
    id: Reference,
    to: Pid,
    options: SpawnOptions,
    result: Result<Pid, Atom>,
) {
    let reply = Wire::SpawnReply {
        id,
        to,
        linked: options.link,
        monitored: options.monitor,
        result,
        token: None,
    };
    let _ = connection.push(flow, &reply);
}

fn decode_request(request: WireRequest) -> Option<SpawnRequest> {
    let args = request.arguments.to_term().ok()?.as_list()?.to_vec();
    let name = FunctionName {
        module: request.module,
        function: request.function,
        arity: args.len(),
    };
    let (from, group_leader) = (request.from, request.group_leader);
    Some(SpawnRequest {
        from,
        group_leader,
        name,
        args,
    })
}

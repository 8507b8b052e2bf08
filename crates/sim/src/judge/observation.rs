//! What judges are told.

use std::fmt;

use purlin_node::{Atom, NodeName, Pid, Reference, Term};

/// How a message is addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To a pid.
    Pid(Pid),
    /// To the name that the receiver of each node is registered with.
    Name,
    /// To an alias.
    Alias(Alias),
}

/// An alias of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alias {
    /// Itself.
    pub reference: Reference,
    /// Whose.
    pub of: Pid,
    /// The first message by it takes it back.
    pub is_for_one: bool,
}

/// What became of a message, for its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was queued on a connection.
    Sent,
    /// There was no connection, and it waits for one: it is dropped if there is none to be had.
    Held,
    /// The error said that it was not sent.
    Refused,
}

/// What a process did or saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// A process is about to send a numbered message, having read all that was in its mailbox.
    Sending {
        /// Who sends.
        from: Pid,
        /// To which node.
        to: NodeName,
        /// To whom there.
        way: Way,
        /// Counts up for each `from` and `to`.
        number: u64,
    },
    /// The send returned, and the process has read all that was in its mailbox since.
    Sent {
        /// Who sent.
        from: Pid,
        /// To which node.
        to: NodeName,
        /// Which message.
        number: u64,
        /// What became of it, as far as the sender was told.
        fate: Fate,
    },
    /// A numbered message arrived.
    Received {
        /// At whom.
        by: Pid,
        /// From whom.
        from: Pid,
        /// Which.
        number: u64,
    },
    /// A process has taken an alias back, and has read all that was in its mailbox since.
    Unaliased {
        /// Whose it was.
        by: Pid,
        /// The alias.
        alias: Reference,
    },
    /// A process sets a monitor, having read all that was in its mailbox.
    Monitoring {
        /// Who watches.
        watcher: Pid,
        /// Whom.
        watched: Pid,
        /// The monitor.
        reference: Reference,
        /// Whether their nodes are connected, or one.
        is_connected: bool,
    },
    /// A process takes a monitor back, having read all that was in its mailbox.
    Demonitoring {
        /// Who watched.
        watcher: Pid,
        /// The monitor.
        reference: Reference,
    },
    /// A monitor fired.
    Down {
        /// Who watches.
        watcher: Pid,
        /// Whom.
        watched: Pid,
        /// The monitor.
        reference: Reference,
        /// Why.
        reason: Term,
    },
    /// A process links itself to another, for the first time, having read all that was in its
    /// mailbox. It traps exits, and so does the other.
    Linking {
        /// Who links itself.
        from: Pid,
        /// To whom.
        to: Pid,
        /// Whether their nodes are connected, or one.
        is_connected: bool,
    },
    /// A process ends a link that it made, having read all that was in its mailbox. It makes no other
    /// to that process.
    Unlinking {
        /// Who made the link.
        from: Pid,
        /// To whom.
        to: Pid,
    },
    /// An exit signal arrived at a process that traps them.
    Exit {
        /// At whom.
        at: Pid,
        /// From whom.
        from: Pid,
        /// Why.
        reason: Term,
    },
    /// A process is told of nodes from now on.
    MonitoringNodes {
        /// Who.
        by: Pid,
        /// What is connected.
        peers: Vec<Peer>,
    },
    /// A process was told that a node is connected.
    NodeUp {
        /// Who was told.
        at: Pid,
        /// Of what.
        peer: Peer,
    },
    /// A process was told that a node is no longer connected.
    NodeDown {
        /// Who was told.
        at: Pid,
        /// Which node.
        node: NodeName,
        /// Which connection it was.
        connection: Option<u64>,
    },
    /// A process that is told of nodes asked what is connected, having read all that was in its mailbox.
    NodesAsked {
        /// Who asked.
        by: Pid,
        /// The answer.
        peers: Vec<Peer>,
    },
    /// A process is about to ask for a process on another node or its own, having read all that was in its
    /// mailbox.
    Asking {
        /// Who asks.
        by: Pid,
        /// Which node.
        to: NodeName,
        /// What the new process is told, which names the request.
        token: u64,
        /// Whether they are to be linked.
        link: bool,
        /// Whether the new one is to be monitored.
        monitor: bool,
    },
    /// It has asked.
    Asked {
        /// Who asked.
        by: Pid,
        /// The request.
        token: u64,
        /// What the reply will have; `None` when the error said that nothing was asked.
        reference: Option<Reference>,
    },
    /// A process that was asked for runs. It traps exits from now on.
    Born {
        /// It.
        pid: Pid,
        /// The request.
        token: u64,
    },
    /// The reply: the process was started.
    Spawned {
        /// Who asked.
        by: Pid,
        /// The request.
        reference: Reference,
        /// The new process.
        pid: Pid,
    },
    /// The reply: it was not.
    SpawnFailed {
        /// Who asked.
        by: Pid,
        /// The request.
        reference: Reference,
        /// Why.
        reason: Atom,
    },
    /// The first message of a process to the one that asked for it arrived.
    Heard {
        /// At whom.
        by: Pid,
        /// Of whom.
        from: Pid,
        /// The request.
        token: u64,
    },
    /// A process sends another one, anywhere, an exit signal that it cannot trap.
    Killing {
        /// Who.
        by: Pid,
        /// Whom.
        victim: Pid,
    },
    /// A process wanted a name on its own node.
    Named {
        /// Who.
        pid: Pid,
        /// Which name.
        name: Atom,
        /// False when another process had it.
        is_given: bool,
    },
    /// Somebody asked who has a name on its own node.
    NameAsked {
        /// Who asked.
        by: Pid,
        /// Which name.
        name: Atom,
        /// The answer.
        holder: Option<Pid>,
    },
    /// A process ends now.
    Ended {
        /// Which.
        pid: Pid,
        /// Why.
        reason: Term,
    },
    /// A node ends now, with all its processes and without a word from them.
    Gone {
        /// Its name.
        node: NodeName,
        /// Which incarnation of it.
        creation: u32,
    },
}

/// A connected node, as whoever is told of it sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    /// Its name.
    pub node: NodeName,
    /// Which incarnation of it.
    pub creation: u32,
    /// Which connection: later ones to the same node have higher numbers.
    pub connection: u64,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            node,
            creation,
            connection,
        } = self;
        write!(f, "{node} of creation {creation} (connection {connection})")
    }
}

/// Several of them.
pub(super) struct List<'a>(pub(super) &'a [Peer]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (place, peer) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{peer}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sending {
                from,
                to,
                way,
                number,
            } => {
                write!(f, "{from} sends {number} to {to} by ")?;
                match way {
                    Way::Pid(pid) => write!(f, "pid {pid}"),
                    Way::Name => f.write_str("name"),
                    Way::Alias(alias) => write!(f, "alias {}", alias.reference),
                }
            }
            Self::Sent {
                from,
                to,
                number,
                fate,
            } => {
                let outcome = match fate {
                    Fate::Sent => "sent",
                    Fate::Held => "has waiting",
                    Fate::Refused => "did not send",
                };
                write!(f, "{from} {outcome} {number} to {to}")
            }
            Self::Received { by, from, number } => write!(f, "{by} received {number} of {from}"),
            Self::Unaliased { by, alias } => write!(f, "{by} has taken {alias} back"),
            Self::Monitoring {
                watcher,
                watched,
                reference,
                is_connected,
            } => {
                let connected = if *is_connected { "" } else { ", not connected" };
                write!(f, "{watcher} monitors {watched} as {reference}{connected}")
            }
            Self::Demonitoring { watcher, reference } => {
                write!(f, "{watcher} takes {reference} back")
            }
            Self::Down {
                watcher,
                watched,
                reference,
                reason,
            } => {
                write!(
                    f,
                    "{watcher} got DOWN of {watched} by {reference}: {reason}"
                )
            }
            Self::Unlinking { from, to } => write!(f, "{from} unlinks {to}"),
            Self::Linking {
                from,
                to,
                is_connected,
            } => {
                let connected = if *is_connected { "" } else { ", not connected" };
                write!(f, "{from} links to {to}{connected}")
            }
            Self::Exit { at, from, reason } => write!(f, "{at} got EXIT of {from}: {reason}"),
            Self::MonitoringNodes { by, peers } => {
                write!(f, "{by} monitors nodes, connected to {}", List(peers))
            }
            Self::NodeUp { at, peer } => write!(f, "{at} was told that {peer} is up"),
            Self::NodeDown {
                at,
                node,
                connection,
            } => {
                write!(f, "{at} was told that {node} is down")?;
                connection.map_or(Ok(()), |it| write!(f, ", connection {it}"))
            }
            Self::NodesAsked { by, peers } => write!(f, "{by} finds connected: {}", List(peers)),
            Self::Asking {
                by,
                to,
                token,
                link,
                monitor,
            } => {
                let link = if *link { ", linked" } else { "" };
                let monitor = if *monitor { ", monitored" } else { "" };
                write!(f, "{by} asks {to} for process {token}{link}{monitor}")
            }
            Self::Asked {
                by,
                token,
                reference,
            } => match reference {
                Some(reference) => write!(f, "{by} asked for process {token} as {reference}"),
                None => write!(f, "{by} could not ask for process {token}"),
            },
            Self::Born { pid, token } => write!(f, "{pid} is process {token}"),
            Self::Spawned { by, reference, pid } => {
                write!(f, "{by} got the reply to {reference}: {pid}")
            }
            Self::SpawnFailed {
                by,
                reference,
                reason,
            } => write!(f, "{by} got the reply to {reference}: no process, {reason}"),
            Self::Heard { by, from, token } => {
                write!(f, "{by} heard of {from}, which is process {token}")
            }
            Self::Killing { by, victim } => write!(f, "{by} kills {victim}"),
            Self::Named {
                pid,
                name,
                is_given,
            } => {
                let outcome = if *is_given { "is now" } else { "cannot be" };
                write!(f, "{pid} {outcome} {name}")
            }
            Self::NameAsked { by, name, holder } => match holder {
                Some(holder) => write!(f, "{by} finds that {name} is {holder}"),
                None => write!(f, "{by} finds that {name} is nobody"),
            },
            Self::Ended { pid, reason } => write!(f, "{pid} ends: {reason}"),
            Self::Gone { node, creation } => write!(f, "{node} of creation {creation} is gone"),
        }
    }
}

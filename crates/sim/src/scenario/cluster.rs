//! The nodes of a scenario: on which machines they are, and how they come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use purlin_node::{Config, Node, NodeName, Pid};
use tokio::time::sleep;

use super::actors;
use crate::host::SimHost;
use crate::judge::{Alias, Court, Observation};
use crate::machine::Machine;
use crate::random::Random;
use crate::world::World;

#[cfg(feature = "planted-bugs")]
use purlin_node::PlantedBug;

/// Short, so that little virtual time passes in silence.
pub(super) const NET_TICKTIME: Duration = Duration::from_secs(8);

pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);

/// Pause after a node could not start: its name may be taken until its machine's port mapper sees
/// that it is gone.
const START_AGAIN: Duration = Duration::from_secs(1);

/// Nodes of a scenario. What goes on grows with the square of their number, and what goes wrong needs
/// few more than three, so few are more frequent.
const COUNTS: [usize; 8] = [3, 3, 3, 4, 4, 5, 6, 7];

/// A node, and the process of the operating system that it is in.
pub(super) struct Member {
    name: String,
    machine: Machine,
    host: Mutex<Option<Arc<SimHost>>>,
}

/// Who is there: how processes find one another without a word over the network.
#[derive(Default)]
pub(super) struct Directory {
    /// The receiver of each node that is up.
    pub(super) receivers: BTreeMap<NodeName, Pid>,
    /// Aliases of the receivers of each node, old ones among them.
    pub(super) aliases: BTreeMap<NodeName, Vec<Alias>>,
    /// Processes to watch. Those that have ended stay for a while: watching them is a case too.
    pub(super) workers: Vec<Pid>,
    /// Those of them that were asked for from elsewhere, with who asked.
    pub(super) children: BTreeSet<(Pid, Pid)>,
    pub(super) is_quiet: bool,
}

/// Aliases of a node that others may send to: those of before, which lead nowhere, are a case too.
const ALIASES_KNOWN_MAX: usize = 3;

/// Workers that others may watch, the dead among them.
const WORKERS_KNOWN_MAX: usize = 24;

impl Directory {
    /// Lets others send to an alias; the oldest of its node is forgotten when there are many.
    pub(super) fn add_alias(&mut self, alias: Alias) {
        let aliases = self.aliases.entry(alias.of.node).or_default();
        aliases.push(alias);
        if aliases.len() > ALIASES_KNOWN_MAX {
            aliases.remove(0);
        }
    }

    /// Lets others watch a worker; the oldest is forgotten when there are many.
    pub(super) fn add_worker(&mut self, worker: Pid) {
        self.workers.push(worker);
        if self.workers.len() > WORKERS_KNOWN_MAX {
            self.workers.remove(0);
        }
    }
}

/// The nodes of a scenario. A handle.
#[derive(Clone)]
pub(super) struct Cluster {
    inner: Arc<Inner>,
    #[cfg(feature = "planted-bugs")]
    planted: Option<PlantedBug>,
}

struct Inner {
    court: Court,
    world: World,
    machines: Vec<Machine>,
    members: Vec<Member>,
    directory: Mutex<Directory>,
}

impl Cluster {
    /// So many nodes, or as many as the seed chooses; now and then two of them share a machine.
    pub(super) fn new(world: &World, count: Option<usize>, random: &mut Random) -> Self {
        let chosen = *random.pick(&COUNTS).expect("there are some");
        let count = count.unwrap_or(chosen);
        let mut machines: Vec<Machine> = Vec::new();
        let mut members = Vec::new();
        for number in 0..count {
            if machines.is_empty() || !random.one_in(4) {
                machines.push(world.machine(&format!("m{}", machines.len() + 1)));
            }
            let machine = machines.last().expect("there is one").clone();
            members.push(Member {
                name: format!("n{}@{}", number + 1, machine.name()),
                machine,
                host: Mutex::new(None),
            });
        }
        let inner = Inner {
            court: Court::new(world),
            world: world.clone(),
            machines,
            members,
            directory: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
            #[cfg(feature = "planted-bugs")]
            planted: None,
        }
    }

    /// Nodes that start from now on have this bug.
    #[cfg(feature = "planted-bugs")]
    pub(super) fn with_bug(mut self, bug: Option<PlantedBug>) -> Self {
        self.planted = bug;
        self
    }

    pub(super) fn court(&self) -> &Court {
        &self.inner.court
    }

    pub(super) fn world(&self) -> &World {
        &self.inner.world
    }

    pub(super) fn machines(&self) -> &[Machine] {
        &self.inner.machines
    }

    pub(super) fn members(&self) -> &[Member] {
        &self.inner.members
    }

    pub(super) fn directory(&self) -> MutexGuard<'_, Directory> {
        self.inner
            .directory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The names of all nodes, up or not.
    pub(super) fn names(&self) -> Vec<NodeName> {
        let names = self.members().iter().map(|member| {
            let name = purlin_node::Atom::new(&member.name).expect("it is short");
            NodeName::new(&name).expect("they are few")
        });
        names.collect()
    }

    pub(super) fn start_all(&self) {
        for member in self.members() {
            if member.host().is_none() {
                self.start(member);
            }
        }
    }

    /// Starts the node of a member, in a process of its own.
    pub(super) fn start(&self, member: &Member) {
        let host = member.machine.boot();
        *member.lock() = Some(host.clone());
        let (cluster, name, starting) = (self.clone(), member.name.clone(), host.clone());
        let task = async move {
            let node = loop {
                match Node::start(cluster.config(&name, &starting), starting.clone()).await {
                    Ok(node) => break node,
                    Err(error) => {
                        let world = cluster.world();
                        world.note(format_args!("{name} did not start: {error}"));
                        sleep(START_AGAIN).await;
                    }
                }
            };
            let (name, creation) = (node.name(), node.creation());
            let world = cluster.world();
            world.note(format_args!("{name} is up, creation {creation}"));
            actors::populate(&cluster, &node);
        };
        purlin_node::host::Executor::spawn(&*host, Box::pin(task));
    }

    fn config(&self, name: &str, host: &SimHost) -> Config {
        let address = SocketAddr::new(host.machine().address().into(), 0);
        let builder = Node::builder(name).cookie("simulated").listen(address);
        let builder = builder
            .net_ticktime(NET_TICKTIME)
            .handshake_timeout(HANDSHAKE_TIMEOUT);
        let config = builder.build().expect("names and cookie are good");
        #[cfg(feature = "planted-bugs")]
        let config = Config {
            planted_bug: self.planted,
            ..config
        };
        config
    }

    /// Kills the process of a member.
    pub(super) fn kill(&self, member: &Member) {
        if let Some(host) = member.lock().take() {
            self.bury(member);
            host.kill();
        }
    }

    /// Ends a machine without a word to anybody.
    pub(super) fn power_off(&self, machine: &Machine) {
        for member in self.on(machine) {
            if member.lock().take().is_some() {
                self.bury(member);
            }
        }
        machine.power_off();
    }

    pub(super) fn on(&self, machine: &Machine) -> impl Iterator<Item = &Member> {
        let members = self.members().iter();
        members.filter(move |member| member.machine.name() == machine.name())
    }

    /// The judges hear of the end before anything can follow from it.
    fn bury(&self, member: &Member) {
        let mut directory = self.directory();
        let receivers = &mut directory.receivers;
        let found = receivers
            .keys()
            .find(|name| name.as_str() == member.name)
            .copied();
        let receiver = found.and_then(|name| receivers.remove(&name));
        drop(directory);
        if let Some(pid) = receiver {
            let (node, creation) = (pid.node, pid.creation);
            self.court().observe(&Observation::Gone { node, creation });
        }
    }

    /// No process sends, watches or ends any more.
    pub(super) fn quieten(&self) {
        self.world().note(format_args!("quiet"));
        self.directory().is_quiet = true;
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.directory().is_quiet
    }
}

impl Member {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<SimHost>>> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process that the node is in; `None` while it is down.
    pub(super) fn host(&self) -> Option<Arc<SimHost>> {
        self.lock().clone()
    }
}

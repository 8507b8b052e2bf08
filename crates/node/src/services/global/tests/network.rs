//! Several name servers on a network in virtual time: first in, first out between two nodes,
//! random delays, nodes that crash and come back under the same name, links that are cut.
//!
//! The same seed gives the same run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use purlin_term::{NodeName, Pid, Term};

use super::super::random::Random;
use super::super::{Config, Global, Level, Output};
use super::{ms, node, tuple};

const DELAY_MAX: Duration = Duration::from_millis(30);
const DIAL_TIME: Duration = Duration::from_millis(20);

pub(super) struct Network {
    pub(super) now: Duration,
    pub(super) hosts: BTreeMap<NodeName, Host>,
    random: Random,
    events: BTreeMap<(Duration, u64), Event>,
    sequence: u64,
    /// Connected pairs, lower name first, and which connection it is.
    links: BTreeMap<(NodeName, NodeName), u64>,
    /// When the last delivery on a directed link is due.
    busy_until: BTreeMap<(NodeName, NodeName), Duration>,
    /// One line for each event: the trace.
    pub(super) trace: String,
    pub(super) warnings: Vec<String>,
    /// Whether hosts dial whom they are told to, as the owner of a real node would.
    pub(super) dials: bool,
}

pub(super) struct Host {
    pub(super) global: Global,
    pub(super) creation: u32,
    pub(super) is_up: bool,
    alive: BTreeSet<Pid>,
    monitors: BTreeSet<Pid>,
    replies: Vec<(Pid, Term, Term)>,
    next_pid: u32,
}

#[derive(Debug)]
enum Event {
    /// A message to the name server of `to`, from its peer's locker or server.
    Message {
        from: NodeName,
        to: NodeName,
        link: u64,
        message: Term,
    },
    /// A message to a process of `to`.
    ToPid {
        from: NodeName,
        to: Pid,
        link: u64,
        message: Term,
    },
    /// The death of a process that `to` monitors.
    Down {
        from: NodeName,
        to: NodeName,
        link: u64,
        pid: Pid,
    },
    LinkUp {
        at: NodeName,
        peer: NodeName,
        link: u64,
    },
    LinkDown {
        at: NodeName,
        peer: NodeName,
        creation: u32,
    },
    Dial {
        from: NodeName,
        to: NodeName,
    },
    DialFailed {
        at: NodeName,
        peer: NodeName,
    },
    Resolved {
        at: NodeName,
        creation: u32,
        token: u64,
        result: Result<Term, String>,
    },
    Timer {
        at: NodeName,
        creation: u32,
    },
}

impl Host {
    fn new(name: NodeName, creation: u32, random: u64) -> Self {
        let locker = Pid {
            node: name,
            creation,
            id: 7,
            serial: 0,
        };
        Self {
            global: Global::new(Config {
                locker,
                random,
                connect_all: true,
                prevent_overlapping_partitions: true,
            }),
            creation,
            is_up: true,
            alive: BTreeSet::from([locker]),
            monitors: BTreeSet::new(),
            replies: Vec::new(),
            next_pid: 100,
        }
    }

    fn locker(&self, name: NodeName) -> Pid {
        Pid {
            node: name,
            creation: self.creation,
            id: 7,
            serial: 0,
        }
    }
}

fn pair(a: NodeName, b: NodeName) -> (NodeName, NodeName) {
    (a.min(b), a.max(b))
}

impl Network {
    pub(super) fn new(seed: u64, names: &[&str]) -> Self {
        let mut random = Random::new(seed);
        let hosts = names
            .iter()
            .map(|name| (node(name), Host::new(node(name), 1, random.next())))
            .collect();
        Self {
            now: Duration::ZERO,
            hosts,
            random,
            events: BTreeMap::new(),
            sequence: 0,
            links: BTreeMap::new(),
            busy_until: BTreeMap::new(),
            trace: String::new(),
            warnings: Vec::new(),
            dials: true,
        }
    }

    pub(super) fn names(&self) -> Vec<NodeName> {
        self.hosts.keys().copied().collect()
    }

    pub(super) fn pick(&mut self, bound: usize) -> usize {
        self.random.below(bound)
    }

    pub(super) fn is_linked(&self, a: NodeName, b: NodeName) -> bool {
        self.links.contains_key(&pair(a, b))
    }

    fn at(&mut self, when: Duration, event: Event) {
        self.sequence += 1;
        self.events.insert((when, self.sequence), event);
    }

    /// Schedules on a directed link: after everything sent before.
    fn after_delay(&mut self, from: NodeName, to: NodeName, event: Event) {
        let delay = self.random.wait(DELAY_MAX);
        let last = self
            .busy_until
            .get(&(from, to))
            .copied()
            .unwrap_or_default();
        let when = (self.now + delay).max(last);
        self.busy_until.insert((from, to), when);
        self.at(when, event);
    }

    // Faults and connections.

    pub(super) fn connect(&mut self, a: NodeName, b: NodeName) {
        if a == b || self.is_linked(a, b) || !self.hosts[&a].is_up || !self.hosts[&b].is_up {
            return;
        }
        self.sequence += 1;
        let link = self.sequence;
        self.links.insert(pair(a, b), link);
        for (at, peer) in [(a, b), (b, a)] {
            self.after_delay(peer, at, Event::LinkUp { at, peer, link });
        }
    }

    pub(super) fn cut(&mut self, a: NodeName, b: NodeName) {
        if self.links.remove(&pair(a, b)).is_none() {
            return;
        }
        for (at, peer) in [(a, b), (b, a)] {
            let creation = self.hosts[&at].creation;
            self.after_delay(peer, at, Event::LinkDown { at, peer, creation });
        }
    }

    pub(super) fn crash(&mut self, name: NodeName) {
        for other in self.names() {
            self.cut(name, other);
        }
        let host = self.hosts.get_mut(&name).unwrap();
        host.is_up = false;
        host.alive.clear();
        host.monitors.clear();
    }

    pub(super) fn boot(&mut self, name: NodeName) {
        let random = self.random.next();
        let host = self.hosts.get_mut(&name).unwrap();
        if !host.is_up {
            *host = Host::new(name, host.creation + 1, random);
        }
    }

    /// A process of `name` that registers itself there as `registered`, under the lock.
    pub(super) fn register(&mut self, name: NodeName, registered: Term) -> Pid {
        let now = self.now;
        let host = self.hosts.get_mut(&name).unwrap();
        host.next_pid += 1;
        let pid = Pid {
            node: name,
            creation: host.creation,
            id: host.next_pid,
            serial: 0,
        };
        host.alive.insert(pid);
        let lock = tuple!["global", pid];
        let requests = [
            tuple!["set_lock", &lock],
            tuple!["register", registered, pid, "method"],
            tuple!["del_lock", &lock],
        ];
        for request in requests {
            let message = super::call(pid, request);
            host.global.handle_message(now, Some(pid), &message);
        }
        self.drain(name);
        pid
    }

    pub(super) fn kill(&mut self, pid: Pid) {
        if !self.hosts.get_mut(&pid.node).unwrap().alive.remove(&pid) {
            return;
        }
        for watcher in self.names() {
            if !self.hosts[&watcher].monitors.contains(&pid) {
                continue;
            }
            self.send_down(pid, watcher);
        }
    }

    fn send_down(&mut self, pid: Pid, watcher: NodeName) {
        let link = self
            .links
            .get(&pair(pid.node, watcher))
            .copied()
            .unwrap_or(0);
        if link != 0 || watcher == pid.node {
            let event = Event::Down {
                from: pid.node,
                to: watcher,
                link,
                pid,
            };
            self.after_delay(pid.node, watcher, event);
        }
    }

    pub(super) fn is_alive(&self, pid: Pid) -> bool {
        self.hosts[&pid.node].alive.contains(&pid)
    }

    /// Calls a name server from a process of its own node; the answer comes to `replies`.
    pub(super) fn call(&mut self, name: NodeName, request: Term) -> Pid {
        let now = self.now;
        let host = self.hosts.get_mut(&name).unwrap();
        host.next_pid += 1;
        let caller = Pid {
            node: name,
            creation: host.creation,
            id: host.next_pid,
            serial: 0,
        };
        host.global
            .handle_message(now, Some(caller), &super::call(caller, request));
        self.drain(name);
        caller
    }

    pub(super) fn reply_to(&self, caller: Pid) -> Option<&Term> {
        let replies = &self.hosts[&caller.node].replies;
        replies
            .iter()
            .find(|(to, ..)| *to == caller)
            .map(|(_, _, reply)| reply)
    }

    // Running.

    /// Runs for a time.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(entry) = self.events.first_entry() {
            let (when, _) = *entry.key();
            if when > end {
                break;
            }
            let event = entry.remove();
            self.now = when;
            self.step(event);
        }
        self.now = end;
    }

    fn step(&mut self, event: Event) {
        writeln!(self.trace, "{:?} {event:?}", self.now).unwrap();
        let now = self.now;
        let name = match event {
            Event::Message {
                from,
                to,
                link,
                message,
            } => {
                if !self.is_current(from, to, link) {
                    return;
                }
                let sender = self.hosts[&from].locker(from);
                let host = self.hosts.get_mut(&to).unwrap();
                host.global.handle_message(now, Some(sender), &message);
                to
            }
            Event::ToPid {
                from,
                to,
                link,
                message,
            } => {
                if from != to.node && !self.is_current(from, to.node, link) {
                    return;
                }
                let host = self.hosts.get_mut(&to.node).unwrap();
                if to == host.locker(to.node) {
                    host.global.handle_locker_message(now, &message);
                }
                to.node
            }
            Event::Down {
                from,
                to,
                link,
                pid,
            } => {
                if from != to && !self.is_current(from, to, link) {
                    return;
                }
                let host = self.hosts.get_mut(&to).unwrap();
                if !host.monitors.remove(&pid) {
                    return;
                }
                host.global.handle_down(now, pid);
                to
            }
            Event::LinkUp { at, peer, link } => {
                if !self.is_current(at, peer, link) {
                    return;
                }
                let tag = self.random.next();
                self.hosts
                    .get_mut(&at)
                    .unwrap()
                    .global
                    .handle_node_up(now, peer, tag);
                at
            }
            Event::LinkDown { at, peer, creation } => {
                let host = self.hosts.get_mut(&at).unwrap();
                if !host.is_up || host.creation != creation {
                    return;
                }
                host.monitors.retain(|pid| pid.node != peer);
                host.global.handle_node_down(now, peer);
                at
            }
            Event::Dial { from, to } => {
                if self.is_linked(from, to) {
                    return;
                }
                self.connect(from, to);
                if !self.is_linked(from, to) {
                    self.at(now, Event::DialFailed { at: from, peer: to });
                }
                return;
            }
            Event::DialFailed { at, peer } => {
                let host = self.hosts.get_mut(&at).unwrap();
                host.global.handle_connect_failed(now, peer);
                at
            }
            Event::Resolved {
                at,
                creation,
                token,
                result,
            } => {
                let host = self.hosts.get_mut(&at).unwrap();
                if host.creation != creation {
                    return;
                }
                host.global.handle_resolution(now, token, result);
                at
            }
            Event::Timer { at, creation } => {
                let host = self.hosts.get_mut(&at).unwrap();
                let is_due = host.global.next_timeout().is_some_and(|due| due <= now);
                if !host.is_up || host.creation != creation || !is_due {
                    return;
                }
                host.global.handle_timeout(now);
                at
            }
        };
        self.drain(name);
    }

    fn is_current(&self, a: NodeName, b: NodeName, link: u64) -> bool {
        self.links.get(&pair(a, b)) == Some(&link)
    }

    /// Carries out what a name server wants, and arms its timer.
    fn drain(&mut self, name: NodeName) {
        while let Some(output) = self.hosts.get_mut(&name).unwrap().global.poll_output() {
            self.carry_out(name, output);
        }
        let host = &self.hosts[&name];
        if let Some(due) = host.global.next_timeout() {
            let creation = host.creation;
            self.at(due.max(self.now), Event::Timer { at: name, creation });
        }
    }

    fn carry_out(&mut self, name: NodeName, output: Output) {
        let link_to = |network: &Self, peer| {
            let link = network.links.get(&pair(name, peer));
            link.copied().unwrap_or(0)
        };
        match output {
            Output::Send { node: to, message } => {
                let link = link_to(self, to);
                self.after_delay(
                    name,
                    to,
                    Event::Message {
                        from: name,
                        to,
                        link,
                        message,
                    },
                );
            }
            Output::SendPid { to, message } => {
                let link = link_to(self, to.node);
                self.after_delay(
                    name,
                    to.node,
                    Event::ToPid {
                        from: name,
                        to,
                        link,
                        message,
                    },
                );
            }
            Output::Reply { to, tag, reply } if to.node == name => {
                self.hosts
                    .get_mut(&name)
                    .unwrap()
                    .replies
                    .push((to, tag, reply));
            }
            Output::Reply { to, tag, reply } => {
                let link = link_to(self, to.node);
                let message = Term::tuple([tag, reply]);
                self.after_delay(
                    name,
                    to.node,
                    Event::ToPid {
                        from: name,
                        to,
                        link,
                        message,
                    },
                );
            }
            Output::Connect(peer) => {
                if self.dials {
                    let when = self.now + DIAL_TIME;
                    self.at(
                        when,
                        Event::Dial {
                            from: name,
                            to: peer,
                        },
                    );
                }
            }
            Output::Disconnect(peer) => self.cut(name, peer),
            Output::Monitor(pid) => {
                let is_new = self.hosts.get_mut(&name).unwrap().monitors.insert(pid);
                assert!(is_new, "{pid} is monitored twice");
                if pid.node != name && !self.is_linked(name, pid.node) {
                    let event = Event::Down {
                        from: name,
                        to: name,
                        link: 0,
                        pid,
                    };
                    self.after_delay(name, name, event);
                } else if !self.is_alive(pid) {
                    self.send_down(pid, name);
                }
            }
            Output::Demonitor(pid) => {
                self.hosts.get_mut(&name).unwrap().monitors.remove(&pid);
            }
            Output::Kill(pid) => self.kill(pid),
            Output::Resolve {
                token,
                node: at,
                arguments,
            } => {
                let [method, registered, first, second] = arguments;
                let (first, second) = (first.as_pid().unwrap(), second.as_pid().unwrap());
                let is_there = self.hosts[&at].is_up && self.is_linked(name, at);
                let result = if is_there {
                    let host = self.hosts.get_mut(&at).unwrap();
                    let kept = host.global.resolve_it(&method, &registered, first, second);
                    self.drain(at);
                    Ok(kept)
                } else {
                    Err("noconnection".to_owned())
                };
                let creation = self.hosts[&name].creation;
                let when = self.now + ms(5);
                self.at(
                    when,
                    Event::Resolved {
                        at: name,
                        creation,
                        token,
                        result,
                    },
                );
            }
            Output::Log(Level::Warning, text) => self.warnings.push(text),
            Output::Log(Level::Info, _) => {}
        }
    }
}

//! The local workloads: what each one does, how large it is, and what Purlin is to reach in it.
//!
//! A load is described once, here; every system does it in its own words (`systems/`). It has a
//! *size*, mostly a number of processes, and a number of *operations*, which its cost is divided
//! by. The first of the two is what grows in the plots; where the second does not follow from it,
//! it stays the same at every size, so that only the number of processes changes.
//!
//! The goals compare with OTP 25 and with plain tokio tasks, in one run.
//!
//! L1 to L8 are those of the table of workloads. L9 to L12 measure what behaviours cost besides calls, as the
//! plan of the behaviours asks, which sets no goals for them.

/// What a worker is told to do; its name on a worker's command line is [`Kind::name`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Pairs of processes send `{self, integer}` to and fro, all pairs at once.
    PingPong,
    /// Senders send integers to one receiver as fast as they can.
    FanIn,
    /// One token goes round a ring of processes.
    Ring,
    /// Clients call one server, which adds one.
    Call,
    /// Processes are started by one; each sends a message to a collector and ends.
    Spawn,
    /// Processes that have nothing to do: their resident bytes.
    Idle,
    /// One process monitors many; they are told to end; until its last DOWN.
    WatchMany,
    /// Many processes monitor one; it is told to end; until the last of them has its DOWN.
    ManyWatch,
    /// Many processes are linked to one; it fails; until the last of them has died.
    Linked,
    /// Clients have supervised children fail, one after another; until the successor has answered.
    Restart,
    /// One client starts children under a dynamic supervisor, one after another, and has them counted.
    StartChildren,
    /// A dynamic supervisor with its children is ended; until it has.
    StopChildren,
    /// Children under a dynamic supervisor: their resident bytes, and those of what it knows of them.
    ChildBytes,
    /// Clients call one state machine; each call changes its state.
    Transition,
    /// A function over numbers, each in a process of its own, so many at once, with results in order.
    Stream,
}

impl Kind {
    pub(super) const ALL: [Self; 15] = [
        Self::PingPong,
        Self::FanIn,
        Self::Ring,
        Self::Call,
        Self::Spawn,
        Self::Idle,
        Self::WatchMany,
        Self::ManyWatch,
        Self::Linked,
        Self::Restart,
        Self::StartChildren,
        Self::StopChildren,
        Self::ChildBytes,
        Self::Transition,
        Self::Stream,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::PingPong => "ping_pong",
            Self::FanIn => "fan_in",
            Self::Ring => "ring",
            Self::Call => "call",
            Self::Spawn => "spawn",
            Self::Idle => "idle",
            Self::WatchMany => "watch_many",
            Self::ManyWatch => "many_watch",
            Self::Linked => "linked",
            Self::Restart => "restart",
            Self::StartChildren => "start_children",
            Self::StopChildren => "stop_children",
            Self::ChildBytes => "child_bytes",
            Self::Transition => "transition",
            Self::Stream => "stream",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// One run of a worker.
#[derive(Clone, Copy)]
pub(super) struct Job {
    pub(super) kind: Kind,
    pub(super) size: u64,
    /// At least `size`, and a multiple of it.
    pub(super) operations: u64,
}

impl Job {
    /// Operations of each of `size`.
    pub(super) fn each(self) -> u64 {
        self.operations / self.size
    }

    /// The same job with one operation where others do `share` of them.
    pub(super) fn shared(self, share: u64) -> Self {
        let of_each = self.each() / share;
        Self {
            operations: of_each.max(1) * self.size,
            ..self
        }
    }
}

/// Supervisors of one child each, in a restart load; clients go round theirs. One alone would have tens of thousands
/// of restarts within its period, which OTP's counts one by one at each of them: that would be what is measured.
/// The Erlang module has the same number.
const SUPERVISORS: u64 = 1_024;

/// Supervisors of each client.
pub(super) fn supervisors_of_each(clients: u64) -> u64 {
    (SUPERVISORS / clients).max(1)
}

/// How the figure in the table follows from what a worker answers.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Unit {
    /// Operations per second, from nanoseconds.
    Rate(&'static str),
    /// Milliseconds for the whole, from nanoseconds.
    Milliseconds,
    /// Bytes of one process, from bytes of all.
    Bytes,
}

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rate(name) => name,
            Self::Milliseconds => "ms",
            Self::Bytes => "bytes/process",
        }
    }

    pub(super) fn figure(self, answer: u64, operations: u64) -> f64 {
        let (answer, operations) = (answer.max(1) as f64, operations as f64);
        match self {
            Self::Rate(_) => operations * 1e9 / answer,
            Self::Milliseconds => answer / 1e6,
            Self::Bytes => answer / operations,
        }
    }

    /// Nanoseconds or bytes of one operation.
    pub(super) fn cost(self, figure: f64, operations: u64) -> f64 {
        match self {
            Self::Rate(_) => 1e9 / figure,
            Self::Milliseconds => figure * 1e6 / operations as f64,
            Self::Bytes => figure,
        }
    }

    pub(super) fn cost_name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Rate(_) | Self::Milliseconds => "ns",
        }
    }

    pub(super) fn more_is_better(self) -> bool {
        matches!(self, Self::Rate(_))
    }
}

/// What Purlin is to reach: at least so many times the rate of a system, or at most so many times
/// its time; or at most so many bytes.
#[derive(Clone, Copy)]
pub(super) enum Goal {
    Times(f64, &'static str),
    AtMost(f64),
}

pub(super) struct Load {
    /// As in the table of goals: `L1`.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) kind: Kind,
    pub(super) unit: Unit,
    /// What the size counts, for one and for more.
    sizes_are: [&'static str; 2],
    /// The size that the goals are about.
    pub(super) size: u64,
    /// All sizes, rising; `size` is one of them.
    pub(super) sizes: &'static [u64],
    /// None: an operation for each of `size`.
    operations: Option<u64>,
    pub(super) goals: &'static [Goal],
}

/// With `--quick` a run has a tenth of the operations, and sizes from this one on are a tenth.
const QUICK_FROM: u64 = 1_000;

impl Load {
    pub(super) fn job(&self, size: u64, quick: bool) -> Job {
        let tenth = if quick { 10 } else { 1 };
        let size = if size >= QUICK_FROM {
            size / tenth
        } else {
            size
        };
        let operations = self.operations.map_or(size, |count| count / tenth);
        let kind = self.kind;
        Job {
            kind,
            size,
            operations: (operations / size).max(1) * size,
        }
    }

    /// What `--only` looks in.
    pub(super) fn described(&self) -> String {
        format!("{} {}", self.name, self.title)
    }

    /// `100 senders`.
    pub(super) fn variant(&self, size: u64) -> String {
        let [one, more] = self.sizes_are;
        format!("{} {}", grouped(size), if size == 1 { one } else { more })
    }

    pub(super) fn axis(&self) -> &'static str {
        self.sizes_are[1]
    }
}

/// `1,000,000`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

const BEAM: &str = super::systems::BEAM;
const TOKIO: &str = super::systems::TOKIO;

const CHILDREN: [&str; 2] = ["child", "children"];

pub(super) const ALL: &[Load] = &[
    Load {
        name: "L1",
        title: "1 M round trips of {self, integer}",
        kind: Kind::PingPong,
        unit: Unit::Rate("round trips/s"),
        sizes_are: ["pair", "pairs"],
        size: 1,
        sizes: &[1, 100, 10_000, 500_000],
        operations: Some(1_000_000),
        goals: &[Goal::Times(2.0, BEAM), Goal::Times(0.95, TOKIO)],
    },
    Load {
        name: "L2",
        title: "5 M integers from one sender to one receiver",
        kind: Kind::FanIn,
        unit: Unit::Rate("msg/s"),
        sizes_are: ["sender", "senders"],
        size: 1,
        sizes: &[1],
        operations: Some(5_000_000),
        goals: &[Goal::Times(2.2, BEAM), Goal::Times(1.0, TOKIO)],
    },
    Load {
        name: "L3",
        title: "5 M integers from many senders to one receiver",
        kind: Kind::FanIn,
        unit: Unit::Rate("msg/s"),
        sizes_are: ["sender", "senders"],
        size: 100,
        sizes: &[100, 10_000, 1_000_000],
        operations: Some(5_000_000),
        goals: &[Goal::Times(3.0, BEAM), Goal::Times(2.0, TOKIO)],
    },
    Load {
        name: "L4",
        title: "1 M hops of one token round a ring",
        kind: Kind::Ring,
        unit: Unit::Rate("hops/s"),
        sizes_are: ["process in the ring", "processes in the ring"],
        size: 10_000,
        sizes: &[100, 10_000, 1_000_000],
        operations: Some(1_000_000),
        goals: &[Goal::Times(1.6, BEAM), Goal::Times(1.0, TOKIO)],
    },
    Load {
        name: "L5",
        title: "each process sends one message to a collector and ends",
        kind: Kind::Spawn,
        unit: Unit::Rate("spawns/s"),
        sizes_are: ["process", "processes"],
        size: 1_000_000,
        sizes: &[10_000, 100_000, 1_000_000],
        operations: None,
        goals: &[Goal::Times(1.6, BEAM), Goal::Times(0.85, TOKIO)],
    },
    Load {
        name: "L6",
        title: "resident bytes of an idle process, its handle and pid included",
        kind: Kind::Idle,
        unit: Unit::Bytes,
        sizes_are: ["process", "processes"],
        size: 1_000_000,
        sizes: &[10_000, 100_000, 1_000_000],
        operations: None,
        goals: &[Goal::AtMost(500.0)],
    },
    Load {
        name: "L7",
        title: "1 M calls of a server that adds one, from one client",
        kind: Kind::Call,
        unit: Unit::Rate("calls/s"),
        sizes_are: ["client", "clients"],
        size: 1,
        sizes: &[1],
        operations: Some(1_000_000),
        goals: &[Goal::Times(5.0, BEAM)],
    },
    Load {
        name: "L7",
        title: "1 M calls of a server that adds one, from many clients",
        kind: Kind::Call,
        unit: Unit::Rate("calls/s"),
        sizes_are: ["client", "clients"],
        size: 64,
        sizes: &[64, 10_000],
        operations: Some(1_000_000),
        goals: &[Goal::Times(6.0, BEAM)],
    },
    Load {
        name: "L8a",
        title: "one watcher monitors many, all end: until its last DOWN",
        kind: Kind::WatchMany,
        unit: Unit::Milliseconds,
        sizes_are: ["watched", "watched"],
        size: 100_000,
        sizes: &[1_000, 10_000, 100_000, 1_000_000],
        operations: None,
        goals: &[Goal::Times(0.6, BEAM)],
    },
    Load {
        name: "L8b",
        title: "many watchers monitor one, it ends: until the last DOWN",
        kind: Kind::ManyWatch,
        unit: Unit::Milliseconds,
        sizes_are: ["watcher", "watchers"],
        size: 100_000,
        sizes: &[1_000, 10_000, 100_000, 1_000_000],
        operations: None,
        goals: &[Goal::Times(0.4, BEAM)],
    },
    Load {
        name: "L8c",
        title: "many are linked to one, it fails: until the last has died",
        kind: Kind::Linked,
        unit: Unit::Milliseconds,
        sizes_are: ["linked", "linked"],
        size: 100_000,
        sizes: &[1_000, 10_000, 100_000, 1_000_000],
        operations: None,
        goals: &[Goal::Times(0.4, BEAM)],
    },
    Load {
        name: "L9",
        title: "64 k restarts: a supervised child fails, until its successor has answered",
        kind: Kind::Restart,
        unit: Unit::Rate("restarts/s"),
        sizes_are: ["client", "clients"],
        size: 1,
        sizes: &[1, 64],
        operations: Some(64_000),
        goals: &[],
    },
    Load {
        name: "L10a",
        title: "a client starts children under a dynamic supervisor and counts them",
        kind: Kind::StartChildren,
        unit: Unit::Milliseconds,
        sizes_are: CHILDREN,
        size: 100_000,
        sizes: &[1_000, 10_000, 100_000],
        operations: None,
        goals: &[],
    },
    Load {
        name: "L10b",
        title: "a dynamic supervisor is ended: until its last child has died",
        kind: Kind::StopChildren,
        unit: Unit::Milliseconds,
        sizes_are: CHILDREN,
        size: 100_000,
        sizes: &[1_000, 10_000, 100_000],
        operations: None,
        goals: &[],
    },
    Load {
        name: "L10c",
        title: "resident bytes of an idle server under a dynamic supervisor",
        kind: Kind::ChildBytes,
        unit: Unit::Bytes,
        sizes_are: CHILDREN,
        size: 100_000,
        sizes: &[10_000, 100_000],
        operations: None,
        goals: &[],
    },
    Load {
        name: "L11",
        title: "500 k calls of a state machine, each of which changes its state",
        kind: Kind::Transition,
        unit: Unit::Rate("transitions/s"),
        sizes_are: ["client", "clients"],
        size: 1,
        sizes: &[1, 64],
        operations: Some(500_000),
        goals: &[],
    },
    Load {
        name: "L12",
        title: "a function over 1 M items, a process each, so many at once, results in order",
        kind: Kind::Stream,
        unit: Unit::Rate("items/s"),
        sizes_are: ["at once", "at once"],
        size: 2,
        sizes: &[2, 64],
        operations: Some(1_000_000),
        goals: &[],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_the_goals_is_one_of_the_rising_sizes() {
        for load in ALL {
            assert!(load.sizes.contains(&load.size), "{}", load.name);
            assert!(load.sizes.is_sorted(), "{}", load.name);
        }
    }

    #[test]
    fn every_process_of_every_job_does_the_same_number_of_operations() {
        for load in ALL {
            for quick in [false, true] {
                for size in load.sizes {
                    let job = load.job(*size, quick);
                    assert!(job.operations >= job.size, "{}", load.name);
                    assert_eq!(job.operations % job.size, 0, "{}", load.name);
                }
            }
        }
    }

    #[test]
    fn a_smaller_share_is_still_the_same_for_every_process() {
        let job = Job {
            kind: Kind::Ring,
            size: 4,
            operations: 400,
        };
        assert_eq!(job.shared(10).operations, 40);
        assert_eq!(job.shared(7).operations, 56);
        assert_eq!(job.shared(1_000).operations, 4);
    }

    #[test]
    fn a_kind_is_found_by_its_name() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.name()), Some(kind));
        }
        assert_eq!(Kind::named("no such load"), None);
    }

    #[test]
    fn a_cost_is_of_one_operation() {
        let rate = Unit::Rate("msg/s");
        assert_eq!(rate.figure(2_000_000_000, 1_000), 500.0);
        assert_eq!(rate.cost(500.0, 1_000), 2_000_000.0);
        assert_eq!(Unit::Milliseconds.figure(5_000_000, 1_000), 5.0);
        assert_eq!(Unit::Milliseconds.cost(5.0, 1_000), 5_000.0);
        assert_eq!(Unit::Bytes.figure(5_000, 10), 500.0);
    }

    #[test]
    fn large_numbers_are_grouped_by_three() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(123_456_789), "123,456,789");
    }
}

//! The remote workloads: what each one does, how large it is, and what Purlin is to reach in it.
//!
//! A load is described once, here; every system does it in its own words (`systems/`). It has a
//! *size*, the bytes of a message or the number of clients, and a number of *operations*.
//!
//! The goals compare with OTP 25 and with plain sockets, in one run. Between Purlin and OTP 25 the
//! goal is to be no slower than OTP 25 is with itself.

use super::systems::{BEAM, BEAM_TO_PURLIN, PURLIN, PURLIN_TO_BEAM, RACTOR, RAW, RAW_BATCHED};

/// What a client is told to do; its name on a worker's command line is [`Kind::name`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// One process sends `{self, integer}` to another and waits for the same from it.
    PingPong,
    /// One process sends messages of `size` bytes to another, until the last has arrived.
    OneWay,
    /// Clients start processes that do nothing, with a monitor, and wait for its DOWN.
    Spawn,
    /// Clients call a function that gives back its argument.
    Erpc,
    /// Clients call one server, which adds one.
    GenCall,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [
        Self::PingPong,
        Self::OneWay,
        Self::Spawn,
        Self::Erpc,
        Self::GenCall,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::PingPong => "ping_pong",
            Self::OneWay => "one_way",
            Self::Spawn => "spawn",
            Self::Erpc => "erpc",
            Self::GenCall => "gen_call",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// One run of a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) kind: Kind,
    /// Bytes of a message, or clients.
    pub(super) size: u64,
    /// A multiple of the clients.
    pub(super) operations: u64,
}

/// How a figure follows from the nanoseconds that a client answers.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Unit {
    /// Operations per second.
    Rate(&'static str),
    /// Megabytes (of a million) per second.
    Megabytes,
    /// Microseconds, as they are.
    Microseconds,
}

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rate(name) => name,
            Self::Megabytes => "MB/s",
            Self::Microseconds => "µs",
        }
    }

    pub(super) fn figure(self, nanoseconds: u64, job: Job) -> f64 {
        let (nanoseconds, operations) = (nanoseconds.max(1) as f64, job.operations as f64);
        match self {
            Self::Rate(_) => operations * 1e9 / nanoseconds,
            Self::Megabytes => operations * job.size as f64 * 1e3 / nanoseconds,
            Self::Microseconds => nanoseconds / 1e3,
        }
    }

    pub(super) fn more_is_better(self) -> bool {
        self != Self::Microseconds
    }
}

/// A system is to reach at least so many times the rate of another, or at most so many times its
/// time.
#[derive(Clone, Copy)]
pub(super) struct Goal {
    pub(super) system: &'static str,
    pub(super) factor: f64,
    pub(super) other: &'static str,
}

const fn goal(factor: f64, other: &'static str) -> Goal {
    let system = PURLIN;
    Goal {
        system,
        factor,
        other,
    }
}

const fn between(system: &'static str) -> Goal {
    Goal {
        system,
        factor: 1.0,
        other: BEAM,
    }
}

/// One of the numbers that a client answers.
pub(super) struct Column {
    /// Put before the variant: `p50, `; empty where there is one number.
    pub(super) prefix: &'static str,
    pub(super) goals: &'static [Goal],
}

pub(super) struct Load {
    /// As in the table of goals: `R1`.
    pub(super) name: &'static str,
    pub(super) variant: &'static str,
    pub(super) title: &'static str,
    pub(super) kind: Kind,
    pub(super) size: u64,
    operations: u64,
    /// While threads of the lowest class keep both cores from idling.
    pub(super) has_spinners: bool,
    pub(super) unit: Unit,
    pub(super) columns: &'static [Column],
}

impl Load {
    /// With `quick` a tenth of the operations.
    pub(super) fn job(&self, quick: bool) -> Job {
        let tenth = if quick { 10 } else { 1 };
        let clients = if self.kind == Kind::OneWay {
            1
        } else {
            self.size
        };
        Job {
            kind: self.kind,
            size: self.size,
            operations: (self.operations / tenth / clients).max(1) * clients,
        }
    }

    /// What `--only` looks in.
    pub(super) fn described(&self) -> String {
        format!("{} {} {}", self.name, self.variant, self.title)
    }
}

const PING_PONG: Load = Load {
    name: "R1",
    variant: "1 pair",
    title: "round trips of {pid, integer}",
    kind: Kind::PingPong,
    size: 1,
    operations: 10_000,
    has_spinners: false,
    unit: Unit::Microseconds,
    columns: &[
        Column {
            prefix: "p50, ",
            goals: &[
                goal(0.85, BEAM),
                goal(1.15, RAW),
                between(PURLIN_TO_BEAM),
                between(BEAM_TO_PURLIN),
            ],
        },
        Column {
            prefix: "p99, ",
            goals: &[goal(0.85, BEAM), goal(1.15, RAW)],
        },
    ],
};

const ONE_WAY: Load = Load {
    name: "R2",
    variant: "16 B",
    title: "1 M messages one way",
    kind: Kind::OneWay,
    size: 16,
    operations: 1_000_000,
    has_spinners: false,
    unit: Unit::Rate("msg/s"),
    columns: &[Column {
        prefix: "",
        goals: &[
            goal(15.0, BEAM),
            between(PURLIN_TO_BEAM),
            between(BEAM_TO_PURLIN),
        ],
    }],
};

const BULK: Load = Load {
    name: "R4",
    variant: "8 MiB",
    title: "large messages one way",
    size: 8 << 20,
    operations: 200,
    unit: Unit::Megabytes,
    columns: &[Column {
        prefix: "",
        goals: &[
            goal(1.7, BEAM),
            goal(0.8, RAW),
            between(PURLIN_TO_BEAM),
            between(BEAM_TO_PURLIN),
        ],
    }],
    ..ONE_WAY
};

const CALLS: Load = Load {
    name: "R7",
    variant: "erpc, 1 caller",
    title: "erpc of the identity",
    kind: Kind::Erpc,
    size: 1,
    operations: 10_000,
    has_spinners: false,
    unit: Unit::Rate("calls/s"),
    columns: &[Column {
        prefix: "",
        goals: &[
            goal(1.2, BEAM),
            between(PURLIN_TO_BEAM),
            between(BEAM_TO_PURLIN),
        ],
    }],
};

const MANY_CALLS: &[Column] = &[Column {
    prefix: "",
    goals: &[
        goal(8.0, BEAM),
        goal(5.0, RACTOR),
        between(PURLIN_TO_BEAM),
        between(BEAM_TO_PURLIN),
    ],
}];

const SPAWN: Load = Load {
    name: "R6",
    variant: "1 client",
    title: "spawn_monitor of a no-op, until its DOWN",
    kind: Kind::Spawn,
    unit: Unit::Rate("spawns/s"),
    ..CALLS
};

pub(super) const ALL: &[Load] = &[
    PING_PONG,
    Load {
        variant: "1 pair, spinners",
        has_spinners: true,
        ..PING_PONG
    },
    ONE_WAY,
    Load {
        name: "R2k",
        variant: "1 KiB",
        title: "500 k messages one way",
        size: 1 << 10,
        operations: 500_000,
        columns: &[Column {
            prefix: "",
            goals: &[
                goal(8.0, BEAM),
                goal(0.5, RAW_BATCHED),
                between(PURLIN_TO_BEAM),
                between(BEAM_TO_PURLIN),
            ],
        }],
        ..ONE_WAY
    },
    BULK,
    Load {
        variant: "64 MiB",
        size: 64 << 20,
        operations: 25,
        ..BULK
    },
    SPAWN,
    Load {
        variant: "64 clients",
        size: 64,
        operations: 32_000,
        columns: &[Column {
            prefix: "",
            goals: &[
                goal(6.0, BEAM),
                between(PURLIN_TO_BEAM),
                between(BEAM_TO_PURLIN),
            ],
        }],
        ..SPAWN
    },
    CALLS,
    Load {
        variant: "erpc, 64 callers",
        size: 64,
        operations: 32_000,
        columns: MANY_CALLS,
        ..CALLS
    },
    Load {
        variant: "gen_server call, 1 caller",
        title: "a gen_server adds one",
        kind: Kind::GenCall,
        ..CALLS
    },
    Load {
        variant: "gen_server call, 64 callers",
        title: "a gen_server adds one",
        kind: Kind::GenCall,
        size: 64,
        operations: 64_000,
        columns: MANY_CALLS,
        ..CALLS
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_does_the_same_number_of_operations() {
        for load in ALL {
            for quick in [false, true] {
                let job = load.job(quick);
                assert!(job.operations > 0, "{}", load.described());
                let clients = if job.kind == Kind::OneWay {
                    1
                } else {
                    job.size
                };
                assert_eq!(job.operations % clients, 0, "{}", load.described());
            }
        }
    }

    #[test]
    fn a_load_is_told_by_its_name_and_variant() {
        let mut names: Vec<_> = ALL.iter().map(|load| (load.name, load.variant)).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn a_kind_is_found_by_its_name() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.name()), Some(kind));
        }
        assert_eq!(Kind::named("no such load"), None);
    }

    #[test]
    fn figures_follow_from_nanoseconds() {
        let job = Job {
            kind: Kind::OneWay,
            size: 1_000,
            operations: 500,
        };
        assert_eq!(Unit::Rate("msg/s").figure(1_000_000_000, job), 500.0);
        assert_eq!(Unit::Megabytes.figure(1_000_000_000, job), 0.5);
        assert_eq!(Unit::Microseconds.figure(72_000, job), 72.0);
    }
}

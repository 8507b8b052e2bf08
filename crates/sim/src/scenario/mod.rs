//! The scenario that every seed runs: a small cluster, processes that send, watch, link and end,
//! and a world in which things go wrong.
//!
//! Three phases. While things go wrong (`chaos`), the judges watch for what must never happen.
//! Then all is healed and everything that went away comes back, while processes go on. Then they
//! grow quiet, the world comes to rest, and the judges ask for what should have happened.
//!
//! How many nodes there are, which share a machine, how fast links are and how small windows is
//! the seed's choice, save that the number of nodes may be given. Read next: `actors`, the processes;
//! `cluster`, nodes that come and go.

mod actors;
mod chaos;
mod cluster;

use std::time::Duration;

use tokio::time::sleep;

use crate::judge::Court;
use crate::network::{Latency, Link, NetworkConfig};
use crate::random::Random;
use crate::sim::{Config, Sim};
use crate::trace::Sink;
use crate::world::World;
use cluster::Cluster;

#[cfg(feature = "planted-bugs")]
use purlin_node::PlantedBug;

/// What a seed came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// How many nodes were asked for; `None` where the seed chose.
    pub nodes: Option<usize>,
    /// The hash over all that happened.
    pub hash: u64,
    /// How many things happened.
    pub events: u64,
    /// How long it took, in the world.
    pub virtual_time: Duration,
    /// What the judges found.
    pub failures: Vec<String>,
}

impl Outcome {
    /// The command that shows the course of this seed.
    pub fn replay(&self) -> String {
        let nodes = self.nodes.map(|nodes| format!(" --nodes {nodes}"));
        let nodes = nodes.unwrap_or_default();
        format!("cargo xtask sim --replay {}{nodes}", self.seed)
    }
}

/// What a run of a seed is to be, besides the seed.
#[derive(Default)]
pub struct Options {
    nodes: Option<usize>,
    trace: Option<Sink>,
    #[cfg(feature = "planted-bugs")]
    planted: Option<PlantedBug>,
}

impl Options {
    /// With so many nodes, instead of as many as the seed chooses.
    #[must_use]
    pub fn nodes(mut self, nodes: Option<usize>) -> Self {
        self.nodes = nodes;
        self
    }

    /// Writes a line for each event. It changes nothing of what happens.
    #[must_use]
    pub fn trace(mut self, sink: Sink) -> Self {
        self.trace = Some(sink);
        self
    }

    /// Gives all nodes a bug.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub fn plant(mut self, bug: PlantedBug) -> Self {
        self.planted = Some(bug);
        self
    }
}

/// After the last fault, for ticks to find what is dead and for nodes to connect again: several
/// times [`cluster::NET_TICKTIME`] and [`cluster::HANDSHAKE_TIMEOUT`].
const HEALING: Duration = Duration::from_secs(40);

/// After the last message. As long as a silent peer is borne, and more.
const SETTLING: Duration = Duration::from_secs(20);

/// What has not arrived by then is lost: a megabyte takes a minute through the narrowest window
/// and the longest way there is.
const SETTLING_MAX: Duration = Duration::from_secs(1200);

/// A scenario that takes longer has come to a stop.
const TIME_MAX: Duration = Duration::from_secs(3600);

/// Runs a seed.
pub fn run_seed(seed: u64, options: Options) -> Outcome {
    let mut random = Random::new(seed);
    let config = Config {
        seed: random.next_u64(),
        network: network(&mut random),
        time_max: TIME_MAX,
    };
    let mut sim = Sim::new(config);
    if let Some(sink) = options.trace {
        sim = sim.trace(sink);
    }
    #[cfg(feature = "planted-bugs")]
    let planted = options.planted;
    let nodes = options.nodes;
    let run = sim.run(move |world| {
        let cluster = Cluster::new(&world, nodes, &mut random);
        #[cfg(feature = "planted-bugs")]
        let cluster = cluster.with_bug(planted);
        play(world, cluster, random)
    });
    let stopped = || vec![format!("the scenario did not end within {TIME_MAX:?}")];
    Outcome {
        seed,
        nodes,
        hash: run.hash,
        events: run.events,
        virtual_time: run.virtual_time,
        failures: run.output.unwrap_or_else(stopped),
    }
}

async fn play(world: World, cluster: Cluster, mut random: Random) -> Vec<String> {
    let court: Court = cluster.court().clone();
    cluster.start_all();
    sleep(Duration::from_secs(2)).await;
    chaos::run(&world, &cluster, &mut random).await;
    sleep(HEALING).await;
    cluster.quieten();
    sleep(SETTLING).await;
    // A full queue before a narrow link takes its time.
    let patience = world.now() + SETTLING_MAX;
    while court.is_waiting() && world.now() < patience {
        sleep(SETTLING).await;
    }
    court.converge()
}

/// Fast and slow, wide and narrow networks.
fn network(random: &mut Random) -> NetworkConfig {
    let (micros, millis) = (Duration::from_micros, Duration::from_millis);
    let latencies = [
        Latency::Fixed(micros(50)),
        Latency::Uniform(micros(100), millis(1)),
        Latency::Uniform(millis(1), millis(60)),
        Latency::LongTail(millis(2), millis(1500)),
    ];
    let bandwidths = [None, None, Some(10_000_000), Some(1_000_000)];
    let windows = [4 << 10, 64 << 10, 256 << 10];
    NetworkConfig {
        link: Link {
            latency: *random.pick(&latencies).expect("there are some"),
            bandwidth: *random.pick(&bandwidths).expect("there are some"),
        },
        window: *random.pick(&windows).expect("there are some"),
        one_write_cut_in: *random.pick(&[0, 2, 16]).expect("there are some"),
    }
}

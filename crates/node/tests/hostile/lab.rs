//! A victim, an honest peer, the log of both, and the measure of memory.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use purlin_node::epmd::{self, ServingMapper};
use purlin_node::{Atom, Delivery, Mailbox, Node, NodeBuilder, NodeEvent, NodeName, TokioHost};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{Event, Level, Metadata, Subscriber, field, span};

use crate::ALLOCATED;

/// How long anything may take before the test fails. Generous: the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const COOKIE: &str = "the right one";

pub(crate) const MIB: usize = 1 << 20;

/// What the cases that say nothing else may allocate, attacker and test included.
pub(crate) const MEMORY: usize = 16 * MIB;

/// Pause between two pings of the honest node: it only sets the pace.
const PING_PACE: Duration = Duration::from_millis(5);

pub(crate) struct Lab {
    pub(crate) victim: Node,
    pub(crate) honest: Node,
    pub(crate) mapper: ServingMapper,
    pub(crate) log: Log,
    watcher: Mailbox,
    pinging: JoinHandle<()>,
    allocated: usize,
}

/// What a case expects of the victim.
pub(crate) struct Expected<'a> {
    /// Parts of the warnings it logs; each is logged, and no other warning is.
    pub(crate) warnings: &'a [&'a str],
    /// Bytes that may be allocated at any time, beyond those at the start.
    pub(crate) memory: usize,
}

/// Runs one case: alone, since memory is measured, and on one thread, since logs are collected.
pub(crate) fn run(case: impl AsyncFnOnce(&mut Lab)) {
    run_with(|victim| victim, case);
}

/// As [`run`], with a victim that is set up otherwise.
pub(crate) fn run_with(
    adjust: impl FnOnce(NodeBuilder) -> NodeBuilder,
    case: impl AsyncFnOnce(&mut Lab),
) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let log = Log::default();
    let _collecting = tracing::subscriber::set_default(log.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut lab = Lab::new(log, adjust).await;
        case(&mut lab).await;
        lab.honest_noticed_nothing().await;
        lab.pinging.abort();
        lab.honest.stop(PATIENCE).await;
        lab.victim.stop(PATIENCE).await;
    });
}

impl Lab {
    async fn new(log: Log, adjust: impl FnOnce(NodeBuilder) -> NodeBuilder) -> Self {
        let host = Arc::new(TokioHost::current());
        let anywhere = "127.0.0.1:0".parse().unwrap();
        let mapper = epmd::serve(host, anywhere).await.unwrap();
        let builder = |name: &str| {
            let port = mapper.address().port();
            Node::builder(name).cookie(COOKIE).epmd_port(port)
        };
        let victim = adjust(builder("victim@127.0.0.1")).start().await.unwrap();
        let honest = builder("honest@127.0.0.1").start().await.unwrap();
        honest.ping(victim.name(), PATIENCE).await.unwrap();
        let watcher = honest.attach().unwrap();
        assert_eq!(honest.monitor_nodes(watcher.pid()).len(), 1);
        let pinging = tokio::spawn(keep_pinging(honest.clone(), victim.name()));
        ALLOCATED.reset_peak_usage();
        let allocated = ALLOCATED.current_usage();
        Self {
            victim,
            honest,
            mapper,
            log,
            watcher,
            pinging,
            allocated,
        }
    }

    /// A node on the same network.
    pub(crate) fn builder(&self, name: &str) -> NodeBuilder {
        let port = self.mapper.address().port();
        Node::builder(name).cookie(COOKIE).epmd_port(port)
    }

    /// The largest number of bytes that were allocated at once since the start.
    pub(crate) fn peak(&self) -> usize {
        ALLOCATED.peak_usage().saturating_sub(self.allocated)
    }

    /// Asserts what a case did to the victim.
    #[track_caller]
    pub(crate) fn assert(&self, expected: &Expected<'_>) {
        self.log.assert_warnings(expected.warnings);
        let peak = self.peak();
        assert!(
            peak <= expected.memory,
            "{peak} bytes were allocated at once"
        );
    }

    /// The honest node was connected and answered all the time, and is now.
    async fn honest_noticed_nothing(&mut self) {
        assert!(
            !self.pinging.is_finished(),
            "a ping of the honest node failed"
        );
        self.honest
            .ping(self.victim.name(), PATIENCE)
            .await
            .unwrap();
        let victim = self.victim.name();
        while let Ok(delivery) = timeout(Duration::ZERO, self.watcher.receive()).await {
            let lost =
                matches!(delivery, Delivery::Node(NodeEvent::Down { node, .. }) if node == victim);
            assert!(!lost, "the honest node lost its connection");
        }
    }
}

async fn keep_pinging(honest: Node, victim: NodeName) {
    let mut pace = interval(PING_PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        if let Err(error) = honest.ping(victim, PATIENCE).await {
            return eprintln!("the honest node's ping failed: {error}");
        }
    }
}

pub(crate) fn name(text: &str) -> NodeName {
    NodeName::new(Atom::new(text).unwrap()).unwrap()
}

/// Everything that is logged on this thread, a line an event.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<(Level, String)>>>);

impl Log {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Level, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lines logged at `level`.
    pub(crate) fn lines(&self, level: Level) -> Vec<String> {
        let of_level = |(found, line): &(Level, String)| (*found == level).then(|| line.clone());
        self.lock().iter().filter_map(of_level).collect()
    }

    #[track_caller]
    fn assert_warnings(&self, expected: &[&str]) {
        let found = [self.lines(Level::ERROR), self.lines(Level::WARN)].concat();
        let is_missing = |part: &&&str| !found.iter().any(|line| line.contains(**part));
        let missing: Vec<_> = expected.iter().filter(is_missing).collect();
        let is_unexpected = |line: &&String| !expected.iter().any(|part| line.contains(part));
        let unexpected: Vec<_> = found.iter().filter(is_unexpected).collect();
        assert!(
            missing.is_empty() && unexpected.is_empty(),
            "not logged: {missing:?}; logged and not expected: {unexpected:?}; all: {:#?}",
            self.lock()
        );
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("purlin")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.lock().push((*event.metadata().level(), line.0));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// An event as text: its message, then its fields.
struct Line(String);

impl field::Visit for Line {
    fn record_debug(&mut self, field: &field::Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "message" => self.0.insert_str(0, &format!("{value:?}")),
            name => write!(self.0, " {name}={value:?}").expect("a string takes any text"),
        }
    }
}

//! A soak of the runtime: random spawns, kills, links, monitors, names and sends, with exact accounting.
//!
//! ```text
//! soak [--seconds 600] [--processes 2000] [--seed 1]
//! ```
//!
//! Rounds of random work by several drivers at once alternate with rest. At rest everything is compared:
//! - every message that was made was received or dropped, once (`Payload` counts);
//! - every process that was started has ended or is in the table;
//! - links are mutual, and both ends live; a monitor is known to both sides, and its target lives;
//! - every monitor of a live process has fired once, was taken back, or waits;
//! - names belong to live processes;
//! - memory has not grown with the number of processes that there ever were.
//!
//! At the end every process is stopped, and tasks, names and timers must be gone. A line a round goes to
//! standard output; a difference ends the program with status 1.
//!
//! The accounting is trusted because it was seen to fail: `--plant BUG` loses or doubles one in a thousand
//! of what a process is told, as [`Bug`] says, and the first comparison must find it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use purlin_runtime::{
    Address, Config, Info, Local, Process, ProcessInfo, Received, Runtime, Target, TokioExecutor,
};
use purlin_term::{Atom, NodeName, Pid, Reference, Term, atom};

/// Random work between two comparisons, by each driver.
const OPERATIONS: u64 = 20_000;
const DRIVERS: u64 = 4;

type Message = Local<Command>;

/// What a process is told to do.
enum Command {
    Spawn(Tie),
    Link(Pid),
    Unlink(Pid),
    Monitor(Pid),
    DemonitorOne,
    Trap(bool),
    Register(Atom),
    Send(Pid),
    Take(#[expect(dead_code, reason = "it counts when it is dropped")] Payload),
    Exit(&'static str),
    Panic,
    Sleep,
}

#[derive(Clone, Copy)]
enum Tie {
    None,
    Link,
    Monitor,
}

/// Processes started before memory is looked at: by then allocator and thread pools have what they keep.
const WARM: u64 = 500_000;

/// What memory may grow after that, beside a byte for each process: the least that a process can leave
/// behind is more.
const GROWTH_KIB_MAX: u64 = 4096;

/// What can be planted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bug {
    LostDown,
    DoubledDown,
    LostMessage,
    LeakedProcess,
}

impl Bug {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "lost-down" => Self::LostDown,
            "doubled-down" => Self::DoubledDown,
            "lost-message" => Self::LostMessage,
            "leaked-process" => Self::LeakedProcess,
            _ => return None,
        })
    }
}

/// One in so many suffers from a bug that was planted: some in every round.
const ONE_IN: u64 = 1000;

/// Counts itself.
struct Payload(Arc<Counts>);

#[derive(Default)]
struct Counts {
    payloads: AtomicI64,
    made: AtomicU64,
    started: AtomicU64,
    ended: AtomicU64,
    fired: AtomicU64,
    /// Monitors that live processes wait for.
    waiting: AtomicI64,
    bug: Option<Bug>,
    /// What could have suffered from the bug.
    chances: AtomicU64,
    faults: Mutex<Vec<String>>,
}

impl Counts {
    /// True when it is this bug's turn.
    fn suffers(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
            && self
                .chances
                .fetch_add(1, Ordering::Relaxed)
                .is_multiple_of(ONE_IN)
    }
}

/// The monitors that a process waits for; they count while it lives.
struct Waiting {
    references: BTreeSet<Reference>,
    counts: Arc<Counts>,
}

impl Waiting {
    fn insert(&mut self, reference: Reference) {
        self.references.insert(reference);
        self.counts.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// False if it was not waited for.
    fn remove(&mut self, reference: &Reference) -> bool {
        let was_there = self.references.remove(reference);
        self.counts
            .waiting
            .fetch_sub(i64::from(was_there), Ordering::Relaxed);
        was_there
    }

    fn first(&self) -> Option<Reference> {
        self.references.first().copied()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let left = self.references.len() as i64;
        self.counts.waiting.fetch_sub(left, Ordering::Relaxed);
    }
}

impl Payload {
    fn new(counts: &Arc<Counts>) -> Self {
        counts.payloads.fetch_add(1, Ordering::Relaxed);
        counts.made.fetch_add(1, Ordering::Relaxed);
        Self(counts.clone())
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        self.0.payloads.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts the end of a process, however it comes.
struct Lives(Arc<Counts>);

impl Drop for Lives {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// What every process and driver knows.
#[derive(Clone)]
struct World {
    counts: Arc<Counts>,
    population: Arc<Mutex<Vec<Pid>>>,
}

impl World {
    fn fault(&self, text: String) {
        self.counts.faults.lock().unwrap().push(text);
    }

    fn begin(&self, pid: Pid) {
        self.population.lock().unwrap().push(pid);
    }
}

async fn live(mut me: Process<Message>, world: World, lives: Lives) -> Term {
    let mut lives = Some(lives);
    if world.counts.suffers(Bug::LeakedProcess) {
        std::mem::forget(lives.take());
    }
    obey_all(&mut me, &world).await
}

async fn obey_all(me: &mut Process<Message>, world: &World) -> Term {
    let mut waiting = Waiting {
        references: BTreeSet::new(),
        counts: world.counts.clone(),
    };
    loop {
        match me.receive().await {
            Received::Message(Local(Command::Exit(reason))) => {
                return Atom::new(reason).unwrap().into();
            }
            Received::Message(Local(command)) => obey(me, world, &mut waiting, command).await,
            Received::Info(Info::Down { reference, .. }) => {
                take_down(me, world, &mut waiting, &reference);
            }
            _ => {}
        }
    }
}

fn take_down(me: &Process<Message>, world: &World, waiting: &mut Waiting, of: &Reference) {
    if world.counts.suffers(Bug::LostDown) {
        return;
    }
    let times = 1 + u64::from(world.counts.suffers(Bug::DoubledDown));
    for _ in 0..times {
        world.counts.fired.fetch_add(1, Ordering::Relaxed);
        if !waiting.remove(of) {
            world.fault(format!("{} got a DOWN that it does not wait for", me.pid()));
        }
    }
}

async fn obey(me: &Process<Message>, world: &World, waiting: &mut Waiting, command: Command) {
    match command {
        Command::Spawn(tie) => spawn_child(me, world, waiting, tie),
        Command::Link(pid) => me.link(pid),
        Command::Unlink(pid) => me.unlink(pid),
        Command::Monitor(pid) if pid != me.pid() => {
            waiting.insert(me.monitor(pid));
        }
        Command::DemonitorOne => {
            if let Some(reference) = waiting.first() {
                me.demonitor(reference);
                waiting.remove(&reference);
            }
        }
        Command::Trap(trap) => drop(me.trap_exit(trap)),
        Command::Register(name) => drop(me.runtime().register(name, me.pid())),
        Command::Send(to) => {
            let payload = Payload::new(&world.counts);
            if world.counts.suffers(Bug::LostMessage) {
                return std::mem::forget(payload);
            }
            let _ = me.send(to, Local(Command::Take(payload))).await;
        }
        Command::Panic => panic!("as it was told"),
        Command::Sleep => tokio::time::sleep(Duration::from_millis(1)).await,
        Command::Monitor(_) | Command::Take(_) | Command::Exit(_) => {}
    }
}

fn spawn_child(me: &Process<Message>, world: &World, waiting: &mut Waiting, tie: Tie) {
    world.counts.started.fetch_add(1, Ordering::Relaxed);
    let lives = Lives(world.counts.clone());
    let inherited = world.clone();
    let body = move |child| live(child, inherited, lives);
    let started: Result<Address<Message>, _> = match tie {
        Tie::None => me.runtime().spawn(body),
        Tie::Link => me.spawn_link(body),
        Tie::Monitor => me.spawn_monitor(body).map(|(child, reference)| {
            waiting.insert(reference);
            child
        }),
    };
    // One that was not started has counted its end, since its body was dropped.
    if let Ok(child) = started {
        world.begin(child.pid());
    }
}

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Tells random processes to do random things.
async fn drive(runtime: Runtime, world: World, mut random: Random, keep: usize) {
    for operation in 0..OPERATIONS {
        let (whom, other, size) = pick(&world, &mut random);
        let Some(whom) = whom else { break };
        match command(&mut random, other, size < keep) {
            Some(command) => drop(runtime.send(whom, Local(command)).await),
            None => runtime.exit(whom, atom!("kill")),
        }
        if operation % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
}

fn pick(world: &World, random: &mut Random) -> (Option<Pid>, Pid, usize) {
    let population = world.population.lock().unwrap();
    let mut one = || population.get(random.below(population.len().max(1) as u64) as usize);
    let whom = one().copied();
    let other = one().copied();
    let nobody = Pid {
        serial: u32::MAX,
        ..whom.or(other).expect("the population never dies out")
    };
    (whom, other.unwrap_or(nobody), population.len())
}

/// `None`: kill it.
fn command(random: &mut Random, other: Pid, may_grow: bool) -> Option<Command> {
    Some(match random.below(100) {
        0..12 if may_grow => Command::Spawn(Tie::None),
        12..18 if may_grow => Command::Spawn(Tie::Link),
        18..24 if may_grow => Command::Spawn(Tie::Monitor),
        0..36 => Command::Link(other),
        36..46 => Command::Unlink(other),
        46..60 => Command::Monitor(other),
        60..68 => Command::DemonitorOne,
        68..72 => Command::Trap(true),
        72..74 => Command::Trap(false),
        74..76 => Command::Register(Atom::new(&format!("n{}", random.below(50))).unwrap()),
        76..94 => Command::Send(other),
        94..95 => Command::Sleep,
        95..96 => Command::Exit("normal"),
        96..97 => Command::Exit("failed"),
        97..98 => Command::Panic,
        _ => return None,
    })
}

/// Waits until nothing moves: every process has answered, and nothing has changed since it did.
async fn rest(runtime: &Runtime, world: &World) -> BTreeMap<Pid, ProcessInfo> {
    let mut before = (0, 0, 0);
    loop {
        let mut infos = BTreeMap::new();
        for pid in runtime.processes() {
            if let Some(info) = runtime.process_info(pid).await {
                infos.insert(pid, info);
            }
        }
        let counts = &world.counts;
        let now = (
            counts.ended.load(Ordering::Relaxed),
            counts.fired.load(Ordering::Relaxed),
            infos.values().map(|info| info.message_queue_len).sum(),
        );
        if now == before && now.2 == 0 {
            return infos;
        }
        before = now;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Compares what processes say of each other.
fn compare(runtime: &Runtime, world: &World, infos: &BTreeMap<Pid, ProcessInfo>) {
    for (pid, info) in infos {
        for other in &info.links {
            let mutual = infos
                .get(other)
                .is_some_and(|info| info.links.contains(pid));
            if !mutual {
                world.fault(format!(
                    "{pid} is linked to {other}, which is not linked to it"
                ));
            }
        }
        for target in &info.monitors {
            let Target::Pid(target) = target else {
                continue;
            };
            let held = info
                .monitors
                .iter()
                .filter(|t| **t == Target::Pid(*target))
                .count();
            let known = infos.get(target).map_or(0, |info| {
                info.monitored_by
                    .iter()
                    .filter(|watcher| *watcher == pid)
                    .count()
            });
            if held != known {
                world.fault(format!(
                    "{pid} monitors {target} {held} times, {known} are known"
                ));
            }
        }
    }
    for name in runtime.registered() {
        if runtime
            .whereis(&name)
            .is_none_or(|pid| !infos.contains_key(&pid))
        {
            world.fault(format!("{name} is the name of nobody"));
        }
    }
    let counts = &world.counts;
    let started = counts.started.load(Ordering::Relaxed);
    let ended = counts.ended.load(Ordering::Relaxed);
    if started - ended != infos.len() as u64 {
        let live = infos.len();
        world.fault(format!("{started} started, {ended} ended, {live} live"));
    }
    let held: usize = infos.values().map(|info| info.monitors.len()).sum();
    let waiting = counts.waiting.load(Ordering::Relaxed);
    if held as i64 != waiting {
        world.fault(format!(
            "{waiting} monitors are waited for, {held} are held"
        ));
    }
    let payloads = counts.payloads.load(Ordering::Relaxed);
    if payloads != 0 {
        world.fault(format!("{payloads} messages are nowhere"));
    }
}

async fn soak(seconds: u64, processes: usize, seed: u64, bug: Option<Bug>) -> bool {
    let node = NodeName::new(&atom!("soak@localhost")).unwrap();
    let executor = Arc::new(TokioExecutor::current());
    let runtime = Runtime::new(node, 1, executor, Config::default());
    let counts = Counts {
        bug,
        ..Counts::default()
    };
    let world = World {
        counts: Arc::new(counts),
        population: Arc::default(),
    };
    let (begun, mut random, mut rounds) = (Instant::now(), Random(seed), 0_u64);
    let mut warm = None;
    while begun.elapsed() < Duration::from_secs(seconds) {
        populate(&runtime, &world, processes);
        let drivers: Vec<_> = (0..DRIVERS)
            .map(|_| {
                let random = Random(random.next());
                tokio::spawn(drive(runtime.clone(), world.clone(), random, 2 * processes))
            })
            .collect();
        for driver in drivers {
            driver.await.unwrap();
        }
        let infos = rest(&runtime, &world).await;
        compare(&runtime, &world, &infos);
        *world.population.lock().unwrap() = infos.keys().copied().collect();
        rounds += 1;
        watch_memory(&world, &mut warm);
        report(&world, rounds, begun, infos.len());
        if !world.counts.faults.lock().unwrap().is_empty() {
            return false;
        }
    }
    runtime.stop(Duration::from_secs(10)).await;
    let (left, names, timers) = (
        runtime.processes(),
        runtime.registered(),
        runtime.timer_count(),
    );
    println!(
        "stopped: {} processes, {} names, {timers} timers left",
        left.len(),
        names.len()
    );
    left.is_empty() && names.is_empty() && timers == 0
}

/// Starts as many processes as are missing.
fn populate(runtime: &Runtime, world: &World, processes: usize) {
    while runtime.process_count() < processes {
        world.counts.started.fetch_add(1, Ordering::Relaxed);
        let (inherited, lives) = (world.clone(), Lives(world.counts.clone()));
        let started = runtime.spawn(move |me| live(me, inherited, lives)).unwrap();
        world.begin(started.pid());
    }
}

fn report(world: &World, round: u64, begun: Instant, live: usize) {
    let counts = &world.counts;
    println!(
        "round {round} at {} s: {} processes started, {live} live, {} messages, {} monitors fired, {} KiB resident",
        begun.elapsed().as_secs(),
        counts.started.load(Ordering::Relaxed),
        counts.made.load(Ordering::Relaxed),
        counts.fired.load(Ordering::Relaxed),
        resident_kib(),
    );
    for fault in counts.faults.lock().unwrap().iter().take(20) {
        println!("FAULT {fault}");
    }
}

/// Memory that grows with the number of processes there ever were is a fault.
fn watch_memory(world: &World, warm: &mut Option<(u64, u64)>) {
    let (started, now) = (world.counts.started.load(Ordering::Relaxed), resident_kib());
    if started < WARM {
        return;
    }
    let (started_then, then) = *warm.get_or_insert((started, now));
    let since = started - started_then;
    if now > then + GROWTH_KIB_MAX + since / 1024 {
        world.fault(format!("{} KiB more after {since} processes", now - then));
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().strip_suffix("kB"));
    number
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str, default: u64| {
        let at = args.iter().position(|arg| arg == name);
        at.and_then(|at| args.get(at + 1)?.parse().ok())
            .unwrap_or(default)
    };
    let (seconds, processes) = (value("--seconds", 600), value("--processes", 2000));
    let seed = value("--seed", 1);
    let plant = args.iter().position(|arg| arg == "--plant");
    let bug = plant.map(|at| {
        let named = args.get(at + 1).and_then(|name| Bug::named(name));
        named.expect("lost-down, doubled-down, lost-message or leaked-process")
    });
    // Panics here are orders that were obeyed.
    purlin_runtime::panics::install_hook();
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("two threads can be started");
    let done = threads.block_on(async move {
        tokio::spawn(soak(seconds, processes as usize, seed, bug))
            .await
            .unwrap()
    });
    match done {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

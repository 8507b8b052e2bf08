//! Who lives here: processes by number and by name.
//!
//! Sending to an address in hand looks nothing up; this table serves pids and names. It is split by
//! number, so that processes that start and end on several threads rarely meet.
//!
//! Invariants:
//! - `I1` process numbers count up and are never reused;
//! - `I2` a name refers to a process that has not begun to end: a process leaves the names before the
//!   table, and the table before anybody is told of its end;
//! - `I3` a process has at most one name.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use purlin_term::Atom;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::cell::AnyProcess;
use super::head::Head;

/// Parts of the table. A guess, unmeasured: many times the threads that meet there.
const SHARDS: u64 = 64;

/// A name that cannot be given; nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// Another process has the name.
    #[error("the name is taken by another process")]
    Taken,
    /// The process has a name already.
    #[error("the process has a name already")]
    HasName,
    /// There is no such process on this node, or it has ended.
    #[error("there is no such process on this node")]
    NoProcess,
    /// The name is `undefined`, which OTP keeps for "no name".
    #[error("`undefined` cannot be a name")]
    Undefined,
}

/// As many processes live as may, or the runtime is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node has as many processes as it may")]
pub struct TooManyProcesses;

/// Processes whose numbers follow each other lie together: mostly they are started together, and a
/// page costs a quarter of what as many entries of a map do. The smaller, the less a lone survivor
/// holds on to; a guess, unmeasured.
const PAGE: u64 = 16;

#[derive(Default)]
struct Page {
    processes: [Option<Arc<dyn AnyProcess>>; PAGE as usize],
    count: u8,
}

/// Some of the pages, by their number.
#[derive(Default)]
struct Shard {
    /// The page that was made last, since most processes that start or end are in it.
    latest: Option<(u64, Box<Page>)>,
    older: BTreeMap<u64, Box<Page>>,
}

impl Shard {
    fn get(&self, page: u64) -> Option<&Page> {
        match &self.latest {
            Some((latest, page_of)) if *latest == page => Some(page_of),
            _ => self.older.get(&page).map(|page| &**page),
        }
    }

    /// The page, made if it is not there.
    fn page(&mut self, page: u64) -> &mut Page {
        let is_new = match &self.latest {
            Some((latest, _)) => *latest < page,
            None => true,
        };
        if is_new
            && let Some((number, page)) = self.latest.replace((page, Box::default()))
            && page.count > 0
        {
            self.older.insert(number, page);
        }
        match &mut self.latest {
            Some((latest, page_of)) if *latest == page => page_of,
            _ => self.older.entry(page).or_default(),
        }
    }

    /// Takes a process out, and the page with its last one.
    fn take(&mut self, page: u64, slot: usize) -> Option<Arc<dyn AnyProcess>> {
        if let Some((latest, page_of)) = &mut self.latest
            && *latest == page
        {
            let taken = page_of.take(slot);
            // Kept while others may come into it, which is soon.
            if page_of.count == 0 && slot as u64 == PAGE - 1 {
                self.latest = None;
            }
            return taken;
        }
        let page_of = self.older.get_mut(&page)?;
        let taken = page_of.take(slot);
        // One that is not full yet may be empty for a moment: it is made anew then.
        if page_of.count == 0 {
            self.older.remove(&page);
        }
        taken
    }

    fn pages(&self) -> impl Iterator<Item = &Page> {
        let latest = self.latest.iter().map(|(_, page)| page);
        self.older.values().chain(latest).map(|page| &**page)
    }
}

impl Page {
    fn put(&mut self, slot: usize, process: Arc<dyn AnyProcess>) {
        self.count += 1;
        self.processes[slot] = Some(process);
    }

    fn take(&mut self, slot: usize) -> Option<Arc<dyn AnyProcess>> {
        let taken = self.processes[slot].take()?;
        self.count -= 1;
        Some(taken)
    }
}

/// The processes of a runtime.
pub(crate) struct Table {
    shards: Box<[Mutex<Shard>]>,
    names: RwLock<Names>,
    /// The last number that was given, and how many of them have ended. Apart, since different
    /// threads write them.
    started: Apart<AtomicU64>,
    ended: Apart<AtomicU64>,
    /// Those that live and that stopping does not wait for.
    apart: AtomicU64,
    max: u64,
    is_closed: AtomicBool,
    /// After it was closed: what stopping waits for has changed.
    change: Notify,
    late: AtomicU64,
}

/// A value on a cache line of its own.
#[repr(align(128))]
struct Apart<T>(T);

#[derive(Default)]
struct Names {
    by_name: BTreeMap<Atom, Arc<dyn AnyProcess>>,
    by_number: BTreeMap<u64, Atom>,
}

impl Names {
    fn remove_number(&mut self, number: u64) {
        if let Some(name) = self.by_number.remove(&number) {
            self.by_name.remove(&name);
        }
    }
}

impl Table {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            names: RwLock::default(),
            started: Apart(AtomicU64::new(0)),
            ended: Apart(AtomicU64::new(0)),
            apart: AtomicU64::new(0),
            max: max as u64,
            is_closed: AtomicBool::new(false),
            change: Notify::new(),
            late: AtomicU64::new(0),
        }
    }

    /// Makes room for one more process, and answers its number.
    pub(crate) fn reserve(&self) -> Result<u64, TooManyProcesses> {
        let number = self.started.0.fetch_add(1, Ordering::Relaxed) + 1;
        let ended = self.ended.0.load(Ordering::Relaxed);
        if number - ended > self.max || self.is_closed.load(Ordering::Relaxed) {
            // The number is lost: it belongs to a process that ended before it began.
            self.ended.0.fetch_add(1, Ordering::SeqCst);
            self.tell_if_closed();
            return Err(TooManyProcesses);
        }
        Ok(number)
    }

    /// Stopping does not wait for this process. Only the process itself says so, or who makes it.
    pub(crate) fn set_apart(&self, head: &Head) {
        if !head.set_apart() {
            self.apart.fetch_add(1, Ordering::SeqCst);
            self.tell_if_closed();
        }
    }

    /// How many processes live that stopping waits for.
    pub(crate) fn ordinary(&self) -> usize {
        let apart = self.apart.load(Ordering::SeqCst) as usize;
        self.len().saturating_sub(apart)
    }

    /// No process starts from now on.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    /// Wakes who waits in [`Table::changed`].
    fn tell_if_closed(&self) {
        if self.is_closed.load(Ordering::SeqCst) {
            self.change.notify_waiters();
        }
    }

    /// Waits until another number of processes lives that stopping waits for, or one came late, after
    /// [`Table::close`].
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.change.notified()
    }

    pub(crate) fn insert(&self, number: u64, process: Arc<dyn AnyProcess>) {
        let (page, slot) = place(number);
        self.shard(page).page(page).put(slot, process);
        if self.is_closed.load(Ordering::SeqCst) {
            self.late.fetch_add(1, Ordering::SeqCst);
            self.change.notify_waiters();
        }
    }

    /// Processes that came into the table after it was closed: they were being started then.
    pub(crate) fn late(&self) -> u64 {
        self.late.load(Ordering::SeqCst)
    }

    pub(crate) fn get(&self, number: u64) -> Option<Arc<dyn AnyProcess>> {
        let (page, slot) = place(number);
        self.shard(page).get(page)?.processes[slot].clone()
    }

    /// The processes of these numbers, put behind what is in `found`. Numbers that follow each other are
    /// found together.
    pub(crate) fn get_all(
        &self,
        numbers: impl Iterator<Item = u64>,
        found: &mut Vec<Option<Arc<dyn AnyProcess>>>,
    ) {
        let mut numbers = numbers.map(place).peekable();
        while let Some((page, slot)) = numbers.next() {
            let shard = self.shard(page);
            let entries = shard.get(page);
            let mut find =
                |slot: usize| found.push(entries.and_then(|all| all.processes[slot].clone()));
            find(slot);
            while let Some((_, slot)) = numbers.next_if(|(other, _)| *other == page) {
                find(slot);
            }
        }
    }

    /// The process begins to end: it has no name from now on, and is not found any more.
    pub(crate) fn remove(&self, head: &Head) {
        if head.close_name() {
            self.names_mut().remove_number(head.number());
        }
        if self.take(head.number()).is_none() {
            return;
        }
        self.ended.0.fetch_add(1, Ordering::SeqCst);
        if head.is_apart() {
            self.apart.fetch_sub(1, Ordering::SeqCst);
        }
        self.tell_if_closed();
    }

    fn take(&self, number: u64) -> Option<Arc<dyn AnyProcess>> {
        let (page, slot) = place(number);
        self.shard(page).take(page, slot)
    }

    pub(crate) fn register(&self, name: Atom, number: u64) -> Result<(), RegisterError> {
        if name == *"undefined" {
            return Err(RegisterError::Undefined);
        }
        let process = self.get(number).ok_or(RegisterError::NoProcess)?;
        let mut names = self.names_mut();
        if names.by_name.contains_key(&name) {
            return Err(RegisterError::Taken);
        }
        // Whoever ends the process after this waits for the lock and takes the name away again.
        process.head().take_name()?;
        names.by_number.insert(number, name.clone());
        names.by_name.insert(name, process);
        Ok(())
    }

    /// Frees a name; answers whether somebody had it.
    pub(crate) fn unregister(&self, name: &Atom) -> bool {
        let mut names = self.names_mut();
        let Some(process) = names.by_name.remove(name) else {
            return false;
        };
        names.by_number.remove(&process.head().number());
        process.head().free_name();
        true
    }

    pub(crate) fn name_of(&self, number: u64) -> Option<Atom> {
        self.names().by_number.get(&number).cloned()
    }

    pub(crate) fn whereis(&self, name: &Atom) -> Option<Arc<dyn AnyProcess>> {
        self.names().by_name.get(name).cloned()
    }

    /// All names, sorted.
    pub(crate) fn registered(&self) -> Vec<Atom> {
        self.names().by_name.keys().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        let ended = self.ended.0.load(Ordering::Relaxed);
        (self.started.0.load(Ordering::Relaxed) - ended) as usize
    }

    /// All processes, in the order in which they started.
    pub(crate) fn all(&self) -> Vec<Arc<dyn AnyProcess>> {
        let mut all = Vec::with_capacity(self.len());
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let processes = shard
                .pages()
                .flat_map(|page| page.processes.iter().flatten());
            all.extend(processes.cloned());
        }
        all.sort_unstable_by_key(|process| process.head().number());
        all
    }

    fn names(&self) -> RwLockReadGuard<'_, Names> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn names_mut(&self) -> RwLockWriteGuard<'_, Names> {
        self.names.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn shard(&self, page: u64) -> MutexGuard<'_, Shard> {
        self.shards[(page % SHARDS) as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The page of a number, and its place there.
fn place(number: u64) -> (u64, usize) {
    (number / PAGE, (number % PAGE) as usize)
}

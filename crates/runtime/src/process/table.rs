//! Who lives here: processes by number and by name.
//!
//! Sending to an address in hand looks nothing up; this table serves pids and names. It is split by
//! number, so that processes that start and end on several threads rarely meet.
//!
//! Invariants:
//! - `I1` process numbers count up and are never reused;
//! - `I2` a name refers to a process that has not begun to end: a process leaves the names before the
//!   table, and the table before anybody is told of its end;
//! - `I3` a process has at most one name;
//! - `I4` never do more processes live than may, and one more is refused only while so many do;
//! - `I5` after the table was closed, [`Table::ordinary`] is never too low, and who waits in
//!   [`Table::changed`] is told of each change of it and of each process that came late.
//!
//! `tests/loom_table.rs` runs this file in models of all interleavings.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use purlin_term::Atom;

use super::standing::Listed;
use crate::sync::{
    AtomicU64, Mutex, MutexGuard, Notified, Notify, Ordering, RwLock, RwLockReadGuard,
    RwLockWriteGuard, fence,
};

/// Parts of the table. A guess, unmeasured: many times the threads that meet there.
const SHARDS: u64 = 64;

/// A bit of both counters: nothing is counted in any more. Numbers do not come near it, and since it is
/// in the words that are changed, nobody changes them without seeing it.
const CLOSED: u64 = 1 << 63;

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

struct Page<P: ?Sized> {
    processes: [Option<Arc<P>>; PAGE as usize],
    count: u8,
}

/// Some of the pages, by their number.
struct Shard<P: ?Sized> {
    /// The page that was made last, since most processes that start or end are in it.
    latest: Option<(u64, Box<Page<P>>)>,
    older: BTreeMap<u64, Box<Page<P>>>,
}

impl<P: ?Sized> Shard<P> {
    fn new() -> Self {
        Self {
            latest: None,
            older: BTreeMap::new(),
        }
    }

    fn get(&self, page: u64) -> Option<&Page<P>> {
        match &self.latest {
            Some((latest, page_of)) if *latest == page => Some(page_of),
            _ => self.older.get(&page).map(|page| &**page),
        }
    }

    /// The page, made if it is not there.
    fn page(&mut self, page: u64) -> &mut Page<P> {
        let is_new = match &self.latest {
            Some((latest, _)) => *latest < page,
            None => true,
        };
        if is_new
            && let Some((number, page)) = self.latest.replace((page, Page::new()))
            && page.count > 0
        {
            self.older.insert(number, page);
        }
        match &mut self.latest {
            Some((latest, page_of)) if *latest == page => page_of,
            _ => self.older.entry(page).or_insert_with(Page::new),
        }
    }

    /// Takes a process out, and the page with its last one.
    fn take(&mut self, page: u64, slot: usize) -> Option<Arc<P>> {
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

    fn pages(&self) -> impl Iterator<Item = &Page<P>> {
        let latest = self.latest.iter().map(|(_, page)| page);
        self.older.values().chain(latest).map(|page| &**page)
    }
}

impl<P: ?Sized> Page<P> {
    fn new() -> Box<Self> {
        Box::new(Self {
            processes: Default::default(),
            count: 0,
        })
    }

    fn put(&mut self, slot: usize, process: Arc<P>) {
        self.count += 1;
        self.processes[slot] = Some(process);
    }

    fn take(&mut self, slot: usize) -> Option<Arc<P>> {
        let taken = self.processes[slot].take()?;
        self.count -= 1;
        Some(taken)
    }
}

/// The processes of a runtime, in so many parts.
pub(crate) struct Table<P: ?Sized, const PARTS: u64 = SHARDS> {
    shards: Box<[Mutex<Shard<P>>]>,
    names: RwLock<Names<P>>,
    /// The last number that was given, and how many of them have ended, both with [`CLOSED`]. Apart,
    /// since different threads write them.
    started: Apart<AtomicU64>,
    ended: Apart<AtomicU64>,
    /// Those that live and that stopping does not wait for. Below zero, which wraps, for a moment.
    apart: AtomicU64,
    max: u64,
    /// After it was closed: what stopping waits for has changed.
    change: Notify,
    late: AtomicU64,
}

/// A value on a cache line of its own.
#[repr(align(128))]
struct Apart<T>(T);

struct Names<P: ?Sized> {
    by_name: BTreeMap<Atom, Arc<P>>,
    by_number: BTreeMap<u64, Atom>,
}

/// Who was seen in a closed table when it was looked through: how many had come late by then, and the
/// numbers, sorted.
#[derive(Default)]
pub(crate) struct Seen(Vec<(u64, Vec<u64>)>);

impl Seen {
    fn has(&self, number: u64) -> bool {
        let mut looks = self.0.iter();
        looks.any(|(_, numbers)| numbers.binary_search(&number).is_ok())
    }
}

impl<P: ?Sized> Names<P> {
    fn remove_number(&mut self, number: u64) {
        if let Some(name) = self.by_number.remove(&number) {
            self.by_name.remove(&name);
        }
    }
}

impl<P: Listed + ?Sized, const PARTS: u64> Table<P, PARTS> {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            shards: (0..PARTS).map(|_| Mutex::new(Shard::new())).collect(),
            names: RwLock::new(Names {
                by_name: BTreeMap::new(),
                by_number: BTreeMap::new(),
            }),
            started: Apart(AtomicU64::new(0)),
            ended: Apart(AtomicU64::new(0)),
            apart: AtomicU64::new(0),
            max: max as u64,
            change: Notify::new(),
            late: AtomicU64::new(0),
        }
    }

    /// Makes room for one more process, and answers its number.
    pub(crate) fn reserve(&self) -> Result<u64, TooManyProcesses> {
        let mut ended = self.ended();
        loop {
            let started = self.started.0.load(Ordering::Acquire);
            if started & CLOSED != 0 {
                return Err(TooManyProcesses);
            }
            // `ended` is from before, so these are never fewer than live.
            if started - ended < self.max {
                let number = started + 1;
                if self.try_start(started, number) {
                    return Ok(number);
                }
                continue;
            }
            match self.ended() {
                // So many lived when `started` was read.
                now if now == ended => return Err(TooManyProcesses),
                now => ended = now,
            }
        }
    }

    fn try_start(&self, started: u64, number: u64) -> bool {
        let counter = &self.started.0;
        counter
            .compare_exchange_weak(started, number, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Stopping does not wait for this process.
    pub(crate) fn set_apart(&self, process: &(impl Listed + ?Sized)) {
        if process.standing().set_apart() {
            self.apart.fetch_add(1, Ordering::AcqRel);
            // With the one in `close`: either this sees that it is closed, or stopping sees the count.
            fence(Ordering::SeqCst);
            if self.is_closed() {
                self.change.notify_waiters();
            }
        }
    }

    /// How many processes live that stopping waits for.
    pub(crate) fn ordinary(&self) -> usize {
        // In this order, the opposite of the one in `remove`: what ends meanwhile is counted rather twice
        // than not at all.
        let living = self.len() as u64;
        let apart = self.apart.load(Ordering::Acquire);
        (living.wrapping_sub(apart) as i64).max(0) as usize
    }

    /// No process starts from now on.
    pub(crate) fn close(&self) {
        self.started.0.fetch_or(CLOSED, Ordering::AcqRel);
        self.ended.0.fetch_or(CLOSED, Ordering::AcqRel);
        fence(Ordering::SeqCst);
    }

    fn is_closed(&self) -> bool {
        self.ended.0.load(Ordering::Acquire) & CLOSED != 0
    }

    fn ended(&self) -> u64 {
        self.ended.0.load(Ordering::Acquire) & !CLOSED
    }

    /// Waits until another number of processes lives that stopping waits for, or one came late, after
    /// [`Table::close`].
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.change.notified()
    }

    pub(crate) fn insert(&self, number: u64, process: Arc<P>) {
        let (page, slot) = place(number);
        self.shard(page).page(page).put(slot, process);
        // Who looked through this part before has closed the table before that.
        if self.is_closed() {
            self.late.fetch_add(1, Ordering::AcqRel);
            self.change.notify_waiters();
        }
    }

    /// The processes of a closed table that were not seen yet, in the order in which they started. One
    /// that was just being started when the table was closed comes into it later.
    pub(crate) fn unseen(&self, seen: &mut Seen) -> Vec<Arc<P>> {
        // Before it looks: who comes behind its back counts as late afterwards.
        let late = self.late.load(Ordering::Acquire);
        if seen.0.last().is_some_and(|(then, _)| *then == late) {
            return Vec::new();
        }
        let mut unseen = self.all();
        unseen.retain(|process| !seen.has(process.number()));
        let numbers = unseen.iter().map(|process| process.number());
        seen.0.push((late, numbers.collect()));
        unseen
    }

    pub(crate) fn get(&self, number: u64) -> Option<Arc<P>> {
        let (page, slot) = place(number);
        self.shard(page).get(page)?.processes[slot].clone()
    }

    /// The processes of these numbers, put behind what is in `found`. Numbers that follow each other are
    /// found together.
    pub(crate) fn get_all(
        &self,
        numbers: impl Iterator<Item = u64>,
        found: &mut Vec<Option<Arc<P>>>,
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

    /// The process begins to end: it has no name from now on, and is not found any more. Once.
    pub(crate) fn remove(&self, process: &(impl Listed + ?Sized)) {
        let number = process.number();
        let before = process.standing().close();
        if before.is_named() {
            self.names_mut().remove_number(number);
        }
        if self.take(number).is_none() {
            return;
        }
        if before.is_apart() {
            self.apart.fetch_sub(1, Ordering::AcqRel);
        }
        if self.ended.0.fetch_add(1, Ordering::AcqRel) & CLOSED != 0 {
            self.change.notify_waiters();
        }
    }

    fn take(&self, number: u64) -> Option<Arc<P>> {
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
        process.standing().take_name()?;
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
        names.by_number.remove(&process.number());
        process.standing().free_name();
        true
    }

    /// Frees the name of a process, and no other's; answers whether it had one.
    pub(crate) fn unregister_process(&self, number: u64) -> bool {
        let mut names = self.names_mut();
        let Some(name) = names.by_number.remove(&number) else {
            return false;
        };
        if let Some(process) = names.by_name.remove(&name) {
            process.standing().free_name();
        }
        true
    }

    pub(crate) fn name_of(&self, number: u64) -> Option<Atom> {
        self.names().by_number.get(&number).cloned()
    }

    pub(crate) fn whereis(&self, name: &Atom) -> Option<Arc<P>> {
        self.names().by_name.get(name).cloned()
    }

    /// All names, sorted.
    pub(crate) fn registered(&self) -> Vec<Atom> {
        self.names().by_name.keys().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        // In this order: who has ended, has started.
        let ended = self.ended();
        ((self.started.0.load(Ordering::Acquire) & !CLOSED) - ended) as usize
    }

    /// All processes, in the order in which they started.
    pub(crate) fn all(&self) -> Vec<Arc<P>> {
        let mut all = Vec::with_capacity(self.len());
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let processes = shard
                .pages()
                .flat_map(|page| page.processes.iter().flatten());
            all.extend(processes.cloned());
        }
        all.sort_unstable_by_key(|process| process.number());
        all
    }

    fn names(&self) -> RwLockReadGuard<'_, Names<P>> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn names_mut(&self) -> RwLockWriteGuard<'_, Names<P>> {
        self.names.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn shard(&self, page: u64) -> MutexGuard<'_, Shard<P>> {
        self.shards[(page % PARTS) as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The page of a number, and its place there.
fn place(number: u64) -> (u64, usize) {
    (number / PAGE, (number % PAGE) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_whose_processes_have_all_ended_are_not_kept() {
        for last_to_end in 0..PAGE as usize {
            let mut shard = Shard::<u64>::new();
            for page in 0..100 {
                for slot in 0..PAGE as usize {
                    shard.page(page).put(slot, Arc::new(page));
                }
                for slot in (0..PAGE as usize).filter(|slot| *slot != last_to_end) {
                    assert!(shard.take(page, slot).is_some());
                }
                assert!(shard.take(page, last_to_end).is_some());
            }
            assert!(shard.pages().count() <= 1, "slot {last_to_end}");
        }
    }
}

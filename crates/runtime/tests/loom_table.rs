//! Models of the process table under all interleavings, and all values that atomics may read.
//!
//! The modules here are those of the crate, with loom's primitives in place of std's: no other build and
//! no cfg is needed. The table has two parts instead of 64, so that looking through it is short, and a
//! process is its number and its standing alone.

use std::sync::Arc;

use loom::thread;
use purlin_term::Atom;

#[path = "../src/process/standing.rs"]
#[allow(dead_code, reason = "the crate uses more of it")]
mod standing;
#[path = "primitives/mod.rs"]
mod sync;
#[path = "../src/process/table.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the crate uses more of it, and publishes its errors"
)]
mod table;

use standing::{Listed, Standing};
use sync::model;
use table::{RegisterError, Seen};

struct Process {
    number: u64,
    standing: Standing,
}

impl Listed for Process {
    fn number(&self) -> u64 {
        self.number
    }

    fn standing(&self) -> &Standing {
        &self.standing
    }
}

type Table = table::Table<Process, 2>;

/// Numbers that lie in one page, and so in one part of the table, less the first: none has number 0.
const FIRST_PAGE: u64 = 15;

fn table(max: usize) -> Arc<Table> {
    Arc::new(Table::new(max))
}

fn try_start(table: &Table) -> Option<Arc<Process>> {
    let number = table.reserve().ok()?;
    let standing = Standing::new();
    let process = Arc::new(Process { number, standing });
    table.insert(number, process.clone());
    Some(process)
}

fn start(table: &Table) -> Arc<Process> {
    try_start(table).expect("there is room")
}

fn name(name: &str) -> Atom {
    Atom::new(name).unwrap()
}

/// Does something with the table on another thread.
fn aside<T: 'static>(
    table: &Arc<Table>,
    act: impl FnOnce(&Table) -> T + 'static,
) -> thread::JoinHandle<T> {
    let table = Arc::clone(table);
    thread::spawn(move || act(&table))
}

fn holder(table: &Table, of: &Atom) -> Option<u64> {
    table.whereis(of).map(|process| process.number)
}

#[test]
fn no_name_stays_with_a_process_that_ended() {
    model(5, || {
        let table = table(8);
        let process = start(&table);
        let number = process.number;
        let registering = aside(&table, move |table| table.register(name("a"), number));
        table.remove(&*process);
        let registered = registering.join().unwrap();
        assert!(matches!(registered, Ok(()) | Err(RegisterError::NoProcess)));
        assert_eq!(holder(&table, &name("a")), None);
        assert_eq!(table.name_of(number), None);
        assert!(table.registered().is_empty());
    });
}

#[test]
fn of_two_that_want_one_name_one_gets_it() {
    model(5, || {
        let table = table(8);
        let [one, other] = [start(&table).number, start(&table).number];
        let registering = aside(&table, move |table| table.register(name("a"), other));
        let mine = table.register(name("a"), one);
        let its = registering.join().unwrap();
        let (winner, loser) = match mine {
            Ok(()) => (one, its),
            Err(error) => {
                assert_eq!(its, Ok(()));
                (other, Err(error))
            }
        };
        assert_eq!(loser, Err(RegisterError::Taken));
        assert_eq!(holder(&table, &name("a")), Some(winner));
        let named = [one, other].map(|number| table.name_of(number).is_some());
        assert_eq!(named, [winner == one, winner == other]);
    });
}

#[test]
fn a_process_gets_one_of_two_names() {
    model(5, || {
        let table = table(8);
        let number = start(&table).number;
        let registering = aside(&table, move |table| table.register(name("b"), number));
        let mine = table.register(name("a"), number);
        let its = registering.join().unwrap();
        let (had, lost) = match mine {
            Ok(()) => (name("a"), its),
            Err(error) => (name("b"), Err(error)),
        };
        assert_eq!(lost, Err(RegisterError::HasName));
        assert_eq!(table.name_of(number).as_ref(), Some(&had));
        assert_eq!(table.registered(), [had]);
    });
}

#[test]
fn a_name_that_another_took_over_outlives_its_first_process() {
    model(3, || {
        let table = table(8);
        let [first, second] = [start(&table), start(&table)];
        table.register(name("a"), first.number).unwrap();
        let number = second.number;
        let taking_over = aside(&table, move |table| {
            table.unregister(&name("a"));
            table.register(name("a"), number)
        });
        table.remove(&*first);
        assert_eq!(taking_over.join().unwrap(), Ok(()));
        assert_eq!(holder(&table, &name("a")), Some(number));
        assert_eq!(table.name_of(number), Some(name("a")));
        assert_eq!(table.name_of(first.number), None);
    });
}

#[test]
fn a_name_is_freed_once_and_its_process_may_have_another() {
    model(3, || {
        let table = table(8);
        let number = start(&table).number;
        table.register(name("a"), number).unwrap();
        let freeing = aside(&table, |table| table.unregister(&name("a")));
        let freed_here = table.unregister(&name("a"));
        assert!(freed_here != freeing.join().unwrap());
        assert_eq!(table.register(name("b"), number), Ok(()));
    });
}

#[test]
fn a_process_frees_its_own_name_and_no_other() {
    model(3, || {
        let table = table(8);
        let [first, second] = [start(&table), start(&table)];
        table.register(name("a"), first.number).unwrap();
        let number = second.number;
        let taking_over = aside(&table, move |table| {
            table.unregister(&name("a"));
            table.register(name("a"), number)
        });
        table.unregister_process(first.number);
        assert_eq!(taking_over.join().unwrap(), Ok(()));
        assert_eq!(holder(&table, &name("a")), Some(number));
        assert_eq!(table.register(name("b"), first.number), Ok(()));
        table.remove(&*first);
        assert_eq!(table.registered(), [name("a")]);
    });
}

#[test]
fn a_name_leads_to_its_process_until_that_ends_and_not_after() {
    model(4, || {
        let table = table(8);
        let process = start(&table);
        table.register(name("a"), process.number).unwrap();
        let looking = aside(&table, |table| [(); 2].map(|()| holder(table, &name("a"))));
        table.remove(&*process);
        assert_eq!(holder(&table, &name("a")), None);
        assert!(table.get(process.number).is_none());
        let seen = looking.join().unwrap();
        assert!(seen[0].is_some() || seen[1].is_none());
    });
}

#[test]
fn whoever_finds_no_process_finds_no_name() {
    model(4, || {
        let table = table(8);
        let process = start(&table);
        let number = process.number;
        table.register(name("a"), number).unwrap();
        let looking = aside(&table, move |table| {
            let is_gone = table.get(number).is_none();
            let found = holder(table, &name("a"));
            assert!(!is_gone || found.is_none());
        });
        table.remove(&*process);
        looking.join().unwrap();
    });
}

/// Starts a process if there is room, and ends it; whether there was.
fn start_and_end(table: &Table) -> bool {
    let process = try_start(table);
    process.iter().for_each(|process| table.remove(&**process));
    process.is_some()
}

#[test]
fn no_more_live_than_may() {
    model(3, || {
        let table = table(1);
        let others = [(); 2].map(|()| aside(&table, try_start_number));
        let mine = try_start_number(&table);
        let its = others.map(|other| other.join().unwrap());
        let started = [mine, its[0], its[1]].into_iter().flatten().count();
        assert_eq!(started, 1);
        assert_eq!((table.len(), table.all().len()), (1, 1));
    });
}

fn try_start_number(table: &Table) -> Option<u64> {
    try_start(table).map(|process| process.number)
}

#[test]
fn a_process_is_refused_only_while_as_many_live_as_may() {
    model(3, || {
        let table = table(2);
        // Beside this one there is room for one more at any time, whoever else was refused.
        let ending = aside(&table, |table| (start_and_end(table), start_and_end(table)));
        assert!(start_and_end(&table));
        assert_eq!(ending.join().unwrap(), (true, true));
        assert_eq!((table.len(), table.all().len()), (0, 0));
    });
}

#[test]
fn refusals_cost_no_room() {
    model(2, || {
        let table = table(1);
        let other = aside(&table, start_and_end);
        start_and_end(&table);
        other.join().unwrap();
        assert!(start_and_end(&table));
    });
}

#[test]
fn the_count_is_never_below_zero() {
    model(3, || {
        let table = table(8);
        let other = aside(&table, |table| {
            start_and_end(table);
        });
        assert!(table.len() <= 1 && table.ordinary() <= 1);
        other.join().unwrap();
        assert_eq!(table.len(), 0);
    });
}

/// What stopping does: tells all to end until none is left, and answers their numbers. Who was told ends
/// when nobody else has to be told, so that some are late while others are still there.
fn stop(table: &Table) -> Vec<u64> {
    table.close();
    let mut seen = Seen::default();
    let mut told: Vec<Arc<Process>> = Vec::new();
    let mut ended = 0;
    loop {
        let changed = table.changed();
        let unseen = table.unseen(&mut seen);
        if table.ordinary() == 0 {
            return told.iter().map(|process| process.number).collect();
        }
        let is_new = !unseen.is_empty();
        told.extend(unseen);
        match told.get(ended) {
            Some(process) if !is_new => {
                table.remove(&**process);
                ended += 1;
            }
            Some(_) => {}
            None => changed.wait(),
        }
    }
}

/// Numbers up to that one are used up.
fn use_up(table: &Table, last: u64) {
    for _ in 0..last {
        assert!(start_and_end(table));
    }
}

#[test]
fn whoever_starts_before_the_table_closes_is_told_to_end_once() {
    model(3, || {
        let table = table(8);
        // So that the two that start lie in both parts.
        use_up(&table, FIRST_PAGE - 1);
        let starting = aside(&table, |table| [(); 2].map(|()| try_start_number(table)));
        let mut told = stop(&table);
        assert_eq!(table.ordinary(), 0);
        let started: Vec<u64> = starting.join().unwrap().into_iter().flatten().collect();
        told.sort_unstable();
        assert_eq!(told, started);
        assert!(table.all().is_empty());
        assert!(table.reserve().is_err());
    });
}

#[test]
fn stopping_is_woken_by_the_last_that_ends_by_itself() {
    model(4, || {
        let table = table(8);
        let process = start(&table);
        let ending = aside(&table, move |table| table.remove(&*process));
        table.close();
        loop {
            let changed = table.changed();
            if table.ordinary() == 0 {
                break;
            }
            changed.wait();
        }
        assert!(table.all().is_empty());
        ending.join().unwrap();
    });
}

#[test]
fn stopping_is_woken_by_the_last_that_is_set_apart() {
    model(4, || {
        let table = table(8);
        let process = start(&table);
        let keeping = aside(&table, move |table| table.set_apart(&*process));
        table.close();
        loop {
            let changed = table.changed();
            if table.ordinary() == 0 {
                break;
            }
            changed.wait();
        }
        keeping.join().unwrap();
        assert_eq!(table.all().len(), 1);
    });
}

#[test]
fn the_end_of_one_set_apart_hides_no_other() {
    model(4, || {
        let table = table(8);
        let _ordinary = start(&table);
        let apart = start(&table);
        table.set_apart(&*apart);
        table.close();
        let ending = aside(&table, move |table| table.remove(&*apart));
        assert!(table.ordinary() >= 1);
        ending.join().unwrap();
        assert_eq!(table.ordinary(), 1);
    });
}

#[test]
fn a_process_that_is_set_apart_while_it_ends_is_not_counted_on() {
    model(3, || {
        let table = table(8);
        let _ordinary = start(&table);
        let process = start(&table);
        table.close();
        let keeping = {
            let process = process.clone();
            aside(&table, move |table| table.set_apart(&*process))
        };
        let ending = aside(&table, move |table| table.remove(&*process));
        assert!(table.ordinary() >= 1);
        keeping.join().unwrap();
        ending.join().unwrap();
        assert_eq!((table.len(), table.ordinary()), (1, 1));
    });
}

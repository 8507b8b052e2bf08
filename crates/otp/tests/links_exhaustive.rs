//! Every way in which two processes can link, unlink, end and lose their connection.
//!
//! The worlds of two processes, with their signals under way on two ordered channels, are searched
//! breadth first: at each world either process may do any of its verbs (as long as the budget of
//! verbs lasts), either channel may deliver its first item, and the connection may break at any
//! place of either channel. Worlds that were seen are not searched again. A judge follows along
//! that knows of the machine only what it answers and what goes over the channels:
//!
//! - `J1` when nothing is under way, both are linked or neither is, and where the verbs since the
//!   last such moment decide which, it is that;
//! - `J2` an exit is seen only for a reason: the process linked since it last unlinked, or a `Link`
//!   came since, and not from one who had an `Unlink` still to see; and each reason serves once;
//! - `J3` who linked to one that is dead has seen an exit when nothing is under way;
//! - `J4` when nothing is under way there are no records but those of links.
//!
//! A world that offends is printed with the shortest way to it.

#![allow(clippy::disallowed_macros, reason = "a search says how far it went")]

mod support;

use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use purlin_otp::reason::{self, Reason};
use purlin_otp::relations::{Farewell, Info, Output, Relations};
use purlin_otp::signal::{Epoch, Signal, Target, refuse};
use purlin_term::{Pid, atom};
use support::{node, pid};

/// What goes over a channel, with what the judge knows of its sender.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Item {
    /// `seen` counts the `Unlink`s of the receiver that the sender had seen.
    Signal {
        signal: Signal,
        epoch: Epoch,
        seen: u8,
    },
    /// The connection broke; the receiver had sent this many `Unlink`s.
    Lost { epoch: Epoch, seen: u8 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Verb {
    Link,
    Unlink,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Verb(Verb),
    Die,
    Receive,
}

/// One process and what the judge knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Side {
    relations: Option<Relations>,
    inbox: VecDeque<Item>,
    /// `Unlink`s sent, and those of the other that were seen.
    unlinks: u8,
    seen: u8,
    /// An exit may be seen (`J2`).
    has_reason: bool,
    /// Its last `Unlink`, by number and connection, unless it linked since: a `Link` of one who had
    /// not seen it is no reason.
    bar: Option<(u8, Epoch)>,
    /// It linked after it last unlinked and has seen no exit since (`J3`).
    awaits_exit: bool,
    /// What it did since nothing was under way, and what it did last.
    last: Option<Verb>,
    has_linked: bool,
    has_unlinked: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    sides: [Side; 2],
    epoch: Epoch,
    verbs_left: u8,
    deaths_left: u8,
    breaks_left: u8,
    /// Whether the connection broke since nothing was under way.
    was_broken: bool,
    was_linked: bool,
}

/// How a world was reached, the last step first.
struct Trace {
    step: String,
    before: Option<Rc<Trace>>,
}

#[derive(Clone, Copy)]
struct Budget {
    verbs: u8,
    deaths: u8,
    breaks: u8,
    traps: [bool; 2],
}

impl Item {
    fn epoch(&self) -> Epoch {
        match self {
            Self::Signal { epoch, .. } | Self::Lost { epoch, .. } => *epoch,
        }
    }
}

fn pids() -> [Pid; 2] {
    [pid(node("a@links"), 1), pid(node("b@links"), 2)]
}

impl World {
    fn new(budget: Budget) -> Self {
        let side = |n: usize| {
            let mut relations = Relations::new(pids()[n]);
            relations.set_trap_exit(budget.traps[n]);
            Side {
                relations: Some(relations),
                inbox: VecDeque::new(),
                unlinks: 0,
                seen: 0,
                has_reason: false,
                bar: None,
                awaits_exit: false,
                last: None,
                has_linked: false,
                has_unlinked: false,
            }
        };
        Self {
            sides: [side(0), side(1)],
            epoch: Epoch(1),
            verbs_left: budget.verbs,
            deaths_left: budget.deaths,
            breaks_left: budget.breaks,
            was_broken: false,
            was_linked: false,
        }
    }

    /// Every world one step away.
    fn successors(&self) -> Vec<(String, Result<World, String>)> {
        let mut found = Vec::new();
        for who in 0..2 {
            for act in self.acts(who) {
                let mut next = self.clone();
                let verdict = next.act(who, act).and_then(|()| next.settle());
                let first = self.sides[who].inbox.front();
                let what = match act {
                    Act::Receive => format!("{who} receives {first:?}"),
                    _ => format!("{who} {act:?}"),
                };
                found.push((what, verdict.map(|()| next)));
            }
        }
        if self.breaks_left > 0 {
            self.breaks(&mut found);
        }
        found
    }

    fn acts(&self, who: usize) -> Vec<Act> {
        let side = &self.sides[who];
        let mut acts = Vec::new();
        if side.relations.is_some() {
            if self.verbs_left > 0 {
                acts.extend([Act::Verb(Verb::Link), Act::Verb(Verb::Unlink)]);
            }
            if self.deaths_left > 0 {
                acts.push(Act::Die);
            }
        }
        if !side.inbox.is_empty() {
            acts.push(Act::Receive);
        }
        acts
    }

    fn act(&mut self, who: usize, act: Act) -> Result<(), String> {
        match act {
            Act::Verb(verb) => {
                self.verbs_left -= 1;
                self.verb(who, verb);
                Ok(())
            }
            Act::Die => {
                self.deaths_left -= 1;
                self.die(who, reason_of_death());
                Ok(())
            }
            Act::Receive => self.receive(who),
        }
    }

    fn verb(&mut self, who: usize, verb: Verb) {
        let (other, epoch) = (pids()[1 - who], self.epoch);
        let side = &mut self.sides[who];
        let relations = side.relations.as_mut().unwrap();
        let mut out = Vec::new();
        side.last = Some(verb);
        match verb {
            Verb::Link => {
                relations.link(other, epoch, &mut out);
                side.has_linked = true;
                side.has_reason = true;
                side.bar = None;
                side.awaits_exit = true;
            }
            Verb::Unlink => {
                relations.unlink(other, epoch, &mut out);
                assert!(!relations.is_linked(other));
                if !out.is_empty() {
                    side.unlinks += 1;
                    side.bar = Some((side.unlinks, epoch));
                }
                side.has_reason = false;
                side.awaits_exit = false;
                side.has_unlinked = true;
            }
        }
        for output in out {
            let Output::Send { to, signal } = output else {
                panic!("a verb only sends: {output:?}");
            };
            self.send(who, &to, signal, epoch);
        }
    }

    /// What was meant for a connection that is gone is lost.
    fn send(&mut self, from: usize, to: &Target, signal: Signal, epoch: Epoch) {
        assert_eq!(*to, Target::Pid(pids()[1 - from]));
        if epoch != self.epoch {
            return;
        }
        let seen = self.sides[from].seen;
        let item = Item::Signal {
            signal,
            epoch,
            seen,
        };
        self.sides[1 - from].inbox.push_back(item);
    }

    fn die(&mut self, who: usize, reason: Reason) {
        let relations = self.sides[who].relations.take().unwrap();
        self.sides[who].has_reason = false;
        self.sides[who].awaits_exit = false;
        for farewell in relations.exit(reason) {
            match farewell {
                Farewell::Send { to, signal } => self.send(who, &to, signal, self.epoch),
                Farewell::Orphan { .. } => panic!("nobody was asked for"),
            }
        }
    }

    fn receive(&mut self, who: usize) -> Result<(), String> {
        let item = self.sides[who].inbox.pop_front().unwrap();
        let other = pids()[1 - who];
        let side = &mut self.sides[who];
        let mut out = Vec::new();
        let over = item.epoch();
        match item {
            Item::Lost { epoch, seen } => {
                side.seen = side.seen.max(seen);
                side.bar = side.bar.filter(|(_, over)| *over > epoch);
                if let Some(relations) = &mut side.relations {
                    relations.handle_connection_lost(other.node, epoch, &mut out);
                }
            }
            Item::Signal {
                signal,
                epoch,
                seen,
            } => {
                match &signal {
                    Signal::Unlink { .. } => side.seen += 1,
                    Signal::Link { .. } if side.bar.is_none_or(|(last, _)| seen >= last) => {
                        side.has_reason = true;
                    }
                    _ => {}
                }
                match &mut side.relations {
                    Some(relations) => relations.handle_signal(signal, epoch, &mut out),
                    None => {
                        let me = Target::Pid(pids()[who]);
                        for (to, answer) in refuse(&me, &signal, &reason::noproc()) {
                            self.send(who, &Target::Pid(to), answer, epoch);
                        }
                    }
                }
            }
        }
        out.into_iter()
            .try_for_each(|output| self.carry_out(who, output, over))
    }

    fn carry_out(&mut self, who: usize, output: Output, over: Epoch) -> Result<(), String> {
        match output {
            Output::Send { to, signal } => self.send(who, &to, signal, over),
            Output::Deliver(Info::Exit { reason, .. }) => self.see_exit(who, &reason)?,
            Output::Terminate(reason) => {
                self.see_exit(who, &reason)?;
                self.die(who, reason);
            }
            Output::Deliver(other) => return Err(format!("{other:?} was delivered")),
        }
        Ok(())
    }

    /// `J2`.
    fn see_exit(&mut self, who: usize, reason: &Reason) -> Result<(), String> {
        let side = &mut self.sides[who];
        side.awaits_exit = false;
        let is_known = *reason == reason_of_death()
            || reason.is_atom("noproc")
            || (reason.is_atom("noconnection") && self.epoch > Epoch(1));
        match std::mem::take(&mut side.has_reason) && is_known {
            true => Ok(()),
            false => Err(format!("J2: {who} saw {reason:?} for no reason")),
        }
    }

    /// The connection breaks; of what it carries, any beginning has already arrived.
    fn breaks(&self, found: &mut Vec<(String, Result<World, String>)>) {
        let carried = [0, 1].map(|who: usize| self.first_carried(who));
        for kept in carried[0]..=self.sides[0].inbox.len() {
            for also_kept in carried[1]..=self.sides[1].inbox.len() {
                let mut next = self.clone();
                next.breaks_left -= 1;
                next.was_broken = true;
                for (who, kept) in [(0, kept), (1, also_kept)] {
                    let (epoch, seen) = (self.epoch, self.sides[1 - who].unlinks);
                    let inbox = &mut next.sides[who].inbox;
                    inbox.truncate(kept);
                    inbox.push_back(Item::Lost { epoch, seen });
                }
                next.epoch = Epoch(self.epoch.0 + 1);
                found.push((format!("breaks after {kept} and {also_kept}"), Ok(next)));
            }
        }
    }

    /// The place of the first item that this connection, and not an earlier one, carries.
    fn first_carried(&self, who: usize) -> usize {
        let inbox = &self.sides[who].inbox;
        let lost = inbox
            .iter()
            .rposition(|item| matches!(item, Item::Lost { .. }));
        lost.map_or(0, |at| at + 1)
    }

    /// When nothing is under way: `J1`, `J3`, `J4`.
    fn settle(&mut self) -> Result<(), String> {
        if self.sides.iter().any(|side| !side.inbox.is_empty()) {
            return Ok(());
        }
        let linked = [0, 1].map(|who: usize| {
            let relations = self.sides[who].relations.as_ref();
            relations.map(|relations| relations.is_linked(pids()[1 - who]))
        });
        for who in 0..2 {
            self.check_records(who)?;
            self.check_dead(who, linked)?;
        }
        if let [Some(one), Some(other)] = linked {
            if one != other {
                return Err(format!("J1: linked are {one} and {other}"));
            }
            if self.decided().is_some_and(|decided| decided != one) {
                return Err(format!("J1: linked is {one}"));
            }
            self.was_linked = one;
        }
        self.was_broken = false;
        for (side, linked) in self.sides.iter_mut().zip(linked) {
            side.has_reason = linked == Some(true);
            side.awaits_exit = linked == Some(true);
            side.last = None;
            side.has_linked = false;
            side.has_unlinked = false;
        }
        Ok(())
    }

    /// `J4`.
    fn check_records(&self, who: usize) -> Result<(), String> {
        let Some(relations) = &self.sides[who].relations else {
            return Ok(());
        };
        match relations.held_by_others() == relations.links().count() {
            true => Ok(()),
            false => Err(format!("J4: {who} keeps {relations:?}")),
        }
    }

    /// `J1` and `J3` where the other is dead.
    fn check_dead(&self, who: usize, linked: [Option<bool>; 2]) -> Result<(), String> {
        if linked[1 - who].is_some() {
            return Ok(());
        }
        if linked[who] == Some(true) {
            return Err(format!("J1: {who} is linked to the dead"));
        }
        // The dead may have unlinked before it died.
        if self.sides[who].awaits_exit && !self.sides[1 - who].has_unlinked {
            return Err(format!("J3: {who} has seen no exit"));
        }
        Ok(())
    }

    /// What the verbs since nothing was under way decide: the last, where only one process did
    /// any, or all, where they are the same.
    ///
    /// Two last verbs that are the same decide nothing: an unlink without a link says nothing, and
    /// a `Link` may still come.
    fn decided(&self) -> Option<bool> {
        if self.was_broken {
            return None;
        }
        let (one, other) = (&self.sides[0], &self.sides[1]);
        let is_link = |verb: Verb| verb == Verb::Link;
        match (one.last, other.last) {
            (None, None) => Some(self.was_linked),
            (Some(verb), None) | (None, Some(verb)) => Some(is_link(verb)),
            _ if !one.has_unlinked && !other.has_unlinked => Some(true),
            _ if !one.has_linked && !other.has_linked => Some(false),
            _ => None,
        }
    }

    /// Two hashes of 64 bits: among millions of worlds the odds of a collision are below 10^-24.
    fn fingerprint(&self) -> u128 {
        let hash = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (salt, self).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        hash(0) << 64 | hash(1)
    }
}

fn reason_of_death() -> Reason {
    Reason::new(atom!("bye").into())
}

/// Searches every world; answers how many there are and how many of them are at rest.
fn search(budget: Budget) -> (usize, usize) {
    let first = World::new(budget);
    let mut seen = BTreeSet::from([first.fingerprint()]);
    let mut next = VecDeque::from([(first, None::<Rc<Trace>>)]);
    let mut at_rest = 0;
    while let Some((world, trace)) = next.pop_front() {
        at_rest += usize::from(world.sides.iter().all(|side| side.inbox.is_empty()));
        for (step, verdict) in world.successors() {
            let before = trace.clone();
            let trace = Rc::new(Trace { step, before });
            match verdict {
                Ok(world) if seen.insert(world.fingerprint()) => {
                    next.push_back((world, Some(trace)));
                }
                Ok(_) => {}
                Err(offence) => panic!("{offence}, after:\n{}", trace.told()),
            }
        }
    }
    (seen.len(), at_rest)
}

impl Trace {
    fn told(&self) -> String {
        let before = self.before.as_ref().map(|before| before.told());
        format!("{}  {}\n", before.unwrap_or_default(), self.step)
    }
}

fn report(what: &str, budget: Budget) {
    let (worlds, at_rest) = search(budget);
    println!("{what}: {worlds} worlds, {at_rest} of them at rest");
    // A search that ended early would prove nothing.
    assert!(at_rest > 10 && worlds > 10 * at_rest, "{worlds}, {at_rest}");
}

const TRAPPING: Budget = Budget {
    verbs: 8,
    deaths: 2,
    breaks: 0,
    traps: [true, true],
};

#[test]
fn two_processes_that_trap_exits_agree_whatever_the_order() {
    report("eight verbs, two deaths", TRAPPING);
}

#[test]
fn a_process_that_does_not_trap_ends_once_and_tells_the_other() {
    let traps = [true, false];
    report("one traps", Budget { traps, ..TRAPPING });
}

#[test]
fn two_processes_agree_whatever_the_order_in_which_connections_break() {
    let twice = Budget {
        verbs: 4,
        deaths: 1,
        breaks: 2,
        ..TRAPPING
    };
    report("four verbs, one death, two broken connections", twice);
    let once = Budget {
        verbs: 5,
        breaks: 1,
        ..twice
    };
    report("five verbs, one death, one broken connection", once);
}

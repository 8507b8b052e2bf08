//! Links and monitors: each fires exactly once when its target or the connection ended, with the
//! right reason, and not at all while both live.
//!
//! Source: the OTP reference manual, "Processes", links and monitors, and `docs/SEMANTICS.md`.
//!
//! - safety: nothing fires twice, or that nobody set, or that was taken back, or with the reason of an end
//!   that was not;
//! - convergence: what should have fired has, and `noconnection` had a lost connection.
//!
//! Of a process that was killed from elsewhere nobody knows whether it has ended, until one is told.

use std::collections::{BTreeMap, BTreeSet};

use purlin_node::{NodeName, Pid, Reference, Term};

use super::{Judge, Lives, Observation};

/// One watch of a process over another: a monitor, or one end of a link.
struct Watch {
    watcher: Pid,
    watched: Pid,
    is_connected: bool,
    /// Connections to the watched node that had ended when it was set, as the watcher knew, and as
    /// all processes of its node did.
    downs: u64,
    downs_around: u64,
    fired: Option<Term>,
    is_taken_back: bool,
}

/// Ties that a process asked for together with another process.
struct Wanted {
    by: Pid,
    link: bool,
    monitor: bool,
    downs: u64,
    downs_around: u64,
}

/// Holds links and monitors to firing once, when they must and only then.
#[derive(Default)]
pub struct Endings {
    lives: Lives,
    monitors: BTreeMap<Reference, Watch>,
    links: BTreeMap<(Pid, Pid), Watch>,
    /// Exits that came to the other end of a link than the one that made it.
    far_exits: BTreeMap<(Pid, Pid), Term>,
    wanted: BTreeMap<u64, Wanted>,
    tokens: BTreeMap<Reference, u64>,
    /// Children that were to be linked, and to whom: also when that one ended before the reply.
    children: BTreeSet<(Pid, Pid)>,
}

impl Endings {
    fn watch(&self, watcher: Pid, watched: Pid, is_connected: bool) -> Watch {
        Watch {
            watcher,
            watched,
            is_connected,
            downs: self.lives.node_downs(watcher, watched.node),
            downs_around: self.lives.node_downs_around(watcher, watched.node),
            fired: None,
            is_taken_back: false,
        }
    }

    fn wants(&self, by: Pid, to: NodeName, link: bool, monitor: bool) -> Wanted {
        Wanted {
            by,
            link,
            monitor,
            downs: self.lives.node_downs(by, to),
            downs_around: self.lives.node_downs_around(by, to),
        }
    }

    /// The ties that were asked for are there from the reply on.
    fn spawned(&mut self, reference: Reference, pid: Pid) {
        let token = self.tokens.get(&reference);
        let Some(wanted) = token.and_then(|token| self.wanted.get(token)) else {
            return;
        };
        let watch = || Watch {
            watcher: wanted.by,
            watched: pid,
            is_connected: true,
            downs: wanted.downs,
            downs_around: wanted.downs_around,
            fired: None,
            is_taken_back: false,
        };
        if wanted.link {
            self.links.insert((wanted.by, pid), watch());
        }
        if wanted.monitor {
            self.monitors.insert(reference, watch());
        }
    }

    fn down(&mut self, watched: Pid, reference: &Reference, reason: &Term) -> Result<(), String> {
        let Some(watch) = self.monitors.get_mut(reference) else {
            return Err(format!("a DOWN of {reference}, which nobody set: {reason}"));
        };
        watch.fire("DOWN", reason)?;
        if watch.watched != watched {
            let meant = watch.watched;
            return Err(format!(
                "a DOWN of {reference} names {watched} instead of {meant}"
            ));
        }
        self.lives.explains(watch.watcher, watched, reason)
    }

    fn exit(&mut self, at: Pid, from: Pid, reason: &Term) -> Result<(), String> {
        if let Some(watch) = self.links.get_mut(&(at, from)) {
            watch.fire("EXIT", reason)?;
        } else if self.links.contains_key(&(from, at)) || self.children.contains(&(from, at)) {
            let link = self.links.get(&(from, at));
            if link.is_some_and(|link| link.is_taken_back) && !reason.is_atom("noconnection") {
                return Err(format!(
                    "{at} got an EXIT of {from}, which had unlinked it: {reason}"
                ));
            }
            if let Some(before) = self.far_exits.insert((at, from), reason.clone()) {
                return Err(format!(
                    "{at} got an EXIT of {from} twice: {before}, then {reason}"
                ));
            }
        } else {
            return Err(format!(
                "{at} got an EXIT of {from}, to which it is not linked: {reason}"
            ));
        }
        self.lives.explains(at, from, reason)
    }
}

impl Endings {
    /// One who is told of a killed process tells all that it has ended.
    fn note_killed(&mut self, pid: Pid, reason: &Term) {
        if self.lives.is_doomed(pid) && reason.is_atom("killed") {
            self.lives.note_killed(pid, reason);
        }
    }
}

impl Watch {
    fn fire(&mut self, what: &str, reason: &Term) -> Result<(), String> {
        let (watcher, watched) = (self.watcher, self.watched);
        if self.is_taken_back {
            return Err(format!(
                "{watcher} got a {what} of {watched}, which it had taken back: {reason}"
            ));
        }
        match self.fired.replace(reason.clone()) {
            None => Ok(()),
            Some(before) => Err(format!(
                "{watcher} got a {what} of {watched} twice: {before}, then {reason}"
            )),
        }
    }

    fn has_lost_connection(&self, lives: &Lives) -> bool {
        lives.node_downs(self.watcher, self.watched.node) > self.downs
    }

    /// Without a connection one was dialled, and nobody is told how that went.
    fn may_be_without_connection(&self, lives: &Lives) -> bool {
        !self.is_connected || self.has_lost_connection(lives)
    }

    /// What is wrong with this watch, now that all is at rest.
    fn failure(&self, what: &str, lives: &Lives) -> Option<String> {
        let (watcher, watched) = (self.watcher, self.watched);
        let has_lost = self.has_lost_connection(lives);
        let is_excused = self.may_be_without_connection(lives);
        match &self.fired {
            Some(reason) if reason.is_atom("noconnection") && !is_excused => Some(format!(
                "{watcher} got a {what} of {watched} for noconnection, and none was lost"
            )),
            Some(_) => None,
            None if self.is_taken_back || !lives.is_alive(watcher) => None,
            None if !has_lost && lives.is_unborn(watched) => None,
            None if has_lost || !lives.is_alive(watched) => Some(format!(
                "{watcher} never got the {what} of {watched}, which {}",
                if has_lost {
                    "lost its connection"
                } else {
                    "has ended"
                }
            )),
            None => None,
        }
    }

    /// What is wrong at the other end of a link: who made it ended, and nothing came between.
    fn far_failure(&self, lives: &Lives, came: Option<&Term>) -> Option<String> {
        let (maker, far) = (self.watcher, self.watched);
        let has_lost = !self.is_connected
            || lives.is_gone(maker)
            || lives.node_downs_around(maker, far.node) > self.downs_around;
        let far_lives = lives.is_alive(far) && !lives.is_doomed(far) && !lives.is_unborn(far);
        let is_due = lives.ended.contains_key(&maker) && far_lives && !has_lost;
        (is_due && !self.is_taken_back && self.fired.is_none() && came.is_none())
            .then(|| format!("{far} never got the EXIT of {maker}, which has ended"))
    }
}

impl Lives {
    /// Whether something that happened to `watched` explains that `watcher` hears this reason.
    fn explains(&self, watcher: Pid, watched: Pid, reason: &Term) -> Result<(), String> {
        let wrong = |why: &str| Err(format!("{watcher} heard {reason} of {watched}, {why}"));
        let is_here = |node: NodeName| node == watcher.node;
        if reason.is_atom("noconnection") {
            return match is_here(watched.node) {
                true => wrong("which is on its own node"),
                false => Ok(()),
            };
        }
        if self.is_doomed(watched) && (reason.is_atom("killed") || reason.is_atom("noproc")) {
            return Ok(());
        }
        // Its function may not be exported yet.
        if self.is_unborn(watched) && reason.as_tuple().is_some_and(|it| it[0].is_atom("undef")) {
            return Ok(());
        }
        match self.ended.get(&watched) {
            Some(ended) if ended == reason || reason.is_atom("noproc") => Ok(()),
            Some(ended) => wrong(&format!("which ended with {ended}")),
            None if reason.is_atom("noproc") && self.is_gone(watched) => Ok(()),
            None => wrong("which has not ended"),
        }
    }
}

impl Judge for Endings {
    fn name(&self) -> &'static str {
        "links and monitors"
    }

    fn observe(&mut self, observation: &Observation) -> Result<(), String> {
        self.lives.observe(observation);
        match observation {
            Observation::Monitoring {
                watcher,
                watched,
                reference,
                is_connected,
            } => {
                let watch = self.watch(*watcher, *watched, *is_connected);
                self.monitors.insert(*reference, watch);
                Ok(())
            }
            Observation::Linking {
                from,
                to,
                is_connected,
            } => {
                let watch = self.watch(*from, *to, *is_connected);
                self.links.insert((*from, *to), watch);
                Ok(())
            }
            Observation::Demonitoring { reference, .. } => {
                if let Some(watch) = self.monitors.get_mut(reference) {
                    watch.is_taken_back = true;
                }
                Ok(())
            }
            Observation::Unlinking { from, to } => {
                if let Some(watch) = self.links.get_mut(&(*from, *to)) {
                    watch.is_taken_back = true;
                }
                Ok(())
            }
            Observation::Asking {
                by,
                to,
                token,
                link,
                monitor,
            } => {
                let wanted = self.wants(*by, *to, *link, *monitor);
                self.wanted.insert(*token, wanted);
                Ok(())
            }
            Observation::Asked {
                token,
                reference: Some(reference),
                ..
            } => {
                self.tokens.insert(*reference, *token);
                Ok(())
            }
            Observation::Born { pid, token } => {
                if let Some(wanted) = self.wanted.get(token).filter(|wanted| wanted.link) {
                    self.children.insert((wanted.by, *pid));
                }
                Ok(())
            }
            Observation::Spawned { reference, pid, .. } => {
                self.spawned(*reference, *pid);
                Ok(())
            }
            Observation::Down {
                watched,
                reference,
                reason,
                ..
            } => {
                let heard = self.down(*watched, reference, reason);
                self.note_killed(*watched, reason);
                heard
            }
            Observation::Exit { at, from, reason } => {
                let heard = self.exit(*at, *from, reason);
                self.note_killed(*from, reason);
                heard
            }
            _ => Ok(()),
        }
    }

    fn converge(&mut self) -> Vec<String> {
        let lives = &self.lives;
        let monitors = self.monitors.values();
        let monitors = monitors.filter_map(|watch| watch.failure("DOWN", lives));
        let links = self.links.values();
        let links = links.filter_map(|watch| watch.failure("EXIT", lives));
        let far = self.links.values().filter_map(|watch| {
            let came = self.far_exits.get(&(watch.watched, watch.watcher));
            watch.far_failure(lives, came)
        });
        monitors.chain(links).chain(far).collect()
    }
}

#[cfg(test)]
mod tests {
    use purlin_node::{Atom, atom};

    use super::*;

    fn pid(name: &str, id: u32) -> Pid {
        let node = NodeName::new(Atom::new(name).unwrap()).unwrap();
        let (creation, serial) = (1, 0);
        Pid {
            node,
            creation,
            id,
            serial,
        }
    }

    fn parties() -> (Pid, Pid, Reference) {
        let watcher = pid("a@endings", 1);
        let reference = Reference::new(watcher.node, 1, &[1, 2, 3]).unwrap();
        (watcher, pid("b@endings", 2), reference)
    }

    fn watching() -> Endings {
        let (watcher, watched, reference) = parties();
        let mut judge = Endings::default();
        let is_connected = true;
        let monitor = Observation::Monitoring {
            watcher,
            watched,
            reference,
            is_connected,
        };
        judge.observe(&monitor).unwrap();
        let (from, to) = (watcher, watched);
        judge
            .observe(&Observation::Linking {
                from,
                to,
                is_connected,
            })
            .unwrap();
        judge
    }

    fn down(judge: &mut Endings, reason: &Term) -> Result<(), String> {
        let (watcher, watched, reference) = parties();
        let reason = reason.clone();
        judge.observe(&Observation::Down {
            watcher,
            watched,
            reference,
            reason,
        })
    }

    fn exit(judge: &mut Endings, reason: &Term) -> Result<(), String> {
        let (at, from, _) = parties();
        let reason = reason.clone();
        judge.observe(&Observation::Exit { at, from, reason })
    }

    #[test]
    fn an_end_is_told_once_and_with_its_reason() {
        let mut judge = watching();
        let reason = Term::from(atom!("bye"));
        assert!(down(&mut judge, &reason).is_err(), "it has not ended");
        let mut judge = watching();
        let pid = parties().1;
        judge
            .observe(&Observation::Ended {
                pid,
                reason: reason.clone(),
            })
            .unwrap();
        assert_eq!(judge.converge().len(), 2, "neither has come yet");
        assert!(down(&mut judge, &reason).is_ok() && exit(&mut judge, &reason).is_ok());
        assert_eq!(judge.converge(), Vec::<String>::new());
        assert!(down(&mut judge, &reason).is_err() && exit(&mut judge, &reason).is_err());
    }

    #[test]
    fn a_lost_connection_fires_and_needs_to_be_one() {
        let (at, watched, _) = parties();
        let reason = Term::from(atom!("noconnection"));
        let mut judge = watching();
        assert!(down(&mut judge, &reason).is_ok() && exit(&mut judge, &reason).is_ok());
        assert_eq!(judge.converge().len(), 2, "none was lost");
        let (node, connection) = (watched.node, Some(1));
        let down = Observation::NodeDown {
            at,
            node,
            connection,
        };
        judge.observe(&down).unwrap();
        assert_eq!(judge.converge(), Vec::<String>::new());
    }

    #[test]
    fn the_other_end_of_a_link_hears_of_the_end_too() {
        let (at, from, _) = (parties().1, parties().0, ());
        let mut judge = watching();
        let reason = Term::from(atom!("bye"));
        judge
            .observe(&Observation::Ended {
                pid: from,
                reason: reason.clone(),
            })
            .unwrap();
        assert_eq!(judge.converge().len(), 1);
        let exit = Observation::Exit { at, from, reason };
        judge.observe(&exit).unwrap();
        assert_eq!(judge.converge(), Vec::<String>::new());
        assert!(judge.observe(&exit).is_err());
    }

    #[test]
    fn what_was_taken_back_does_not_fire() {
        let mut judge = watching();
        let (from, to, reference) = parties();
        let (watcher, pid, reason) = (from, to, Term::from(atom!("bye")));
        let demonitoring = Observation::Demonitoring { watcher, reference };
        judge.observe(&demonitoring).unwrap();
        judge.observe(&Observation::Unlinking { from, to }).unwrap();
        let told = reason.clone();
        judge
            .observe(&Observation::Ended { pid, reason: told })
            .unwrap();
        assert_eq!(judge.converge(), Vec::<String>::new());
        assert!(down(&mut judge, &reason).is_err() && exit(&mut judge, &reason).is_err());
    }

    #[test]
    fn one_who_was_unlinked_does_not_hear_of_the_end() {
        let mut judge = watching();
        let (from, at, _) = parties();
        let (to, reason) = (at, Term::from(atom!("bye")));
        judge.observe(&Observation::Unlinking { from, to }).unwrap();
        let (pid, told) = (from, reason.clone());
        judge
            .observe(&Observation::Ended { pid, reason: told })
            .unwrap();
        assert_eq!(judge.converge(), Vec::<String>::new());
        let exit = Observation::Exit { at, from, reason };
        assert!(judge.observe(&exit).is_err());
    }

    #[test]
    fn a_process_that_was_killed_from_elsewhere_has_ended_once_one_is_told() {
        let (by, victim, reference) = parties();
        let killed = Term::from(atom!("killed"));
        let mut judge = watching();
        assert!(down(&mut judge, &killed).is_err(), "nobody killed it");
        let mut judge = watching();
        judge.observe(&Observation::Killing { by, victim }).unwrap();
        assert_eq!(judge.converge(), Vec::<String>::new(), "{reference}");
        down(&mut judge, &killed).unwrap();
        assert_eq!(judge.converge().len(), 1, "the link is to fire too");
    }
}

//! Registered names: one process has a name, and it is free again before anybody hears of its end.
//!
//! Source: OTP, `erlang:register/2`, and `docs/SEMANTICS.md`.
//!
//! - safety: a name is given only when nobody living has it, and refused only when somebody has; who asks
//!   is told of the process that has it, which has not ended as far as anybody was told.
//!
//! A process that was killed keeps its name until the signal has reached it. It is asked for no more than
//! that nobody was told of its end.

use std::collections::{BTreeMap, BTreeSet};

use purlin_node::{Atom, NodeName, Pid, Term};

use super::{Judge, Lives, Observation};

/// Holds nodes to who has a name.
#[derive(Default)]
pub struct Names {
    lives: Lives,
    /// The last one that a name was given to, by node, incarnation and name.
    holders: BTreeMap<(NodeName, u32, Atom), Pid>,
    /// Those of whose end somebody was told.
    told: BTreeSet<Pid>,
}

impl Names {
    fn told_of(&mut self, pid: Pid, reason: &Term) {
        if !reason.is_atom("noconnection") {
            self.told.insert(pid);
        }
    }

    fn has_certainly_ended(&self, pid: Pid) -> bool {
        let by_itself = self.lives.ended.contains_key(&pid) && !self.lives.is_doomed(pid);
        by_itself || self.told.contains(&pid)
    }

    fn lives_certainly(&self, pid: Pid) -> bool {
        self.lives.is_alive(pid) && !self.lives.is_doomed(pid)
    }

    fn given(&mut self, name: &Atom, to: Pid) -> Result<(), String> {
        let key = (to.node, to.creation, name.clone());
        match self.holders.insert(key, to) {
            Some(before) if self.lives_certainly(before) => {
                Err(format!("{to} is now {name}, which is the name of {before}"))
            }
            _ => Ok(()),
        }
    }

    fn refused(&self, name: &Atom, to: Pid) -> Result<(), String> {
        match self.holders.get(&(to.node, to.creation, name.clone())) {
            None => Err(format!("{to} cannot be {name}, which nobody is")),
            Some(holder) if self.has_certainly_ended(*holder) => Err(format!(
                "{to} cannot be {name}, the name of {holder}, which has ended"
            )),
            Some(_) => Ok(()),
        }
    }

    fn asked(&self, by: Pid, name: &Atom, answer: Option<Pid>) -> Result<(), String> {
        let holder = self
            .holders
            .get(&(by.node, by.creation, name.clone()))
            .copied();
        match answer {
            Some(found) if self.has_certainly_ended(found) => Err(format!(
                "{by} finds that {name} is {found}, which has ended"
            )),
            Some(found) if holder != Some(found) => Err(format!(
                "{by} finds that {name} is {found}, which never was"
            )),
            None => match holder.filter(|holder| self.lives_certainly(*holder)) {
                Some(holder) => Err(format!(
                    "{by} finds nobody of name {name}, which is {holder}"
                )),
                None => Ok(()),
            },
            Some(_) => Ok(()),
        }
    }
}

impl Judge for Names {
    fn name(&self) -> &'static str {
        "names"
    }

    fn observe(&mut self, observation: &Observation) -> Result<(), String> {
        self.lives.observe(observation);
        match observation {
            Observation::Down {
                watched, reason, ..
            } => self.told_of(*watched, reason),
            Observation::Exit { from, reason, .. } => self.told_of(*from, reason),
            Observation::Named {
                pid,
                name,
                is_given,
            } => {
                return match is_given {
                    true => self.given(name, *pid),
                    false => self.refused(name, *pid),
                };
            }
            Observation::NameAsked { by, name, holder } => return self.asked(*by, name, *holder),
            _ => {}
        }
        Ok(())
    }

    fn converge(&mut self) -> Vec<String> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use purlin_node::atom;

    use super::*;

    fn pid(id: u32) -> Pid {
        let node = NodeName::new(&atom!("a@names")).unwrap();
        let (creation, serial) = (1, 0);
        Pid {
            node,
            creation,
            id,
            serial,
        }
    }

    fn name(judge: &mut Names, id: u32, is_given: bool) -> Result<(), String> {
        let (pid, name) = (pid(id), atom!("boss"));
        judge.observe(&Observation::Named {
            pid,
            name,
            is_given,
        })
    }

    fn ask(judge: &mut Names, holder: Option<u32>) -> Result<(), String> {
        let (by, name, holder) = (pid(9), atom!("boss"), holder.map(pid));
        judge.observe(&Observation::NameAsked { by, name, holder })
    }

    fn end(judge: &mut Names, id: u32) {
        let (pid, reason) = (pid(id), atom!("bye").into());
        judge.observe(&Observation::Ended { pid, reason }).unwrap();
    }

    #[test]
    fn a_name_has_one_holder_while_it_lives() {
        let mut judge = Names::default();
        assert!(name(&mut judge, 1, false).is_err(), "nobody has it");
        assert!(name(&mut judge, 1, true).is_ok() && name(&mut judge, 2, false).is_ok());
        assert!(ask(&mut judge, Some(1)).is_ok());
        assert!(ask(&mut judge, None).is_err() && ask(&mut judge, Some(2)).is_err());
        assert!(name(&mut judge, 2, true).is_err(), "1 lives");
    }

    #[test]
    fn a_name_is_free_when_its_holder_has_ended() {
        let mut judge = Names::default();
        name(&mut judge, 1, true).unwrap();
        end(&mut judge, 1);
        assert!(ask(&mut judge, Some(1)).is_err() && name(&mut judge, 2, false).is_err());
        assert!(ask(&mut judge, None).is_ok() && name(&mut judge, 2, true).is_ok());
    }

    #[test]
    fn a_killed_holder_may_have_its_name_until_somebody_hears_of_its_end() {
        let mut judge = Names::default();
        name(&mut judge, 1, true).unwrap();
        let (by, victim) = (pid(9), pid(1));
        judge.observe(&Observation::Killing { by, victim }).unwrap();
        assert!(ask(&mut judge, Some(1)).is_ok() && ask(&mut judge, None).is_ok());
        let (at, from, reason) = (pid(9), pid(1), atom!("killed").into());
        judge
            .observe(&Observation::Exit { at, from, reason })
            .unwrap();
        assert!(ask(&mut judge, Some(1)).is_err());
    }
}

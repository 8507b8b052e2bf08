//! Names that two partitions both have, each for another process.
//!
//! The node with the lower name decides, once for each clash, by having the resolving function run
//! on the node of its own side's process (`global:resolve_it/4`). Clashes are resolved one after
//! the other, as in OTP, while the locks of the session are held.

use std::collections::VecDeque;
use std::time::Duration;

use purlin_term::{NodeName, Pid, Term, atom};

use super::limits::RESOLVE_WAIT;
use super::names::{Named, Op};
use super::{Global, Level, Output, wire};

/// The clashes of one session, and what was decided so far.
#[derive(Debug)]
pub(super) struct Resolution {
    node: NodeName,
    clashes: VecDeque<Clash>,
    ops: Vec<Op>,
    his_ops: Vec<Op>,
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Clash {
    his: Named,
    ours: Named,
}

#[derive(Debug)]
struct Waiting {
    token: u64,
    clash: Clash,
    until: Duration,
}

impl Global {
    /// Takes the answer to an [`Output::Resolve`]: what the function returned, or, where it could
    /// not be run, the reason in words.
    pub fn handle_resolution(&mut self, now: Duration, token: u64, result: Result<Term, String>) {
        let Some(resolution) = self.resolution.as_mut() else {
            return;
        };
        let Some(waiting) = resolution.waiting.take_if(|waiting| waiting.token == token) else {
            return;
        };
        self.decide(&waiting.clash, result);
        self.resolve_next(now);
    }

    /// Compares the names of another partition with ours.
    pub(super) fn resolve(&mut self, now: Duration, node: NodeName, his_names: Vec<Named>) {
        let mut resolution = Resolution {
            node,
            clashes: VecDeque::new(),
            ops: Vec::new(),
            his_ops: Vec::new(),
            waiting: None,
        };
        for his in his_names {
            match self.names.get(&his.name) {
                None => resolution.ops.push(Op::Insert(his)),
                Some(ours) if ours.pid != his.pid && self.me() < node => {
                    let ours = Named {
                        name: his.name.clone(),
                        pid: ours.pid,
                        method: ours.method.clone(),
                    };
                    resolution.clashes.push_back(Clash { his, ours });
                }
                // The same, or for the other node to resolve.
                Some(_) => {}
            }
        }
        self.resolution = Some(resolution);
        self.resolve_next(now);
    }

    fn resolve_next(&mut self, now: Duration) {
        while let Some(resolution) = self.resolution.as_mut() {
            let Some(clash) = resolution.clashes.pop_front() else {
                break;
            };
            let (his, ours) = (&clash.his, &clash.ours);
            let node = ours.pid.node;
            if node == self.config.locker.node {
                let (method, name) = (ours.method.clone(), ours.name.clone());
                let kept = self.resolve_here(&method, &name, his.pid, ours.pid);
                self.decide(&clash, Ok(kept));
                continue;
            }
            if !self.connected.contains(&node) {
                // It went while others were resolved: to ask it would connect it again.
                self.decide(&clash, Err("nodedown".to_owned()));
                continue;
            }
            let token = self.next_resolution;
            self.next_resolution += 1;
            let (method, name) = (ours.method.clone(), ours.name.clone());
            let arguments = [method, name, his.pid.into(), ours.pid.into()];
            let until = now + RESOLVE_WAIT;
            resolution.waiting = Some(Waiting {
                token,
                clash,
                until,
            });
            self.outbox.push_back(Output::Resolve {
                token,
                node,
                arguments,
            });
            return;
        }
        if let Some(done) = self.resolution.take() {
            self.resolution_done(now, done.node, done.ops, &done.his_ops);
        }
    }

    fn decide(&mut self, clash: &Clash, result: Result<Term, String>) {
        let Some(resolution) = self.resolution.as_mut() else {
            return;
        };
        let (his, ours) = (&clash.his, &clash.ours);
        match result {
            Ok(Term::Pid(pid)) if pid == his.pid => {
                resolution.ops.push(Op::Insert(his.clone()));
            }
            Ok(Term::Pid(pid)) if pid == ours.pid => {
                resolution.his_ops.push(Op::Insert(ours.clone()));
            }
            Ok(_) => {
                resolution.ops.push(Op::Delete(his.name.clone()));
                resolution.his_ops.push(Op::Delete(his.name.clone()));
            }
            Err(reason) => {
                resolution.ops.push(Op::Insert(his.clone()));
                let text = format!("global: no resolution of a name that clashes: {reason}");
                self.log(Level::Info, text);
            }
        }
    }

    /// `global`'s own resolving functions.
    pub(super) fn resolve_here(
        &mut self,
        method: &Term,
        name: &Term,
        first: Pid,
        second: Pid,
    ) -> Term {
        let function = match method {
            Term::Export(export) if export.module == "global" => export.function.as_str(),
            _ => "random_exit_name",
        };
        let (kept, lost) = if first.node < second.node {
            (first, second)
        } else {
            (second, first)
        };
        let conflict = |rest: Option<Pid>| {
            let parts = std::iter::once(name.clone()).chain(rest.map(Term::from));
            wire::tagged(atom!("global_name_conflict"), parts)
        };
        match function {
            "random_notify_name" => {
                let message = conflict(None);
                self.outbox.push_back(Output::SendPid { to: lost, message });
            }
            "notify_all_name" => {
                for (to, other) in [(first, second), (second, first)] {
                    let message = conflict(Some(other));
                    self.outbox.push_back(Output::SendPid { to, message });
                }
                return atom!("none").into();
            }
            _ => {
                self.log(Level::Info, format!("global: a name conflict ends {lost}"));
                self.outbox.push_back(Output::Kill(lost));
            }
        }
        kept.into()
    }

    pub(super) fn drop_resolution(&mut self, node: NodeName) {
        self.resolution
            .take_if(|resolution| resolution.node == node);
    }

    /// The node that was asked is gone, and nothing is taken to it from now on.
    pub(super) fn resolver_node_down(&mut self, now: Duration, node: NodeName) {
        self.give_up_waiting(now, "nodedown", |waiting| {
            waiting.clash.ours.pid.node == node
        });
    }

    pub(super) fn resolver_timeout(&mut self, now: Duration) {
        self.give_up_waiting(now, "timeout", |waiting| waiting.until <= now);
    }

    fn give_up_waiting(&mut self, now: Duration, reason: &str, matches: impl Fn(&Waiting) -> bool) {
        let waiting = self.resolution.as_ref().and_then(|r| r.waiting.as_ref());
        if let Some(token) = waiting.filter(|w| matches(w)).map(|w| w.token) {
            self.handle_resolution(now, token, Err(reason.to_owned()));
        }
    }

    pub(super) fn resolver_deadline(&self) -> Option<Duration> {
        let resolution = self.resolution.as_ref()?;
        resolution.waiting.as_ref().map(|waiting| waiting.until)
    }
}

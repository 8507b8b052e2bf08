//! Processes that are asked for on other nodes: each request has one reply, and nothing of the new process
//! comes before it.
//!
//! Source: OTP, `erlang:spawn_request/5`, and `docs/SEMANTICS.md`. The ties that are asked for with a process
//! are [`Endings`](super::Endings)' matter.
//!
//! - safety: a request starts one process at most, on the node that was asked, and none when it was not
//!   sent; the reply comes once and names that process; its first message comes after the reply;
//! - convergence: every request of a living process is answered, and `noconnection` had a lost connection.

use std::collections::BTreeMap;

use purlin_node::{Atom, NodeName, Pid, Reference};

use super::{Judge, Lives, Observation};

/// A request.
struct Request {
    by: Pid,
    to: NodeName,
    /// Connections to the node that had ended when it was made, as the asking process knew.
    downs: u64,
    /// `None` while it is being sent.
    is_sent: Option<bool>,
    born: Option<Pid>,
    reply: Option<Result<Pid, Atom>>,
    is_heard: bool,
}

/// Holds requests for processes to one reply and one process.
#[derive(Default)]
pub struct Spawns {
    lives: Lives,
    requests: BTreeMap<u64, Request>,
    tokens: BTreeMap<Reference, u64>,
}

/// A reply, in words.
fn said(reply: &Result<Pid, Atom>) -> String {
    match reply {
        Ok(pid) => pid.to_string(),
        Err(reason) => reason.to_string(),
    }
}

impl Request {
    fn born(&mut self, pid: Pid) -> Result<(), String> {
        if self.is_sent == Some(false) {
            return Err(format!(
                "{pid} runs, and {} was told that nothing was asked",
                self.by
            ));
        }
        if pid.node != self.to {
            return Err(format!("{pid} runs, and {} asked {}", self.by, self.to));
        }
        match self.born.replace(pid) {
            Some(before) => Err(format!(
                "{before} and {pid} run for one request of {}",
                self.by
            )),
            None => Ok(()),
        }
    }

    fn replied(&mut self, reply: Result<Pid, Atom>) -> Result<(), String> {
        let by = self.by;
        if let Some(before) = self.reply.replace(reply.clone()) {
            return Err(format!(
                "{by} got two replies: {}, then {}",
                said(&before),
                said(&reply)
            ));
        }
        match reply {
            Ok(pid) if pid.node != self.to || self.born.is_some_and(|born| born != pid) => Err(
                format!("{by} was told of {pid}, which is not what it asked for"),
            ),
            Err(reason) if reason != *"noconnection" => {
                Err(format!("{by} was refused a process: {reason}"))
            }
            _ => Ok(()),
        }
    }

    fn heard(&mut self, from: Pid) -> Result<(), String> {
        if self.born != Some(from) {
            return Err(format!("{} heard of {from}, which never ran", self.by));
        }
        if std::mem::replace(&mut self.is_heard, true) {
            return Err(format!("{} heard of {from} twice", self.by));
        }
        match self.reply {
            Some(_) => Ok(()),
            None => Err(format!(
                "{} heard of {from} before the reply to its request",
                self.by
            )),
        }
    }

    fn is_waiting(&self, lives: &Lives) -> bool {
        self.is_sent == Some(true) && self.reply.is_none() && lives.is_alive(self.by)
    }

    /// What is wrong with it, now that all is at rest.
    fn failure(&self, lives: &Lives) -> Option<String> {
        let (by, to) = (self.by, self.to);
        if self.is_waiting(lives) {
            return Some(format!("{by} never got a reply of {to}"));
        }
        let has_lost = lives.node_downs(by, to) > self.downs;
        let is_refused = matches!(self.reply, Some(Err(_)));
        (is_refused && !has_lost)
            .then(|| format!("{by} got noconnection for a reply of {to}, and none was lost"))
    }
}

impl Spawns {
    fn of(&mut self, reference: &Reference) -> Result<&mut Request, String> {
        let token = self.tokens.get(reference);
        let request = token.and_then(|token| self.requests.get_mut(token));
        request.ok_or_else(|| format!("a reply to {reference}, which nobody asked"))
    }

    fn named(&mut self, token: u64, pid: Pid) -> Result<&mut Request, String> {
        let request = self.requests.get_mut(&token);
        request.ok_or_else(|| format!("{pid} is process {token}, for which nobody asked"))
    }
}

impl Judge for Spawns {
    fn name(&self) -> &'static str {
        "spawns"
    }

    fn observe(&mut self, observation: &Observation) -> Result<(), String> {
        self.lives.observe(observation);
        match *observation {
            Observation::Asking { by, to, token, .. } => {
                let request = Request {
                    by,
                    to,
                    downs: self.lives.node_downs(by, to),
                    is_sent: None,
                    born: None,
                    reply: None,
                    is_heard: false,
                };
                self.requests.insert(token, request);
                Ok(())
            }
            Observation::Asked {
                by,
                token,
                reference,
            } => {
                let request = self.named(token, by)?;
                request.is_sent = Some(reference.is_some());
                let born = request.born;
                if let Some(reference) = reference {
                    self.tokens.insert(reference, token);
                }
                match born.filter(|_| reference.is_none()) {
                    Some(pid) => Err(format!(
                        "{by} was told that nothing was asked, and {pid} runs"
                    )),
                    None => Ok(()),
                }
            }
            Observation::Born { pid, token } => self.named(token, pid)?.born(pid),
            Observation::Heard { from, token, .. } => self.named(token, from)?.heard(from),
            Observation::Spawned { reference, pid, .. } => self.of(&reference)?.replied(Ok(pid)),
            Observation::SpawnFailed {
                reference,
                ref reason,
                ..
            } => self.of(&reference)?.replied(Err(reason.clone())),
            _ => Ok(()),
        }
    }

    fn is_waiting(&self) -> bool {
        let mut requests = self.requests.values();
        requests.any(|request| request.is_waiting(&self.lives))
    }

    fn converge(&mut self) -> Vec<String> {
        let requests = self.requests.values();
        requests
            .filter_map(|request| request.failure(&self.lives))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use purlin_node::atom;

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

    fn by() -> Pid {
        pid("a@spawns", 1)
    }

    fn child() -> Pid {
        pid("b@spawns", 2)
    }

    fn reference() -> Reference {
        Reference::new(by().node, 1, &[1, 2, 3]).unwrap()
    }

    fn asking() -> Spawns {
        let (by, to, token) = (by(), child().node, 7);
        let (link, monitor) = (true, false);
        let mut judge = Spawns::default();
        let asking = Observation::Asking {
            by,
            to,
            token,
            link,
            monitor,
        };
        judge.observe(&asking).unwrap();
        judge
    }

    fn asked(reference: Option<Reference>) -> Spawns {
        let (by, token) = (by(), 7);
        let mut judge = asking();
        let asked = Observation::Asked {
            by,
            token,
            reference,
        };
        judge.observe(&asked).unwrap();
        judge
    }

    fn born(judge: &mut Spawns, pid: Pid) -> Result<(), String> {
        judge.observe(&Observation::Born { pid, token: 7 })
    }

    fn heard(judge: &mut Spawns) -> Result<(), String> {
        let (by, from, token) = (by(), child(), 7);
        judge.observe(&Observation::Heard { by, from, token })
    }

    fn spawned(judge: &mut Spawns) -> Result<(), String> {
        let (by, reference, pid) = (by(), reference(), child());
        judge.observe(&Observation::Spawned { by, reference, pid })
    }

    #[test]
    fn a_request_has_one_process_one_reply_and_then_its_messages() {
        let mut judge = asked(Some(reference()));
        assert_eq!(judge.converge().len(), 1, "no reply yet");
        born(&mut judge, child()).unwrap();
        assert!(born(&mut judge, child()).is_err(), "a second one");
        spawned(&mut judge).unwrap();
        assert!(spawned(&mut judge).is_err(), "a second reply");
        heard(&mut judge).unwrap();
        assert_eq!(judge.converge(), Vec::<String>::new());
        assert!(heard(&mut judge).is_err(), "a second first message");
    }

    #[test]
    fn a_message_of_a_child_does_not_overtake_the_reply() {
        let mut judge = asked(Some(reference()));
        born(&mut judge, child()).unwrap();
        assert!(heard(&mut judge).is_err());
    }

    #[test]
    fn what_was_not_asked_does_not_run() {
        let mut judge = asked(None);
        assert!(born(&mut judge, child()).is_err());
        let mut judge = asking();
        assert!(
            born(&mut judge, pid("c@spawns", 1)).is_err(),
            "another node"
        );
    }

    #[test]
    fn a_failed_request_had_a_lost_connection() {
        let mut judge = asked(Some(reference()));
        let (by, reference, reason) = (by(), reference(), atom!("noconnection"));
        let failed = Observation::SpawnFailed {
            by,
            reference,
            reason,
        };
        judge.observe(&failed).unwrap();
        assert_eq!(judge.converge().len(), 1);
        let (at, node, connection) = (by, child().node, None);
        let down = Observation::NodeDown {
            at,
            node,
            connection,
        };
        judge.observe(&down).unwrap();
        assert_eq!(judge.converge(), Vec::<String>::new());
    }
}

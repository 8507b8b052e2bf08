//! Exit reasons that peers sent and that processes here have not received yet.
//!
//! Exit signals are never refused, as messages are, so what they carry needs a bound of its own. A
//! reason is shared by all who are told it; it counts for the peer as long as anybody waits with it in
//! a mailbox.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use purlin_runtime::{Reason, WeakReason};
use purlin_term::{EncodedTerm, NodeName, Term, atom};

use super::Node;
use crate::limits::{REASON_BYTES_MAX, REASON_BYTES_MIN};

/// Reasons that are noted before those that are gone are looked for. A guess, unmeasured.
const FIRST_SWEEP: usize = 64;

/// The reasons of each peer.
#[derive(Default)]
pub(super) struct HeldReasons(BTreeMap<NodeName, Held>);

/// The reasons of one peer, with their bytes.
#[derive(Default)]
struct Held {
    reasons: Vec<(WeakReason, usize)>,
    /// The bytes of all of them, of those too that are gone and not yet swept.
    bytes: usize,
    sweep_at: usize,
}

impl HeldReasons {
    /// The reason that a peer gave, or another one where it has given too many bytes.
    fn admit(&mut self, peer: NodeName, reason: Term, weight: usize) -> Reason {
        let held = self.0.entry(peer).or_default();
        if held.reasons.len() >= held.sweep_at || held.bytes + weight > REASON_BYTES_MAX {
            held.sweep();
        }
        if held.bytes + weight > REASON_BYTES_MAX && held.bytes > 0 {
            return Reason::new(atom!("system_limit").into());
        }
        let reason = Reason::new(reason);
        held.reasons.push((reason.downgrade(), weight));
        held.bytes += weight;
        reason
    }

    /// Forgets the peers that nothing is left of.
    fn sweep(&mut self) {
        self.0.values_mut().for_each(Held::sweep);
        self.0.retain(|_, held| !held.reasons.is_empty());
    }
}

impl Held {
    fn sweep(&mut self) {
        self.reasons.retain(|(reason, _)| reason.is_held());
        self.bytes = self.reasons.iter().map(|(_, weight)| weight).sum();
        self.sweep_at = FIRST_SWEEP.max(2 * self.reasons.len());
    }
}

impl Node {
    /// Decodes a reason that a peer gave. One that does not decode (a map with a key twice) is
    /// replaced, never lost.
    pub(super) fn decode_reason(&self, peer: NodeName, reason: &EncodedTerm) -> Reason {
        let undecodable = || atom!("undecodable_reason").into();
        let reason = reason.to_term().unwrap_or_else(|_| undecodable());
        let weight = weight_of(&reason);
        if weight < REASON_BYTES_MIN {
            return Reason::new(reason);
        }
        self.held_reasons().admit(peer, reason, weight)
    }

    /// A peer is gone: reasons that nobody waits with any more are forgotten.
    pub(super) fn sweep_reasons(&self) {
        self.held_reasons().sweep();
    }

    fn held_reasons(&self) -> std::sync::MutexGuard<'_, HeldReasons> {
        let held = self.0.held_reasons.lock();
        held.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of a decoded term, about.
fn weight_of(term: &Term) -> usize {
    let all = |terms: &[Term]| terms.iter().map(weight_of).sum::<usize>();
    let inside = match term {
        Term::Atom(atom) => atom.as_bytes().len(),
        Term::BigInt(number) => number.magnitude().len(),
        Term::Tuple(items) => all(items),
        Term::List(list) => match list.as_bytes() {
            Some(bytes) => bytes.len(),
            None => list.iter().map(weight_of).sum(),
        },
        Term::ImproperList(list) => all(list.items()) + weight_of(list.tail()),
        Term::Map(map) => {
            let pair = |(key, value): &(Term, Term)| weight_of(key) + weight_of(value);
            map.pairs().iter().map(pair).sum()
        }
        Term::Binary(binary) => binary.len(),
        Term::BitString(bits) => bits.bytes().len(),
        Term::Fun(fun) => 128 + all(&fun.free),
        Term::Reference(_) | Term::Export(_) => 64,
        _ => 0,
    };
    size_of::<Term>() + inside
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(name: &str) -> NodeName {
        NodeName::new(purlin_term::Atom::new(name).unwrap()).unwrap()
    }

    #[test]
    fn reasons_past_the_bound_are_replaced_until_the_held_ones_are_received() {
        let mut held = HeldReasons::default();
        let half = REASON_BYTES_MAX / 2;
        let first = held.admit(peer("a@reasons"), 1.into(), half);
        let second = held.admit(peer("a@reasons"), 2.into(), half);
        assert_eq!((&*first, &*second), (&1.into(), &2.into()));
        let refused = held.admit(peer("a@reasons"), 3.into(), 1);
        assert!(refused.is_atom("system_limit"));
        let of_another = held.admit(peer("b@reasons"), 4.into(), half);
        assert_eq!(*of_another, 4.into());
        drop(first);
        assert_eq!(*held.admit(peer("a@reasons"), 5.into(), half), 5.into());
        drop((second, of_another));
        held.sweep();
        assert!(held.0.is_empty());
    }

    #[test]
    fn a_single_reason_may_have_any_size() {
        let mut held = HeldReasons::default();
        let huge = held.admit(peer("c@reasons"), 1.into(), 2 * REASON_BYTES_MAX);
        assert_eq!(*huge, 1.into());
    }

    #[test]
    fn the_dead_do_not_add_up() {
        let mut held = HeldReasons::default();
        for n in 0..10_000 {
            drop(held.admit(peer("d@reasons"), n.into(), 1000));
        }
        assert!(held.0[&peer("d@reasons")].reasons.len() <= FIRST_SWEEP);
    }
}

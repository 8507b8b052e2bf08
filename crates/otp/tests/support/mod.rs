//! Names for the processes, references and nodes of tests.

#![allow(dead_code, reason = "each test uses some of it")]

pub(crate) mod reference_supervisor;
pub(crate) mod supervised;

use purlin_term::{Atom, NodeName, Pid, Reference};

pub(crate) fn node(name: &str) -> NodeName {
    NodeName::new(Atom::new(name).unwrap()).unwrap()
}

pub(crate) fn pid(node: NodeName, id: u32) -> Pid {
    Pid {
        node,
        creation: 1,
        id,
        serial: 0,
    }
}

pub(crate) fn reference(node: NodeName, number: u32) -> Reference {
    Reference::new(node, 1, &[number, 7, 7]).unwrap()
}

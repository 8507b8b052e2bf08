//! stub until merged
use crate::node::Node;
pub(crate) fn start(_node: &Node) {}

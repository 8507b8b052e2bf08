//! The table of node names with no room left. In a test binary of its own: the table is of the OS process.

use purlin_term::limits::NODE_NAMES_MAX;
use purlin_term::{Atom, NodeName, NodeNameRefused};

#[test]
fn with_no_room_left_a_literal_is_a_node_that_nobody_reaches_and_known_names_stay() {
    let known = NodeName::from("known@host");
    for n in 0..NODE_NAMES_MAX {
        let name = Atom::new(&format!("n{n}@host")).unwrap();
        if let Err(refused) = NodeName::new(name) {
            assert_eq!(refused, NodeNameRefused::TableFull);
            break;
        }
    }
    assert_eq!(NodeName::new("late@host"), Err(NodeNameRefused::TableFull));
    assert_eq!(NodeName::from("late@host").as_str(), "nonode@nohost");
    assert_eq!(NodeName::from("known@host"), known);
    assert_eq!(known.as_str(), "known@host");
}

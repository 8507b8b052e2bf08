//! Every term prints as a text that is read as an equal term, and no text makes the parser panic.

mod support;

use proptest::prelude::*;
use purlin_term::{Atom, NodeContext, NodeName, Term};

proptest! {
    #[test]
    fn what_is_printed_is_read_as_an_equal_term(term in support::readable_term()) {
        prop_assert_eq!(Term::parse(&term.to_string()), Ok(term));
    }

    #[test]
    fn what_is_printed_for_a_node_is_read_there(term in support::readable_term()) {
        let here = NodeContext {
            node: NodeName::new(Atom::new("a@h").unwrap()).unwrap(),
            creation: 1,
        };
        let text = term.display_at(here).to_string();
        prop_assert_eq!(Term::parse_at(&text, here), Ok(term));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*") {
        let _ = Term::parse(&text);
    }

    #[test]
    fn a_text_cut_or_changed_anywhere_is_read_or_refused(
        term in support::readable_term(),
        at in any::<prop::sample::Index>(),
        with in "[\\[\\]{}<>#'\"|,.:/~$%\\\\0-9a-zA-Z ]{0,2}",
    ) {
        let mut text: Vec<char> = term.to_string().chars().collect();
        let at = at.index(text.len());
        let cut: String = text[..at].iter().collect();
        let _ = Term::parse(&cut);
        text.splice(at..=at, with.chars());
        let changed: String = text.into_iter().collect();
        if let Ok(term) = Term::parse(&changed) {
            prop_assert_eq!(Term::parse(&term.to_string()), Ok(term));
        }
    }
}

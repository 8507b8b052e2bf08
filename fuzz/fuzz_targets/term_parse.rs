//! Any text is read or refused, without a panic; what is read prints as a text that is read as an
//! equal term. Sizes in the text claim 64 KiB at most: what they claim is printed and read again, at a hundred
//! times the cost here.

#![no_main]

use libfuzzer_sys::fuzz_target;
use purlin_term::{Limits, NodeContext, NodeName, Term};

fuzz_target!(|text: &str| {
    let here = NodeContext {
        node: NodeName::nonode(),
        creation: 0,
    };
    let _ = Term::parse_args(text, Some(here));
    let limits = Limits {
        inflated_max: 64 << 10,
        ..Limits::default()
    };
    let Ok(term) = Term::parse_with(text, Some(here), &limits) else {
        return;
    };
    let short = term.display_at(here).to_string();
    assert_eq!(Term::parse_at(&short, here).as_ref(), Ok(&term), "{short}");
    let full = term.to_string();
    assert_eq!(Term::parse(&full).as_ref(), Ok(&term), "{full}");
});

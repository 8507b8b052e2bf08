//! Any bytes as an external term: decoding never panics, and what it accepts survives encoding.
#![no_main]

use libfuzzer_sys::fuzz_target;
use purlin_term::{Limits, from_external, to_external};

fuzz_target!(|bytes: &[u8]| {
    // Small enough that one input stays quick, large enough for every tag.
    let limits = Limits {
        inflated_max: 1 << 20,
        elements_max: 1 << 18,
        ..Limits::default()
    };
    if let Ok(term) = from_external(bytes, &limits) {
        let encoded = to_external(&term);
        let again = from_external(&encoded, &Limits::default()).expect("our own encoding decodes");
        assert_eq!(again, term);
        assert_eq!(to_external(&again), encoded, "one term has one encoding");
    }
});

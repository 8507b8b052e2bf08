//! Any bytes as a compressed term: what inflates never exceeds its bound, whatever the bytes claim,
//! and what the term inside decodes to is what it decodes to uncompressed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use purlin_term::{Limits, from_external, inflate, to_external};

const INFLATED_MAX: usize = 64 << 10;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits {
        inflated_max: INFLATED_MAX,
        ..Limits::default()
    };
    let compressed = [&[131, 80][..], bytes].concat();
    let term = from_external(&compressed, &limits);
    let Ok((inflated, used)) = inflate(bytes, INFLATED_MAX) else {
        assert!(term.is_err(), "nothing inflates");
        return;
    };
    assert!(inflated.len() <= INFLATED_MAX && used <= bytes.len());
    let plain = from_external(&[&[131][..], &inflated].concat(), &limits);
    if used == bytes.len() {
        match (&term, &plain) {
            (Ok(term), Ok(plain)) => assert_eq!(term, plain),
            // Compressed terms do not nest, so what is inside may be one only to the plain decoder.
            (Err(_), _) if inflated.first() == Some(&80) => {}
            (term, plain) => assert_eq!(term.is_ok(), plain.is_ok()),
        }
    }
    if let Ok(term) = term {
        let again = from_external(&to_external(&term), &Limits::default());
        assert_eq!(again.expect("our own encoding decodes"), term);
    }
});

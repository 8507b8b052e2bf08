//! The same seed takes the same course in another process of the operating system.

use std::process::Command;

use purlin_sim::{Options, run_seed};

/// The hash of a seed's run in a process of its own.
fn hash_elsewhere(seed: u64) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_purlin-sim"));
    let output = command
        .args(["--hash", &seed.to_string()])
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_seed_takes_the_same_course_in_every_process() {
    let hashes: Vec<String> = (200..206).map(hash_elsewhere).collect();
    for (seed, hash) in (200..206).zip(&hashes) {
        let here = run_seed(seed, Options::default()).hash;
        assert_eq!(&format!("{here:016x}"), hash, "seed {seed}");
        assert_eq!(&hash_elsewhere(seed), hash, "seed {seed}");
    }
    let mut different = hashes.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), hashes.len(), "seeds differ");
}

#[test]
fn a_trace_changes_nothing() {
    let traced = Options::default().trace(Box::new(|_| {}));
    assert_eq!(run_seed(207, traced), run_seed(207, Options::default()));
}

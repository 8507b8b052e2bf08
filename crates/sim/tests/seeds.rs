//! The scenario, under a hundred seeds.

use std::ops::Range;
use std::thread;

use purlin_sim::{Options, run_seed};

fn have_no_failures(seeds: Range<u64>) {
    for seed in seeds {
        let outcome = run_seed(seed, Options::default());
        assert!(
            outcome.failures.is_empty(),
            "{}\nreplay it: {}",
            outcome.failures.join("\n"),
            outcome.replay()
        );
    }
}

/// On two threads, each with its worlds: they share nothing that a course depends on.
#[test]
fn a_hundred_seeds_have_no_failures() {
    thread::scope(|scope| {
        scope.spawn(|| have_no_failures(0..50));
        have_no_failures(50..100);
    });
}

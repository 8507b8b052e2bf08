//! The scenario, under a hundred seeds.

use purlin_sim::{Options, run_seed};

#[test]
fn a_hundred_seeds_have_no_failures() {
    for seed in 0..100 {
        let outcome = run_seed(seed, Options::default());
        assert!(
            outcome.failures.is_empty(),
            "{}\nreplay it: {}",
            outcome.failures.join("\n"),
            outcome.replay()
        );
    }
}

//! The judges find bugs that were made on purpose.

use purlin_node::PlantedBug;
use purlin_sim::{Options, Outcome, run_seed};

/// Seeds within which a bug is to be found.
const SEEDS: u64 = 1000;

/// The first seed that fails with this bug.
fn found(bug: PlantedBug) -> Outcome {
    let run = |seed| run_seed(seed, Options::default().plant(bug));
    let found = (0..SEEDS)
        .map(run)
        .find(|outcome| !outcome.failures.is_empty());
    let found = found.unwrap_or_else(|| panic!("{bug:?} was not found within {SEEDS} seeds"));
    println!("{bug:?}: seed {}: {:?}", found.seed, found.failures);
    found
}

#[test]
fn messages_that_change_places_are_found() {
    let failures = found(PlantedBug::Reordered).failures;
    let found = failures.iter().find(|failure| failure.contains(" after "));
    assert!(found.is_some_and(|failure| failure.starts_with("signal order")));
}

#[test]
fn a_lost_down_is_found() {
    let failures = found(PlantedBug::LostDown).failures;
    let never = |failure: &&String| failure.contains("never got the DOWN");
    let found = failures.iter().find(never);
    assert!(found.is_some_and(|failure| failure.starts_with("links and monitors")));
}

#[test]
fn an_exit_that_comes_twice_is_found() {
    let failures = found(PlantedBug::DoubleExit).failures;
    let twice = |failure: &&String| failure.contains("EXIT") && failure.contains("twice");
    let found = failures.iter().find(twice);
    assert!(found.is_some_and(|failure| failure.starts_with("links and monitors")));
}

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
    println!("{bug:?}: seed {}: {}", found.seed, found.failures[0]);
    found
}

/// Holds the judge of this name to finding the bug, with words that name it.
fn is_found(bug: PlantedBug, judge: &str, words: &[&str]) {
    let failures = found(bug).failures;
    let names_it = |failure: &&String| {
        failure.starts_with(judge) && words.iter().all(|word| failure.contains(word))
    };
    assert!(failures.iter().any(|failure| names_it(&failure)));
}

#[test]
fn messages_that_change_places_are_found() {
    is_found(PlantedBug::Reordered, "signal order", &[" after "]);
}

#[test]
fn a_lost_down_is_found() {
    let words = ["never got the DOWN"];
    is_found(PlantedBug::LostDown, "links and monitors", &words);
}

#[test]
fn an_exit_that_comes_twice_is_found() {
    let words = ["EXIT", "twice"];
    is_found(PlantedBug::DoubleExit, "links and monitors", &words);
}

#[test]
fn a_spawn_reply_that_comes_late_is_found() {
    let words = ["before the reply to its request"];
    is_found(PlantedBug::LateSpawnReply, "spawns", &words);
}

#[test]
fn a_lost_nodedown_is_found() {
    let words = ["asked what is connected"];
    is_found(PlantedBug::LostNodeDown, "nodes", &words);
}

#[test]
fn ties_that_outlive_their_connection_are_found() {
    let words = ["never got the", "which lost its connection"];
    is_found(PlantedBug::StaleTies, "links and monitors", &words);
}

#[test]
fn a_name_that_is_kept_by_the_dead_is_found() {
    is_found(PlantedBug::KeptName, "names", &["which has ended"]);
}

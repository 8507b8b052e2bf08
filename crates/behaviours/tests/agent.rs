//! Agents as programs know them.

mod support;

use std::time::Duration;

use purlin_behaviours::supervisor::one_for_one;
use purlin_behaviours::{Agent, CallError, GenServer, ServerOptions};
use purlin_runtime::SendError;
use purlin_term::atom;
use support::runtime;

/// A state that has no encoding and cannot be cloned.
struct Counter(u64);

#[tokio::test(start_paused = true)]
async fn functions_run_in_the_order_in_which_they_came() {
    let runtime = runtime();
    let agent = Agent::start(&runtime, Counter(2)).await.unwrap();
    agent.cast(|counter| counter.0 += 1).await.unwrap();
    agent.update(|counter| counter.0 *= 2).await.unwrap();
    assert_eq!(agent.get(|counter| counter.0).await.unwrap(), 6);
    let before = |counter: &mut Counter| std::mem::replace(&mut counter.0, 0);
    assert_eq!(agent.get_and_update(before).await.unwrap(), 6);
    agent.cast(|counter| counter.0 = 9).await.unwrap();
    agent.stop().await.unwrap();
    let gone = agent.get(|counter| counter.0).await;
    assert!(matches!(gone, Err(CallError::NoProcess)), "{gone:?}");
}

#[tokio::test(start_paused = true)]
async fn a_function_that_panics_ends_the_agent_and_its_asker_hears_why() {
    let runtime = runtime();
    let agent = Agent::start(&runtime, Counter(0)).await.unwrap();
    let failed = agent.update(|_| panic!("wrong")).await;
    let Err(CallError::Ended(reason)) = failed else {
        panic!("{failed:?}");
    };
    assert!(reason.to_string().contains("wrong"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_of_a_supervisor_is_asked_by_its_name_and_begins_anew() {
    let runtime = runtime();
    let supervisor = one_for_one().with(Agent::child("hits", || Counter(7)).registered("hits"));
    supervisor.start(&runtime).await.unwrap();
    let agent = Agent::<Counter>::named(&runtime, atom!("hits"));
    agent.update(|counter| counter.0 += 1).await.unwrap();
    assert_eq!(agent.get(|counter| counter.0).await.unwrap(), 8);
    assert!(agent.update(|_| panic!("wrong")).await.is_err());
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(agent.get(|counter| counter.0).await.unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn an_agent_of_another_type_is_not_asked() {
    let runtime = runtime();
    let options = ServerOptions::default().name(atom!("text"));
    let agent = Agent::start_with(&runtime, options, String::new());
    let agent = agent.await.unwrap();
    let wrong = Agent::<Counter>::named(&runtime, atom!("text"));
    let refused = wrong.get(|counter| counter.0).await;
    let refused_for_type = matches!(refused, Err(CallError::NotSent(SendError::Encode(_))));
    assert!(refused_for_type, "{refused:?}");
    assert!(agent.get(String::is_empty).await.unwrap());
    let nobody = Agent::<Counter>::named(&runtime, atom!("nobody"));
    let refused = nobody.get(|counter| counter.0).await;
    let has_no_name = matches!(
        refused,
        Err(CallError::NotSent(SendError::NotRegistered(_)))
    );
    assert!(has_no_name, "{refused:?}");
}

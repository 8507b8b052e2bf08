//! A whole application under the simulator, as its author would test it: a till on one machine, customers on
//! another, and a network between them that fails.

use std::time::Duration;

use purlin::behaviours::CallError;
use purlin::prelude::*;
use purlin_sim::{Config, Cut, Run, Sim, World};

#[derive(Default)]
struct Till(u64);

#[purlin::gen_server]
impl GenServer for Till {
    #[call]
    fn pay(&mut self, sum: u64) -> u64 {
        assert!(sum != 13, "bad money");
        self.0 += sum;
        self.0
    }
}

/// What a customer knows after paying ten times: what was taken for sure, and what may have been.
async fn shop(customer: Node, till: NodeName) -> (u64, u64) {
    let (mut sure, mut perhaps) = (0, 0);
    for _ in 0..10 {
        let paid = customer.call_timeout((atom!("till"), till), Pay(1), Duration::from_secs(2));
        match paid.await {
            Ok(_) => sure += 1,
            Err(CallError::TimedOut(_) | CallError::Disconnected(_)) => perhaps += 1,
            Err(_) => {}
        }
    }
    (sure, perhaps)
}

async fn a_bad_day(world: World) -> (u64, u64, u64) {
    let [north, south] = ["north", "south"].map(|name| world.machine(name));
    let till = north.start_node("till").await.unwrap();
    let customer = south.start_node("customer").await.unwrap();
    let tree = one_for_one().registered("till", Till::default);
    till.supervise(tree).await.unwrap();
    let shopping = tokio::join!(shop(customer, till.name()), async {
        world
            .sleep(Duration::from_millis(world.random().below(20)))
            .await;
        world.cut(&[&north], &[&south], Cut::Silent);
        world.sleep(Duration::from_secs(1)).await;
        world.heal();
    });
    let taken = till
        .call((atom!("till"), till.name()), Pay(0))
        .await
        .unwrap();
    (shopping.0.0, shopping.0.1, taken)
}

fn run(seed: u64) -> Run<(u64, u64, u64)> {
    Sim::new(Config::new(seed)).run(a_bad_day)
}

#[test]
fn money_is_taken_once_or_the_customer_knows_that_it_may_have_been() {
    for seed in 0..50 {
        let (sure, perhaps, taken) = run(seed).output.expect("the day ends");
        assert!(
            sure <= taken && taken <= sure + perhaps,
            "seed {seed}: {sure} {perhaps} {taken}"
        );
    }
}

#[test]
fn a_day_is_the_same_under_the_same_seed() {
    assert_eq!(run(7), run(7));
}

/// The supervisor starts the till again, with nothing in it.
async fn bad_money(world: World) -> u64 {
    let node = world.machine("north").start_node("till").await.unwrap();
    let tree = one_for_one().registered("till", Till::default);
    node.supervise(tree).await.unwrap();
    let till = || (atom!("till"), node.name());
    assert_eq!(node.call(till(), Pay(5)).await.unwrap(), 5);
    let error = node.call(till(), Pay(13)).await.unwrap_err();
    assert!(matches!(error, CallError::Ended(_)), "{error}");
    loop {
        // There is none for a moment.
        if let Ok(sum) = node.call(till(), Pay(1)).await {
            return sum;
        }
    }
}

#[test]
fn a_till_that_was_broken_is_there_again() {
    let run = Sim::new(Config::new(1)).run(bad_money);
    assert_eq!(run.output, Some(1));
}

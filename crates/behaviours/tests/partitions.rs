//! Partitioned supervisors: a key leads to one of many servers, also after that was restarted.

mod support;

use std::sync::Arc;
use std::time::Duration;

use purlin_behaviours::supervisor::{Child, Partitions, dynamic, one_for_one, partitioned};
use purlin_behaviours::{
    CallError, Context, GenServer, HandleCall, HandleCast, InitError, StartError, by,
};
use purlin_macros::message;
use purlin_otp::reason::Reason;
use purlin_term::{Pid, Term, atom};
use support::{paths, runtime};
use tokio::sync::Notify;

/// Counts; answers the number of the partition too.
#[message(reply = (u64, u64), purlin = "crate::paths")]
struct Count;

#[message(purlin = "crate::paths")]
struct Crash;

struct Part {
    number: usize,
    count: u64,
    fails: bool,
}

fn part(number: usize) -> Part {
    Part {
        number,
        count: 0,
        fails: false,
    }
}

impl GenServer for Part {
    type Messages = (by::Call<Count>, by::Cast<Crash>);

    async fn init(&mut self, _: &mut Context<Self>) -> Result<(), InitError> {
        match self.fails {
            true => Err(InitError::stop(atom!("no"))),
            false => Ok(()),
        }
    }
}

impl HandleCall<Count> for Part {
    async fn handle_call(&mut self, _: Count, _: &mut Context<Self>) -> (u64, u64) {
        self.count += 1;
        (self.number as u64, self.count)
    }
}

impl HandleCast<Crash> for Part {
    async fn handle_cast(&mut self, _: Crash, ctx: &mut Context<Self>) {
        ctx.stop(atom!("crashed"));
    }
}

fn pids(parts: &Partitions<Part>) -> Vec<Option<Pid>> {
    parts.all().map(|part| part.pid()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_key_leads_to_the_server_of_its_partition_and_all_are_used() {
    let runtime = runtime();
    let parts = partitioned(4, part).start(&runtime).await.unwrap();
    assert_eq!(parts.count(), 4);
    let mut counts = [0; 4];
    for key in 0..100 {
        let first = parts.partition(&key).call(Count).await.unwrap();
        let second = parts.partition(&key).call(Count).await.unwrap();
        assert_eq!((first.0, first.1 + 1), second);
        counts[first.0 as usize] += 2;
    }
    for (number, part) in parts.all().enumerate() {
        let all = counts[number];
        assert!(all > 0);
        let counted = part.call(Count).await.unwrap();
        assert_eq!(counted, (number as u64, all + 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_ends_is_restarted_alone_and_found_again() {
    let runtime = runtime();
    let parts = partitioned(3, part).start(&runtime).await.unwrap();
    let before = pids(&parts);
    let (number, _) = parts.partition("user 7").call(Count).await.unwrap();
    parts.partition("user 7").cast(Crash).await.unwrap();
    let supervisor = parts.supervisor();
    // Answered when all run again.
    assert_eq!(supervisor.count_children().await.unwrap().active, 3);
    let counted = parts.partition("user 7").call(Count).await.unwrap();
    assert_eq!(counted, (number, 1));
    let after = pids(&parts);
    for other in 0..3 {
        let is_another = after[other] != before[other];
        assert_eq!(is_another, other as u64 == number);
    }
    let children = supervisor.which_children().await.unwrap();
    let ids: Vec<Term> = children.into_iter().rev().map(|child| child.id).collect();
    assert_eq!(ids, [0, 1, 2].map(Term::from));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn where_nothing_is_said_there_are_as_many_as_threads_and_always_one() {
    let runtime = runtime();
    let parts = partitioned(None, part).start(&runtime).await.unwrap();
    assert_eq!(parts.count(), 3);
    let one = partitioned(0, part).start(&runtime).await.unwrap();
    assert_eq!(one.partition("any").call(Count).await.unwrap(), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn where_one_does_not_start_none_runs() {
    let runtime = runtime();
    let fails = |number| Part {
        fails: number == 2,
        ..part(number)
    };
    let started = partitioned(3, fails).start(&runtime).await;
    assert!(matches!(started, Err(StartError::Failed(_))), "{started:?}");
    while runtime.process_count() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn all_partitions_are_a_child_that_is_restarted_as_others_are() {
    let runtime = runtime();
    let parts = partitioned(2, part)
        .intensity(1, Duration::from_secs(5))
        .on(&runtime);
    assert!(parts.supervisor().pid().is_none());
    let any = parts.partition("any");
    let early = any.call(Count).await;
    assert!(matches!(early, Err(CallError::NoProcess)), "{early:?}");

    let tree = one_for_one().with(parts.child("parts"));
    let tree = tree.start(&runtime).await.unwrap();
    let first = parts.supervisor().pid().unwrap();
    for _ in 0..2 {
        any.cast(Crash).await.unwrap();
        let _ = parts.supervisor().count_children().await;
    }
    assert_eq!(tree.count_children().await.unwrap().supervisors, 1);
    let second = parts.supervisor().pid().unwrap();
    assert_ne!(first, second);
    let (_, count) = any.call(Count).await.unwrap();
    assert_eq!(count, 1);

    let more = dynamic().start(&runtime).await.unwrap();
    assert!(more.start_child(parts.child("more")).await.is_err());
    assert_eq!(parts.supervisor().pid(), Some(second));
}

/// Traps exits, and ends only when it is told to go on.
struct Slow(Arc<Notify>);

impl GenServer for Slow {
    type Messages = (by::Call<Count>,);

    async fn init(&mut self, ctx: &mut Context<Self>) -> Result<(), InitError> {
        ctx.trap_exit(true);
        Ok(())
    }

    async fn terminate(&mut self, _: &Reason, _: &mut Context<Self>) {
        self.0.notified().await;
    }
}

impl HandleCall<Count> for Slow {
    async fn handle_call(&mut self, _: Count, ctx: &mut Context<Self>) -> (u64, u64) {
        (0, ctx.pid().id.into())
    }
}

#[tokio::test(start_paused = true)]
async fn those_of_a_killed_supervisor_do_not_hinder_the_next_ones_nor_take_their_place() {
    let runtime = runtime();
    let goes_on = Arc::new(Notify::new());
    let may_end = goes_on.clone();
    let parts = partitioned(2, move |_| Slow(may_end.clone())).on(&runtime);
    let tree = one_for_one().with(parts.child("parts"));
    let tree = tree.start(&runtime).await.unwrap();
    let slow = |parts: &Partitions<Slow>| parts.all().map(|part| part.pid()).collect::<Vec<_>>();
    let before = slow(&parts);
    runtime.exit(parts.supervisor().pid().unwrap(), atom!("kill"));
    let mut watcher = runtime.attach::<()>().unwrap();
    watcher.monitor(&parts.supervisor());
    watcher.receive().await.unwrap();
    assert_eq!(tree.count_children().await.unwrap().active, 1);
    assert_eq!(parts.supervisor().count_children().await.unwrap().active, 2);
    let after = slow(&parts);
    for (before, after) in before.iter().zip(&after) {
        assert!(runtime.is_process_alive(before.unwrap()) && before != after);
    }
    for old in &before {
        watcher.monitor(old.unwrap());
    }
    for _ in &before {
        goes_on.notify_one();
        watcher.receive().await.unwrap();
    }
    assert_eq!(slow(&parts), after);
    for part in parts.all() {
        part.call(Count).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn supervisors_may_be_partitions_too() {
    let runtime = runtime();
    let parts = partitioned(2, |_| dynamic()).start(&runtime).await.unwrap();
    let mut pids = Vec::new();
    for user in 0..10 {
        let child = Child::new("user", move || part(user)).temporary();
        let pid = parts.partition(&user).start_child(child).await.unwrap();
        pids.push((user, pid.unwrap()));
    }
    let counts = parts.supervisor().count_children().await.unwrap();
    assert_eq!((counts.active, counts.supervisors), (2, 2));
    let mut active = 0;
    for supervisor in parts.all() {
        let counts = supervisor.count_children().await.unwrap();
        assert!(counts.active > 0);
        active += counts.active;
    }
    assert_eq!(active, 10);
    for (user, pid) in pids {
        parts.partition(&user).terminate_child(pid).await.unwrap();
    }
    runtime.exit(parts.supervisor().pid().unwrap(), atom!("shutdown"));
    while runtime.process_count() > 0 {
        tokio::task::yield_now().await;
    }
}

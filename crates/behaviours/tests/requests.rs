//! Requests whose replies are waited for later.

mod support;

use std::time::Duration;

use purlin_behaviours::{
    CallError, Context, Due, GenServer, HandleCallFrom, ReplyTo, Request, Requests, ServerOptions,
    ServerRef, by,
};
use purlin_runtime::{Overflow, Process, Runtime};
use purlin_term::atom;
use serde::{Deserialize, Serialize};
use support::runtime;
use tokio::time::{Instant, sleep};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Is answered after so many milliseconds, with that number; with 666 the server ends, and with 404 nobody
/// is ever answered.
#[derive(Serialize, Deserialize)]
struct After(u64);

impl Request for After {
    type Reply = u64;
}

struct Slow;

impl GenServer for Slow {
    type Messages = (by::Call<After>,);
}

impl HandleCallFrom<After> for Slow {
    async fn handle_call_from(
        &mut self,
        After(after): After,
        from: ReplyTo<u64>,
        ctx: &mut Context<Self>,
    ) {
        if after == 666 {
            return ctx.stop(atom!("crashed"));
        }
        if after == 404 {
            return;
        }
        let answering = ctx.runtime().spawn(move |_: Process<()>| async move {
            sleep(ms(after)).await;
            from.reply(after).await;
        });
        answering.unwrap();
    }
}

/// The server as one knows it that has started it, and as one that has its pid alone.
async fn both(runtime: &Runtime) -> [ServerRef<Slow>; 2] {
    let server = Slow.start(runtime).await.unwrap();
    let by_pid = ServerRef::of(runtime, server.pid().unwrap());
    [server, by_pid]
}

#[tokio::test(start_paused = true)]
async fn a_request_is_sent_at_once_and_its_reply_waited_for_later() {
    let runtime = runtime();
    for server in both(&runtime).await {
        let began = Instant::now();
        let mut response = server.send_request(After(30));
        sleep(ms(20)).await;
        assert!(response.check_response().is_none());
        assert!(response.wait_response(ms(5)).await.is_none());
        assert_eq!(response.await.unwrap(), 30);
        assert_eq!(began.elapsed(), ms(30));
        let late = server
            .send_request(After(30))
            .receive_response(ms(10))
            .await;
        assert!(matches!(late, Err(CallError::TimedOut(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_or_has_ended_is_told_from_one_that_is_slow() {
    let runtime = runtime();
    let [server, by_pid] = both(&runtime).await;
    let forgotten = server.send_request(After(404)).await;
    assert!(
        matches!(forgotten, Err(CallError::NoReply(_))),
        "{forgotten:?}"
    );
    let hanging = by_pid.send_request(After(404));
    let last = server.send_request(After(666)).await;
    assert!(matches!(
        last,
        Err(CallError::NoReply(_) | CallError::NoProcess)
    ));
    let hanging = hanging.await;
    assert!(matches!(hanging, Err(CallError::Ended(_))), "{hanging:?}");
    sleep(ms(1)).await;
    for server in [server, by_pid] {
        let response = server.send_request(After(1)).await;
        assert!(
            matches!(response, Err(CallError::NoProcess)),
            "{response:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn replies_come_in_the_order_in_which_they_are_given() {
    let runtime = runtime();
    let [server, by_pid] = both(&runtime).await;
    let mut requests = Requests::new();
    for after in [30, 10, 20] {
        requests.add(server.send_request(After(after)), ("typed", after));
        requests.add(by_pid.send_request(After(after + 5)), ("by pid", after + 5));
    }
    assert!(requests.check_response().is_none());
    let mut labels = Vec::new();
    while let Some(((road, label), reply)) = requests.wait_response(Duration::MAX).await.unwrap() {
        assert_eq!(reply.unwrap(), label);
        labels.push((road, label));
    }
    let expected = [10, 20, 30].map(|n| [("typed", n), ("by pid", n + 5)]);
    assert_eq!(labels, expected.concat());
    assert!(requests.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_answered_in_time_is_given_up_together() {
    let runtime = runtime();
    let [server, _] = both(&runtime).await;
    let mut requests = Requests::new();
    for after in [10, 404, 404] {
        requests.add(server.send_request(After(after)), after);
    }
    // Those that are never answered are known to be: their right to a reply is gone.
    for _ in 0..2 {
        let (label, reply) = requests.receive_response(ms(5)).await.unwrap().unwrap();
        assert_eq!(label, 404);
        assert!(matches!(reply, Err(CallError::NoReply(_))));
    }
    let late = requests.receive_response(ms(5)).await;
    assert!(matches!(late, Err(CallError::TimedOut(_))));
    assert_eq!(requests.len(), 0);
    sleep(ms(20)).await;
    assert!(requests.check_response().is_none());
}

#[tokio::test(start_paused = true)]
async fn replies_are_waited_for_until_a_time_and_then_again() {
    let runtime = runtime();
    for server in both(&runtime).await {
        let began = Instant::now();
        let mut requests = Requests::new();
        for after in [10, 30] {
            requests.add(server.send_request(After(after)), after);
        }
        let waits = [
            (Due::After(ms(5)), 5, None),
            (Due::At(began + ms(15)), 10, Some(10)),
            (Due::At(began + ms(20)), 20, None),
            (Due::At(began), 20, None),
            (Due::After(ms(0)), 20, None),
            (Due::After(Duration::MAX), 30, Some(30)),
        ];
        for (due, at, expected) in waits {
            let waited = requests.wait_response(due).await;
            assert_eq!(began.elapsed(), ms(at), "{due:?}");
            match expected {
                Some(label) => assert_eq!(waited.unwrap().unwrap().0, label),
                None => assert!(matches!(waited, Err(CallError::TimedOut(_))), "{due:?}"),
            }
        }
        assert!(requests.wait_response(began).await.unwrap().is_none());
        requests.add(server.send_request(After(10)), 10);
        let until = Instant::now() + ms(5);
        assert!(requests.receive_response(until).await.is_err());
        assert!(requests.is_empty());
        let mut response = server.send_request(After(20));
        assert!(response.wait_response(until + ms(5)).await.is_none());
        assert!(response.receive_response(until + ms(10)).await.is_err());
        assert_eq!(Instant::now(), until + ms(10));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_to_a_full_mailbox_waits_for_its_turn() {
    let runtime = runtime();
    let mut options = ServerOptions::default();
    options.process = options.process.mailbox(1, Overflow::Wait);
    let server = Slow.start_with(&runtime, options).await.unwrap();
    let by_pid: ServerRef<Slow> = ServerRef::of(&runtime, server.pid().unwrap());
    let mut requests = Requests::new();
    for label in 0..5 {
        requests.add(by_pid.send_request(After(1)), label);
    }
    for _ in 0..5 {
        let (_, reply) = requests
            .wait_response(Duration::MAX)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(reply.unwrap(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_requests_are_each_answered_once() {
    let runtime = runtime();
    let [server, _] = both(&runtime).await;
    let mut requests = Requests::new();
    for label in 0..10_000_u64 {
        requests.add(server.send_request(After(label % 50)), label);
    }
    let mut seen = vec![false; 10_000];
    while let Some((label, reply)) = requests.wait_response(Duration::MAX).await.unwrap() {
        assert_eq!(reply.unwrap(), label % 50);
        assert!(!std::mem::replace(&mut seen[label as usize], true));
    }
    assert!(seen.into_iter().all(|seen| seen));
}

#[tokio::test(start_paused = true)]
async fn a_reply_is_given_once() {
    let runtime = runtime();
    for server in both(&runtime).await {
        let mut response = server.send_request(After(1));
        let reply = response.wait_response(ms(5)).await.unwrap();
        assert_eq!(reply.unwrap(), 1);
        assert!(response.check_response().is_none());
        assert!(response.wait_response(ms(5)).await.is_none());
    }
}

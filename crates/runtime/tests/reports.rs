//! What the log says of processes: crashes, and steps that take too long.

#[path = "support/log.rs"]
mod log;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::sync::Arc;
use std::time::Duration;

use log::Log;
use purlin_runtime::limits::{MESSAGE_BYTES_SHOWN_MAX, MESSAGES_SHOWN_MAX};
use purlin_runtime::{
    Config, Message, Process, Runtime, SpawnOptions, SystemEventKind, TokioExecutor, Watermark,
};
use purlin_term::{DeserializeError, EncodedTerm, NodeName, SerializeError, Term, atom};

/// Nearly all in one test, since the subscriber and the panic hook are of the whole OS process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crashes_and_long_steps_are_reported_with_label_and_place() {
    let lines = Log::collect_all();
    purlin_runtime::panics::install_hook();
    let node = NodeName::new(&atom!("here@127.0.0.1")).unwrap();
    let mut config = Config::default();
    config.long_schedule = Some(Duration::from_millis(20));
    let runtime = Runtime::new(node, 1, Arc::new(TokioExecutor::current()), config);

    let mut watcher = runtime.attach::<Term>().unwrap();
    let mate = runtime
        .spawn(|_: Process<Term>| std::future::pending::<()>())
        .unwrap()
        .pid();
    let (all_are_sent, is_all_sent) = tokio::sync::oneshot::channel::<()>();
    let crashing = runtime
        .spawn(move |mut me: Process<Term>| async move {
            me.set_label("the unlucky");
            me.link(mate);
            let _ = is_all_sent.await;
            me.receive().await;
            panic!("out of luck");
        })
        .unwrap();
    watcher.monitor(crashing.pid());
    runtime.register(atom!("unlucky"), crashing.pid()).unwrap();
    runtime.send(&crashing, Term::from(0)).await.unwrap();
    runtime
        .send(crashing.pid(), ("two".to_string(), 2))
        .await
        .unwrap();
    let long = vec![7_u8; MESSAGE_BYTES_SHOWN_MAX];
    runtime.send(crashing.pid(), long).await.unwrap();
    for number in 0..MESSAGES_SHOWN_MAX as i64 {
        runtime
            .send(&crashing, Term::from(77_000 + number))
            .await
            .unwrap();
    }
    all_are_sent.send(()).unwrap();
    let (_, _, reason) = watcher.receive().await.unwrap().down().unwrap();
    let parts = reason.as_tuple().unwrap();
    assert_eq!(parts[1], Term::from("out of luck"));
    let place = parts[2].as_tuple().unwrap();
    assert!(place[0].as_binary().unwrap().ends_with(b"reports.rs"));
    assert!(place[1].as_int().unwrap() > 0);
    // Not by the label: taking a backtrace may itself be a long step, and is reported as one.
    let report = lines.with("name=unlucky").unwrap();
    for part in [
        "ERROR",
        "a process crashed",
        "the unlucky",
        "out of luck",
        "name=unlucky",
        "queued=7",
        r#"messages=["{<<\"two\">>,2}", "a message of "#,
        r#" bytes", "77000", "77001", "77002"]"#,
        &format!("links=[{mate}]"),
        "reports.rs",
    ] {
        assert!(report.contains(part), "{part} in {report}");
    }
    let is_asked_for = Backtrace::capture().status() == BacktraceStatus::Captured;
    assert_eq!(report.contains("backtrace="), is_asked_for, "{report}");

    let mut events = runtime.attach().unwrap();
    let _monitor = runtime.system_monitor(events.address());
    let holding = runtime
        .spawn({
            let lines = lines.clone();
            move |me: Process<Term>| async move {
                me.set_label("the greedy");
                let begun = std::time::Instant::now();
                while lines.with("the greedy").is_none() {
                    assert!(begun.elapsed() < Duration::from_secs(20), "nobody looks");
                    std::hint::spin_loop();
                }
            }
        })
        .unwrap();
    watcher.monitor(holding.pid());
    let (_, _, reason) = watcher.receive().await.unwrap().down().unwrap();
    assert!(reason.is_atom("normal"), "{reason}");
    let event = events.receive().await.unwrap().message().unwrap();
    assert_eq!(event.pid, holding.pid());
    assert!(matches!(
        event.kind,
        SystemEventKind::LongSchedule { held_ms: 20.. }
    ));
    let report = lines.with("the greedy").unwrap();
    for part in ["WARN", "holds its thread", "reports.rs"] {
        assert!(report.contains(part), "{part} in {report}");
    }

    let deaf = SpawnOptions::default()
        .label("the deaf")
        .watermark(Watermark::new(0, 10));
    let deaf = runtime
        .spawn_with(deaf, |_: Process<Term>| std::future::pending::<()>())
        .unwrap();
    for number in 0..50 {
        runtime.send(&deaf, Term::from(number)).await.unwrap();
    }
    let report = lines.with("a message queue is long").unwrap();
    for part in ["WARN", "the deaf", "len=13", &deaf.pid().to_string()] {
        assert!(report.contains(part), "{part} in {report}");
    }

    let refused = SpawnOptions::default()
        .label("the refused")
        .name(atom!("taken"));
    runtime.register(atom!("taken"), deaf.pid()).unwrap();
    let refused = runtime.spawn_with(refused, |_: Process<Term>| async {});
    assert!(refused.is_err());
    assert_eq!(lines.with("the refused"), None);
}

/// A message whose encoding panics.
struct Rotten;

impl Message for Rotten {
    fn encode(&self) -> Result<EncodedTerm, SerializeError> {
        panic!("rotten")
    }

    fn decode(_: &EncodedTerm) -> Result<Self, DeserializeError> {
        Ok(Self)
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_shown_does_not_spoil_the_end_of_its_process() {
    let node = NodeName::new(&atom!("there@127.0.0.1")).unwrap();
    let executor = Arc::new(TokioExecutor::current());
    let runtime = Runtime::new(node, 1, executor, Config::default());
    let mut watcher = runtime.attach::<Term>().unwrap();
    let crashing = runtime
        .spawn(|mut me: Process<Rotten>| async move {
            me.receive().await;
            panic!("out of luck");
        })
        .unwrap();
    watcher.monitor(crashing.pid());
    for _ in 0..2 {
        runtime.send(&crashing, Rotten).await.unwrap();
    }
    let (_, _, reason) = watcher.receive().await.unwrap().down().unwrap();
    assert_eq!(reason.as_tuple().unwrap()[1], Term::from("out of luck"));
}

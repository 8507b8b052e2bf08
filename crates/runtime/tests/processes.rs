//! Processes on one node: receiving, ties, names, ends.

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use purlin_runtime::{
    Address, AliasMode, Config, Epoch, Info, MonitorOptions, Overflow, Process, Received,
    RegisterError, Runtime, Signal, SpawnError, SpawnOptions, Target, TokioExecutor,
};
use purlin_term::{NodeName, Pid, Term, atom};

fn runtime() -> Runtime {
    let node = NodeName::new(&atom!("here@127.0.0.1")).unwrap();
    let executor = Arc::new(TokioExecutor::current());
    Runtime::new(node, 1, executor, Config::default())
}

async fn down<M: purlin_runtime::Message>(me: &mut Process<M>) -> (Target, Term) {
    loop {
        if let Some((_, target, reason)) = me.receive().await.down() {
            return (target, Term::clone(&reason));
        }
    }
}

/// Runs `body` as a process and answers what it returns.
async fn in_process<B, F, R>(runtime: &Runtime, body: B) -> R
where
    B: FnOnce(Process<Term>) -> F + Send + 'static,
    F: Future<Output = R> + Send + 'static,
    R: Send + 'static,
{
    let (sender, receiver) = tokio::sync::oneshot::channel();
    runtime
        .spawn(|me| async move {
            let _ = sender.send(body(me).await);
        })
        .unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(10), receiver).await;
    answer
        .expect("within ten seconds")
        .expect("the process ended early")
}

fn echo(runtime: &Runtime) -> Address<(Pid, i64)> {
    runtime
        .spawn(|mut me: Process<(Pid, i64)>| async move {
            loop {
                if let Received::Message((from, number)) = me.receive().await {
                    me.send(from, Term::from(number)).await.unwrap();
                }
            }
        })
        .unwrap()
}

#[tokio::test]
async fn messages_arrive_in_order_by_address_pid_and_name() {
    let runtime = runtime();
    let numbers = in_process(&runtime.clone(), |mut me| async move {
        let (own, pid) = (me.address(), me.pid());
        me.runtime().register(atom!("me"), pid).unwrap();
        for number in 0..300_i64 {
            match number % 4 {
                0 => me.send(&own, Term::from(number)).await.unwrap(),
                1 => me.send(pid, number).await.unwrap(),
                2 => me.send(atom!("me"), Term::from(number)).await.unwrap(),
                _ => me.send((atom!("me"), pid.node), number).await.unwrap(),
            }
        }
        let mut numbers = Vec::new();
        while let Some(Received::Message(number)) = me.try_receive() {
            numbers.push(number.as_int().unwrap());
        }
        numbers
    })
    .await;
    assert_eq!(numbers, (0..300).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_message_of_another_type_is_dropped_and_the_next_one_received() {
    let runtime = runtime();
    let echo = echo(&runtime);
    let answer = in_process(&runtime, move |mut me| async move {
        me.send(echo.pid(), atom!("not a pair")).await.unwrap();
        me.send(echo.pid(), (me.pid(), 7_u8)).await.unwrap();
        me.receive_message().await
    })
    .await;
    assert_eq!(answer, Term::from(7));
}

#[tokio::test]
async fn a_selective_receive_leaves_what_it_passes_over_in_its_place() {
    let runtime = runtime();
    in_process(&runtime, |mut me| async move {
        let own = me.address();
        for number in 0..5_i64 {
            me.send(&own, Term::from(number)).await.unwrap();
        }
        let wanted = |peek: purlin_runtime::Peek<'_, Term>| {
            matches!(peek, purlin_runtime::Peek::Message(Term::Int(3)))
        };
        let picked = me.receive_where(wanted).await.message();
        assert_eq!(picked, Some(Term::from(3)));
        let mark = me.mark();
        me.send(&own, Term::from(5)).await.unwrap();
        let after = me.receive_after(&mark, |_| true).await.message();
        assert_eq!(after, Some(Term::from(5)));
        for number in [0, 1, 2, 4] {
            assert_eq!(me.receive_message().await, Term::from(number));
        }
        assert!(me.try_receive().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_receive_that_times_out_takes_nothing() {
    let runtime = runtime();
    in_process(&runtime, |mut me| async move {
        let own = me.address();
        assert!(me.receive_timeout(Duration::from_millis(5)).await.is_none());
        me.send(&own, Term::from(1)).await.unwrap();
        assert_eq!(me.receive_message().await, Term::from(1));
    })
    .await;
}

#[tokio::test]
async fn a_monitor_tells_the_reason_noproc_for_the_dead_and_fires_once() {
    let runtime = runtime();
    in_process(&runtime, |mut me| async move {
        let ends = |me: &Process<Term>| {
            me.spawn_monitor(|_: Process<Term>| async { Term::from(atom!("done")) })
                .unwrap()
        };
        let (child, _) = ends(&me);
        assert_eq!(
            down(&mut me).await,
            (child.pid().into(), atom!("done").into())
        );
        me.monitor(child.pid());
        assert_eq!(
            down(&mut me).await,
            (child.pid().into(), atom!("noproc").into())
        );
        let name = Target::Name(atom!("nobody"), me.pid().node);
        me.monitor(name.clone());
        assert_eq!(down(&mut me).await, (name, atom!("noproc").into()));
        assert!(me.try_receive().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_monitor_that_was_taken_back_leaves_nothing() {
    let runtime = runtime();
    in_process(&runtime, |mut me| async move {
        let (child, early) = me
            .spawn_monitor(|mut me: Process<Term>| async move {
                me.receive().await;
            })
            .unwrap();
        assert!(me.demonitor(early));
        let late = me.monitor(child.pid());
        me.send(child.pid(), atom!("end")).await.unwrap();
        while me.runtime().is_process_alive(child.pid()) {
            tokio::task::yield_now().await;
        }
        // Its end is in the mailbox, or will be: a monitor of the dead fires after it.
        me.monitor(child.pid());
        assert_eq!(down(&mut me).await.1, Term::from(atom!("normal")));
        assert!(!me.demonitor(late));
        assert_eq!(down(&mut me).await.1, Term::from(atom!("noproc")));
        assert!(me.try_receive().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_link_ends_both_unless_exits_are_trapped() {
    let runtime = runtime();
    in_process(&runtime, |mut me| async move {
        let parent = me.pid();
        let (middle, _) = me
            .spawn_monitor(move |me: Process<Term>| async move {
                let child = me
                    .spawn_link(|_: Process<Term>| async { Term::from(atom!("broken")) })
                    .unwrap();
                me.send(parent, Term::from(child.pid())).await.unwrap();
                std::future::pending::<()>().await;
            })
            .unwrap();
        let mut seen = Vec::new();
        while seen.len() < 2 {
            match me.receive().await {
                Received::Info(Info::Down { target, reason, .. }) => {
                    assert_eq!(target, Target::Pid(middle.pid()));
                    seen.push(Term::clone(&reason));
                }
                Received::Message(message) => seen.push(message),
                other => panic!("{other:?}"),
            }
        }
        assert!(seen.contains(&atom!("broken").into()), "{seen:?}");

        me.trap_exit(true);
        let child = me
            .spawn_link(|_: Process<Term>| async { Term::from(atom!("again")) })
            .unwrap();
        match me.receive().await {
            Received::Info(Info::Exit { from, reason }) => {
                assert_eq!(
                    (from, Term::clone(&reason)),
                    (child.pid(), atom!("again").into())
                );
            }
            other => panic!("{other:?}"),
        }
    })
    .await;
}

/// More than go together in one batch, and some beside, told one by one in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_is_told_to_each_of_many_once_and_links_before_monitors() {
    const MANY: usize = 150;
    let runtime = runtime();
    let mortal = runtime
        .spawn(|mut me: Process<Term>| async move {
            let name = Target::Name(atom!("somebody"), me.pid().node);
            me.monitor(name);
            me.trap_exit(true);
            me.receive_message().await
        })
        .unwrap();
    let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (tied, mut ties) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..MANY {
        let (mortal, sender, tied) = (mortal.pid(), sender.clone(), tied.clone());
        let watcher = runtime.spawn(move |mut me: Process<Term>| async move {
            me.trap_exit(true);
            let monitors = [me.monitor(mortal), me.monitor(mortal)];
            me.link(mortal);
            let _ = tied.send(me.pid());
            let exit = me.receive().await;
            let down = [down(&mut me).await, down(&mut me).await];
            let is_last = me.try_receive().is_none();
            let _ = sender.send((exit, down, is_last, monitors));
        });
        watcher.unwrap();
    }
    // One of them ends before, and is told nothing.
    let mut all = Vec::new();
    for _ in 0..MANY {
        all.push(ties.recv().await.unwrap());
    }
    runtime.exit(all[MANY / 2], atom!("kill"));
    runtime.process_info(all[MANY / 2]).await;
    runtime.try_send(&mortal, atom!("bye").into()).unwrap();
    drop((sender, tied));
    for _ in 1..MANY {
        let next = tokio::time::timeout(Duration::from_secs(10), told.recv()).await;
        let (exit, down, is_last, monitors) = next.expect("within ten seconds").unwrap();
        let Received::Info(Info::Exit { from, reason }) = exit else {
            panic!("the link comes first: {exit:?}");
        };
        assert!(from == mortal.pid() && reason.is_atom("bye"));
        let bye = (Target::Pid(mortal.pid()), Term::from(atom!("bye")));
        assert_eq!(down, [bye.clone(), bye]);
        assert!(is_last && monitors[0] != monitors[1]);
    }
    assert!(told.recv().await.is_none());
}

#[tokio::test]
async fn who_is_started_with_options_is_linked_or_monitored_before_it_runs() {
    let runtime = runtime();
    in_process(&runtime, |mut me| async move {
        me.trap_exit(true);
        let leader = me
            .spawn_link(|_: Process<Term>| std::future::pending::<()>())
            .unwrap();
        let options = || {
            SpawnOptions::default()
                .label("the child")
                .name(atom!("child"))
                .mailbox(1, Overflow::Refuse)
                .group_leader(leader.pid())
                .own_thread()
        };
        let body = |mut me: Process<Term>| async move {
            me.receive().await;
            Term::from(atom!("done"))
        };
        let linked = me.spawn_link_with(options(), body).unwrap();
        let info = me.runtime().process_info(linked.pid()).await.unwrap();
        assert_eq!(info.links, [me.pid()]);
        assert_eq!(info.label.as_deref(), Some("the child"));
        assert_eq!(info.registered_name, Some(atom!("child")));
        assert_eq!(info.group_leader, leader.pid());
        assert!(info.spawned_at.file().ends_with("processes.rs"));

        // The name is taken: nothing was started, and nothing is linked or monitored.
        let (names, count) = (
            SpawnOptions::default().name(atom!("child")),
            me.runtime().process_count(),
        );
        let taken = me.spawn_link_with(names.clone(), body).unwrap_err();
        assert_eq!(taken, SpawnError::Register(RegisterError::Taken));
        assert!(me.spawn_monitor_with(names, body).is_err());
        assert_eq!(me.runtime().process_count(), count);
        let info = me
            .runtime()
            .clone()
            .process_info(linked.pid())
            .await
            .unwrap();
        assert_eq!((info.links.len(), info.monitored_by.len()), (1, 0));
        assert!(me.try_receive().is_none());

        me.send(&linked, atom!("end").into()).await.unwrap();
        assert!(matches!(
            me.receive().await,
            Received::Info(Info::Exit { from, .. }) if from == linked.pid()
        ));
        let (watched, monitor) = me.spawn_monitor_with(options(), body).unwrap();
        let info = me.runtime().process_info(watched.pid()).await.unwrap();
        assert_eq!((info.links.len(), info.monitored_by), (0, vec![me.pid()]));
        me.send(&watched, atom!("end").into()).await.unwrap();
        let (reference, _, reason) = me.receive().await.down().unwrap();
        assert_eq!(
            (reference, Term::clone(&reason)),
            (monitor, atom!("done").into())
        );
    })
    .await;
}

#[tokio::test]
async fn a_child_writes_where_its_parent_does_unless_it_is_told_otherwise() {
    let runtime = runtime();
    in_process(&runtime, |me| async move {
        let leader = me
            .spawn_link(|_: Process<Term>| std::future::pending::<()>())
            .unwrap();
        me.runtime().set_group_leader(me.pid(), leader.pid());
        me.runtime().process_info(leader.pid()).await.unwrap();
        let waits = |_: Process<Term>| std::future::pending::<()>();
        let plain = me.spawn_link(waits).unwrap();
        let options = || SpawnOptions::default().label("a child");
        let linked = me.spawn_link_with(options(), waits).unwrap();
        let (watched, _) = me.spawn_monitor_with(options(), waits).unwrap();
        for child in [plain, linked, watched] {
            let info = me.runtime().process_info(child.pid()).await.unwrap();
            assert_eq!(info.group_leader, leader.pid());
        }
    })
    .await;
}

#[tokio::test]
async fn kill_acts_on_a_process_that_traps_and_waits_for_something_else() {
    let runtime = runtime();
    in_process(&runtime, |mut me| async move {
        let parent = me.pid();
        let (child, _) = me
            .spawn_monitor(move |me: Process<Term>| async move {
                me.trap_exit(true);
                me.send(parent, atom!("ready")).await.unwrap();
                std::future::pending::<()>().await;
            })
            .unwrap();
        me.receive_message().await;
        me.exit(child.pid(), atom!("shutdown"));
        me.exit(child.pid(), atom!("kill"));
        assert_eq!(down(&mut me).await.1, Term::from(atom!("killed")));
        assert!(!me.runtime().is_process_alive(child.pid()));
    })
    .await;
}

/// It goes on to the end of what it is at, on a thread of its own here, and does nothing more.
#[tokio::test]
async fn an_exit_acts_at_the_next_await_and_not_before() {
    let runtime = runtime();
    for reason in [atom!("kill"), atom!("shutdown")] {
        in_process(&runtime, |mut me| async move {
            let (parent, options) = (me.pid(), SpawnOptions::default().own_thread());
            let (exit_sent, is_exit_sent) = std::sync::mpsc::channel();
            let (computed, has_computed) = tokio::sync::oneshot::channel();
            let (went_on, has_gone_on) = tokio::sync::oneshot::channel();
            let body = move |me: Process<Term>| async move {
                me.send(parent, atom!("ready")).await.unwrap();
                is_exit_sent.recv().unwrap();
                computed.send(()).unwrap();
                tokio::task::yield_now().await;
                went_on.send(()).unwrap();
            };
            let child = me.runtime().spawn_with(options, body).unwrap();
            me.receive_message().await;
            me.monitor(child.pid());
            me.exit(child.pid(), reason);
            exit_sent.send(()).unwrap();
            has_computed.await.unwrap();
            down(&mut me).await;
            assert!(has_gone_on.await.is_err());
        })
        .await;
    }
}

#[tokio::test]
async fn kill_does_not_wait_behind_messages() {
    let runtime = runtime();
    in_process(&runtime, |mut me| async move {
        let (child, _) = me
            .spawn_monitor(|mut me: Process<i64>| async move {
                // It receives for ever: there is always a message more.
                let own = me.address();
                loop {
                    let message = me.receive_message().await;
                    me.send(&own, message).await.unwrap();
                }
            })
            .unwrap();
        for number in 0..1000_i64 {
            me.send(&child, number).await.unwrap();
        }
        me.exit(child.pid(), atom!("kill"));
        assert_eq!(down(&mut me).await.1, Term::from(atom!("killed")));
    })
    .await;
}

#[tokio::test]
async fn a_panic_is_an_exit_with_its_text() {
    let runtime = runtime();
    let (_, reason) = in_process(&runtime, |mut me| async move {
        me.spawn_monitor(|_: Process<Term>| async {
            assert!(std::hint::black_box(false), "no luck");
        })
        .unwrap();
        down(&mut me).await
    })
    .await;
    let parts = reason.as_tuple().unwrap();
    assert!(parts[0].is_atom("panic"));
    assert_eq!(parts[1], Term::from("no luck"));
}

#[tokio::test]
async fn a_name_is_given_once_and_freed_by_the_end() {
    let runtime = runtime();
    in_process(&runtime, |mut me| async move {
        let runtime = me.runtime().clone();
        let first = runtime
            .spawn_with(
                SpawnOptions::default().name(atom!("it")),
                |mut me: Process<Term>| async move {
                    me.receive().await;
                },
            )
            .unwrap();
        assert_eq!(runtime.whereis(&atom!("it")), Some(first.pid()));
        let taken = runtime.register(atom!("it"), me.pid());
        assert_eq!(taken, Err(RegisterError::Taken));
        let twice = runtime.register(atom!("other"), first.pid());
        assert_eq!(twice, Err(RegisterError::HasName));
        assert_eq!(runtime.registered(), [atom!("it")]);
        me.monitor(first.pid());
        me.send(atom!("it"), atom!("end")).await.unwrap();
        down(&mut me).await;
        assert_eq!(runtime.whereis(&atom!("it")), None);
        let gone = runtime.register(atom!("it"), first.pid());
        assert_eq!(gone, Err(RegisterError::NoProcess));
        runtime.register(atom!("it"), me.pid()).unwrap();
        assert!(runtime.unregister(&atom!("it")));
        assert!(!runtime.unregister(&atom!("it")));
    })
    .await;
}

#[tokio::test]
async fn an_alias_is_an_address_until_it_is_taken_back() {
    let runtime = runtime();
    in_process(&runtime, |mut me| async move {
        let alias = me.alias(AliasMode::ExplicitUnalias);
        me.send(alias, Term::from(1)).await.unwrap();
        me.send(alias, 2_i64).await.unwrap();
        assert_eq!(me.receive_message().await, Term::from(1));
        assert_eq!(me.receive_message().await, Term::from(2));
        me.send(alias, Term::from(3)).await.unwrap();
        assert!(me.unalias(alias));
        assert!(me.try_receive().is_none());

        let once = me.alias(AliasMode::ReplyDemonitor);
        me.send(once, Term::from(4)).await.unwrap();
        me.send(once, Term::from(5)).await.unwrap();
        assert_eq!(me.receive_message().await, Term::from(4));
        assert!(me.try_receive().is_none());

        let target = me
            .spawn_link(|_: Process<Term>| std::future::pending::<()>())
            .unwrap();
        let options = MonitorOptions {
            alias: Some(AliasMode::Demonitor),
            ..MonitorOptions::default()
        };
        let monitor = me.monitor_with(target.pid(), options);
        me.send(monitor, Term::from(6)).await.unwrap();
        assert_eq!(me.receive_message().await, Term::from(6));
        assert!(me.demonitor(monitor));
        me.send(monitor, Term::from(7)).await.unwrap();
        assert!(me.try_receive().is_none());
    })
    .await;
}

#[tokio::test]
async fn timers_fire_in_order_are_read_and_cancelled() {
    let runtime = runtime();
    in_process(&runtime, |mut me| async move {
        let (runtime, own) = (me.runtime().clone(), me.address());
        let ms = Duration::from_millis;
        let late = runtime.send_after(ms(30), own.clone(), Term::from(3));
        let never = runtime.send_after(ms(60_000), own.clone(), Term::from(9));
        runtime.send_after(ms(1), own.clone(), Term::from(1));
        let named = runtime.start_timer(ms(10), own, |reference| {
            Term::tuple([atom!("timeout").into(), reference.into()])
        });
        assert!(runtime.read_timer(&late).unwrap() <= ms(30));
        assert!(runtime.cancel_timer(&never).unwrap() > ms(50_000));
        assert_eq!(runtime.cancel_timer(&never), None);
        assert_eq!(me.receive_message().await, Term::from(1));
        let timeout = me.receive_message().await;
        assert_eq!(
            timeout.as_tuple().unwrap()[1].as_reference(),
            Some(&named.reference())
        );
        assert_eq!(me.receive_message().await, Term::from(3));
        assert_eq!(runtime.read_timer(&late), None);
        assert_eq!(runtime.timer_count(), 0);
    })
    .await;
}

#[tokio::test]
async fn process_info_shows_what_was_sent_before_the_question() {
    let runtime = runtime();
    in_process(&runtime, |me| async move {
        let child = me
            .spawn_link(|me: Process<Term>| async move {
                me.set_label("the child");
                me.put(Term::from(1), Term::from(2));
                std::future::pending::<()>().await;
            })
            .unwrap();
        let monitor = me.monitor(child.pid());
        me.send(&child, Term::from(1)).await.unwrap();
        let info = loop {
            let info = me.runtime().process_info(child.pid()).await.unwrap();
            if info.label.is_some() {
                break info;
            }
        };
        assert_eq!(info.links, [me.pid()]);
        assert_eq!(info.monitored_by, [me.pid()]);
        assert_eq!(info.label.as_deref(), Some("the child"));
        assert_eq!(info.dictionary, [(Term::from(1), Term::from(2))]);
        assert_eq!(info.message_queue_len, 1);
        assert!(info.spawned_at.file().ends_with("processes.rs"));
        me.demonitor(monitor);
        me.unlink(child.pid());
        let info = me.runtime().process_info(child.pid()).await.unwrap();
        assert!(info.links.is_empty() && info.monitored_by.is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_attached_process_hears_of_its_end() {
    let runtime = runtime();
    let mut attached = runtime.attach::<Term>().unwrap();
    let pid = attached.pid();
    runtime.send(pid, Term::from(1)).await.unwrap();
    assert_eq!(
        attached.receive().await.unwrap().message(),
        Some(Term::from(1))
    );
    runtime.exit(pid, atom!("kill"));
    assert!(attached.receive().await.unwrap_err().0.is_atom("killed"));
    drop(attached);
    assert_eq!(runtime.process_count(), 0);
}

#[tokio::test]
async fn an_attached_process_answers_though_nobody_receives() {
    let runtime = runtime();
    let mut attached = runtime.attach::<Term>().unwrap();
    let pid = attached.pid();
    runtime.send(pid, Term::from(1)).await.unwrap();
    let monitors = move |me: Process<Term>| async move {
        me.monitor(pid);
        std::future::pending::<()>().await;
    };
    let watcher = runtime.spawn(monitors).unwrap();
    runtime.process_info(watcher.pid()).await.unwrap();
    runtime.send(pid, Term::from(2)).await.unwrap();

    let info = runtime.process_info(pid).await.unwrap();
    assert_eq!(info.monitored_by, [watcher.pid()]);
    assert_eq!(info.message_queue_len, 2);
    for number in [1, 2] {
        let message = attached.receive().await.unwrap().message();
        assert_eq!(message, Some(Term::from(number)));
    }

    runtime.exit(pid, atom!("kill"));
    assert!(runtime.process_info(pid).await.is_none());
    assert!(attached.receive().await.unwrap_err().0.is_atom("killed"));
}

/// Whoever asks and whoever receives take turns; each question is answered, each message received once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attached_process_answers_while_it_receives() {
    let runtime = runtime();
    let mut attached = runtime.attach::<i64>().unwrap();
    let (pid, address) = (attached.pid(), attached.address());
    let asking = tokio::spawn({
        let runtime = runtime.clone();
        async move {
            for number in 0..1_000 {
                runtime.send(&address, number).await.unwrap();
                assert_eq!(runtime.process_info(pid).await.unwrap().pid, pid);
            }
        }
    });
    for number in 0..1_000 {
        let message = attached.receive().await.unwrap().message();
        assert_eq!(message, Some(number));
    }
    asking.await.unwrap();
    assert!(attached.try_receive().unwrap().is_none());
}

#[tokio::test]
async fn the_process_limit_is_an_error_with_a_name() {
    let node = NodeName::new(&atom!("here@127.0.0.1")).unwrap();
    let mut config = Config::default();
    config.processes_max = 2;
    let runtime = Runtime::new(node, 1, Arc::new(TokioExecutor::current()), config);
    let waits = |_: Process<Term>| std::future::pending::<()>();
    runtime.spawn(waits).unwrap();
    let second = runtime.attach::<Term>().unwrap();
    assert!(runtime.spawn(waits).is_err());
    drop(second);
    runtime.spawn(waits).unwrap();
    assert!(runtime.attach::<Term>().is_err());
}

#[tokio::test]
async fn a_prepared_process_has_ties_and_signals_before_it_runs() {
    let runtime = runtime();
    in_process(&runtime, |mut me| async move {
        let runtime = me.runtime().clone();
        let prepared = runtime.prepare::<Term>(SpawnOptions::default()).unwrap();
        let pid = prepared.pid();
        me.monitor(pid);
        runtime.send(pid, Term::from(1)).await.unwrap();
        assert!(me.try_receive().is_none());
        prepared.start(|mut me: Process<Term>| async move { me.receive_message().await });
        assert_eq!(down(&mut me).await, (pid.into(), Term::from(1)));

        let killed = runtime.prepare::<Term>(SpawnOptions::default()).unwrap();
        me.monitor(killed.pid());
        me.exit(killed.pid(), atom!("kill"));
        killed.start(|_| async { unreachable!("it was killed before") });
        assert_eq!(down(&mut me).await.1, Term::from(atom!("killed")));

        let dropped = runtime.prepare::<Term>(SpawnOptions::default()).unwrap();
        me.monitor(dropped.pid());
        drop(dropped);
        assert_eq!(down(&mut me).await.1, Term::from(atom!("killed")));
    })
    .await;
}

#[tokio::test]
async fn what_waits_for_an_end_without_a_mailbox_hears_of_it_once_with_its_reason() {
    let runtime = runtime();
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let prepared = |runtime: &Runtime| {
        let prepared = runtime.prepare::<Term>(SpawnOptions::default()).unwrap();
        let told = told.clone();
        prepared.at_end(move |reason| told.send(Term::clone(reason)).unwrap());
        prepared
    };
    prepared(&runtime).start(|_| async {});
    assert_eq!(heard.recv().await, Some(atom!("normal").into()));
    prepared(&runtime).start(|_| async { Term::from(atom!("done")) });
    assert_eq!(heard.recv().await, Some(atom!("done").into()));
    let waits = prepared(&runtime).start(|mut me: Process<Term>| async move {
        me.receive().await;
    });
    runtime.exit(waits.pid(), atom!("told"));
    assert_eq!(heard.recv().await, Some(atom!("told").into()));
    prepared(&runtime).start(|_| async { panic!("fell") });
    assert!(heard.recv().await.unwrap().to_string().contains("fell"));
    drop(prepared(&runtime));
    assert_eq!(heard.recv().await, Some(atom!("killed").into()));
    assert!(heard.try_recv().is_err());
}

/// Says when it is dropped, and falls then.
struct Falls(std::sync::mpsc::Sender<String>, Runtime, Pid);

impl Drop for Falls {
    fn drop(&mut self) {
        let Self(told, runtime, holder) = self;
        let _ = told.send(format!("alive: {}", runtime.is_process_alive(*holder)));
        panic!("it falls while it is dropped");
    }
}

#[tokio::test]
async fn what_a_process_holds_is_dropped_before_its_end_is_told_and_cannot_hinder_that() {
    let runtime = runtime();
    in_process(&runtime, |mut me| async move {
        let runtime = me.runtime().clone();
        let (told, heard) = std::sync::mpsc::channel();
        let prepared = |name| {
            let options = SpawnOptions::default().name(name);
            let prepared = runtime.prepare::<Term>(options).unwrap();
            let held = Falls(told.clone(), runtime.clone(), prepared.pid());
            prepared.hold(held);
            prepared
        };
        let both = ["alive: true", "alive: true"];

        let ends = prepared(atom!("ends"));
        me.monitor(ends.pid());
        let (more, in_body) = (told.clone(), runtime.clone());
        ends.start(|me: Process<Term>| async move {
            me.hold(Falls(more, in_body, me.pid()));
        });
        assert_eq!(down(&mut me).await.1, Term::from(atom!("normal")));
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), both);

        let killed = prepared(atom!("killed"));
        me.monitor(killed.pid());
        me.exit(killed.pid(), atom!("kill"));
        killed.start(|_| async { unreachable!("it was killed before") });
        assert_eq!(down(&mut me).await.1, Term::from(atom!("killed")));
        assert_eq!(heard.try_iter().count(), 1);

        let dropped = prepared(atom!("dropped"));
        me.monitor(dropped.pid());
        drop(dropped);
        assert_eq!(down(&mut me).await.1, Term::from(atom!("killed")));
        assert_eq!(heard.try_iter().count(), 1);
        assert!(runtime.registered().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_process_lets_go_of_what_others_find_it_by_and_lives_on() {
    let runtime = runtime();
    in_process(&runtime, |me| async move {
        let runtime = me.runtime().clone();
        let (told, heard) = std::sync::mpsc::channel();
        me.let_go();
        runtime.register(atom!("me"), me.pid()).unwrap();
        me.hold(Falls(told, runtime.clone(), me.pid()));
        me.let_go();
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), ["alive: true"]);
        assert!(runtime.registered().is_empty());
        assert!(runtime.is_process_alive(me.pid()));
        runtime.register(atom!("me again"), me.pid()).unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_is_discarded_has_ended_normally_before_its_first_step() {
    let runtime = runtime();
    in_process(&runtime, |mut me| async move {
        let options = SpawnOptions::default().name(atom!("it"));
        let prepared = me.runtime().prepare::<Term>(options).unwrap();
        me.monitor(prepared.pid());
        prepared.discard();
        assert!(me.runtime().registered().is_empty());
        assert_eq!(down(&mut me).await.1, Term::from(atom!("normal")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_runtime_knows_how_many_threads_run_its_processes() {
    assert_eq!(runtime().worker_threads(), 3);
}

#[tokio::test]
async fn no_signal_ends_a_process_that_is_kept() {
    let runtime = runtime();
    in_process(&runtime, |me| async move {
        let kept = me
            .runtime()
            .prepare::<Term>(SpawnOptions::default())
            .unwrap();
        kept.keep();
        let pid = kept.pid();
        kept.start(|mut me| async move { me.receive_message().await });
        me.exit(pid, atom!("shutdown"));
        me.exit(pid, atom!("kill"));
        assert!(me.runtime().process_info(pid).await.is_some());
        assert!(me.runtime().is_process_alive(pid));
    })
    .await;
}

#[tokio::test]
async fn an_exit_signal_to_an_alias_acts_while_it_is_one() {
    let runtime = runtime();
    in_process(&runtime, |mut me| async move {
        let reason = || purlin_runtime::reason::shutdown();
        let exit = |from| Signal::Exit2 {
            from,
            reason: reason(),
        };
        let from = me.runtime().nobody();
        me.trap_exit(true);
        let alias = me.alias(AliasMode::ExplicitUnalias);
        me.runtime()
            .deliver_signal_to_alias(alias, exit(from), Epoch(1));
        assert!(matches!(
            me.receive().await,
            Received::Info(Info::Exit { .. })
        ));
        me.unalias(alias);
        me.runtime()
            .deliver_signal_to_alias(alias, exit(from), Epoch(1));
        assert!(me.try_receive().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_process_handle_that_outlives_its_process_receives_nothing() {
    let runtime = runtime();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let address = runtime
        .spawn(|me: Process<u32>| async move {
            let _ = sender.send(me);
        })
        .unwrap();
    let mut me = receiver.await.unwrap();
    while runtime.process_count() > 0 {
        tokio::task::yield_now().await;
    }
    runtime.send(&address, 1).await.unwrap();
    assert!(me.try_receive().is_none());
    let waiting = Waker::noop();
    let polled = me.poll_receive(&mut Context::from_waker(waiting));
    assert!(polled.is_pending());
}

//! The rules of one process, by hand: what each input is answered with.
//!
//! What is checked against the manual's words was also seen with OTP 25: `kill` and `normal` by
//! either way, the alias modes, and spawn requests that are abandoned or lose their parent.

mod support;

use std::num::NonZeroU64;

use purlin_otp::reason::{self, Reason};
use purlin_otp::relations::{
    AliasMode, Farewell, Info, MonitorOptions, Output, Relations, SpawnOptions,
};
use purlin_otp::signal::{ChildIs, Epoch, Signal, Target, refuse};
use purlin_term::{Pid, Reference, Term, atom};
use support::{node, pid, reference};

const EPOCH: Epoch = Epoch(3);

fn me() -> Pid {
    pid(node("here@otp"), 1)
}

fn other() -> Pid {
    pid(node("there@otp"), 2)
}

/// One of the references that this process made.
fn mine(number: u32) -> Reference {
    reference(me().node, number)
}

fn because(text: &str) -> Reason {
    Reason::new(text.into())
}

/// A process with what it was last answered.
struct Process {
    relations: Relations,
    out: Vec<Output>,
}

impl Process {
    fn new() -> Self {
        let (relations, out) = (Relations::new(me()), Vec::new());
        Self { relations, out }
    }

    fn trapping() -> Self {
        let mut process = Self::new();
        assert!(!process.relations.set_trap_exit(true));
        process
    }

    fn linked(mut self) -> Self {
        self.hears(Signal::Link { from: other() });
        self
    }

    fn hears(&mut self, signal: Signal) -> Vec<Output> {
        self.relations.handle_signal(signal, EPOCH, &mut self.out);
        self.answers()
    }

    fn answers(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.out)
    }

    fn monitors(&mut self, number: u32, alias: Option<AliasMode>) -> Vec<Output> {
        let options = MonitorOptions {
            alias,
            ..MonitorOptions::default()
        };
        let target = Target::Pid(other());
        self.relations
            .monitor(target, mine(number), options, EPOCH, &mut self.out);
        self.answers()
    }

    fn gets_by_alias(&mut self, number: u32) -> bool {
        self.relations
            .handle_alias_message(&mine(number), &mut self.out)
    }

    fn asks_for_a_process(&mut self, number: u32, options: SpawnOptions) {
        let node = other().node;
        self.relations
            .spawn_request(node, mine(number), options, EPOCH);
    }
}

fn exit_by_link(reason: &Reason) -> Signal {
    let (from, reason) = (other(), reason.clone());
    Signal::Exit { from, reason }
}

fn exit_2(from: Pid, reason: &Reason) -> Signal {
    let reason = reason.clone();
    Signal::Exit2 { from, reason }
}

fn sees_exit(from: Pid, reason: &Reason) -> Vec<Output> {
    let reason = reason.clone();
    vec![Output::Deliver(Info::Exit { from, reason })]
}

fn ends(reason: &Reason) -> Vec<Output> {
    vec![Output::Terminate(reason.clone())]
}

fn sends(to: impl Into<Target>, signal: Signal) -> Output {
    let to = to.into();
    Output::Send { to, signal }
}

fn down(number: u32, reason: &Reason) -> Signal {
    Signal::Down {
        from: other().into(),
        reference: mine(number),
        reason: reason.clone(),
    }
}

fn sees_down(number: u32, reason: &Reason) -> Output {
    Output::Deliver(Info::Down {
        reference: mine(number),
        target: other().into(),
        reason: reason.clone(),
        tag: None,
    })
}

fn demonitors(number: u32) -> Output {
    let (from, reference) = (me(), mine(number));
    sends(other(), Signal::Demonitor { from, reference })
}

fn spawned(number: u32, is: ChildIs) -> Signal {
    let (reference, child) = (mine(number), other());
    Signal::Spawned {
        reference,
        child,
        is,
    }
}

const BOTH: ChildIs = ChildIs {
    linked: true,
    monitored: true,
};

fn with_both() -> SpawnOptions {
    SpawnOptions {
        link: true,
        monitor: Some(MonitorOptions::default()),
        ..SpawnOptions::default()
    }
}

#[test]
fn an_exit_signal_does_what_the_manual_says_for_each_reason_and_way() {
    use reason::{kill, killed, normal};
    let bye = because("bye");
    // Reason; what ends the process: a link, exit/2, and exit/2 where it traps.
    let table = [
        (normal(), [None, None, None]),
        (bye.clone(), [Some(bye.clone()), Some(bye), None]),
        (kill(), [Some(kill()), Some(killed()), Some(killed())]),
        (killed(), [Some(killed()), Some(killed()), None]),
    ];
    for (reason, [by_link, by_exit_2, by_exit_2_trapping]) in table {
        let ends = |reason: Option<Reason>| reason.map_or(vec![], |reason| ends(&reason));
        let (link, exit_2) = (exit_by_link(&reason), exit_2(other(), &reason));
        assert_eq!(Process::new().linked().hears(link.clone()), ends(by_link));
        assert_eq!(Process::new().hears(exit_2.clone()), ends(by_exit_2));
        let trapping = Process::trapping().linked().hears(link);
        assert_eq!(trapping, sees_exit(other(), &reason));
        let trapping = Process::trapping().hears(exit_2);
        match by_exit_2_trapping {
            Some(_) => assert_eq!(trapping, ends(by_exit_2_trapping)),
            None => assert_eq!(trapping, sees_exit(other(), &reason)),
        }
    }
}

#[test]
fn normal_ends_a_process_that_sends_it_to_itself_unless_it_traps() {
    let normal = reason::normal();
    assert_eq!(Process::new().hears(exit_2(me(), &normal)), ends(&normal));
    let trapping = Process::trapping().hears(exit_2(me(), &normal));
    assert_eq!(trapping, sees_exit(me(), &normal));
}

#[test]
fn a_kept_process_neither_ends_by_exit_signals_nor_sees_them() {
    let mut process = Process::new().linked();
    process.relations.keep();
    assert_eq!(process.hears(exit_by_link(&because("bye"))), []);
    assert_eq!(process.hears(exit_2(other(), &reason::kill())), []);
    assert!(!process.relations.is_linked(other()));
}

#[test]
fn nothing_is_seen_after_a_process_was_told_to_end() {
    let mut process = Process::new();
    process.monitors(1, None);
    assert_eq!(
        process.hears(exit_2(other(), &reason::kill())),
        ends(&reason::killed())
    );
    assert_eq!(process.hears(exit_2(other(), &because("bye"))), [], "I3");
    assert_eq!(process.hears(down(1, &because("bye"))), [], "I3");
}

#[test]
fn a_link_to_oneself_is_nothing() {
    let mut process = Process::new();
    process.relations.link(me(), Epoch::LOCAL, &mut process.out);
    assert_eq!(process.answers(), []);
    process.hears(Signal::Link { from: me() });
    assert_eq!(process.relations.links().count(), 0);
    assert_eq!(process.relations.exit(because("bye")).count(), 0);
}

#[test]
fn a_second_link_says_nothing_and_an_unlink_without_a_link_neither() {
    let mut process = Process::new();
    process.relations.link(other(), EPOCH, &mut process.out);
    assert_eq!(
        process.answers(),
        [sends(other(), Signal::Link { from: me() })]
    );
    process.relations.link(other(), EPOCH, &mut process.out);
    assert_eq!(process.answers(), []);
    assert!(process.relations.unlink(other(), EPOCH, &mut process.out));
    assert_eq!(process.answers().len(), 1);
    assert!(!process.relations.unlink(other(), EPOCH, &mut process.out));
    assert_eq!(process.answers(), []);
}

#[test]
fn an_unlink_is_acknowledged_with_its_id_even_without_a_link() {
    let id = NonZeroU64::new(77).unwrap();
    let unlink = Signal::Unlink { from: other(), id };
    let ack = sends(other(), Signal::UnlinkAck { from: me(), id });
    assert_eq!(Process::new().hears(unlink), [ack]);
}

#[test]
fn ids_of_unlinks_are_not_used_again() {
    let mut process = Process::new();
    let mut ids = Vec::new();
    for _ in 0..3 {
        process.relations.link(other(), EPOCH, &mut process.out);
        process.answers();
        process.relations.unlink(other(), EPOCH, &mut process.out);
        for output in process.answers() {
            if let Output::Send {
                signal: Signal::Unlink { id, .. },
                ..
            } = output
            {
                process.hears(Signal::UnlinkAck { from: other(), id });
                ids.push(id.get());
            }
        }
        assert_eq!(process.relations.held_by_others(), 0);
    }
    assert_eq!(ids, [1, 2, 3], "I4");
}

#[test]
fn the_dead_answer_links_unlinks_monitors_and_children_and_nothing_else() {
    let dead = Target::Pid(me());
    let noproc = reason::noproc();
    let exit = |from| Signal::Exit {
        from,
        reason: noproc.clone(),
    };
    let answer = |signal| refuse(&dead, &signal, &noproc).collect::<Vec<_>>();
    let link = Signal::Link { from: other() };
    assert_eq!(answer(link), [(other(), exit(me()))]);
    let id = NonZeroU64::MIN;
    let ack = Signal::UnlinkAck { from: me(), id };
    let unlink = Signal::Unlink { from: other(), id };
    assert_eq!(answer(unlink), [(other(), ack)]);
    let (from, reference) = (me(), mine(1));
    let demonitor = Signal::Demonitor { from, reference };
    let untied = [(other(), exit(me())), (other(), demonitor)];
    assert_eq!(answer(spawned(1, BOTH)), untied);
    assert_eq!(answer(spawned(1, ChildIs::default())), []);
    assert_eq!(answer(exit_2(other(), &noproc)), []);
    assert_eq!(answer(down(1, &noproc)), []);
}

#[test]
fn a_monitor_of_a_name_that_nobody_has_fires_with_that_name() {
    let target = Target::Name(atom!("server"), other().node);
    let mut process = Process::new();
    let options = MonitorOptions::default();
    process
        .relations
        .monitor(target.clone(), mine(1), options, EPOCH, &mut process.out);
    let asked = process.answers().pop();
    let Some(Output::Send { to, signal }) = asked else {
        panic!("{asked:?}");
    };
    assert_eq!(to, target);
    let mut answers = refuse(&to, &signal, &reason::noproc());
    let (to, answer) = answers.next().unwrap();
    assert_eq!(to, me());
    let seen = Info::Down {
        reference: mine(1),
        target,
        reason: reason::noproc(),
        tag: None,
    };
    assert_eq!(process.hears(answer.clone()), [Output::Deliver(seen)]);
    assert_eq!(process.hears(answer), [], "I2");
}

#[test]
fn a_monitor_fires_with_its_tag_and_only_by_the_node_it_watches() {
    let mut process = Process::new();
    let tag = Some(Box::new(Term::from(5)));
    let options = MonitorOptions {
        tag: tag.clone(),
        ..MonitorOptions::default()
    };
    process
        .relations
        .monitor(other().into(), mine(1), options, EPOCH, &mut process.out);
    process.answers();
    let forged = Signal::Down {
        from: Target::Pid(pid(node("mallory@otp"), 2)),
        reference: mine(1),
        reason: because("forged"),
    };
    assert_eq!(process.hears(forged), []);
    let seen = Info::Down {
        reference: mine(1),
        target: other().into(),
        reason: because("bye"),
        tag,
    };
    assert_eq!(
        process.hears(down(1, &because("bye"))),
        [Output::Deliver(seen)]
    );
}

#[test]
fn demonitor_says_whether_a_down_may_have_been_delivered() {
    let mut process = Process::new();
    process.monitors(1, None);
    assert!(process.relations.demonitor(&mine(1), &mut process.out));
    assert_eq!(process.answers(), [demonitors(1)]);
    assert_eq!(process.hears(down(1, &because("bye"))), [], "I2");
    process.monitors(2, None);
    assert_eq!(process.hears(down(2, &because("bye"))).len(), 1);
    assert!(!process.relations.demonitor(&mine(2), &mut process.out));
    assert_eq!(process.answers(), []);
    assert_eq!(process.relations.held(), 0);
}

#[test]
fn a_process_that_monitors_itself_has_neither_monitor_nor_alias() {
    let mut process = Process::new();
    let options = || MonitorOptions {
        alias: Some(AliasMode::ExplicitUnalias),
        ..MonitorOptions::default()
    };
    process
        .relations
        .monitor(me().into(), mine(1), options(), EPOCH, &mut process.out);
    assert_eq!(process.answers(), []);
    let name = Target::Name(atom!("me"), me().node);
    process
        .relations
        .monitor(name, mine(2), options(), EPOCH, &mut process.out);
    let Some(Output::Send { signal, .. }) = process.answers().pop() else {
        panic!("a name may be anybody's");
    };
    assert_eq!(process.hears(signal), []);
    assert!(!process.gets_by_alias(1) && !process.gets_by_alias(2));
    assert_eq!(
        (process.relations.held(), process.relations.held_by_others()),
        (0, 0)
    );
}

#[test]
fn a_local_name_is_demonitored_at_the_process_that_had_it() {
    let holder = pid(me().node, 9);
    let mut process = Process::new();
    let options = MonitorOptions {
        holder: Some(holder),
        ..MonitorOptions::default()
    };
    let target = Target::Name(atom!("server"), me().node);
    let out = &mut process.out;
    process
        .relations
        .monitor(target, mine(1), options, Epoch::LOCAL, out);
    process.relations.demonitor(&mine(1), out);
    let to = |output: &Output| match output {
        Output::Send { to, .. } => Some(to.clone()),
        _ => None,
    };
    let addressees: Vec<_> = process.answers().iter().map(to).collect();
    assert_eq!(addressees, [Some(holder.into()), Some(holder.into())]);
}

#[test]
fn a_peer_cannot_touch_the_monitors_of_another() {
    let watcher = other();
    let of_watcher = reference(watcher.node, 1);
    let mallory = pid(node("mallory@otp"), 3);
    let monitor = |from| Signal::Monitor {
        from,
        reference: of_watcher,
        name: None,
    };
    let mut process = Process::new();
    process.hears(monitor(watcher));
    process.hears(monitor(mallory));
    process.hears(Signal::Demonitor {
        from: mallory,
        reference: of_watcher,
    });
    assert!(process.relations.monitored_by().eq([watcher]));
    process.hears(Signal::Demonitor {
        from: watcher,
        reference: of_watcher,
    });
    assert_eq!(process.relations.monitored_by().count(), 0);
}

#[test]
fn the_end_is_told_once_to_each_link_and_monitor_and_takes_back_what_was_held() {
    let mut process = Process::new().linked();
    let (watcher, of_watcher) = (pid(other().node, 5), reference(other().node, 5));
    process.hears(Signal::Monitor {
        from: watcher,
        reference: of_watcher,
        name: Some(atom!("server")),
    });
    process.monitors(1, None);
    process.relations.alias(mine(2), AliasMode::ExplicitUnalias);
    let reason = because("bye");
    let told: Vec<Farewell> = process.relations.exit(reason.clone()).collect();
    let send = |to: Pid, signal| Farewell::Send {
        to: to.into(),
        signal,
    };
    let from = Target::Name(atom!("server"), me().node);
    let exit = Signal::Exit {
        from: me(),
        reason: reason.clone(),
    };
    let down = Signal::Down {
        from,
        reference: of_watcher,
        reason,
    };
    let demonitor = Signal::Demonitor {
        from: me(),
        reference: mine(1),
    };
    assert_eq!(
        told,
        [
            send(other(), exit),
            send(watcher, down),
            send(other(), demonitor)
        ]
    );
}

#[test]
fn one_reason_is_shared_by_all_who_are_told() {
    let mut process = Process::new();
    for id in 0..100_000 {
        process.hears(Signal::Link {
            from: pid(other().node, id),
        });
    }
    let reason = because("bye");
    let told: Vec<Farewell> = process.relations.exit(reason.clone()).collect();
    assert_eq!((told.len(), reason.holders()), (100_000, Some(100_001)));
}

#[test]
fn a_lost_node_ends_every_tie_with_it_and_no_other() {
    let (near, far) = (pid(node("near@otp"), 7), other());
    let mut process = Process::trapping();
    for from in [near, far] {
        process.hears(Signal::Link { from });
        process.hears(Signal::Monitor {
            from,
            reference: reference(from.node, 1),
            name: None,
        });
    }
    process.monitors(1, None);
    process.asks_for_a_process(2, with_both());
    process
        .relations
        .handle_connection_lost(far.node, EPOCH, &mut process.out);
    let noconnection = reason::noconnection();
    let failed = Info::SpawnFailed {
        reference: mine(2),
        reason: atom!("noconnection"),
        tag: None,
    };
    let mut expected = sees_exit(far, &noconnection);
    expected.extend([sees_down(1, &noconnection), Output::Deliver(failed)]);
    assert_eq!(process.answers(), expected);
    assert!(process.relations.links().eq([near]));
    assert!(process.relations.monitored_by().eq([near]));
    assert_eq!(process.relations.held(), 0);
}

#[test]
fn a_lost_connection_ends_no_tie_made_over_a_later_one() {
    let mut process = Process::trapping();
    let (to, later) = (other(), Epoch(EPOCH.0 + 1));
    let options = MonitorOptions::default();
    let out = &mut process.out;
    process.relations.link(to, later, out);
    process
        .relations
        .monitor(to.into(), mine(1), options, later, out);
    out.clear();
    process
        .relations
        .handle_connection_lost(to.node, EPOCH, out);
    assert_eq!(process.answers(), []);
    assert!(process.relations.is_linked(to));
    assert_eq!(process.relations.monitors().count(), 1);
}

#[test]
fn a_process_that_ends_by_a_lost_node_is_told_nothing_more() {
    let mut process = Process::new().linked();
    process.hears(Signal::Link {
        from: pid(other().node, 8),
    });
    process.monitors(1, None);
    process
        .relations
        .handle_connection_lost(other().node, EPOCH, &mut process.out);
    assert_eq!(process.answers(), ends(&reason::noconnection()), "I3");
}

#[test]
fn an_alias_ends_when_its_mode_says() {
    use AliasMode::{Demonitor, ExplicitUnalias, ReplyDemonitor};
    // Mode; still an alias after a message through it, a demonitor, a DOWN.
    let table = [
        (ExplicitUnalias, [true, true, true]),
        (Demonitor, [true, false, false]),
        (ReplyDemonitor, [false, false, false]),
    ];
    for (mode, expected) in table {
        let after = |act: fn(&mut Process)| {
            let mut process = Process::new();
            process.monitors(1, Some(mode));
            assert!(process.relations.is_alias(&mine(1)));
            act(&mut process);
            let remains = process.relations.is_alias(&mine(1));
            assert_eq!(process.gets_by_alias(1), remains);
            remains
        };
        let is_alias = [
            after(|process| assert!(process.gets_by_alias(1))),
            after(|process| assert!(process.relations.demonitor(&mine(1), &mut process.out))),
            after(|process| assert_eq!(process.hears(down(1, &because("bye"))).len(), 1)),
        ];
        assert_eq!(is_alias, expected, "{mode:?}");
    }
}

#[test]
fn a_reply_through_an_alias_takes_its_monitor_back() {
    let mut process = Process::new();
    process.monitors(1, Some(AliasMode::ReplyDemonitor));
    assert!(process.gets_by_alias(1));
    assert_eq!(process.answers(), [demonitors(1)]);
    assert!(!process.relations.demonitor(&mine(1), &mut process.out));
    assert!(!process.relations.unalias(&mine(1)));
    assert_eq!(process.hears(down(1, &because("bye"))), []);
    assert_eq!(process.relations.held(), 0);
}

#[test]
fn unalias_ends_the_alias_and_leaves_the_monitor() {
    let mut process = Process::new();
    process.monitors(1, Some(AliasMode::ReplyDemonitor));
    assert!(process.relations.unalias(&mine(1)));
    assert!(!process.relations.unalias(&mine(1)));
    assert!(!process.gets_by_alias(1));
    assert_eq!(
        process.hears(down(1, &because("bye"))),
        [sees_down(1, &because("bye"))]
    );
}

#[test]
fn an_alias_without_a_monitor_lasts_until_unalias_or_one_reply() {
    let mut process = Process::new();
    process.relations.alias(mine(1), AliasMode::ExplicitUnalias);
    process.relations.alias(mine(2), AliasMode::ReplyDemonitor);
    assert!(process.gets_by_alias(1) && process.gets_by_alias(1));
    assert!(process.gets_by_alias(2) && !process.gets_by_alias(2));
    assert!(process.relations.unalias(&mine(1)) && !process.gets_by_alias(1));
    assert_eq!((process.answers(), process.relations.held()), (vec![], 0));
}

#[test]
fn a_spawned_process_is_linked_and_monitored_as_its_reply_says() {
    let mut process = Process::trapping();
    process.asks_for_a_process(1, with_both());
    let seen = Info::Spawned {
        reference: mine(1),
        pid: other(),
        tag: None,
    };
    assert_eq!(process.hears(spawned(1, BOTH)), [Output::Deliver(seen)]);
    assert_eq!(process.hears(spawned(1, BOTH)), [], "a reply counts once");
    let bye = because("bye");
    assert_eq!(process.hears(exit_by_link(&bye)), sees_exit(other(), &bye));
    assert_eq!(process.hears(down(1, &bye)), [sees_down(1, &bye)]);
    assert_eq!(
        (process.relations.held(), process.relations.held_by_others()),
        (0, 0)
    );
}

#[test]
fn a_reply_that_was_not_wanted_is_not_delivered() {
    let quiet = || SpawnOptions {
        reply_on_success: false,
        reply_on_error: false,
        ..with_both()
    };
    let mut process = Process::new();
    process.asks_for_a_process(1, quiet());
    assert_eq!(process.hears(spawned(1, BOTH)), []);
    assert!(process.relations.is_linked(other()));
    process.asks_for_a_process(2, quiet());
    let failed = Signal::SpawnFailed {
        reference: mine(2),
        node: other().node,
        reason: atom!("badopt"),
    };
    assert_eq!(process.hears(failed), []);
    assert_eq!(process.relations.held(), 1);
}

#[test]
fn a_failed_request_is_told_with_its_tag_and_takes_its_alias_along() {
    let alias = Some(AliasMode::ExplicitUnalias);
    let monitor = MonitorOptions {
        alias,
        ..MonitorOptions::default()
    };
    let mut process = Process::new();
    let options = SpawnOptions {
        monitor: Some(monitor),
        reply_tag: Some(Box::new(Term::from(5))),
        ..SpawnOptions::default()
    };
    process.asks_for_a_process(1, options);
    assert!(!process.gets_by_alias(1), "not before the reply");
    let (reference, reason) = (mine(1), atom!("system_limit"));
    let failed = |node| Signal::SpawnFailed {
        reference,
        node,
        reason: reason.clone(),
    };
    assert_eq!(process.hears(failed(node("mallory@otp"))), []);
    let seen = Info::SpawnFailed {
        reference,
        reason: reason.clone(),
        tag: Some(Box::new(Term::from(5))),
    };
    assert_eq!(process.hears(failed(other().node)), [Output::Deliver(seen)]);
    assert!(!process.gets_by_alias(1));
    assert_eq!(process.relations.held(), 0);
}

#[test]
fn an_abandoned_request_is_undone_when_its_reply_comes() {
    let mut process = Process::new();
    process.asks_for_a_process(1, with_both());
    assert!(
        !process.relations.demonitor(&mine(1), &mut process.out),
        "no monitor yet"
    );
    assert!(process.relations.abandon(&mine(1)));
    assert!(!process.relations.abandon(&mine(1)));
    let (from, reason) = (me(), reason::abandoned());
    let exit = sends(other(), Signal::Exit2 { from, reason });
    let id = NonZeroU64::MIN;
    let unlink = sends(other(), Signal::Unlink { from, id });
    let told = process.hears(spawned(1, BOTH));
    assert_eq!(told, [exit, unlink, demonitors(1)]);
    assert!(!process.relations.is_linked(other()));
    process.hears(Signal::UnlinkAck { from: other(), id });
    assert_eq!(
        (process.relations.held(), process.relations.held_by_others()),
        (0, 0)
    );
}

#[test]
fn abandoning_a_request_leaves_the_link_that_its_parent_made_itself() {
    let mut process = Process::new();
    process.asks_for_a_process(1, with_both());
    process.relations.abandon(&mine(1));
    process.relations.link(other(), EPOCH, &mut process.out);
    process.answers();
    let (from, reason) = (me(), reason::abandoned());
    let exit = sends(other(), Signal::Exit2 { from, reason });
    assert_eq!(process.hears(spawned(1, BOTH)), [exit, demonitors(1)]);
    assert!(process.relations.is_linked(other()));
}

#[test]
fn a_request_that_was_answered_or_lost_cannot_be_abandoned() {
    let mut process = Process::new();
    process.asks_for_a_process(1, with_both());
    process.hears(spawned(1, BOTH));
    assert!(!process.relations.abandon(&mine(1)));
    process.asks_for_a_process(2, SpawnOptions::default());
    process.relations.abandon(&mine(2));
    process.answers();
    let mut out = Vec::new();
    process
        .relations
        .handle_connection_lost(other().node, Epoch(0), &mut out);
    assert_eq!(process.relations.held(), 2, "an earlier connection");
    process.relations.set_trap_exit(true);
    process
        .relations
        .handle_connection_lost(other().node, EPOCH, &mut out);
    assert_eq!(
        out.len(),
        2,
        "an exit and a DOWN, and nothing of what was abandoned: {out:?}"
    );
    assert_eq!(process.relations.held(), 0);
}

#[test]
fn a_child_whose_parent_ended_before_the_reply_is_told_why() {
    let mut process = Process::new();
    process.asks_for_a_process(1, with_both());
    process.asks_for_a_process(2, SpawnOptions::default());
    process.asks_for_a_process(3, with_both());
    process.relations.abandon(&mine(3));
    let reason = because("bye");
    let left: Vec<Farewell> = process.relations.exit(reason.clone()).collect();
    let node = other().node;
    let orphan = |number, reason| Farewell::Orphan {
        reference: mine(number),
        node,
        reason,
    };
    assert_eq!(
        left,
        [orphan(1, reason.clone()), orphan(3, reason::abandoned())]
    );
    let exit = Signal::Exit {
        from: me(),
        reason: reason.clone(),
    };
    let mut answers = refuse(&me().into(), &spawned(1, BOTH), &reason);
    assert_eq!(answers.next(), Some((other(), exit)));
}

#[test]
fn a_process_spawned_here_is_tied_without_a_word() {
    let child = pid(me().node, 9);
    let mut parent = Process::trapping();
    let options = MonitorOptions::default();
    parent
        .relations
        .spawned(child, true, Some((mine(1), options)));
    let mut of_child = Relations::new(child);
    let (from, reference) = (me(), mine(1));
    let (link, monitor) = (
        Signal::Link { from },
        Signal::Monitor {
            from,
            reference,
            name: None,
        },
    );
    of_child.handle_signal(link, Epoch::LOCAL, &mut parent.out);
    of_child.handle_signal(monitor, Epoch::LOCAL, &mut parent.out);
    assert_eq!(parent.answers(), []);
    for farewell in of_child.exit(because("bye")) {
        let Farewell::Send { to, signal } = farewell else {
            panic!("{farewell:?}");
        };
        assert_eq!(to, me().into());
        parent
            .relations
            .handle_signal(signal, Epoch::LOCAL, &mut parent.out);
    }
    assert_eq!(parent.answers().len(), 2);
}

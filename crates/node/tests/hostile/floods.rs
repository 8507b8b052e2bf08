//! A peer that keeps the protocol and asks for more than is good: each table and queue has a bound.

use purlin_node::{Atom, Delivery, Flags, Mailbox, Pid, Term, atom};

use crate::attacker::{
    Attacker, MALLORY, bytes, control, framed, link, message, monitor, pid, reference, reg_send,
    spawn_request,
};
use crate::dialled::listen;
use crate::lab::{Expected, Lab, MEMORY, MIB, PATIENCE, name, run, run_with};

const CLOSING: &str = "closing the connection: ";

/// A pid of the victim that nobody has.
fn dead(lab: &Lab) -> Pid {
    Pid {
        node: lab.victim.name(),
        creation: lab.victim.creation(),
        id: 1 << 27,
        serial: 0,
    }
}

/// A process that lives and never receives.
fn deaf(lab: &Lab) -> Pid {
    let deaf = lab.victim.spawn(|mailbox: Mailbox| async move {
        let _mailbox = mailbox;
        std::future::pending::<()>().await
    });
    deaf.unwrap()
}

/// Sends these frames and reads nothing; the victim closes for that reason.
fn unread(memory: usize, warning: &str, frame: impl Fn(&Lab, u32) -> Vec<u8>) {
    run(async |lab| {
        let mut mallory = Attacker::connect(lab).await;
        let still_open = mallory.flood((0..20_000_000).map(|n| frame(lab, n))).await;
        assert!(!still_open, "the victim bears everything");
        mallory.closed().await;
        lab.assert(&Expected {
            warnings: &[&format!("{CLOSING}{warning}")],
            memory,
        });
    });
}

#[test]
fn monitors_of_the_dead_by_a_peer_that_does_not_read() {
    unread(600 * MIB, "it does not read what it is sent", |lab, n| {
        monitor(pid(1), dead(lab).into(), reference(n))
    });
}

#[test]
fn links_to_the_dead_by_a_peer_that_does_not_read() {
    unread(600 * MIB, "it does not read what it is sent", |lab, n| {
        link(pid(n), dead(lab))
    });
}

/// The services answer a peer that does not read, and still answer everybody else.
#[test]
fn pings_by_a_peer_that_does_not_read() {
    // The tag is given back, which makes the answer long.
    let long_tag = Term::string(&"tag".repeat(1000));
    unread(
        600 * MIB,
        "it does not read what it is sent",
        move |lab, n| {
            let from = Term::tuple([pid(n).into(), long_tag.clone()]);
            let request = Term::tuple([atom!("is_auth").into(), lab.victim.name().into()]);
            let call = Term::tuple([atom!("$gen_call").into(), from, request]);
            reg_send(atom!("net_kernel").into(), &bytes(&call))
        },
    );
}

/// Answers that would go to a node that takes a dial and then says nothing hold up nobody.
#[test]
fn requests_in_the_name_of_processes_elsewhere() {
    run_with(
        |victim| victim.handshake_timeout(PATIENCE),
        async |lab| {
            let (_mute, _registration) = listen(lab, "mute").await;
            let mut mallory = Attacker::connect(lab).await;
            let elsewhere = |n: u32| Pid {
                node: name("mute@127.0.0.1"),
                ..pid(n)
            };
            let to = |name: &str, message: Term| {
                reg_send(Atom::new(name).unwrap().into(), &bytes(&message))
            };
            let frames = (0..100).flat_map(|n| {
                let is_auth = Term::tuple([atom!("is_auth").into(), lab.victim.name().into()]);
                let from = Term::tuple([elsewhere(n).into(), 1.into()]);
                let call = Term::tuple([atom!("$gen_call").into(), from, is_auth]);
                let features = Term::tuple([elsewhere(n).into(), atom!("features_request").into()]);
                let discover = Term::tuple([atom!("discover").into(), elsewhere(n).into()]);
                [
                    to("net_kernel", call),
                    to("rex", features),
                    to("pg", discover),
                ]
            });
            assert!(mallory.flood(frames.collect::<Vec<_>>()).await);
            mallory.settle(lab).await;
            lab.honest
                .ping(lab.victim.name(), PATIENCE / 4)
                .await
                .unwrap();
            let features = Term::tuple([pid(1).into(), atom!("features_request").into()]);
            mallory.write(&to("rex", features)).await;
            mallory
                .count_until(lab, b"no frame has this", b"features_reply")
                .await;
            lab.assert(&Expected {
                warnings: &[],
                memory: MEMORY,
            });
        },
    );
}

#[test]
fn monitors_of_one_live_process() {
    let warning = "it holds more than 262144 links and monitors";
    run(async |lab| {
        let deaf = deaf(lab);
        let mut mallory = Attacker::connect(lab).await;
        let frames = (0..1_000_000).map(|n| monitor(pid(1), deaf.into(), reference(n)));
        assert!(!mallory.flood(frames).await, "the victim bears everything");
        mallory.closed().await;
        assert!(lab.victim.is_process_alive(deaf));
        lab.assert(&Expected {
            warnings: &[&format!("{CLOSING}{warning}")],
            memory: 128 * MIB,
        });
    });
}

#[test]
fn links_to_one_live_process() {
    let warning = "it holds more than 262144 links and monitors";
    run(async |lab| {
        let deaf = deaf(lab);
        let mut mallory = Attacker::connect(lab).await;
        assert!(
            !mallory
                .flood((0..1_000_000).map(|n| link(pid(n), deaf)))
                .await
        );
        mallory.closed().await;
        lab.assert(&Expected {
            warnings: &[&format!("{CLOSING}{warning}")],
            memory: 256 * MIB,
        });
    });
}

/// Whoever takes back what it asked for can go on for ever.
#[test]
fn monitors_that_are_taken_back_do_not_add_up() {
    run(async |lab| {
        let deaf = deaf(lab);
        let mut mallory = Attacker::connect(lab).await;
        let frames = (0..300_000).flat_map(|n| {
            let back = [20.into(), pid(1).into(), deaf.into(), reference(n).into()];
            let unlink = [4.into(), pid(n).into(), deaf.into()];
            [
                monitor(pid(1), deaf.into(), reference(n)),
                message(&control(back), &[]),
                link(pid(n), deaf),
                message(&control(unlink), &[]),
            ]
        });
        assert!(mallory.flood(frames).await, "the connection is open");
        mallory.settle(lab).await;
        lab.assert(&Expected {
            warnings: &[],
            memory: MEMORY,
        });
    });
}

/// One reference for many monitors would hide all but one of them.
#[test]
fn a_reference_that_is_used_for_two_monitors() {
    run(async |lab| {
        let (one, other) = (deaf(lab), deaf(lab));
        let mut mallory = Attacker::connect(lab).await;
        for watched in [one, other] {
            mallory
                .write(&monitor(pid(1), watched.into(), reference(1)))
                .await;
        }
        mallory.closed().await;
        lab.assert(&Expected {
            warnings: &[&format!("{CLOSING}it used the reference of a monitor")],
            memory: MEMORY,
        });
    });
}

/// A mailbox outside of processes handles signals when it receives, and this one does not.
#[test]
fn signals_to_a_mailbox_that_nobody_receives_from() {
    run(async |lab| {
        let idle = lab.victim.attach().unwrap();
        let mut mallory = Attacker::connect(lab).await;
        let frames = (0..2_000_000).flat_map(|_| {
            let unlink = [4.into(), pid(1).into(), idle.pid().into()];
            [link(pid(1), idle.pid()), message(&control(unlink), &[])]
        });
        assert!(!mallory.flood(frames).await, "the victim bears everything");
        mallory.closed().await;
        assert!(lab.victim.is_process_alive(idle.pid()));
        lab.assert(&Expected {
            warnings: &[&format!("{CLOSING}more than 1048576 signals wait")],
            memory: 300 * MIB,
        });
    });
}

/// Signals that claim to come from a third node.
#[test]
fn signals_in_the_name_of_another_node() {
    let stolen = Pid {
        node: name("honest@127.0.0.1"),
        ..pid(1)
    };
    let forgeries: [fn(Pid, Pid) -> Vec<u8>; 5] = [
        |stolen, to| link(stolen, to),
        |stolen, to| monitor(stolen, to.into(), reference(1)),
        |stolen, to| {
            message(
                &control([3.into(), stolen.into(), to.into(), 1.into()]),
                &[],
            )
        },
        |stolen, to| message(&control([4.into(), stolen.into(), to.into()]), &[]),
        |stolen, to| {
            let reference = purlin_node::Reference::new(stolen.node, 7, &[1]).unwrap();
            monitor(pid(1), to.into(), reference)
        },
    ];
    for forgery in forgeries {
        run(async |lab| {
            let deaf = deaf(lab);
            let mut mallory = Attacker::connect(lab).await;
            mallory.write(&forgery(stolen, deaf)).await;
            mallory.closed().await;
            lab.assert(&Expected {
                warnings: &[&format!("{CLOSING}it spoke for honest@127.0.0.1")],
                memory: MEMORY,
            });
        });
    }
}

/// Calls that never return: those past the limit are refused, the others go on.
#[test]
fn more_processes_than_a_peer_may_have() {
    run(async |lab| {
        lab.victim
            .export("demo", "forever", std::future::pending::<()>);
        let mut mallory = Attacker::connect_as(lab, MALLORY, Flags::FRAGMENTS_ONLY).await;
        let forever = || [atom!("demo").into(), atom!("forever").into()];
        let before = lab.victim.processes().len();
        // The answers fit into the buffers of the sockets and the queue.
        assert!(
            mallory
                .flood((0..40_000).map(|n| spawn_request(n, forever(), &[])))
                .await
        );
        // Refusals come in order; the last one ends the count and is not in it.
        let last = 39_999_u32.to_be_bytes();
        let refused = mallory.count_until(lab, b"system_limit", &last).await;
        assert_eq!(refused + 1, 40_000 - 32_768);
        let running = lab.victim.processes().len() - before;
        assert!(running >= 32_768, "{running}");
        lab.assert(&Expected {
            warnings: &["started as many processes as it may"],
            memory: 320 * MIB,
        });
    });
}

/// Calls through `rex`, the older way.
#[test]
fn more_calls_than_rex_runs_at_once() {
    run(async |lab| {
        lab.victim
            .export("demo", "forever", std::future::pending::<()>);
        let mut mallory = Attacker::connect_as(lab, MALLORY, Flags::FRAGMENTS_ONLY).await;
        let call = Term::tuple([
            atom!("call").into(),
            atom!("demo").into(),
            atom!("forever").into(),
            Term::nil(),
            pid(1).into(),
        ]);
        let call = bytes(&Term::tuple([pid(1).into(), call]));
        let frames = (0..20_000).map(|_| reg_send(atom!("rex").into(), &call));
        assert!(mallory.flood(frames).await);
        // `rex` refuses after all frames before it are handled, so it is asked itself.
        let features = Term::tuple([pid(1).into(), atom!("features_request").into()]);
        mallory
            .write(&reg_send(atom!("rex").into(), &bytes(&features)))
            .await;
        let refused = mallory
            .count_until(lab, b"system_limit", b"features_reply")
            .await;
        assert_eq!(refused, 20_000 - 16_384);
        lab.assert(&Expected {
            warnings: &[],
            memory: 300 * MIB,
        });
    });
}

/// Small messages to a process that does not receive: the mailbox is full at some point.
#[test]
fn messages_to_a_process_that_does_not_receive() {
    run(async |lab| {
        let deaf = deaf(lab);
        lab.victim.register(atom!("deaf"), deaf).unwrap();
        let mut mallory = Attacker::connect(lab).await;
        let frame = reg_send(atom!("deaf").into(), &[97, 1]);
        assert!(mallory.flood((0..1_200_000).map(|_| frame.clone())).await);
        mallory.settle(lab).await;
        lab.assert(&Expected {
            warnings: &[
                "a message queue is long",
                "a mailbox is full: what is sent to it is refused",
            ],
            memory: 400 * MIB,
        });
    });
}

/// Messages just long enough to be slices of what they were read into, far apart.
#[test]
fn messages_that_pin_what_they_were_read_into() {
    run(async |lab| {
        let deaf = deaf(lab);
        lab.victim.register(atom!("deaf"), deaf).unwrap();
        let mut mallory = Attacker::connect(lab).await;
        let binary = |len: u32| [&[109], &len.to_be_bytes()[..], &vec![7; len as usize]].concat();
        let kept = reg_send(atom!("deaf").into(), &binary(5_000));
        let gone = reg_send(atom!("nobody").into(), &binary(60_000));
        let both = [kept, gone].concat();
        assert!(mallory.flood((0..8_000).map(|_| both.clone())).await);
        mallory.settle(lab).await;
        // Twice the 40 MB that are kept.
        lab.assert(&Expected {
            warnings: &[],
            memory: 80 * MIB,
        });
    });
}

/// Messages whose bytes are few and whose atoms are many and long.
#[test]
fn messages_of_long_atoms() {
    run(async |lab| {
        let deaf = deaf(lab);
        lab.victim.register(atom!("deaf"), deaf).unwrap();
        let mut mallory = Attacker::connect(lab).await;
        let long = "\u{1F980}".repeat(250);
        let mut number = 0_u32;
        let frames = (0..3_000).map(|_| {
            let mut body = vec![131, 68, 255];
            body.extend([0x88; 127]);
            body.push(0x18);
            for slot in 0..255 {
                number += 1;
                let text = format!("{number}{long}");
                let text: String = text.chars().take(250).collect();
                body.push(slot);
                body.extend((text.len() as u16).to_be_bytes());
                body.extend(text.as_bytes());
            }
            let to = atom!("deaf").into();
            body.extend(bytes(&control([
                6.into(),
                pid(1).into(),
                atom!("").into(),
                to,
            ])));
            body.extend([104, 255]);
            body.extend((0..255).flat_map(|reference| [82, reference]));
            framed(&body)
        });
        assert!(mallory.flood(frames).await);
        mallory.settle(lab).await;
        lab.assert(&Expected {
            warnings: &["a mailbox is full: what is sent to it is refused"],
            memory: 700 * MIB,
        });
    });
}

/// A process that traps exits and does not receive.
fn trapping(lab: &Lab) -> Pid {
    let trapping = lab.victim.spawn(|mailbox: Mailbox| async move {
        mailbox.trap_exit(true);
        std::future::pending::<()>().await
    });
    trapping.unwrap()
}

#[test]
fn exit_signals_to_a_process_that_does_not_receive() {
    run(async |lab| {
        let trapping = trapping(lab);
        tokio::task::yield_now().await;
        let mut mallory = Attacker::connect(lab).await;
        let exit = control([26.into(), pid(1).into(), trapping.into()]);
        let reason = bytes(&Term::list((0..8000).map(|n| Term::tuple([Term::Int(n)]))));
        let frame = message(&exit, &reason);
        assert!(mallory.flood((0..5_000).map(|_| frame.clone())).await);
        mallory.settle(lab).await;
        assert!(lab.victim.is_process_alive(trapping));
        lab.assert(&Expected {
            warnings: &[],
            memory: 800 * MIB,
        });
    });
}

/// A reason of 60 MB ends the process, and reaches who is linked to it.
#[test]
fn an_exit_signal_with_a_huge_reason() {
    run(async |lab| {
        let victim = deaf(lab);
        let mut linked = lab.victim.attach().unwrap();
        linked.monitor(victim);
        let mut mallory = Attacker::connect(lab).await;
        let exit = control([26.into(), pid(1).into(), victim.into()]);
        let len = 60_u32 << 20;
        let reason = [&[109], &len.to_be_bytes()[..], &vec![0; len as usize]].concat();
        mallory.write(&message(&exit, &reason)).await;
        let Delivery::Down { reason, .. } = linked.receive().await else {
            panic!("a DOWN")
        };
        assert_eq!(reason.as_binary().map(<[u8]>::len), Some(len as usize));
        lab.assert(&Expected {
            warnings: &[],
            memory: 400 * MIB,
        });
    });
}

/// Exit signals to the node's own services, `kill` included: they stay.
#[test]
fn services_do_not_end_by_exit_signals() {
    run(async |lab| {
        let mut mallory = Attacker::connect(lab).await;
        for name in [
            "net_kernel",
            "rex",
            "pg",
            "logger_proxy",
            "global_name_server",
        ] {
            let service = lab.victim.whereis(Atom::new(name).unwrap()).unwrap();
            let kill = control([26.into(), pid(1).into(), service.into()]);
            mallory
                .write(&message(&kill, &bytes(&atom!("kill").into())))
                .await;
            mallory.write(&link(pid(1), service)).await;
            let exit = control([24.into(), pid(1).into(), service.into()]);
            mallory
                .write(&message(&exit, &bytes(&atom!("boom").into())))
                .await;
            mallory.settle(lab).await;
            assert!(lab.victim.is_process_alive(service), "{name} ended");
        }
        lab.assert(&Expected {
            warnings: &[],
            memory: MEMORY,
        });
    });
}

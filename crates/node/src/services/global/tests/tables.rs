//! The tables as callers see them: locks, names, delayed `whereis`.

use purlin_term::Term;

use super::{ask, atom, call, global, list, ms, node, outputs, pid, tuple};
use crate::services::global::Output;

#[test]
fn a_lock_excludes_other_requesters_and_counts_its_holders() {
    let mut global = global("a@tables");
    let (p1, p2, p3) = (pid("b@tables", 1), pid("b@tables", 2), pid("c@tables", 3));
    let mine = tuple!["resource", "me"];
    let yours = tuple!["resource", "you"];
    let mut set = |caller, id: &Term| ask(&mut global, ms(0), caller, tuple!["set_lock", id]);
    assert_eq!(set(p1, &mine), Some(true.into()));
    assert_eq!(set(p1, &mine), Some(true.into()));
    assert_eq!(set(p2, &mine), Some(true.into()));
    assert_eq!(set(p3, &yours), Some(false.into()));

    let mut del = |caller, id: &Term| ask(&mut global, ms(0), caller, tuple!["del_lock", id]);
    assert_eq!(del(p3, &yours), Some(true.into()));
    assert_eq!(del(p3, &mine), Some(true.into()));
    assert_eq!(del(p1, &mine), Some(true.into()));
    assert_eq!(global.lock_count(), 1);
    global.handle_down(ms(1), p2);
    assert_eq!(global.lock_count(), 0);
}

#[test]
fn a_holder_is_monitored_once_and_demonitored_when_nothing_is_left() {
    let mut global = global("a@tables");
    let p = pid("b@tables", 1);
    let requests = [
        tuple!["set_lock", tuple!["r1", "q"]],
        tuple!["set_lock", tuple!["r2", "q"]],
        tuple!["register", "name", p, "method"],
        tuple!["del_lock", tuple!["r1", "q"]],
        tuple!["del_lock", tuple!["r2", "q"]],
        tuple!["unregister", "name"],
    ];
    for request in requests {
        global.handle_message(ms(0), Some(p), &call(p, request));
    }
    let outputs = outputs(&mut global);
    let monitors = |wanted: &Output| outputs.iter().filter(|output| *output == wanted).count();
    assert_eq!(monitors(&Output::Monitor(p)), 1);
    assert_eq!(monitors(&Output::Demonitor(p)), 1);
    assert!(!matches!(outputs.first(), Some(Output::Demonitor(_))));
}

#[test]
fn names_are_registered_replaced_and_removed_with_their_process() {
    let mut global = global("a@tables");
    let (p1, p2) = (pid("b@tables", 1), pid("b@tables", 2));
    let register = |name: &str, p| tuple!["register", name, p, "method"];
    assert_eq!(
        ask(&mut global, ms(0), p1, register("one", p1)),
        Some(atom("yes"))
    );
    assert_eq!(
        ask(&mut global, ms(0), p1, register("two", p1)),
        Some(atom("yes"))
    );
    assert_eq!(
        ask(&mut global, ms(0), p1, register("two", p2)),
        Some(atom("yes"))
    );
    assert_eq!(global.whereis(&atom("two")), Some(p2));
    global.handle_down(ms(0), p1);
    assert_eq!(
        global.registered_names().collect::<Vec<_>>(),
        [&atom("two")]
    );
    assert_eq!(
        ask(&mut global, ms(0), p1, tuple!["unregister", "two"]),
        Some(atom("ok"))
    );
    assert_eq!(global.whereis(&atom("two")), None);
}

#[test]
fn a_name_registered_without_the_lock_that_another_holds_does_not_stay() {
    let mut global = global("a@tables");
    let (holder, other) = (pid("b@tables", 1), pid("b@tables", 2));
    ask(
        &mut global,
        ms(0),
        holder,
        tuple!["set_lock", tuple!["global", holder]],
    );
    ask(
        &mut global,
        ms(0),
        other,
        tuple!["register", "name", other, "method"],
    );
    assert_eq!(global.whereis(&atom("name")), None);
    ask(
        &mut global,
        ms(0),
        holder,
        tuple!["register", "name", holder, "method"],
    );
    assert_eq!(global.whereis(&atom("name")), Some(holder));
    // The holder died with the lock: what it sent before may still be under way.
    global.handle_down(ms(0), holder);
    ask(
        &mut global,
        ms(0),
        other,
        tuple!["register", "late", other, "method"],
    );
    assert_eq!(global.whereis(&atom("late")), None);
}

#[test]
fn whereis_waits_for_the_global_lock() {
    let mut global = global("a@tables");
    let (p, asker) = (pid("b@tables", 1), pid("b@tables", 2));
    let lock = tuple!["global", p];
    ask(&mut global, ms(0), p, tuple!["set_lock", &lock]);
    ask(
        &mut global,
        ms(0),
        p,
        tuple!["register", "name", p, "method"],
    );
    let request = tuple!["whereis", "name", tuple![asker, "tag"]];
    global.handle_message(ms(0), Some(asker), &request);
    assert!(outputs(&mut global).is_empty());
    global.handle_message(ms(0), Some(p), &call(p, tuple!["del_lock", &lock]));
    let answer = Output::Reply {
        to: asker,
        tag: atom("tag"),
        reply: p.into(),
    };
    assert!(outputs(&mut global).contains(&answer));
}

#[test]
fn names_of_external_processes_are_told_with_their_node() {
    let mut global = global("a@tables");
    let (p, caller) = (pid("cnode@tables", 1), pid("b@tables", 1));
    let request = tuple!["register_ext", "name", p, "method", node("b@tables")];
    assert_eq!(ask(&mut global, ms(0), caller, request), Some(atom("yes")));
    let externals = list![tuple!["name", p, node("b@tables")]];
    assert_eq!(
        ask(&mut global, ms(0), caller, atom("get_names_ext")),
        Some(externals)
    );
}

#[test]
fn plain_calls_are_answered_and_unknown_ones_too() {
    let mut global = global("a@tables");
    let p = pid("b@tables", 1);
    assert_eq!(
        ask(&mut global, ms(0), p, atom("get_protocol_version")),
        Some(8.into())
    );
    assert_eq!(
        ask(&mut global, ms(0), p, atom("get_known")),
        Some(Term::nil())
    );
    assert_eq!(
        ask(&mut global, ms(0), p, atom("get_synced")),
        Some(Term::nil())
    );
    assert_eq!(
        ask(&mut global, ms(0), p, atom("registered_names")),
        Some(Term::nil())
    );
    assert_eq!(
        ask(&mut global, ms(0), p, tuple!["sync", list![]]),
        Some(atom("ok"))
    );
    let unknown = Some(tuple!["error", "unknown_request"]);
    assert_eq!(ask(&mut global, ms(0), p, atom("stop")), unknown);
    assert_eq!(ask(&mut global, ms(0), p, tuple!["frob", 1]), unknown);
    assert_eq!(global.stats().unknown, 2);
}

#[test]
fn the_two_notifying_policies_notify() {
    let mut global = global("a@tables");
    let (low, high) = (pid("a@tables", 1), pid("b@tables", 1));
    let method = |function: &'static str| {
        Term::from(purlin_term::Export {
            module: purlin_term::atom!("global"),
            function: purlin_term::Atom::new(function).unwrap(),
            arity: 3,
        })
    };
    let name = atom("name");
    let kept = global.resolve_it(&method("random_notify_name"), &name, high, low);
    assert_eq!(kept, low.into());
    let message = tuple!["global_name_conflict", "name"];
    assert_eq!(
        outputs(&mut global),
        [Output::SendPid { to: high, message }]
    );

    let kept = global.resolve_it(&method("notify_all_name"), &name, high, low);
    assert_eq!(kept, atom("none"));
    let conflict = |to: purlin_term::Pid, other| Output::SendPid {
        to,
        message: tuple!["global_name_conflict", "name", other],
    };
    assert_eq!(
        outputs(&mut global),
        [conflict(high, low), conflict(low, high)]
    );
}

//! Event managers as their users know them.

mod support;

use purlin_behaviours::gen_event::{
    EventError, EventHandler, GenEvent, HandleQuery, HandlerContext, HandlerExit, Removed,
};
use purlin_behaviours::{GenServer, Request, ServerOptions, ServerRef};
use purlin_runtime::{Attached, Process, Raw, Runtime};
use purlin_term::{EncodedTerm, Pid, Term, atom};
use serde::{Deserialize, Serialize};
use support::{ask_sys, runtime};
use tokio::sync::mpsc;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Alarm {
    Fire(u32),
    Over,
    Crash,
    Swap,
}

#[derive(Serialize, Deserialize)]
struct Count;

impl Request for Count {
    type Reply = usize;
}

#[derive(Serialize, Deserialize)]
struct Fail;

impl Request for Fail {
    type Reply = ();
}

/// Notes alarms; crashes when it is told to, and goes when they are over.
struct Notes {
    name: &'static str,
    alarms: usize,
    seen: mpsc::UnboundedSender<String>,
}

impl Notes {
    fn say(&self, what: impl std::fmt::Display) {
        let _ = self.seen.send(format!("{} {what}", self.name));
    }
}

impl EventHandler for Notes {
    type Event = Alarm;

    async fn init(&mut self, _: &mut HandlerContext<'_, Alarm>) -> Result<(), Term> {
        match self.name {
            "unwilling" => Err(atom!("my_error").into()),
            _ => Ok(()),
        }
    }

    async fn handle_event(&mut self, event: &Alarm, ctx: &mut HandlerContext<'_, Alarm>) {
        match event {
            Alarm::Fire(place) => {
                self.alarms += 1;
                self.say(place);
            }
            Alarm::Over => ctx.remove(),
            Alarm::Crash if self.name == "weak" => panic!("too weak"),
            Alarm::Crash => {}
            Alarm::Swap => {
                let name = if self.name == "last" {
                    "unwilling"
                } else {
                    "heir"
                };
                let seen = self.seen.clone();
                ctx.swap(id("swap"), id("heir"), move |left| {
                    let alarms = left.as_int().unwrap() as usize;
                    Self { name, alarms, seen }
                });
            }
        }
    }

    async fn handle_info(&mut self, message: &EncodedTerm, _: &mut HandlerContext<'_, Alarm>) {
        self.say(message.to_term().unwrap());
    }

    async fn handle_call(&mut self, query: Term, _: &mut HandlerContext<'_, Alarm>) -> Term {
        assert!(!query.is_atom("crash"), "asked to crash");
        Term::tuple([atom!("asked").into(), query])
    }

    async fn terminate(&mut self, why: &Removed, _: &mut HandlerContext<'_, Alarm>) -> Term {
        match why {
            Removed::Deleted(argument) => self.say(format_args!("deleted {argument}")),
            Removed::Swapped(argument) => self.say(format_args!("swapped {argument}")),
            Removed::ByItself => self.say("goes"),
            Removed::Stop => self.say("stops"),
            Removed::AdderEnded(reason) => self.say(format_args!("alone {reason}")),
            _ => self.say("crashed"),
        }
        (self.alarms as i64).into()
    }

    fn state(&self) -> Option<Term> {
        Some((self.alarms as i64).into())
    }
}

impl HandleQuery<Count> for Notes {
    async fn handle_query(&mut self, _: Count, _: &mut HandlerContext<'_, Alarm>) -> usize {
        self.alarms
    }
}

impl HandleQuery<Fail> for Notes {
    async fn handle_query(&mut self, _: Fail, _: &mut HandlerContext<'_, Alarm>) {
        panic!("asked to fail");
    }
}

struct Bench {
    runtime: Runtime,
    alarms: ServerRef<GenEvent<Alarm>>,
    sender: mpsc::UnboundedSender<String>,
    seen: mpsc::UnboundedReceiver<String>,
}

impl Bench {
    async fn new() -> Self {
        let runtime = runtime();
        let options = ServerOptions::default().name(atom!("alarms"));
        let alarms = GenEvent::new().start_with(&runtime, options).await.unwrap();
        let (sender, seen) = mpsc::unbounded_channel();
        Self {
            runtime,
            alarms,
            sender,
            seen,
        }
    }

    fn notes(&self, name: &'static str) -> Notes {
        let seen = self.sender.clone();
        Notes {
            name,
            alarms: 0,
            seen,
        }
    }

    async fn saw(&mut self, expected: &[&str]) {
        for expected in expected {
            assert_eq!(self.seen.recv().await.unwrap(), *expected);
        }
        assert!(self.seen.try_recv().is_err());
    }

    async fn which(&self) -> String {
        Term::list(self.alarms.which_handlers().await.unwrap()).to_string()
    }

    /// What OTP's `gen_event` sends and waits for.
    async fn ask(&self, request: Term) -> String {
        let mut asker: Attached<Raw> = self.runtime.attach().unwrap();
        let tag = Term::from(self.runtime.make_reference());
        let from = Term::tuple([asker.pid().into(), tag]);
        self.tell(Term::tuple([asker.pid().into(), from, request]))
            .await;
        let Raw(reply) = asker.receive().await.unwrap().message().unwrap();
        let [_, reply] = reply.view().as_tuple_of().unwrap();
        reply.to_term().unwrap().to_string()
    }

    async fn tell(&self, message: Term) {
        let message = Raw(EncodedTerm::encode(&message).unwrap());
        self.runtime.send(atom!("alarms"), message).await.unwrap();
    }
}

fn id(name: &'static str) -> Term {
    purlin_term::Atom::new(name).unwrap().into()
}

#[tokio::test(start_paused = true)]
async fn all_handlers_see_an_event_the_youngest_first_and_are_asked_by_type() {
    let mut bench = Bench::new().await;
    let first = bench
        .alarms
        .add_handler(id("a"), bench.notes("a"))
        .await
        .unwrap();
    let pair = Term::tuple([id("b"), 1.into()]);
    bench
        .alarms
        .add_handler(pair, bench.notes("b"))
        .await
        .unwrap();
    let unwilling = bench
        .alarms
        .add_handler(id("c"), bench.notes("unwilling"))
        .await;
    let refused = unwilling.unwrap_err().to_string();
    assert_eq!(refused, "the handler was not added: my_error");
    assert_eq!(bench.which().await, "[{b,1},a]");
    bench.alarms.notify(Alarm::Fire(1)).await.unwrap();
    bench.alarms.sync_notify(Alarm::Fire(2)).await.unwrap();
    bench.saw(&["b 1", "a 1", "b 2", "a 2"]).await;
    assert_eq!(first.call(Count).await.unwrap(), 2);
    assert_eq!(first.delete(id("bye")).await.unwrap(), Term::from(2));
    bench.saw(&["a deleted bye"]).await;
    let gone = first.delete(id("bye")).await.unwrap_err();
    assert!(matches!(gone, EventError::NoHandler), "{gone}");
    let gone = first.call(Count).await.unwrap_err();
    assert!(matches!(gone, EventError::NoHandler), "{gone}");
    bench.alarms.sync_notify(Alarm::Over).await.unwrap();
    bench.saw(&["b goes"]).await;
    assert_eq!(bench.which().await, "[]");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_is_removed_and_the_others_go_on() {
    let mut bench = Bench::new().await;
    for name in ["strong", "weak", "other"] {
        bench
            .alarms
            .add_handler(id(name), bench.notes(name))
            .await
            .unwrap();
    }
    bench.alarms.sync_notify(Alarm::Crash).await.unwrap();
    assert_eq!(bench.which().await, "[other,strong]");
    let fails = bench
        .alarms
        .add_handler(id("fails"), bench.notes("fails"))
        .await
        .unwrap();
    let failed = fails.call(Fail).await.unwrap_err();
    assert!(matches!(failed, EventError::Ended), "{failed}");
    assert_eq!(bench.which().await, "[other,strong]");
    bench.alarms.sync_notify(Alarm::Fire(1)).await.unwrap();
    bench
        .saw(&["weak crashed", "fails crashed", "other 1", "strong 1"])
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_takes_the_place_of_another_with_what_that_one_left() {
    let mut bench = Bench::new().await;
    bench
        .alarms
        .add_handler(id("old"), bench.notes("old"))
        .await
        .unwrap();
    bench.alarms.sync_notify(Alarm::Fire(1)).await.unwrap();
    let (left, took) = (bench.notes("new"), bench.notes("lone"));
    let made = |notes: Notes| {
        move |left: Option<Term>| Notes {
            alarms: left.and_then(|left| left.as_int()).unwrap_or(7) as usize,
            ..notes
        }
    };
    let new = bench
        .alarms
        .swap_handler((id("old"), id("swap")), id("new"), made(left));
    let new = new.await.unwrap();
    assert_eq!(new.call(Count).await.unwrap(), 1);
    let lone = bench
        .alarms
        .swap_handler((id("none"), id("swap")), id("lone"), made(took));
    assert_eq!(lone.await.unwrap().call(Count).await.unwrap(), 7);
    assert_eq!(bench.which().await, "[lone,new]");
    let panics = |_: Option<Term>| -> Notes { panic!("cannot be made") };
    let swapped = bench
        .alarms
        .swap_handler((id("none"), id("swap")), id("never"), panics);
    let error = swapped.await.unwrap_err();
    assert!(matches!(error, EventError::NotAdded(_)), "{error}");
    assert_eq!(bench.which().await, "[lone,new]");
    bench.saw(&["old 1", "old swapped swap"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_puts_another_in_its_place() {
    let mut bench = Bench::new().await;
    for name in ["a", "b"] {
        let notes = bench.notes(name);
        bench.alarms.add_handler(id(name), notes).await.unwrap();
    }
    bench
        .alarms
        .delete_handler(id("b"), Term::nil())
        .await
        .unwrap();
    bench.alarms.sync_notify(Alarm::Fire(1)).await.unwrap();
    bench.alarms.sync_notify(Alarm::Swap).await.unwrap();
    assert_eq!(bench.which().await, "[heir]");
    bench.saw(&["b deleted []", "a 1", "a swapped swap"]).await;
    let manager = bench.alarms.pid().unwrap();
    let state = ask_sys(&bench.runtime, manager, id("get_state")).await;
    assert_eq!(state, "{ok,[{heir,false,1}]}");
}

/// A process that tells of the ends of handlers.
fn supervisor(runtime: &Runtime) -> (Pid, mpsc::UnboundedReceiver<String>) {
    let (told, ends) = mpsc::unbounded_channel();
    let process = runtime.spawn(async move |mut process: Process<HandlerExit>| {
        loop {
            let HandlerExit { handler, reason } = process.receive_message().await;
            let _ = told.send(format!("{handler} {reason}"));
        }
    });
    (process.unwrap().pid(), ends)
}

#[tokio::test(start_paused = true)]
async fn a_supervised_handler_ends_with_who_added_it_and_its_end_is_told_to_that() {
    let mut bench = Bench::new().await;
    let (pid, mut ends) = supervisor(&bench.runtime);
    for name in ["deleted", "weak", "old", "left"] {
        let notes = bench.notes(name);
        bench
            .alarms
            .add_sup_handler(pid, id(name), notes)
            .await
            .unwrap();
    }
    bench
        .alarms
        .add_handler(id("free"), bench.notes("free"))
        .await
        .unwrap();
    bench
        .alarms
        .delete_handler(id("deleted"), Term::nil())
        .await
        .unwrap();
    assert_eq!(ends.recv().await.unwrap(), "deleted normal");
    bench.alarms.sync_notify(Alarm::Crash).await.unwrap();
    let crashed = ends.recv().await.unwrap();
    let expected = "weak {'EXIT',{panic,<<\"too weak";
    assert!(crashed.starts_with(expected), "{crashed}");
    let new = bench.notes("new");
    bench
        .alarms
        .swap_handler((id("old"), Term::nil()), id("new"), |_| new)
        .await
        .unwrap();
    let swapped = ends.recv().await.unwrap();
    assert_eq!(swapped, format!("old {{swapped,new,{pid}}}"));
    bench
        .saw(&["deleted deleted []", "weak crashed", "old swapped []"])
        .await;
    bench.runtime.exit(pid, atom!("sup_died"));
    while bench.which().await != "[free]" {}
    let exit = format!("free {{'EXIT',{pid},sup_died}}");
    bench
        .saw(&["new alone sup_died", "left alone sup_died", &exit])
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_manager_is_told_to_its_handlers_and_who_supervises_them_and_ends_nobody() {
    let mut bench = Bench::new().await;
    let (pid, mut ends) = supervisor(&bench.runtime);
    let notes = bench.notes("a");
    bench
        .alarms
        .add_sup_handler(pid, id("a"), notes)
        .await
        .unwrap();
    let manager = bench.alarms.pid().unwrap();
    let end = Term::tuple([id("terminate"), id("enough")]);
    assert_eq!(ask_sys(&bench.runtime, manager, end).await, "ok");
    assert_eq!(ends.recv().await.unwrap(), "a shutdown");
    bench.saw(&["a stops"]).await;
    let error = bench.alarms.which_handlers().await.unwrap_err();
    assert!(
        matches!(error, EventError::NotSent(_) | EventError::Ended),
        "{error}"
    );
    assert!(bench.runtime.is_process_alive(pid));
}

#[tokio::test(start_paused = true)]
async fn a_manager_is_told_and_asked_in_the_forms_of_otp() {
    let mut bench = Bench::new().await;
    bench
        .alarms
        .add_handler(id("a"), bench.notes("a"))
        .await
        .unwrap();
    let tuple = |parts: Vec<Term>| Term::tuple(parts);
    let fire = || tuple(vec![id("fire"), 3.into()]);
    bench.tell(tuple(vec![id("notify"), fire()])).await;
    assert_eq!(
        bench.ask(tuple(vec![id("sync_notify"), fire()])).await,
        "ok"
    );
    bench.tell(tuple(vec![id("notify"), id("what")])).await;
    bench.tell(id("hello")).await;
    assert_eq!(bench.ask(id("which_handlers")).await, "[a]");
    let call = |handler: &'static str, query| tuple(vec![id("call"), id(handler), query]);
    assert_eq!(bench.ask(call("a", 5.into())).await, "{asked,5}");
    assert_eq!(bench.ask(call("b", 5.into())).await, "{error,bad_module}");
    let manager = bench.alarms.pid().unwrap();
    let state = ask_sys(&bench.runtime, manager, id("get_state")).await;
    assert_eq!(state, "{ok,[{a,false,2}]}");
    let status = ask_sys(&bench.runtime, manager, id("get_status")).await;
    assert!(status.contains("{module,gen_event}"), "{status}");
    let delete = |handler| tuple(vec![id("delete_handler"), id(handler), id("bye")]);
    assert_eq!(bench.ask(delete("b")).await, "{error,module_not_found}");
    assert_eq!(bench.ask(delete("a")).await, "2");
    bench
        .saw(&["a 3", "a 3", "a {notify,what}", "a hello", "a deleted bye"])
        .await;
    let add = tuple(vec![id("add_handler"), id("mod"), id("args")]);
    let undef = "{'EXIT',{undef,[{mod,init,[args],[]}]}}";
    assert_eq!(bench.ask(add).await, undef);
    bench
        .alarms
        .add_handler(id("a"), bench.notes("a"))
        .await
        .unwrap();
    let crashed = bench.ask(call("a", id("crash"))).await;
    assert!(
        crashed.starts_with("{error,{'EXIT',{panic,<<\"asked to crash"),
        "{crashed}"
    );
    assert_eq!(bench.which().await, "[]");
}

/// Asked and never answered.
#[derive(Serialize, Deserialize)]
struct Wait;

impl Request for Wait {
    type Reply = ();
}

impl HandleQuery<Wait> for Notes {
    async fn handle_query(&mut self, _: Wait, _: &mut HandlerContext<'_, Alarm>) {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_answer_in_time_is_waited_for_no_longer() {
    let bench = Bench::new().await;
    let slow = bench.alarms.add_handler(id("slow"), bench.notes("slow"));
    let asked = slow.await.unwrap().call(Wait).await;
    assert!(matches!(asked, Err(EventError::TimedOut(_))), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_swapped_for_one_that_another_process_supervises() {
    let mut bench = Bench::new().await;
    let (first, mut ends) = supervisor(&bench.runtime);
    let (second, mut others) = supervisor(&bench.runtime);
    let old = bench.notes("old");
    let alarms = &bench.alarms;
    alarms.add_sup_handler(first, id("old"), old).await.unwrap();
    let (new, argument) = (bench.notes("new"), id("why"));
    alarms
        .swap_sup_handler(second, (id("old"), argument), id("new"), |_| new)
        .await
        .unwrap();
    let swapped = format!("old {{swapped,new,{second}}}");
    assert_eq!(ends.recv().await.unwrap(), swapped);
    bench.saw(&["old swapped why"]).await;
    bench.runtime.exit(first, atom!("kill"));
    assert_eq!(bench.which().await, "[new]");
    let deleted = bench.alarms.delete_handler(id("new"), Term::nil());
    deleted.await.unwrap();
    assert_eq!(others.recv().await.unwrap(), "new normal");
    // They are still linked, as in OTP, and nobody is supervised by that one.
    let exit = format!("new {{'EXIT',{first},killed}}");
    bench.saw(&[&exit, "new deleted []"]).await;
}

#[tokio::test(start_paused = true)]
async fn who_supervises_a_handler_hears_that_what_was_to_follow_it_does_not_want_to() {
    let mut bench = Bench::new().await;
    let (pid, mut ends) = supervisor(&bench.runtime);
    let last = bench.notes("last");
    let added = bench.alarms.add_sup_handler(pid, id("last"), last);
    added.await.unwrap();
    bench.alarms.sync_notify(Alarm::Swap).await.unwrap();
    let swapped = format!("last {{swapped,heir,{pid}}}");
    assert_eq!(ends.recv().await.unwrap(), swapped);
    assert_eq!(ends.recv().await.unwrap(), "heir my_error");
    bench.saw(&["last swapped swap"]).await;
    assert_eq!(bench.which().await, "[]");
}

/// Fails in the call of a function, and not in the future that it answers.
struct Hasty(&'static str);

impl Hasty {
    fn falls(&self, place: &'static str) {
        assert_ne!(self.0, place, "hasty");
    }
}

impl EventHandler for Hasty {
    type Event = Alarm;

    fn init(
        &mut self,
        _: &mut HandlerContext<'_, Alarm>,
    ) -> impl Future<Output = Result<(), Term>> + Send {
        self.falls("init");
        async { Ok(()) }
    }

    fn handle_event(
        &mut self,
        _: &Alarm,
        _: &mut HandlerContext<'_, Alarm>,
    ) -> impl Future<Output = ()> + Send {
        self.falls("event");
        async {}
    }

    fn handle_info(
        &mut self,
        _: &EncodedTerm,
        _: &mut HandlerContext<'_, Alarm>,
    ) -> impl Future<Output = ()> + Send {
        self.falls("info");
        async {}
    }

    fn handle_call(
        &mut self,
        query: Term,
        _: &mut HandlerContext<'_, Alarm>,
    ) -> impl Future<Output = Term> + Send {
        self.falls("call");
        async { query }
    }

    fn terminate(
        &mut self,
        _: &Removed,
        _: &mut HandlerContext<'_, Alarm>,
    ) -> impl Future<Output = Term> + Send {
        self.falls("terminate");
        async { Term::nil() }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_before_there_is_a_future_is_removed_like_any_other() {
    let bench = Bench::new().await;
    let added = bench.alarms.add_handler(id("init"), Hasty("init")).await;
    assert!(matches!(added, Err(EventError::NotAdded(_))));
    for place in ["event", "info", "call", "terminate"] {
        let added = bench.alarms.add_handler(id(place), Hasty(place)).await;
        added.unwrap();
    }
    bench.alarms.sync_notify(Alarm::Over).await.unwrap();
    assert_eq!(bench.which().await, "[terminate,call,info]");
    bench.tell(id("hello")).await;
    assert_eq!(bench.which().await, "[terminate,call]");
    let asked = Term::tuple([id("call"), id("call"), id("anything")]);
    let answer = bench.ask(asked).await;
    assert!(answer.contains("hasty"), "{answer}");
    let deleted = bench.alarms.delete_handler(id("terminate"), Term::nil());
    let left = deleted.await.unwrap().to_string();
    assert!(left.contains("hasty"), "{left}");
    assert_eq!(bench.which().await, "[]");
}

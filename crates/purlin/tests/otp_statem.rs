//! OTP shells, both releases, ask state machines and event managers of a node, and look into them.

#[path = "../../node/tests/support/mod.rs"]
mod otp;

use std::time::Duration;

use otp::{Erl, RELEASES, Release};
use purlin::behaviours::gen_event::{EventHandler, GenEvent, HandlerContext, Removed};
use purlin::prelude::*;

#[purlin::message]
#[derive(PartialEq)]
enum Door {
    Locked,
    Open,
}

#[purlin::events]
enum DoorEvent {
    #[cast]
    Button(u8),
    #[call]
    CodeLength(ReplyTo<usize>),
    #[call]
    WaitUntilOpen(ReplyTo<bool>),
    Lock,
}

struct CodeLock {
    code: Vec<u8>,
    pressed: Vec<u8>,
}

/// Longer than a test: a shell sees the door open as long as it likes.
const OPEN: Duration = Duration::from_secs(3600);

impl GenStatem for CodeLock {
    type State = Door;
    type Event = DoorEvent;

    async fn init(&mut self, _: &mut StatemContext<'_, Self>) -> Result<Door, InitError> {
        Ok(Door::Locked)
    }

    async fn handle_event(
        &mut self,
        state: &Door,
        event: DoorEvent,
        ctx: &mut StatemContext<'_, Self>,
    ) {
        match (state, event) {
            (Door::Locked, DoorEvent::Button(button)) => {
                self.pressed.push(button);
                if self.pressed.ends_with(&self.code) {
                    ctx.state_timeout(OPEN, DoorEvent::Lock);
                    ctx.next_state(Door::Open);
                }
            }
            (Door::Locked, event @ DoorEvent::WaitUntilOpen(_)) => ctx.postpone(event),
            (Door::Open, DoorEvent::WaitUntilOpen(from)) => from.reply(true).await,
            (Door::Open, event @ DoorEvent::Button(_)) => ctx.postpone(event),
            (_, DoorEvent::Lock) => ctx.next_state(Door::Locked),
            (_, DoorEvent::CodeLength(from)) => from.reply(self.code.len()).await,
        }
    }

    fn data(&self) -> Option<Term> {
        let pressed = self
            .pressed
            .iter()
            .map(|button| Term::from(i64::from(*button)));
        Some(Term::list(pressed.collect::<Vec<_>>()))
    }
}

#[purlin::message]
enum Alarm {
    Fire(u32),
}

/// The sum of alarms.
struct Sum(i64);

impl EventHandler for Sum {
    type Event = Alarm;

    async fn handle_event(&mut self, event: &Alarm, _: &mut HandlerContext<'_, Alarm>) {
        let Alarm::Fire(place) = event;
        self.0 += i64::from(*place);
    }

    async fn handle_call(&mut self, query: Term, _: &mut HandlerContext<'_, Alarm>) -> Term {
        assert!(!query.is_atom("crash"), "asked to crash");
        self.0.into()
    }

    async fn terminate(&mut self, _: &Removed, _: &mut HandlerContext<'_, Alarm>) -> Term {
        self.0.into()
    }

    fn state(&self) -> Option<Term> {
        Some(self.0.into())
    }
}

/// A node with a lock and a manager of alarms, and a shell that knows them as `L` and `A`.
async fn node(net: &otp::Net, release: Release) -> (Node, Erl) {
    let node = net.node("a").await;
    let lock = CodeLock {
        code: vec![1, 2],
        pressed: Vec::new(),
    };
    let named = |name: Atom| ServerOptions::default().name(name);
    lock.start_with(&node, named(atom!("lock"))).await.unwrap();
    let alarms = GenEvent::new().start_with(&node, named(atom!("alarms")));
    let alarms = alarms.await.unwrap();
    alarms.add_handler(atom!("sum"), Sum(0)).await.unwrap();
    let mut erl = net.erl(release, "erl").await;
    let names = "L = {lock, 'a@127.0.0.1'}, A = {alarms, 'a@127.0.0.1'}, \
                 Is = fun(Name) -> rpc:call('a@127.0.0.1', erlang, whereis, [Name]) end, ok";
    erl.check(names, "ok").await;
    (node, erl)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_opens_a_lock_and_sees_its_state_and_its_timeout() {
    for release in RELEASES {
        let net = otp::Net::new().await;
        let (_node, mut erl) = node(&net, release).await;
        erl.check("gen_statem:call(L, code_length)", "2").await;
        erl.check("sys:get_state(L)", "{locked,[]}").await;
        erl.check(
            "Open = gen_statem:send_request(L, wait_until_open), \
             [gen_statem:cast(L, {button, N}) || N <- [7, 1, 2]], \
             {gen_statem:wait_response(Open, 5000), sys:get_state(L)}",
            "{{reply,true},{open,[7,1,2]}}",
        )
        .await;
        erl.check(
            "{status, Pid, {module, Module}, [_, running, _, [], Misc]} = sys:get_status(L), \
             Shown = lists:append([Data || {data, Data} <- Misc]), \
             {Pid =:= Is(lock), Module, proplists:get_value(header, Misc), \
              proplists:get_value(\"Time-outs\", Shown)}",
            "{true,gen_statem,\"Status for state machine lock\",{1,[{state_timeout,lock}]}}",
        )
        .await;
        erl.check(
            "sys:replace_state(L, {locked, [7,1,2]})",
            "{locked,[7,1,2]}",
        )
        .await;
        erl.check("element(1, gen_statem:call(L, what))", "error")
            .await;
        erl.check("{gen_statem:stop(L), Is(lock)}", "{ok,undefined}")
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_tells_asks_and_deletes_handlers_of_an_event_manager() {
    for release in RELEASES {
        let net = otp::Net::new().await;
        let (_node, mut erl) = node(&net, release).await;
        erl.check("gen_event:which_handlers(A)", "[sum]").await;
        erl.check(
            "{gen_event:notify(A, {fire, 3}), gen_event:sync_notify(A, {fire, 4})}",
            "{ok,ok}",
        )
        .await;
        erl.check("gen_event:call(A, sum, get)", "7").await;
        erl.check("gen_event:call(A, other, get)", "{error,bad_module}")
            .await;
        erl.check("sys:get_state(A)", "[{sum,false,7}]").await;
        erl.check(
            "{status, _, {module, gen_event}, [_, running, _, [], Shown]} = sys:get_status(A), \
             {proplists:get_value(header, Shown), proplists:get_value(items, Shown)}",
            "{\"Status for event handler alarms\",{\"Installed handlers\",[{handler,sum,false,7,false}]}}",
        )
        .await;
        erl.check(
            "(fun() -> C0 = gen_event:send_request(A, sum, get, one, gen_event:reqids_new()), \
             C1 = gen_event:send_request(A, other, get, two, C0), \
             {R1, L1, C2} = gen_event:receive_response(C1, 60000, true), \
             {R2, L2, C3} = gen_event:wait_response(C2, 60000, true), \
             {lists:sort([{L1, R1}, {L2, R2}]), gen_event:reqids_size(C3)} end)()",
            "{[{one,{reply,7}},{two,{error,bad_module}}],0}",
        )
        .await;
        erl.check(
            "{'EXIT', {undef, [{nothing, init, [[]], []}]}} = \
             gen_event:add_handler(A, nothing, []), ok",
            "ok",
        )
        .await;
        erl.check("gen_event:delete_handler(A, sum, bye)", "7")
            .await;
        erl.check("gen_event:which_handlers(A)", "[]").await;
        erl.check("{gen_event:stop(A), Is(alarms)}", "{ok,undefined}")
            .await;
    }
}

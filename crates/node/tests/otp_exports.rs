//! Exported functions with typed arguments, called by real OTP nodes and by the node itself.

mod support;

use std::time::Duration;

use purlin_node::{
    CallContext, Delivery, ExportOptions, Mailbox, Node, NodeName, Raise, Term, atom,
};
use support::{Net, PATIENCE, RELEASES, name};

async fn who(call: &CallContext, greeting: String) -> String {
    // Borrowed across an await, as one writes it.
    tokio::task::yield_now().await;
    format!("{greeting}, {}", call.caller.node)
}

/// A process that sums what it is sent, tells the sum to who asks, and ends with it when told to.
async fn till(mut mailbox: Mailbox, mut sum: i64) -> Result<i64, Raise> {
    mailbox.set_label("till");
    loop {
        let Delivery::Message(message) = mailbox.receive().await else {
            continue;
        };
        match message.to_term() {
            Ok(Term::Int(more)) => sum += more,
            Ok(Term::Pid(from)) => {
                let _ = mailbox.send(from, &Term::Int(sum)).await;
            }
            _ => return Err(Raise::Exit(Term::Int(sum))),
        }
    }
}

type Numbers = (i64, i64, i64, i64);

fn export(node: &Node) {
    node.export("m", "none", || async { "nothing" });
    node.export(
        "m",
        "join",
        |items: Vec<String>, between: String| async move { items.join(&between) },
    );
    node.export(
        "m",
        "eight",
        |a: i64, b: i64, c: i64, d: i64, e: u8, f: bool, g: Option<i64>, h: f64| async move {
            let numbers: Numbers = (a, b, c, d);
            (numbers, e, f, g, h)
        },
    );
    node.export("m", "who", who);
    let limit = 10;
    node.export("m", "half", move |n: i64| async move {
        match n {
            _ if n > limit => Err(Raise::Throw(atom!("large").into())),
            _ if n % 2 == 1 => Err(Raise::Error(atom!("odd").into())),
            _ => Ok(n / 2),
        }
    });
    node.export("m", "till", till);
    node.export("m", "panics_at_once", |_: Term| -> std::future::Ready<()> {
        panic!("before there is a future")
    });
    let only = |node: NodeName| node.as_str().starts_with("friend@");
    let options = ExportOptions::default().allow(only);
    node.export_with(options, "m", "secret", || async { 42 });
    let options = ExportOptions::default().time_limit(Duration::from_millis(20));
    node.export_with(options, "m", "slow", async |call: &CallContext, _: Term| {
        assert!(call.deadline.is_some());
        std::future::pending::<()>().await;
    });
}

/// What a call gives, as a term that shows class, reason and stack.
fn caught(call: &str) -> String {
    format!("(fun() -> try {call} catch C:R -> {{C, R}} end end)()")
}

fn erpc(function: &str, args: &str) -> String {
    caught(&format!(
        "erpc:call('purlin@127.0.0.1', m, {function}, {args})"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn otp_calls_functions_with_typed_arguments() {
    for release in RELEASES {
        let net = Net::new().await;
        let node = net.node("purlin").await;
        export(&node);
        let mut erl = net.erl(release, "erl").await;
        let calls = [
            ("none", "[]", "<<\"nothing\">>"),
            (
                "join",
                "[[<<\"a\">>, \"b\", c], <<\"-\">>]",
                "<<\"a-b-c\">>",
            ),
            (
                "eight",
                "[1,2,3,4,5,true,undefined,6]",
                "{{1,2,3,4},5,true,undefined,6.0}",
            ),
            ("who", "[<<\"hello\">>]", "<<\"hello, erl@127.0.0.1\">>"),
            ("half", "[8]", "4"),
            ("half", "[12]", "{throw,large}"),
            ("half", "[7]", "{error,{exception,odd,[{m,half,1,[]}]}}"),
            // OTP's form of wrong arguments: they stand in the stack.
            (
                "half",
                "[eight]",
                "{error,{exception,badarg,[{m,half,[eight],[]}]}}",
            ),
            (
                "eight",
                "[1,2,3,4,256,true,undefined,6]",
                "{error,{exception,badarg,[{m,eight,[1,2,3,4,256,true,undefined,6],[]}]}}",
            ),
            ("half", "[]", "{error,{exception,undef,[{m,half,[],[]}]}}"),
            (
                "secret",
                "[]",
                "{error,{exception,eacces,[{m,secret,0,[]}]}}",
            ),
            ("slow", "[x]", "{exit,{exception,{timeout,{m,slow,[x]}}}}"),
        ];
        for (function, args, value) in calls {
            erl.check(&erpc(function, args), value).await;
        }
        let class = "(fun() -> try erpc:call('purlin@127.0.0.1', m, panics_at_once, [x]) catch C:{exception, _, _} -> C end end)()";
        erl.check(class, "error").await;
        erl.check("rpc:call('purlin@127.0.0.1', m, half, [12])", "large")
            .await;
        erl.check(
            "rpc:call('purlin@127.0.0.1', m, half, [x])",
            "{badrpc,{'EXIT',{badarg,[{m,half,[x],[]}]}}}",
        )
        .await;
        erl.assert_nothing_logged();
        node.stop(PATIENCE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn otp_spawns_a_function_that_lives_on_as_a_process() {
    for release in RELEASES {
        let net = Net::new().await;
        let node = net.node("purlin").await;
        export(&node);
        let mut erl = net.erl(release, "erl").await;
        let spawned = "{P, M} = spawn_monitor('purlin@127.0.0.1', m, till, [10]), node(P)";
        erl.check(spawned, "'purlin@127.0.0.1'").await;
        let asked =
            "P ! 5, P ! 7, P ! self(), receive N when is_integer(N) -> N after 30000 -> late end";
        erl.check(asked, "22").await;
        let ended = "P ! stop, receive {'DOWN', M, process, P, R} -> R after 30000 -> late end";
        erl.check(ended, "22").await;
        let refused = "{Q, O} = spawn_monitor('purlin@127.0.0.1', m, till, [ten]), \
             receive {'DOWN', O, process, Q, S} -> S after 30000 -> late end";
        erl.check(refused, "{badarg,[{m,till,[ten],[]}]}").await;
        erl.assert_nothing_logged();
        node.stop(PATIENCE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rule_of_a_function_lets_in_whom_it_names() {
    let net = Net::new().await;
    let node = net.node("purlin").await;
    export(&node);
    let friend = net.node("friend").await;
    let stranger = net.node("stranger").await;
    let peer = name("purlin");
    let told = friend.erpc_call(peer, "m", "secret", (), PATIENCE).await;
    assert_eq!(told.unwrap(), Term::Int(42));
    let refused = stranger.erpc_call(peer, "m", "secret", (), PATIENCE).await;
    assert!(refused.unwrap_err().to_string().contains("eacces"));
    for node in [friend, stranger, node] {
        node.stop(PATIENCE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_calls_its_own_functions_as_a_peer_does() {
    let net = Net::new().await;
    let node = net.node("purlin").await;
    export(&node);
    let me = node.name();
    let call = async |function: &'static str, args: Vec<Term>| {
        node.erpc_call(me, "m", function, args, PATIENCE).await
    };
    assert_eq!(call("half", vec![8.into()]).await.unwrap(), Term::Int(4));
    let wrong = call("half", vec![atom!("x").into()]).await.unwrap_err();
    assert!(wrong.to_string().contains("badarg"), "{wrong}");
    let panicked = call("panics_at_once", vec![Term::nil()]).await.unwrap_err();
    assert!(
        panicked.to_string().contains("before there is a future"),
        "{panicked}"
    );
    node.stop(PATIENCE).await;
}

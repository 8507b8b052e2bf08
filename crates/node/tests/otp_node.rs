//! A Purlin node and real OTP nodes, both releases, in both directions of dialling.

mod support;

use purlin_node::{Delivery, Mailbox, Node, Raise, Term, atom};
use support::{Net, PATIENCE, RELEASES, name};

/// Registers `echo`, and exports what the demo application does.
fn demo(node: &Node) {
    let echo = node.spawn(|mut mailbox: Mailbox| async move {
        loop {
            let Delivery::Message(message) = mailbox.receive().await else {
                continue;
            };
            let Ok(message) = message.to_term() else {
                continue;
            };
            if let Some([Term::Pid(from), content]) = message.as_tuple() {
                let reply = Term::tuple([mailbox.pid().into(), content.clone()]);
                let _ = mailbox.send(*from, &reply).await;
            }
        }
    });
    node.register(atom!("echo"), echo.unwrap()).unwrap();
    node.export("demo", "add", |a: i64, b: i64| async move { a + b });
    node.export("demo", "crash", crash);
    node.export("demo", "throw", |value: Term| async move {
        Err::<(), _>(Raise::Throw(value))
    });
    node.export("demo", "sleep", |_: Term| std::future::pending::<()>());
}

async fn crash() {
    panic!("as asked")
}

#[tokio::test(flavor = "multi_thread")]
async fn erl_dials_pings_lists_echoes_and_calls() {
    for release in RELEASES {
        let net = Net::new().await;
        let node = net.node("purlin").await;
        demo(&node);
        let mut erl = net.erl(release, "erl").await;
        erl.check("net_adm:ping('purlin@127.0.0.1')", "pong").await;
        erl.check("nodes()", "['purlin@127.0.0.1']").await;
        assert_eq!(node.nodes(), [name("erl")]);
        erl.check("{echo, 'purlin@127.0.0.1'} ! {self(), hello}, receive {_, M} -> M after 5000 -> timeout end", "hello").await;
        erl.check("erpc:call('purlin@127.0.0.1', demo, add, [2, 3])", "5")
            .await;
        erl.check("rpc:call('purlin@127.0.0.1', demo, add, [2, 3])", "5")
            .await;
        erl.check("global:sync()", "ok").await;
        erl.assert_nothing_logged();
        node.stop(PATIENCE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn we_dial_ping_and_call_erl() {
    for release in RELEASES {
        let net = Net::new().await;
        let node = net.node("purlin").await;
        let mut erl = net.erl(release, "erl").await;
        node.ping(name("erl"), PATIENCE).await.unwrap();
        erl.check("nodes()", "['purlin@127.0.0.1']").await;
        let numbers = vec![1, 2, 300];
        let sum = node
            .erpc_call(name("erl"), "lists", "sum", (numbers,), PATIENCE)
            .await;
        assert_eq!(sum.unwrap(), Term::Int(303));
        let registered = (atom!("nobody"), name("erl"));
        let missing = node
            .call_term_timeout(registered, &Term::nil(), PATIENCE)
            .await;
        assert_eq!(missing.unwrap_err().to_string(), "there is no such process");
        erl.check("global:sync()", "ok").await;
        erl.assert_nothing_logged();
        node.stop(PATIENCE).await;
    }
}

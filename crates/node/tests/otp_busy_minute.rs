//! A minute in which every core is busy, and in which an OTP peer and a Purlin node do not give each other
//! up. A file of its own, since other tests beside it would be late.

mod support;

use std::time::Duration;

use purlin_node::Mailbox;
use support::held::{Apart, Held, compute};
use support::{Net, PATIENCE, Release, name};
use tokio::time::timeout;

/// As OTP's operators set it who want to know soon; the default is 60 seconds.
const TICKTIME: Duration = Duration::from_secs(8);

/// Threads that compute, one for each core, beside those of the node.
fn burden() -> Held {
    let held = Held::default();
    let cores = std::thread::available_parallelism().unwrap();
    for _ in 0..cores.get() {
        let is_released = held.is_released.clone();
        std::thread::spawn(move || compute(&is_released));
    }
    held
}

#[tokio::test(flavor = "multi_thread")]
async fn otp_keeps_a_node_through_a_minute_in_which_every_core_is_busy() {
    let net = Net::new().await;
    let purlin = Apart::start(net.builder("purlin").net_ticktime(TICKTIME)).await;
    let mut nodes: Mailbox = purlin.node.attach().unwrap();
    let arguments = ["-kernel", "net_ticktime", "8"];
    let mut erl = net
        .erl_with(Release::Otp28, "erl", &net.cookie, &arguments)
        .await;
    erl.check("net_adm:ping('purlin@127.0.0.1')", "pong").await;
    purlin.node.monitor_nodes(nodes.pid());
    erl.check("net_kernel:monitor_nodes(true)", "ok").await;

    // Nothing passes but ticks.
    let (held, burden) = (purlin.hold().await, burden());
    for _ in 0..3 {
        erl.check("receive {nodedown, _} -> down after 20000 -> up end", "up")
            .await;
    }
    erl.check("net_adm:ping('purlin@127.0.0.1')", "pong").await;
    held.release();
    burden.release();

    purlin.node.ping(name("erl"), PATIENCE).await.unwrap();
    let event = timeout(Duration::ZERO, nodes.receive()).await;
    assert!(event.is_err(), "{event:?}");
    erl.check("receive Any -> Any after 0 -> nothing end", "nothing")
        .await;
    erl.assert_nothing_logged();
    purlin.node.stop(PATIENCE).await;
}

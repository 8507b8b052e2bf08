//! Meshes of Purlin and OTP nodes: who meets one of them meets all, also after restarts.

mod support;

use std::time::Duration;

use purlin_node::{Delivery, Mailbox, Node, NodeName};
use support::{Erl, Net, PATIENCE, RELEASES, Release, name};
use tokio::time::timeout;

/// Waits until `node` lists just `expected`, by its own announcements.
async fn wait_for_nodes(node: &Node, expected: &[&str]) {
    let mut expected: Vec<NodeName> = expected.iter().map(|alive| name(alive)).collect();
    expected.sort();
    let mut mailbox: Mailbox = node.attach().unwrap();
    node.monitor_nodes(mailbox.pid());
    while node.nodes() != expected {
        let change = timeout(PATIENCE, mailbox.receive()).await;
        let found = node.nodes();
        assert!(change.is_ok(), "{node:?} lists {found:?}, not {expected:?}");
        assert!(matches!(
            change,
            Ok(Delivery::NodeUp { .. } | Delivery::NodeDown { .. })
        ));
    }
}

/// Waits until `erl` lists just `expected`, by its own announcements.
async fn wait_for_erl_nodes(erl: &mut Erl, expected: &[&str]) {
    let mut names: Vec<String> = expected
        .iter()
        .map(|alive| format!("'{alive}@127.0.0.1'"))
        .collect();
    names.sort();
    let names = names.join(",");
    let wait = format!(
        "net_kernel:monitor_nodes(true), \
         (fun Wait() -> case lists:sort(nodes()) of [{names}] -> ok; _ -> \
         receive {{nodeup, _}} -> Wait(); {{nodedown, _}} -> Wait() \
         after 60000 -> nodes() end end end)()"
    );
    erl.check(&wait, "ok").await;
}

async fn purlin_mesh(release: Release) {
    let net = Net::new().await;
    let (a, b, c) = (
        net.node("a").await,
        net.node("b").await,
        net.node("c").await,
    );
    b.connect_to(name("a")).await.unwrap();
    c.connect_to(name("a")).await.unwrap();
    for (node, others) in [(&a, ["b", "c"]), (&b, ["a", "c"]), (&c, ["a", "b"])] {
        wait_for_nodes(node, &others).await;
    }
    let mut erl = net.erl(release, "erl").await;
    erl.check("net_adm:ping('a@127.0.0.1')", "pong").await;
    wait_for_erl_nodes(&mut erl, &["a", "b", "c"]).await;
    erl.check("global:sync()", "ok").await;

    c.stop(PATIENCE).await;
    wait_for_erl_nodes(&mut erl, &["a", "b"]).await;
    let c = net.node("c").await;
    c.connect_to(name("b")).await.unwrap();
    wait_for_erl_nodes(&mut erl, &["a", "b", "c"]).await;
    erl.check("global:sync()", "ok").await;
    erl.assert_nothing_logged();

    erl.kill().await;
    for (node, others) in [(&a, ["b", "c"]), (&b, ["a", "c"]), (&c, ["a", "b"])] {
        wait_for_nodes(node, &others).await;
    }
    let mut erl = net.erl(release, "erl").await;
    erl.check("net_adm:ping('b@127.0.0.1')", "pong").await;
    wait_for_erl_nodes(&mut erl, &["a", "b", "c"]).await;
    erl.check("global:sync()", "ok").await;
    erl.assert_nothing_logged();
    for node in [a, b, c] {
        node.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn otp25_meets_three_purlin_nodes_through_one_also_after_restarts() {
    purlin_mesh(Release::Otp25).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn otp28_meets_three_purlin_nodes_through_one_also_after_restarts() {
    purlin_mesh(Release::Otp28).await;
}

/// Two OTP nodes of both releases and a Purlin node, which restarts.
#[tokio::test(flavor = "multi_thread")]
async fn both_releases_and_a_purlin_node_form_a_mesh_also_after_restarts() {
    let net = Net::new().await;
    let mut erls = Vec::new();
    for (release, alive) in RELEASES.into_iter().zip(["otp25", "otp28"]) {
        erls.push(net.erl(release, alive).await);
    }
    erls[0]
        .check("net_adm:ping('otp28@127.0.0.1')", "pong")
        .await;
    for alive in ["m", "z"] {
        // Below and above the names of the others: both sides of every rule that compares names.
        let purlin = net.node(alive).await;
        purlin.connect_to(name("otp25")).await.unwrap();
        wait_for_erl_nodes(&mut erls[0], &["otp28", alive]).await;
        wait_for_erl_nodes(&mut erls[1], &["otp25", alive]).await;
        for erl in &mut erls {
            erl.check("global:sync()", "ok").await;
        }
        let registered =
            format!("global:register_name({alive}, spawn(fun() -> receive stop -> ok end end))");
        erls[1].check(&registered, "yes").await;
        erls[0]
            .check(&format!("is_pid(global:whereis_name({alive}))"), "true")
            .await;
        purlin.stop(PATIENCE).await;
        wait_for_erl_nodes(&mut erls[0], &["otp28"]).await;
        wait_for_erl_nodes(&mut erls[1], &["otp25"]).await;
    }
    for erl in &erls {
        // One OTP node may hear from the other of our leaving before it sees it, and takes it for a
        // broken link: OTP reports at once, and as often when it is an OTP node that leaves (SEMANTICS has
        // the figures).
        erl.assert_nothing_logged_but("in order to prevent overlapping partitions");
    }
}

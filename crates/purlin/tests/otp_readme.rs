//! The program in README is compiled, run, and asked by those that README says can ask it.
//!
//! It ends when it is interrupted, so it runs as an OS process of its own: this test's binary, started once more for
//! the test [`the_program`] alone.

#[path = "../../node/tests/support/mod.rs"]
mod otp;
mod support;

use std::process::{Command, Stdio};
use std::time::Instant;

use otp::{Erl, RELEASES};
use purlin::node::NodeBuilder;
use support::{Running, readme};

include!("readme/sample.rs");

/// Hides that of the prelude from the program: the port mapper is the test's.
struct Node;

impl Node {
    fn builder(name: &str) -> NodeBuilder {
        let port = std::env::var(MAPPER).expect("the program is started by a test");
        let port = port.parse().expect("the port of a mapper");
        purlin::node::Node::builder(name).epmd_port(port)
    }
}

/// Set for the binary that is to be the program.
const MAPPER: &str = "PURLIN_TEST_README_MAPPER";

#[test]
fn the_program() -> Result<(), Box<dyn std::error::Error>> {
    assert_eq!(
        readme::program(),
        include_str!("readme/sample.rs"),
        "README and tests/readme/sample.rs have the same program: copy one to the other"
    );
    match std::env::var_os(MAPPER) {
        Some(_) => main(),
        None => Ok(()),
    }
}

fn start(net: &otp::Net) -> Running {
    let mut command = Command::new(std::env::current_exe().expect("a test has a path"));
    command
        .args(["--exact", "the_program", "--nocapture"])
        .env(MAPPER, net.port().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Running::spawn(&mut command)
}

/// The program prints nothing when it is ready: its last step is the export.
async fn wait_until_it_exports(erl: &mut Erl) {
    let exported = "pong =:= net_adm:ping('shop@127.0.0.1') andalso \
                    rpc:call('shop@127.0.0.1', erlang, function_exported, [shop, price, 2])";
    let deadline = Instant::now() + support::PATIENCE;
    while erl.eval(exported).await != "true" {
        assert!(Instant::now() < deadline, "the program does not come up");
    }
}

async fn erlang_asks(erl: &mut Erl) {
    erl.check("gen_server:call({till, 'shop@127.0.0.1'}, {pay, 3})", "3")
        .await;
    erl.check("sys:get_state({till, 'shop@127.0.0.1'})", "3")
        .await;
    let price = "Price = fun(Item) -> erpc:call('shop@127.0.0.1', shop, price, [Item, 12]) end, \
                 {Price(<<\"nail\">>), try Price(<<\"gold\">>) catch error:{exception, What, _} -> What end}";
    erl.check(price, "{36,badarg}").await;
}

async fn rust_asks(net: &otp::Net) {
    let node = net.builder("ours").cookie("secret").start().await.unwrap();
    let till = (atom!("till"), otp::name("shop"));
    assert_eq!(node.call(till, Pay(4)).await.unwrap(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn readmes_program_is_asked_from_erlang_and_from_rust_and_ends_when_interrupted() {
    for release in RELEASES {
        let net = otp::Net::new().await;
        let shop = start(&net);
        let mut erl = net.erl_with(release, "me", "secret", &[]).await;
        wait_until_it_exports(&mut erl).await;
        erlang_asks(&mut erl).await;
        rust_asks(&net).await;
        shop.signal("INT");
        let done = tokio::task::spawn_blocking(move || shop.finish());
        assert_eq!(done.await.unwrap().status, Some(0));
        erl.assert_nothing_logged();
    }
}

//! Nodes that find each other without a port mapper: fixed ports, given addresses, and OTP's
//! `-erl_epmd_port`, of both releases.

mod support;

use std::net::SocketAddr;

use purlin_node::{ConnectError, Node, NodeBuilder, NodeName, StartError};
use support::{Net, PATIENCE, RELEASES, name};

/// A port that nobody has a mapper on: discard's.
const NO_MAPPER: u16 = 9;

/// A port that is free on this machine.
fn free_port() -> u16 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

fn builder(name: &str) -> NodeBuilder {
    Node::builder(name)
        .cookie("without")
        .epmd_port(NO_MAPPER)
        .without_epmd()
}

fn at(host: &str, port: u16) -> SocketAddr {
    SocketAddr::new(host.parse().unwrap(), port)
}

fn full(name: &str) -> NodeName {
    NodeName::new(purlin_node::Atom::new(name).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn otp_and_purlin_meet_on_one_port_without_a_mapper() {
    for release in RELEASES {
        let net = Net::new().await;
        let (port, mapper) = (free_port().to_string(), NO_MAPPER.to_string());
        // One port for all: each has an address of its own.
        let arguments = [
            "-env",
            "ERL_EPMD_PORT",
            &mapper,
            "-erl_epmd_port",
            &port,
            "-kernel",
            "inet_dist_use_interface",
            "{127,0,0,1}",
        ];
        for is_dialled in [true, false] {
            let cookie = &net.cookie;
            let mut erl = net.erl_with(release, "erl", cookie, &arguments).await;
            let node = Node::builder("purlin@127.0.0.2")
                .cookie(cookie)
                .epmd_port(NO_MAPPER)
                .without_epmd()
                .peer_port(port.parse().unwrap())
                .listen(at("127.0.0.2", port.parse().unwrap()));
            let node = node.start().await.unwrap();
            node.export("demo", "ok", || async {});
            if is_dialled {
                node.ping(name("erl"), PATIENCE).await.unwrap();
            } else {
                erl.check("net_adm:ping('purlin@127.0.0.2')", "pong").await;
            }
            erl.check("nodes()", "['purlin@127.0.0.2']").await;
            erl.check("erpc:call('purlin@127.0.0.2', demo, ok, [])", "ok")
                .await;
            assert_eq!(node.nodes(), [name("erl")]);
            erl.check("global:sync()", "ok").await;
            node.stop(PATIENCE).await;
            erl.kill().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_with_given_addresses_need_no_mapper() {
    let a = builder("a@127.0.0.1").start().await.unwrap();
    let address = a.address().unwrap();
    // The address alone counts: the host of the name need not even exist.
    let b = builder("b@nowhere.invalid")
        .peer_address("a@127.0.0.1", address)
        .start()
        .await
        .unwrap();
    b.ping(a.name(), PATIENCE).await.unwrap();
    assert_eq!((a.nodes(), b.nodes()), (vec![b.name()], vec![a.name()]));
    let error = a.connect_to(full("c@127.0.0.1")).await.unwrap_err();
    assert!(
        matches!(&error, ConnectError::AddressUnknown { node } if node == "c@127.0.0.1"),
        "{error}"
    );
    for node in [a, b] {
        assert!(node.creation() > 3);
        node.stop(PATIENCE).await;
    }
}

/// Beside a mapper, an address that is given comes first.
#[tokio::test(flavor = "multi_thread")]
async fn a_given_address_is_preferred_to_the_mapper() {
    let net = Net::new().await;
    let real = net.node("a").await;
    let other = builder("a@127.0.0.1")
        .cookie(&net.cookie)
        .start()
        .await
        .unwrap();
    let b = net
        .builder("b")
        .peer_address("a@127.0.0.1", other.address().unwrap())
        .start()
        .await
        .unwrap();
    b.ping(name("a"), PATIENCE).await.unwrap();
    assert!(real.nodes().is_empty());
    assert_eq!(other.nodes(), [name("b")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_mapper_a_node_listens_where_all_do() {
    let port = free_port();
    let node = builder("a@127.0.0.1")
        .peer_port(port)
        .start()
        .await
        .unwrap();
    assert_eq!(node.address(), Some(at("127.0.0.1", port)));
    let error = builder("b@127.0.0.1").peer_port(port).start().await;
    assert!(matches!(error, Err(StartError::Listen { .. })), "{error:?}");
    node.stop(PATIENCE).await;
}

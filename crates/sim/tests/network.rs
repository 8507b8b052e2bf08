//! Connections of the simulated network behave as TCP's do, under cuts, ends and full buffers.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use purlin_node::Host;
use purlin_node::host::{Executor, Stream};
use purlin_sim::{Config, Cut, Latency, Link, Machine, NetworkConfig, Sim, SimHost, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const PORT: u16 = 7000;

const SECOND: Duration = Duration::from_secs(1);

/// Two machines with a process each, and a connection between these.
struct Pair {
    world: World,
    machines: [Machine; 2],
    hosts: [Arc<SimHost>; 2],
    near: Stream,
    far: Stream,
}

fn address(machine: &Machine) -> SocketAddr {
    SocketAddr::new(machine.address().into(), PORT)
}

async fn connect(from: &Arc<SimHost>, to: &Arc<SimHost>) -> (Stream, Stream) {
    let mut listener = to.listen(address(to.machine())).await.unwrap();
    let near = from.connect(address(to.machine())).await.unwrap();
    (near, listener.accept().await.unwrap())
}

async fn pair(world: World) -> Pair {
    let machines = ["north", "south"].map(|name| world.machine(name));
    let hosts = machines.each_ref().map(Machine::boot);
    let (near, far) = connect(&hosts[0], &hosts[1]).await;
    Pair {
        world,
        machines,
        hosts,
        near,
        far,
    }
}

fn play<F>(seed: u64, network: NetworkConfig, scenario: impl FnOnce(World) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let config = Config {
        network,
        time_max: Duration::from_secs(600),
        ..Config::new(seed)
    };
    let run = Sim::new(config).run(scenario);
    assert!(run.output.is_some(), "it came to its end");
}

/// In a box, so that the scenario takes all of it: an end that is not used stays open too.
fn with_pair<F>(scenario: impl FnOnce(Box<Pair>) -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    play(1, NetworkConfig::default(), |world| async move {
        scenario(Box::new(pair(world).await)).await;
    });
}

fn numbers(len: usize) -> Vec<u8> {
    (0..len).map(|number| (number % 251) as u8).collect()
}

#[test]
fn bytes_arrive_in_order_whatever_pieces_and_latencies_they_have() {
    for seed in 0..20 {
        let latency = Latency::LongTail(Duration::from_millis(1), SECOND);
        let link = Link {
            latency,
            bandwidth: Some(1_000_000),
        };
        let network = NetworkConfig {
            link,
            window: 1000,
            one_write_cut_in: 2,
        };
        play(seed, network, |world| async move {
            let Pair {
                hosts,
                mut near,
                mut far,
                ..
            } = pair(world).await;
            let sending = async move { near.writer.write_all(&numbers(20_000)).await.unwrap() };
            hosts[0].spawn(Box::pin(sending));
            let mut received = Vec::new();
            far.reader.read_to_end(&mut received).await.unwrap();
            assert!(received == numbers(20_000));
        });
    }
}

#[test]
fn a_reader_that_does_not_read_stops_the_writer() {
    with_pair(|mut pair| async move {
        let bytes = vec![7; 1 << 20];
        let mut written = 0;
        while let Ok(more) = timeout(SECOND, pair.near.writer.write(&bytes)).await {
            written += more.unwrap();
        }
        assert_eq!(written, NetworkConfig::default().window);
        let mut read = vec![0; written];
        pair.far.reader.read_exact(&mut read).await.unwrap();
        let more = timeout(SECOND, pair.near.writer.write(&bytes)).await;
        assert!(more.unwrap().unwrap() > 0);
    });
}

#[test]
fn one_direction_ends_and_the_other_goes_on() {
    with_pair(|mut pair| async move {
        (pair.near.closer)();
        let refused = pair.near.writer.write(b"more").await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(pair.far.reader.read(&mut [0; 8]).await.unwrap(), 0);
        pair.far.writer.write_all(b"still here").await.unwrap();
        let mut read = [0; 10];
        pair.near.reader.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"still here");
    });
}

#[test]
fn who_writes_to_one_that_is_gone_is_reset() {
    with_pair(|mut pair| async move {
        drop(pair.far);
        pair.near.writer.write_all(b"anybody").await.unwrap();
        pair.world.sleep(SECOND).await;
        let refused = pair.near.writer.write(b"there").await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn nobody_listens_and_one_is_refused() {
    with_pair(|pair| async move {
        let nobody = SocketAddr::new(pair.machines[1].address().into(), PORT + 1);
        let refused = pair.hosts[0].connect(nobody).await.err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let taken = address(&pair.machines[0]);
        let _listener = pair.hosts[0].listen(taken).await.unwrap();
        let refused = pair.hosts[0].listen(taken).await.err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::AddrInUse);
    });
}

#[test]
fn a_machine_that_is_cut_off_answers_nobody_until_it_is_healed() {
    with_pair(|pair| async move {
        let [north, south] = &pair.machines;
        let _listener = pair.hosts[1].listen(address(south)).await.unwrap();
        pair.world.cut(&[north], &[south], Cut::Silent);
        let dialled = timeout(30 * SECOND, pair.hosts[0].connect(address(south))).await;
        assert!(dialled.is_err(), "it hangs until the caller's deadline");
        pair.world.heal();
        let dialled = timeout(30 * SECOND, pair.hosts[0].connect(address(south))).await;
        assert!(dialled.unwrap().is_ok());
    });
}

#[test]
fn silence_loses_nothing_and_is_one_way_where_asked() {
    with_pair(|mut pair| async move {
        let [north, south] = &pair.machines;
        pair.world.silence(north, south);
        pair.near.writer.write_all(b"one").await.unwrap();
        pair.far.writer.write_all(b"two").await.unwrap();
        let mut read = [0; 3];
        pair.near.reader.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"two");
        let silent = timeout(60 * SECOND, pair.far.reader.read_exact(&mut read)).await;
        assert!(silent.is_err());
        pair.world.mend(north, south);
        pair.far.reader.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"one");
    });
}

#[test]
fn a_cut_that_resets_ends_connections_at_both_ends() {
    with_pair(|mut pair| async move {
        let [north, south] = &pair.machines;
        pair.world.cut(&[north], &[south], Cut::Reset);
        for end in [&mut pair.near, &mut pair.far] {
            let error = end.reader.read(&mut [0; 8]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    });
}

#[test]
fn a_killed_process_is_seen_at_once_and_a_dead_machine_is_not() {
    with_pair(|mut pair| async move {
        pair.hosts[1].kill();
        let end = timeout(SECOND, pair.near.reader.read(&mut [0; 8])).await;
        assert!(matches!(end, Ok(Ok(0) | Err(_))));
    });
    with_pair(|mut pair| async move {
        pair.machines[1].power_off();
        let silent = timeout(60 * SECOND, pair.near.reader.read(&mut [0; 8])).await;
        assert!(silent.is_err());
        pair.machines[1].power_on();
        pair.near.writer.write_all(b"hello").await.unwrap();
        let reset = pair.near.reader.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn loopback_is_each_machines_own() {
    with_pair(|pair| async move {
        let [north, south] = &pair.hosts;
        let loopback = SocketAddr::from(([127, 0, 0, 1], PORT));
        let mut listener = north.listen(loopback).await.unwrap();
        let beside = pair.machines[0].boot();
        let near = beside.connect(loopback).await.unwrap();
        let far = listener.accept().await.unwrap();
        assert!(far.peer.ip().is_loopback() && near.peer == loopback);
        assert!(south.connect(loopback).await.is_err());
    });
}

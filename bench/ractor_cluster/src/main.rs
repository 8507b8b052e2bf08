//! ractor_cluster as a system to be measured by the remote bench: `serve` writes `ready` and an
//! address and ends when its standard input closes; `drive ADDRESS LOAD SIZE OPERATIONS` does one
//! load with a server, writes nanoseconds and ends. The loads are described in `remote/loads.rs`.
//!
//! An actor of another node is found in a process group. Its address cannot be part of a message,
//! so a round trip is an RPC. Casts are one-way and unbounded; the RPC behind them, which arrives
//! after the last, tells the end.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call, pg};
use ractor_cluster::{
    IncomingEncryptionMode, NodeServer, NodeServerMessage, RactorClusterMessage, client_connect,
};

type Failure = Box<dyn std::error::Error>;

const GROUP: &str = "bench";
const COOKIE: &str = "remote_bench";

/// More than the largest message; the default is less.
const FRAME_LEN_MAX: u64 = 128 << 20;

/// How often it is looked whether the server's actor is known.
const LOOK_EVERY: Duration = Duration::from_millis(5);

#[derive(RactorClusterMessage)]
enum Message {
    Chunk(Vec<u8>),
    /// How many chunks have arrived.
    #[rpc]
    Count(RpcReplyPort<u64>),
    #[rpc]
    AddOne(u64, RpcReplyPort<u64>),
}

struct Sink;

impl Actor for Sink {
    type Msg = Message;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, this: ActorRef<Message>, _: ()) -> Result<u64, ActorProcessingErr> {
        pg::join(GROUP.to_owned(), vec![this.get_cell()]);
        Ok(0)
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        message: Message,
        chunks: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Chunk(_) => *chunks += 1,
            Message::Count(reply) => reply.send(*chunks)?,
            Message::AddOne(number, reply) => reply.send(number + 1)?,
        }
        Ok(())
    }
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    match args[..] {
        ["serve"] => {
            end_with_standard_input();
            runtime.block_on(serve())
        }
        ["drive", address, load, size, operations] => {
            let (size, operations) = (size.parse()?, operations.parse()?);
            let (address, load) = (address.to_owned(), load.to_owned());
            let answer = runtime.block_on(async move {
                let driven = async move { drive(&address, &load, size, operations).await };
                tokio::spawn(driven).await
            })?;
            println!("{answer}");
            std::process::exit(0)
        }
        _ => Err("serve, or drive ADDRESS LOAD SIZE OPERATIONS".into()),
    }
}

fn end_with_standard_input() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
}

async fn start(port: u16, name: &str) -> Result<ActorRef<NodeServerMessage>, Failure> {
    let server = NodeServer::new(
        port,
        COOKIE.to_owned(),
        name.to_owned(),
        "127.0.0.1".to_owned(),
        Some(IncomingEncryptionMode::Raw),
        None,
    )
    .with_listen_addr(IpAddr::V4(Ipv4Addr::LOCALHOST))
    .with_max_inbound_frame_size(FRAME_LEN_MAX);
    let (server, _) = Actor::spawn(None, server, ()).await?;
    Ok(server)
}

async fn serve() -> Result<(), Failure> {
    // The node does not say which port it was given, so a free one is found for it.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let _server = start(port.port(), "server").await?;
    let _sink = Actor::spawn(None, Sink, ()).await?;
    println!("ready {port}");
    std::future::pending().await
}

async fn drive(address: &str, load: &str, size: u64, operations: u64) -> String {
    let client = start(0, "client").await.expect("a port is free");
    let connected = client_connect(&client, address).await;
    connected.expect("the server is there");
    let sink = sink().await;
    match load {
        "ping_pong" => ping(&sink, operations).await,
        "one_way" => one_way(&sink, size, operations).await,
        "gen_call" => calls(&sink, size, operations).await,
        other => panic!("it does not do {other}"),
    }
}

async fn sink() -> ActorRef<Message> {
    loop {
        if let Some(cell) = pg::get_members(&GROUP.to_owned()).pop() {
            return cell.into();
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn add_one(sink: &ActorRef<Message>, number: u64) {
    let next = call!(sink, Message::AddOne, number).expect("the server answers");
    assert_eq!(next, number + 1);
}

async fn ping(sink: &ActorRef<Message>, round_trips: u64) -> String {
    let warm_up = round_trips / 10;
    let mut times = Vec::new();
    for number in 0..warm_up + round_trips {
        let start = Instant::now();
        add_one(sink, number).await;
        times.push(start.elapsed().as_nanos());
    }
    let mut times = times.split_off(warm_up as usize);
    times.sort_unstable();
    let at = |hundredths: usize| times[(times.len() - 1) * hundredths / 100];
    format!("{} {}", at(50), at(99))
}

async fn one_way(sink: &ActorRef<Message>, size: u64, count: u64) -> String {
    let chunk = vec![0; size as usize];
    let start = Instant::now();
    for _ in 0..count {
        let sent = sink.cast(Message::Chunk(chunk.clone()));
        sent.expect("the connection is there");
    }
    let arrived = call!(sink, Message::Count).expect("the server answers");
    assert_eq!(arrived, count);
    start.elapsed().as_nanos().to_string()
}

async fn calls(sink: &ActorRef<Message>, clients: u64, operations: u64) -> String {
    let each = operations / clients;
    for number in 0..each / 10 {
        add_one(sink, number).await;
    }
    let start = Instant::now();
    let calling = (0..clients).map(|_| {
        let sink = sink.clone();
        tokio::spawn(async move {
            for number in 0..each {
                add_one(&sink, number).await;
            }
        })
    });
    for caller in calling.collect::<Vec<_>>() {
        caller.await.expect("no client fails");
    }
    start.elapsed().as_nanos().to_string()
}

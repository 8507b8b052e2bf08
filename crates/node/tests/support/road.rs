//! A road between nodes that a test can cut while both of its ends live on.

use std::net::SocketAddr;

use purlin_node::TokioHost;
use purlin_node::epmd;
use purlin_proto::epmd::{Registration, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use super::Net;

/// How connections end on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Both ends are told, by a reset.
    Reset,
    /// Neither is told: nothing passes any more.
    Silent,
}

/// Passes connections on to a node. All end when this is dropped.
pub struct Road {
    address: SocketAddr,
    cuts: broadcast::Sender<Cut>,
    _connections: JoinSet<()>,
}

impl Road {
    /// A road to whoever listens on `port`.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cuts, _) = broadcast::channel(16);
        let mut accepting = JoinSet::new();
        let told = cuts.clone();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                connections.spawn(pass(near, far, told.subscribe()));
            }
        });
        Self {
            address,
            cuts,
            _connections: accepting,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the connections that there are. Later ones pass.
    pub fn cut(&self, cut: Cut) {
        let _ = self.cuts.send(cut);
    }
}

async fn pass(mut near: TcpStream, mut far: TcpStream, mut cuts: broadcast::Receiver<Cut>) {
    let cut = tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => return,
        cut = cuts.recv() => cut,
    };
    match cut {
        Ok(Cut::Silent) => std::future::pending().await,
        _ => {
            near.set_zero_linger().unwrap();
            far.set_zero_linger().unwrap();
        }
    }
}

impl Net {
    /// The port of a node that has registered itself.
    pub async fn port_of(&self, alive: &str) -> u16 {
        let port = epmd::lookup(&TokioHost::current(), self.mapper.address(), alive).await;
        port.unwrap().expect("it is registered")
    }

    /// Registers a name with the port mapper; it stays as long as what this answers.
    pub async fn register(&self, alive: &str, port: u16) -> TcpStream {
        let mut mapper = TcpStream::connect(self.mapper.address()).await.unwrap();
        let request = Request::Register(Registration::new(alive, port, false));
        mapper.write_all(&request.encode().unwrap()).await.unwrap();
        let mut answer = [0; 2];
        mapper.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer[1], 0, "the name is free");
        mapper
    }
}

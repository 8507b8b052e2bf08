//! Plain sockets of tokio's: what the kernel and the executor leave to win. Messages have a length
//! of four bytes before them, and their receiver has each whole in memory; nothing else is done.

use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::{Here, percentiles, run, warm_up};
use crate::remote::loads::{Job, Kind};
use crate::remote::worker::READY;

/// Bytes of a batch, and of the buffer that is read into.
pub(super) const BATCH_LEN: usize = 64 << 10;

/// Bytes of a ping: a pid and an integer need no fewer.
const PING_LEN: usize = 16;

pub(super) struct Raw {
    /// Messages are gathered until there are so many bytes of them.
    batch_len: usize,
}

/// Every message is written on its own.
pub(super) const ONE_WRITE_EACH: Raw = Raw { batch_len: 1 };

pub(super) const BATCHES: Raw = Raw {
    batch_len: BATCH_LEN,
};

impl Here for Raw {
    fn serve(&self, _: u16) {
        run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            println!("{READY}{}", listener.local_addr()?);
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            serve(stream).await
        })
        .expect("the client stays until it has all");
    }

    fn drive(&self, _: u16, address: &str, job: Job) -> Vec<u64> {
        let (address, batch_len) = (address.to_owned(), self.batch_len);
        run(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            stream
                .write_u8(u8::from(job.kind == Kind::PingPong))
                .await?;
            match job.kind {
                Kind::PingPong => ping(stream, job.operations).await,
                _ => one_way(stream, job, batch_len).await,
            }
        })
        .expect("the server stays")
    }
}

/// The first byte says whether each message is answered.
async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    if stream.read_u8().await? == 1 {
        return echo(stream).await;
    }
    let count = stream.read_u64().await?;
    let mut stream = BufReader::with_capacity(BATCH_LEN, stream);
    let mut message = Vec::new();
    for _ in 0..count {
        let len = stream.read_u32().await?;
        message.resize(len as usize, 0);
        stream.read_exact(&mut message).await?;
    }
    stream.write_u8(1).await?;
    std::future::pending().await
}

/// Until the client is gone.
async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    let mut message = [0; PING_LEN];
    while stream.read_exact(&mut message).await.is_ok() {
        stream.write_all(&message).await?;
    }
    Ok(())
}

async fn ping(mut stream: TcpStream, round_trips: u64) -> std::io::Result<Vec<u64>> {
    let mut message = [0; PING_LEN];
    let mut times = Vec::new();
    for _ in 0..warm_up(round_trips) + round_trips {
        let start = Instant::now();
        stream.write_all(&message).await?;
        stream.read_exact(&mut message).await?;
        times.push(start.elapsed().as_nanos() as u64);
    }
    Ok(percentiles(times.split_off(warm_up(round_trips) as usize)))
}

async fn one_way(mut stream: TcpStream, job: Job, batch_len: usize) -> std::io::Result<Vec<u64>> {
    let message = vec![0; job.size as usize];
    let mut batch = Vec::new();
    let start = Instant::now();
    stream.write_u64(job.operations).await?;
    for _ in 0..job.operations {
        batch.extend_from_slice(&(job.size as u32).to_be_bytes());
        batch.extend_from_slice(&message);
        if batch.len() >= batch_len {
            stream.write_all(&batch).await?;
            batch.clear();
        }
    }
    stream.write_all(&batch).await?;
    stream.read_u8().await?;
    Ok(vec![start.elapsed().as_nanos() as u64])
}

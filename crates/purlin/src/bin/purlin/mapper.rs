//! `purlin epmd`: the port mapper on its own.

use std::net::IpAddr;
use std::sync::Arc;

use purlin_node::{TokioHost, epmd};

use crate::failure::Failure;
use crate::output;
use crate::signals::StopSignal;

#[derive(Debug)]
pub(crate) struct Options {
    /// Where to listen besides loopback.
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) port: u16,
}

/// Serves until it is told to stop.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let mut stop = StopSignal::new()?;
    let port = options.port;
    let addresses = epmd::addresses(&options.addresses, port);
    let serving = epmd::serve_on(Arc::new(TokioHost::current()), &addresses).await;
    let mapper = serving.map_err(|error| {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        Failure::failed(format!(
            "cannot listen on {}: {error}; if a port mapper runs there already, use that one, or \
             choose another port with --port",
            addresses.join(" and ")
        ))
    })?;
    output::line(&format!("ready epmd on {}", mapper.address()));
    stop.wait().await;
    Ok(())
}

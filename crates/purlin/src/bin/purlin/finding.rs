//! How nodes are found where no port mapper is to be asked.

use std::net::SocketAddr;

use purlin_node::NodeBuilder;

use crate::args::Parser;
use crate::failure::Failure;

/// Where peers listen, as flags or a file say it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Finding {
    addresses: Vec<(String, SocketAddr)>,
    port: Option<u16>,
}

impl Finding {
    /// Takes `NODE=IP:PORT` of `--peer`.
    pub(crate) fn add_peer(&mut self, parser: &Parser, text: &str) -> Result<(), Failure> {
        let wrong = || {
            parser.usage(format!(
                "--peer is NODE=IP:PORT, such as b@127.0.0.1=127.0.0.1:9101, not `{text}`"
            ))
        };
        let (node, address) = text.rsplit_once('=').ok_or_else(wrong)?;
        let node = parser.node(node)?.to_string();
        let address = address.parse().map_err(|_| wrong())?;
        self.addresses.push((node, address));
        Ok(())
    }

    /// Takes the port of `--peer-port`.
    pub(crate) fn set_port(&mut self, parser: &Parser, text: &str) -> Result<(), Failure> {
        let port = text.parse().ok().filter(|port| *port != 0);
        self.port = Some(port.ok_or_else(|| {
            parser.usage(format!(
                "--peer-port is a number from 1 to 65535, not `{text}`"
            ))
        })?);
        Ok(())
    }

    /// A node that finds its peers so.
    pub(crate) fn apply(&self, mut builder: NodeBuilder) -> NodeBuilder {
        for (node, address) in &self.addresses {
            builder = builder.peer_address(node, *address);
        }
        match self.port {
            Some(port) => builder.peer_port(port),
            None => builder,
        }
    }
}

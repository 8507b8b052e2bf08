//! The environment variables of OTP that are honoured.

use std::net::IpAddr;

use purlin_node::EPMD_PORT;

use crate::failure::Failure;

/// The port of the port mapper: `ERL_EPMD_PORT`, or 4369.
pub(crate) fn epmd_port() -> Result<u16, Failure> {
    let Some(value) = std::env::var_os("ERL_EPMD_PORT").filter(|value| !value.is_empty()) else {
        return Ok(EPMD_PORT);
    };
    let text = value.to_string_lossy();
    let port = text.parse().ok().filter(|port| *port != 0);
    port.ok_or_else(|| {
        Failure::usage(format!(
            "ERL_EPMD_PORT is `{text}`, not a port from 1 to 65535"
        ))
    })
}

/// Where port mappers listen besides loopback: `ERL_EPMD_ADDRESS`, separated by commas.
pub(crate) fn epmd_addresses() -> Result<Vec<IpAddr>, Failure> {
    let Some(value) = std::env::var_os("ERL_EPMD_ADDRESS").filter(|value| !value.is_empty()) else {
        return Ok(Vec::new());
    };
    let text = value.to_string_lossy();
    addresses(&text).ok_or_else(|| {
        Failure::usage(format!(
            "ERL_EPMD_ADDRESS is `{text}`, not IP addresses separated by commas"
        ))
    })
}

/// The addresses in a list separated by commas.
pub(crate) fn addresses(text: &str) -> Option<Vec<IpAddr>> {
    let addresses = text.split(',').map(|address| address.trim().parse().ok());
    addresses.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_separated_by_commas() {
        let all: Vec<IpAddr> = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        assert_eq!(addresses("127.0.0.1, ::1"), Some(all));
        assert_eq!(addresses("127.0.0.1,"), None);
    }
}

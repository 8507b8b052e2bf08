//! The environment variables of OTP that are honoured.

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

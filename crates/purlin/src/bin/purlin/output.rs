//! Standard output.

use std::io::Write;

/// Writes a line at once. A reader that went away (`purlin nodes | head -1`) is no error.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

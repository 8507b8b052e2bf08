//! Standard output and standard error. A reader that went away (`purlin nodes | head -1`) is no
//! error.

use std::io::Write;

/// Writes a line to standard output at once.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Writes a line to standard error.
pub(crate) fn error_line(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

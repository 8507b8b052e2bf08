//! What others sent, in the log: a line of it is bounded, whatever it is.

use std::fmt::{self, Write};

use purlin_runtime::limits::MESSAGE_BYTES_SHOWN_MAX;

/// The beginning of a text, up to as many bytes as a crash report shows of a message.
pub(crate) struct Bounded<'a>(pub(crate) &'a dyn fmt::Display);

/// Takes so many bytes more, and then fails, which ends the formatting.
struct Cut<'a, 'b> {
    to: &'a mut fmt::Formatter<'b>,
    left: usize,
}

impl Write for Cut<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut lens = (0..=self.left.min(text.len())).rev();
        let len = lens.find(|len| text.is_char_boundary(*len));
        let taken = &text[..len.unwrap_or(0)];
        self.left -= taken.len();
        self.to.write_str(taken)?;
        match taken.len() == text.len() {
            true => Ok(()),
            false => Err(fmt::Error),
        }
    }
}

impl fmt::Display for Bounded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = MESSAGE_BYTES_SHOWN_MAX;
        let mut cut = Cut { to: f, left };
        match write!(cut, "{}", self.0) {
            Ok(()) => Ok(()),
            Err(fmt::Error) => f.write_str("..."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_shown_to_its_bound() {
        assert_eq!(Bounded(&"short").to_string(), "short");
        let long = "\u{e4}".repeat(MESSAGE_BYTES_SHOWN_MAX);
        let shown = Bounded(&format_args!("a{long}")).to_string();
        assert_eq!(shown.len(), MESSAGE_BYTES_SHOWN_MAX - 1 + "...".len());
        assert!(shown.ends_with("\u{e4}..."));
    }
}

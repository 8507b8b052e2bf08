//! Quoting: which atoms need it, and which characters are escaped inside quotes.
//!
//! Source: `io_lib:write_atom/1` and `io_lib:write_string/2` with the `t` modifier. Letters are
//! those of Latin-1, as in `erl_scan`: `é` is one, `λ` is not and makes its atom quoted.

use std::fmt;

/// Words that are not atoms unless quoted. `maybe` and `else` are reserved since OTP 27.
const RESERVED: [&str; 29] = [
    "after", "and", "andalso", "band", "begin", "bnot", "bor", "bsl", "bsr", "bxor", "case",
    "catch", "cond", "div", "else", "end", "fun", "if", "let", "maybe", "not", "of", "or",
    "orelse", "receive", "rem", "try", "when", "xor",
];

/// True if `word` is a reserved word of the newest release.
pub(super) fn is_reserved(word: &str) -> bool {
    RESERVED.binary_search(&word).is_ok()
}

/// True if a bare atom may start with `c`.
pub(super) fn starts_atom(c: char) -> bool {
    matches!(c, 'a'..='z' | 'ß'..='ÿ') && c != '÷'
}

/// True if `c` may follow in a bare atom.
pub(super) fn continues_atom(c: char) -> bool {
    matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '@' | 'À'..='ÿ') && c != '÷' && c != '×'
}

/// Writes `text` as an atom, quoted where Erlang needs it.
pub(super) fn write_atom(f: &mut dyn fmt::Write, text: &str) -> fmt::Result {
    let mut chars = text.chars();
    let bare =
        chars.next().is_some_and(starts_atom) && chars.all(continues_atom) && !is_reserved(text);
    if bare {
        f.write_str(text)
    } else {
        write_quoted(f, text.chars(), '\'')
    }
}

/// Writes `chars` between quotes.
pub(super) fn write_quoted(
    f: &mut dyn fmt::Write,
    chars: impl IntoIterator<Item = char>,
    quote: char,
) -> fmt::Result {
    f.write_char(quote)?;
    for c in chars {
        write_escaped(f, c, quote)?;
    }
    f.write_char(quote)
}

fn write_escaped(f: &mut dyn fmt::Write, c: char, quote: char) -> fmt::Result {
    match c {
        '\\' => f.write_str("\\\\"),
        c if c == quote => write!(f, "\\{c}"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\u{b}' => f.write_str("\\v"),
        '\u{8}' => f.write_str("\\b"),
        '\u{c}' => f.write_str("\\f"),
        '\u{1b}' => f.write_str("\\e"),
        '\u{7f}' => f.write_str("\\d"),
        '\0'..' ' | '\u{80}'..'\u{a0}' => write!(f, "\\{:03o}", u32::from(c)),
        c => f.write_char(c),
    }
}

/// True if `c` lets a list or binary be shown as text: OTP's `io_lib:printable_list/1` with its
/// default range, Latin-1.
pub(super) fn is_printable(c: u32) -> bool {
    matches!(c, 0x20..=0x7e | 0xa0..=0xff | 0x08..=0x0d | 0x1b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserved_words_are_sorted_for_the_search() {
        assert!(RESERVED.is_sorted());
    }
}

//! Scanning: the characters of a text, its tokens, and what to say when one is not as expected.
//!
//! Source: OTP 28's `erl_scan`. The scanner keeps a byte offset only; line and column are counted
//! when an error needs them.

use std::borrow::Cow;

use num_bigint::BigInt;

use super::quote::{continues_atom, is_reserved};
use crate::limits::TEXT_DIGITS_MAX;
use crate::{Float, Term};

/// Why a text is not a term: what was expected where, and what stood there instead.
///
/// ```
/// use purlin_term::Term;
/// let error = Term::parse("{ok, [1, 2}").unwrap_err();
/// assert_eq!(error.to_string(), "line 1, column 11: expected `,`, `|` or `]`, found `}`");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: expected {expected}, found {found}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What would have been accepted here.
    pub expected: Cow<'static, str>,
    /// What is here.
    pub found: Cow<'static, str>,
}

pub(super) type Parsed<T> = Result<T, ParseError>;

/// Characters of the text that an error shows.
const EXCERPT_CHARS: usize = 24;

pub(super) struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// The offset in bytes, for [`Scanner::error`].
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// The text from an offset that [`Scanner::at`] gave.
    pub(super) fn text_from(&self, at: usize) -> &'t str {
        &self.text[at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Takes the next character, or says what was expected instead of the end of the text.
    pub(super) fn next(&mut self, expected: &'static str) -> Parsed<char> {
        let Some(c) = self.peek() else {
            return Err(self.expected(expected));
        };
        self.at += c.len_utf8();
        Ok(c)
    }

    /// Takes `token` if it is next.
    pub(super) fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Takes `token`, white space before it included.
    pub(super) fn expect(&mut self, token: &str, expected: &'static str) -> Parsed<()> {
        self.skip_space();
        if self.eat(token) {
            return Ok(());
        }
        Err(self.expected(expected))
    }

    /// Takes the characters for which `take` holds.
    pub(super) fn take_while(&mut self, take: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let len = rest.find(|c| !take(c)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    /// Skips white space and comments.
    pub(super) fn skip_space(&mut self) {
        loop {
            self.take_while(is_space);
            if self.peek() != Some('%') {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    /// The error that something else was expected here.
    #[inline(never)]
    pub(super) fn expected(&self, expected: impl Into<Cow<'static, str>>) -> ParseError {
        self.error(self.at, expected, describe(self.rest()))
    }

    /// An error at the byte offset `at`.
    #[inline(never)]
    pub(super) fn error(
        &self,
        at: usize,
        expected: impl Into<Cow<'static, str>>,
        found: impl Into<Cow<'static, str>>,
    ) -> ParseError {
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        ParseError {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// A number, after its sign.
    pub(super) fn number(&mut self, negative: bool) -> Parsed<Term> {
        let start = self.at;
        let whole = self.digits(10);
        let term = if self.rest().starts_with('.') && self.digit_follows(1) {
            self.fraction(start, whole.into_owned(), negative)?
        } else if self.eat("#") {
            let base = whole.parse().ok().filter(|base| (2..=36).contains(base));
            let Some(base) = base else {
                return Err(self.error(start, "a base from 2 to 36", format!("`{whole}`")));
            };
            let digits = self.digits(base);
            self.integer(start, &digits, base, negative)?
        } else {
            self.integer(start, &whole, 10, negative)?
        };
        if self.peek().is_some_and(continues_atom) {
            return Err(self.expected("the end of the number"));
        }
        Ok(term)
    }

    fn digit_follows(&self, at: usize) -> bool {
        let next = self.rest().as_bytes().get(at);
        next.is_some_and(u8::is_ascii_digit)
    }

    /// Digits, with single underscores between them left out.
    fn digits(&mut self, base: u32) -> Cow<'t, str> {
        let run = |rest: &str| rest.find(|c: char| !c.is_digit(base)).unwrap_or(rest.len());
        let rest = self.rest();
        let mut len = run(rest);
        let mut digits = Cow::Borrowed(&rest[..len]);
        while len > 0 && rest[len..].starts_with('_') {
            let more = run(&rest[len + 1..]);
            if more == 0 {
                break;
            }
            digits.to_mut().push_str(&rest[len + 1..][..more]);
            len += 1 + more;
        }
        self.at += len;
        digits
    }

    fn integer(&self, start: usize, digits: &str, base: u32, negative: bool) -> Parsed<Term> {
        if let Ok(value) = i64::from_str_radix(digits, base) {
            return Ok(Term::Int(if negative { -value } else { value }));
        }
        if decimal_digits(digits.len(), base) > TEXT_DIGITS_MAX {
            let expected = format!("an integer of at most {TEXT_DIGITS_MAX} decimal digits");
            return Err(self.error(start, expected, format!("{} digits", digits.len())));
        }
        let Some(value) = BigInt::parse_bytes(digits.as_bytes(), base) else {
            return Err(self.expected("a digit"));
        };
        Ok(Term::from(if negative { -value } else { value }))
    }

    fn fraction(&mut self, start: usize, mut text: String, negative: bool) -> Parsed<Term> {
        self.at += 1;
        text.push('.');
        text.push_str(&self.digits(10));
        if self.eat("e") || self.eat("E") {
            text.push('e');
            if self.eat("-") {
                text.push('-');
            } else {
                self.eat("+");
            }
            let exponent = self.digits(10);
            if exponent.is_empty() {
                return Err(self.expected("the digits of an exponent"));
            }
            text.push_str(&exponent);
        }
        let value: f64 = text
            .parse()
            .expect("digits, a point, digits and an exponent");
        match Float::new(if negative { -value } else { value }) {
            Some(value) => Ok(Term::Float(value)),
            None => Err(self.error(start, "a float of at most 1.8e308", "a larger one")),
        }
    }

    /// The text up to the quote that ends it, with escapes resolved; the opening quote was taken.
    pub(super) fn quoted(&mut self, end: char, expected: &'static str) -> Parsed<String> {
        let mut text = String::new();
        loop {
            text.push_str(self.take_while(|c| c != end && c != '\\'));
            if self.next(expected)? == end {
                return Ok(text);
            }
            text.push(self.escape()?);
        }
    }

    /// As [`Scanner::quoted`], with every character for itself but an escaped `end`.
    pub(super) fn verbatim(&mut self, end: char, expected: &'static str) -> Parsed<String> {
        let mut text = String::new();
        loop {
            text.push_str(self.take_while(|c| c != end && c != '\\'));
            if self.next(expected)? == end {
                return Ok(text);
            }
            if self.peek() == Some(end) {
                text.push(self.next(expected)?);
            } else {
                text.push('\\');
            }
        }
    }

    /// What stands after a backslash.
    pub(super) fn escape(&mut self) -> Parsed<char> {
        if self.peek().is_some_and(|c| c.is_digit(8)) {
            return Ok(self.octal());
        }
        let start = self.at;
        Ok(match self.next("the character that `\\` escapes")? {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'e' => '\u{1b}',
            's' => ' ',
            'd' => '\u{7f}',
            '^' => self.control()?,
            'x' => self.hexadecimal(start)?,
            c => c,
        })
    }

    /// One to three octal digits: at most `\777`, which is a character.
    fn octal(&mut self) -> char {
        let mut value = 0;
        for _ in 0..3 {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) else {
                break;
            };
            value = 8 * value + digit;
            self.at += 1;
        }
        char::from_u32(value).expect("at most 511")
    }

    fn control(&mut self) -> Parsed<char> {
        let expected = "a character from `@` to `_` or a letter after `\\^`";
        match self.peek() {
            Some('?') => {
                self.at += 1;
                Ok('\u{7f}')
            }
            Some(c @ ('@'..='_' | 'a'..='z')) => {
                self.at += 1;
                Ok(char::from(c as u8 & 0x1f))
            }
            _ => Err(self.expected(expected)),
        }
    }

    /// `\x` with two digits, or with as many as wanted in braces.
    fn hexadecimal(&mut self, start: usize) -> Parsed<char> {
        let is_hex = |c: char| c.is_ascii_hexdigit();
        let digits = if self.eat("{") {
            let digits = self.take_while(is_hex);
            self.expect_here("}")?;
            digits
        } else {
            let rest = self.rest().as_bytes();
            let len = rest
                .iter()
                .take(2)
                .take_while(|b| b.is_ascii_hexdigit())
                .count();
            let digits = &self.rest()[..len];
            self.at += len;
            if len < 2 { "" } else { digits }
        };
        let value = u32::from_str_radix(digits, 16).ok();
        value.and_then(char::from_u32).ok_or_else(|| {
            let expected = "the digits of a Unicode character after `\\x`";
            self.error(start, expected, describe(&self.text[start..]))
        })
    }

    fn expect_here(&mut self, token: &'static str) -> Parsed<()> {
        if self.eat(token) {
            return Ok(());
        }
        Err(self.expected(format!("`{token}`")))
    }

    /// A triple-quoted string, whose `quotes` opening quotes were taken: the lines between them,
    /// without the indentation of the closing ones.
    pub(super) fn lines(&mut self, quotes: usize) -> Parsed<String> {
        let first = self.line()?;
        if !first.1.chars().all(is_space) {
            let at = first.0 + first.1.len() - first.1.trim_start_matches(is_space).len();
            let found = describe(&self.text[at..]);
            return Err(self.error(at, "a line break after the opening quotes", found));
        }
        let mut lines = Vec::new();
        let indent = loop {
            let indent = self.rest();
            let indent = &indent[..indent.find(|c| !is_indent(c)).unwrap_or(indent.len())];
            let closing = self.rest()[indent.len()..]
                .bytes()
                .take_while(|&b| b == b'"');
            if closing.take(quotes).count() == quotes {
                self.at += indent.len() + quotes;
                break indent;
            }
            lines.push(self.line()?);
        };
        let mut text = String::new();
        for (i, &(at, line)) in lines.iter().enumerate() {
            let stripped = line.strip_prefix(indent);
            let stripped = stripped.or_else(|| matches!(line, "" | "\r").then_some(line));
            let Some(stripped) = stripped else {
                let expected = "the indentation of the closing quotes";
                return Err(self.error(at, expected, excerpt(line)));
            };
            if i > 0 {
                text.push('\n');
            }
            let is_last = i + 1 == lines.len();
            text.push_str(if is_last {
                stripped.trim_end_matches('\r')
            } else {
                stripped
            });
        }
        Ok(text)
    }

    /// The rest of the line and where it starts; the line break is taken.
    fn line(&mut self) -> Parsed<(usize, &'t str)> {
        let start = self.at;
        let line = self.take_while(|c| c != '\n');
        self.next("the closing quotes of the string, on a line of their own")?;
        Ok((start, line))
    }
}

/// How many decimal digits the largest integer of `len` digits has, rounded up generously: what is
/// read in one base must be readable as it prints, in base ten.
fn decimal_digits(len: usize, base: u32) -> usize {
    if base <= 10 {
        return len;
    }
    // A digit of base 36 holds at most 1.56 decimal ones.
    len.saturating_mul(2)
}

/// White space of `erl_scan`: everything up to the space, and the same in Latin-1's upper half.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, '\0'..=' ' | '\u{80}'..='\u{a0}')
}

fn is_indent(c: char) -> bool {
    is_space(c) && c != '\n'
}

/// The start of `text`, for an error.
pub(super) fn excerpt(text: &str) -> String {
    let start: String = text.chars().take(EXCERPT_CHARS).collect();
    format!("`{}`", start.escape_debug())
}

/// The token at the start of `text`, for an error.
pub(super) fn describe(text: &str) -> String {
    let Some(first) = text.chars().next() else {
        return "end of text".into();
    };
    let word: String = text
        .trim_start_matches('#')
        .chars()
        .take_while(|&c| continues_atom(c))
        .take(EXCERPT_CHARS)
        .collect();
    match first {
        _ if is_reserved(&word) => format!("the reserved word `{word}`"),
        'A'..='Z' | '_' => format!("the variable `{word}`"),
        c if continues_atom(c) => format!("`{word}`"),
        c if c.is_control() || is_space(c) => format!("the character {:#x}", u32::from(c)),
        '<' if text.starts_with("<<") => "`<<`".into(),
        '>' if text.starts_with(">>") => "`>>`".into(),
        '=' if text.starts_with("=>") => "`=>`".into(),
        c => format!("`{c}{word}`"),
    }
}

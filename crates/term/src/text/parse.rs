//! Parsing: the term that a text says.
//!
//! Source: OTP 28's `erl_scan` and `erl_parse:parse_term/1`. Read are atoms, integers (also
//! `1_000`, `16#ff`, `$c`), floats, strings (escapes, adjacent ones, triple-quoted, sigils), bit
//! strings of integers and strings with sizes and `/utf8`, lists, tuples, maps, `fun m:f/a`,
//! comments, one sign before a number, and identifiers as [`super`] says. The final `.` may be left out. As in OTP, the last of two equal keys of a map wins and an
//! integer is cut to the size of its segment.
//!
//! Deviations: `maybe` and `else` are read as atoms, since OTP prints them so up to release 26;
//! parentheses, other segment types (`/float`, `/binary`, `/little`, ..) and floats with a base are
//! refused.
//!
//! Read `bits` and `identifier` next for those two, `scan` for numbers, escapes and errors.

use std::str::FromStr;

use super::NodeContext;
use super::quote::{continues_atom, is_reserved, starts_atom};
use super::scan::{Parsed, Scanner, describe, is_space};
use crate::limits::{DEPTH_MAX, TEXT_BYTES_CLAIMED_MAX};
use crate::{Atom, Export, Limits, NameBudget, Term};

pub use super::scan::ParseError;

impl Term {
    /// Reads a term as Erlang writes it, a final `.` optional.
    ///
    /// ```
    /// use purlin_term::Term;
    /// let term = Term::parse(r#"{add, 16#ff, "text", <<"binary">>, #{key => 'A b'}}."#)?;
    /// assert_eq!(term.to_string(), r#"{add,255,"text",<<"binary">>,#{key => 'A b'}}"#);
    /// # Ok::<(), purlin_term::ParseError>(())
    /// ```
    ///
    /// # Errors
    /// [`ParseError`] says what was expected where. `<0.1.0>`, which needs a node for context, is
    /// refused: see [`Term::parse_at`].
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Self::parse_with(text, None, &Limits::default())
    }

    /// As [`Term::parse`], with `<0.1.0>`, `#Ref<0.3.2.1>` and `#Port<0.1>` read as identifiers of
    /// that node.
    ///
    /// # Errors
    /// [`ParseError`] says what was expected where.
    pub fn parse_at(text: &str, context: NodeContext) -> Result<Self, ParseError> {
        Self::parse_with(text, Some(context), &Limits::default())
    }

    /// Reads the arguments of a call, written as a list: `[1, <<"a">>]`.
    ///
    /// # Errors
    /// [`ParseError`] says what was expected where; also when the term is not a proper list.
    pub fn parse_args(text: &str, context: Option<NodeContext>) -> Result<Vec<Self>, ParseError> {
        match Self::parse_with(text, context, &Limits::default())? {
            Self::List(items) => Ok(items.into_vec()),
            _ => {
                let mut scan = Scanner::new(text);
                scan.skip_space();
                Err(scan.expected("a list of arguments, as in `[1, two]`"))
            }
        }
    }

    /// As [`Term::parse`] and [`Term::parse_at`], within `limits`: `size_max` bounds the text,
    /// `elements_max` its terms and the characters of its strings, `inflated_max` the bytes of
    /// its bit strings, which are also at most [`TEXT_BYTES_CLAIMED_MAX`] more than those of the text.
    ///
    /// # Errors
    /// [`ParseError`] says what was expected where.
    pub fn parse_with(
        text: &str,
        context: Option<NodeContext>,
        limits: &Limits,
    ) -> Result<Self, ParseError> {
        let claimed_max = text.len().saturating_add(TEXT_BYTES_CLAIMED_MAX);
        let mut parser = Parser {
            scan: Scanner::new(text),
            context,
            depth_left: limits.depth_max.min(DEPTH_MAX),
            elements_left: limits.elements_max,
            bits_left: limits.inflated_max.min(claimed_max).saturating_mul(8),
            names: NameBudget::new(limits.new_node_names_max),
        };
        if text.len() > limits.size_max {
            let expected = format!("a text of at most {} bytes", limits.size_max);
            return Err(parser
                .scan
                .error(0, expected, format!("{} bytes", text.len())));
        }
        let term = parser.term()?;
        parser.end()?;
        Ok(term)
    }
}

impl FromStr for Term {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

pub(super) struct Parser<'t> {
    pub(super) scan: Scanner<'t>,
    pub(super) context: Option<NodeContext>,
    depth_left: usize,
    elements_left: usize,
    pub(super) bits_left: usize,
    pub(super) names: NameBudget,
}

impl Parser<'_> {
    /// A term with the white space before it. Recurses once a level, so leaves are kept out.
    fn term(&mut self) -> Parsed<Term> {
        self.scan.skip_space();
        match self.scan.peek() {
            Some('{') => self.nested(Self::tuple),
            Some('[') => self.nested(Self::list),
            Some('#') if self.at_map() => self.nested(Self::map),
            _ => self.leaf(),
        }
    }

    fn nested(&mut self, parse: fn(&mut Self) -> Parsed<Term>) -> Parsed<Term> {
        let Some(left) = self.depth_left.checked_sub(1) else {
            return Err(self.scan.expected("no deeper nesting"));
        };
        self.depth_left = left;
        let term = parse(self)?;
        self.depth_left += 1;
        Ok(term)
    }

    fn tuple(&mut self) -> Parsed<Term> {
        self.scan.eat("{");
        let mut items = Vec::new();
        self.scan.skip_space();
        if self.scan.eat("}") {
            return Ok(Term::Tuple(items.into()));
        }
        loop {
            self.push(&mut items)?;
            if self.scan.eat("}") {
                return Ok(Term::Tuple(items.into()));
            }
            self.scan.expect(",", "`,` or `}`")?;
        }
    }

    /// A list. Lists as its tail, and as theirs, are read in the same loop: `[a|[b|[c]]]` is flat.
    fn list(&mut self) -> Parsed<Term> {
        let mut items = Vec::new();
        let mut open = 0;
        let tail = loop {
            self.scan.eat("[");
            open += 1;
            if !self.items_before_tail(&mut items)? {
                open -= 1;
                break None;
            }
            if self.scan.peek() != Some('[') {
                break Some(self.term()?);
            }
        };
        for _ in 0..open {
            self.scan.expect("]", "`]`")?;
        }
        Ok(match tail {
            Some(tail) => Term::list_with_tail(items, tail),
            None => Term::List(items.into()),
        })
    }

    /// The elements of a list up to what ends them: `|` (true, a tail follows) or `]`.
    fn items_before_tail(&mut self, items: &mut Vec<Term>) -> Parsed<bool> {
        self.scan.skip_space();
        if self.scan.eat("]") {
            return Ok(false);
        }
        loop {
            self.push(items)?;
            if self.scan.eat("]") {
                return Ok(false);
            }
            if self.scan.eat("|") {
                self.scan.skip_space();
                return Ok(true);
            }
            self.scan.expect(",", "`,`, `|` or `]`")?;
        }
    }

    fn at_map(&self) -> bool {
        let after = self.scan.rest()[1..].trim_start_matches(is_space);
        after.starts_with('{')
    }

    fn map(&mut self) -> Parsed<Term> {
        self.scan.eat("#");
        self.scan.skip_space();
        self.scan.eat("{");
        let mut pairs = Vec::new();
        self.scan.skip_space();
        if self.scan.eat("}") {
            return Ok(Term::Map(crate::Map::default()));
        }
        loop {
            self.count(2)?;
            let key = self.term()?;
            self.scan.expect("=>", "`=>`")?;
            pairs.push((key, self.term()?));
            self.scan.skip_space();
            if self.scan.eat("}") {
                return Ok(last_of_equal_keys(pairs));
            }
            self.scan.expect(",", "`,` or `}`")?;
        }
    }

    /// An element of a container, and the white space after it.
    fn push(&mut self, items: &mut Vec<Term>) -> Parsed<()> {
        self.count(1)?;
        items.push(self.term()?);
        self.scan.skip_space();
        Ok(())
    }

    fn count(&mut self, elements: usize) -> Parsed<()> {
        match self.elements_left.checked_sub(elements) {
            Some(left) => self.elements_left = left,
            None => return Err(self.scan.expected("fewer elements and characters in all")),
        }
        Ok(())
    }

    /// The end of the text, after a `.` or without.
    fn end(&mut self) -> Parsed<()> {
        self.scan.skip_space();
        let ended = self.scan.eat(".");
        self.scan.skip_space();
        match self.scan.peek() {
            None => Ok(()),
            Some(_) if ended => Err(self.scan.expected("end of text")),
            Some(_) => Err(self.scan.expected("`.` or end of text")),
        }
    }

    #[inline(never)]
    fn leaf(&mut self) -> Parsed<Term> {
        match self.scan.peek() {
            Some('0'..='9' | '+' | '-' | '$') => self.signed(),
            Some('"') => self.string(),
            Some('~') => self.sigil(),
            Some('<') if self.scan.rest().starts_with("<<") => self.bit_string(),
            Some('<') => self.short_pid(),
            Some('#') => self.identifier(),
            Some('f') if self.at_fun() => self.export(),
            _ => Ok(Term::Atom(self.atom("a term")?)),
        }
    }

    /// A number or character, with a sign or without.
    pub(super) fn signed(&mut self) -> Parsed<Term> {
        let negative = self.scan.eat("-");
        if negative || self.scan.eat("+") {
            self.scan.skip_space();
        }
        if self.scan.eat("$") {
            let mut c = self.scan.next("the character after `$`")?;
            if c == '\\' {
                c = self.scan.escape()?;
            }
            let code = i64::from(u32::from(c));
            return Ok(Term::Int(if negative { -code } else { code }));
        }
        if !matches!(self.scan.peek(), Some('0'..='9')) {
            return Err(self.scan.expected("a number after the sign"));
        }
        self.scan.number(negative)
    }

    fn string(&mut self) -> Parsed<Term> {
        let text = self.adjacent_strings()?;
        self.count(text.chars().count())?;
        Ok(Term::string(&text))
    }

    /// One string, and those that follow it after white space.
    pub(super) fn adjacent_strings(&mut self) -> Parsed<String> {
        let mut text = self.one_string()?;
        loop {
            if self.scan.peek() == Some('"') {
                return Err(self.scan.expected("white space between two strings"));
            }
            self.scan.skip_space();
            if self.scan.peek() != Some('"') {
                return Ok(text);
            }
            text.push_str(&self.one_string()?);
        }
    }

    fn one_string(&mut self) -> Parsed<String> {
        if self.scan.rest().starts_with("\"\"\"") {
            let quotes = self.scan.take_while(|c| c == '"').len();
            return self.scan.lines(quotes);
        }
        self.scan.eat("\"");
        self.scan.quoted('"', "`\"`, the end of the string")
    }

    /// `~b"binary"`, `~s"string"`, in capitals without escapes; `~"binary"`.
    fn sigil(&mut self) -> Parsed<Term> {
        self.scan.eat("~");
        let kind = self.scan.take_while(continues_atom);
        if !matches!(kind, "" | "b" | "B" | "s" | "S") {
            return Err(self.scan.error(
                self.scan.at() - kind.len(),
                "`~`, `~b`, `~B`, `~s` or `~S` before a string",
                describe(kind),
            ));
        }
        let escapes = matches!(kind, "" | "b" | "s");
        let text = if self.scan.rest().starts_with("\"\"\"") {
            if kind == "b" || kind == "s" {
                return Err(self
                    .scan
                    .expected("`~B` or `~S` before a triple-quoted string"));
            }
            self.one_string()?
        } else {
            let end = match self.scan.next("a string after the sigil")? {
                '(' => ')',
                '[' => ']',
                '{' => '}',
                '<' => '>',
                same @ ('/' | '|' | '\'' | '"') => same,
                c => {
                    let at = self.scan.at() - c.len_utf8();
                    let found = format!("`{}`", c.escape_debug());
                    return Err(self.scan.error(at, "a string after the sigil", found));
                }
            };
            let expected = "the end of the string";
            if escapes {
                self.scan.quoted(end, expected)?
            } else {
                self.scan.verbatim(end, expected)?
            }
        };
        if self
            .scan
            .peek()
            .is_some_and(|c| continues_atom(c) || c == '"')
        {
            return Err(self.scan.expected("white space after the string"));
        }
        if kind.eq_ignore_ascii_case("s") {
            self.count(text.chars().count())?;
            Ok(Term::string(&text))
        } else {
            Ok(Term::from(text.as_str()))
        }
    }

    fn at_fun(&self) -> bool {
        let rest = self.scan.rest();
        rest.starts_with("fun") && !rest[3..].starts_with(continues_atom)
    }

    /// `fun m:f/a`.
    fn export(&mut self) -> Parsed<Term> {
        self.scan.eat("fun");
        self.scan.skip_space();
        let module = self.atom("a module: only `fun m:f/a` is a term")?;
        self.scan.expect(":", "`:`")?;
        self.scan.skip_space();
        let function = self.atom("a function")?;
        self.scan.expect("/", "`/`")?;
        self.scan.skip_space();
        let at = self.scan.at();
        let arity = match self.scan.peek() {
            Some('0'..='9' | '$') => self.signed()?.as_int(),
            _ => None,
        };
        match arity.and_then(|arity| u8::try_from(arity).ok()) {
            Some(arity) => Ok(Term::from(Export {
                module,
                function,
                arity,
            })),
            None => {
                let found = describe(self.scan.text_from(at));
                Err(self.scan.error(at, "an arity from 0 to 255", found))
            }
        }
    }

    fn atom(&mut self, expected: &'static str) -> Parsed<Atom> {
        let at = self.scan.at();
        let text = match self.scan.peek() {
            Some('\'') => {
                self.scan.eat("'");
                self.scan.quoted('\'', "`'`, the end of the atom")?
            }
            Some(c) if starts_atom(c) => self.word(expected)?,
            _ => return Err(self.scan.expected(expected)),
        };
        Atom::new(&text).map_err(|_| {
            let found = format!("one of {}", text.chars().count());
            self.scan
                .error(at, "an atom of at most 255 characters", found)
        })
    }

    fn word(&mut self, expected: &'static str) -> Parsed<String> {
        let rest = self.scan.rest();
        let len = rest.find(|c| !continues_atom(c)).unwrap_or(rest.len());
        let word = &rest[..len];
        if is_reserved(word) && word != "maybe" && word != "else" {
            return Err(self.scan.expected(expected));
        }
        self.scan.eat(word);
        Ok(word.into())
    }
}

/// A map in which the last of equal keys counts, as in Erlang source.
fn last_of_equal_keys(mut pairs: Vec<(Term, Term)>) -> Term {
    pairs.reverse();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs.dedup_by(|later, earlier| later.0 == earlier.0);
    Term::map(pairs).expect("no key is left twice")
}

//! Pids, ports and references, in full or relative to a node: the two forms that the module above
//! describes.
//!
//! A node's name may be quoted, as an atom is. A reference has any number of words, so before them
//! the numbers at the end of a bare name are taken for words too: with more than five it is refused,
//! and never read as one of another node.

use super::NodeContext;
use super::parse::Parser;
use super::print::continues_node;
use super::scan::{Parsed, excerpt};
use crate::limits::REFERENCE_WORDS_MAX;
use crate::{Atom, NodeName, Pid, Port, Reference, Term};

/// Which kind of identifier stands between `#Kind<` and `>`.
#[derive(Clone, Copy)]
enum Kind {
    Pid,
    Port,
    Reference,
}

impl Kind {
    fn in_full(self) -> &'static str {
        match self {
            Self::Pid => "`#Pid<node.id.serial/creation>`",
            Self::Port => "`#Port<node.id/creation>`",
            Self::Reference => {
                "`#Ref<node.words/creation>`, the node quoted if it ends in a number"
            }
        }
    }

    /// How many numbers at the end are not the node's. For a reference all, so that a node which
    /// ends in a number, unquoted, makes too many words rather than another node.
    fn numbers(self) -> usize {
        match self {
            Self::Pid => 2,
            Self::Port => 1,
            Self::Reference => usize::MAX,
        }
    }
}

impl Parser<'_> {
    /// `<0.1.0>`.
    pub(super) fn short_pid(&mut self) -> Parsed<Term> {
        let at = self.scan.at();
        self.scan.eat("<");
        let inside = self.scan.take_while(continues_node);
        self.close(at, Kind::Pid)?;
        self.short(at, Kind::Pid, inside)
    }

    /// `#Pid<..>`, `#Port<..>`, `#Ref<..>`.
    pub(super) fn identifier(&mut self) -> Parsed<Term> {
        let at = self.scan.at();
        let kinds = [
            ("#Pid<", Kind::Pid),
            ("#Port<", Kind::Port),
            ("#Ref<", Kind::Reference),
        ];
        let Some((_, kind)) = kinds.iter().find(|(start, _)| self.scan.eat(start)) else {
            let expected = match self.scan.rest().starts_with("#Fun<") {
                true => "a term that can be read: a fun with an environment cannot",
                false => "`#{`, `#Pid<`, `#Port<` or `#Ref<`",
            };
            return Err(self.scan.expected(expected));
        };
        if self.scan.eat("'") {
            let node = self.scan.quoted('\'', "`'`, the end of the node's name")?;
            let numbers = self.scan.take_while(|c| c == '.' || c.is_ascii_digit());
            return match numbers.strip_prefix('.') {
                Some(numbers) => self.in_full(at, *kind, &node, numbers),
                None => Err(self.scan.error(at, kind.in_full(), self.excerpt(at))),
            };
        }
        let inside = self.scan.take_while(continues_node);
        if !self.scan.rest().starts_with('/') {
            self.close(at, *kind)?;
            return self.short(at, *kind, inside);
        }
        let (node, numbers) = split_numbers(inside, kind.numbers());
        self.in_full(at, *kind, node, numbers)
    }

    /// The identifier at `at`, as an error shows it.
    fn excerpt(&self, at: usize) -> String {
        let text = self.scan.text_from(at);
        let end = text.find('>').map_or(text.len(), |end| end + 1);
        excerpt(&text[..end])
    }

    fn close(&mut self, at: usize, kind: Kind) -> Parsed<()> {
        if self.scan.eat(">") {
            return Ok(());
        }
        Err(self.scan.error(at, kind.in_full(), self.excerpt(at)))
    }

    /// The form without a node: its first number is 0, for the node of the context.
    fn short(&mut self, at: usize, kind: Kind, inside: &str) -> Parsed<Term> {
        let wrong = |this: &Self| this.scan.error(at, kind.in_full(), this.excerpt(at));
        let Some(numbers) = inside.strip_prefix("0.") else {
            return Err(wrong(self));
        };
        let Some(context) = self.context else {
            let expected = format!(
                "{}: without it a node is needed for context",
                kind.in_full()
            );
            return Err(self.scan.error(at, expected, self.excerpt(at)));
        };
        make(kind, context, numbers).ok_or_else(|| wrong(self))
    }

    fn in_full(&mut self, at: usize, kind: Kind, node: &str, numbers: &str) -> Parsed<Term> {
        let creation = if self.scan.eat("/") {
            self.scan.take_while(|c| c.is_ascii_digit()).parse().ok()
        } else {
            None
        };
        self.close(at, kind)?;
        let wrong = |this: &Self| this.scan.error(at, kind.in_full(), this.excerpt(at));
        let Some(creation) = creation else {
            return Err(wrong(self));
        };
        // The numbers are checked first, so that a text that is refused adds no name.
        let probe = NodeContext {
            node: NodeName::nonode(),
            creation,
        };
        if make(kind, probe, numbers).is_none() {
            return Err(wrong(self));
        }
        let name = Atom::new(node).map_err(|_| wrong(self))?;
        let node = NodeName::intern(&name, &mut self.names).map_err(|refused| {
            let found = format!("`{name}`: {refused}");
            self.scan.error(at, "the name of a known node", found)
        })?;
        make(kind, NodeContext { node, creation }, numbers).ok_or_else(|| wrong(self))
    }
}

/// Splits off up to `max` numbers with points between them from the end.
fn split_numbers(text: &str, max: usize) -> (&str, &str) {
    let mut end = text.len();
    for _ in 0..max {
        let Some(point) = text[..end].rfind('.') else {
            break;
        };
        if !text[point + 1..end].bytes().all(|b| b.is_ascii_digit()) {
            break;
        }
        end = point;
    }
    (&text[..end], text.get(end + 1..).unwrap_or(""))
}

/// The identifier whose numbers are `numbers`, with points between them.
fn make(kind: Kind, context: NodeContext, numbers: &str) -> Option<Term> {
    let NodeContext { node, creation } = context;
    let word = |text: &str| text.parse::<u32>().ok();
    match kind {
        Kind::Pid => {
            let (id, serial) = numbers.split_once('.')?;
            let (id, serial) = (word(id)?, word(serial)?);
            Some(Term::Pid(Pid {
                node,
                creation,
                id,
                serial,
            }))
        }
        Kind::Port => {
            let id = numbers.parse().ok()?;
            Some(Term::Port(Port { node, creation, id }))
        }
        Kind::Reference => {
            let mut words = [0; REFERENCE_WORDS_MAX];
            let mut len = 0;
            for text in numbers.rsplit('.') {
                *words.get_mut(len)? = word(text)?;
                len += 1;
            }
            Reference::new(node, creation, &words[..len]).map(Term::from)
        }
    }
}

//! Printing: a term on one line, as `io_lib:format("~0tp", [Term])` writes it.
//!
//! Source: OTP's `io_lib_pretty` and `io_lib`, with the default printable range, Latin-1: lists
//! and binaries whose characters are all printable are shown as text, all others as numbers.
//! Where 25 and 28 differ (`maybe` and `else` are quoted since 27; a binary that starts as valid
//! UTF-8 with an unprintable character is never shown as Latin-1), 28 is followed.
//!
//! Deviations from OTP, all of them so that the text can be read back:
//! - identifiers, see the module above; a node name that could be misread is quoted;
//! - maps print in the order of their keys, as with `~0ktp`;
//! - `fun m:f/a` quotes reserved words and shows characters beyond ASCII; OTP writes
//!   `fun if:f/1`, and the bytes of `é` as two characters.
//!
//! Printing recurses once a level: a term at [`DEPTH_MAX`](crate::limits::DEPTH_MAX) takes a
//! fraction of a 2 MiB stack (a test says so).

use std::fmt::{self, Write};

use super::quote::{is_printable, write_atom, write_quoted};
use super::{NodeContext, float};
use crate::list::{List, Parts};
use crate::term::{BitString, ImproperList};
use crate::{Atom, Fun, Map, NodeName, Pid, Port, Reference, Term};

/// A term to be printed, with the node that its text is for: see [`Term::display_at`].
#[derive(Clone, Copy)]
pub struct Printer<'a> {
    term: &'a Term,
    context: Option<NodeContext>,
}

impl Term {
    /// Prints as that node's `io:format("~0tp")` would: its own pids as `<0.1.0>`, references as
    /// `#Ref<0.3.2.1>`, ports as `#Port<0.1>`. Identifiers of others are written in full.
    ///
    /// ```
    /// use purlin_term::{NodeContext, NodeName, Pid, Term};
    /// let here = NodeContext { node: NodeName::nonode(), creation: 0 };
    /// let pid = Pid { node: here.node, creation: 0, id: 84, serial: 0 };
    /// let term = Term::from(pid);
    /// assert_eq!(term.display_at(here).to_string(), "<0.84.0>");
    /// assert_eq!(term.to_string(), "#Pid<nonode@nohost.84.0/0>");
    /// ```
    pub fn display_at(&self, context: NodeContext) -> Printer<'_> {
        Printer {
            term: self,
            context: Some(context),
        }
    }
}

impl fmt::Display for Printer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Writer {
            out: f,
            context: self.context,
        }
        .term(self.term)
    }
}

impl fmt::Debug for Printer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As `io_lib:format("~0tp", [Term])`, with identifiers in full.
///
/// ```
/// use purlin_term::Term;
/// let term = Term::list([Term::string("text"), Term::from("é"), Term::float(1e10).unwrap()]);
/// assert_eq!(term.to_string(), r#"["text",<<"é"/utf8>>,1.0e10]"#);
/// ```
impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let printer = Printer {
            term: self,
            context: None,
        };
        fmt::Display::fmt(&printer, f)
    }
}

/// As Erlang writes it: `ok`, `'Elixir.Foo'`. [`Atom::as_str`] is the bare text.
impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_atom(f, self.as_str())
    }
}

macro_rules! display_in_full {
    ($($type:ident => $method:ident, $form:literal;)*) => {$(
        #[doc = concat!("All of it: `", $form, "`.")]
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Writer { out: f, context: None }.$method(self)
            }
        }
    )*};
}

display_in_full! {
    Pid => pid, "#Pid<a@h.1.0/creation>";
    Port => port, "#Port<a@h.1/creation>";
    Reference => reference, "#Ref<a@h.3.2.1/creation>";
}

struct Writer<'a, 'f> {
    out: &'a mut fmt::Formatter<'f>,
    context: Option<NodeContext>,
}

impl Writer<'_, '_> {
    fn term(&mut self, term: &Term) -> fmt::Result {
        match term {
            Term::Tuple(items) => self.sequence("{", items, "}"),
            Term::List(items) => self.list(items),
            Term::ImproperList(list) => self.improper_list(list),
            Term::Map(map) => self.map(map),
            leaf => self.leaf(leaf),
        }
    }

    /// Kept out of `term`, so that its locals take no stack on the way down.
    #[inline(never)]
    fn leaf(&mut self, term: &Term) -> fmt::Result {
        match term {
            Term::Int(value) => write!(self.out, "{value}"),
            Term::BigInt(value) => write!(self.out, "{value}"),
            Term::Float(value) => float::write(self.out, *value),
            Term::Atom(atom) => write_atom(self.out, atom.as_str()),
            Term::Pid(pid) => self.pid(pid),
            Term::Port(port) => self.port(port),
            Term::Reference(reference) => self.reference(reference),
            Term::Binary(bytes) => self.binary(bytes),
            Term::BitString(bits) => self.bit_string(bits),
            Term::Fun(fun) => self.fun(fun),
            Term::Export(e) => write!(self.out, "fun {}:{}/{}", e.module, e.function, e.arity),
            _ => Ok(()),
        }
    }

    fn sequence(&mut self, open: &str, items: &[Term], close: &str) -> fmt::Result {
        self.out.write_str(open)?;
        self.items(items)?;
        self.out.write_str(close)
    }

    fn items(&mut self, items: &[Term]) -> fmt::Result {
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.out.write_char(',')?;
            }
            self.term(item)?;
        }
        Ok(())
    }

    /// Only a list of bytes can be of printable characters, which are Latin-1.
    fn list(&mut self, list: &List) -> fmt::Result {
        match list.parts() {
            Parts::Terms(items) => self.sequence("[", items, "]"),
            Parts::Bytes(bytes) => self.bytes(bytes),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) -> fmt::Result {
        if !bytes.is_empty() && bytes.iter().all(|&byte| is_printable(byte.into())) {
            return write_quoted(self.out, bytes.iter().map(|&byte| char::from(byte)), '"');
        }
        self.out.write_char('[')?;
        self.byte_numbers(bytes)?;
        self.out.write_char(']')
    }

    fn improper_list(&mut self, list: &ImproperList) -> fmt::Result {
        self.out.write_char('[')?;
        self.items(list.items())?;
        self.out.write_char('|')?;
        self.term(list.tail())?;
        self.out.write_char(']')
    }

    fn map(&mut self, map: &Map) -> fmt::Result {
        self.out.write_str("#{")?;
        for (i, (key, value)) in map.pairs().iter().enumerate() {
            if i > 0 {
                self.out.write_char(',')?;
            }
            self.term(key)?;
            self.out.write_str(" => ")?;
            self.term(value)?;
        }
        self.out.write_char('}')
    }

    fn binary(&mut self, bytes: &[u8]) -> fmt::Result {
        match shown_as(bytes) {
            Shown::Utf8(text) => {
                self.out.write_str("<<")?;
                write_quoted(self.out, text.chars(), '"')?;
                self.out.write_str("/utf8>>")
            }
            Shown::Latin1 => {
                self.out.write_str("<<")?;
                write_quoted(self.out, bytes.iter().map(|&b| char::from(b)), '"')?;
                self.out.write_str(">>")
            }
            Shown::Numbers => {
                self.out.write_str("<<")?;
                self.byte_numbers(bytes)?;
                self.out.write_str(">>")
            }
        }
    }

    fn byte_numbers(&mut self, bytes: &[u8]) -> fmt::Result {
        for (i, byte) in bytes.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(self.out, "{comma}{byte}")?;
        }
        Ok(())
    }

    fn bit_string(&mut self, bits: &BitString) -> fmt::Result {
        self.out.write_str("<<")?;
        if let Some((last, whole)) = bits.bytes().split_last() {
            self.byte_numbers(whole)?;
            let comma = if whole.is_empty() { "" } else { "," };
            let value = last >> (8 - bits.last_bits());
            write!(self.out, "{comma}{value}:{}", bits.last_bits())?;
        }
        self.out.write_str(">>")
    }

    /// As OTP's `#Fun<module.index.uniq>`, both numbers the older ones; it cannot be read back.
    fn fun(&mut self, fun: &Fun) -> fmt::Result {
        write!(
            self.out,
            "#Fun<{}.{}.{}>",
            fun.module, fun.old_index, fun.old_uniq
        )
    }

    fn is_here(&self, node: NodeName, creation: u32) -> bool {
        self.context == Some(NodeContext { node, creation })
    }

    fn pid(&mut self, pid: &Pid) -> fmt::Result {
        let Pid { id, serial, .. } = pid;
        if self.is_here(pid.node, pid.creation) {
            return write!(self.out, "<0.{id}.{serial}>");
        }
        self.out.write_str("#Pid<")?;
        write_node(self.out, pid.node, false)?;
        write!(self.out, ".{id}.{serial}/{}>", pid.creation)
    }

    fn port(&mut self, port: &Port) -> fmt::Result {
        if self.is_here(port.node, port.creation) {
            return write!(self.out, "#Port<0.{}>", port.id);
        }
        self.out.write_str("#Port<")?;
        write_node(self.out, port.node, false)?;
        write!(self.out, ".{}/{}>", port.id, port.creation)
    }

    /// The words highest first, as OTP prints them.
    fn reference(&mut self, reference: &Reference) -> fmt::Result {
        let here = self.is_here(reference.node(), reference.creation());
        self.out.write_str("#Ref<")?;
        if here {
            self.out.write_char('0')?;
        } else {
            write_node(self.out, reference.node(), true)?;
        }
        for word in reference.words().iter().rev() {
            write!(self.out, ".{word}")?;
        }
        if !here {
            write!(self.out, "/{}", reference.creation())?;
        }
        self.out.write_char('>')
    }
}

enum Shown<'a> {
    Utf8(&'a str),
    Latin1,
    Numbers,
}

/// The rule of `io_lib_pretty:printable_bin/5`: UTF-8 is tried first and given up only at bytes
/// that are not UTF-8, so an unprintable character before them means numbers.
fn shown_as(bytes: &[u8]) -> Shown<'_> {
    if bytes.is_empty() {
        return Shown::Numbers;
    }
    let (valid, whole) = match std::str::from_utf8(bytes) {
        Ok(text) => (text, true),
        Err(e) => (
            std::str::from_utf8(&bytes[..e.valid_up_to()]).unwrap_or(""),
            false,
        ),
    };
    if !valid.chars().all(|c| is_printable(c.into())) {
        return Shown::Numbers;
    }
    match whole {
        true if valid.is_ascii() => Shown::Latin1,
        true => Shown::Utf8(valid),
        false if bytes.iter().all(|&b| is_printable(b.into())) => Shown::Latin1,
        false => Shown::Numbers,
    }
}

/// Writes a node's name inside `#Pid<..>`: bare where it cannot be misread, else as a quoted atom.
/// Before the words of a reference, whose number varies, a name that ends in a number is quoted:
/// `#Ref<'a@127.0.0.1'.3.2.1/7>`.
fn write_node(f: &mut dyn fmt::Write, node: NodeName, before_words: bool) -> fmt::Result {
    let text = node.as_str();
    let bare = !text.is_empty() && text.chars().all(continues_node);
    let last = text.rsplit('.').next().unwrap_or("");
    let ends_in_number = last.chars().all(|c| c.is_ascii_digit());
    if bare && !(before_words && ends_in_number) {
        f.write_str(text)
    } else {
        write_quoted(f, text.chars(), '\'')
    }
}

/// True for the characters of a node's name that need no quotes.
pub(super) fn continues_node(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '@' | '.' | '-' | ':')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atom;

    fn here(name: &str) -> NodeContext {
        NodeContext {
            node: NodeName::new(Atom::new(name).unwrap()).unwrap(),
            creation: 7,
        }
    }

    fn binary(bytes: &[u8]) -> String {
        Term::Binary(bytes.into()).to_string()
    }

    #[test]
    fn strings_are_lists_of_printable_latin1() {
        let string = |text| Term::string(text).to_string();
        assert_eq!(
            string("a\"\\\n\u{1b}\r\u{8}\u{c}\u{b}\t b~é'"),
            r#""a\"\\\n\e\r\b\f\v\t b~é'""#
        );
        assert_eq!(string("λ"), "[955]");
        assert_eq!(string("\u{7f}"), "[127]");
        assert_eq!(string(""), "[]");
    }

    #[test]
    fn binaries_are_text_in_utf8_or_latin1_where_all_is_printable() {
        assert_eq!(binary(b""), "<<>>");
        assert_eq!(binary(b"a\"b"), r#"<<"a\"b">>"#);
        assert_eq!(binary("é".as_bytes()), r#"<<"é"/utf8>>"#);
        assert_eq!(binary(&[233]), r#"<<"é">>"#);
        assert_eq!(binary("λ".as_bytes()), "<<206,187>>");
        assert_eq!(binary(&[206, 177, 233]), "<<206,177,233>>");
        assert_eq!(binary(&[195, 169, 233]), "<<\"Ã©é\">>");
        assert_eq!(binary(b"a\0"), "<<97,0>>");
        assert_eq!(
            Term::bits(b"ab\xa0", 19).unwrap().to_string(),
            "<<97,98,5:3>>"
        );
        assert_eq!(Term::bits(b"\xa0", 3).unwrap().to_string(), "<<5:3>>");
    }

    #[test]
    fn atoms_are_quoted_where_erlang_needs_it() {
        let atom = |text: &str| Atom::new(text).unwrap().to_string();
        for bare in ["ok", "a@b_C1", "é", "ß", "ÿ"] {
            assert_eq!(atom(bare), bare);
        }
        for quoted in [
            "", "A", "_a", "@a", "1", "a b", "λ", "aλ", "÷", "a×", "if", "maybe", "else",
        ] {
            assert_eq!(atom(quoted), format!("'{quoted}'"));
        }
        assert_eq!(
            atom("\n'\\\"\u{1}\u{7f}\u{80}\u{a0}"),
            "'\\n\\'\\\\\"\\001\\d\\200\u{a0}'"
        );
    }

    #[test]
    fn containers_print_without_spaces_but_around_arrows() {
        let map = Term::map([(atom!("a").into(), 1.into()), (1.into(), Term::nil())]).unwrap();
        let term = Term::tuple([map, Term::list_with_tail([atom!("x").into()], 2.into())]);
        assert_eq!(term.to_string(), "{#{1 => [],a => 1},[x|2]}");
        assert_eq!(format!("{term:?}"), term.to_string());
    }

    #[test]
    fn identifiers_print_short_only_at_their_own_node_and_incarnation() {
        let at = here("a@h");
        let pid = Pid {
            node: at.node,
            creation: 7,
            id: 1,
            serial: 0,
        };
        let reference = Reference::new(at.node, 7, &[1, 2, 3]).unwrap();
        let port = Port {
            node: at.node,
            creation: 7,
            id: 1,
        };
        let old = Pid { creation: 6, ..pid };
        let all = Term::list([pid.into(), reference.into(), port.into(), old.into()]);
        assert_eq!(
            all.display_at(at).to_string(),
            "[<0.1.0>,#Ref<0.3.2.1>,#Port<0.1>,#Pid<a@h.1.0/6>]"
        );
        assert_eq!(
            all.to_string(),
            "[#Pid<a@h.1.0/7>,#Ref<a@h.3.2.1/7>,#Port<a@h.1/7>,#Pid<a@h.1.0/6>]"
        );
    }

    #[test]
    fn a_node_name_that_could_be_misread_is_quoted() {
        let at = here("a@127.0.0.1");
        let pid = Pid {
            node: at.node,
            creation: 7,
            id: 1,
            serial: 0,
        };
        assert_eq!(pid.to_string(), "#Pid<a@127.0.0.1.1.0/7>");
        let reference = Reference::new(at.node, 7, &[1, 2]).unwrap();
        assert_eq!(reference.to_string(), "#Ref<'a@127.0.0.1'.2.1/7>");
        let odd = Pid {
            node: here("a>b'").node,
            ..pid
        };
        assert_eq!(odd.to_string(), r"#Pid<'a>b\''.1.0/7>");
    }

    #[test]
    fn funs_print_module_index_and_uniq_and_exports_as_source() {
        let at = here("a@h");
        let fun = Fun {
            arity: 1,
            uniq: [0; 16],
            index: 6,
            module: atom!("erl_eval"),
            old_index: 42.into(),
            old_uniq: 3_316_493.into(),
            creator: Pid {
                node: at.node,
                creation: 7,
                id: 1,
                serial: 0,
            },
            free: Box::new([]),
        };
        assert_eq!(Term::from(fun).to_string(), "#Fun<erl_eval.42.3316493>");
        let export = crate::Export {
            module: atom!("if"),
            function: atom!("B c"),
            arity: 2,
        };
        assert_eq!(Term::from(export).to_string(), "fun 'if':'B c'/2");
    }
}

//! Terms in the words of an error message: short, whatever the term's size.

use super::error::{TEXT_SHOWN_MAX, shorten};
use crate::atom::Atom;
use crate::codec::{AtomText, Cursor, Head, WALKED};

/// The values of a tagged tuple that are still counted by underscores.
const PLACES_SHOWN_MAX: usize = 6;

/// The term at `cursor`, as in `found the integer 7`.
#[cold]
pub(crate) fn describe<'a>(mut cursor: Cursor<'a>, atoms: &'a [Atom]) -> String {
    match cursor.head(atoms).expect(WALKED) {
        Head::Int(value) => format!("the integer {value}"),
        Head::Big { .. } => "an integer of more than 64 bits".to_owned(),
        Head::Float(value) => format!("the float {:?}", value.get()),
        Head::Atom(atom) => format!("the atom {}", atom_text(atom)),
        Head::Tuple(arity) => tuple(cursor, atoms, arity),
        Head::Nil => "the empty list".to_owned(),
        Head::List(_) => "a list".to_owned(),
        Head::String(bytes) => format!("a list of {} small integers", bytes.len()),
        Head::Map(pairs) => format!("a map of {}", count(pairs, "pair")),
        Head::Binary(bytes) => binary(bytes),
        Head::Bits(..) => "a bit string that is no binary".to_owned(),
        Head::Pid(_) => "a pid".to_owned(),
        Head::Port(_) => "a port".to_owned(),
        Head::Reference(_) => "a reference".to_owned(),
        Head::Fun(_) | Head::Export(..) => "a fun".to_owned(),
    }
}

/// The key at `cursor` as a step of a path.
#[cold]
pub(crate) fn step<'a>(mut cursor: Cursor<'a>, atoms: &'a [Atom]) -> String {
    let start = cursor;
    match cursor.head(atoms).expect(WALKED) {
        Head::Int(value) => value.to_string(),
        Head::Atom(atom) => shorten(&atom.to_str()).into_owned(),
        Head::Binary(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => shorten(text).into_owned(),
            Err(_) => format!("({})", binary(bytes)),
        },
        _ => format!("({})", describe(start, atoms)),
    }
}

fn atom_text(atom: AtomText<'_>) -> String {
    let quoted = atom.to_atom().to_string();
    shorten(&quoted).into_owned()
}

fn tuple<'a>(mut cursor: Cursor<'a>, atoms: &'a [Atom], arity: usize) -> String {
    if (1..=PLACES_SHOWN_MAX).contains(&arity)
        && let Head::Atom(tag) = cursor.head(atoms).expect(WALKED)
    {
        return format!("{{{}{}}}", atom_text(tag), ", _".repeat(arity - 1));
    }
    format!("a tuple of {}", count(arity, "element"))
}

fn binary(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.len() <= TEXT_SHOWN_MAX && !text.contains(char::is_control) => {
            format!("the binary <<\"{text}\">>")
        }
        _ => format!("a binary of {}", count(bytes.len(), "byte")),
    }
}

pub(crate) fn count(number: usize, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        _ => format!("{number} {thing}s"),
    }
}

//! From encoded bytes to encoded bytes of another mode.
//!
//! A message is encoded once with atom references. A peer without an atom cache needs its atoms
//! inline, and a message that carries another needs the inner one's references renumbered. Heads
//! without atoms are copied as they stand; nothing is decoded.

use super::encode::Encoder;
use super::error::EncodeError;
use super::head::{AtomText, Cursor, Head, RawInt};
use super::tag;
use super::view::{View, WALKED};
use crate::atom::Atom;
use crate::bignum::Bignum;

impl Encoder {
    /// Appends the term that `view` shows, its atoms in this encoder's mode.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] when a fun grows past 4 GiB by inline atoms.
    pub fn view(&mut self, view: View<'_>) -> Result<(), EncodeError> {
        self.transcode(&mut Cursor::new(view.bytes()), view.atoms(), 1)
    }

    /// Copies `pending` terms from `cursor`; recursion is by nested funs only, which the walk
    /// bounds.
    fn transcode<'a>(
        &mut self,
        cursor: &mut Cursor<'a>,
        atoms: &'a [Atom],
        mut pending: usize,
    ) -> Result<(), EncodeError> {
        while pending > 0 {
            pending -= 1;
            let start = *cursor;
            let head = cursor.head(atoms).expect(WALKED);
            match head {
                Head::Atom(atom) => self.atom_text(atom),
                Head::Pid(pid) => {
                    self.raw(&[tag::NEW_PID]);
                    self.atom_text(pid.node);
                    self.numbers(&[pid.id, pid.serial, pid.creation]);
                }
                Head::Port(port) => {
                    self.raw(&[tag::V4_PORT]);
                    self.atom_text(port.node);
                    self.raw(&port.id.to_be_bytes());
                    self.numbers(&[port.creation]);
                }
                Head::Reference(reference) => {
                    self.raw(&[tag::NEWER_REFERENCE, 0, (reference.words.len() / 4) as u8]);
                    self.atom_text(reference.node);
                    self.numbers(&[reference.creation]);
                    self.raw(reference.words);
                }
                Head::Export(module, function, arity) => {
                    self.raw(&[tag::EXPORT]);
                    self.atom_text(module);
                    self.atom_text(function);
                    self.int(arity.into());
                }
                Head::Fun(fun) => {
                    let at = self.len();
                    self.raw(&[tag::NEW_FUN, 0, 0, 0, 0, fun.arity]);
                    self.raw(fun.uniq);
                    self.numbers(&[fun.index, fun.free_count as u32]);
                    self.atom_text(fun.module);
                    self.raw_int(fun.old_index);
                    self.raw_int(fun.old_uniq);
                    self.raw(&[tag::NEW_PID]);
                    self.atom_text(fun.creator.node);
                    self.numbers(&[fun.creator.id, fun.creator.serial, fun.creator.creation]);
                    self.transcode(cursor, atoms, fun.free_count)?;
                    self.patch_count(at, self.len() - at - 1)?;
                }
                Head::Tuple(count) => {
                    self.raw(cursor.since(start));
                    pending += count;
                }
                Head::List(count) => {
                    self.raw(cursor.since(start));
                    pending += count + 1;
                }
                Head::Map(count) => {
                    self.raw(cursor.since(start));
                    pending += 2 * count;
                }
                _ => self.raw(cursor.since(start)),
            }
        }
        Ok(())
    }

    fn atom_text(&mut self, atom: AtomText<'_>) {
        match atom {
            AtomText::Listed(atom, _) => self.atom(atom),
            other => self.atom(&other.to_atom()),
        }
    }

    fn numbers(&mut self, numbers: &[u32]) {
        for number in numbers {
            self.raw(&number.to_be_bytes());
        }
    }

    fn raw_int(&mut self, int: RawInt<'_>) {
        match int {
            RawInt::Small(value) => self.int(value),
            RawInt::Big { negative, digits } => {
                // Wider than 64 bits has no meaning in a fun; it is kept all the same.
                let value = Bignum::new(negative, digits);
                self.bignum(&value).expect("shorter than the input");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EncodedTerm, Fun, NodeName, Pid, Term, atom};

    fn all_kinds() -> Term {
        let node = NodeName::new(&atom!("transcode@host")).unwrap();
        let pid = Pid {
            node,
            creation: 1,
            id: 2,
            serial: 3,
        };
        let fun = Fun {
            arity: 1,
            uniq: [7; 16],
            index: 5,
            module: atom!("global"),
            old_index: 4.into(),
            old_uniq: Term::from(123_456_789_012i64),
            creator: pid,
            free: [atom!("free").into(), pid.into()].into(),
        };
        let inner = Term::map([
            (atom!("k").into(), fun.into()),
            (pid.into(), Term::float(2.5).unwrap()),
        ]);
        Term::tuple([
            inner.unwrap(),
            Term::list_with_tail([pid.into()], atom!("tail").into()),
        ])
    }

    #[test]
    fn references_become_inline_atoms_and_back_without_a_change_of_the_term() {
        let term = all_kinds();
        let with_refs = EncodedTerm::encode(&term).unwrap();
        let mut plain = Encoder::plain();
        plain.view(with_refs.view()).unwrap();
        let mut direct = Encoder::plain();
        direct.term(&term).unwrap();
        assert_eq!(plain.as_slice(), direct.as_slice());

        let mut continued = Encoder::continuing(vec![atom!("other"), atom!("k")]);
        continued.view(with_refs.view()).unwrap();
        let (bytes, atoms) = continued.finish();
        assert_eq!(atoms[..2], [atom!("other"), atom!("k")]);
        assert_eq!(
            atoms.len(),
            2 + with_refs.atoms().len() - 1,
            "`k` is listed once"
        );
        let mut names = crate::NameBudget::new(0);
        let decoded = crate::Decoder::new(&atoms, &crate::Limits::default(), &mut names)
            .decode(&bytes)
            .unwrap();
        assert_eq!(decoded, (term, bytes.len()));
    }
}

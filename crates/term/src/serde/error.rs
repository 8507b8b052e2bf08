//! Why a value has no encoding, and why a term is not a value of the type wanted.

use std::borrow::Cow;
use std::fmt;

use serde::{de, ser};

use crate::codec::EncodeError;
use crate::limits::SERDE_DEPTH_MAX;

/// A Rust value that has no encoding. The encoder is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SerializeError {
    /// `Some(None)` and `None` would be the same term.
    #[error("an Option inside an Option has no encoding: `Some(None)` would read as `None`")]
    NestedOption,
    /// `Some` of an atom that stands for `None`.
    #[error("`Some` of the atom {0} has no encoding: it would read as `None`")]
    SomeReadsAsNone(&'static str),
    /// Erlang has no such floats.
    #[error("a float that is infinite or not a number has no encoding")]
    NotFinite,
    /// A variant, field or [`Atom`](crate::Atom) has more than 255 characters.
    #[error("a name of {0} bytes is too long for an atom, which has at most 255 characters")]
    NameTooLong(usize),
    /// The value's `Serialize` announced another number of elements than it gave.
    #[error("a tuple or map was announced with {announced} elements and given {given}")]
    WrongLength {
        /// What it said.
        announced: usize,
        /// What came.
        given: usize,
    },
    /// Two keys of a map are the same term.
    #[error("a map has the same key twice")]
    DuplicateKey,
    /// Nothing deeper could be read again.
    #[error("nested more than {SERDE_DEPTH_MAX} levels deep")]
    TooDeep,
    /// The value is too long for the format.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// What the value's own `Serialize` has to say.
    #[error("{0}")]
    Custom(String),
}

impl ser::Error for SerializeError {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Custom(message.to_string())
    }
}

/// A term that is not a value of the type wanted: where in it, what was wanted, what was there.
///
/// ```
/// use purlin_term::{EncodedTerm, Term, atom};
/// let pair = Term::tuple([Term::from(1), atom!("two").into()]);
/// let error = purlin_term::from_term::<(i64, i64)>(&pair).unwrap_err();
/// assert_eq!(error.to_string(), "[1]: expected an integer (i64), found the atom two");
/// assert_eq!(error.path(), "[1]");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeserializeError(Box<Detail>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Detail {
    /// The way from the place of the error outwards.
    steps: Vec<Step>,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Problem {
    Mismatch {
        expected: Cow<'static, str>,
        found: Cow<'static, str>,
    },
    Custom(String),
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// A field, key or variant.
    Name(String),
    /// The place in a list or tuple, from 0.
    Index(usize),
}

impl DeserializeError {
    #[cold]
    pub(crate) fn mismatch(
        expected: impl Into<Cow<'static, str>>,
        found: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::of(Problem::Mismatch {
            expected: expected.into(),
            found: found.into(),
        })
    }

    fn of(problem: Problem) -> Self {
        Self(Box::new(Detail {
            steps: Vec::new(),
            problem,
        }))
    }

    /// The same error seen from one level further out.
    #[cold]
    pub(crate) fn inside(mut self, step: Step) -> Self {
        self.0.steps.push(step);
        self
    }

    /// Completes what serde says about a name that it does not know: the type that wanted another,
    /// and the whole term that was there.
    #[cold]
    pub(crate) fn in_enum(mut self, name: &str, term: String) -> Self {
        if let Problem::Mismatch { expected, found } = &mut self.0.problem {
            expected.to_mut().push_str(&format!(" ({name})"));
            *found = Cow::Owned(term);
        }
        self
    }

    /// Where: fields, variants and map keys by name, places in lists and tuples as `[3]`; empty if
    /// the whole term is meant. For example `put.items[3].price`.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for step in self.0.steps.iter().rev() {
            match step {
                Step::Index(index) => path.push_str(&format!("[{index}]")),
                Step::Name(name) => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(name);
                }
            }
        }
        path
    }

    /// What was wanted, in Erlang's words and Rust's: `a binary (String)`. `None` if the type's
    /// own `Deserialize` objected to a value, in words of its own.
    pub fn expected(&self) -> Option<&str> {
        match &self.0.problem {
            Problem::Mismatch { expected, .. } => Some(expected),
            Problem::Custom(_) => None,
        }
    }

    /// What was there: `the integer 7`. `None` where [`DeserializeError::expected`] is.
    pub fn found(&self) -> Option<&str> {
        match &self.0.problem {
            Problem::Mismatch { found, .. } => Some(found),
            Problem::Custom(_) => None,
        }
    }
}

impl fmt::Display for DeserializeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.steps.is_empty() {
            write!(f, "{}: ", self.path())?;
        }
        match &self.0.problem {
            Problem::Mismatch { expected, found } => {
                write!(f, "expected {expected}, found {found}")
            }
            Problem::Custom(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for DeserializeError {}

/// What serde's derived code and the visitors of others report, in the words used here.
impl de::Error for DeserializeError {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::of(Problem::Custom(message.to_string()))
    }

    #[cold]
    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::mismatch(expected.to_string(), unexpected(&found))
    }

    #[cold]
    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::mismatch(expected.to_string(), unexpected(&found))
    }

    #[cold]
    fn invalid_length(len: usize, expected: &dyn de::Expected) -> Self {
        Self::mismatch(expected.to_string(), format!("{len} elements"))
    }

    #[cold]
    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let found = format!("the variant {}", shorten(variant));
        Self::mismatch(one_of(expected, "no variant at all"), found)
    }

    #[cold]
    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let found = format!("the key {}", shorten(field));
        Self::mismatch(one_of(expected, "no keys at all"), found)
    }

    #[cold]
    fn missing_field(field: &'static str) -> Self {
        Self::mismatch(format!("the key {field}"), "a map without it")
    }

    #[cold]
    fn duplicate_field(field: &'static str) -> Self {
        Self::mismatch(format!("the key {field} once"), "it twice")
    }
}

/// Names as a choice, without those that only differ in their spelling from one that is there:
/// serde lists aliases too, and `Stop` next to `stop` helps nobody.
fn one_of(names: &[&str], none: &'static str) -> String {
    let is_alias = |name: &str| {
        let same = |other: &str| {
            let plain = |text: &str| text.replace('_', "").to_lowercase();
            plain(other) == plain(name)
        };
        let lower = |text: &str| !text.contains(char::is_uppercase);
        !lower(name) && names.iter().any(|other| lower(other) && same(other))
    };
    let shown: Vec<&str> = names.iter().copied().filter(|n| !is_alias(n)).collect();
    match shown.as_slice() {
        [] => none.to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// A value that serde had in hand, in Erlang's words.
fn unexpected(found: &de::Unexpected<'_>) -> String {
    use de::Unexpected as U;
    match found {
        U::Bool(value) => format!("the atom {value}"),
        U::Unsigned(value) => format!("the integer {value}"),
        U::Signed(value) => format!("the integer {value}"),
        U::Float(value) => format!("the float {value}"),
        U::Char(value) => format!("the character {value}"),
        U::Str(text) => format!("the text \"{}\"", shorten(text)),
        U::Bytes(bytes) => format!("a binary of {} bytes", bytes.len()),
        U::Unit => "the atom ok".to_owned(),
        U::Option => "an optional value".to_owned(),
        U::Seq => "a list or tuple".to_owned(),
        U::Map => "a map".to_owned(),
        other => other.to_string(),
    }
}

/// Longest text from a term that an error repeats, in characters: a guess that fits a log line.
pub(crate) const TEXT_SHOWN_MAX: usize = 40;

/// `text`, cut where it is long.
pub(crate) fn shorten(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(TEXT_SHOWN_MAX) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}...", &text[..end])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::Error as _;

    #[test]
    fn choices_leave_out_aliases_that_only_repeat_a_name() {
        assert_eq!(
            one_of(&["Stop", "add_all", "AddAll", "stop"], ""),
            "add_all or stop"
        );
        assert_eq!(one_of(&["EXIT", "Exit"], ""), "EXIT or Exit");
        assert_eq!(one_of(&["one"], ""), "one");
        assert_eq!(one_of(&[], "none"), "none");
    }

    #[test]
    fn a_path_joins_names_by_dots_and_indexes_by_brackets() {
        let error = DeserializeError::mismatch("an integer", "a map")
            .inside(Step::Name("price".into()))
            .inside(Step::Index(3))
            .inside(Step::Name("put".into()));
        assert_eq!(
            error.to_string(),
            "put[3].price: expected an integer, found a map"
        );
        assert_eq!(error.path(), "put[3].price");
        assert_eq!(error.expected(), Some("an integer"));
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let error = DeserializeError::unknown_field(&"é".repeat(100), &["a", "b"]);
        let shown = "é".repeat(TEXT_SHOWN_MAX);
        let text = format!("expected a or b, found the key {shown}...");
        assert_eq!(error.to_string(), text);
    }
}

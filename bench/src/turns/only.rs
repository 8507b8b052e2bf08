//! The texts of `--only`.

use super::Failure;

/// Texts that name loads, systems, or both.
#[derive(Default)]
pub(crate) struct Only(Vec<String>);

impl Only {
    /// Texts with commas between them.
    pub(crate) fn parse(texts: &str) -> Self {
        let texts = texts.split(',').map(|text| text.trim().to_owned());
        Self(texts.collect())
    }

    /// Every text names something.
    pub(crate) fn check(&self, names: impl Iterator<Item = String>) -> Result<(), Failure> {
        let names: Vec<String> = names.collect();
        let unknown = |text: &&String| !names.iter().any(|name| name.contains(text.as_str()));
        match self.0.iter().find(unknown) {
            Some(text) => Err(format!("no load and no system is named {text:?}").into()),
            None => Ok(()),
        }
    }

    /// Those of `all` that a text names; all of them where none names any, so that texts may name
    /// loads alone, or systems alone.
    pub(crate) fn chosen<T>(
        &self,
        all: &'static [T],
        names: impl Fn(&T) -> String,
    ) -> Vec<&'static T> {
        let named = |item: &&T| self.0.iter().any(|text| names(item).contains(text));
        let chosen: Vec<_> = all.iter().filter(named).collect();
        match chosen.is_empty() {
            true => all.iter().collect(),
            false => chosen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keeps_what_it_names_of_each_kind() {
        const LETTERS: [&str; 3] = ["a", "b", "c"];
        let name = |letter: &&str| letter.to_string();
        assert_eq!(Only::parse("a, c").chosen(&LETTERS, name), [&"a", &"c"]);
        assert_eq!(Only::parse("other").chosen(&LETTERS, name).len(), 3);
        assert_eq!(Only::default().chosen(&LETTERS, name).len(), 3);
    }

    #[test]
    fn a_text_that_names_nothing_is_refused() {
        let names = || ["L1 ping".to_owned(), "tokio".to_owned()].into_iter();
        assert!(Only::parse("L1,tok").check(names()).is_ok());
        assert!(Only::parse("L1,kameo").check(names()).is_err());
    }
}

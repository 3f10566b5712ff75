//! Everything that the pages say, in one file per language, and one more for why something is left out of an
//! import. A text that a language lacks does not compile.

mod catalog;
mod de;
mod en;
mod es;
mod fr;
mod import_problems;
mod ja;
mod language;
mod names;
mod pt;
mod text;

pub(crate) use self::catalog::Texts;
pub(crate) use self::language::Language;
pub(crate) use self::text::{Day, Filled, Moment, Text};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The numbers of the placeholders of a text.
    fn placeholders(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()).collect()
    }

    #[test]
    fn every_text_is_there_in_every_language_with_the_same_placeholders() {
        let english = Language::English.texts().all();
        for language in Language::ALL {
            let texts = language.texts().all();
            for ((name, english), (_, text)) in english.iter().zip(&texts) {
                assert_eq!(placeholders(text), placeholders(english), "{name} in {}", language.tag());
                assert!(!text.trim().is_empty() && text.trim() == *text, "{name} in {}", language.tag());
                let ends = |text: &str| text.ends_with(['.', '。', '?', '？', '!']);
                assert_eq!(ends(text), ends(english), "{name} in {}: {text}", language.tag());
            }
        }
    }

    #[test]
    fn no_language_repeats_another_but_for_names() {
        let english = Language::English.texts().all();
        for language in Language::ALL.into_iter().filter(|language| *language != Language::English) {
            let texts = language.texts().all();
            let same = english.iter().zip(&texts).filter(|(english, text)| english.1 == text.1 && english.1.len() > 15);
            assert_eq!(same.count(), 0, "{}", language.tag());
        }
    }

    #[test]
    fn what_is_filled_in_is_text_and_never_markup_or_a_placeholder() {
        let filled = Text("<a> {1} & {0}").strong("<b>{1}</b>").plain("{0}").to_string();
        assert_eq!(filled, "&#60;a&#62; {0} &#38; <strong><bdi>&#60;b&#62;{1}&#60;/b&#62;</bdi></strong>");
    }
}

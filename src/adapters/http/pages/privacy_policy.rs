//! The text of the privacy policy.

use std::sync::LazyLock;

use super::texts::Language;

/// The policy of the operator, or the built-in one, which applies to every installation.
///
/// A policy is plain text, whose paragraphs are separated by empty lines; a single line that begins with `# ` is a heading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrivacyPolicy(Option<Vec<PolicyBlock>>);

/// The built-in policy in every language, in the order of [`Language::ALL`].
static BUILT_IN: LazyLock<[Vec<PolicyBlock>; 6]> = LazyLock::new(|| {
    Language::ALL.map(|language| {
        PolicyBlock::all(match language {
            Language::English => include_str!("assets/privacy.en.txt"),
            Language::German => include_str!("assets/privacy.de.txt"),
            Language::Spanish => include_str!("assets/privacy.es.txt"),
            Language::French => include_str!("assets/privacy.fr.txt"),
            Language::Portuguese => include_str!("assets/privacy.pt.txt"),
            Language::Japanese => include_str!("assets/privacy.ja.txt"),
        })
    })
});

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PolicyBlock {
    Heading(String),
    Paragraph(String),
}

impl PrivacyPolicy {
    /// Parses the text of an operator; `None` if it is empty.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parts = PolicyBlock::all(text);
        (!parts.is_empty()).then_some(Self(Some(parts)))
    }

    /// Its parts. What an operator wrote is in the language in which they wrote it.
    pub(super) fn parts(&self, language: Language) -> &[PolicyBlock] {
        self.0.as_ref().unwrap_or_else(|| &BUILT_IN[language as usize])
    }
}

impl PolicyBlock {
    fn all(text: &str) -> Vec<Self> {
        let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines.split(|line| line.is_empty()).filter(|lines| !lines.is_empty()).map(Self::of).collect()
    }

    fn of(lines: &[&str]) -> Self {
        match lines {
            [line] if line.starts_with("# ") => Self::Heading(line[2..].trim().to_owned()),
            lines => Self::Paragraph(lines.join("\n")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_separate_paragraphs_and_a_hash_makes_a_heading() {
        let policy = PrivacyPolicy::parse("\u{feff}One\r\ntwo\r\n\r\n \r\n# Three\n\n# four\nfive\n\n#six\n").unwrap();
        let expected = [
            PolicyBlock::Paragraph("One\ntwo".to_owned()),
            PolicyBlock::Heading("Three".to_owned()),
            PolicyBlock::Paragraph("# four\nfive".to_owned()),
            PolicyBlock::Paragraph("#six".to_owned()),
        ];
        assert_eq!(policy.parts(Language::English), expected);
        assert_eq!(PrivacyPolicy::parse(" \n\t\n"), None);
    }

    #[test]
    fn the_policy_that_memgate_brings_along_says_the_same_in_every_language() {
        let kinds = |language| -> Vec<bool> {
            let policy = PrivacyPolicy::default();
            policy.parts(language).iter().map(|part| matches!(part, PolicyBlock::Heading(_))).collect()
        };
        assert!(kinds(Language::English).contains(&true) && kinds(Language::English).contains(&false));
        for language in Language::ALL {
            assert_eq!(kinds(language), kinds(Language::English), "{}", language.tag());
            assert_ne!(PrivacyPolicy::default().parts(language).len(), 0);
        }
    }
}

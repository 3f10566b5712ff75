//! The text of the privacy policy.

/// The policy: plain text, whose paragraphs are separated by empty lines; a single line that begins with `# ` is a heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivacyPolicy(pub(super) Vec<PolicyBlock>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PolicyBlock {
    Heading(String),
    Paragraph(String),
}

impl PrivacyPolicy {
    /// Parses the text; `None` if it is empty.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        let parts: Vec<PolicyBlock> =
            lines.split(|line| line.is_empty()).filter(|lines| !lines.is_empty()).map(PolicyBlock::of).collect();
        (!parts.is_empty()).then_some(Self(parts))
    }
}

/// The built-in policy, which applies to every installation.
impl Default for PrivacyPolicy {
    fn default() -> Self {
        Self::parse(include_str!("assets/privacy.txt")).unwrap_or(Self(Vec::new()))
    }
}

impl PolicyBlock {
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
        assert_eq!(policy.0, expected);
        assert_eq!(PrivacyPolicy::parse(" \n\t\n"), None);
    }

    #[test]
    fn the_policy_that_memgate_brings_along_has_headings_and_paragraphs() {
        let PrivacyPolicy(parts) = PrivacyPolicy::default();
        assert!(parts.iter().any(|part| matches!(part, PolicyBlock::Heading(_))));
        assert!(parts.iter().any(|part| matches!(part, PolicyBlock::Paragraph(_))));
    }
}

//! `/privacy`: what is done with what people entrust to the service. Whoever runs it can put their own text here.

use askama::Template;
use poem::http::StatusCode;
use poem::{Response, handler};

use super::assets;
use super::error::PageError;
use super::view::{self, PageContext};
use crate::adapters::http::server::exchange::Exchange;

/// What the page says: plain text, whose paragraphs are separated by empty lines; one that is a single line and begins
/// with `# ` is a heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivacyPolicy(Vec<PolicyBlock>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum PolicyBlock {
    Heading(String),
    Paragraph(String),
}

impl PrivacyPolicy {
    /// Reads the text; `None` if it says nothing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        let parts: Vec<PolicyBlock> =
            lines.split(|line| line.is_empty()).filter(|lines| !lines.is_empty()).map(PolicyBlock::of).collect();
        (!parts.is_empty()).then_some(Self(parts))
    }
}

/// What can be said of every memgate.
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

#[derive(Template)]
#[template(path = "privacy.html")]
struct PrivacyPage<'a> {
    parts: &'a [PolicyBlock],
}

#[handler]
pub(crate) fn show(exchange: &Exchange) -> Result<Response, PageError> {
    let page = PrivacyPage { parts: &exchange.services.privacy.0 };
    view::show(StatusCode::OK, PageContext::Standalone, &page)
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
    fn a_policy_is_text_and_never_markup() {
        let policy = PrivacyPolicy::parse("# <b>Hi</b>\n\n<script>alert(1)</script>").unwrap();
        let html = PrivacyPage { parts: &policy.0 }.render().unwrap();
        assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
        assert!(html.contains("&#60;script&#62;"), "{html}");
    }

    #[test]
    fn the_policy_that_memgate_brings_along_has_headings_and_paragraphs() {
        let PrivacyPolicy(parts) = PrivacyPolicy::default();
        assert!(parts.iter().any(|part| matches!(part, PolicyBlock::Heading(_))));
        assert!(parts.iter().any(|part| matches!(part, PolicyBlock::Paragraph(_))));
    }
}

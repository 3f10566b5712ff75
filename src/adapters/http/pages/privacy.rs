//! `/privacy`: the privacy policy. The operator can provide the text.

use askama::Template;
use poem::http::StatusCode;
use poem::{Response, handler};

use super::assets;
use super::browser::Browser;
use super::error::PageError;
use super::frame::Frame;
use super::privacy_policy::PolicyBlock;
use super::texts::Language;
use super::view::{self, PageContext};

#[derive(Template)]
#[template(path = "privacy.html")]
struct PrivacyPage<'a> {
    t: &'a Frame,
    parts: &'a [PolicyBlock],
}

#[handler]
#[expect(clippy::needless_pass_by_value, reason = "poem hands extractors over by value")]
pub(crate) fn show(browser: Browser<'_>) -> Result<Response, PageError> {
    let page = PrivacyPage { t: &browser.t, parts: browser.pages.privacy.parts(browser.t.language) };
    view::show(StatusCode::OK, PageContext::Standalone, &page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::http::pages::privacy_policy::PrivacyPolicy;

    #[test]
    fn a_policy_is_text_and_never_markup() {
        let policy = PrivacyPolicy::parse("# <b>Hi</b>\n\n<script>alert(1)</script>").unwrap();
        let t = Frame { language: Language::French, here: "/privacy".to_owned() };
        let html = PrivacyPage { t: &t, parts: policy.parts(t.language) }.render().unwrap();
        assert!(html.contains("<html lang=\"fr\">"), "{html}");
        assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
        assert!(html.contains("&#60;script&#62;"), "{html}");
    }
}

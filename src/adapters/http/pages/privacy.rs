//! `/privacy`: the privacy policy. The operator can provide the text.

use askama::Template;
use poem::http::StatusCode;
use poem::{Response, handler};

use super::assets;
use super::error::PageError;
use super::privacy_policy::PolicyBlock;
use super::view::{self, PageContext};
use crate::adapters::http::server::exchange::Exchange;

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
    use crate::adapters::http::pages::privacy_policy::PrivacyPolicy;

    #[test]
    fn a_policy_is_text_and_never_markup() {
        let policy = PrivacyPolicy::parse("# <b>Hi</b>\n\n<script>alert(1)</script>").unwrap();
        let html = PrivacyPage { parts: &policy.0 }.render().unwrap();
        assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
        assert!(html.contains("&#60;script&#62;"), "{html}");
    }
}

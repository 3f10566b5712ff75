//! `/language`: the language that somebody chooses at the foot of a page.

use std::time::Duration;

use poem::{Response, handler};

use super::browser::Browser;
use super::cookies::CookieKind;
use super::error::PageError;
use super::forms::Form;
use super::paths::is_page;
use super::return_to::ReturnTo;
use super::texts::Language;
use super::view;

/// For how long a choice is kept.
const LIFETIME: Duration = Duration::from_hours(365 * 24);

/// `POST /language`. It needs no token: another site is refused, and could do no more than change the language.
#[handler]
pub(crate) async fn choose(browser: Browser<'_>, form: Form) -> Result<Response, PageError> {
    let language = Language::from_tag(form.get("language")).ok_or(PageError::InvalidForm)?;
    let here = Some(form.get("here")).filter(|here| leads_to_a_page(here));
    let mut response = match here.map(ReturnTo::parse) {
        Some(Some(request @ ReturnTo::Authorization(_))) => browser.go_on_to(&request).await?,
        _ => view::see_other(here.unwrap_or("/"))?,
    };
    browser.cookies.set(&mut response, CookieKind::Language, language.tag(), LIFETIME);
    Ok(response)
}

/// Whether an address is a page of ours, and never one of another site.
fn leads_to_a_page(address: &str) -> bool {
    let path = address.split('?').next().unwrap_or_default();
    let is_local = address.starts_with('/') && !address.starts_with("//") && !address.contains(['\\', '#']);
    is_local && is_page(path) && address.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_leads_back_to_a_page_and_nowhere_else() {
        for here in
            ["/", "/privacy", "/account/memories?q=tea&from=", "/auth/authorize?client_id=a&redirect_uri=https%3A"]
        {
            assert!(leads_to_a_page(here), "{here}");
        }
        for elsewhere in [
            "",
            "https://evil.example/account",
            "//account/evil",
            "/\\evil.example",
            "/account\\..",
            "account",
            "/api/v1/me",
            "/auth/token",
            "/account\r\nSet-Cookie: a=b",
            "/account/é",
        ] {
            assert!(!leads_to_a_page(elsewhere), "{elsewhere}");
        }
    }
}

//! Renders a page, with the headers that protect it.

use askama::Template;
use poem::Response;
use poem::http::{HeaderValue, StatusCode, header};
use url::Url;

use super::error::PageError;
use super::texts::{Frame, Language};
use super::{assets, words};

/// The context in which a page is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageContext {
    /// Within an authorization flow.
    AuthorizationFlow,
    /// The response to its form redirects to the application. Chromium applies `form-action` to that redirect and all that
    /// follow it, at the application's site and elsewhere, so such a page cannot have one (ADR 11).
    BeforeRedirect,
    /// A page on its own.
    Standalone,
}

impl PageContext {
    /// The policy allows a page to load its stylesheet and its icon, to send its forms here, and nothing else.
    fn content_security_policy(self) -> String {
        let form_action = match self {
            Self::BeforeRedirect => "",
            Self::AuthorizationFlow | Self::Standalone => "form-action 'self'; ",
        };
        format!(
            "default-src 'none'; style-src 'self'; img-src 'self' data:; {form_action}base-uri 'none'; \
             frame-ancestors 'none'"
        )
    }

    /// An application may have opened the flow in a separate window, which must keep its opener to report back.
    fn opener_policy(self) -> &'static str {
        match self {
            Self::AuthorizationFlow | Self::BeforeRedirect => "unsafe-none",
            Self::Standalone => "same-origin",
        }
    }
}

/// The response that shows `template`.
///
/// # Errors
/// [`PageError::Internal`] if the template cannot be rendered.
pub(crate) fn show(status: StatusCode, context: PageContext, template: &impl Template) -> Result<Response, PageError> {
    let html = template.render().map_err(|error| PageError::Internal(error.into()))?;
    Ok(Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::CONTENT_SECURITY_POLICY, context.content_security_policy())
        .header(header::X_FRAME_OPTIONS, "DENY")
        .header(header::REFERRER_POLICY, "no-referrer")
        .header("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
        .header("cross-origin-opener-policy", context.opener_policy())
        .header("cross-origin-resource-policy", "same-origin")
        .body(html))
}

/// A redirect with GET, whatever the method of the request (RFC 9110 §15.4.4).
///
/// # Errors
/// [`PageError::Internal`] if the location is not a valid header value.
pub(crate) fn see_other(location: &str) -> Result<Response, PageError> {
    let location = HeaderValue::from_str(location).map_err(|error| PageError::Internal(error.into()))?;
    Ok(Response::builder()
        .status(StatusCode::SEE_OTHER)
        .header(header::LOCATION, location)
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::REFERRER_POLICY, "no-referrer")
        .finish())
}

#[derive(Template)]
#[template(path = "continue.html")]
struct ContinuePage<'a> {
    t: &'a Frame,
    location: &'a str,
    destination: &'a str,
}

/// The page that continues to an application automatically, or by its link. It replaces a redirect after a form, which the
/// `form-action` of the form's page would block.
///
/// # Errors
/// [`PageError::Internal`] if the template cannot be rendered.
pub(crate) fn hand_over_to(location: &Url, t: &Frame) -> Result<Response, PageError> {
    let page = ContinuePage { t, location: location.as_str(), destination: &words::destination(location, t) };
    show(StatusCode::OK, PageContext::AuthorizationFlow, &page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_form_before_a_redirect_to_the_application_may_lead_elsewhere() {
        let form_action = |context: PageContext| {
            let policy = context.content_security_policy();
            policy.split("; ").find_map(|directive| directive.strip_prefix("form-action ")).map(str::to_owned)
        };
        assert_eq!(form_action(PageContext::BeforeRedirect), None);
        for context in [PageContext::AuthorizationFlow, PageContext::Standalone] {
            assert_eq!(form_action(context).as_deref(), Some("'self'"));
        }
        for context in [PageContext::BeforeRedirect, PageContext::AuthorizationFlow, PageContext::Standalone] {
            let policy = context.content_security_policy();
            for directive in ["default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"] {
                assert!(policy.split("; ").any(|known| known == directive), "{policy}");
            }
        }
    }

    #[test]
    fn the_page_that_goes_on_does_so_by_itself_and_by_its_link_and_holds_no_markup_of_the_location() {
        let location: Url = "https://app.example/cb?error=x&state=%22%3E'<b>".parse().unwrap();
        let t = Frame { language: Language::English, here: "/".to_owned() };
        let html = ContinuePage { t: &t, location: location.as_str(), destination: "app.example" }.render().unwrap();
        assert!(
            html.contains(r#"<meta http-equiv="refresh" content="0;url=https://app.example/cb?error=x&#38;state="#)
        );
        assert!(html.contains(r#"href="https://app.example/cb?error=x&#38;state="#) && !html.contains("<b>"), "{html}");
    }

    #[test]
    fn there_is_no_redirect_with_a_line_break() {
        assert!(see_other("/x\r\nSet-Cookie: a=b").is_err());
        assert_eq!(see_other("/x").unwrap().headers()["location"], "/x");
    }
}

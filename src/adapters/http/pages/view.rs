//! Renders a page, with the headers that protect it.

use askama::Template;
use poem::Response;
use poem::http::{HeaderValue, StatusCode, header};
use url::Url;

use super::error::PageError;
use super::frame::Frame;
use super::texts::Language;
use super::{assets, words};

/// The context in which a page is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageContext {
    /// Within an authorization flow.
    AuthorizationFlow,
    /// The sign-in page with passkeys: within an authorization flow, with the script that asks for one.
    SignIn,
    /// The response to its form redirects to the application. Chromium applies `form-action` to that redirect and all that
    /// follow it, at the application's site and elsewhere, so such a page cannot have one (ADR 11).
    BeforeRedirect,
    /// A page on its own.
    Standalone,
    /// A page on its own, with the script that creates a passkey.
    AddPasskey,
}

impl PageContext {
    /// The policy allows a page to load its stylesheet and its icon, to send its forms here, and nothing else. Where passkeys
    /// are used there is a script too, which the sign-in page lets ask for a challenge.
    fn content_security_policy(self) -> String {
        let form_action = match self {
            Self::BeforeRedirect => "",
            Self::AuthorizationFlow | Self::SignIn | Self::Standalone | Self::AddPasskey => "form-action 'self'; ",
        };
        let script = match self {
            Self::SignIn => "script-src 'self'; connect-src 'self'; ",
            Self::AddPasskey => "script-src 'self'; ",
            Self::AuthorizationFlow | Self::BeforeRedirect | Self::Standalone => "",
        };
        format!(
            "default-src 'none'; style-src 'self'; img-src 'self' data:; {script}{form_action}base-uri 'none'; \
             frame-ancestors 'none'"
        )
    }

    /// An application may have opened the flow in a separate window, which must keep its opener to report back.
    fn opener_policy(self) -> &'static str {
        match self {
            Self::AuthorizationFlow | Self::SignIn | Self::BeforeRedirect => "unsafe-none",
            Self::Standalone | Self::AddPasskey => "same-origin",
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
        for context in
            [PageContext::AuthorizationFlow, PageContext::SignIn, PageContext::Standalone, PageContext::AddPasskey]
        {
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
    fn scripts_run_where_passkeys_are_used_alone_and_are_our_own() {
        for (context, scripts, connections) in [
            (PageContext::AuthorizationFlow, None, None),
            (PageContext::BeforeRedirect, None, None),
            (PageContext::Standalone, None, None),
            (PageContext::SignIn, Some("'self'"), Some("'self'")),
            (PageContext::AddPasskey, Some("'self'"), None),
        ] {
            let policy = context.content_security_policy();
            let of = |name: &str| policy.split("; ").find_map(|directive| directive.strip_prefix(name)).map(str::trim);
            assert_eq!((of("script-src"), of("connect-src")), (scripts, connections), "{policy}");
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

//! How a page becomes an answer, with the headers by which a browser keeps it to itself.

use askama::Template;
use poem::Response;
use poem::http::{HeaderValue, StatusCode, header};
use url::Url;

use super::error::PageError;

/// Which page a browser shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// On the way from an application and back to it.
    OnTheWay,
    /// Where the answer to the form redirects to the application. Browsers hold that redirect, and those that follow it
    /// at the application's site, against `form-action`.
    BeforeRedirect(&'a Url),
    /// A page of its own.
    AtHome,
}

impl Place<'_> {
    /// The policy lets a page load its stylesheet and its icon, send its forms here, and nothing else.
    fn content_security_policy(self) -> String {
        let further = match self {
            Self::BeforeRedirect(redirect_uri) => format!(" {}:", redirect_uri.scheme()),
            Self::OnTheWay | Self::AtHome => String::new(),
        };
        format!(
            "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'{further}; base-uri 'none'; \
             frame-ancestors 'none'"
        )
    }

    /// An application may have opened the way in a window of its own, which has to stay tied to it to report back.
    fn opener_policy(self) -> &'static str {
        match self {
            Self::OnTheWay | Self::BeforeRedirect(_) => "unsafe-none",
            Self::AtHome => "same-origin",
        }
    }
}

/// The answer that shows `template`.
///
/// # Errors
/// [`PageError::Internal`] if the template cannot be filled in.
pub(super) fn show(status: StatusCode, place: Place<'_>, template: &impl Template) -> Result<Response, PageError> {
    let html = template.render().map_err(|error| PageError::Internal(error.into()))?;
    Ok(Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::CONTENT_SECURITY_POLICY, place.content_security_policy())
        .header(header::X_FRAME_OPTIONS, "DENY")
        .header(header::REFERRER_POLICY, "no-referrer")
        .header("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
        .header("cross-origin-opener-policy", place.opener_policy())
        .header("cross-origin-resource-policy", "same-origin")
        .body(html))
}

/// The answer that sends a browser on, with GET whatever it came with (RFC 9110 §15.4.4).
///
/// # Errors
/// [`PageError::Internal`] if there can be no such header.
pub(super) fn send_on_to(location: &str) -> Result<Response, PageError> {
    let location = HeaderValue::from_str(location).map_err(|error| PageError::Internal(error.into()))?;
    Ok(Response::builder()
        .status(StatusCode::SEE_OTHER)
        .header(header::LOCATION, location)
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::REFERRER_POLICY, "no-referrer")
        .finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_form_before_a_redirect_may_lead_elsewhere_and_only_by_the_scheme_of_the_redirect_uri() {
        let form_action = |place: Place<'_>| {
            let policy = place.content_security_policy();
            policy.split("; ").find_map(|directive| directive.strip_prefix("form-action ")).map(str::to_owned)
        };
        for (uri, expected) in [
            ("https://chatgpt.com/aip/g-1/oauth/callback", "'self' https:"),
            ("http://127.0.0.1:4711/callback", "'self' http:"),
            ("com.example.app:/callback", "'self' com.example.app:"),
        ] {
            let uri: Url = uri.parse().unwrap();
            assert_eq!(form_action(Place::BeforeRedirect(&uri)).as_deref(), Some(expected));
        }
        for place in [Place::OnTheWay, Place::AtHome] {
            assert_eq!(form_action(place).as_deref(), Some("'self'"));
        }
    }

    #[test]
    fn there_is_no_redirect_with_a_line_break() {
        assert!(send_on_to("/x\r\nSet-Cookie: a=b").is_err());
        assert_eq!(send_on_to("/x").unwrap().headers()["location"], "/x");
    }
}

//! The cookies of a browser. On https their names begin with `__Host-`: no other host, and no page without encryption,
//! can set them.

use std::time::Duration;

use cookie::{Cookie, SameSite};
use poem::http::{HeaderValue, header};
use poem::{Request, Response};

/// For how long somebody may be about to sign in.
pub(super) const ATTEMPT_LIFETIME: Duration = Duration::from_mins(10);

/// Each cookie there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// The session of somebody who has signed in.
    Session,
    /// The attempt that the form of the sign-in page belongs to.
    SignIn,
    /// The attempt that has gone to the identity provider.
    Provider,
    /// Where to go on to when it comes back.
    ReturnTo,
}

/// How cookies are set and read at one public URL.
#[derive(Clone, Copy)]
pub(super) struct Cookies {
    secure: bool,
}

impl Cookies {
    pub(super) fn at(public_url: &str) -> Self {
        Self { secure: public_url.starts_with("https://") }
    }

    fn name(self, kept: Kept) -> &'static str {
        match (self.secure, kept) {
            (true, Kept::Session) => "__Host-memgate-session",
            (true, Kept::SignIn) => "__Host-memgate-sign-in",
            (true, Kept::Provider) => "__Host-memgate-provider",
            (true, Kept::ReturnTo) => "__Host-memgate-return-to",
            (false, Kept::Session) => "memgate-session",
            (false, Kept::SignIn) => "memgate-sign-in",
            (false, Kept::Provider) => "memgate-provider",
            (false, Kept::ReturnTo) => "memgate-return-to",
        }
    }

    /// What `request` brings.
    pub(super) fn read(self, request: &Request, kept: Kept) -> Option<String> {
        let headers = request.headers().get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut cookies = headers.flat_map(Cookie::split_parse).filter_map(Result::ok);
        cookies.find(|cookie| cookie.name() == self.name(kept)).map(|cookie| cookie.value().to_owned())
    }

    /// Lets the browser keep `value` for `lifetime`.
    pub(super) fn set(self, response: &mut Response, kept: Kept, value: &str, lifetime: Duration) {
        let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        let cookie = Cookie::build((self.name(kept), value))
            .path("/")
            .secure(self.secure)
            .http_only(true)
            .same_site(SameSite::Lax)
            .max_age(time::Duration::seconds(seconds));
        if let Ok(value) = HeaderValue::from_str(&cookie.build().to_string()) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }

    /// Lets the browser forget.
    pub(super) fn clear(self, response: &mut Response, kept: Kept) {
        self.set(response, kept, "", Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_https_a_cookie_is_bound_to_this_host_and_to_encryption() {
        let mut response = Response::default();
        Cookies::at("https://gate.example").set(&mut response, Kept::Session, "abc", Duration::from_mins(1));
        assert_eq!(
            response.headers()["set-cookie"],
            "__Host-memgate-session=abc; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60"
        );
    }

    #[test]
    fn on_http_a_cookie_is_neither_secure_nor_named_so() {
        let mut response = Response::default();
        Cookies::at("http://127.0.0.1:8080").clear(&mut response, Kept::SignIn);
        assert_eq!(response.headers()["set-cookie"], "memgate-sign-in=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0");
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name_wherever_it_stands() {
        let cookies = Cookies::at("http://127.0.0.1:8080");
        for (header, expected) in [
            ("memgate-session=a", Some("a")),
            ("x=1; memgate-session=a=b;y", Some("a=b")),
            ("xmemgate-session=a; memgate-sessionx=b; __Host-memgate-session=c; memgate-session", None),
            ("", None),
        ] {
            let request = Request::builder().header("cookie", header).finish();
            assert_eq!(cookies.read(&request, Kept::Session).as_deref(), expected, "{header}");
        }
    }
}

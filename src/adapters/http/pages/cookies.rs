//! The cookies. On https their names begin with `__Host-`, so that no other host and no unencrypted page can set them.
//! Browsers do not separate the ports of a host, so a port in the public URL is part of the names.

use std::time::Duration;

use cookie::{Cookie, SameSite};
use poem::http::{HeaderValue, header};
use poem::{Request, Response};
use url::Url;

/// Maximum duration of a sign-in.
pub(crate) const ATTEMPT_LIFETIME: Duration = Duration::from_mins(10);

/// The cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CookieKind {
    /// The session of a signed-in person.
    Session,
    /// The sign-in attempt of the form on the sign-in page.
    SignIn,
    /// The sign-in attempt at the identity provider.
    Provider,
    /// Where to continue after the identity provider: one of several parts.
    ReturnTo(u8),
    /// The language that somebody chose.
    Language,
}

/// Number of parts of a long value.
const PARTS: u8 = 3;
/// Maximum length of each part: browsers allow 4096 bytes per cookie, including its name and attributes.
const PART: usize = 3_800;
/// Maximum length of a value stored in parts.
pub(crate) const LONGEST_IN_PARTS: usize = PARTS as usize * PART;

/// Sets and reads cookies for one public URL.
#[derive(Clone, Copy)]
pub(crate) struct Cookies {
    secure: bool,
    port: Option<u16>,
}

impl Cookies {
    pub(crate) fn at(public_url: &str) -> Self {
        let port = Url::parse(public_url).ok().and_then(|url| url.port());
        Self { secure: public_url.starts_with("https://"), port }
    }

    fn name(self, kind: CookieKind) -> String {
        let prefix = if self.secure { "__Host-" } else { "" };
        let what = match kind {
            CookieKind::Session => "session",
            CookieKind::SignIn => "sign-in",
            CookieKind::Provider => "provider",
            CookieKind::ReturnTo(_) => "return-to",
            CookieKind::Language => "language",
        };
        let of_port = self.port.map(|port| format!("-{port}")).unwrap_or_default();
        let further = match kind {
            CookieKind::ReturnTo(index @ 1..) => format!("-part-{}", index + 1),
            _ => String::new(),
        };
        format!("{prefix}memgate-{what}{of_port}{further}")
    }

    /// Reads a cookie of `request`. Cookies of other programs on the same host may contain any bytes, so each is parsed separately.
    pub(crate) fn read(self, request: &Request, kind: CookieKind) -> Option<String> {
        let name = self.name(kind);
        let headers = request.headers().get_all(header::COOKIE).iter();
        let mut pairs = headers.flat_map(|header| header.as_bytes().split(|b| *b == b';')).map(<[u8]>::trim_ascii);
        let value = pairs.find_map(|pair| pair.strip_prefix(name.as_bytes())?.trim_ascii_start().strip_prefix(b"="))?;
        String::from_utf8(value.trim_ascii().to_vec()).ok()
    }

    /// Reads where to continue.
    pub(crate) fn read_return_to(self, request: &Request) -> Option<String> {
        let parts = (0..PARTS).map_while(|part| self.read(request, CookieKind::ReturnTo(part)));
        Some(parts.collect::<String>()).filter(|value| !value.is_empty())
    }

    /// Stores where to continue: visible ASCII of at most [`LONGEST_IN_PARTS`] bytes.
    pub(crate) fn set_return_to(self, response: &mut Response, value: &str, lifetime: Duration) {
        for part in 0..PARTS {
            let start = usize::from(part) * PART;
            match value.get(start..value.len().min(start + PART)).filter(|piece| !piece.is_empty()) {
                Some(piece) => self.set(response, CookieKind::ReturnTo(part), piece, lifetime),
                None => self.clear(response, CookieKind::ReturnTo(part)),
            }
        }
    }

    /// Clears where to continue.
    pub(crate) fn clear_return_to(self, response: &mut Response) {
        self.set_return_to(response, "", Duration::ZERO);
    }

    /// Sets a cookie for `lifetime`.
    pub(crate) fn set(self, response: &mut Response, kind: CookieKind, value: &str, lifetime: Duration) {
        let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        let cookie = Cookie::build((self.name(kind), value))
            .path("/")
            .secure(self.secure)
            .http_only(true)
            .same_site(SameSite::Lax)
            .max_age(time::Duration::seconds(seconds));
        if let Ok(value) = HeaderValue::from_str(&cookie.build().to_string()) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }

    /// Clears a cookie.
    pub(crate) fn clear(self, response: &mut Response, kind: CookieKind) {
        self.set(response, kind, "", Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_https_a_cookie_is_bound_to_this_host_and_to_encryption() {
        let mut response = Response::default();
        Cookies::at("https://gate.example").set(&mut response, CookieKind::Session, "abc", Duration::from_mins(1));
        assert_eq!(
            response.headers()["set-cookie"],
            "__Host-memgate-session=abc; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60"
        );
    }

    #[test]
    fn on_http_a_cookie_is_neither_secure_nor_named_so() {
        let mut response = Response::default();
        Cookies::at("http://gate.example").clear(&mut response, CookieKind::SignIn);
        assert_eq!(response.headers()["set-cookie"], "memgate-sign-in=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0");
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name_wherever_it_stands() {
        let cookies = Cookies::at("http://gate.example");
        for (header, expected) in [
            ("memgate-session=a", Some("a")),
            ("x=1; memgate-session=a=b;y", Some("a=b")),
            ("xmemgate-session=a; memgate-sessionx=b; __Host-memgate-session=c; memgate-session", None),
            ("", None),
            ("greeting=J\u{fc}rgen; memgate-session=a", Some("a")),
            ("memgate-session=a; greeting=J\u{fc}rgen", Some("a")),
        ] {
            let value = HeaderValue::from_bytes(header.as_bytes()).unwrap();
            let request = Request::builder().header("cookie", value).finish();
            assert_eq!(cookies.read(&request, CookieKind::Session).as_deref(), expected, "{header}");
        }
        let broken = HeaderValue::from_bytes(b"greeting=\xff\xfe; memgate-session=a").unwrap();
        let request = Request::builder().header("cookie", broken).finish();
        assert_eq!(cookies.read(&request, CookieKind::Session).as_deref(), Some("a"));
    }

    #[test]
    fn gates_on_the_ports_of_one_host_have_cookies_of_their_own() {
        let name = |public_url: &str| Cookies::at(public_url).name(CookieKind::Session);
        assert_eq!(name("http://127.0.0.1:8080"), "memgate-session-8080");
        assert_eq!(name("http://127.0.0.1:8081"), "memgate-session-8081");
        assert_eq!(name("https://gate.example:8443"), "__Host-memgate-session-8443");
        assert_eq!(name("https://gate.example"), "__Host-memgate-session");
        assert_eq!(name("https://gate.example:443"), "__Host-memgate-session", "the port that goes without saying");
    }

    #[test]
    fn where_to_go_on_to_is_kept_in_as_many_parts_as_it_needs() {
        let cookies = Cookies::at("http://gate.example");
        for length in [1, PART, PART + 1, LONGEST_IN_PARTS] {
            let (value, mut response) = ("x".repeat(length), Response::default());
            cookies.set_return_to(&mut response, &value, Duration::from_mins(1));
            let kind: Vec<String> = response
                .headers()
                .get_all("set-cookie")
                .iter()
                .map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap().to_owned())
                .filter(|pair| !pair.ends_with('='))
                .collect();
            assert_eq!(kind.len(), length.div_ceil(PART));
            assert!(kind.iter().all(|pair| pair.len() < 4096));
            let request = Request::builder().header("cookie", kind.join("; ")).finish();
            assert_eq!(cookies.read_return_to(&request), Some(value));
        }
        assert_eq!(cookies.read_return_to(&Request::default()), None);
    }
}

//! Where a browser continues after signing in or out: only the pages listed here, never another site.

use std::fmt;

use url::form_urlencoded;

use super::cookies::LONGEST_IN_PARTS;
use super::memory_name;
use crate::domain::memories::OwnMemoryId;
use crate::domain::oauth::AuthorizationRequest;
use crate::domain::system::Timestamp;

/// The page to continue with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ReturnTo {
    /// An application's request, with its original query string.
    Authorization(String),
    /// The list of connected applications.
    Connections,
    /// The first page of an account.
    #[default]
    Account,
    /// One's memories.
    Memories,
    /// One memory.
    Memory(OwnMemoryId),
    /// Password, sessions and history.
    Security,
    /// What can be taken away.
    Export,
    /// What can be brought along.
    Import,
}

impl ReturnTo {
    /// Maximum length of an application's request in bytes, however the person signs in: what browsers and proxies accept as a
    /// URL, and what fits into the cookie during the visit to the identity provider. As documented.
    pub(crate) const MAX: usize = 8000;
    /// Maximum length of what we add to it.
    const OWN: usize = 64;
    const AUTHORIZATION: &str = "/auth/authorize?";
    const CONNECTIONS: &str = "/account/connections";
    const ACCOUNT: &str = "/account";
    const MEMORIES: &str = "/account/memories";
    const SECURITY: &str = "/account/security";
    const EXPORT: &str = "/account/export";
    const IMPORT: &str = "/account/import";

    /// The request with this query string; `None` if it is too long. Bytes that are not allowed in a header or a cookie are
    /// percent-encoded, which is equivalent.
    pub(crate) fn authorization(query: &str) -> Option<Self> {
        if query.len() > Self::MAX + Self::OWN {
            return None;
        }
        let query: String = query.bytes().map(escaped).collect();
        let own = query.rsplit_once('&').filter(|(_, last)| last.starts_with(AuthorizationRequest::SIGNED_IN_AFTER));
        let length = own.map_or(query.len(), |(before, _)| before.len());
        (length <= Self::MAX && query.len() <= Self::MAX + Self::OWN).then_some(Self::Authorization(query))
    }

    /// Parses a form field or a cookie; `None` if it is not a known page.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(query) = text.strip_prefix(Self::AUTHORIZATION) {
            return query.bytes().all(|b| b.is_ascii_graphic() && b != b'#').then(|| Self::authorization(query))?;
        }
        match text {
            Self::CONNECTIONS => Some(Self::Connections),
            Self::ACCOUNT => Some(Self::Account),
            Self::MEMORIES => Some(Self::Memories),
            Self::SECURITY => Some(Self::Security),
            Self::EXPORT => Some(Self::Export),
            Self::IMPORT => Some(Self::Import),
            _ => memory_name::read(text.strip_prefix(Self::MEMORIES)?.strip_prefix('/')?).map(Self::Memory),
        }
    }

    /// The address of the page with a notice.
    pub(crate) fn with_notice(&self, notice: &str) -> String {
        let address = self.to_string();
        let separator = if address.contains('?') { '&' } else { '?' };
        format!("{address}{separator}{notice}")
    }

    /// The same request for a person who is about to sign in, at `now` or later: instead of asking for another sign-in, it
    /// checks that it took place.
    pub(crate) fn after_sign_in(self, now: Timestamp) -> Self {
        let Self::Authorization(query) = self else { return self };
        let asks = |pair: &&str| {
            let name = form_urlencoded::parse(pair.as_bytes()).next();
            name.is_some_and(|(name, _)| AuthorizationRequest::RECENCY.contains(&&*name))
        };
        let mut pairs: Vec<&str> = query.split('&').filter(|pair| !asks(pair)).collect();
        let own = format!("{}={}", AuthorizationRequest::SIGNED_IN_AFTER, now.unix_seconds());
        pairs.push(&own);
        Self::Authorization(pairs.join("&"))
    }
}

/// Escapes a byte of a query that is not allowed in a header or in the value of a cookie (RFC 6265 §4.1.1).
fn escaped(byte: u8) -> String {
    if byte.is_ascii_graphic() && !b"\",;\\#".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

/// The longest fits into the cookies that wait for the identity provider.
const _: () = assert!(ReturnTo::AUTHORIZATION.len() + ReturnTo::MAX + ReturnTo::OWN <= LONGEST_IN_PARTS);

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authorization(query) => write!(f, "{}{query}", Self::AUTHORIZATION),
            Self::Connections => f.write_str(Self::CONNECTIONS),
            Self::Account => f.write_str(Self::ACCOUNT),
            Self::Memories => f.write_str(Self::MEMORIES),
            Self::Memory(own) => write!(f, "{}/{}", Self::MEMORIES, memory_name::written(own)),
            Self::Security => f.write_str(Self::SECURITY),
            Self::Export => f.write_str(Self::EXPORT),
            Self::Import => f.write_str(Self::IMPORT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_of_this_site_are_read_back_to_the_same() {
        for text in [
            "/auth/authorize?",
            "/auth/authorize?client_id=a&state=%0d%0a&x=//y",
            "/account/connections",
            "/account",
            "/account/memories",
            "/account/memories/0193a1f0-0000-7000-8000-000000000001",
            "/account/memories/m-1?application=home",
            "/account/security",
            "/account/export",
            "/account/import",
        ] {
            assert_eq!(ReturnTo::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn nothing_else_is_a_page_to_go_on_to() {
        let long = format!("/auth/authorize?{}", "a".repeat(ReturnTo::MAX + 1));
        let escaped = format!("/auth/authorize?{}", "%2C".repeat(ReturnTo::MAX / 3 + 1));
        for text in [
            "",
            "/",
            "https://evil.example/",
            "https://evil.example/auth/authorize?",
            "//evil.example/auth/authorize?",
            "/\\evil.example/auth/authorize?",
            "\\/evil.example",
            "javascript:alert(1)",
            "/auth/authorize",
            "/auth/authorize#?",
            "/auth/authorize?a\r\nSet-Cookie: b",
            "/auth/authorize?a#b",
            "/auth/authorize?é",
            "/auth/authorize? a",
            " /auth/authorize?a",
            "/AUTH/authorize?a",
            "/auth/authorize/../../x?a",
            "/account/connections/",
            "/account/",
            "/account/memories/",
            "/account/memories/a/b",
            "/account/memories/a?b",
            "/account/memories/a?application=//evil.example",
            "/account/connections?notice=x",
            "/account/connections//evil.example",
            "/auth/sign-out",
            &long,
            &escaped,
        ] {
            assert_eq!(ReturnTo::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_query_that_could_stand_in_no_header_is_escaped() {
        for (query, expected) in [
            ("state=\u{e9}", "state=%C3%A9"),
            ("state=a b\"c,d;e\\f", "state=a%20b%22c%2Cd%3Be%5Cf"),
            ("state=%c3%A9&x=a'b|c", "state=%c3%A9&x=a'b|c"),
        ] {
            assert_eq!(ReturnTo::authorization(query), Some(ReturnTo::Authorization(expected.to_owned())));
        }
        assert!(ReturnTo::authorization(&"a".repeat(ReturnTo::MAX)).is_some());
        assert!(ReturnTo::authorization(&"a".repeat(ReturnTo::MAX + 1)).is_none());
        assert!(ReturnTo::authorization(&",".repeat(ReturnTo::MAX / 3 + 1)).is_none(), "the limit is on what is kept");
    }

    #[test]
    fn the_longest_request_can_be_kept_in_cookies_and_goes_on_after_a_sign_in() {
        let longest = ReturnTo::authorization(&"a".repeat(ReturnTo::MAX))
            .unwrap()
            .after_sign_in(Timestamp::from_unix_seconds(i64::MAX));
        assert!(longest.to_string().len() <= LONGEST_IN_PARTS);
        assert_eq!(ReturnTo::parse(&longest.to_string()), Some(longest));
    }

    #[test]
    fn after_a_sign_in_it_is_asked_for_no_more() {
        let now = Timestamp::from_unix_seconds(2_000_000_000);
        for (query, expected) in [
            ("a=1&prompt=login&b=2", "a=1&b=2&memgate_signed_in_after=2000000000"),
            ("pr%6fmpt=login&max_age=0&a=1", "a=1&memgate_signed_in_after=2000000000"),
            ("a=1&memgate_signed_in_after=5", "a=1&memgate_signed_in_after=2000000000"),
        ] {
            let after = ReturnTo::Authorization(query.to_owned()).after_sign_in(now);
            assert_eq!(after, ReturnTo::Authorization(expected.to_owned()));
        }
        assert_eq!(ReturnTo::Connections.after_sign_in(now), ReturnTo::Connections);
    }
}

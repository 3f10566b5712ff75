//! Where a browser goes on to after signing in or out. Never to another site: only to pages of this one that are named
//! here.

use std::fmt;

/// The page to go on to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum ReturnTo {
    /// An application's request, with its query string as it came.
    Authorization(String),
    /// The list of connected applications.
    #[default]
    Connections,
}

impl ReturnTo {
    /// What a query string may have: the length that every browser and proxy lets through.
    const MAX: usize = 8000;
    const AUTHORIZATION: &str = "/auth/authorize?";
    const CONNECTIONS: &str = "/account/connections";

    /// The request with this query string; `None` if no browser could be sent there.
    pub(super) fn authorization(query: &str) -> Option<Self> {
        let fits = query.len() <= Self::MAX && query.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        fits.then(|| Self::Authorization(query.to_owned()))
    }

    /// Reads what a form or a cookie brings back; `None` if that is no page to go on to.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix(Self::AUTHORIZATION) {
            Some(query) => Self::authorization(query),
            None => (text == Self::CONNECTIONS).then_some(Self::Connections),
        }
    }
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authorization(query) => write!(f, "{}{query}", Self::AUTHORIZATION),
            Self::Connections => f.write_str(Self::CONNECTIONS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_of_this_site_are_read_back_to_the_same() {
        for text in ["/auth/authorize?", "/auth/authorize?client_id=a&state=%0d%0a&x=//y", "/account/connections"] {
            assert_eq!(ReturnTo::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn nothing_else_is_a_page_to_go_on_to() {
        let long = format!("/auth/authorize?{}", "a".repeat(ReturnTo::MAX + 1));
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
            "/account/connections?notice=x",
            "/account/connections//evil.example",
            "/auth/sign-out",
            &long,
        ] {
            assert_eq!(ReturnTo::parse(text), None, "{text}");
        }
    }
}

//! The URL at which clients and people reach the service.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::validation::InvalidValue;

/// The URL at which clients and people reach the service: `http` or `https`, a host, and perhaps a port.
///
/// It is the issuer of the tokens (RFC 8414 §2), and every other URL of the service is this one with a path after it. A query or
/// a fragment would swallow that path, and a user or password would be shown to everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(Url);

impl PublicUrl {
    /// The URL without a trailing slash, so that a path can follow: `https://memory.example.com`.
    #[must_use]
    pub fn base(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// Whether its scheme is `https`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether its port is that of its scheme: 443 for `https`, 80 for `http`.
    #[must_use]
    pub fn has_default_port(&self) -> bool {
        self.0.port().is_none()
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base())
    }
}

impl FromStr for PublicUrl {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let bare = |url: &Url| {
            let credentials = !url.username().is_empty() || url.password().is_some();
            let beyond_the_host = url.path() != "/" || url.query().is_some() || url.fragment().is_some();
            matches!(url.scheme(), "http" | "https") && !credentials && !beyond_the_host
        };
        Url::parse(text).ok().filter(bare).map(Self).ok_or_else(|| {
            InvalidValue::new(
                "public_url",
                "must be an http or https URL without a user, password, path, query or fragment, such as \
                 https://memory.example.com",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_with_and_without_a_trailing_slash() {
        for (text, base, is_https, has_default_port) in [
            ("https://memory.example.com", "https://memory.example.com", true, true),
            ("https://memory.example.com/", "https://memory.example.com", true, true),
            ("https://Memory.Example.com:443/", "https://memory.example.com", true, true),
            ("https://memory.example.com:8443", "https://memory.example.com:8443", true, false),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080", false, false),
            ("http://[::1]", "http://[::1]", false, true),
        ] {
            let url: PublicUrl = text.parse().unwrap();
            assert_eq!((url.base(), &*url.to_string()), (base, base));
            assert_eq!((url.is_https(), url.has_default_port()), (is_https, has_default_port), "{text}");
        }
    }

    #[test]
    fn anything_beside_scheme_host_and_port_is_refused_and_not_repeated() {
        for text in [
            "",
            "memory.example.com",
            "ftp://memory.example.com",
            "https://",
            "https://memory.example.com/path",
            "https://memory.example.com//",
            "https://memory.example.com?hunter2",
            "https://memory.example.com/?",
            "https://memory.example.com#hunter2",
            "https://memory.example.com/#",
            "https://hunter2@memory.example.com",
            "https://me:hunter2@memory.example.com",
            "https://:hunter2@memory.example.com",
            "https://me:hunter2@memory.example.com:99999",
        ] {
            let error = text.parse::<PublicUrl>().unwrap_err().to_string();
            assert!(error.contains("such as https://memory.example.com") && !error.contains("hunter2"), "{error}");
        }
    }
}

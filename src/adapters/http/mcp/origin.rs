//! Validates the headers `Host` and `Origin` (DNS rebinding, foreign web pages).

use poem::Request;
use poem::http::header;
use url::Url;

use crate::adapters::http::server::cors::CorsOrigins;

/// The accepted hosts and origins.
#[derive(Clone, Debug)]
pub(super) struct AllowedOrigins {
    /// The authority of the public URL, without its port if that is the scheme's default.
    authority: String,
    host: String,
    own: String,
    configured: CorsOrigins,
}

impl AllowedOrigins {
    /// The public URL's own host and origin, and the configured origins.
    pub(super) fn new(public_url: &str, configured: CorsOrigins) -> Self {
        let url = Url::parse(public_url).ok();
        let own = url.as_ref().map(|url| url.origin().ascii_serialization()).unwrap_or_default();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default().to_ascii_lowercase();
        let authority = match url.as_ref().and_then(Url::port) {
            Some(port) => format!("{host}:{port}"),
            None => host.clone(),
        };
        Self { authority, host, own, configured }
    }

    /// Whether the request names this server and does not come from a foreign web page. A request without an `Origin` comes from
    /// a program, and is accepted.
    pub(super) fn allow(&self, request: &Request) -> bool {
        self.allows_host(request) && self.allows_origin(request)
    }

    fn allows_host(&self, request: &Request) -> bool {
        let named = request.uri().authority().map(poem::http::uri::Authority::as_str);
        let Some(named) = named.or_else(|| request.header(header::HOST)) else { return false };
        let named = named.to_ascii_lowercase();
        // A proxy may name the host with or without the client's port.
        named == self.authority || named == self.host || without_port(&named) == self.host || is_loopback(&named)
    }

    fn allows_origin(&self, request: &Request) -> bool {
        let mut origins = request.headers().get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => true,
            (Some(origin), None) => *origin == *self.own || self.configured.contain(origin),
            (Some(_), Some(_)) => false,
        }
    }
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// A name that foreign DNS cannot control: for programs on the same machine, health checks, port forwards.
fn is_loopback(authority: &str) -> bool {
    matches!(without_port(authority), "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(host: &str, origin: Option<&str>) -> Request {
        let mut builder = Request::builder().header(header::HOST, host);
        if let Some(origin) = origin {
            builder = builder.header(header::ORIGIN, origin);
        }
        builder.finish()
    }

    #[test]
    fn only_the_public_host_and_loopback_names_are_answered() {
        let allowed = AllowedOrigins::new("https://memory.example.com", CorsOrigins::default());
        for (host, expected) in [
            ("memory.example.com", true),
            ("MEMORY.example.com:443", true),
            ("memory.example.com:8443", true),
            ("localhost:8080", true),
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("evil.example", false),
            ("memory.example.com.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("", false),
        ] {
            assert_eq!(allowed.allow(&request(host, None)), expected, "{host}");
        }
        assert!(!allowed.allow(&Request::builder().finish()), "no Host at all");
    }

    #[test]
    fn a_foreign_origin_and_null_are_refused() {
        let allowed = AllowedOrigins::new(
            "https://memory.example.com",
            CorsOrigins::new(["https://app.example:8443".to_owned()]),
        );
        for (origin, expected) in [
            ("https://memory.example.com", true),
            ("https://app.example:8443", true),
            ("https://app.example", false),
            ("http://memory.example.com", false),
            ("https://memory.example.com:8443", false),
            ("https://evil.example", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(allowed.allow(&request("memory.example.com", Some(origin))), expected, "{origin}");
        }
    }
}

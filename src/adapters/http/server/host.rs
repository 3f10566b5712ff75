//! The header `Host`.

use poem::Response;
use poem::http::uri::Authority;
use poem::http::{HeaderMap, StatusCode, Version, header};
use serde_json::json;

use super::json::json_response;

/// The response to a request whose `Host` violates RFC 9112 §3.2: an HTTP/1.1 request has exactly one, no request has two, and
/// it is a host name. `None` if it is valid.
#[must_use]
pub fn refuse_host(version: Version, headers: &HeaderMap) -> Option<Response> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let is_right = match (hosts.next(), hosts.next()) {
        (None, _) => version != Version::HTTP_11,
        (Some(_), Some(_)) => false,
        (Some(host), None) => {
            let authority = Authority::try_from(host.as_bytes());
            host.is_empty() || authority.is_ok_and(|authority| !authority.as_str().contains('@'))
        }
    };
    (!is_right).then(|| {
        let problem = json!({
            "type": "about:blank",
            "title": "Bad Request",
            "status": 400,
            "detail": "the request must have one valid Host header",
        });
        json_response(StatusCode::BAD_REQUEST, "application/problem+json", &problem)
    })
}

//! The header `Host`.

use poem::Response;
use poem::http::uri::Authority;
use poem::http::{HeaderMap, StatusCode, Version, header};
use serde_json::json;

use super::json::json_response;

/// The answer to a request whose `Host` is not as RFC 9112 §3.2 has it: an HTTP/1.1 request has one, no request has two, and it
/// is the name of a host. `None` if it is.
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

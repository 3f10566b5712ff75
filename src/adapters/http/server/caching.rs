//! HTTP caching: static documents, validators, and 304 responses.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::GzEncoder;
use poem::http::{HeaderMap, HeaderValue, StatusCode, header};
use poem::{Body, Response, ResponseBuilder};
use sha2::{Digest, Sha256};
use std::io::Read as _;

/// How long a document may be used without revalidation.
const FRESH: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// A document that does not change while the service runs. It is compressed once rather than per request.
pub(crate) struct StaticDocument {
    content: Bytes,
    compressed: OnceLock<Bytes>,
    tag: HeaderValue,
}

impl StaticDocument {
    pub(crate) fn new(content: impl Into<Bytes>) -> Self {
        let content = content.into();
        Self { tag: tag_of(&content), content, compressed: OnceLock::new() }
    }

    /// The response to a request with these headers; `response` provides the rest of it.
    pub(crate) fn respond(&self, request: &HeaderMap, response: ResponseBuilder) -> Response {
        let response = response
            .header(header::CACHE_CONTROL, FRESH)
            .header(header::ETAG, &self.tag)
            .header(header::VARY, HeaderValue::from_static("accept-encoding"));
        if !accepts_gzip(request) {
            return response.body(self.content.clone());
        }
        response.header(header::CONTENT_ENCODING, HeaderValue::from_static("gzip")).body(self.compressed())
    }

    fn compressed(&self) -> Bytes {
        let compress = || {
            let mut bytes = Vec::new();
            // Reading from memory does not fail.
            let _read = GzEncoder::new(&*self.content, Compression::default()).read_to_end(&mut bytes);
            bytes.into()
        };
        self.compressed.get_or_init(compress).clone()
    }
}

/// A weak tag (RFC 9110 §8.8.1): the same for the document and its compressed form.
fn tag_of(content: &[u8]) -> HeaderValue {
    let digest = URL_SAFE_NO_PAD.encode(&Sha256::digest(content)[..12]);
    HeaderValue::try_from(format!("W/\"{digest}\"")).unwrap_or(HeaderValue::from_static("W/\"\""))
}

/// Adds a tag to a response that is small and generated each time.
pub(crate) async fn add_tag(response: &mut Response) {
    // Our bodies are in memory, so reading them does not fail.
    let Ok(bytes) = response.take_body().into_bytes().await else { return };
    response.headers_mut().insert(header::ETAG, tag_of(&bytes));
    response.set_body(Body::from(bytes));
}

/// The values of `If-None-Match`: what the client has already.
pub(crate) struct IfNoneMatch(Vec<HeaderValue>);

impl IfNoneMatch {
    pub(crate) fn of(request: &HeaderMap) -> Self {
        Self(request.get_all(header::IF_NONE_MATCH).iter().cloned().collect())
    }

    /// Drops the body if the client has it (RFC 9110 §13.1.2, §15.4.5).
    pub(crate) fn apply_to(&self, response: &mut Response) {
        let Some(tag) = response.headers().get(header::ETAG) else { return };
        if response.status() != StatusCode::OK || !self.0.iter().any(|known| names(known, tag)) {
            return;
        }
        response.set_status(StatusCode::NOT_MODIFIED);
        response.set_body(());
        for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CONTENT_ENCODING] {
            response.headers_mut().remove(name);
        }
    }
}

/// The weak comparison (RFC 9110 §8.8.3.2). Our tags contain no comma.
fn names(known: &HeaderValue, tag: &HeaderValue) -> bool {
    let opaque = |text: &str| text.trim().trim_start_matches("W/").to_owned();
    let (Ok(known), Ok(tag)) = (known.to_str(), tag.to_str()) else { return false };
    known.trim() == "*" || known.split(',').any(|one| opaque(one) == opaque(tag))
}

/// Whether `Accept-Encoding` allows gzip (RFC 9110 §12.5.3).
fn accepts_gzip(request: &HeaderMap) -> bool {
    let (mut gzip, mut any) = (None, None);
    for value in request.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()) {
        for one in value.split(',') {
            let (coding, weight) = one.split_once(';').unwrap_or((one, ""));
            let weight = weight.trim().trim_start_matches("q=").parse::<f32>().unwrap_or(1.0);
            match coding.trim().to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => gzip = Some(weight > 0.0),
                "*" => any = Some(weight > 0.0),
                _ => {}
            }
        }
    }
    gzip.or(any).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_who_accepts_it() {
        for (values, accepted) in [
            (vec![], false),
            (vec!["identity"], false),
            (vec!["gzip"], true),
            (vec!["br, GZIP;q=0.5"], true),
            (vec!["br", "x-gzip"], true),
            (vec!["*"], true),
            (vec!["gzip;q=0, *"], false),
            (vec!["*;q=0"], false),
            (vec!["gzip; q=0.0"], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in &values {
                headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            }
            assert_eq!(accepts_gzip(&headers), accepted, "{values:?}");
        }
    }

    #[test]
    fn tags_are_compared_weakly() {
        let tag = HeaderValue::from_static("W/\"a\"");
        for (known, expected) in
            [("\"a\"", true), ("W/\"b\", W/\"a\"", true), ("*", true), ("W/\"b\"", false), ("a", false)]
        {
            assert_eq!(names(&HeaderValue::from_static(known), &tag), expected, "{known}");
        }
    }
}

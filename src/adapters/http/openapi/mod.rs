//! The OpenAPI documents, and the page that shows one.

mod gpt_actions;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use poem::http::header;
use poem::{Endpoint, Response, Route};
use poem_openapi::{OpenApi, OpenApiService, Tags};
use sha2::{Digest, Sha256};

pub use gpt_actions::ConfirmWrites;
use serde_json::Value;

use super::base_url;
use super::capabilities::CapabilitiesApi;
use super::health::HealthApi;
use super::me::MeApi;
use super::memories::MemoriesApi;
use super::metadata::MetadataApi;
use super::requests::RequestsApi;
use super::search::SearchApi;
use super::table::Document;
use super::token::TokenApi;

/// Stands in for the address of the token endpoint, which poem-openapi wants to know when it is compiled.
pub(super) const TOKEN_URL: &str = "https://memgate.invalid/auth/token";
/// The same for the authorization endpoint.
pub(super) const AUTHORIZATION_URL: &str = "https://memgate.invalid/auth/authorize";

/// The parts of the document.
#[derive(Tags)]
pub(super) enum Tag {
    /// Searching and keeping memories.
    Memories,
    /// Who the caller is and what the service can do.
    Account,
    /// Getting and giving back tokens.
    OAuth,
    /// Whether the service works.
    Health,
}

/// Every operation there is.
pub(super) fn api() -> impl OpenApi {
    (SearchApi, MemoriesApi, RequestsApi, MeApi, CapabilitiesApi, TokenApi, MetadataApi, HealthApi)
}

/// The OpenAPI document of a service at `public_url`, as JSON that is the same each time.
#[must_use]
pub fn openapi_document(public_url: &str) -> String {
    let base = base_url(public_url);
    let service = OpenApiService::new(api(), "memgate", env!("CARGO_PKG_VERSION"))
        .description("Memory for AI assistants, behind OAuth 2.0.")
        .server(base);
    let mut document = with_endpoints(&service.spec(), base);
    document.push('\n');
    document
}

fn with_endpoints(text: &str, base: &str) -> String {
    text.replace(TOKEN_URL, &format!("{base}/auth/token")).replace(AUTHORIZATION_URL, &format!("{base}/auth/authorize"))
}

/// The document that a Custom GPT imports, of a service at `public_url`, as JSON that is the same each time.
#[must_use]
pub fn gpt_actions_document(public_url: &str, confirm: ConfirmWrites) -> String {
    let own: Value = serde_json::from_str(&openapi_document(public_url)).unwrap_or_default();
    format!("{:#}\n", gpt_actions::convert(&own, base_url(public_url), confirm))
}

/// Adds `/openapi.json`, `/openapi/gpt-actions.json` and `/docs`.
pub(super) fn add_documents_to(route: Route, public_url: &str, confirm: ConfirmWrites) -> Route {
    let own = Bytes::from(openapi_document(public_url));
    let gpt = Bytes::from(gpt_actions_document(public_url, confirm));
    let public_url = public_url.to_owned();
    // A page of more than a megabyte, made when somebody wants to see it.
    let page = LazyLock::new(move || Page::new(&public_url));
    route
        .at("/openapi.json", json_document(own))
        .at("/openapi/gpt-actions.json", json_document(gpt))
        .at("/docs", Document(move || page.response()))
}

fn json_document(document: Bytes) -> impl Endpoint<Output = Response> {
    Document(move || Response::builder().header(header::CONTENT_TYPE, "application/json").body(document.clone()))
}

/// Swagger UI with the document in it.
struct Page {
    html: Bytes,
    content_security_policy: String,
}

impl Page {
    fn new(public_url: &str) -> Self {
        let base = base_url(public_url);
        let service = OpenApiService::new(api(), "memgate", env!("CARGO_PKG_VERSION")).server(base);
        let html = with_endpoints(&service.swagger_ui_html(), base);
        let scripts: Vec<String> = inline_scripts(&html).map(|script| format!("'sha256-{}'", hash(script))).collect();
        let content_security_policy = format!(
            "default-src 'none'; script-src {}; style-src 'unsafe-inline'; img-src 'self' data:; connect-src 'self' {base}; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            scripts.join(" "),
        );
        Self { html: Bytes::from(html), content_security_policy }
    }

    fn response(&self) -> Response {
        Response::builder()
            .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
            .header(header::CONTENT_SECURITY_POLICY, &self.content_security_policy)
            .header(header::REFERRER_POLICY, "no-referrer")
            .body(self.html.clone())
    }
}

/// The texts of the scripts in a page, as a browser cuts them out.
fn inline_scripts(html: &str) -> impl Iterator<Item = &str> {
    let mut rest = html;
    std::iter::from_fn(move || {
        let tag = &rest[rest.find("<script")?..];
        let text = &tag[tag.find('>')? + 1..];
        let end = text.find("</script")?;
        rest = &text[end..];
        Some(&text[..end])
    })
}

fn hash(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text))
}

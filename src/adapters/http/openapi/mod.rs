//! The OpenAPI documents, and the page that shows one.

mod complete;
mod gpt_actions;
mod swagger;

use std::sync::LazyLock;

use poem::http::header;
use poem::{Endpoint, Request, Response, Route};
use poem_openapi::{LicenseObject, OpenApi, OpenApiService, Tags};

use serde_json::Value;

pub use self::gpt_actions::ConfirmWrites;
use self::swagger::Page;

use super::base_url;
use super::caching::StaticDocument;
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
    Authorization,
    /// Whether the service works.
    Health,
}

/// Every operation there is.
pub(super) fn api() -> impl OpenApi {
    (SearchApi, MemoriesApi, RequestsApi, MeApi, CapabilitiesApi, TokenApi, MetadataApi, HealthApi::default())
}

/// The OpenAPI document of a service at `public_url`, as JSON that is the same each time.
#[must_use]
pub fn openapi_document(public_url: &str) -> String {
    format!("{:#}\n", document(base_url(public_url)))
}

fn service(base: &str) -> OpenApiService<impl OpenApi, ()> {
    OpenApiService::new(api(), "memgate", env!("CARGO_PKG_VERSION"))
        .description("Memory for AI assistants, behind OAuth 2.0.")
        .license(LicenseObject::new("MIT").url("https://opensource.org/license/mit"))
        .server(base)
}

fn document(base: &str) -> Value {
    let text = service(base).spec();
    let text = text.replace(TOKEN_URL, &format!("{base}/auth/token"));
    let text = text.replace(AUTHORIZATION_URL, &format!("{base}/auth/authorize"));
    let mut document = serde_json::from_str(&text).unwrap_or_default();
    complete::complete(&mut document);
    document
}

/// The document that a Custom GPT imports, of a service at `public_url`, as JSON that is the same each time.
#[must_use]
pub fn gpt_actions_document(public_url: &str, confirm: ConfirmWrites) -> String {
    let base = base_url(public_url);
    format!("{:#}\n", gpt_actions::convert(&document(base), base, confirm))
}

/// Adds `/openapi.json`, `/openapi/gpt-actions.json` and `/docs`.
pub(super) fn add_documents_to(route: Route, public_url: &str, confirm: ConfirmWrites) -> Route {
    let own = StaticDocument::new(openapi_document(public_url));
    let gpt = StaticDocument::new(gpt_actions_document(public_url, confirm));
    let public_url = public_url.to_owned();
    // A page of more than a megabyte, made when somebody wants to see it.
    let page = LazyLock::new(move || {
        let base = base_url(&public_url);
        Page::documentation(&service(base).swagger_ui_html(), &document(base), base)
    });
    let receiver = Page::receiver();
    route
        .at("/openapi.json", json_document(own))
        .at("/openapi/gpt-actions.json", json_document(gpt))
        .at("/docs", Document(move |request: &Request| page.response(request)))
        .at(swagger::RECEIVER, Document(move |request: &Request| receiver.response(request)))
}

fn json_document(document: StaticDocument) -> impl Endpoint<Output = Response> {
    Document(move |request: &Request| {
        let response = Response::builder().header(header::CONTENT_TYPE, "application/json");
        document.respond(request.headers(), response)
    })
}

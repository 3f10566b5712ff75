//! All routes, and the OpenAPI documents.

use std::sync::{Arc, LazyLock};

use poem::endpoint::BoxEndpoint;
use poem::http::header;
use poem::{Endpoint, EndpointExt as _, Request, Response, Route};
use poem_openapi::{LicenseObject, OpenApi, OpenApiService};
use serde_json::Value;

use super::api::bulk::BulkApi;
use super::api::capabilities::CapabilitiesApi;
use super::api::export::ExportApi;
use super::api::health::HealthApi;
use super::api::history::HistoryApi;
use super::api::import::ImportApi;
use super::api::me::MeApi;
use super::api::memories::MemoriesApi;
use super::api::requests::RequestsApi;
use super::api::search::SearchApi;
use super::api::statistics::StatisticsApi;
use super::envelope::Envelope;
use super::oauth::metadata::MetadataApi;
use super::oauth::register;
use super::oauth::token::TokenApi;
use super::openapi::complete;
use super::openapi::gpt_actions::{self, ConfirmWrites};
use super::openapi::placeholders::{AUTHORIZATION_URL, TOKEN_URL};
use super::pages::services::PageServices;
use super::server::caching::StaticDocument;
use super::server::public_url::base_url;
use super::server::services::Services;
use super::server::table::{self, DocumentEndpoint};
use super::swagger::{self, ScriptPage};
use super::{mcp, pages};

/// All routes, in their envelope.
#[must_use]
pub fn routes(services: Services, page_services: PageServices) -> BoxEndpoint<'static> {
    let services = Arc::new(services);
    let routes = table::add_to(Route::new(), api());
    let routes = pages::add_to(routes, page_services);
    let routes = mcp::add_to(routes, &services);
    let routes = register::add_to(routes, &services);
    let routes = add_documents_to(routes, &services.policy.resources.issuer, services.confirm_writes);
    Envelope::new(routes, services).boxed()
}

/// All operations.
pub(super) fn api() -> impl OpenApi {
    (
        SearchApi,
        MemoriesApi,
        HistoryApi,
        BulkApi,
        StatisticsApi,
        ExportApi,
        ImportApi,
        RequestsApi,
        MeApi,
        CapabilitiesApi,
        TokenApi,
        MetadataApi,
        HealthApi::default(),
    )
}

/// The OpenAPI document of a service at `public_url`, as deterministic JSON.
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

/// The document that a Custom GPT imports, of a service at `public_url`, as deterministic JSON.
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
    // The page has more than a megabyte, so it is built on demand.
    let page = LazyLock::new(move || {
        let base = base_url(&public_url);
        ScriptPage::documentation(&service(base).swagger_ui_html(), &document(base), base)
    });
    let receiver = ScriptPage::receiver();
    route
        .at("/openapi.json", json_document(own))
        .at("/openapi/gpt-actions.json", json_document(gpt))
        .at("/docs", DocumentEndpoint(move |request: &Request| page.response(request)))
        .at(swagger::RECEIVER, DocumentEndpoint(move |request: &Request| receiver.response(request)))
}

fn json_document(document: StaticDocument) -> impl Endpoint<Output = Response> {
    DocumentEndpoint(move |request: &Request| {
        let response = Response::builder().header(header::CONTENT_TYPE, "application/json");
        document.respond(request.headers(), response)
    })
}

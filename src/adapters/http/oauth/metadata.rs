//! The documents under `/.well-known`.

#![expect(clippy::unused_async, reason = "poem-openapi wants every operation to be async")]

use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Serialize;

use super::register::PATH as REGISTRATION;
use crate::adapters::http::mcp;
use crate::adapters::http::openapi::scalar::FreeObject;
use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::payload::Json;
use crate::adapters::http::server::public_url::base_url;
use crate::adapters::http::server::services::Services;
use crate::domain::applications::{GrantType, Permission};
use crate::domain::oauth::{CodeChallenge, OFFLINE_ACCESS};

/// How long a document may be cached. A new key is published much longer than this before it signs.
const KEEP: &str = "public, max-age=300";

/// A document that may be cached.
#[derive(ApiResponse)]
pub(crate) enum CacheableJson<T: poem_openapi::types::Type + serde::Serialize> {
    /// The document.
    #[oai(status = 200)]
    Document(Json<T>, #[oai(header = "Cache-Control")] String),
}

impl<T: poem_openapi::types::Type + serde::Serialize> CacheableJson<T> {
    fn new(document: T) -> Self {
        Self::Document(Json(document), KEEP.to_owned())
    }
}

pub(crate) struct MetadataApi;

#[OpenApi(prefix_path = "/.well-known", tag = "Tag::Authorization")]
impl MetadataApi {
    /// Get the authorization server metadata
    ///
    /// Its endpoints and what they support (RFC 8414).
    #[oai(path = "/oauth-authorization-server", method = "get", operation_id = "getAuthorizationServerMetadata")]
    async fn authorization_server(&self, exchange: &Exchange) -> CacheableJson<ServerMetadata> {
        let services = &exchange.services;
        let issuer = &services.policy.resources.issuer;
        CacheableJson::new(ServerMetadata::new(issuer, base_url(issuer), services))
    }

    /// Get the authorization server metadata for MCP clients
    ///
    /// The same document at the address that clients derive from the path of the MCP endpoint (RFC 8414 §3.1).
    #[oai(
        path = "/oauth-authorization-server/mcp",
        method = "get",
        operation_id = "getAuthorizationServerMetadataForMcp"
    )]
    async fn authorization_server_for_mcp(&self, exchange: &Exchange) -> CacheableJson<ServerMetadata> {
        self.authorization_server(exchange).await
    }

    /// Get the authorization server metadata for OpenID Connect clients
    ///
    /// The same document, for clients that probe this address. There are no ID tokens.
    #[oai(path = "/openid-configuration", method = "get", operation_id = "getOpenIdConfiguration")]
    async fn openid_configuration(&self, exchange: &Exchange) -> CacheableJson<ServerMetadata> {
        self.authorization_server(exchange).await
    }

    /// Get the metadata of the MCP endpoint as a protected resource
    ///
    /// Its authorization server and permissions (RFC 9728). Some clients request only this address.
    #[oai(path = "/oauth-protected-resource", method = "get", operation_id = "getProtectedResourceMetadata")]
    async fn protected_resource(&self, exchange: &Exchange) -> CacheableJson<ResourceMetadata> {
        self.mcp_resource(exchange).await
    }

    /// Get the metadata of the MCP endpoint by its path
    ///
    /// The same for the resource `/mcp` (RFC 9728 §3.1), which the `WWW-Authenticate` of a rejected message refers to.
    #[oai(path = "/oauth-protected-resource/mcp", method = "get", operation_id = "getMcpResourceMetadata")]
    async fn mcp_resource(&self, exchange: &Exchange) -> CacheableJson<ResourceMetadata> {
        let issuer = &exchange.services.policy.resources.issuer;
        let base = base_url(issuer);
        CacheableJson::new(ResourceMetadata::new(issuer, &format!("{base}{}", mcp::PATH), base))
    }

    /// Get the metadata of the memory API by its path
    ///
    /// The resource `/api` (RFC 9728 §3.1), which the `WWW-Authenticate` of a rejected request refers to.
    #[oai(path = "/oauth-protected-resource/api", method = "get", operation_id = "getApiResourceMetadata")]
    async fn api_resource(&self, exchange: &Exchange) -> CacheableJson<ResourceMetadata> {
        let issuer = &exchange.services.policy.resources.issuer;
        let base = base_url(issuer);
        CacheableJson::new(ResourceMetadata::new(issuer, &format!("{base}/api"), base))
    }

    /// Get the public keys of access tokens
    ///
    /// The key set for verifying access tokens (RFC 7517).
    #[oai(path = "/jwks.json", method = "get", operation_id = "getPublicKeys")]
    async fn public_keys(&self, exchange: &Exchange) -> CacheableJson<KeySet> {
        CacheableJson::new(KeySet::from(exchange.services.tokens.published_keys()))
    }
}

/// The authorization server (RFC 8414).
#[derive(Object, Serialize)]
struct ServerMetadata {
    /// The public URL; `iss` of every token.
    issuer: String,
    /// The authorization endpoint.
    authorization_endpoint: String,
    /// The token endpoint.
    token_endpoint: String,
    /// The revocation endpoint.
    revocation_endpoint: String,
    /// The introspection endpoint.
    introspection_endpoint: String,
    /// The endpoint at which clients register themselves (RFC 7591), if they may.
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_endpoint: Option<String>,
    /// The public keys of access tokens.
    jwks_uri: String,
    /// The permissions.
    scopes_supported: Vec<String>,
    /// The supported response types: a code.
    response_types_supported: Vec<String>,
    /// The supported response modes: the query of the redirect URI.
    response_modes_supported: Vec<String>,
    /// The supported PKCE methods (RFC 7636).
    code_challenge_methods_supported: Vec<String>,
    /// Whether the authorization response names the issuer (RFC 9207).
    authorization_response_iss_parameter_supported: bool,
    /// The grant types.
    grant_types_supported: Vec<String>,
    /// How clients may authenticate at the token endpoint.
    token_endpoint_auth_methods_supported: Vec<String>,
    /// How clients may authenticate to revoke a token.
    revocation_endpoint_auth_methods_supported: Vec<String>,
    /// How clients may authenticate to introspect a token.
    introspection_endpoint_auth_methods_supported: Vec<String>,
    /// Whether a client ID may be the URL of a document that describes the client.
    client_id_metadata_document_supported: bool,
    /// The documentation.
    service_documentation: String,
}

impl ServerMetadata {
    fn new(issuer: &str, base: &str, services: &Services) -> Self {
        let auth_methods = || texts(["client_secret_basic", "client_secret_post", "none"]);
        Self {
            issuer: issuer.to_owned(),
            authorization_endpoint: format!("{base}/auth/authorize"),
            token_endpoint: format!("{base}/auth/token"),
            revocation_endpoint: format!("{base}/auth/revoke"),
            introspection_endpoint: format!("{base}/auth/introspect"),
            registration_endpoint: services.registration.as_ref().map(|_| format!("{base}{REGISTRATION}")),
            jwks_uri: format!("{base}/.well-known/jwks.json"),
            // Not a permission of any resource, so only this document names it.
            scopes_supported: scopes().into_iter().chain([OFFLINE_ACCESS.to_owned()]).collect(),
            response_types_supported: texts(["code"]),
            response_modes_supported: texts(["query"]),
            code_challenge_methods_supported: texts([CodeChallenge::METHOD]),
            authorization_response_iss_parameter_supported: true,
            grant_types_supported: texts(GrantType::ALL.map(GrantType::as_str)),
            token_endpoint_auth_methods_supported: auth_methods(),
            revocation_endpoint_auth_methods_supported: auth_methods(),
            introspection_endpoint_auth_methods_supported: texts(["client_secret_basic", "client_secret_post"]),
            client_id_metadata_document_supported: services.client_id_documents,
            service_documentation: format!("{base}/docs"),
        }
    }
}

/// The protected resource (RFC 9728).
#[derive(Object, Serialize)]
struct ResourceMetadata {
    /// The URL that identifies the resource.
    resource: String,
    /// The authorization servers.
    authorization_servers: Vec<String>,
    /// The permissions.
    scopes_supported: Vec<String>,
    /// How a token is sent.
    bearer_methods_supported: Vec<String>,
    /// The documentation.
    resource_documentation: String,
}

impl ResourceMetadata {
    fn new(issuer: &str, resource: &str, base: &str) -> Self {
        Self {
            resource: resource.to_owned(),
            authorization_servers: vec![issuer.to_owned()],
            scopes_supported: scopes(),
            bearer_methods_supported: texts(["header"]),
            resource_documentation: format!("{base}/docs"),
        }
    }
}

fn scopes() -> Vec<String> {
    texts(Permission::ALL.map(Permission::as_str))
}

fn texts<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).into()
}

/// The public keys of access tokens (RFC 7517).
#[derive(Object, Serialize)]
struct KeySet {
    /// The keys, including those that will sign soon.
    keys: Vec<FreeObject>,
}

impl From<serde_json::Value> for KeySet {
    fn from(set: serde_json::Value) -> Self {
        let keys = set.get("keys").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
        Self { keys: keys.into_iter().filter_map(|key| key.as_object().cloned()).map(FreeObject).collect() }
    }
}

//! The metadata documents.

use poem_openapi::Object;
use serde::Serialize;

use super::super::register::PATH as REGISTRATION;
use crate::adapters::http::openapi::scalar::FreeObject;
use crate::adapters::http::server::services::Services;
use crate::domain::applications::{GrantType, Permission};
use crate::domain::oauth::{CodeChallenge, OFFLINE_ACCESS};

/// The authorization server (RFC 8414).
#[derive(Object, Serialize)]
pub(in super::super) struct ServerMetadata {
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
    pub(in super::super) fn new(issuer: &str, base: &str, services: &Services) -> Self {
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
pub(in super::super) struct ResourceMetadata {
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
    pub(in super::super) fn new(issuer: &str, resource: &str, base: &str) -> Self {
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
pub(in super::super) struct KeySet {
    /// The keys, including those that will sign soon.
    keys: Vec<FreeObject>,
}

impl From<serde_json::Value> for KeySet {
    fn from(set: serde_json::Value) -> Self {
        let keys = set.get("keys").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
        Self { keys: keys.into_iter().filter_map(|key| key.as_object().cloned()).map(FreeObject).collect() }
    }
}

//! The documents under `/.well-known`.

#![expect(clippy::unused_async, reason = "poem-openapi wants every operation to be async")]

use poem_openapi::{ApiResponse, OpenApi};

use super::dto::metadata::{KeySet, ResourceMetadata, ServerMetadata};
use crate::adapters::http::mcp;
use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::payload::Json;
use crate::adapters::http::server::public_url::base_url;

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
        let issuer = &services.policy.issuer;
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
        let issuer = &exchange.services.policy.issuer;
        let base = base_url(issuer);
        CacheableJson::new(ResourceMetadata::new(issuer, &format!("{base}{}", mcp::PATH), base))
    }

    /// Get the metadata of the memory API by its path
    ///
    /// The resource `/api` (RFC 9728 §3.1), which the `WWW-Authenticate` of a rejected request refers to.
    #[oai(path = "/oauth-protected-resource/api", method = "get", operation_id = "getApiResourceMetadata")]
    async fn api_resource(&self, exchange: &Exchange) -> CacheableJson<ResourceMetadata> {
        let issuer = &exchange.services.policy.issuer;
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

//! The documents under `/.well-known`.

#![expect(clippy::unused_async, reason = "poem-openapi wants every operation to be async")]

use poem_openapi::{ApiResponse, OpenApi};

use super::dto::metadata::{KeySet, ResourceMetadata, ServerMetadata};
use crate::adapters::http::mcp;
use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::payload::Json;
use crate::adapters::http::server::public_url::base_url;

/// For how long a document may be kept. A new key is published much longer than this before it signs.
const KEEP: &str = "public, max-age=300";

/// A document that may be kept for a while.
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
    /// Describe the authorization server
    ///
    /// Its endpoints and what they support (RFC 8414).
    #[oai(path = "/oauth-authorization-server", method = "get", operation_id = "getAuthorizationServerMetadata")]
    async fn authorization_server(&self, exchange: &Exchange) -> CacheableJson<ServerMetadata> {
        let issuer = &exchange.services.policy.issuer;
        CacheableJson::new(ServerMetadata::new(issuer, base_url(issuer)))
    }

    /// Describe the authorization server, where MCP clients look
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

    /// Describe the authorization server, where OpenID Connect clients look
    ///
    /// The same document, for clients that probe this address. There are no ID tokens.
    #[oai(path = "/openid-configuration", method = "get", operation_id = "getOpenIdConfiguration")]
    async fn openid_configuration(&self, exchange: &Exchange) -> CacheableJson<ServerMetadata> {
        self.authorization_server(exchange).await
    }

    /// Describe the MCP endpoint as a protected resource
    ///
    /// Who issues tokens for it, and which permissions there are (RFC 9728). Some clients ask only here.
    #[oai(path = "/oauth-protected-resource", method = "get", operation_id = "getProtectedResourceMetadata")]
    async fn protected_resource(&self, exchange: &Exchange) -> CacheableJson<ResourceMetadata> {
        self.mcp_resource(exchange).await
    }

    /// Describe the MCP endpoint, by its path
    ///
    /// The same for the resource `/mcp` (RFC 9728 §3.1), to which the `WWW-Authenticate` of a refused message leads.
    #[oai(path = "/oauth-protected-resource/mcp", method = "get", operation_id = "getMcpResourceMetadata")]
    async fn mcp_resource(&self, exchange: &Exchange) -> CacheableJson<ResourceMetadata> {
        let issuer = &exchange.services.policy.issuer;
        let base = base_url(issuer);
        CacheableJson::new(ResourceMetadata::new(issuer, &format!("{base}{}", mcp::PATH), base))
    }

    /// Describe the memory API, by its path
    ///
    /// The resource `/api` (RFC 9728 §3.1), to which the `WWW-Authenticate` of a refused request leads.
    #[oai(path = "/oauth-protected-resource/api", method = "get", operation_id = "getApiResourceMetadata")]
    async fn api_resource(&self, exchange: &Exchange) -> CacheableJson<ResourceMetadata> {
        let issuer = &exchange.services.policy.issuer;
        let base = base_url(issuer);
        CacheableJson::new(ResourceMetadata::new(issuer, &format!("{base}/api"), base))
    }

    /// Publish the keys of access tokens
    ///
    /// The public keys by which anybody can verify an access token (RFC 7517).
    #[oai(path = "/jwks.json", method = "get", operation_id = "getPublicKeys")]
    async fn public_keys(&self, exchange: &Exchange) -> CacheableJson<KeySet> {
        CacheableJson::new(KeySet::from(exchange.services.tokens.published_keys()))
    }
}

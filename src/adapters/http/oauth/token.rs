//! `/auth/token`, `/auth/revoke` and `/auth/introspect`.

use poem_openapi::{ApiResponse, OpenApi};

use super::dto::token::{IntrospectionAnswer, Revocation, TokenAnswer, TokenInquiryBody, TokenRequestBody};
use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::client::ClientRequest;
use crate::adapters::http::server::error::RefusedGrant;
use crate::adapters::http::server::payload::Json;
use crate::domain::oauth::{TokenInquiry, TokenRequest};

#[derive(ApiResponse)]
enum RevokeResponse {
    /// The token, if it existed and belongs to this application, is revoked.
    #[oai(status = 200)]
    Done(Json<Revocation>),
}

pub(crate) struct TokenApi;

#[OpenApi(prefix_path = "/auth", tag = "Tag::Authorization")]
impl TokenApi {
    /// Issue a token
    ///
    /// Supports the grants `client_credentials`, `authorization_code` and `refresh_token` (RFC 6749). A code works once; a
    /// refresh token is consumed and replaced by its successor. A JSON body with the same members is accepted too.
    #[oai(path = "/token", method = "post", operation_id = "issueToken")]
    async fn issue(&self, body: ClientRequest<TokenRequestBody>) -> Result<Json<TokenAnswer>, RefusedGrant> {
        let token_request = TokenRequest::parse(body.authorization.as_deref(), &body.parameters)?;
        Ok(Json(body.services.tokens.token(&token_request, body.address).await?.into()))
    }

    /// Revoke a token
    ///
    /// Revokes a refresh token with its whole grant, or an access token alone (RFC 7009). A token that is unknown, or
    /// belongs to another application, is ignored with the same response.
    #[oai(path = "/revoke", method = "post", operation_id = "revokeToken")]
    async fn revoke(&self, body: ClientRequest<TokenInquiryBody>) -> Result<RevokeResponse, RefusedGrant> {
        let inquiry = TokenInquiry::parse(body.authorization.as_deref(), &body.parameters)?;
        body.services.tokens.revoke(&inquiry, body.address).await?;
        Ok(RevokeResponse::Done(Json(Revocation {})))
    }

    /// Introspect a token
    ///
    /// Whether a token of the calling application is active, and its attributes (RFC 7662).
    #[oai(path = "/introspect", method = "post", operation_id = "introspectToken")]
    async fn introspect(
        &self,
        body: ClientRequest<TokenInquiryBody>,
    ) -> Result<Json<IntrospectionAnswer>, RefusedGrant> {
        let inquiry = TokenInquiry::parse(body.authorization.as_deref(), &body.parameters)?;
        Ok(Json(body.services.tokens.introspect(&body.services.guard, &inquiry, body.address).await?.into()))
    }
}

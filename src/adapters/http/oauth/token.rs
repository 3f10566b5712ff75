//! `/auth/token`, `/auth/revoke` and `/auth/introspect`.

use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use serde::Serialize;

use crate::adapters::http::openapi::scalar::Audiences;
use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::client::ClientRequest;
use crate::adapters::http::server::error::RefusedGrant;
use crate::adapters::http::server::payload::Json;
use crate::domain::oauth::{ActiveToken, Subject, TokenInquiry, TokenKind, TokenRequest, TokenResponse};

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

/// `client_credentials`, `authorization_code` to exchange a code, or `refresh_token` to exchange a refresh token.
#[derive(Clone, Copy, Enum)]
#[oai(rename = "GrantType", rename_all = "snake_case")]
enum GrantTypeName {
    /// With the application's own credentials.
    ClientCredentials,
    /// With the code from a person's consent.
    AuthorizationCode,
    /// With a refresh token.
    RefreshToken,
}

// The domain parses the raw bodies; these types document them.

/// A token request: a form, with `client_id` and `client_secret` unless they are in the Authorization header.
#[derive(Object)]
#[oai(rename = "TokenRequest")]
struct TokenRequestBody {
    grant_type: GrantTypeName,
    /// The client ID of the application, unless it is in the Authorization header.
    client_id: Option<String>,
    /// A secret of the application, unless it is in the Authorization header.
    client_secret: Option<String>,
    /// The requested permissions, separated by spaces; default: all permissions of the application.
    scope: Option<String>,
    /// The API that the token is for (RFC 8707): the public URL of this service, or that of its MCP endpoint. It may be repeated.
    resource: Option<String>,
    /// The refresh token, with that grant type.
    refresh_token: Option<String>,
    /// The code, with the grant type `authorization_code`.
    code: Option<String>,
    /// The redirect URI that the code was sent to, exactly.
    redirect_uri: Option<String>,
    /// The code verifier, if there was a challenge (RFC 7636).
    code_verifier: Option<String>,
}

/// A request about a token: a form, with `client_id` and `client_secret` unless they are in the Authorization header.
#[derive(Object)]
#[oai(rename = "TokenInquiry")]
struct TokenInquiryBody {
    /// The access token or refresh token.
    token: String,
    /// `access_token` or `refresh_token`; ignored.
    token_type_hint: Option<String>,
    /// The client ID of the application, unless it is in the Authorization header.
    client_id: Option<String>,
    /// A secret of the application, unless it is in the Authorization header.
    client_secret: Option<String>,
}

/// An empty object, for clients that parse every response.
#[derive(Object, Serialize)]
struct Revocation {}

/// Tokens (RFC 6749 §5.1).
#[derive(Object, Serialize)]
#[oai(rename = "TokenResponse")]
struct TokenAnswer {
    /// Sent as `Authorization: Bearer <token>` with each request.
    access_token: String,
    /// Always `Bearer`.
    token_type: String,
    /// Lifetime of the access token, in seconds.
    expires_in: u64,
    /// The permissions of the access token.
    scope: String,
    /// Exchanged once for the next tokens; only for applications with the grant type `refresh_token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

impl From<TokenResponse> for TokenAnswer {
    fn from(response: TokenResponse) -> Self {
        Self {
            access_token: response.access_token.expose().to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: response.expires_in,
            scope: response.scope.to_string(),
            refresh_token: response.refresh_token.map(|token| token.expose().to_owned()),
        }
    }
}

/// The attributes of a token (RFC 7662). For an inactive token nothing else is returned.
#[derive(Default, Object, Serialize)]
struct IntrospectionAnswer {
    /// Whether the token is active.
    active: bool,
    /// Its permissions.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// The client ID of its application.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// `Bearer` for an access token; left out for a refresh token.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<String>,
    /// When it expires, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    /// When it was issued, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    /// Whose memories it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    /// Its audience.
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<Audiences>,
    /// Its issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
}

impl From<Option<ActiveToken>> for IntrospectionAnswer {
    fn from(token: Option<ActiveToken>) -> Self {
        let Some(token) = token else { return Self::default() };
        Self {
            active: true,
            scope: Some(token.scope.to_string()),
            token_type: match token.kind {
                TokenKind::AccessToken => Some("Bearer".to_owned()),
                TokenKind::RefreshToken => None,
            },
            exp: Some(token.expires_at.unix_seconds()),
            iat: Some(token.issued_at.unix_seconds()),
            sub: Some(match token.subject {
                Subject::Application => token.client_id.to_string(),
                Subject::Person(user) => user.to_string(),
            }),
            client_id: Some(token.client_id.to_string()),
            aud: Some(token.audience.into()),
            iss: Some(token.issuer),
            jti: Some(token.token_id.to_string()),
        }
    }
}

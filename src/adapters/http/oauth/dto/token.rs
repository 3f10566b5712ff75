//! The OAuth endpoints.

use poem_openapi::{Enum, Object};
use serde::Serialize;

use crate::adapters::http::openapi::scalar::Audiences;
use crate::domain::oauth::{ActiveToken, Subject, TokenKind, TokenResponse};

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
pub(in super::super) struct TokenRequestBody {
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
pub(in super::super) struct TokenInquiryBody {
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
pub(in super::super) struct Revocation {}

/// Tokens (RFC 6749 §5.1).
#[derive(Object, Serialize)]
#[oai(rename = "TokenResponse")]
pub(in super::super) struct TokenAnswer {
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
pub(in super::super) struct IntrospectionAnswer {
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

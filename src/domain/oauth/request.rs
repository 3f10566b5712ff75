//! The token request, parsed once.

use std::fmt;

use super::error::OAuthError;
use super::parameters::{Parameters, parse_basic};
use super::scope::RequestedScope;
use crate::applications::GrantType;

/// A well-formed token request. Nothing of it has been verified yet.
#[derive(Debug)]
pub struct TokenRequest {
    /// The client's credentials.
    pub credentials: PresentedCredentials,
    /// The requested grant.
    pub grant: GrantRequest,
    /// The parameters `resource`: the APIs that the token is for (RFC 8707).
    pub resources: Vec<String>,
}

/// The requested grant.
#[derive(Debug)]
pub enum GrantRequest {
    /// `client_credentials`.
    ClientCredentials {
        /// The parameter `scope`.
        scope: RequestedScope,
    },
    /// `authorization_code`.
    AuthorizationCode(CodeExchange),
    /// `refresh_token`.
    RefreshToken {
        /// The parameter `refresh_token`.
        token: PresentedToken,
        /// The parameter `scope`.
        scope: RequestedScope,
    },
}

impl GrantRequest {
    /// Its grant type.
    #[must_use]
    pub fn grant_type(&self) -> GrantType {
        match self {
            Self::ClientCredentials { .. } => GrantType::ClientCredentials,
            Self::AuthorizationCode(_) => GrantType::AuthorizationCode,
            Self::RefreshToken { .. } => GrantType::RefreshToken,
        }
    }
}

/// The parameters of `authorization_code` (RFC 6749 §4.1.3, RFC 7636 §4.5).
#[derive(Debug)]
pub struct CodeExchange {
    /// The parameter `code`.
    pub code: PresentedToken,
    /// The parameter `redirect_uri`, which repeats that of the authorization request.
    pub redirect_uri: String,
    /// The parameter `code_verifier`.
    pub code_verifier: Option<PresentedToken>,
}

impl TokenRequest {
    /// Parses a request from its `Authorization` header and its parameters.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`], [`OAuthError::InvalidClient`] for a missing or malformed authentication,
    /// [`OAuthError::UnsupportedGrantType`].
    pub fn parse(authorization: Option<&[u8]>, parameters: &Parameters) -> Result<Self, OAuthError> {
        let grant_type = parameters.require("grant_type")?;
        let grant_type: GrantType = grant_type.parse().map_err(|_| OAuthError::UnsupportedGrantType)?;
        let credentials = PresentedCredentials::parse(authorization, parameters)?;
        let scope = RequestedScope::parse(parameters.get("scope"));
        let grant = match grant_type {
            GrantType::ClientCredentials => GrantRequest::ClientCredentials { scope },
            GrantType::AuthorizationCode => GrantRequest::AuthorizationCode(CodeExchange {
                code: PresentedToken::require(parameters, "code")?,
                redirect_uri: parameters.require("redirect_uri")?.to_owned(),
                code_verifier: parameters.get("code_verifier").map(|verifier| PresentedToken(verifier.to_owned())),
            }),
            GrantType::RefreshToken => {
                GrantRequest::RefreshToken { token: PresentedToken::require(parameters, "refresh_token")?, scope }
            }
        };
        Ok(Self { credentials, grant, resources: parameters.all("resource").map(str::to_owned).collect() })
    }
}

/// The credentials that a client presents.
pub struct PresentedCredentials {
    /// Its client ID, unverified.
    pub client_id: String,
    /// Its secret, unverified.
    pub secret: Option<String>,
}

impl PresentedCredentials {
    /// Parses `client_secret_basic`, `client_secret_post`, or a `client_id` alone (a public client). An empty secret counts as
    /// absent in the header too: a public client may be written as `client_id:` (RFC 6749 §2.3.1).
    ///
    /// # Errors
    /// [`OAuthError::InvalidClient`] if there is no authentication, [`OAuthError::UnreadableAuthorization`] if the header is
    /// malformed,
    /// [`OAuthError::InvalidRequest`] if there are two authentications (RFC 6749 §2.3).
    pub fn parse(authorization: Option<&[u8]>, parameters: &Parameters) -> Result<Self, OAuthError> {
        let (id, secret) = (parameters.get("client_id"), parameters.get("client_secret"));
        let Some(header) = authorization else {
            let client_id = id.ok_or(OAuthError::InvalidClient)?.to_owned();
            return Ok(Self { client_id, secret: secret.map(str::to_owned) });
        };
        let (client_id, header_secret) = parse_basic(header).ok_or(OAuthError::UnreadableAuthorization)?;
        if secret.is_some() || id.is_some_and(|id| id != client_id) {
            return Err(OAuthError::InvalidRequest(
                "credentials are given both in the Authorization header and in the body; use one of them".to_owned(),
            ));
        }
        Ok(Self { client_id, secret: Some(header_secret).filter(|secret| !secret.is_empty()) })
    }
}

impl fmt::Debug for PresentedCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresentedCredentials(…)")
    }
}

/// A token as presented.
pub struct PresentedToken(String);

impl PresentedToken {
    /// Takes the parameter `name`.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`] if it is absent.
    pub fn require(parameters: &Parameters, name: &str) -> Result<Self, OAuthError> {
        parameters.require(name).map(|token| Self(token.to_owned()))
    }

    /// The token.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PresentedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresentedToken(…)")
    }
}

#[cfg(test)]
mod tests;

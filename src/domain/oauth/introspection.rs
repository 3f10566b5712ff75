//! Token introspection (RFC 7662). An application can introspect its own tokens only; others appear inactive.

use std::net::IpAddr;

use super::access::{AccessError, AccessGuard};
use super::error::OAuthError;
use super::revocation::TokenInquiry;
use super::service::TokenService;
use super::token::Subject;
use crate::applications::{ClientKind, GrantType, Permissions, Resource};
use crate::ids::{ClientId, TokenId};
use crate::system::Timestamp;

/// The attributes of an active token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveToken {
    /// Whether it is an access token or a refresh token.
    pub kind: TokenKind,
    /// `client_id`.
    pub client_id: ClientId,
    /// `sub`.
    pub subject: Subject,
    /// `scope`: the currently effective permissions.
    pub scope: Permissions,
    /// `jti`.
    pub token_id: TokenId,
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: Vec<String>,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
}

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A bearer token for the memory API.
    AccessToken,
    /// A token for the token endpoint.
    RefreshToken,
}

impl TokenService {
    /// The attributes of the token for the application that asks; `None` if it is not active. A public client cannot
    /// authenticate, which RFC 7662 §2.1 requires.
    ///
    /// # Errors
    /// [`OAuthError::InvalidClient`], [`OAuthError::TooManyFailures`], [`OAuthError::RateLimited`],
    /// [`OAuthError::TemporarilyUnavailable`],
    /// [`OAuthError::Internal`].
    pub async fn introspect(
        &self,
        guard: &AccessGuard,
        inquiry: &TokenInquiry,
        address: IpAddr,
    ) -> Result<Option<ActiveToken>, OAuthError> {
        let application = self.admission.authenticate(&inquiry.credentials, address).await?;
        if application.kind == ClientKind::Public {
            return Err(OAuthError::InvalidClient);
        }
        if let Ok(claims) = self.tokens.issuer.verify_access_token(inquiry.token.as_str()) {
            let Some(audience) = self.policy.resources.audience_of(&claims.audience) else { return Ok(None) };
            let resource = if audience.opens(Resource::Api) { Resource::Api } else { Resource::Mcp };
            let caller = match guard.caller_of(&claims, resource).await {
                Ok(caller) if caller.application.id == application.id => caller,
                Ok(_) | Err(AccessError::InvalidToken | AccessError::WrongAudience { .. }) => return Ok(None),
                Err(AccessError::Storage(error)) => return Err(error.into()),
            };
            return Ok(Some(ActiveToken {
                kind: TokenKind::AccessToken,
                client_id: claims.client_id.clone(),
                subject: claims.subject.clone(),
                scope: caller.permissions,
                token_id: claims.token_id,
                issuer: claims.issuer.clone(),
                audience: claims.audience.clone(),
                issued_at: claims.issued_at,
                expires_at: claims.expires_at,
            }));
        }
        let Some(claims) = self.tokens.verify_refresh_token(&inquiry.token, self.clock.now()) else { return Ok(None) };
        let used = self.grants.is_consumed(claims.token_id).await?;
        let revoked = self.grants.is_revoked(claims.grant_id, claims.token_id).await?;
        let allowed = application.grants.contains(&GrantType::RefreshToken)
            && application.grants.contains(&claims.subject.grant_type())
            && application.accepts_tokens_of(claims.issued_at);
        let person_is_gone = match claims.subject {
            Subject::Person(person) => !self.people.is_enabled(person).await?,
            Subject::Application => false,
        };
        if claims.client_id != application.client_id || used || revoked || !allowed || person_is_gone {
            return Ok(None);
        }
        Ok(Some(ActiveToken {
            kind: TokenKind::RefreshToken,
            scope: claims.scope.intersection(application.permissions),
            client_id: claims.client_id,
            subject: claims.subject,
            token_id: claims.token_id,
            issuer: claims.issuer,
            audience: claims.audience,
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
        }))
    }
}

#[cfg(test)]
mod tests;

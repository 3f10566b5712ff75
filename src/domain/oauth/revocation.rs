//! Revocation of tokens by their owner (RFC 7009).

use std::net::IpAddr;

use super::error::OAuthError;
use super::grant_store::{Revocation, Revoked};
use super::parameters::Parameters;
use super::request::{PresentedCredentials, PresentedToken};
use super::revoker::revocation_of_grant;
use super::service::TokenService;
use super::token::Subject;
use crate::applications::{LONGEST_ACCESS_TOKEN_LIFETIME, LONGEST_REFRESH_TOKEN_LIFETIME};
use crate::audit::{AuditEvent, AuditKind};

/// A request about a token: to revoke or to introspect it. Both endpoints accept `token_type_hint` and ignore it, because a
/// token's kind is part of its signature.
#[derive(Debug)]
pub struct TokenInquiry {
    /// The client's credentials.
    pub credentials: PresentedCredentials,
    /// The token.
    pub token: PresentedToken,
}

impl TokenInquiry {
    /// Parses a request from its `Authorization` header and its parameters. A missing authentication is reported before
    /// anything else.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`], [`OAuthError::InvalidClient`].
    pub fn parse(authorization: Option<&[u8]>, parameters: &Parameters) -> Result<Self, OAuthError> {
        let credentials = PresentedCredentials::parse(authorization, parameters)?;
        Ok(Self { credentials, token: PresentedToken::require(parameters, "token")? })
    }
}

impl TokenService {
    /// Revokes a token: a refresh token with its whole grant, an access token alone. An unknown or expired token, or one
    /// of another client, is silently ignored (RFC 7009 §2.2).
    ///
    /// # Errors
    /// [`OAuthError::InvalidClient`], [`OAuthError::TooManyFailures`], [`OAuthError::RateLimited`],
    /// [`OAuthError::TemporarilyUnavailable`],
    /// [`OAuthError::Internal`].
    pub async fn revoke(&self, inquiry: &TokenInquiry, address: IpAddr) -> Result<(), OAuthError> {
        let application = self.admission.authenticate(&inquiry.credentials, address).await?;
        let now = self.clock.now();
        let (client_id, grant_id, subject, kind, revocation) =
            if let Some(claims) = self.tokens.verify_refresh_token(&inquiry.token, now) {
                let revocation = revocation_of_grant(&claims, now);
                (claims.client_id, claims.grant_id, claims.subject, AuditKind::GrantRevoked, revocation)
            } else if let Ok(claims) = self.tokens.issuer.verify_access_token(inquiry.token.as_str())
                && now < claims.expires_at
            {
                let what = Revoked::Token(claims.token_id);
                let revocation = Revocation { what, at: now, keep_until: claims.expires_at };
                (claims.client_id.clone(), claims.grant_id, claims.subject.clone(), AuditKind::TokenRevoked, revocation)
            } else {
                return Ok(());
            };
        if client_id != application.client_id {
            return Ok(());
        }
        self.admission.admit_public(&application, &subject)?;
        let (kind, revocation) = match (&subject, &revocation.what) {
            (Subject::Person(person), Revoked::Token(_))
                if !self.revoker.may_revoke_one(&application, *person, now) =>
            {
                let keep_until = now.plus(LONGEST_REFRESH_TOKEN_LIFETIME).plus(LONGEST_ACCESS_TOKEN_LIFETIME);
                (AuditKind::GrantRevoked, Revocation { what: Revoked::Grant(grant_id), at: now, keep_until })
            }
            _ => (kind, revocation),
        };
        let is_new = self.revoker.revoke(&application, &subject, &revocation).await?;
        if is_new {
            self.audit.record(&AuditEvent::new(kind, now).application(application.id).grant(grant_id)).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

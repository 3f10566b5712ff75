//! Revocation of tokens by their owner (RFC 7009).

use std::net::IpAddr;
use std::time::Duration;

use super::error::OAuthError;
use super::grant_store::{Revocation, Revoked};
use super::grants::refresh_token::revocation_of_grant;
use super::parameters::Parameters;
use super::request::{PresentedCredentials, PresentedToken};
use super::service::TokenService;
use crate::applications::Application;
use crate::audit::{AuditEvent, AuditKind};
use crate::system::StorageError;

/// How long a revocation is kept individually after all tokens of its application were revoked.
const UNTIL_ENDED_EVERYWHERE: Duration = Duration::from_mins(5);

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
        let application = self.authenticate(&inquiry.credentials, address).await?;
        let now = self.clock.now();
        let (client_id, grant_id, kind, revocation) =
            if let Some(claims) = self.verify_refresh_token(&inquiry.token, now) {
                let revocation = revocation_of_grant(&claims, now);
                (claims.client_id, claims.grant_id, AuditKind::GrantRevoked, revocation)
            } else if let Ok(claims) = self.issuer.verify_access_token(inquiry.token.as_str())
                && now < claims.expires_at
            {
                let what = Revoked::Token(claims.token_id);
                let revocation = Revocation { what, at: now, keep_until: claims.expires_at };
                (claims.client_id.clone(), claims.grant_id, AuditKind::TokenRevoked, revocation)
            } else {
                return Ok(());
            };
        if client_id != application.client_id {
            return Ok(());
        }
        self.admit_public(&application)?;
        if self.revoke_for(&application, &revocation).await? {
            self.audit.record(&AuditEvent::new(kind, now).application(application.id).grant(grant_id)).await;
        }
        Ok(())
    }
}

impl TokenService {
    /// Revokes on behalf of an application. Up to [`Application::MAX_REVOCATIONS`] revocations of each application are kept;
    /// one more revokes all its tokens. Returns whether it is new.
    pub(super) async fn revoke_for(
        &self,
        application: &Application,
        revocation: &Revocation,
    ) -> Result<bool, StorageError> {
        let kept = self.grants.revoke_within(application.id, Application::MAX_REVOCATIONS, revocation).await?;
        if let Some(is_new) = kept {
            return Ok(is_new);
        }
        self.applications.revoke_tokens(application.id, revocation.at).await?;
        // Until every instance knows, even one whose clock is behind.
        let keep_until = revocation.at.plus(UNTIL_ENDED_EVERYWHERE).min(revocation.keep_until);
        self.grants.revoke(&Revocation { keep_until, ..revocation.clone() }).await
    }
}

#[cfg(test)]
mod tests;

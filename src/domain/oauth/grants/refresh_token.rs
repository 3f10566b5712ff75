//! `refresh_token` (RFC 6749 §6), with rotation (RFC 9700 §4.14).

use std::sync::Arc;

use super::GrantUse;
use crate::applications::Application;
use crate::audit::{AuditEvent, AuditKind, AuditLog};
use crate::ids::TokenId;
use crate::oauth::client::ClientAdmission;
use crate::oauth::error::OAuthError;
use crate::oauth::grant_store::{Consumed, Consumption, GrantStore};
use crate::oauth::issuing::{AccessGrant, TokenFactory, TokenResponse};
use crate::oauth::policy::TokenPolicy;
use crate::oauth::request::PresentedToken;
use crate::oauth::revoker::{Revoker, revocation_of_grant};
use crate::oauth::scope::RequestedScope;
use crate::oauth::token::{RefreshTokenClaims, Subject};
use crate::people::PersonRepository;
use crate::system::{Clock, Entropy, Timestamp};

/// Exchanges a refresh token for an access token and its own successor.
#[derive(Clone)]
pub(in crate::oauth) struct RefreshTokenGrant {
    pub(in crate::oauth) grants: Arc<dyn GrantStore>,
    pub(in crate::oauth) people: Arc<dyn PersonRepository>,
    pub(in crate::oauth) admission: ClientAdmission,
    pub(in crate::oauth) tokens: TokenFactory,
    pub(in crate::oauth) revoker: Revoker,
    pub(in crate::oauth) audit: Arc<dyn AuditLog>,
    pub(in crate::oauth) clock: Arc<dyn Clock>,
    pub(in crate::oauth) entropy: Arc<dyn Entropy>,
    pub(in crate::oauth) policy: Arc<TokenPolicy>,
}

impl RefreshTokenGrant {
    /// The scope is validated before the token is consumed, so that a mistake in it costs nothing.
    pub(in crate::oauth) async fn grant(
        &self,
        usage: &GrantUse,
        token: &PresentedToken,
        scope: RequestedScope,
    ) -> Result<TokenResponse, OAuthError> {
        let application = usage.application();
        let now = self.clock.now();
        let claims = self.tokens.verify_refresh_token(token, now).ok_or(OAuthError::InvalidGrant)?;
        // The application may have lost the grant type since.
        if claims.client_id != application.client_id
            || !application.grants.contains(&claims.subject.grant_type())
            || !application.accepts_tokens_of(claims.issued_at)
        {
            return Err(OAuthError::InvalidGrant);
        }
        if let Subject::Person(person) = claims.subject
            && !self.people.is_enabled(person).await?
        {
            return Err(OAuthError::InvalidGrant);
        }
        // The application may have lost a permission since; it gets what is left.
        let held = claims.scope.intersection(application.permissions);
        let scope = scope.within(held).filter(|scope| !scope.is_empty()).ok_or(OAuthError::InvalidScope)?;

        let granted = self.policy.resources.audience_of(&claims.audience).ok_or(OAuthError::InvalidGrant)?;
        let audience = self.policy.resources.narrow(granted, usage.audience())?;

        self.admission.admit_public(application, &claims.subject)?;
        let (successor_id, rotated_at) = self.rotate(application, &claims, now).await?;
        let issued_at = rotated_at.truncated_to_seconds();
        let successor = RefreshTokenClaims {
            token_id: successor_id,
            issued_at,
            expires_at: self.policy.refresh_expiry(application, issued_at, claims.grant_expires_at),
            ..claims.clone()
        };
        let refresh_token = self.tokens.refresh_token(&successor)?;
        let grant = AccessGrant {
            subject: claims.subject,
            grant_id: claims.grant_id,
            audience,
            ends_at: claims.grant_expires_at,
        };
        let (access_token, expires_in) = self.tokens.access_token(application, grant, scope)?;
        Ok(TokenResponse { access_token, expires_in, scope, refresh_token: Some(refresh_token) })
    }

    /// Consumes the token. Returns the ID of its successor and when that was created.
    async fn rotate(
        &self,
        application: &Application,
        claims: &RefreshTokenClaims,
        now: Timestamp,
    ) -> Result<(TokenId, Timestamp), OAuthError> {
        let consumption = Consumption {
            token_id: claims.token_id,
            grant_id: claims.grant_id,
            successor_id: TokenId::generate(&*self.entropy),
            at: now,
            keep_until: claims.expires_at,
        };
        match self.grants.consume(&consumption).await? {
            Consumed::First => Ok((consumption.successor_id, now)),
            Consumed::Before { successor_id, at, successor_used: false }
                if now.since(at) <= self.policy.retry_window(application) =>
            {
                Ok((successor_id, at))
            }
            Consumed::Before { .. } => {
                self.revoker.revoke(application, &claims.subject, &revocation_of_grant(claims, now)).await?;
                let event = AuditEvent::new(AuditKind::RefreshTokenReused, now);
                self.audit.record(&event.application(application.id).grant(claims.grant_id)).await;
                Err(OAuthError::InvalidGrant)
            }
            Consumed::GrantRevoked => Err(OAuthError::InvalidGrant),
        }
    }
}

#[cfg(test)]
mod tests;

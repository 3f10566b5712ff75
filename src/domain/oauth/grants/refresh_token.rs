//! `refresh_token` (RFC 6749 §6), with rotation (RFC 9700 §4.14).

use crate::applications::{Application, GrantType};
use crate::audit::{AuditEvent, AuditKind};
use crate::ids::TokenId;
use crate::oauth::audience::Audience;
use crate::oauth::error::OAuthError;
use crate::oauth::grant_store::{Consumed, Consumption, Revocation, Revoked};
use crate::oauth::request::PresentedToken;
use crate::oauth::scope::RequestedScope;
use crate::oauth::service::{AccessGrant, TokenResponse, TokenService};
use crate::oauth::token::{LONGEST_ACCESS_TOKEN_LIFETIME, RefreshTokenClaims, Subject};
use crate::system::Timestamp;

/// Exchanges a refresh token for an access token and its own successor.
///
/// The scope is validated before the token is consumed, so that a mistake in it costs nothing.
pub(in crate::oauth) async fn grant(
    service: &TokenService,
    application: &Application,
    token: &PresentedToken,
    scope: RequestedScope,
    audience: Option<Audience>,
) -> Result<TokenResponse, OAuthError> {
    if !application.grants.contains(&GrantType::RefreshToken) {
        return Err(OAuthError::UnauthorizedClient(GrantType::RefreshToken));
    }
    let now = service.clock.now();
    let claims = service.verify_refresh_token(token, now).ok_or(OAuthError::InvalidGrant)?;
    // The application may have lost the grant type since.
    if claims.client_id != application.client_id
        || !application.grants.contains(&claims.subject.grant_type())
        || !application.accepts_tokens_of(claims.issued_at)
    {
        return Err(OAuthError::InvalidGrant);
    }
    if let Subject::Person(person) = claims.subject
        && !service.people.is_enabled(person).await?
    {
        return Err(OAuthError::InvalidGrant);
    }
    // The application may have lost a permission since; it gets what is left.
    let held = claims.scope.intersection(application.permissions);
    let scope = scope.within(held).filter(|scope| !scope.is_empty()).ok_or(OAuthError::InvalidScope)?;

    let granted = service.policy.audience_of(&claims.audience).ok_or(OAuthError::InvalidGrant)?;
    let audience = granted.narrowed_to(audience)?;

    service.admit_public(application)?;
    let (successor_id, rotated_at) = rotate(service, application, &claims, now).await?;
    let issued_at = rotated_at.truncated_to_seconds();
    let successor = RefreshTokenClaims {
        token_id: successor_id,
        issued_at,
        expires_at: service.refresh_expiry(application, issued_at, claims.grant_expires_at),
        ..claims.clone()
    };
    let refresh_token = service.issuer.issue_refresh_token(&successor)?;
    let grant =
        AccessGrant { subject: claims.subject, grant_id: claims.grant_id, audience, ends_at: claims.grant_expires_at };
    let (access_token, expires_in) = service.access_token(application, grant, scope)?;
    Ok(TokenResponse { access_token, expires_in, scope, refresh_token: Some(refresh_token) })
}

/// Consumes the token. Returns the ID of its successor and when that was created.
async fn rotate(
    service: &TokenService,
    application: &Application,
    claims: &RefreshTokenClaims,
    now: Timestamp,
) -> Result<(TokenId, Timestamp), OAuthError> {
    let consumption = Consumption {
        token_id: claims.token_id,
        grant_id: claims.grant_id,
        successor_id: TokenId::generate(&*service.entropy),
        at: now,
        keep_until: claims.expires_at,
    };
    match service.grants.consume(&consumption).await? {
        Consumed::First => Ok((consumption.successor_id, now)),
        Consumed::Before { successor_id, at, successor_used: false }
            if now.since(at) <= service.retry_window(application) =>
        {
            Ok((successor_id, at))
        }
        Consumed::Before { .. } => {
            service.revoke_for(application, &claims.subject, &revocation_of_grant(claims, now)).await?;
            let event = AuditEvent::new(AuditKind::RefreshTokenReused, now);
            service.audit.record(&event.application(application.id).grant(claims.grant_id)).await;
            Err(OAuthError::InvalidGrant)
        }
        Consumed::GrantRevoked => Err(OAuthError::InvalidGrant),
    }
}

/// A revocation of the whole grant, kept until its last access token must have expired.
pub(in crate::oauth) fn revocation_of_grant(claims: &RefreshTokenClaims, now: Timestamp) -> Revocation {
    Revocation {
        what: Revoked::Grant(claims.grant_id),
        at: now,
        keep_until: claims.grant_expires_at.plus(LONGEST_ACCESS_TOKEN_LIFETIME),
    }
}

impl TokenService {
    /// The claims of a refresh token that is genuine and not expired. Uses and revocations are not checked here.
    pub(in crate::oauth) fn verify_refresh_token(
        &self,
        token: &PresentedToken,
        now: Timestamp,
    ) -> Option<RefreshTokenClaims> {
        let claims = self.issuer.verify_refresh_token(token.as_str()).ok()?;
        let ours = claims.issuer == self.policy.issuer && self.policy.audience_of(&claims.audience).is_some();
        let in_time = now < claims.expires_at && claims.issued_at <= now.plus(self.policy.leeway);
        (ours && in_time).then_some(claims)
    }
}

#[cfg(test)]
mod tests;

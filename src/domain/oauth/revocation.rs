//! Revocation of tokens by their owner (RFC 7009).

use std::net::IpAddr;
use std::time::Duration;

use super::error::OAuthError;
use super::grant_store::{Revocation, Revoked};
use super::grants::refresh_token::revocation_of_grant;
use super::parameters::Parameters;
use super::request::{PresentedCredentials, PresentedToken};
use super::service::TokenService;
use super::token::{LONGEST_ACCESS_TOKEN_LIFETIME, LONGEST_REFRESH_TOKEN_LIFETIME, Subject};
use crate::applications::Application;
use crate::audit::{AuditEvent, AuditKind};
use crate::ids::UserId;
use crate::limits::Allowance;
use crate::system::{StorageError, Timestamp};

/// How many access tokens of a person an application may revoke individually.
pub(super) const REVOCATIONS_OF_A_PERSON: Allowance = Allowance { burst: 100, interval: Duration::from_mins(10) };
/// Maximum number of pairs of an application and a person that are counted at a time.
pub(super) const COUNTED_PEOPLE: usize = 10_000;

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
        let (client_id, grant_id, subject, kind, revocation) =
            if let Some(claims) = self.verify_refresh_token(&inquiry.token, now) {
                let revocation = revocation_of_grant(&claims, now);
                (claims.client_id, claims.grant_id, claims.subject, AuditKind::GrantRevoked, revocation)
            } else if let Ok(claims) = self.issuer.verify_access_token(inquiry.token.as_str())
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
        self.admit_public(&application)?;
        let (kind, revocation) = match (&subject, &revocation.what) {
            (Subject::Person(person), Revoked::Token(_)) if !self.may_revoke_one(&application, *person, now) => {
                let keep_until = now.plus(LONGEST_REFRESH_TOKEN_LIFETIME).plus(LONGEST_ACCESS_TOKEN_LIFETIME);
                (AuditKind::GrantRevoked, Revocation { what: Revoked::Grant(grant_id), at: now, keep_until })
            }
            _ => (kind, revocation),
        };
        let is_new = self.revoke_for(&application, &subject, &revocation).await?;
        if is_new {
            self.audit.record(&AuditEvent::new(kind, now).application(application.id).grant(grant_id)).await;
        }
        Ok(())
    }
}

impl TokenService {
    /// Whether one more access token of this person may be revoked by itself. Others use the same application, so what a person
    /// does in a loop must not end their tokens: beyond the allowance the person's grant is revoked as a whole, of which there are
    /// as many as there were consents.
    fn may_revoke_one(&self, application: &Application, person: UserId, now: Timestamp) -> bool {
        self.revocations_of_people.take((application.id, person), now).is_ok()
    }

    /// Revokes on behalf of an application. Up to [`Application::MAX_REVOCATIONS`] revocations of an application's own tokens
    /// are kept; one more revokes all its tokens. How many there are of a person is bounded by the person's consents. Returns
    /// whether it is new.
    pub(super) async fn revoke_for(
        &self,
        application: &Application,
        subject: &Subject,
        revocation: &Revocation,
    ) -> Result<bool, StorageError> {
        if let Subject::Person(_) = subject {
            return self.grants.revoke(revocation).await;
        }
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

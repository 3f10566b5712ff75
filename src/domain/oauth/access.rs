//! What a bearer token opens (RFC 6750, RFC 9068 §4).

use std::sync::Arc;

use super::grant_store::GrantStore;
use super::service::TokenPolicy;
use super::token::{AccessTokenClaims, Subject, TokenIssuer};
use crate::applications::{Application, ApplicationRepository, Permission, Permissions};
use crate::ids::TokenId;
use crate::people::PersonRepository;
use crate::system::{Clock, StorageError, Timestamp};

/// Somebody who presented a valid access token.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The application that the token was issued to, as it is now.
    pub application: Arc<Application>,
    /// Whose memories the token is about.
    pub subject: Subject,
    /// What may be done: what the token carries and the application still holds.
    pub permissions: Permissions,
    /// The token's id.
    pub token_id: TokenId,
    /// When the token expires.
    pub expires_at: Timestamp,
}

impl Caller {
    /// Fails unless the caller has `permission`.
    ///
    /// # Errors
    /// [`MissingPermission`].
    pub fn require(&self, permission: Permission) -> Result<(), MissingPermission> {
        if self.permissions.contains(permission) { Ok(()) } else { Err(MissingPermission(permission)) }
    }
}

/// The token of an `Authorization` header (RFC 6750 §2.1); `None` if the header is of another scheme or holds no text.
/// What stands behind the scheme is not judged here: garbage is no token, and is refused as any other.
#[must_use]
pub fn bearer_token(header: &[u8]) -> Option<&str> {
    let (scheme, token) = header.split_at_checked(7)?;
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return None;
    }
    // Bytes that no token has are judged where all other garbage is.
    Some(std::str::from_utf8(token).map_or("", str::trim))
}

/// The token does not carry a permission that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this needs the permission {0}, which the access token does not carry")]
pub struct MissingPermission(pub Permission);

/// Why an access token opens nothing.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// It is not valid: not ours, expired, revoked, or its application or person is gone or disabled.
    #[error("the access token is invalid, expired or revoked; get a new one from the token endpoint")]
    InvalidToken,
    /// It cannot be judged now.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Judges access tokens.
#[derive(Clone)]
pub struct AccessGuard {
    issuer: Arc<dyn TokenIssuer>,
    grants: Arc<dyn GrantStore>,
    applications: Arc<dyn ApplicationRepository>,
    people: Arc<dyn PersonRepository>,
    clock: Arc<dyn Clock>,
    policy: Arc<TokenPolicy>,
}

impl AccessGuard {
    /// Puts the guard together.
    pub fn new(
        issuer: Arc<dyn TokenIssuer>,
        grants: Arc<dyn GrantStore>,
        applications: Arc<dyn ApplicationRepository>,
        people: Arc<dyn PersonRepository>,
        clock: Arc<dyn Clock>,
        policy: Arc<TokenPolicy>,
    ) -> Self {
        Self { issuer, grants, applications, people, clock, policy }
    }

    /// Who presents this token. The signature may have been cached; the clock, the revocations and the state of the
    /// application and of the person are looked at every time.
    ///
    /// # Errors
    /// [`AccessError`].
    pub async fn authenticate(&self, token: &str) -> Result<Caller, AccessError> {
        let claims = self.issuer.verify_access_token(token).map_err(|_| AccessError::InvalidToken)?;
        if !self.is_for_us_now(&claims) {
            return Err(AccessError::InvalidToken);
        }
        let application = self.applications.find_by_client_id(&claims.client_id).await?;
        let application = application
            .filter(|application| application.enabled && application.grants.contains(&claims.subject.grant_type()))
            .filter(|application| application.accepts_tokens_of(claims.issued_at))
            .ok_or(AccessError::InvalidToken)?;
        if let Subject::Person(person) = claims.subject
            && !self.people.is_enabled(person).await?
        {
            return Err(AccessError::InvalidToken);
        }
        if self.grants.is_revoked(claims.grant_id, claims.token_id).await? {
            return Err(AccessError::InvalidToken);
        }
        Ok(Caller {
            permissions: claims.scope.intersection(application.permissions),
            subject: claims.subject.clone(),
            token_id: claims.token_id,
            expires_at: claims.expires_at,
            application,
        })
    }

    fn is_for_us_now(&self, claims: &AccessTokenClaims) -> bool {
        let now = self.clock.now();
        claims.issuer == self.policy.issuer
            && claims.audience == self.policy.audience
            && now < claims.expires_at
            && claims.issued_at <= now.plus(self.policy.leeway)
    }
}

#[cfg(test)]
mod tests;

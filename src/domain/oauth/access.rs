//! Validation of bearer tokens (RFC 6750, RFC 9068 §4).

mod local;

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use super::grant_store::GrantStore;
use super::policy::TokenPolicy;
use super::token::{AccessTokenClaims, Subject, TokenIssuer};
use crate::applications::{Application, ApplicationRepository, Permission, Permissions, RequestsPerMinute, Resource};
use crate::ids::TokenId;
use crate::limits::{RateLimited, RateLimits};
use crate::people::PersonRepository;
use crate::system::{Clock, StorageError, Timestamp};

pub use local::{LocalAccess, LocalAccessError};

/// The caller behind a valid access token. Whoever has one got it from [`AccessGuard`] or [`LocalAccess`]: outside of this crate
/// it can be read,
///
/// ```
/// # use memgate_domain::{applications::Permissions, oauth::Caller};
/// fn permissions(caller: &Caller) -> Permissions {
///     caller.permissions()
/// }
/// ```
///
/// but neither changed
///
/// ```compile_fail,E0616
/// # use memgate_domain::{applications::Permissions, oauth::Caller};
/// fn widen(caller: &mut Caller) {
///     caller.permissions = Permissions::all();
/// }
/// ```
///
/// nor made.
///
/// ```compile_fail,E0451
/// # use memgate_domain::{applications::Permissions, oauth::Caller};
/// fn forge(caller: Caller) -> Caller {
///     Caller { permissions: Permissions::all(), ..caller }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Caller {
    pub(crate) application: Arc<Application>,
    pub(crate) subject: Subject,
    pub(crate) permissions: Permissions,
    pub(crate) token_id: TokenId,
    pub(crate) expires_at: Timestamp,
}

impl Caller {
    /// The current state of the application that the token was issued to.
    #[must_use]
    pub fn application(&self) -> &Application {
        &self.application
    }

    /// Whose memories the token is about.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The permissions that the token carries and the application still has.
    #[must_use]
    pub fn permissions(&self) -> Permissions {
        self.permissions
    }

    /// The token's ID.
    #[must_use]
    pub fn token_id(&self) -> TokenId {
        self.token_id
    }

    /// When the token expires.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Requires `permission`.
    ///
    /// # Errors
    /// [`MissingPermission`].
    pub fn require(&self, permission: Permission) -> Result<(), MissingPermission> {
        if self.permissions.contains(permission) { Ok(()) } else { Err(MissingPermission(permission)) }
    }
}

/// The token of an `Authorization` header (RFC 6750 §2.1); `None` if the header has another scheme or no value. What
/// follows the scheme is not validated here: garbage is rejected later like any other invalid token.
#[must_use]
pub fn bearer_token(header: &[u8]) -> Option<&str> {
    let (scheme, token) = header.split_at_checked(7)?;
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return None;
    }
    // Bytes that no token contains are rejected with all other garbage.
    Some(std::str::from_utf8(token).map_or("", str::trim))
}

/// The token lacks a required permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this needs the permission {0}, which the access token does not carry")]
pub struct MissingPermission(pub Permission);

/// Why an access token is rejected.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// It is invalid: not ours, expired, revoked, or its application or person is deleted or disabled.
    #[error("the access token is invalid, expired or revoked; get a new one from the token endpoint")]
    InvalidToken,
    /// It is valid, but for another resource of this service.
    #[error(
        "the access token is for {actual} and not for {expected}; request one with the parameter resource={expected}"
    )]
    WrongAudience {
        /// The URI of the resource that was called.
        expected: String,
        /// What the token is for.
        actual: String,
    },
    /// It cannot be validated at the moment.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What an operation requires of its caller.
pub trait Need: Send + Sync + 'static {
    /// The permissions, all of which the token must carry; none if any valid token is sufficient.
    const PERMISSIONS: &'static [Permission];
}

macro_rules! needs {
    ($($(#[$doc:meta])* $name:ident = [$($permission:ident),*];)+) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}

        impl Need for $name {
            const PERMISSIONS: &'static [Permission] = &[$(Permission::$permission),*];
        }
    )+ };
}

needs! {
    /// Any valid token.
    AnyToken = [];
    /// `memory:read`.
    Read = [MemoryRead];
    /// `memory:write`.
    Write = [MemoryWrite];
    /// `memory:delete`.
    Delete = [MemoryDelete];
    /// `memory:read` and `memory:delete`: what is deleted tells something about what there is.
    ReadAndDelete = [MemoryRead, MemoryDelete];
}

/// The proof that a caller may perform an operation: the token is valid, it carries the permission, and the request
/// was counted towards the application's rate limit. Only [`AccessGuard`] and [`LocalAccess`] create one, and services require
/// it, so that no operation can omit any of these checks.
pub struct Authorized<N> {
    caller: Caller,
    need: PhantomData<fn() -> N>,
}

impl<N: Need> Authorized<N> {
    fn prove(caller: Caller) -> Result<Self, MissingPermission> {
        N::PERMISSIONS.iter().try_for_each(|permission| caller.require(*permission))?;
        Ok(Self { caller, need: PhantomData })
    }

    /// The proof for another operation within the same request, which is not counted again.
    ///
    /// # Errors
    /// [`MissingPermission`].
    pub fn also<M: Need>(&self) -> Result<Authorized<M>, MissingPermission> {
        Authorized::prove(self.caller.clone())
    }

    /// A proof without a guard, for tests of the services.
    ///
    /// # Panics
    /// If the caller lacks the permission.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn unguarded(caller: &Caller) -> Self {
        Self::prove(caller.clone()).expect("the caller has the permission")
    }
}

impl<N> Clone for Authorized<N> {
    fn clone(&self) -> Self {
        Self { caller: self.caller.clone(), need: PhantomData }
    }
}

impl<N> fmt::Debug for Authorized<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authorized").field(&self.caller).finish()
    }
}

impl<N> Deref for Authorized<N> {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

/// Why a request is rejected.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// The token is invalid.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The token lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] MissingPermission),
    /// The application exceeded its rate limit, or the person the share of it.
    #[error(transparent)]
    RateLimited(#[from] RateLimited),
}

/// The single gate of the memory API: validates access tokens, and admits requests.
#[derive(Clone)]
pub struct AccessGuard {
    issuer: Arc<dyn TokenIssuer>,
    grants: Arc<dyn GrantStore>,
    applications: Arc<dyn ApplicationRepository>,
    people: Arc<dyn PersonRepository>,
    limits: RateLimits,
    clock: Arc<dyn Clock>,
    policy: Arc<TokenPolicy>,
}

impl AccessGuard {
    /// Assembles the guard.
    pub fn new(
        issuer: Arc<dyn TokenIssuer>,
        grants: Arc<dyn GrantStore>,
        applications: Arc<dyn ApplicationRepository>,
        people: Arc<dyn PersonRepository>,
        limits: RateLimits,
        clock: Arc<dyn Clock>,
        policy: Arc<TokenPolicy>,
    ) -> Self {
        Self { issuer, grants, applications, people, limits, clock, policy }
    }

    /// Admits a request: authenticates the caller, checks the permission, and counts the request, in this order, so that
    /// a request without the permission is not counted.
    ///
    /// # Errors
    /// [`AdmissionError`].
    pub async fn admit<N: Need>(&self, token: &str) -> Result<Authorized<N>, AdmissionError> {
        self.authorize(self.authenticate(token, Resource::Api).await?)
    }

    /// As [`admit`](Self::admit), for a caller authenticated before.
    ///
    /// # Errors
    /// [`AdmissionError::Forbidden`], [`AdmissionError::RateLimited`].
    pub fn authorize<N: Need>(&self, caller: Caller) -> Result<Authorized<N>, AdmissionError> {
        let authorized = Authorized::prove(caller)?;
        self.limits.take(&authorized.application, authorized.subject.person(), self.clock.now())?;
        Ok(authorized)
    }

    /// Whether a request that was admitted would still be: a long one asks again as it goes on. It is not counted again.
    ///
    /// # Errors
    /// [`AdmissionError::Access`], [`AdmissionError::Forbidden`].
    pub async fn still_admits<N: Need>(&self, token: &str) -> Result<(), AdmissionError> {
        let caller = self.authenticate(token, Resource::Api).await?;
        Ok(Authorized::<N>::prove(caller).map(drop)?)
    }

    /// The rate limit of the caller's application.
    #[must_use]
    pub fn rate_limit(&self, caller: &Caller) -> RequestsPerMinute {
        self.limits.of(&caller.application)
    }

    /// The caller behind this token. The signature check may be cached; the expiry, the revocations and the state of the
    /// application and of the person are checked every time.
    ///
    /// # Errors
    /// [`AccessError`].
    pub async fn authenticate(&self, token: &str, resource: Resource) -> Result<Caller, AccessError> {
        let claims = self.issuer.verify_access_token(token).map_err(|_| AccessError::InvalidToken)?;
        self.caller_of(&claims, resource).await
    }

    /// As [`authenticate`](Self::authenticate), for a token whose signature was verified before.
    pub(super) async fn caller_of(
        &self,
        claims: &AccessTokenClaims,
        resource: Resource,
    ) -> Result<Caller, AccessError> {
        let audience = self.policy.resources.audience_of(&claims.audience).ok_or(AccessError::InvalidToken)?;
        if !self.is_ours_and_current(claims) {
            return Err(AccessError::InvalidToken);
        }
        if !audience.opens(resource) {
            let actual = claims.audience.join(" ");
            return Err(AccessError::WrongAudience { expected: self.policy.resources.uri(resource), actual });
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

    fn is_ours_and_current(&self, claims: &AccessTokenClaims) -> bool {
        let now = self.clock.now();
        claims.issuer == self.policy.resources.issuer
            && now < claims.expires_at
            && claims.issued_at <= now.plus(self.policy.leeway)
    }
}

#[cfg(test)]
mod tests;

//! The token endpoint and its neighbours: one entry point, and one file per grant beside it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::audience::{Audience, InvalidTarget, Resource};
use super::authorization::AuthorizationService;
use super::client::ClientAuthenticator;
use super::error::OAuthError;
use super::grant_store::GrantStore;
use super::grants;
use super::request::{GrantRequest, PresentedCredentials, TokenRequest};
use super::revocation::{COUNTED_PEOPLE, REVOCATIONS_OF_A_PERSON};
use super::token::{
    AccessToken, AccessTokenClaims, IssueError, LONGEST_ACCESS_TOKEN_LIFETIME, LONGEST_REFRESH_TOKEN_LIFETIME,
    RefreshToken, RefreshTokenClaims, Subject, TokenIssuer,
};
use crate::applications::{Application, ApplicationRepository, ClientKind, GrantType, Permissions, TokenLifetime};
use crate::audit::AuditLog;
use crate::ids::{ApplicationId, GrantId, TokenId, UserId};
use crate::limits::{KeyedLimit, RateLimits};
use crate::people::PersonRepository;
use crate::system::{Clock, Entropy, Timestamp};

/// The token policy from the configuration.
#[derive(Clone, Debug)]
pub struct TokenPolicy {
    /// `iss` of every token: the public URL.
    pub issuer: String,
    /// `aud` of every access token: the memory API.
    pub audience: String,
    /// Default lifetime of an access token.
    pub access_token_ttl: Duration,
    /// Default idle lifetime of a refresh token.
    pub refresh_token_ttl: Duration,
    /// Maximum lifetime of a grant, however often its refresh token is used.
    pub grant_ttl: Duration,
    /// How long a used refresh token may be presented again and yields the same successor, in case a response was lost.
    pub retry_window: Duration,
    /// The same for a public application, several processes of which may share a refresh token; at least as long.
    pub public_retry_window: Duration,
    /// Maximum clock skew between instances: a token whose `iat` is that far in the future is accepted. Expiry has no
    /// leeway.
    pub leeway: Duration,
}

impl TokenPolicy {
    /// The audience that the parameters `resource` ask for; `None` if there are none.
    ///
    /// # Errors
    /// [`InvalidTarget`].
    pub fn requested_audience(&self, resources: &[String]) -> Result<Option<Audience>, InvalidTarget> {
        Audience::requested(resources, &self.issuer, &self.audience)
    }

    /// The values of `aud` of a token for `audience`.
    #[must_use]
    pub fn uris(&self, audience: Audience) -> Vec<String> {
        audience.uris(&self.issuer, &self.audience)
    }

    /// The audience of a token with these values of `aud`; `None` if it is not for this service.
    #[must_use]
    pub fn audience_of(&self, uris: &[String]) -> Option<Audience> {
        Audience::of_uris(uris, &self.issuer, &self.audience)
    }

    /// The URI of a resource.
    #[must_use]
    pub fn uri(&self, resource: Resource) -> String {
        resource.uri(&self.issuer, &self.audience)
    }
}

/// A successful response of the token endpoint (RFC 6749 §5.1).
#[derive(Debug)]
pub struct TokenResponse {
    /// `access_token`.
    pub access_token: AccessToken,
    /// `expires_in`, in seconds.
    pub expires_in: u64,
    /// `scope` of the access token.
    pub scope: Permissions,
    /// `refresh_token`.
    pub refresh_token: Option<RefreshToken>,
}

/// The grant that an access token is issued under.
pub(super) struct AccessGrant {
    /// On whose behalf.
    pub(super) subject: Subject,
    /// Its id.
    pub(super) grant_id: GrantId,
    pub(super) audience: Audience,
    /// When it ends; no token outlives it.
    pub(super) ends_at: Timestamp,
}

/// Where the tokens of a grant open something.
#[derive(Clone, Copy)]
pub(super) struct GrantedAudience {
    /// What was granted, which refresh tokens carry on.
    pub(super) whole: Audience,
    /// What the access token is asked for now.
    pub(super) now: Audience,
}

/// The ports behind [`TokenService`].
#[derive(Clone)]
pub struct TokenPorts {
    /// Signs and verifies tokens.
    pub issuer: Arc<dyn TokenIssuer>,
    /// Uses of refresh tokens, and revocations.
    pub grants: Arc<dyn GrantStore>,
    /// Authorizations and their codes.
    pub authorizations: AuthorizationService,
    /// Applications.
    pub applications: Arc<dyn ApplicationRepository>,
    /// People.
    pub people: Arc<dyn PersonRepository>,
    /// The audit log.
    pub audit: Arc<dyn AuditLog>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Rate limits of the OAuth endpoints, separate from those of the memory API.
    pub limits: RateLimits,
}

/// Issues tokens.
#[derive(Clone)]
pub struct TokenService {
    pub(super) clients: ClientAuthenticator,
    pub(super) issuer: Arc<dyn TokenIssuer>,
    pub(super) grants: Arc<dyn GrantStore>,
    pub(super) authorizations: AuthorizationService,
    pub(super) applications: Arc<dyn ApplicationRepository>,
    pub(super) people: Arc<dyn PersonRepository>,
    pub(super) audit: Arc<dyn AuditLog>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    limits: RateLimits,
    pub(super) revocations_of_people: Arc<KeyedLimit<(ApplicationId, UserId)>>,
    pub(super) policy: Arc<TokenPolicy>,
}

impl TokenService {
    /// Assembles the service.
    #[must_use]
    pub fn new(clients: ClientAuthenticator, ports: TokenPorts, policy: Arc<TokenPolicy>) -> Self {
        let TokenPorts { issuer, grants, authorizations, applications, people, audit, clock, entropy, limits } = ports;
        let revocations_of_people = Arc::new(KeyedLimit::new(REVOCATIONS_OF_A_PERSON, COUNTED_PEOPLE));
        Self {
            clients,
            issuer,
            grants,
            authorizations,
            applications,
            people,
            audit,
            clock,
            entropy,
            limits,
            revocations_of_people,
            policy,
        }
    }

    /// Handles a token request from `address`.
    ///
    /// # Errors
    /// [`OAuthError`].
    pub async fn token(&self, request: &TokenRequest, address: IpAddr) -> Result<TokenResponse, OAuthError> {
        let application = self.authenticate(&request.credentials, address).await?;
        let audience = self.policy.requested_audience(&request.resources)?;
        match &request.grant {
            GrantRequest::ClientCredentials { scope } => {
                grants::client_credentials::grant(self, &application, *scope, audience)
            }
            GrantRequest::AuthorizationCode(exchange) => {
                grants::authorization_code::grant(self, &application, exchange, audience).await
            }
            GrantRequest::RefreshToken { token, scope } => {
                grants::refresh_token::grant(self, &application, token, *scope, audience).await
            }
        }
    }

    /// Authenticates the application, and counts the request towards its rate limit. Anybody can use a public application's
    /// client ID: its limit is only charged for requests that prove to be its own, in [`admit_public`].
    ///
    /// [`admit_public`]: Self::admit_public
    pub(super) async fn authenticate(
        &self,
        credentials: &PresentedCredentials,
        address: IpAddr,
    ) -> Result<Arc<Application>, OAuthError> {
        let application = self.clients.authenticate(credentials, address).await?;
        if application.kind == ClientKind::Confidential {
            self.take(&application)?;
        }
        Ok(application)
    }

    /// Counts a request of a public application, before something is written for it.
    pub(super) fn admit_public(&self, application: &Application) -> Result<(), OAuthError> {
        if application.kind == ClientKind::Public { self.take(application) } else { Ok(()) }
    }

    fn take(&self, application: &Application) -> Result<(), OAuthError> {
        Ok(self.limits.take(application, self.clock.now())?)
    }

    /// The public keys of access tokens (RFC 7517).
    #[must_use]
    pub fn published_keys(&self) -> serde_json::Value {
        self.issuer.published_keys()
    }

    /// The tokens of a new grant: an access token, and a refresh token if the application may use it.
    pub(super) fn begin_grant(
        &self,
        application: &Application,
        subject: Subject,
        grant_id: GrantId,
        scope: Permissions,
        audience: GrantedAudience,
    ) -> Result<TokenResponse, OAuthError> {
        let issued_at = self.clock.now().truncated_to_seconds();
        let ends_at = self.grant_expiry(issued_at);
        let grant = AccessGrant { subject, grant_id, audience: audience.now, ends_at };
        let refresh_token = self.first_refresh_token(application, &grant, issued_at, scope, audience.whole)?;
        let (access_token, expires_in) = self.access_token(application, grant, scope)?;
        Ok(TokenResponse { access_token, expires_in, scope, refresh_token })
    }

    /// Signs an access token, which does not outlive its grant.
    pub(super) fn access_token(
        &self,
        application: &Application,
        grant: AccessGrant,
        scope: Permissions,
    ) -> Result<(AccessToken, u64), OAuthError> {
        let issued_at = self.clock.now().truncated_to_seconds();
        let expires_at = issued_at.plus(self.access_token_ttl(application)).min(grant.ends_at);
        let claims = AccessTokenClaims {
            issuer: self.policy.issuer.clone(),
            audience: self.policy.uris(grant.audience),
            subject: grant.subject,
            client_id: application.client_id.clone(),
            grant_id: grant.grant_id,
            token_id: TokenId::generate(&*self.entropy),
            scope,
            issued_at,
            expires_at,
        };
        Ok((self.issuer.issue_access_token(&claims)?, expires_at.since(issued_at).as_secs()))
    }

    fn first_refresh_token(
        &self,
        application: &Application,
        grant: &AccessGrant,
        issued_at: Timestamp,
        scope: Permissions,
        audience: Audience,
    ) -> Result<Option<RefreshToken>, OAuthError> {
        if !application.grants.contains(&GrantType::RefreshToken) {
            return Ok(None);
        }
        let claims = RefreshTokenClaims {
            issuer: self.policy.issuer.clone(),
            audience: self.policy.uris(audience),
            subject: grant.subject.clone(),
            client_id: application.client_id.clone(),
            grant_id: grant.grant_id,
            token_id: TokenId::generate(&*self.entropy),
            scope,
            issued_at,
            expires_at: self.refresh_expiry(application, issued_at, grant.ends_at),
            grant_expires_at: grant.ends_at,
        };
        Ok(Some(self.issuer.issue_refresh_token(&claims)?))
    }

    /// The lifetime of an access token of `application`.
    pub(super) fn access_token_ttl(&self, application: &Application) -> Duration {
        let ttl = application.access_token_ttl.map_or(self.policy.access_token_ttl, TokenLifetime::as_duration);
        ttl.min(LONGEST_ACCESS_TOKEN_LIFETIME)
    }

    /// When a grant that begins at `begun_at` ends, however often its refresh token is used.
    pub(super) fn grant_expiry(&self, begun_at: Timestamp) -> Timestamp {
        begun_at.plus(self.policy.grant_ttl.min(LONGEST_REFRESH_TOKEN_LIFETIME))
    }

    /// How long a used refresh token of `application` may be presented again.
    pub(super) fn retry_window(&self, application: &Application) -> Duration {
        match application.kind {
            ClientKind::Public => self.policy.public_retry_window,
            ClientKind::Confidential => self.policy.retry_window,
        }
    }

    /// When a refresh token that is issued at `issued_at` expires.
    pub(super) fn refresh_expiry(
        &self,
        application: &Application,
        issued_at: Timestamp,
        grant_expires_at: Timestamp,
    ) -> Timestamp {
        let ttl = application.refresh_token_ttl.map_or(self.policy.refresh_token_ttl, TokenLifetime::as_duration);
        issued_at.plus(ttl).min(grant_expires_at)
    }
}

impl From<InvalidTarget> for OAuthError {
    fn from(InvalidTarget: InvalidTarget) -> Self {
        Self::InvalidTarget
    }
}

impl From<IssueError> for OAuthError {
    fn from(error: IssueError) -> Self {
        Self::Internal(error.into())
    }
}

#[cfg(test)]
mod tests;

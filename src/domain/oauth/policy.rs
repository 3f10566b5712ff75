//! The token policy: for whom tokens are, and how long they live.

use std::time::Duration;

use super::audience::{Audience, InvalidTarget};
use crate::applications::{
    Application, ClientKind, LONGEST_ACCESS_TOKEN_LIFETIME, LONGEST_REFRESH_TOKEN_LIFETIME, Resource, TokenLifetime,
};
use crate::system::Timestamp;

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

    /// What a token of a grant for `granted` is for if `requested` is asked for.
    ///
    /// # Errors
    /// [`InvalidTarget`].
    pub fn narrow(&self, granted: Audience, requested: Option<Audience>) -> Result<Audience, InvalidTarget> {
        granted.narrowed_to(requested, &self.issuer, &self.audience)
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

    /// The lifetime of an access token of `application`.
    pub(super) fn access_token_ttl(&self, application: &Application) -> Duration {
        let ttl = application.access_token_ttl.map_or(self.access_token_ttl, TokenLifetime::as_duration);
        ttl.min(LONGEST_ACCESS_TOKEN_LIFETIME)
    }

    /// When a grant that begins at `begun_at` ends, however often its refresh token is used.
    pub(super) fn grant_expiry(&self, begun_at: Timestamp) -> Timestamp {
        begun_at.plus(self.grant_ttl.min(LONGEST_REFRESH_TOKEN_LIFETIME))
    }

    /// When a refresh token of `application` expires that is issued at `issued_at`.
    pub(super) fn refresh_expiry(
        &self,
        application: &Application,
        issued_at: Timestamp,
        grant_expires_at: Timestamp,
    ) -> Timestamp {
        let ttl = application.refresh_token_ttl.map_or(self.refresh_token_ttl, TokenLifetime::as_duration);
        issued_at.plus(ttl).min(grant_expires_at)
    }

    /// How long a used refresh token of `application` may be presented again.
    pub(super) fn retry_window(&self, application: &Application) -> Duration {
        match application.kind {
            ClientKind::Public => self.public_retry_window,
            ClientKind::Confidential => self.retry_window,
        }
    }
}

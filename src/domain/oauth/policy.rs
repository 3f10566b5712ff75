//! The token policy: for whom tokens are, and how long they live.

use std::time::Duration;

use super::audience::Resources;
use crate::applications::{
    Application, ClientKind, LONGEST_ACCESS_TOKEN_LIFETIME, LONGEST_REFRESH_TOKEN_LIFETIME, TokenLifetime,
};
use crate::system::Timestamp;

/// The token policy from the configuration.
#[derive(Clone, Debug)]
pub struct TokenPolicy {
    /// The issuer, and what tokens can be for.
    pub resources: Resources,
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

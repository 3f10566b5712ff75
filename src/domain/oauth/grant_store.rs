//! The state of grants: only what using or revoking tokens creates.

use async_trait::async_trait;

use crate::ids::{ApplicationId, GrantId, TokenId};
use crate::system::{StorageError, Timestamp};

/// One use of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumption {
    /// The token that is used.
    pub token_id: TokenId,
    /// Its grant.
    pub grant_id: GrantId,
    /// The ID that its successor will have.
    pub successor_id: TokenId,
    /// When it is used.
    pub at: Timestamp,
    /// How long the record must be kept: the expiry of the token.
    pub keep_until: Timestamp,
}

/// The outcome of a use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consumed {
    /// This is the first use: the successor is the one that was proposed.
    First,
    /// The token was used before.
    Before {
        /// The successor created by the first use.
        successor_id: TokenId,
        /// When the first use was.
        at: Timestamp,
        /// Whether the successor has been used as well.
        successor_used: bool,
    },
    /// The grant is revoked; nothing was written.
    GrantRevoked,
}

/// The subject of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// A grant with all its tokens.
    Grant(GrantId),
    /// One access token.
    Token(TokenId),
}

/// A revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// What is revoked.
    pub what: Revoked,
    /// When.
    pub at: Timestamp,
    /// How long the record must be kept: until everything that it concerns has expired.
    pub keep_until: Timestamp,
}

/// Stores uses and revocations. Every method is atomic, for concurrent callers on any number of machines.
#[async_trait]
pub trait GrantStore: Send + Sync {
    /// Records a use of a refresh token. Of any number of concurrent callers exactly one gets [`Consumed::First`], and
    /// none once a revocation of the grant has returned. The others learn what the first one recorded.
    ///
    /// # Errors
    /// [`StorageError`]. After [`StorageError::Unavailable`] the use may or may not be recorded; a retry of the caller finds
    /// out.
    async fn consume(&self, consumption: &Consumption) -> Result<Consumed, StorageError>;

    /// Whether a refresh token has been used by anybody so far.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn is_consumed(&self, token: TokenId) -> Result<bool, StorageError>;

    /// Records a revocation. Returns whether it is new; a duplicate changes nothing. It is visible on this instance at once,
    /// and within two seconds on others, whose clock skew must be below a minute.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn revoke(&self, revocation: &Revocation) -> Result<bool, StorageError>;

    /// As [`revoke`](Self::revoke), on behalf of an application that may have at most `most` records of revocations at a time:
    /// `None` if the limit is reached, and then nothing is recorded. The limit holds under concurrency too.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn revoke_within(
        &self,
        application: ApplicationId,
        most: u32,
        revocation: &Revocation,
    ) -> Result<Option<bool>, StorageError>;

    /// Whether the token or its grant is revoked. An adapter may answer from a cache that is at most one second old, and fails
    /// rather than use an older one.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn is_revoked(&self, grant: GrantId, token: TokenId) -> Result<bool, StorageError>;

    /// All revocations recorded at or after `since` that must still be kept at `now`.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn revocations_since(&self, since: Timestamp, now: Timestamp) -> Result<Vec<Revocation>, StorageError>;

    /// Deletes at most `limit` uses and `limit` revocations whose `keep_until` is before `now`. Returns how many.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError>;
}

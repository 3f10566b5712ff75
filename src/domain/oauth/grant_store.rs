//! The state of grants: only what is born when a token is used or revoked.

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
    /// The id that its successor is to have.
    pub successor_id: TokenId,
    /// When it is used.
    pub at: Timestamp,
    /// Until when this has to be remembered: the expiry of the token.
    pub keep_until: Timestamp,
}

/// What became of a use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consumed {
    /// This is the first use: the successor is the one that was proposed.
    First,
    /// The token was used before.
    Before {
        /// The successor that the first use got.
        successor_id: TokenId,
        /// When the first use was.
        at: Timestamp,
        /// Whether the successor has been used as well.
        successor_used: bool,
    },
    /// The grant is revoked; nothing was written.
    GrantRevoked,
}

/// What is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// A grant with every token of it.
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
    /// Until when this has to be remembered: then everything that it concerns has expired.
    pub keep_until: Timestamp,
}

/// Stores uses and revocations. Concurrent callers, on any number of machines, see each method happen entirely or not at
/// all.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait GrantStore: Send + Sync {
    /// Records a use of a refresh token. Of any number of concurrent callers exactly one gets [`Consumed::First`], and
    /// none once a revocation of the grant has returned. The others learn what the first one recorded.
    ///
    /// # Errors
    /// [`StorageError`]. After [`StorageError::Unavailable`] the use may or may not be recorded; the caller's retry finds
    /// out.
    async fn consume(&self, consumption: &Consumption) -> Result<Consumed, StorageError>;

    /// Whether a refresh token has been used, by anybody, up to this moment.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn is_consumed(&self, token: TokenId) -> Result<bool, StorageError>;

    /// Records a revocation. Returns whether it is new; one that is not changes nothing. This instance sees it at once,
    /// others, whose clocks may differ by a minute, within two seconds.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn revoke(&self, revocation: &Revocation) -> Result<bool, StorageError>;

    /// As [`revoke`](Self::revoke), in the name of an application that may have `most` revocations at a time that still have to
    /// be remembered: `None` if it has as many, and then nothing is recorded. However many callers come at once, it has no
    /// more.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn revoke_within(
        &self,
        application: ApplicationId,
        most: u32,
        revocation: &Revocation,
    ) -> Result<Option<bool>, StorageError>;

    /// Whether the token or its grant is revoked. An adapter may answer from a memory of at most one second, but fails
    /// rather than answer from an older one.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn is_revoked(&self, grant: GrantId, token: TokenId) -> Result<bool, StorageError>;

    /// All revocations that were recorded at `since` or later and have still to be remembered at `now`.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn revocations_since(&self, since: Timestamp, now: Timestamp) -> Result<Vec<Revocation>, StorageError>;

    /// Forgets at most `limit` uses and `limit` revocations whose `keep_until` is before `now`. Returns how many.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError>;
}

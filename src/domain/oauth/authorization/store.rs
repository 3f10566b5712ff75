//! The port that keeps authorizations.

use async_trait::async_trait;

use super::model::{Authorization, CodeDigest};
use crate::ids::{GrantId, UserId};
use crate::system::{StorageError, Timestamp};

/// The exchange of a code for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redemption {
    /// The authorization.
    pub grant_id: GrantId,
    /// When the code was exchanged.
    pub at: Timestamp,
    /// Until when the authorization has to be remembered from now on.
    pub keep_until: Timestamp,
}

/// Stores authorizations. Concurrent callers, on any number of machines, see each method happen entirely or not at all.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait AuthorizationStore: Send + Sync {
    /// Stores a new authorization.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn create(&self, authorization: &Authorization) -> Result<(), StorageError>;

    /// The authorization that a code stands for, whether or not it was exchanged or has expired.
    ///
    /// # Errors
    /// [`StorageError`]. A database that is away is never reported as `None`.
    async fn find_by_code(&self, code: &CodeDigest) -> Result<Option<Authorization>, StorageError>;

    /// Notes that the code of an authorization was exchanged. Of any number of concurrent callers exactly one gets
    /// `true`, and none once [`end`](Self::end) has returned.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn redeem(&self, redemption: &Redemption) -> Result<bool, StorageError>;

    /// Everything that a person has allowed, newest first, codes that were not exchanged included.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn of_person(&self, person: UserId) -> Result<Vec<Authorization>, StorageError>;

    /// Forgets an authorization. Returns whether there was one. Its tokens are revoked elsewhere, before.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn end(&self, grant: GrantId) -> Result<bool, StorageError>;

    /// Forgets at most `limit` authorizations whose `keep_until` is before `now`. Returns how many.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError>;
}

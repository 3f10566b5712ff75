//! The port that keeps authorizations.

use async_trait::async_trait;

use super::model::{Authorization, CodeDigest};
use crate::ids::{GrantId, UserId};
use crate::people::SignInVersion;
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

/// What became of a new authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// It is stored.
    Stored,
    /// The person or the application is gone, disabled, or (the person) has proven who it is under an earlier
    /// [`SignInVersion`]. Nothing was stored.
    Outdated,
    /// The person has [`Authorization::MAX_PER_CONNECTION`] authorizations of this application. Nothing was stored.
    TooMany,
}

/// What became of a redemption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redeemed {
    /// This was the first one.
    First,
    /// The code was exchanged before.
    Before,
    /// The authorization was ended, or its person or application is gone or disabled. Nothing was written.
    Refused,
}

/// Stores authorizations. Concurrent callers, on any number of machines, see each method happen entirely or not at all.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait AuthorizationStore: Send + Sync {
    /// Stores a new authorization if its application is there and enabled, and its person is there, enabled, and still has
    /// the version under which the proof was `verified`. Of a person who is disabled at the same time, either nothing is
    /// stored, or it is there when the disabling has returned. However many callers come at once, no person has more than
    /// [`Authorization::MAX_PER_CONNECTION`] of one application.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn create(&self, authorization: &Authorization, verified: SignInVersion) -> Result<Consent, StorageError>;

    /// The authorization that a code stands for, whether or not it was exchanged or has expired.
    ///
    /// # Errors
    /// [`StorageError`]. A database that is away is never reported as `None`.
    async fn find_by_code(&self, code: &CodeDigest) -> Result<Option<Authorization>, StorageError>;

    /// Notes that the code of an authorization was exchanged, if its person and its application are there and enabled. Of
    /// any number of concurrent callers exactly one gets [`Redeemed::First`], and none once [`delete`](Self::delete) has returned.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn redeem(&self, redemption: &Redemption) -> Result<Redeemed, StorageError>;

    /// Everything that a person has allowed, newest first, codes that were not exchanged included.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn list_by_person(&self, person: UserId) -> Result<Vec<Authorization>, StorageError>;

    /// Forgets an authorization. Returns whether there was one. Its tokens are revoked elsewhere, before.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn delete(&self, grant: GrantId) -> Result<bool, StorageError>;

    /// Forgets at most `limit` authorizations whose `keep_until` is before `now`. Returns how many.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError>;
}

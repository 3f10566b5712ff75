//! The port that stores authorizations.

use async_trait::async_trait;

use super::model::{Authorization, CodeDigest};
#[cfg(doc)]
use crate::applications::RegisteredBy;
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
    /// How long the authorization must be kept from now on.
    pub keep_until: Timestamp,
}

/// The outcome of storing an authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// It is stored.
    Stored,
    /// The person or the application is deleted or disabled, or (the person) was verified under an earlier
    /// [`SignInVersion`]. Nothing was stored.
    Outdated,
    /// The person has [`Authorization::MAX_PER_CONNECTION`] authorizations of this application. Nothing was stored.
    TooMany,
}

/// The outcome of a redemption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redeemed {
    /// This was the first one.
    First,
    /// The code was exchanged before.
    Before,
    /// The authorization was ended, or its person or application is deleted or disabled. Nothing was written.
    Refused,
}

/// Stores authorizations. Every method is atomic, for concurrent callers on any number of machines.
#[async_trait]
pub trait AuthorizationStore: Send + Sync {
    /// Stores a new authorization if its application exists and is enabled, and its person exists, is enabled, and still has
    /// the version that was `verified`. If the person is disabled concurrently, either nothing is stored, or it is visible once
    /// the disabling has returned. Even with concurrent callers, no person has more than
    /// [`Authorization::MAX_PER_CONNECTION`] of one application.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn create(&self, authorization: &Authorization, verified: SignInVersion) -> Result<Consent, StorageError>;

    /// The authorization of a code, whether or not the code was exchanged or has expired.
    ///
    /// # Errors
    /// [`StorageError`]. An unavailable database is never reported as `None`.
    async fn find_by_code(&self, code: &CodeDigest) -> Result<Option<Authorization>, StorageError>;

    /// Records that the code of an authorization was exchanged, if its person and its application exist and are enabled. Of
    /// any number of concurrent callers exactly one gets [`Redeemed::First`], and none once [`delete`](Self::delete) has
    /// returned.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn redeem(&self, redemption: &Redemption) -> Result<Redeemed, StorageError>;

    /// All authorizations of a person, newest first, including those whose code was not exchanged.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn list_by_person(&self, person: UserId) -> Result<Vec<Authorization>, StorageError>;

    /// Deletes an authorization. Returns whether it existed. Its tokens must be revoked before.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn delete(&self, grant: GrantId) -> Result<bool, StorageError>;

    /// Deletes at most `limit` applications that came by themselves ([`RegisteredBy::is_unverified`]), are enabled, were last changed before
    /// `before`, and have no authorization. None of them has one afterwards, even with concurrent callers. Returns how many.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn sweep_unused_applications(&self, before: Timestamp, limit: u32) -> Result<u64, StorageError>;

    /// Deletes at most `limit` authorizations whose `keep_until` is before `now`. Returns how many.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError>;
}

//! The port that stores authorizations.

use std::time::Duration;

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

/// How long an application that came by itself is kept while nobody has authorized it.
pub const UNUSED_APPLICATION: Duration = Duration::from_hours(1);

/// Deletes at most `limit` authorizations that have expired at `now`, and then as many applications that came by themselves and
/// that nobody uses any more. Returns how many of both.
///
/// # Errors
/// [`StorageError`]; some may be deleted.
pub async fn sweep_authorizations(
    store: &dyn AuthorizationStore,
    now: Timestamp,
    limit: u32,
) -> Result<u64, StorageError> {
    let authorizations = store.sweep(now, limit).await?;
    Ok(authorizations + store.sweep_unused_applications(now.minus(UNUSED_APPLICATION), limit).await?)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::applications::{Application, ApplicationRepository as _, RegisteredBy};
    use crate::testing::{
        InMemoryApplicationRepository, InMemoryAuthorizationStore, InMemoryPersonRepository, application,
        authorization, now, person,
    };

    #[tokio::test]
    async fn an_application_that_came_by_itself_goes_after_an_hour_or_with_its_last_authorization() {
        let person = person();
        let came = || Application { registered_by: RegisteredBy::Itself, updated_at: now(), ..application() };
        let (used, unused) = (came(), came());
        let people = Arc::new(InMemoryPersonRepository::holding([person.clone()]));
        let applications = Arc::new(InMemoryApplicationRepository::holding([used.clone(), unused.clone()]));
        let store = InMemoryAuthorizationStore::of(people, applications.clone());
        let after = |hours, millis| now().plus(UNUSED_APPLICATION * hours + Duration::from_millis(millis));
        let (consent, _) = authorization(&used, person.id);
        let consent = Authorization { keep_until: after(3, 0), ..consent };
        assert_eq!(store.create(&consent, person.sign_in_version).await.unwrap(), Consent::Stored);
        for (at, swept) in [(after(1, 0), 0), (after(1, 1), 1), (after(3, 0), 0), (after(3, 1), 2)] {
            assert_eq!(sweep_authorizations(&store, at, 10).await.unwrap(), swept, "at {at}");
        }
        for application in [used, unused] {
            assert_eq!(applications.find(application.id).await.unwrap(), None);
        }
    }
}

//! Access without a token, for a process on the operator's machine.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{AnyToken, Authorized, Caller};
use crate::applications::ApplicationRepository;
use crate::ids::{ApplicationId, TokenId};
use crate::limits::{RateLimited, RateLimits};
use crate::oauth::Subject;
use crate::people::PersonRepository;
use crate::system::{Clock, Entropy, StorageError};

/// Why a call is rejected.
#[derive(Debug, thiserror::Error)]
pub enum LocalAccessError {
    /// The application does not exist, or is disabled.
    #[error("the application {0} does not exist or is disabled; `memgate app list` shows the applications")]
    NoApplication(ApplicationId),
    /// The person does not exist, or is disabled.
    #[error("the user does not exist or is disabled; `memgate user list` shows the users")]
    NoPerson,
    /// The application exceeded its rate limit.
    #[error(transparent)]
    RateLimited(#[from] RateLimited),
    /// The check is not possible at the moment.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The gate of a process whose user can read the database anyway, so that a token would prove nothing. Everything else is
/// checked for each call: that the application and the person are still enabled, the application's permissions, and its rate
/// limit.
#[derive(Clone)]
pub struct LocalAccess {
    applications: Arc<dyn ApplicationRepository>,
    people: Arc<dyn PersonRepository>,
    limits: RateLimits,
    clock: Arc<dyn Clock>,
    application: ApplicationId,
    subject: Subject,
    id: TokenId,
}

impl LocalAccess {
    /// Access for `application`, on behalf of `subject`.
    pub fn new(
        applications: Arc<dyn ApplicationRepository>,
        people: Arc<dyn PersonRepository>,
        limits: RateLimits,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
        application: ApplicationId,
        subject: Subject,
    ) -> Self {
        Self { applications, people, limits, clock, application, subject, id: TokenId::generate(entropy) }
    }

    /// Admits one call.
    ///
    /// # Errors
    /// [`LocalAccessError`].
    pub async fn admit(&self) -> Result<Authorized<AnyToken>, LocalAccessError> {
        let application = self.applications.find(self.application).await?;
        let application = application
            .filter(|application| application.enabled)
            .ok_or(LocalAccessError::NoApplication(self.application))?;
        if let Subject::Person(person) = self.subject
            && !self.people.is_enabled(person).await?
        {
            return Err(LocalAccessError::NoPerson);
        }
        let now = self.clock.now();
        self.limits.take(&application, self.subject.person(), now)?;
        let caller = Caller {
            permissions: application.permissions,
            subject: self.subject.clone(),
            token_id: self.id,
            expires_at: now,
            application,
        };
        Ok(Authorized { caller, need: PhantomData })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applications::{ApplicationChanges, Permission};
    use crate::ids::UserId;
    use crate::oauth::harness::Harness;
    use crate::oauth::{Read, Write};
    use crate::testing::{SeededEntropy, unique};

    fn access(harness: &Harness, subject: Subject) -> LocalAccess {
        LocalAccess::new(
            harness.applications.clone(),
            harness.people.clone(),
            harness.limits.clone(),
            Arc::new(harness.clock.clone()),
            &SeededEntropy::new(7),
            harness.application.id,
            subject,
        )
    }

    #[tokio::test]
    async fn each_call_is_checked_against_what_is_stored_now() {
        let harness = Harness::new();
        let access = access(&harness, Subject::Application);
        let admitted = access.admit().await.unwrap();
        assert_eq!(*admitted.application, harness.application);
        assert_eq!(admitted.permissions, harness.application.permissions);

        let permissions = Some([Permission::MemoryRead].into_iter().collect());
        harness.change(ApplicationChanges { permissions, ..ApplicationChanges::default() }).await;
        let admitted = access.admit().await.unwrap();
        assert!(admitted.also::<Read>().is_ok());
        assert!(admitted.also::<Write>().is_err(), "the application has lost it");

        harness.change(ApplicationChanges { enabled: Some(false), ..ApplicationChanges::default() }).await;
        let refused = access.admit().await;
        assert!(matches!(refused, Err(LocalAccessError::NoApplication(id)) if id == harness.application.id));
    }

    #[tokio::test]
    async fn a_person_must_be_enabled() {
        let harness = Harness::new();
        let person = access(&harness, Subject::Person(harness.person.id));
        assert_eq!(person.admit().await.unwrap().subject, Subject::Person(harness.person.id));
        let stranger = access(&harness, Subject::Person(UserId::from_uuid(unique())));
        assert!(matches!(stranger.admit().await, Err(LocalAccessError::NoPerson)));
    }

    #[tokio::test]
    async fn the_rate_limit_counts() {
        let harness = Harness::limited_to(1, |_| {});
        let access = access(&harness, Subject::Application);
        access.admit().await.unwrap();
        assert!(matches!(access.admit().await, Err(LocalAccessError::RateLimited(_))));
    }
}

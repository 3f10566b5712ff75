//! What is cached, for how long, and what is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use memgate::adapters::cache::{CachedApplicationRepository, CachedGrantStore};
use memgate::domain::applications::{
    Application, ApplicationChanges, ApplicationRepository, ChangeApplicationError, CreateApplicationError,
    RegisteredBy, SecretHash, StoredSecret,
};
use memgate::domain::ids::{ApplicationId, ClientId, GrantId, SecretId, TokenId};
use memgate::domain::oauth::{GrantStore, Revocation, Revoked};
use memgate::domain::system::{Clock, StorageError, Timestamp};
use memgate_domain::testing::{
    FixedClock, InMemoryApplicationRepository, InMemoryGrantStore, application, application_with_secret, now,
    stored_secret, unique,
};
use memgate_test_kit::deadline::happens;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(1);

/// Counts the questions about client ids, and keeps them waiting while it is told to.
#[derive(Default)]
struct Watched {
    inner: InMemoryApplicationRepository,
    questions: AtomicUsize,
    begun: Semaphore0,
    door: tokio::sync::RwLock<()>,
}

/// A semaphore that begins with nothing.
struct Semaphore0(Semaphore);

impl Default for Semaphore0 {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

impl Watched {
    fn questions(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }

    /// Waits until another question has come in.
    async fn next_question(&self) {
        happens(self.begun.0.acquire()).await.unwrap().forget();
    }
}

#[async_trait]
impl ApplicationRepository for Watched {
    async fn create(&self, application: &Application) -> Result<(), CreateApplicationError> {
        self.inner.create(application).await
    }

    async fn find(&self, id: ApplicationId) -> Result<Option<Arc<Application>>, StorageError> {
        self.inner.find(id).await
    }

    async fn find_by_client_id(&self, client_id: &ClientId) -> Result<Option<Arc<Application>>, StorageError> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        // The answer is of the moment of the question, however late it comes.
        let answer = self.inner.find_by_client_id(client_id).await;
        self.begun.0.add_permits(1);
        let _open = self.door.read().await;
        answer
    }

    async fn list(&self, after: Option<ApplicationId>, limit: u32) -> Result<Vec<Arc<Application>>, StorageError> {
        self.inner.list(after, limit).await
    }

    async fn count_registered_by(&self, by: RegisteredBy) -> Result<u64, StorageError> {
        self.inner.count_registered_by(by).await
    }

    async fn update(
        &self,
        id: ApplicationId,
        changes: &ApplicationChanges,
        now: Timestamp,
    ) -> Result<Arc<Application>, ChangeApplicationError> {
        self.inner.update(id, changes, now).await
    }

    async fn delete(&self, id: ApplicationId) -> Result<bool, StorageError> {
        self.inner.delete(id).await
    }

    async fn add_secret(
        &self,
        id: ApplicationId,
        secret: &StoredSecret,
        now: Timestamp,
    ) -> Result<(), ChangeApplicationError> {
        self.inner.add_secret(id, secret, now).await
    }

    async fn replace_secrets(
        &self,
        id: ApplicationId,
        secret: &StoredSecret,
        now: Timestamp,
    ) -> Result<usize, ChangeApplicationError> {
        self.inner.replace_secrets(id, secret, now).await
    }

    async fn revoke_tokens(&self, id: ApplicationId, at: Timestamp) -> Result<(), StorageError> {
        self.inner.revoke_tokens(id, at).await
    }

    async fn remove_secret(&self, id: ApplicationId, secret: SecretId, now: Timestamp) -> Result<bool, StorageError> {
        self.inner.remove_secret(id, secret, now).await
    }

    async fn record_secret_use(&self, id: ApplicationId, secret: SecretId, at: Timestamp) {
        self.inner.record_secret_use(id, secret, at).await;
    }

    async fn renew_secret_hash(&self, id: ApplicationId, stored: &StoredSecret, renewed: &SecretHash) {
        self.inner.renew_secret_hash(id, stored, renewed).await;
    }
}

fn disabled() -> ApplicationChanges {
    ApplicationChanges { enabled: Some(false), ..ApplicationChanges::default() }
}

/// A cache in front of a repository that holds one application.
async fn cache_of(application: &Application) -> (Arc<Watched>, FixedClock, Arc<CachedApplicationRepository>) {
    let (stored, clock) = (Arc::new(Watched::default()), FixedClock::default());
    stored.create(application).await.unwrap();
    let cached = Arc::new(CachedApplicationRepository::new(stored.clone(), Arc::new(clock.clone())));
    (stored, clock, cached)
}

#[tokio::test]
async fn an_application_is_cached_for_one_second_and_no_longer() {
    let application = application();
    let (stored, clock, cached) = cache_of(&application).await;
    let enabled = async || cached.find_by_client_id(&application.client_id).await.unwrap().unwrap().enabled;
    assert!(enabled().await);
    stored.update(application.id, &disabled(), now()).await.unwrap();
    clock.advance(SECOND);
    assert!(enabled().await);
    assert_eq!(stored.questions(), 1);
    clock.advance(MOMENT);
    assert!(!enabled().await);
    assert_eq!(stored.questions(), 2);
}

#[tokio::test]
async fn a_clock_that_jumps_back_makes_nothing_immortal() {
    let application = application();
    let (stored, clock, cached) = cache_of(&application).await;
    let enabled = async || cached.find_by_client_id(&application.client_id).await.unwrap().unwrap().enabled;
    assert!(enabled().await);
    stored.update(application.id, &disabled(), now()).await.unwrap();
    clock.jump_back(Duration::from_hours(1));
    assert!(!enabled().await);

    // The clock comes by the hour of the entry again.
    let other = Application { client_id: "other".parse().unwrap(), ..memgate_domain::testing::application() };
    cached.create(&other).await.unwrap();
    let other_enabled = async || cached.find_by_client_id(&other.client_id).await.unwrap().unwrap().enabled;
    assert!(other_enabled().await);
    clock.jump_back(Duration::from_hours(1));
    assert!(!enabled().await, "somebody looks at the clock");
    stored.update(other.id, &disabled(), now()).await.unwrap();
    clock.advance(Duration::from_hours(1));
    assert!(!other_enabled().await);
}

#[tokio::test]
async fn a_change_through_the_cache_acts_at_once() {
    let (application, _) = application_with_secret();
    let (_, _, cached) = cache_of(&application).await;
    let id = application.id;
    let look = async || cached.find_by_client_id(&application.client_id).await.unwrap();
    assert!(look().await.unwrap().enabled);
    cached.update(id, &disabled(), now()).await.unwrap();
    assert!(!look().await.unwrap().enabled);
    let (second, _) = stored_secret();
    cached.add_secret(id, &second, now()).await.unwrap();
    assert_eq!(look().await.unwrap().secrets.len(), 2);
    assert!(cached.remove_secret(id, second.id, now()).await.unwrap());
    assert_eq!(look().await.unwrap().secrets.len(), 1);
    assert!(cached.delete(id).await.unwrap());
    assert_eq!(look().await, None);
    cached.create(&application).await.unwrap();
    assert_eq!(*look().await.unwrap(), application, "that a client is unknown is cached, until it is registered");
}

#[tokio::test]
async fn what_was_asked_before_a_change_and_answered_after_it_is_not_cached() {
    let application = application();
    let (stored, _, cached) = cache_of(&application).await;
    let closed = stored.door.write().await;
    let asking = tokio::spawn({
        let (cached, client_id) = (cached.clone(), application.client_id.clone());
        async move { cached.find_by_client_id(&client_id).await.unwrap().unwrap().enabled }
    });
    stored.next_question().await;
    cached.update(application.id, &disabled(), now()).await.unwrap();
    drop(closed);
    assert!(asking.await.unwrap(), "who asked before the change may hear of before");
    assert!(!cached.find_by_client_id(&application.client_id).await.unwrap().unwrap().enabled);
}

#[tokio::test]
async fn concurrent_questions_about_one_client_are_one_question_to_the_database() {
    let application = application();
    let (stored, _, cached) = cache_of(&application).await;
    let closed = stored.door.write().await;
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let (cached, client_id) = (cached.clone(), application.client_id.clone());
        callers.spawn(async move { cached.find_by_client_id(&client_id).await.unwrap().unwrap() });
    }
    stored.next_question().await;
    drop(closed);
    for found in callers.join_all().await {
        assert_eq!(*found, application);
    }
    assert_eq!(stored.questions(), 1);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_its_question_to_the_next() {
    let application = application();
    let (stored, _, cached) = cache_of(&application).await;
    let closed = stored.door.write().await;
    let first = tokio::spawn({
        let (cached, client_id) = (cached.clone(), application.client_id.clone());
        async move { cached.find_by_client_id(&client_id).await.map(drop) }
    });
    stored.next_question().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    drop(closed);
    assert_eq!(*cached.find_by_client_id(&application.client_id).await.unwrap().unwrap(), application);
}

#[tokio::test]
async fn callers_who_wait_for_one_question_share_its_failure() {
    let application = application();
    let (stored, _, cached) = cache_of(&application).await;
    stored.inner.outage().begin();
    let closed = stored.door.write().await;
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let (cached, client_id) = (cached.clone(), application.client_id.clone());
        callers.spawn(async move { cached.find_by_client_id(&client_id).await });
    }
    stored.next_question().await;
    // On this one thread all callers have asked by the time that the first question is seen again.
    tokio::task::yield_now().await;
    drop(closed);
    for answer in callers.join_all().await {
        assert!(matches!(answer, Err(StorageError::Unavailable(_))), "{answer:?}");
    }
    assert_eq!(stored.questions(), 1);
    stored.inner.outage().end();
    assert!(cached.find_by_client_id(&application.client_id).await.unwrap().is_some(), "a failure is not cached");
}

fn ids() -> (GrantId, TokenId) {
    (GrantId::from_uuid(unique()), TokenId::from_uuid(unique()))
}

fn revocation(grant: GrantId, at: Timestamp) -> Revocation {
    Revocation { what: Revoked::Grant(grant), at, keep_until: now().plus(Duration::from_hours(100)) }
}

/// Two instances with one store.
fn instances() -> (Arc<InMemoryGrantStore>, FixedClock, CachedGrantStore, CachedGrantStore) {
    let (stored, clock) = (Arc::new(InMemoryGrantStore::default()), FixedClock::default());
    let instance = || CachedGrantStore::new(stored.clone(), Arc::new(clock.clone()));
    let (here, there) = (instance(), instance());
    (stored, clock, here, there)
}

#[tokio::test]
async fn a_revocation_acts_at_once_here_and_after_a_second_there() {
    let (_, clock, here, there) = instances();
    let (grant, token) = ids();
    for instance in [&here, &there] {
        assert!(!instance.is_revoked(grant, token).await.unwrap());
    }
    assert!(here.revoke(&revocation(grant, clock.now())).await.unwrap());
    assert!(here.is_revoked(grant, token).await.unwrap());
    clock.advance(SECOND);
    assert!(!there.is_revoked(grant, token).await.unwrap(), "what is cached is young enough");
    clock.advance(MOMENT);
    assert!(there.is_revoked(grant, token).await.unwrap());
}

#[tokio::test]
async fn a_revocation_is_seen_that_was_committed_late_or_by_a_slow_clock() {
    let (stored, clock, here, _) = instances();
    let (grant, token) = ids();
    assert!(!here.is_revoked(grant, token).await.unwrap());
    stored.revoke(&revocation(grant, clock.now().minus(Duration::from_secs(59)))).await.unwrap();
    clock.advance(SECOND + MOMENT);
    assert!(here.is_revoked(grant, token).await.unwrap());
}

#[tokio::test]
async fn an_outdated_cache_is_an_error_while_the_database_is_unavailable_unless_the_token_is_revoked() {
    let (stored, clock, here, _) = instances();
    let ((alive, token), (dead, _)) = (ids(), ids());
    here.revoke(&revocation(dead, clock.now())).await.unwrap();
    assert!(!here.is_revoked(alive, token).await.unwrap());
    stored.outage().begin();
    assert!(!here.is_revoked(alive, token).await.unwrap(), "what is cached is young enough");
    clock.advance(SECOND + MOMENT);
    let answer = here.is_revoked(alive, token).await;
    assert!(matches!(answer, Err(StorageError::Unavailable(_))), "{answer:?}");
    assert!(here.is_revoked(dead, token).await.unwrap(), "nothing brings it back");
    stored.outage().end();
    assert!(!here.is_revoked(alive, token).await.unwrap());
}

#[tokio::test]
async fn after_the_clock_jumped_back_everything_is_read_again() {
    let (stored, clock, here, _) = instances();
    let (grant, token) = ids();
    assert!(!here.is_revoked(grant, token).await.unwrap());
    clock.jump_back(Duration::from_hours(10));
    stored.revoke(&revocation(grant, clock.now())).await.unwrap();
    assert!(here.is_revoked(grant, token).await.unwrap());
}

#[tokio::test]
async fn what_need_not_be_cached_any_more_is_evicted() {
    let (_, clock, here, _) = instances();
    let (grant, token) = ids();
    here.revoke(&revocation(grant, clock.now())).await.unwrap();
    clock.advance(Duration::from_hours(100));
    assert!(!here.is_revoked(ids().0, token).await.unwrap());
    assert!(here.is_revoked(grant, token).await.unwrap(), "until its last moment");
    clock.advance(Duration::from_mins(1) + MOMENT);
    assert!(!here.is_revoked(ids().0, token).await.unwrap());
    assert!(!here.is_revoked(grant, token).await.unwrap());
}

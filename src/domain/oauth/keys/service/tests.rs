use super::*;
use crate::system::Timestamp;
use crate::testing::{
    FakeKeyVault, FixedClock, InMemoryAuditLog, InMemorySigningKeyStore, SeededEntropy, now, signing_key,
};

const ROTATE_AFTER: Duration = Duration::from_hours(90 * 24);
const PUBLISH_BEFORE: Duration = Duration::from_hours(2);

struct Harness {
    clock: FixedClock,
    store: Arc<InMemorySigningKeyStore>,
    audit: Arc<InMemoryAuditLog>,
    service: KeyService,
}

fn master(seed: u64) -> MasterKey {
    MasterKey::generate(&SeededEntropy::new(seed))
}

impl Harness {
    fn new() -> Self {
        Self::holding([])
    }

    fn holding(keys: impl IntoIterator<Item = SigningKey>) -> Self {
        let clock = FixedClock::default();
        let store = Arc::new(InMemorySigningKeyStore::holding(keys));
        let audit = Arc::new(InMemoryAuditLog::default());
        let service = service(&store, &audit, &clock, KeyAlgorithm::EdDsa);
        Self { clock, store, audit, service }
    }

    async fn states(&self, purpose: KeyPurpose) -> Vec<(u32, KeyState)> {
        let keys = self.service.list().await.unwrap();
        keys.iter().filter(|(key, _)| key.purpose == purpose).map(|(key, state)| (key.generation, *state)).collect()
    }

    async fn access_states(&self) -> Vec<(u32, KeyState)> {
        self.states(KeyPurpose::AccessToken).await
    }

    async fn access_key(&self, generation: u32) -> SigningKey {
        let keys = self.store.list().await.unwrap();
        keys.into_iter()
            .find(|key| key.purpose == KeyPurpose::AccessToken && key.generation == generation)
            .expect("a key of that generation")
    }
}

fn service(
    store: &Arc<InMemorySigningKeyStore>,
    audit: &Arc<InMemoryAuditLog>,
    clock: &FixedClock,
    access_token_algorithm: KeyAlgorithm,
) -> KeyService {
    let policy = KeyPolicy { access_token_algorithm, rotate_after: ROTATE_AFTER, publish_before: PUBLISH_BEFORE };
    let vault = Arc::new(FakeKeyVault::new(master(1)));
    KeyService::new(store.clone(), vault, audit.clone(), Arc::new(clock.clone()), policy)
}

/// Keys become active at whole seconds, since tokens are issued in whole seconds.
fn second(at: Timestamp) -> Timestamp {
    at.truncated_to_seconds()
}

#[tokio::test]
async fn the_first_keys_sign_at_once() {
    let harness = Harness::new();
    let keys = harness.service.maintain().await.unwrap();
    let made: Vec<_> = keys.iter().map(|key| (key.purpose, key.algorithm, key.generation)).collect();
    let [access, refresh] = KeyPurpose::ALL;
    assert_eq!(made, [(access, KeyAlgorithm::EdDsa, 1), (refresh, KeyAlgorithm::Hs256, 1)]);
    for key in &keys {
        assert_eq!((key.created_at, key.activates_at, key.retired_at), (now(), second(now()), None));
        assert_eq!(key.sealed, FakeKeyVault::sealed_with(&master(1), &key.id));
    }
    let states: Vec<KeyState> = harness.service.list().await.unwrap().into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, [KeyState::Signing, KeyState::Signing]);
    assert_eq!(harness.audit.kinds(), [AuditKind::SigningKeyCreated; 2]);
}

#[tokio::test]
async fn maintaining_again_changes_nothing_until_a_key_is_due() {
    let harness = Harness::new();
    let first = harness.service.maintain().await.unwrap();
    for _ in 0..3 {
        assert_eq!(harness.service.maintain().await.unwrap(), first);
    }
    let due = second(now()).plus(ROTATE_AFTER).minus(PUBLISH_BEFORE);
    harness.clock.set(due.minus(Duration::from_millis(1)));
    assert_eq!(harness.service.maintain().await.unwrap(), first);
    harness.clock.set(due);
    assert_eq!(harness.service.maintain().await.unwrap().len(), 4);
    assert_eq!(harness.service.maintain().await.unwrap().len(), 4, "and only once");
}

#[tokio::test]
async fn a_new_key_is_published_before_it_signs_and_the_old_one_is_kept_until_its_last_token_has_expired() {
    let harness = Harness::new();
    harness.service.maintain().await.unwrap();
    harness.clock.set(second(now()).plus(ROTATE_AFTER).minus(PUBLISH_BEFORE));
    harness.service.maintain().await.unwrap();
    assert_eq!(harness.access_states().await, [(1, KeyState::Signing), (2, KeyState::Published)]);
    let activation = harness.access_key(2).await.activates_at;
    assert_eq!(activation, second(now()).plus(ROTATE_AFTER));
    harness.clock.set(activation);
    assert_eq!(harness.access_states().await, [(1, KeyState::Verifying), (2, KeyState::Signing)]);
    harness.clock.set(activation.plus(Duration::from_hours(24)).minus(Duration::from_millis(1)));
    harness.service.maintain().await.unwrap();
    assert_eq!(harness.access_states().await, [(1, KeyState::Verifying), (2, KeyState::Signing)]);
    harness.clock.advance(Duration::from_millis(1));
    harness.service.maintain().await.unwrap();
    assert_eq!(harness.access_states().await, [(2, KeyState::Signing)], "it was deleted");
    let refresh = harness.states(KeyPurpose::RefreshToken).await;
    assert_eq!(refresh, [(1, KeyState::Verifying), (2, KeyState::Signing)], "refresh tokens live longer");
}

#[tokio::test]
async fn another_algorithm_in_the_configuration_brings_a_new_key() {
    let harness = Harness::new();
    harness.service.maintain().await.unwrap();
    for (count, algorithm) in [(1, KeyAlgorithm::Es256), (2, KeyAlgorithm::Rs256), (3, KeyAlgorithm::EdDsa)] {
        let other = service(&harness.store, &harness.audit, &harness.clock, algorithm);
        other.maintain().await.unwrap();
        assert_eq!(other.maintain().await.unwrap().len(), 2 + count, "once, and for access tokens only");
        let key = harness.access_key(u32::try_from(count).unwrap() + 1).await;
        assert_eq!((key.algorithm, key.activates_at), (algorithm, second(now().plus(PUBLISH_BEFORE))));
    }
}

#[tokio::test]
async fn instances_that_maintain_at_the_same_time_make_one_key_of_each_kind() {
    let harness = Harness::new();
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let service = service(&harness.store, &harness.audit, &harness.clock, KeyAlgorithm::EdDsa);
            tokio::spawn(async move { service.maintain().await.unwrap() })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().len(), 2);
    }
    assert_eq!(harness.audit.kinds(), [AuditKind::SigningKeyCreated; 2]);
}

#[tokio::test]
async fn an_operator_rotates_with_notice_or_at_once() {
    let harness = Harness::new();
    harness.service.maintain().await.unwrap();
    let made = harness.service.rotate(false).await.unwrap();
    let kinds: Vec<_> = made.iter().map(|key| (key.purpose, key.generation, key.activates_at)).collect();
    let announced = second(now().plus(PUBLISH_BEFORE));
    assert_eq!(kinds, KeyPurpose::ALL.map(|purpose| (purpose, 2, announced)));
    assert_eq!(harness.access_states().await, [(1, KeyState::Signing), (2, KeyState::Published)]);
    let made = harness.service.rotate(true).await.unwrap();
    assert!(made.iter().all(|key| key.generation == 3 && key.activates_at == second(now())));
    assert_eq!(
        harness.access_states().await,
        [(1, KeyState::Verifying), (2, KeyState::Published), (3, KeyState::Signing)]
    );
    assert_eq!(harness.audit.kinds(), [AuditKind::SigningKeyCreated; 6]);
}

#[tokio::test]
async fn rotating_without_any_key_makes_the_first() {
    let harness = Harness::new();
    assert!(harness.service.rotate(true).await.unwrap().iter().all(|key| key.generation == 1));
}

#[tokio::test]
async fn the_only_key_that_signs_cannot_be_retired() {
    let harness = Harness::new();
    harness.service.maintain().await.unwrap();
    let only = harness.access_key(1).await;
    assert!(matches!(harness.service.retire(&only.id).await, Err(KeyError::StillNeeded)));
    harness.service.rotate(false).await.unwrap();
    assert!(matches!(harness.service.retire(&only.id).await, Err(KeyError::StillNeeded)), "the next one is not active");
    harness.service.rotate(true).await.unwrap();
    harness.service.retire(&only.id).await.unwrap();
    assert_eq!(harness.access_key(1).await.retired_at, Some(now()));
    assert_eq!(harness.audit.kinds().last(), Some(&AuditKind::SigningKeyRetired));
    assert!(matches!(harness.service.retire(&only.id).await, Err(KeyError::NotFound)), "it is retired already");
}

#[tokio::test]
async fn the_newest_key_can_be_retired_while_an_older_one_can_take_its_place() {
    let harness = Harness::new();
    harness.service.maintain().await.unwrap();
    harness.service.rotate(true).await.unwrap();
    let newest = harness.access_key(2).await;
    harness.service.retire(&newest.id).await.unwrap();
    assert_eq!(harness.access_states().await, [(1, KeyState::Signing), (2, KeyState::Retired)]);
    let oldest = harness.access_key(1).await;
    assert!(matches!(harness.service.retire(&oldest.id).await, Err(KeyError::StillNeeded)));
    harness.service.maintain().await.unwrap();
    assert_eq!(
        harness.access_states().await,
        [(1, KeyState::Verifying), (2, KeyState::Retired), (3, KeyState::Signing)],
        "a retired newest key is followed at once"
    );
}

#[tokio::test]
async fn neither_a_key_of_the_other_purpose_nor_an_expired_one_can_take_the_place() {
    let long_ago = now().minus(Duration::from_hours(100 * 24));
    let expired = SigningKey { activates_at: long_ago, ..signing_key(KeyPurpose::AccessToken, 1) };
    let signing =
        SigningKey { activates_at: now().minus(Duration::from_hours(25)), ..signing_key(KeyPurpose::AccessToken, 2) };
    let other = signing_key(KeyPurpose::RefreshToken, 1);
    let id = signing.id.clone();
    let harness = Harness::holding([expired, signing, other]);
    assert!(matches!(harness.service.retire(&id).await, Err(KeyError::StillNeeded)));
}

#[tokio::test]
async fn a_key_that_does_not_sign_can_be_retired() {
    let harness = Harness::new();
    harness.service.maintain().await.unwrap();
    harness.service.rotate(false).await.unwrap();
    harness.service.retire(&harness.access_key(2).await.id).await.unwrap();
    assert_eq!(harness.access_states().await, [(1, KeyState::Signing), (2, KeyState::Retired)]);
    assert!(matches!(harness.service.retire(&"unknown".parse().unwrap()).await, Err(KeyError::NotFound)));
}

#[tokio::test]
async fn retired_keys_are_kept_so_that_their_generation_is_not_used_again() {
    let harness = Harness::new();
    harness.service.maintain().await.unwrap();
    harness.service.rotate(true).await.unwrap();
    harness.service.retire(&harness.access_key(2).await.id).await.unwrap();
    harness.clock.advance(Duration::from_hours(500 * 24));
    harness.service.maintain().await.unwrap();
    assert!(harness.access_states().await.contains(&(2, KeyState::Retired)));
}

#[tokio::test]
async fn rewrapping_seals_every_key_for_the_new_master_key() {
    let harness = Harness::new();
    harness.service.maintain().await.unwrap();
    assert_eq!(harness.service.rewrap(&master(2)).await.unwrap(), 2);
    for key in harness.store.list().await.unwrap() {
        assert_eq!(key.sealed, FakeKeyVault::sealed_with(&master(2), &key.id));
    }
    assert_eq!(harness.audit.kinds().last(), Some(&AuditKind::SigningKeysRewrapped));
    let refused = harness.service.rewrap(&master(3)).await;
    assert!(matches!(refused, Err(KeyError::Vault(VaultError::WrongMasterKey(_)))), "{refused:?}");
    assert_eq!(harness.audit.kinds().len(), 3, "what failed is no event");
}

#[tokio::test]
async fn a_retired_key_of_a_lost_master_key_does_not_stand_in_the_way_of_rewrapping() {
    let lost = Harness::new();
    lost.service.maintain().await.unwrap();
    let policy = KeyPolicy {
        access_token_algorithm: KeyAlgorithm::EdDsa,
        rotate_after: ROTATE_AFTER,
        publish_before: PUBLISH_BEFORE,
    };
    let vault = Arc::new(FakeKeyVault::new(master(5)));
    let restored = KeyService::new(lost.store.clone(), vault, lost.audit.clone(), Arc::new(lost.clock.clone()), policy);
    let old: Vec<KeyId> = lost.store.list().await.unwrap().into_iter().map(|key| key.id).collect();
    restored.rotate(true).await.unwrap();
    for id in &old {
        restored.retire(id).await.unwrap();
    }
    assert_eq!(restored.rewrap(&master(6)).await.unwrap(), 2);
}

#[tokio::test]
async fn a_store_that_is_unavailable_is_reported_by_everything() {
    let harness = Harness::new();
    harness.service.maintain().await.unwrap();
    let id = harness.access_key(1).await.id;
    harness.store.outage().begin();
    assert!(matches!(harness.service.list().await, Err(KeyError::Storage(_))));
    assert!(matches!(harness.service.maintain().await, Err(KeyError::Storage(_))));
    assert!(matches!(harness.service.rotate(true).await, Err(KeyError::Storage(_))));
    assert!(matches!(harness.service.retire(&id).await, Err(KeyError::Storage(_))));
    assert!(matches!(harness.service.rewrap(&master(2)).await, Err(KeyError::Storage(_))));
}

/// A store in which another process is always faster.
struct LostRaces(Arc<InMemorySigningKeyStore>);

#[async_trait::async_trait]
impl SigningKeyStore for LostRaces {
    async fn list(&self) -> Result<Vec<SigningKey>, StorageError> {
        self.0.list().await
    }

    async fn add(&self, _: &SigningKey) -> Result<bool, StorageError> {
        Ok(false)
    }

    async fn retire(&self, _: &KeyId, _: Timestamp) -> Result<bool, StorageError> {
        Ok(false)
    }

    async fn rewrap(&self, _: &[(SigningKey, crate::oauth::SealedKey)]) -> Result<bool, StorageError> {
        Ok(false)
    }

    async fn delete(&self, _: &KeyId) -> Result<(), StorageError> {
        Ok(())
    }
}

#[tokio::test]
async fn who_loses_a_race_is_told_and_leaves_no_event() {
    let harness = Harness::new();
    harness.service.maintain().await.unwrap();
    harness.service.rotate(true).await.unwrap();
    let events = harness.audit.recorded();
    let losing = KeyService { store: Arc::new(LostRaces(harness.store.clone())), ..harness.service.clone() };
    assert!(matches!(losing.rotate(true).await, Err(KeyError::Conflict)));
    assert!(matches!(losing.rewrap(&master(2)).await, Err(KeyError::Conflict)));
    let id = harness.access_key(1).await.id;
    assert!(matches!(losing.retire(&id).await, Err(KeyError::NotFound)));
    harness.clock.advance(ROTATE_AFTER);
    losing.maintain().await.unwrap();
    assert_eq!(harness.audit.recorded(), events);
}

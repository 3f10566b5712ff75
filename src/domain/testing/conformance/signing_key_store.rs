//! The contract of [`SigningKeyStore`].

use std::time::Duration;

use super::Fixture;
use crate::oauth::{KeyAlgorithm, KeyPurpose, SealedKey, SigningKey, SigningKeyStore};
use crate::testing::{now, signing_key};

/// Generates a test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! signing_key_store_cases {
    ($fixture:expr) => {
        $crate::conformance_cases!(
            signing_key_store,
            dyn $crate::oauth::SigningKeyStore,
            $fixture,
            [
                keys_come_back_with_every_member,
                keys_are_listed_by_purpose_and_generation,
                a_purpose_has_one_key_of_a_generation,
                of_a_hundred_concurrent_callers_exactly_one_adds_a_generation,
                a_key_is_retired_once_and_for_all,
                rewrapping_replaces_the_sealed_form_and_nothing_else,
                rewrapping_changes_nothing_if_one_key_is_not_as_it_was_given,
                rewrapping_changes_nothing_if_one_key_is_gone,
                of_many_concurrent_callers_exactly_one_rewraps,
                a_deleted_key_is_gone_and_the_others_stay,
            ]
        );
    };
}

fn resealed(key: &SigningKey, byte: u8) -> (SigningKey, SealedKey) {
    (key.clone(), SealedKey::from_stored(vec![byte; 60]))
}

async fn add_two(store: &dyn SigningKeyStore) -> [SigningKey; 2] {
    let keys = KeyPurpose::ALL.map(|purpose| signing_key(purpose, 1));
    for key in &keys {
        assert!(store.add(key).await.unwrap());
    }
    keys
}

pub async fn keys_come_back_with_every_member(fixture: Fixture<dyn SigningKeyStore>) {
    let plain = signing_key(KeyPurpose::AccessToken, 1);
    let full = SigningKey {
        id: "A-z_9".repeat(12).parse().unwrap(),
        algorithm: KeyAlgorithm::Es256,
        generation: 2_000_000_000,
        sealed: SealedKey::from_stored((0..=255).collect()),
        created_at: now(),
        activates_at: now().plus(Duration::from_millis(1)),
        retired_at: Some(now().plus(Duration::from_millis(2))),
        ..signing_key(KeyPurpose::AccessToken, 2)
    };
    let secret = SigningKey { algorithm: KeyAlgorithm::Hs256, ..signing_key(KeyPurpose::RefreshToken, 1) };
    for key in [&plain, &full, &secret] {
        assert!(fixture.port().add(key).await.unwrap());
    }
    assert_eq!(fixture.other_instance().list().await.unwrap(), [plain, full, secret]);
}

pub async fn keys_are_listed_by_purpose_and_generation(fixture: Fixture<dyn SigningKeyStore>) {
    let [access, refresh] = KeyPurpose::ALL;
    for (purpose, generation) in [(refresh, 2), (access, 10), (access, 9), (refresh, 1), (access, 1)] {
        fixture.port().add(&signing_key(purpose, generation)).await.unwrap();
    }
    let listed = fixture.port().list().await.unwrap();
    let order: Vec<_> = listed.iter().map(|key| (key.purpose, key.generation)).collect();
    assert_eq!(order, [(access, 1), (access, 9), (access, 10), (refresh, 1), (refresh, 2)]);
}

pub async fn a_purpose_has_one_key_of_a_generation(fixture: Fixture<dyn SigningKeyStore>) {
    let [first, _] = add_two(fixture.port()).await;
    assert!(!fixture.other_instance().add(&signing_key(KeyPurpose::AccessToken, 1)).await.unwrap());
    assert!(fixture.port().add(&signing_key(KeyPurpose::AccessToken, 2)).await.unwrap());
    assert_eq!(fixture.port().list().await.unwrap()[0], first, "the first one stays as it is");
}

pub async fn of_a_hundred_concurrent_callers_exactly_one_adds_a_generation(fixture: Fixture<dyn SigningKeyStore>) {
    let keys: Vec<SigningKey> = (0..100).map(|_| signing_key(KeyPurpose::RefreshToken, 7)).collect();
    let answers = fixture
        .together(keys.len(), |number, store| {
            let key = keys[number].clone();
            async move { store.add(&key).await.unwrap() }
        })
        .await;
    assert_eq!(answers.iter().filter(|added| **added).count(), 1);
    let winner = answers.iter().position(|added| *added).unwrap();
    assert_eq!(fixture.port().list().await.unwrap(), [keys[winner].clone()]);
}

pub async fn a_key_is_retired_once_and_for_all(fixture: Fixture<dyn SigningKeyStore>) {
    let store = fixture.port();
    let [key, other] = add_two(store).await;
    assert!(store.retire(&key.id, now()).await.unwrap());
    assert!(!store.retire(&key.id, now().plus(Duration::from_secs(9))).await.unwrap());
    assert!(!store.retire(&"unknown".parse().unwrap(), now()).await.unwrap());
    let retired = SigningKey { retired_at: Some(now()), ..key };
    assert_eq!(store.list().await.unwrap(), [retired, other]);
}

pub async fn rewrapping_replaces_the_sealed_form_and_nothing_else(fixture: Fixture<dyn SigningKeyStore>) {
    let store = fixture.port();
    let keys = add_two(store).await;
    assert!(store.rewrap(&[resealed(&keys[0], 1), resealed(&keys[1], 2)]).await.unwrap());
    let [first, second] = keys;
    let expected = [
        SigningKey { sealed: SealedKey::from_stored(vec![1; 60]), ..first },
        SigningKey { sealed: SealedKey::from_stored(vec![2; 60]), ..second },
    ];
    assert_eq!(fixture.other_instance().list().await.unwrap(), expected);
    assert!(store.rewrap(&[]).await.unwrap(), "no key at all is no conflict");
}

pub async fn rewrapping_changes_nothing_if_one_key_is_not_as_it_was_given(fixture: Fixture<dyn SigningKeyStore>) {
    let store = fixture.port();
    let keys = add_two(store).await;
    let outdated = SigningKey { sealed: SealedKey::from_stored(vec![9; 60]), ..keys[1].clone() };
    assert!(!store.rewrap(&[resealed(&keys[0], 1), resealed(&outdated, 2)]).await.unwrap());
    assert_eq!(store.list().await.unwrap(), keys);
}

pub async fn rewrapping_changes_nothing_if_one_key_is_gone(fixture: Fixture<dyn SigningKeyStore>) {
    let store = fixture.port();
    let keys = add_two(store).await;
    store.delete(&keys[1].id).await.unwrap();
    assert!(!store.rewrap(&[resealed(&keys[0], 1), resealed(&keys[1], 2)]).await.unwrap());
    assert_eq!(store.list().await.unwrap(), keys[..1]);
}

pub async fn of_many_concurrent_callers_exactly_one_rewraps(fixture: Fixture<dyn SigningKeyStore>) {
    let keys = add_two(fixture.port()).await;
    let answers = fixture
        .together(20, |number, store| {
            let byte = u8::try_from(number).unwrap();
            let rewrapped = [resealed(&keys[0], byte), resealed(&keys[1], byte)];
            async move { store.rewrap(&rewrapped).await.unwrap() }
        })
        .await;
    assert_eq!(answers.iter().filter(|rewrapped| **rewrapped).count(), 1);
    let listed = fixture.port().list().await.unwrap();
    assert_eq!(listed[0].sealed, listed[1].sealed, "both are of the same caller");
}

pub async fn a_deleted_key_is_gone_and_the_others_stay(fixture: Fixture<dyn SigningKeyStore>) {
    let store = fixture.port();
    let [first, second] = add_two(store).await;
    store.delete(&first.id).await.unwrap();
    store.delete(&first.id).await.unwrap();
    assert_eq!(store.list().await.unwrap(), [second]);
}

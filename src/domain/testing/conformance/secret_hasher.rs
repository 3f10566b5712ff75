//! The contract of [`SecretHasher`].

use super::Fixture;
use crate::applications::{ClientSecret, SecretHasher};
use crate::testing::stored_secret;

/// Generates a test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! secret_hasher_cases {
    ($fixture:expr) => {
        $crate::conformance_cases!(
            secret_hasher,
            dyn $crate::applications::SecretHasher,
            $fixture,
            [
                the_right_secret_is_verified_and_no_other,
                a_hash_does_not_hold_its_secret,
                a_hash_that_was_changed_verifies_nothing,
                only_what_was_verified_with_success_is_cached,
                the_decoy_is_the_hash_of_no_secret,
                concurrent_verifications_do_not_mix_up_their_secrets,
            ]
        );
    };
}

fn secret() -> ClientSecret {
    stored_secret().1
}

pub async fn the_right_secret_is_verified_and_no_other(fixture: Fixture<dyn SecretHasher>) {
    let (hasher, right) = (fixture.port(), secret());
    let hash = hasher.hash(&right).await.unwrap();
    assert!(hasher.verify(&right, &hash).await.unwrap());
    assert!(!hasher.verify(&secret(), &hash).await.unwrap());
    assert!(hasher.verify(&right, &hash).await.unwrap(), "once more, after a failure");
    assert!(fixture.other_instance().verify(&right, &hash).await.unwrap());
}

pub async fn a_hash_does_not_hold_its_secret(fixture: Fixture<dyn SecretHasher>) {
    let secret = secret();
    let hash = fixture.port().hash(&secret).await.unwrap();
    assert!(!hash.as_str().contains(&secret.expose()[10..]));
}

pub async fn a_hash_that_was_changed_verifies_nothing(fixture: Fixture<dyn SecretHasher>) {
    let (hasher, one, other) = (fixture.port(), secret(), secret());
    let (hash, other_hash) = (hasher.hash(&one).await.unwrap(), hasher.hash(&other).await.unwrap());
    assert_ne!(hash, other_hash);
    assert!(hasher.verify(&one, &hash).await.unwrap());
    assert!(!hasher.verify(&one, &other_hash).await.unwrap());
    assert!(!hasher.has_verified(&one, &other_hash), "a secret that was rotated is not cached");
}

pub async fn only_what_was_verified_with_success_is_cached(fixture: Fixture<dyn SecretHasher>) {
    let (hasher, right, wrong) = (fixture.port(), secret(), secret());
    let hash = hasher.hash(&right).await.unwrap();
    assert!(!hasher.has_verified(&right, &hash), "it was made, and not verified");
    hasher.verify(&wrong, &hash).await.unwrap();
    assert!(!hasher.has_verified(&wrong, &hash));
    assert!(!hasher.has_verified(&right, &hash));
    hasher.verify(&right, &hash).await.unwrap();
    assert!(hasher.has_verified(&right, &hash));
    assert!(!hasher.has_verified(&wrong, &hash));
}

pub async fn the_decoy_is_the_hash_of_no_secret(fixture: Fixture<dyn SecretHasher>) {
    let (hasher, secret) = (fixture.port(), secret());
    assert!(!hasher.verify(&secret, &hasher.decoy()).await.unwrap());
    assert!(!hasher.has_verified(&secret, &hasher.decoy()));
}

pub async fn concurrent_verifications_do_not_mix_up_their_secrets(fixture: Fixture<dyn SecretHasher>) {
    let secrets = [secret(), secret()];
    let hashes = [fixture.port().hash(&secrets[0]).await.unwrap(), fixture.port().hash(&secrets[1]).await.unwrap()];
    let answers = fixture
        .together(8, |number, hasher| {
            let (secret, hash) = (secrets[number % 2].clone(), hashes[number / 2 % 2].clone());
            async move { hasher.verify(&secret, &hash).await.unwrap() }
        })
        .await;
    assert_eq!(answers, [true, false, false, true, true, false, false, true]);
}

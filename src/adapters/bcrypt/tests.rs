use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use memgate_domain::testing::{FixedClock, SeededEntropy};

use super::secrets::REMEMBERED_FOR;
use super::threads::WAITING_PER_THREAD;
use super::{BcryptPasswordHasher, BcryptSecretHasher, BcryptThreads};
use crate::domain::applications::{ClientSecret, HasherError, SecretHash, SecretHasher};
use crate::domain::people::{Password, PasswordHasher};

fn hasher(clock: &FixedClock) -> BcryptSecretHasher {
    on(&BcryptThreads::new(4, 1), clock)
}

fn on(threads: &BcryptThreads, clock: &FixedClock) -> BcryptSecretHasher {
    BcryptSecretHasher::new(threads.clone(), Arc::new(clock.clone()), &SeededEntropy::default())
}

fn passwords_on(threads: &BcryptThreads) -> BcryptPasswordHasher {
    BcryptPasswordHasher::new(threads.clone(), &SeededEntropy::default())
}

fn password() -> Password {
    Password::choose("correct horse").unwrap()
}

fn secrets() -> [ClientSecret; 2] {
    let entropy = SeededEntropy::default();
    [ClientSecret::generate(&entropy), ClientSecret::generate(&entropy)]
}

#[tokio::test]
async fn the_right_secret_is_verified_and_no_other() {
    let hasher = hasher(&FixedClock::default());
    let [right, wrong] = secrets();
    let hash = hasher.hash(&right).await.unwrap();
    assert!(hash.as_str().starts_with("$2b$04$"));
    assert!(hasher.verify(&right, &hash).await.unwrap());
    assert!(!hasher.verify(&wrong, &hash).await.unwrap());
}

#[tokio::test]
async fn a_verification_is_remembered_for_ten_minutes_and_for_its_own_hash_only() {
    let clock = FixedClock::default();
    let hasher = hasher(&clock);
    let [right, wrong] = secrets();
    let [hash, other] = [hasher.hash(&right).await.unwrap(), hasher.hash(&right).await.unwrap()];
    assert!(!hasher.remembers(&right, &hash));
    hasher.verify(&right, &hash).await.unwrap();
    hasher.verify(&wrong, &hash).await.unwrap();
    assert!(hasher.remembers(&right, &hash));
    assert!(!hasher.remembers(&wrong, &hash), "a failure is not remembered");
    assert!(!hasher.remembers(&right, &other), "another hash of the same secret is another secret");
    clock.advance(REMEMBERED_FOR.saturating_sub(Duration::from_millis(1)));
    assert!(hasher.remembers(&right, &hash));
    clock.advance(Duration::from_millis(1));
    assert!(!hasher.remembers(&right, &hash));
}

#[tokio::test]
async fn a_clock_that_jumps_back_ends_a_memory() {
    let clock = FixedClock::default();
    let hasher = hasher(&clock);
    let [right, _] = secrets();
    let hash = hasher.hash(&right).await.unwrap();
    hasher.verify(&right, &hash).await.unwrap();
    clock.jump_back(Duration::from_secs(1));
    assert!(!hasher.remembers(&right, &hash));
}

#[tokio::test]
async fn the_decoy_takes_a_real_verification_and_fails_it() {
    let hasher = hasher(&FixedClock::default());
    let [secret, _] = secrets();
    assert!(!hasher.verify(&secret, &hasher.decoy()).await.unwrap());
}

#[tokio::test]
async fn what_is_not_a_hash_is_an_error_and_not_a_wrong_secret() {
    let hasher = hasher(&FixedClock::default());
    let [secret, _] = secrets();
    let hash = SecretHash::from_stored("plain text".to_owned());
    assert!(matches!(hasher.verify(&secret, &hash).await, Err(HasherError::Failed(_))));
}

#[tokio::test]
async fn callers_beyond_the_queue_are_turned_away_at_once() {
    let threads = BcryptThreads::new(4, 1);
    let hasher = Arc::new(on(&threads, &FixedClock::default()));
    let [secret, _] = secrets();
    let busy = threads.occupy().await;
    let waiting: Vec<_> = (0..=WAITING_PER_THREAD)
        .map(|_| {
            let (hasher, secret) = (Arc::clone(&hasher), secret.clone());
            tokio::spawn(async move { hasher.verify(&secret, &hasher.decoy()).await })
        })
        .collect();
    while threads.free_places() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(matches!(hasher.verify(&secret, &hasher.decoy()).await, Err(HasherError::Overloaded)));
    drop(busy);
    for caller in waiting {
        assert!(!caller.await.unwrap().unwrap());
    }
}

#[tokio::test]
async fn a_flood_of_passwords_leaves_half_of_the_queue_to_secrets() {
    let threads = BcryptThreads::new(4, 1);
    let passwords = Arc::new(passwords_on(&threads));
    let places = threads.free_places();
    let busy = threads.occupy().await;
    let flood: Vec<_> = (0..places)
        .map(|_| {
            let passwords = Arc::clone(&passwords);
            tokio::spawn(async move { passwords.verify(&password(), &passwords.decoy()).await })
        })
        .collect();
    while flood.iter().filter(|caller| !caller.is_finished()).count() > places / 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(threads.free_places(), places - places / 2);
    let secrets_hasher = on(&threads, &FixedClock::default());
    let [secret, _] = secrets();
    let decoy = secrets_hasher.decoy();
    let mut verified = secrets_hasher.verify(&secret, &decoy);
    assert!((&mut verified).now_or_never().is_none(), "it waits, and is not turned away");
    drop(busy);
    assert!(!verified.await.unwrap());
    let mut turned_away = 0;
    for caller in flood {
        match caller.await.unwrap() {
            Ok(right) => assert!(!right),
            Err(error) => {
                assert!(matches!(error, HasherError::Overloaded), "{error}");
                turned_away += 1;
            }
        }
    }
    assert_eq!(turned_away, places - places / 2);
    assert_eq!(threads.free_places(), places, "every place is free again");
}

#[tokio::test]
async fn a_password_that_was_verified_is_hashed_again_the_next_time() {
    let threads = BcryptThreads::new(4, 1);
    let passwords = passwords_on(&threads);
    let hash = passwords.hash(&password()).await.unwrap();
    assert!(hash.as_str().starts_with("$2b$04$"));
    assert!(passwords.verify(&password(), &hash).await.unwrap());
    let busy = threads.occupy().await;
    let password = password();
    let mut again = passwords.verify(&password, &hash);
    assert!((&mut again).now_or_never().is_none(), "it waits for a thread");
    drop(busy);
    assert!(again.await.unwrap());
}

#[tokio::test]
async fn two_hashes_of_one_password_differ_by_their_salt() {
    let passwords = passwords_on(&BcryptThreads::new(4, 1));
    assert_ne!(passwords.hash(&password()).await.unwrap(), passwords.hash(&password()).await.unwrap());
}

#[tokio::test]
async fn what_is_not_a_hash_is_an_error_and_not_a_wrong_password() {
    let passwords = passwords_on(&BcryptThreads::new(4, 1));
    let hash = SecretHash::from_stored("plain text".to_owned());
    assert!(matches!(passwords.verify(&password(), &hash).await, Err(HasherError::Failed(_))));
}

mod conforming {
    use memgate_domain::testing::conformance::Fixture;

    use super::*;

    mod secrets {
        use super::*;

        fn bcrypt() -> Fixture<dyn SecretHasher> {
            Fixture::new(Arc::new(hasher(&FixedClock::default())))
        }

        memgate_domain::conformance!(secret_hasher, bcrypt());
    }

    mod passwords {
        use super::*;

        fn bcrypt() -> Fixture<dyn PasswordHasher> {
            let threads = BcryptThreads::new(4, 1);
            let first: Arc<dyn PasswordHasher> = Arc::new(passwords_on(&threads));
            Fixture::new(first).with_instance(Arc::new(passwords_on(&threads)))
        }

        memgate_domain::conformance!(password_hasher, bcrypt());
    }
}

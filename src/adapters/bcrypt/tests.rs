use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use memgate_domain::testing::{FixedClock, SeededEntropy};

use super::secrets::{CACHED_AT_MOST, CACHED_UNUSED};
use super::threads::HashKind;
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
async fn a_verification_is_cached_for_its_own_hash_only_and_while_it_is_used() {
    let clock = FixedClock::default();
    let hasher = hasher(&clock);
    let [right, wrong] = secrets();
    let [hash, other] = [hasher.hash(&right).await.unwrap(), hasher.hash(&right).await.unwrap()];
    assert!(!hasher.has_verified(&right, &hash));
    hasher.verify(&right, &hash).await.unwrap();
    hasher.verify(&wrong, &hash).await.unwrap();
    assert!(!hasher.has_verified(&wrong, &hash), "a failure is not cached");
    assert!(!hasher.has_verified(&right, &other), "another hash of the same secret is another secret");
    clock.advance(CACHED_UNUSED);
    assert!(!hasher.has_verified(&right, &hash), "it was not used");
    hasher.verify(&right, &hash).await.unwrap();
    let step = CACHED_UNUSED.saturating_sub(Duration::from_millis(1));
    let mut cached_for = Duration::ZERO;
    while cached_for + step < CACHED_AT_MOST {
        clock.advance(step);
        cached_for += step;
        assert!(hasher.has_verified(&right, &hash), "{cached_for:?}");
    }
    clock.advance(step);
    assert!(!hasher.has_verified(&right, &hash), "not for longer than a day");
}

#[tokio::test]
async fn a_clock_that_jumps_back_evicts_what_is_cached() {
    let clock = FixedClock::default();
    let hasher = hasher(&clock);
    let [right, _] = secrets();
    let hash = hasher.hash(&right).await.unwrap();
    hasher.verify(&right, &hash).await.unwrap();
    clock.jump_back(Duration::from_secs(1));
    assert!(!hasher.has_verified(&right, &hash));
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

const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn address(number: u8) -> IpAddr {
    std::net::Ipv4Addr::new(192, 0, 2, number).into()
}

/// As many callers as fit into the queue, and one more.
fn flood<F>(places: usize, mut call: impl FnMut() -> F) -> Vec<tokio::task::JoinHandle<Result<bool, HasherError>>>
where
    F: Future<Output = Result<bool, HasherError>> + Send + 'static,
{
    (0..=places).map(|_| tokio::spawn(call())).collect()
}

async fn until(condition: impl Fn() -> bool) {
    let is_met = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), is_met).await.expect("the condition is met");
}

#[tokio::test]
async fn a_flood_of_one_kind_is_turned_away_and_leaves_every_other_kind_its_places() {
    let threads = BcryptThreads::new(4, 1);
    let secrets_hasher = Arc::new(on(&threads, &FixedClock::default()));
    let passwords = Arc::new(passwords_on(&threads));
    let [secret, _] = secrets();
    let hash = secrets_hasher.hash(&secret).await.unwrap();
    let busy = threads.occupy().await;
    let verify = |hash: SecretHash| {
        let (hasher, secret) = (Arc::clone(&secrets_hasher), secret.clone());
        move || {
            let (hasher, secret, hash) = (Arc::clone(&hasher), secret.clone(), hash.clone());
            async move { hasher.verify(&secret, &hash).await }
        }
    };
    let mut callers = Vec::new();
    callers.extend(flood(HashKind::Decoy.places(), verify(secrets_hasher.decoy())));
    let mut number = 0;
    callers.extend(flood(HashKind::Password.places(), || {
        number += 1;
        let (passwords, address) = (Arc::clone(&passwords), address(number));
        async move { passwords.verify(&password(), &passwords.decoy(), address).await }
    }));
    callers.extend(flood(HashKind::Secret.places(), verify(hash)));
    until(|| callers.iter().filter(|caller| caller.is_finished()).count() == 3).await;
    for kind in [HashKind::Secret, HashKind::Password, HashKind::Decoy] {
        assert_eq!(threads.waiting(kind), kind.places(), "{kind:?}");
    }
    drop(busy);
    let (mut right, mut wrong, mut turned_away) = (0, 0, 0);
    for caller in callers {
        match caller.await.unwrap() {
            Ok(true) => right += 1,
            Ok(false) => wrong += 1,
            Err(HasherError::Overloaded) => turned_away += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((right, wrong, turned_away), (16, 10, 3));
    let free = threads.occupy().now_or_never();
    assert!(free.is_some(), "the thread is free again");
}

#[tokio::test]
async fn one_address_gets_half_of_the_places_and_takes_turns_with_others() {
    let threads = BcryptThreads::new(4, 1);
    let busy = threads.occupy().await;
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut callers = Vec::new();
    let half = HashKind::Password.places() / 2;
    for number in [vec![1; half + 1], vec![2; 2]].concat() {
        let (threads, order) = (threads.clone(), Arc::clone(&order));
        let note = move || {
            order.lock().unwrap().push(number);
            Ok(())
        };
        callers
            .push(tokio::spawn(async move { threads.run_for(HashKind::Password, Some(address(number)), note).await }));
        tokio::task::yield_now().await;
    }
    assert_eq!(threads.waiting(HashKind::Password), half + 2);
    drop(busy);
    let mut turned_away = 0;
    for caller in callers {
        turned_away += usize::from(caller.await.unwrap().is_err());
    }
    assert_eq!(turned_away, 1, "of the address that has its half");
    assert_eq!(*order.lock().unwrap(), [1, 2, 1, 2, 1, 1]);
}

#[tokio::test]
async fn whoever_comes_after_a_flood_of_decoys_does_not_wait_for_all_of_it() {
    let threads = BcryptThreads::new(4, 8);
    let mut busy = Vec::new();
    for _ in 0..8 {
        busy.push(threads.occupy().await);
    }
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut callers = Vec::new();
    for kind in [vec![HashKind::Decoy; 16], vec![HashKind::Password; 4], vec![HashKind::Secret; 4]].concat() {
        let (threads, order) = (threads.clone(), Arc::clone(&order));
        let before = threads.waiting(kind);
        let waiting = threads.clone();
        callers.push(tokio::spawn(async move {
            let note = move || {
                order.lock().unwrap().push(kind);
                Ok(())
            };
            threads.run(kind, note).await
        }));
        until(|| waiting.waiting(kind) > before).await;
    }
    // One thread for all that wait, so that they come one after the other.
    drop(busy.pop());
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    let order = order.lock().unwrap();
    let decoys_before = |kind| {
        let last = order.iter().rposition(|other| *other == kind).unwrap();
        order[..last].iter().filter(|other| **other == HashKind::Decoy).count()
    };
    assert!(decoys_before(HashKind::Secret) <= 2 && decoys_before(HashKind::Password) <= 2, "{order:?}");
}

#[tokio::test]
async fn callers_that_go_away_keep_no_place_and_no_thread() {
    let threads = BcryptThreads::new(4, 1);
    let busy = threads.occupy().await;
    for _ in 0..1000 {
        assert!(threads.run(HashKind::Decoy, || Ok(())).now_or_never().is_none(), "it waits, and is not turned away");
    }
    drop(busy);
    assert!(threads.run(HashKind::Decoy, || Ok(())).await.is_ok());
}

#[tokio::test]
async fn a_hash_of_another_cost_is_outdated_and_verified_all_the_same() {
    let [old, new] = [BcryptThreads::new(4, 1), BcryptThreads::new(5, 1)];
    let [right, wrong] = secrets();
    let (clock, hash) = (FixedClock::default(), on(&old, &FixedClock::default()).hash(&right).await.unwrap());
    let hasher = on(&new, &clock);
    assert!(hasher.is_outdated(&hash) && !hasher.is_outdated(&hasher.decoy()));
    assert!(!on(&old, &clock).is_outdated(&hash));
    assert!(hasher.verify(&right, &hash).await.unwrap() && !hasher.verify(&wrong, &hash).await.unwrap());
    let hash = passwords_on(&old).hash(&password()).await.unwrap();
    assert!(passwords_on(&new).is_outdated(&hash) && !passwords_on(&old).is_outdated(&hash));
    assert!(passwords_on(&new).verify(&password(), &hash, HOME).await.unwrap());
}

#[tokio::test]
async fn a_password_that_was_verified_is_hashed_again_the_next_time() {
    let threads = BcryptThreads::new(4, 1);
    let passwords = passwords_on(&threads);
    let hash = passwords.hash(&password()).await.unwrap();
    assert!(hash.as_str().starts_with("$2b$04$"));
    assert!(passwords.verify(&password(), &hash, HOME).await.unwrap());
    let busy = threads.occupy().await;
    let password = password();
    let mut again = passwords.verify(&password, &hash, HOME);
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
    assert!(matches!(passwords.verify(&password(), &hash, HOME).await, Err(HasherError::Failed(_))));
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

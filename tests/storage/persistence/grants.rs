//! Uses of refresh tokens under concurrency, in one process and in several.

use std::collections::HashSet;
use std::env;
use std::process::Stdio;
use std::time::Duration;

use memgate::adapters::database::{Database, DatabaseOptions, SeaOrmGrantStore};
use memgate::domain::ids::{GrantId, TokenId};
use memgate::domain::oauth::{Consumed, Consumption, GrantStore, Revocation, Revoked};
use memgate_domain::testing::{consumption, now, unique};
use memgate_test_kit::process::{finished, test_alone};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Place, on_both_databases};

on_both_databases!(
    a_thousand_tokens_presented_twice_each_have_one_first_use,
    callers_that_go_away_do_no_harm,
    a_use_that_races_a_revocation_has_a_clear_outcome,
    two_processes_share_one_database,
);

fn use_of(token: u128) -> Consumption {
    let successor_id = TokenId::from_uuid(unique());
    Consumption { token_id: TokenId::from_uuid(Uuid::from_u128(token)), successor_id, ..consumption() }
}

/// Presents the tokens of these numbers all at once. Returns how many were used for the first time.
async fn present(store: &SeaOrmGrantStore, tokens: impl Iterator<Item = u128>) -> usize {
    let mut callers = JoinSet::new();
    for token in tokens {
        let store = store.clone();
        callers.spawn(async move { store.consume(&use_of(token)).await.unwrap() });
    }
    callers.join_all().await.iter().filter(|consumed| **consumed == Consumed::First).count()
}

async fn a_thousand_tokens_presented_twice_each_have_one_first_use(place: Place) {
    let one = SeaOrmGrantStore::new(place.migrated().await);
    let other = SeaOrmGrantStore::new(place.connect().await);
    // Opposite orders, in which two that lock row by row would wait for one another.
    let (first, second) = tokio::join!(present(&one, 0..1000), present(&other, (0..1000).rev()));
    assert_eq!(first + second, 1000);
}

async fn callers_that_go_away_do_no_harm(place: Place) {
    let store = SeaOrmGrantStore::new(place.migrated().await);
    let mut callers = JoinSet::new();
    for token in 0..500 {
        let store = store.clone();
        callers.spawn(async move { store.consume(&use_of(token)).await.unwrap() });
        if token % 2 == 0 {
            callers.abort_all();
        }
    }
    let mut first = 0;
    while let Some(outcome) = callers.join_next().await {
        first += usize::from(outcome.is_ok_and(|consumed| consumed == Consumed::First));
    }
    // Of the tokens whose callers went away some are used and some are not; those whose callers stayed were counted.
    let mut later = 0;
    for token in 0..500 {
        match store.consume(&use_of(token)).await.unwrap() {
            Consumed::First => later += 1,
            Consumed::Before { successor_used: false, .. } => {}
            other => panic!("token {token}: {other:?}"),
        }
    }
    assert!(first + later <= 500);
    assert_eq!(present(&store, 0..500).await, 0);
}

async fn a_use_that_races_a_revocation_has_a_clear_outcome(place: Place) {
    let one = SeaOrmGrantStore::new(place.migrated().await);
    let other = SeaOrmGrantStore::new(place.connect().await);
    for _ in 0..20 {
        let grant_id = GrantId::from_uuid(unique());
        let revocation = Revocation { what: Revoked::Grant(grant_id), at: now(), keep_until: now() };
        let mut users = JoinSet::new();
        for number in 0..20 {
            let store = if number % 2 == 0 { one.clone() } else { other.clone() };
            users.spawn(async move {
                let mine = Consumption { grant_id, ..consumption() };
                let before = store.is_revoked(grant_id, mine.token_id).await.unwrap();
                (before, store.consume(&mine).await.unwrap())
            });
        }
        assert!(other.revoke(&revocation).await.unwrap());
        for (revoked_before, consumed) in users.join_all().await {
            assert!(consumed == Consumed::GrantRevoked || (consumed == Consumed::First && !revoked_before));
        }
        for store in [&one, &other] {
            let late = Consumption { grant_id, ..consumption() };
            assert_eq!(store.consume(&late).await.unwrap(), Consumed::GrantRevoked);
            assert!(!store.is_consumed(late.token_id).await.unwrap(), "nothing was written");
        }
    }
}

/// The URL of the database that a process of its own is to use.
const CHILD: &str = "MEMGATE_TEST_CHILD_DATABASE_URL";
const TOKENS: u128 = 2000;

async fn two_processes_share_one_database(place: Place) {
    place.migrated().await;
    let start = || {
        let mut child = test_alone(module_path!(), "a_process_of_its_own");
        child.env(CHILD, &place.url).stdout(Stdio::piped()).spawn().unwrap()
    };
    let processes = [start(), start(), start()];
    let counts = processes.map(|process| {
        let said = String::from_utf8(finished(process).stdout).unwrap();
        let count = said.split("first uses: ").nth(1).unwrap_or_else(|| panic!("{said}"));
        count.split_whitespace().next().unwrap().parse::<u128>().unwrap()
    });
    assert_eq!(counts.iter().sum::<u128>(), TOKENS, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_of_its_own() {
    // Only as a child of the test above.
    let Ok(url) = env::var(CHILD) else { return };
    // Three processes write to one file.
    let options = DatabaseOptions { timeout: Duration::from_mins(1), ..DatabaseOptions::default() };
    let store = SeaOrmGrantStore::new(Database::connect(&url, options).await.unwrap());
    println!("first uses: {} ", present(&store, 0..TOKENS).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_any_size_is_answered_caller_by_caller() {
    let place = Place::sqlite();
    let store = SeaOrmGrantStore::new(place.migrated().await);
    let mut next = 0_u128;
    for size in [1, 2, 3, 5, 31, 32, 33, 127, 255, 256, 257, 600] {
        let mut callers = JoinSet::new();
        let mut successors = HashSet::new();
        for token in next..next + size {
            let (store, mine) = (store.clone(), use_of(token));
            successors.insert(mine.successor_id);
            callers.spawn(async move { (mine.clone(), store.consume(&mine).await.unwrap()) });
        }
        next += size;
        for (mine, consumed) in callers.join_all().await {
            assert_eq!(consumed, Consumed::First, "{size} callers");
            let expected = Consumed::Before { successor_id: mine.successor_id, at: mine.at, successor_used: false };
            assert_eq!(store.consume(&mine).await.unwrap(), expected);
            assert!(successors.remove(&mine.successor_id));
        }
    }
}

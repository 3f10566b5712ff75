//! Memories that an older version has indexed.

use std::time::Duration;

use memgate::domain::memories::{MemoryBank, NewMemory};
use memgate_domain::testing::{categories, new_memory, now, scope, scope_limited_to};

use super::super::searching::Numbers;
use super::{Store, assert_counts_are_right, found, listed, query};

#[tokio::test]
async fn restrictions_hold_for_an_older_version_of_the_index_and_for_any_number_of_combinations() {
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        for number in 0..80_u64 {
            let (own, names) = (format!("topic {number}"), ["garden", "board"]);
            let labels = match number % 4 {
                0 => vec![names[0]],
                1 => vec![names[0], &own],
                2 => vec![names[0], names[1]],
                _ => vec![],
            };
            let created_at = now().plus(Duration::from_secs(number));
            let text = format!("The bed needs water, number {number}.");
            bank.create(&scope, &NewMemory { categories: categories(&labels), created_at, ..new_memory(&text) })
                .await
                .unwrap();
        }
        let mut all: Vec<String> = (0..80).map(|number| format!("topic {number}")).collect();
        all.push("garden".to_owned());
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let (one, many) = (scope_limited_to(&scope, &["garden"]), scope_limited_to(&scope, &all));
        let expected = |modulus: &[u64]| {
            let numbers = (0..80_u64).rev().filter(|number| modulus.contains(&(number % 4)));
            numbers.map(|number| format!("The bed needs water, number {number}.")).collect::<Vec<_>>()
        };
        for stale in [false, true] {
            if stale {
                store.execute("UPDATE memories SET index_version = 0").await;
            }
            let backend = store.backend();
            assert_eq!(listed(&bank, &one, None).await, expected(&[0]), "{backend:?}, stale: {stale}");
            assert_eq!(listed(&bank, &many, None).await, expected(&[0, 1]), "{backend:?}, stale: {stale}");
            assert_eq!(
                listed(&bank, &scope, Some("garden")).await,
                expected(&[0, 1, 2]),
                "{backend:?}, stale: {stale}"
            );
            assert_eq!(listed(&bank, &one, Some("board")).await, expected(&[]), "{backend:?}, stale: {stale}");
            assert_eq!(listed(&bank, &many, Some("topic 5")).await, ["The bed needs water, number 5."]);
            for (scope, modulus) in [(&one, &[0][..]), (&many, &[0, 1])] {
                let mut texts = found(&bank, scope, "water of the bed").await;
                let mut expected = expected(modulus);
                texts.sort();
                expected.sort();
                assert_eq!(texts, expected, "{backend:?}, stale: {stale}");
            }
        }
    }
}

/// Removes all that only the newest version of the index has.
async fn forget_newest_index(store: &Store) {
    for statement in [
        "UPDATE memories SET index_version = 0",
        "DELETE FROM memory_listings",
        "DELETE FROM memory_category_sets",
        "DELETE FROM memory_set_term_counts",
    ] {
        store.execute(statement).await;
    }
}

#[tokio::test]
async fn memories_that_an_older_version_has_indexed_are_indexed_again() {
    for store in Store::each().await {
        let (bank, scope, mut numbers) = (store.bank(), scope(), Numbers(11));
        for number in 0..150 {
            let labels = [&["garden"][..], &["garden", "shed"], &[]][number % 3];
            let new = NewMemory { categories: categories(labels), ..new_memory(&numbers.skewed_text(8)) };
            bank.create(&scope, &new).await.unwrap();
        }
        let limited = scope_limited_to(&scope, &["garden"]);
        let mut answers = Vec::new();
        for stale in [false, true] {
            if stale {
                forget_newest_index(&store).await;
                assert!(!found(&bank, &limited, "word1x word2x word3x").await.is_empty(), "they are found meanwhile");
                assert_eq!(bank.reindex().await.unwrap(), 150);
                assert_eq!(bank.reindex().await.unwrap(), 0, "once");
            }
            assert_counts_are_right(&store).await;
            answers.push((
                bank.search(&scope, &query("word1x word2x word7x")).await.unwrap(),
                bank.search(&limited, &query("word4x")).await.unwrap(),
                listed(&bank, &limited, None).await,
            ));
        }
        assert_eq!(answers[0], answers[1], "{:?}", store.backend());
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_read_does_not_keep_others_from_being_indexed_again() {
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        for number in 0..5 {
            let id = format!("m{number}").parse().unwrap();
            bank.create(&scope, &NewMemory { id, ..new_memory("parcel") }).await.unwrap();
        }
        forget_newest_index(&store).await;
        store.execute("UPDATE memories SET priority = 'urgent' WHERE id = 'm2'").await;
        assert_eq!(bank.reindex().await.unwrap(), 4);
        assert_eq!(store.number("SELECT count(*) FROM memories WHERE index_version < 1").await, 1);
    }
}

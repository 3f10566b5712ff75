//! Searches that compare vectors.

use std::sync::Arc;

use memgate::domain::memories::{MemoryBank, MemoryChanges, MemoryQuery, NewMemory};
use memgate_domain::testing::{
    FakeEmbedder, categories, content, new_memory, now, scope_limited_to, scope_of_person, update,
};
use sea_orm::ConnectionTrait;

use super::super::searching::Numbers;
use super::{Beside, answers, databases, fill, found, query, scope, sorted, synonyms};

#[tokio::test]
async fn both_databases_find_the_same_however_the_vectors_came_into_memory() {
    let mut all = Vec::new();
    for database in databases().await {
        let beside = Beside::new(&database).await;
        let (bank, scope) = (beside.adopted(synonyms()).await, scope());
        // A small scope, whose vectors are read anew after each change, and a larger one, of which the changes are noted.
        for (from, to) in [(0, 300), (300, 1_300)] {
            fill(&bank, &scope, from, to).await;
            bank.embed().await.unwrap();
            answers(&bank, &scope).await;
            for number in (from..to).step_by(7) {
                let (id, mut numbers) = (format!("m{number}").parse().unwrap(), Numbers(number));
                let changes =
                    MemoryChanges { content: Some(content(&numbers.even_text(5, 300))), ..MemoryChanges::default() };
                bank.update(&scope, &id, &update(&changes, now())).await.unwrap().expect("it is there");
            }
            for number in (from + 3..to).step_by(11) {
                bank.delete(&scope, &format!("m{number}").parse().unwrap()).await.unwrap();
            }
            let outdated = answers(&bank, &scope).await;
            bank.embed().await.unwrap();
            let updated = answers(&bank, &scope).await;
            assert_ne!(outdated, updated, "changed memories have vectors again");
            // A bank that has nothing in memory yet finds the same.
            assert_eq!(answers(&beside.bank(synonyms()), &scope).await, updated);
            let by_meaning = updated.iter().filter(|(hits, _)| !hits.is_empty()).count();
            assert!(by_meaning > 30, "{by_meaning}");
            all.push(updated);
        }
    }
    for pair in all.chunks(2).collect::<Vec<_>>().windows(2) {
        assert!(pair[0] == pair[1], "both databases answer the same");
    }
}

#[tokio::test]
async fn what_a_search_may_not_return_is_not_found_by_its_meaning_either() {
    for database in databases().await {
        let beside = Beside::new(&database).await;
        let bank = beside.adopted(Arc::new(FakeEmbedder::new("fake", &[&["dog", "pet"]]))).await;
        let (scope, person) = (scope(), scope_of_person(&scope()));
        let secret = NewMemory { categories: categories(&["private"]), ..new_memory("The dog is ill.") };
        bank.create(&scope, &secret).await.unwrap();
        let open = NewMemory { categories: categories(&["open"]), ..new_memory("Something else.") };
        bank.create(&scope, &open).await.unwrap();
        let of_person = NewMemory { ..new_memory("My dog barks.") };
        bank.create(&person, &of_person).await.unwrap();
        let expires = NewMemory {
            expires_at: Some(now().plus(std::time::Duration::from_mins(1))),
            ..new_memory("A dog until then.")
        };
        bank.create(&scope, &expires).await.unwrap();
        bank.embed().await.unwrap();

        assert_eq!(sorted(found(&bank, &scope, "pet").await), ["A dog until then.", "The dog is ill."]);
        assert_eq!(found(&bank, &person, "pet").await, ["My dog barks."]);
        assert_eq!(found(&bank, &scope_limited_to(&scope, &["open"]), "pet").await, [""; 0]);
        assert_eq!(found(&bank, &scope_limited_to(&scope, &["private"]), "pet").await, ["The dog is ill."]);
        assert_eq!(found(&bank, &scope_limited_to(&scope, &[]), "pet").await, [""; 0]);
        let later = MemoryQuery { now: now().plus(std::time::Duration::from_secs(61)), ..query("pet") };
        let hits = bank.search(&scope, &later).await.unwrap().hits;
        assert_eq!(hits.iter().map(|hit| hit.memory.content.as_str()).collect::<Vec<_>>(), ["The dog is ill."]);
        let mut filtered = query("pet");
        filtered.filter.categories = categories(&["open"]);
        assert!(bank.search(&scope, &filtered).await.unwrap().hits.is_empty());
    }
}

#[tokio::test]
async fn scores_do_not_tell_of_memories_that_are_invisible() {
    for database in databases().await {
        let beside = Beside::new(&database).await;
        let bank = beside.adopted(Arc::new(FakeEmbedder::new("fake", &[&["dog", "pet"]]))).await;
        let (scope, limited) = (scope(), scope_limited_to(&scope(), &["open"]));
        for text in ["A dog in the garden.", "The roof leaks."] {
            let open = NewMemory { categories: categories(&["open"]), ..new_memory(text) };
            bank.create(&scope, &open).await.unwrap();
        }
        bank.embed().await.unwrap();
        let before = bank.search(&limited, &query("pet")).await.unwrap();
        assert_eq!(before.hits.len(), 1);
        for number in 0..50 {
            let id = format!("hidden{number}").parse().unwrap();
            let hidden = NewMemory { id, categories: categories(&["hidden"]), ..new_memory("dog") };
            bank.create(&scope, &hidden).await.unwrap();
        }
        bank.embed().await.unwrap();
        assert_eq!(bank.search(&limited, &query("pet")).await.unwrap(), before);
    }
}

#[tokio::test]
async fn beyond_the_memory_for_vectors_what_the_words_find_is_compared() {
    for database in databases().await {
        let beside = Beside::new(&database).await;
        let bank = beside.adopted(Arc::new(FakeEmbedder::new("fake", &[&["dog", "pet"], &["house", "flat"]]))).await;
        for text in ["The garden of a house.", "The garden of a dog.", "A puddle.", "A dog."] {
            bank.create(&scope(), &new_memory(text)).await.unwrap();
        }
        bank.embed().await.unwrap();
        assert!(found(&bank, &scope(), "pet in the garden").await.contains(&"A dog.".to_owned()));
        // As many as do not fit; what the counts say is taken for true.
        beside.0.writer().execute_unprepared("UPDATE memory_scopes SET memories = 2000000").await.unwrap();
        assert_eq!(
            found(&bank, &scope(), "pet in the garden").await,
            ["The garden of a dog.", "The garden of a house."]
        );
        assert_eq!(
            found(&bank, &scope(), "flat in the garden").await,
            ["The garden of a house.", "The garden of a dog."]
        );
    }
}

#[tokio::test]
async fn vectors_of_another_length_or_none_are_not_compared() {
    for database in databases().await {
        let beside = Beside::new(&database).await;
        let bank = beside.adopted(Arc::new(FakeEmbedder::new("fake", &[&["dog", "pet"]]))).await;
        for text in ["A dog here.", "A dog there.", "A dog everywhere.", "?!"] {
            bank.create(&scope(), &new_memory(text)).await.unwrap();
        }
        assert_eq!(bank.embed().await.unwrap(), 4);
        let bytes = |text: &str| match beside.0.backend() {
            sea_orm::DbBackend::Sqlite => format!("x'{text}'"),
            _ => format!("'\\x{text}'::bytea"),
        };
        // What no version of the program writes: too short, no scale, not a number as a scale.
        for (content, vector) in
            [("A dog here.", "00"), ("A dog there.", "0000803f01"), ("A dog everywhere.", "0000c07f0102")]
        {
            let statement = format!(
                "UPDATE memory_vectors SET vector = {}, revision = revision + 1 \
                 WHERE seq = (SELECT seq FROM memories WHERE content = '{content}')",
                bytes(vector)
            );
            beside.0.writer().execute_unprepared(&statement).await.unwrap();
        }
        let bank = beside.bank(Arc::new(FakeEmbedder::new("fake", &[&["dog", "pet"]])));
        assert_eq!(found(&bank, &scope(), "pet").await, [""; 0]);
        assert_eq!(sorted(found(&bank, &scope(), "dog").await).len(), 3);
    }
}

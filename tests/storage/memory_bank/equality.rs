//! Both databases, and the index in memory and that in the database, find the same.

use std::time::Duration;

use memgate::adapters::database::memories::EmbeddedMemoryBank;
use memgate::domain::memories::{
    Limit, MemoryBank, MemoryChanges, MemoryFilter, MemoryQuery, MemoryScope, NewMemory, SearchResults,
};
use memgate_domain::testing::{
    categories, content, context, metadata, new_memory, now, scope, scope_limited_to, update,
};
use serde_json::json;

use super::super::searching::Numbers;
use super::{Store, found, query, vectors};

#[tokio::test]
async fn both_databases_find_the_same_as_the_reference_with_the_same_relevance() {
    let vectors = vectors();
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        for memory in vectors["scope"]["memories"].as_array().unwrap() {
            let mut members = metadata(memory["metadata"].clone());
            if let Some(conversation) = memory["conversation_id"].as_str() {
                members = members.with_context(&memgate::domain::audit::Context {
                    custom_gpt_id: None,
                    conversation_id: context("g", conversation).conversation_id,
                });
            }
            let id = memory["id"].as_str().unwrap().parse().unwrap();
            let new = NewMemory { id, metadata: members, ..new_memory(memory["content"].as_str().unwrap()) };
            bank.create(&scope, &new).await.unwrap();
        }
        for case in vectors["searches"].as_array().unwrap() {
            let expected = case["results"].as_array().unwrap();
            let SearchResults { hits, .. } =
                bank.search(&scope, &query(case["query"].as_str().unwrap())).await.unwrap();
            assert_eq!(hits.len().min(5), expected.len(), "{case}");
            for (hit, expected) in hits.iter().zip(expected) {
                assert_eq!(hit.memory.id.as_str(), expected["id"], "{:?}: {case}", store.backend());
                let relevance = expected["relevance"].as_f64().unwrap();
                assert!((hit.relevance.get() - relevance).abs() < 1e-6, "{:?}: {case}", store.backend());
            }
        }
    }
}

#[tokio::test]
async fn both_databases_find_the_same_among_many_memories_that_changed_often() {
    let mut answers = Vec::new();
    for store in Store::each().await {
        let (bank, scope, mut numbers) = (store.bank(), scope(), Numbers(7));
        let mut ids = Vec::new();
        for number in 0..150_u64 {
            let words = 2 + numbers.below(12);
            let labels = json!({"speaker": format!("word{}x", numbers.below(5)), "n": number % 3});
            let labels = metadata(labels).with_context(&context("g", &format!("c{}", number / 10)));
            let categories = categories([&["a"][..], &["a", "b"], &[]][usize::try_from(number % 3).unwrap()]);
            let id = format!("m{number}").parse().unwrap();
            let text = format!("{}{}", numbers.skewed_text(words), if number.is_multiple_of(7) { "?" } else { "." });
            let new = NewMemory { id, metadata: labels, categories, ..new_memory(&text) };
            ids.push(bank.create(&scope, &new).await.unwrap().id);
        }
        for id in ids.iter().step_by(4) {
            let changes = MemoryChanges { content: Some(content(&numbers.skewed_text(6))), ..MemoryChanges::default() };
            bank.update(&scope, id, &update(&changes, now())).await.unwrap().expect("it is there");
        }
        for id in ids.iter().skip(1).step_by(5) {
            assert!(bank.delete(&scope, id).await.unwrap());
        }
        let mut answer = Vec::new();
        for number in 0..40_u64 {
            let terms = 1 + numbers.below(5);
            let mut query = query(&numbers.skewed_text(terms));
            if number % 4 == 1 {
                query.filter.categories = categories(&["b"]);
            }
            if number % 4 == 2 {
                query.filter.metadata =
                    MemoryFilter::parse_metadata(json!({"n": 1}).as_object().unwrap().clone()).unwrap();
            }
            let scope = if number % 4 == 3 { scope_limited_to(&scope, &["a"]) } else { scope.clone() };
            let SearchResults { hits, total_found } = bank.search(&scope, &query).await.unwrap();
            let hits = hits.into_iter().map(|hit| (hit.memory.id, hit.relevance.get().to_bits()));
            answer.push((hits.collect::<Vec<_>>(), total_found));
        }
        let successful = answer.iter().filter(|(hits, _)| !hits.is_empty()).count();
        assert!(successful > 20, "most of the questions find something: {successful}");
        answers.push(answer);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
}

/// Searches until the index of the scope is in memory. That shows in the number of statements.
async fn wait_for_index(store: &Store, bank: &EmbeddedMemoryBank, scope: &MemoryScope) {
    let in_memory = async || {
        while search_statements(store, bank, scope).await > WITH_INDEX {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), in_memory()).await.expect("the index is built");
}

/// Statements of a search in memory: those that begin and end the transaction, and those that read counts and results.
const WITH_INDEX: u64 = 4;

async fn search_statements(store: &Store, bank: &EmbeddedMemoryBank, scope: &MemoryScope) -> u64 {
    let before = store.database.searcher().statements();
    let few = MemoryQuery { limit: Limit::try_from(10).unwrap(), ..query("word1x") };
    bank.search(scope, &few).await.unwrap();
    store.database.searcher().statements() - before
}

/// An answer, to the last bit.
async fn answer(bank: &EmbeddedMemoryBank, scope: &MemoryScope, query: &MemoryQuery) -> (Vec<(String, u64)>, u64) {
    let SearchResults { hits, total_found } = bank.search(scope, query).await.unwrap();
    let hits = hits.into_iter().map(|hit| (format!("{:?}", hit.memory), hit.relevance.get().to_bits()));
    (hits.collect(), total_found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_index_in_memory_finds_what_that_in_the_database_finds_whatever_changes() {
    for store in Store::each().await {
        let (bank, other, scope, mut numbers) = (store.bank(), store.bank(), scope(), Numbers(7));
        let mut memory = |number: u64| {
            let words = 2 + numbers.below(12);
            let labels = json!({"speaker": format!("word{}x", numbers.below(5))});
            let labels = metadata(labels).with_context(&context("g", &format!("c{}", numbers.below(80))));
            let text = format!("{}{}", numbers.skewed_text(words), if number.is_multiple_of(7) { "?" } else { "." });
            let after = |milliseconds| now().plus(Duration::from_millis(milliseconds));
            let expires_at = number.is_multiple_of(9).then(|| after(1 + 5_000 * (number % 2)));
            let created_at = now().minus(Duration::from_millis(numbers.below(1_000)));
            let occurred_at =
                number.is_multiple_of(5).then(|| now().minus(Duration::from_millis(numbers.below(2_000))));
            NewMemory { metadata: labels, created_at, occurred_at, expires_at, ..new_memory(&text) }
        };
        let mut memories: Vec<NewMemory> = (0..1_100).map(&mut memory).collect();
        for part in memories.chunks(200) {
            assert!(bank.create_all(&scope, part.to_vec()).await.unwrap().into_iter().all(Result::unwrap));
        }
        let mut words = Numbers(11);
        let mut questions: Vec<MemoryQuery> = (0..12).map(|number| query(&words.skewed_text(1 + number % 6))).collect();
        // Some memories have expired then.
        let later = now().plus(Duration::from_secs(1));
        questions.extend((0..6).map(|number| MemoryQuery { now: later, ..query(&words.skewed_text(1 + number)) }));
        // A typo, two words that are one, and one that occurs nowhere.
        questions.extend(["word16y word2x", "word1 6x", "nothing"].map(query));
        wait_for_index(&store, &bank, &scope).await;
        for round in 0..5 {
            match round {
                1 => {
                    let new: Vec<NewMemory> = (0..30).map(&mut memory).collect();
                    other.create_all(&scope, new.clone()).await.unwrap();
                    memories.extend(new);
                    other.create(&scope, &memory(1)).await.unwrap();
                }
                2 => {
                    for (number, old) in memories.iter().skip(20).step_by(150).enumerate() {
                        let text = format!("word{number}x word2x");
                        let changes = MemoryChanges { content: Some(content(&text)), ..MemoryChanges::default() };
                        other.update(&scope, &old.id, &update(&changes, now())).await.unwrap().expect("it is there");
                    }
                }
                3 => {
                    for old in memories.iter().skip(10).step_by(150) {
                        assert!(other.delete(&scope, &old.id).await.unwrap());
                    }
                }
                4 => assert!(other.sweep(later, 20).await.unwrap() > 0),
                _ => {}
            }
            for question in &questions {
                // The first search of an instance has no index in memory.
                let expected = answer(&store.bank(), &scope, question).await;
                assert_eq!(answer(&bank, &scope, question).await, expected, "{round}: {:?}", question.text);
            }
            assert_eq!(search_statements(&store, &bank, &scope).await, WITH_INDEX, "the index is in use: {round}");
        }
        // An older version changes the counts of the scope, and notes nothing.
        store.execute("UPDATE memories SET terms = 'zebra' WHERE seq = 5").await;
        store.execute("UPDATE memory_scopes SET memories = memories").await;
        assert!(search_statements(&store, &bank, &scope).await > WITH_INDEX);
        wait_for_index(&store, &bank, &scope).await;
        assert!(!found(&bank, &scope, "zebra").await.is_empty(), "it was read anew");
    }
}

//! The embedded memory bank on SQLite and PostgreSQL, beyond what every bank promises (for that see `conformance.rs`).

mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use memgate::adapters::database::memories::EmbeddedMemoryBank;
use memgate::adapters::database::{Database, DatabaseOptions};
use memgate::domain::applications::{Category, CategoryAccess, NewApplication};
use memgate::domain::memories::{
    DateRange, Limit, ListQuery, MemoryBank, MemoryBankError, MemoryChanges, MemoryFilter, MemoryQuery, MemoryScope,
    NewMemory, SearchResults,
};
use memgate_domain::testing::{
    categories, content, context, metadata, new_memory, now, scope, scope_limited_to, scope_of_person, update,
};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::{Value, json};
use support::database::TestDatabase;
use support::gate::{TestGate, new_application};
use support::postgres::PostgresDatabase;

/// A migrated database of its own, and what has to live as long.
struct Store {
    database: Database,
    _guard: Box<dyn std::any::Any>,
}

impl Store {
    async fn open(url: &str, guard: impl std::any::Any) -> Self {
        let database = Database::connect(url, DatabaseOptions::default()).await.unwrap();
        database.migrate_up().await.unwrap();
        Self { database, _guard: Box::new(guard) }
    }

    /// SQLite, and PostgreSQL where there is a server.
    async fn each() -> Vec<Self> {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("memgate.db").display());
        let mut stores = vec![Self::open(&url, folder).await];
        if let Some(server) = PostgresDatabase::create().await {
            let url = server.url().to_owned();
            stores.push(Self::open(&url, server).await);
        }
        stores
    }

    fn bank(&self) -> EmbeddedMemoryBank {
        EmbeddedMemoryBank::new(
            self.database.reader().clone(),
            self.database.searcher().clone(),
            self.database.writer(),
        )
    }

    fn backend(&self) -> DbBackend {
        self.database.backend()
    }

    async fn execute(&self, sql: &str) {
        self.database.writer().execute_unprepared(sql).await.unwrap();
    }

    async fn number(&self, sql: &str) -> i64 {
        let statement = Statement::from_string(self.backend(), sql);
        let row = self.database.reader().query_one_raw(statement).await.unwrap().expect("a row");
        row.try_get_by_index(0).unwrap()
    }
}

fn query(text: &str) -> MemoryQuery {
    MemoryQuery {
        text: text.to_owned().try_into().unwrap(),
        limit: Limit::try_from(100).unwrap(),
        threshold: None,
        filter: MemoryFilter::default(),
        now: now(),
    }
}

async fn found(bank: &EmbeddedMemoryBank, scope: &MemoryScope, text: &str) -> Vec<String> {
    let results = bank.search(scope, &query(text)).await.unwrap();
    results.hits.into_iter().map(|hit| hit.memory.content.as_str().to_owned()).collect()
}

fn vectors() -> Value {
    let vectors = include_str!("../src/adapters/database/memories/ranking/vectors.json");
    serde_json::from_str(vectors).unwrap()
}

#[tokio::test]
async fn what_is_superseded_is_in_no_index_and_no_count_and_is_swept_when_it_expires() {
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        let expires_at = Some(now().plus(Duration::from_mins(1)));
        let mut last = bank.create(&scope, &NewMemory { expires_at, ..new_memory("spare key") }).await.unwrap();
        for text in ["spare key under the fern", "spare key in the shed"] {
            let new =
                NewMemory { supersedes: Some(last.id.clone()), categories: categories(&["home"]), ..new_memory(text) };
            last = bank.create(&scope, &new).await.unwrap();
        }
        assert_eq!(store.number("SELECT count(*) FROM memories").await, 1);
        assert_counts_are_right(&store).await;
        assert_eq!(store.number("SELECT count(*) FROM memory_history").await, 2);
        assert_eq!(bank.sweep(now().plus(Duration::from_secs(59)), 10).await.unwrap(), 0);
        assert_eq!(bank.sweep(now().plus(Duration::from_mins(1)), 10).await.unwrap(), 1);
        assert_eq!(store.number("SELECT count(*) FROM memory_history").await, 1);
        assert!(bank.delete(&scope, &last.id).await.unwrap());
        assert_eq!(store.number("SELECT count(*) FROM memory_history").await, 0);
    }
}

#[tokio::test]
async fn an_older_memory_that_cannot_be_read_does_not_keep_a_new_one_from_being_stored() {
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        let older = bank.create(&scope, &new_memory("older")).await.unwrap();
        store.execute("UPDATE memories SET metadata = '['").await;
        let new = NewMemory { supersedes: Some(older.id), ..new_memory("newer") };
        let stored = bank.create_all(&scope, vec![new_memory("beside it"), new]).await.unwrap();
        assert!(stored.into_iter().all(Result::unwrap));
        assert_eq!(store.number("SELECT count(*) FROM memories").await, 3);
    }
}

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

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    /// Few words are frequent and many are rare.
    fn text(&mut self, words: u64) -> String {
        let word = |numbers: &mut Self| {
            let rank = 1 + numbers.below(30) * numbers.below(30);
            format!("word{rank}x")
        };
        (0..words).map(|_| word(self)).collect::<Vec<_>>().join(" ")
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
            let text = format!("{}{}", numbers.text(words), if number.is_multiple_of(7) { "?" } else { "." });
            let new = NewMemory { id, metadata: labels, categories, ..new_memory(&text) };
            ids.push(bank.create(&scope, &new).await.unwrap().id);
        }
        for id in ids.iter().step_by(4) {
            let changes = MemoryChanges { content: Some(content(&numbers.text(6))), ..MemoryChanges::default() };
            bank.update(&scope, id, &update(&changes, now())).await.unwrap().expect("it is there");
        }
        for id in ids.iter().skip(1).step_by(5) {
            assert!(bank.delete(&scope, id).await.unwrap());
        }
        let mut answer = Vec::new();
        for number in 0..40_u64 {
            let terms = 1 + numbers.below(5);
            let mut query = query(&numbers.text(terms));
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
            let text = format!("{}{}", numbers.text(words), if number.is_multiple_of(7) { "?" } else { "." });
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
        let mut questions: Vec<MemoryQuery> = (0..12).map(|number| query(&words.text(1 + number % 6))).collect();
        // Some memories have expired then.
        let later = now().plus(Duration::from_secs(1));
        questions.extend((0..6).map(|number| MemoryQuery { now: later, ..query(&words.text(1 + number)) }));
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

/// The counts that the ranking relies on, against the memories that are there.
async fn assert_counts_are_right(store: &Store) {
    for (what, kept, real) in [
        ("memories", "SELECT CAST(sum(memories) AS bigint) FROM memory_scopes", "SELECT count(*) FROM memories"),
        (
            "terms",
            "SELECT CAST(sum(total_length) AS bigint) FROM memory_scopes",
            "SELECT CAST(coalesce(sum(length), 0) AS bigint) FROM memories",
        ),
        ("indexed memories", "SELECT count(*) FROM memory_index", "SELECT count(*) FROM memories"),
    ] {
        assert_eq!(store.number(kept).await, store.number(real).await, "{what} on {:?}", store.backend());
    }
    let split = match store.backend() {
        DbBackend::Sqlite => "json_each('[\"' || replace(m.terms || ' ' || m.attributes, ' ', '\",\"') || '\"]')",
        _ => "(SELECT unnest(string_to_array(m.terms || ' ' || m.attributes, ' ')) AS value)",
    };
    let lateral = if store.backend() == DbBackend::Sqlite { "" } else { "LATERAL" };
    let real = format!(
        "SELECT m.scope_id, t.value AS term, count(DISTINCT m.seq) AS memories FROM memories m, {lateral} {split} t \
         WHERE t.value <> '' GROUP BY m.scope_id, t.value"
    );
    let wrong = format!(
        "SELECT count(*) FROM ({real}) r FULL JOIN memory_term_counts k ON k.scope_id = r.scope_id AND k.term = r.term \
         WHERE k.memories IS NULL OR r.memories IS NULL OR k.memories <> r.memories"
    );
    assert_eq!(store.number(&wrong).await, 0, "counts of terms that are wrong on {:?}", store.backend());
    for (what, kept, real) in [
        (
            "memories with categories",
            "SELECT CAST(coalesce(sum(memories), 0) AS bigint) FROM memory_category_sets",
            "SELECT count(*) FROM memories WHERE categories <> '[]'",
        ),
        (
            "terms of memories with categories",
            "SELECT CAST(coalesce(sum(total_length), 0) AS bigint) FROM memory_category_sets",
            "SELECT CAST(coalesce(sum(length), 0) AS bigint) FROM memories WHERE categories <> '[]'",
        ),
        (
            "counts of terms of combinations",
            "SELECT CAST(coalesce(sum(memories), 0) AS bigint) FROM memory_set_term_counts",
            &format!(
                "SELECT count(*) FROM (SELECT DISTINCT m.seq, t.value FROM memories m, {lateral} {split} t \
                 WHERE t.value <> '' AND m.categories <> '[]') r"
            ),
        ),
        (
            "memories in lists",
            "SELECT count(DISTINCT seq) FROM memory_listings",
            "SELECT count(*) FROM memories WHERE categories <> '[]'",
        ),
    ] {
        assert_eq!(store.number(kept).await, store.number(real).await, "{what} on {:?}", store.backend());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_stay_right_while_many_change_the_same_memories() {
    for store in Store::each().await {
        let banks = [std::sync::Arc::new(store.bank()), std::sync::Arc::new(store.bank())];
        let scopes = [scope(), scope()];
        let tasks: Vec<_> = (0..120_usize)
            .map(|number| {
                let (bank, scope) = (banks[number % 2].clone(), scopes[number / 2 % 2].clone());
                tokio::spawn(async move {
                    let id: memgate::domain::ids::MemoryId = format!("m{}", number % 20).parse().unwrap();
                    let labels = [&["garden"][..], &["garden", "shed"], &[]];
                    let new = NewMemory {
                        id: id.clone(),
                        categories: categories(labels[number % 3]),
                        ..new_memory("Tova planted beans and beans and peas.")
                    };
                    let changes = MemoryChanges {
                        content: Some(content(&format!("Nils sold canoe number {number}."))),
                        categories: (number % 2 == 0).then(|| categories(labels[number / 2 % 3])),
                        ..MemoryChanges::default()
                    };
                    bank.create(&scope, &new).await.unwrap();
                    bank.update(&scope, &id, &update(&changes, now())).await.unwrap();
                    if number % 3 == 0 {
                        bank.delete(&scope, &id).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_counts_are_right(&store).await;
        for scope in &scopes {
            let list = ListQuery::new(Limit::try_from(1000).unwrap(), now());
            for memory in banks[0].list(scope, &list).await.unwrap().memories {
                assert!(banks[0].delete(scope, &memory.id).await.unwrap());
            }
        }
        assert_counts_are_right(&store).await;
        for table in ["memory_term_counts", "memory_category_sets", "memory_set_term_counts", "memory_listings"] {
            let left = store.number(&format!("SELECT count(*) FROM {table}")).await;
            assert_eq!(left, 0, "nothing is left behind in {table}");
        }
    }
}

#[tokio::test]
async fn categories_that_come_and_go_at_once_leave_nothing_behind() {
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        let older = NewMemory { categories: categories(&["garden"]), ..new_memory("Tova planted beans.") };
        let newer = NewMemory { supersedes: Some(older.id.clone()), ..new_memory("Tova planted peas.") };
        let stored = bank.create_all(&scope, vec![older, newer]).await.unwrap();
        assert!(stored.into_iter().all(Result::unwrap));
        assert_eq!(store.number("SELECT count(*) FROM memory_history").await, 1);
        assert_counts_are_right(&store).await;
        assert_eq!(store.number("SELECT count(*) FROM memory_category_sets").await, 0);
    }
}

#[tokio::test]
async fn scores_do_not_tell_of_memories_in_categories_that_must_not_be_seen() {
    for store in Store::each().await {
        let bank = store.bank();
        let (with, without) = (scope(), scope());
        for number in 0..30 {
            let said = |text: &str, names: &[&str]| NewMemory {
                id: format!("m{number}-{}", names.join("-")).parse().unwrap(),
                categories: categories(names),
                metadata: metadata(json!({})).with_context(&context("g", "c")),
                ..new_memory(text)
            };
            let open = said(&format!("The garden needs water, bed {number}."), &["garden"]);
            bank.create(&with, &open).await.unwrap();
            bank.create(&without, &open).await.unwrap();
            bank.create(&with, &said("The merger is secret, water the garden?", &["garden", "board"])).await.unwrap();
        }
        for text in ["Which bed of the garden needs water?", "merger", "garden merger bed 7"] {
            let answer = bank.search(&scope_limited_to(&with, &["garden"]), &query(text)).await.unwrap();
            let expected = bank.search(&scope_limited_to(&without, &["garden"]), &query(text)).await.unwrap();
            assert_eq!(answer, expected, "{text} on {:?}", store.backend());
        }
    }
}

#[tokio::test]
async fn what_was_said_around_a_memory_helps_to_find_it() {
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        let said = |text: &str, conversation: &str| NewMemory {
            metadata: metadata(json!({})).with_context(&context("g", conversation)),
            ..new_memory(text)
        };
        bank.create(&scope, &said("Seven, I think.", "other")).await.unwrap();
        bank.create(&scope, &said("How many stairs lead to the lighthouse?", "walk")).await.unwrap();
        bank.create(&scope, &said("Two hundred and twelve.", "walk")).await.unwrap();
        let found = found(&bank, &scope, "stairs of the lighthouse").await;
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.contains(&"Two hundred and twelve.".to_owned()));
    }
}

#[tokio::test]
async fn turns_of_a_conversation_stand_in_the_order_in_which_they_were_said() {
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        let said = |text: &str, seconds: u64| NewMemory {
            metadata: metadata(json!({})).with_context(&context("g", "walk")),
            created_at: now().plus(Duration::from_secs(seconds)),
            ..new_memory(text)
        };
        // The answer arrives before its question, and far from it.
        bank.create(&scope, &said("Two hundred and twelve.", 1)).await.unwrap();
        for number in 10..20 {
            bank.create(&scope, &said(&format!("A gull, number {number}."), number)).await.unwrap();
        }
        bank.create(&scope, &said("How many stairs lead to the lighthouse?", 0)).await.unwrap();
        let found = found(&bank, &scope, "stairs of the lighthouse").await;
        assert!(found.contains(&"Two hundred and twelve.".to_owned()), "{found:?}");
        assert!(!found.contains(&"A gull, number 19.".to_owned()), "{found:?}");
    }
}

#[tokio::test]
async fn text_without_spaces_and_emoji_are_found() {
    let memories = [
        "来週の会議は東京駅の近くです",
        "我们养了一只黑猫",
        "서울에서 친구를 만났어요",
        "วันนี้ฝนตกหนัก",
        "التقينا في المقهى القديم",
        "Holiday plans 🏝️ with the kids 👩‍👩‍👧",
        "Mein iPhone在家充电",
    ];
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        for text in memories {
            bank.create(&scope, &new_memory(text)).await.unwrap();
        }
        for (text, expected) in [
            ("東京", 0),
            ("会議はどこですか", 0),
            ("猫", 1),
            ("黑猫叫什么", 1),
            ("서울", 2),
            ("친구", 2),
            ("ฝนตก", 3),
            ("المقهى", 4),
            ("🏝", 5),
            ("👧", 5),
            ("iphone", 6),
            ("充电", 6),
        ] {
            let found = found(&bank, &scope, text).await;
            assert_eq!(found.first().map(String::as_str), Some(memories[expected]), "{text} on {:?}", store.backend());
        }
    }
}

#[tokio::test]
async fn the_longest_text_of_rare_characters_is_kept_and_found() {
    let rare: String = (0x20000..0x28000).filter_map(char::from_u32).collect();
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        let memory = bank.create(&scope, &new_memory(&rare)).await.unwrap();
        let last: String = rare.chars().skip(32_766).collect();
        let results = bank.search(&scope, &query(&last)).await.unwrap();
        assert_eq!(results.hits.first().map(|hit| &hit.memory), Some(&memory), "{:?}", store.backend());
        assert_counts_are_right(&store).await;
    }
}

#[tokio::test]
async fn sweeping_deletes_what_has_expired_and_nothing_else() {
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        let person = scope_of_person(&scope);
        let in_an_hour = now().plus(Duration::from_hours(1));
        for number in 0..10 {
            let short = NewMemory { expires_at: Some(in_an_hour), ..new_memory(&format!("parcel {number}")) };
            bank.create(if number < 5 { &scope } else { &person }, &short).await.unwrap();
        }
        let later = NewMemory { expires_at: Some(in_an_hour.plus(Duration::from_millis(1))), ..new_memory("parcel") };
        bank.create(&scope, &later).await.unwrap();
        bank.create(&scope, &new_memory("parcel for ever")).await.unwrap();

        assert_eq!(bank.sweep(now(), 100).await.unwrap(), 0, "nothing has expired yet");
        assert_eq!(bank.sweep(in_an_hour, 7).await.unwrap(), 7, "as many as were asked for");
        assert_eq!(bank.sweep(in_an_hour, 100).await.unwrap(), 3);
        assert_eq!(bank.sweep(in_an_hour, 100).await.unwrap(), 0);
        assert_eq!(found(&bank, &scope, "parcel").await.len(), 2);
        assert_counts_are_right(&store).await;
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_is_reported_as_such() {
    for store in Store::each().await {
        for damage in [
            "priority = 'urgent'",
            "categories = '{}'",
            "metadata = '[]'",
            "metadata = 'nonsense'",
            "content = ''",
            "created_at = 9223372036854775807",
        ] {
            let (bank, scope) = (store.bank(), scope());
            let memory = bank.create(&scope, &new_memory("The spare key is under the fern.")).await.unwrap();
            let intact = bank.create(&scope, &new_memory("The shed is never locked.")).await.unwrap();
            store.execute(&format!("UPDATE memories SET {damage} WHERE id = '{}'", memory.id)).await;
            let list = ListQuery::new(Limit::default(), now());
            let inconsistent =
                |answer: Result<_, MemoryBankError>| matches!(answer, Err(MemoryBankError::Inconsistent(_)));
            assert!(inconsistent(bank.get(&scope, &memory.id, now()).await.map(drop)), "get, {damage}");
            assert!(inconsistent(bank.search(&scope, &query("spare key")).await.map(drop)), "search, {damage}");
            assert!(inconsistent(bank.list(&scope, &list).await.map(drop)), "list, {damage}");
            let changes = MemoryChanges { expires_at: Some(None), ..MemoryChanges::default() };
            assert!(
                inconsistent(bank.update(&scope, &memory.id, &update(&changes, now())).await.map(drop)),
                "update, {damage}"
            );
            let error = bank.get(&scope, &memory.id, now()).await.unwrap_err();
            let source = std::error::Error::source(&error).expect("a reason").to_string();
            assert!(source.contains(damage.split(' ').next().unwrap()), "the reason names the column: {source}");
            assert!(
                bank.update(&scope, &intact.id, &update(&changes, now())).await.unwrap().is_some(),
                "others are not concerned"
            );
        }
    }
}

#[tokio::test]
async fn a_database_that_is_away_is_unavailable_and_a_retry_may_help() {
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        bank.create(&scope, &new_memory("x")).await.unwrap();
        store.database.close().await;
        let retryable = |answer: Result<(), MemoryBankError>| answer.is_err_and(|error| error.is_retryable());
        assert!(retryable(bank.check_health().await));
        assert!(retryable(bank.create(&scope, &new_memory("y")).await.map(drop)));
        assert!(retryable(bank.search(&scope, &query("x")).await.map(drop)));
        assert!(retryable(bank.sweep(now(), 1).await.map(drop)));
    }
}

#[tokio::test]
async fn a_database_that_was_not_migrated_is_not_healthy() {
    for store in Store::each().await {
        let count = u32::try_from(store.database.migrations().await.unwrap().len()).unwrap();
        store.database.migrate_down(count).await.unwrap();
        assert!(store.bank().check_health().await.is_err(), "{:?}", store.backend());
    }
}

#[tokio::test]
async fn the_migration_of_memories_can_be_undone_and_done_again() {
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        bank.create(&scope, &new_memory("The spare key is under the fern.")).await.unwrap();
        let count = u32::try_from(store.database.migrations().await.unwrap().len()).unwrap();
        let undone = store.database.migrate_down(count).await.unwrap();
        assert!(undone.iter().any(|name| name.ends_with("create_memories")));
        let tables = match store.backend() {
            DbBackend::Sqlite => "SELECT count(*) FROM sqlite_master WHERE name LIKE 'memor%'",
            _ => "SELECT count(*) FROM pg_class WHERE relname LIKE 'memor%'",
        };
        assert_eq!(store.number(tables).await, 0, "nothing is left of it on {:?}", store.backend());
        store.database.migrate_up().await.unwrap();
        assert!(found(&bank, &scope, "spare key").await.is_empty());
        bank.create(&scope, &new_memory("The spare key is in the shed.")).await.unwrap();
        assert_eq!(found(&bank, &scope, "spare key").await, ["The spare key is in the shed."]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_go_away_do_no_harm_to_others() {
    for store in Store::each().await {
        let (bank, scope) = (std::sync::Arc::new(store.bank()), scope());
        let tasks: Vec<_> = (0..60)
            .map(|number| {
                let (bank, scope) = (bank.clone(), scope.clone());
                let task =
                    tokio::spawn(async move { bank.create(&scope, &new_memory(&format!("guest {number}"))).await });
                if number % 2 == 0 {
                    task.abort();
                }
                task
            })
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            let ended = task.await;
            assert!(number % 2 == 0 || ended.unwrap().is_ok());
        }
        assert!(found(&bank, &scope, "guest").await.len() >= 30);
        assert_counts_are_right(&store).await;
    }
}

#[tokio::test]
async fn a_long_search_under_a_restriction_or_a_date_range_takes_as_few_statements_as_any() {
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        let words: Vec<String> = (0..300).map(|number| format!("word{number}x")).collect();
        let text = words.join(" ");
        for _ in 0..5 {
            let new = NewMemory { categories: categories(&["work"]), ..new_memory(&text) };
            bank.create(&scope, &new).await.unwrap();
        }
        let long = query(&text);
        let mut dated = query(&text);
        dated.filter.created = DateRange::new("date_range", Some(now().plus(Duration::from_hours(1))), None).unwrap();
        let restricted = scope_limited_to(&scope, &["work", "home"]);
        for (what, scope, query, expected) in [
            ("all", &scope, &long, 5),
            ("a restriction", &restricted, &long, 5),
            ("a date range that nothing is in", &scope, &dated, 0),
        ] {
            let before = store.database.searcher().statements();
            assert_eq!(bank.search(scope, query).await.unwrap().hits.len(), expected, "{what}");
            let count = store.database.searcher().statements() - before;
            // With those that begin and end the transaction.
            assert!(count <= 50, "{what}: {count} statements on {:?}", store.backend());
        }
    }
}

/// Long texts and questions, of which each finds all of them.
fn many_words(seed: usize) -> String {
    let words: Vec<String> = (0..300).map(|number| format!("word{}x", (seed * 131 + number * 7) % 2_000)).collect();
    words.join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_one_application_searches_through_all_it_has_others_get_everything() {
    const MEMORIES: usize = 1_500;
    let all = [Some(TestDatabase::sqlite()), TestDatabase::postgres().await];
    for database in all.into_iter().flatten() {
        let gate = TestGate::on(database).await;
        let (space, limited) =
            ("large".parse().unwrap(), CategoryAccess::Only(categories(&["work"]).into_iter().collect()));
        let free = gate.register(NewApplication { space: Some(space), ..new_application() }).await;
        let space = Some("large".parse().unwrap());
        let limited = gate.register(NewApplication { space, categories: limited, ..new_application() }).await;
        let other = gate.application().await;
        let [of_free, of_limited] = [gate.access_token(&free).await, gate.access_token(&limited).await];
        let of_other = gate.access_token(&other).await;
        gate.remember(&of_other, "green tea").await;
        let line = |number| json!({"content": many_words(number), "categories": ["work"]}).to_string();
        let lines: Vec<String> = (0..MEMORIES).map(line).collect();
        let request = gate.http.post(gate.url("/api/v1/import")).bearer_auth(&of_free).body(lines.join("\n"));
        let imported = request.header("content-type", "application/x-ndjson").send().await.unwrap();
        assert_eq!(imported.json::<Value>().await.unwrap()["created"], MEMORIES);

        let dated = json!({"date_range": {"start": "2000-01-01", "end": "2100-01-01"}});
        for (token, filters) in [(&of_free, dated), (&of_limited, json!({}))] {
            let done = AtomicBool::new(false);
            let attack = async |number: usize| {
                let mut answers = BTreeSet::new();
                while !done.load(Ordering::SeqCst) {
                    let body = json!({"query": many_words(number), "filters": filters});
                    let request = gate.http.post(gate.url("/api/v1/search")).bearer_auth(token).json(&body);
                    answers.insert(request.send().await.unwrap().status().as_u16());
                }
                answers
            };
            let attacks = futures_util::future::join_all((0..10).map(attack));
            let others = async {
                for _ in 0..10 {
                    assert_eq!(gate.search(&of_other, "tea").await["results"].as_array().unwrap().len(), 1);
                    gate.access_token(&other).await;
                    let ready = gate.http.get(gate.url("/health/ready")).send().await.unwrap();
                    assert_eq!(ready.status(), 200);
                    gate.remember(&of_other, "another").await;
                }
                done.store(true, Ordering::SeqCst);
            };
            let (answers, ()) = tokio::join!(attacks, others);
            let answers: BTreeSet<u16> = answers.into_iter().flatten().collect();
            assert!(answers.contains(&200) && answers.is_subset(&[200, 503].into()), "{answers:?} to {filters}");
        }
    }
}

#[tokio::test]
async fn nothing_but_searches_and_lists_waits_for_searches() {
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        let memory = bank.create(&scope, &new_memory("x")).await.unwrap();
        let mut busy = Vec::new();
        for _ in 0..DatabaseOptions::default().search_connections {
            busy.push(store.database.searcher().begin().await.unwrap());
        }
        let text = query("x");
        let mut search = std::pin::pin!(bank.search(&scope, &text));
        assert!(futures_util::poll!(&mut search).is_pending());
        bank.check_health().await.unwrap();
        store.database.ping().await.unwrap();
        assert!(bank.get(&scope, &memory.id, now()).await.unwrap().is_some());
        bank.create(&scope, &new_memory("y")).await.unwrap();
        assert!(futures_util::poll!(&mut search).is_pending(), "it waits for a connection of its own");
        busy.clear();
        assert_eq!(search.await.unwrap().hits.len(), 1);
    }
}

#[tokio::test]
async fn a_date_range_finds_what_is_in_it_however_much_is_not() {
    const DAY: Duration = Duration::from_hours(24);
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        for day in 0..300_u32 {
            let new = NewMemory { created_at: now().plus(DAY * 10 * day), ..new_memory(&format!("parcel {day}")) };
            bank.create(&scope, &new).await.unwrap();
        }
        for (start, end) in
            [(Some(0), Some(5)), (Some(7), Some(7)), (None, Some(60)), (Some(290), None), (Some(20), Some(280))]
        {
            let at = |day: Option<u32>| day.map(|day| now().plus(DAY * 10 * day));
            let mut query = query("parcel");
            query.limit = Limit::try_from(1000).unwrap();
            query.filter.created = DateRange::new("date_range", at(start), at(end)).unwrap();
            let found = bank.search(&scope, &query).await.unwrap();
            let expected = u64::from(end.unwrap_or(299) - start.unwrap_or(0) + 1);
            assert_eq!((found.hits.len() as u64, found.total_found), (expected, expected), "{start:?} to {end:?}");
        }
    }
}

fn in_category(category: Option<Category>) -> MemoryFilter {
    MemoryFilter { categories: category.into_iter().collect(), ..MemoryFilter::default() }
}

/// The texts of a list, page by page.
async fn listed(bank: &EmbeddedMemoryBank, scope: &MemoryScope, category: Option<&str>) -> Vec<String> {
    let category = category.map(|category| categories(&[category]).remove(0));
    let mut list = ListQuery { filter: in_category(category), ..ListQuery::new(Limit::try_from(3).unwrap(), now()) };
    let mut texts = Vec::new();
    loop {
        let page = bank.list(scope, &list).await.unwrap();
        texts.extend(page.memories.into_iter().map(|memory| memory.content.as_str().to_owned()));
        list.after = page.next;
        if list.after.is_none() {
            return texts;
        }
    }
}

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

#[tokio::test]
async fn a_page_of_a_large_category_costs_what_one_of_a_small_category_costs() {
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        for number in 0..60_u64 {
            let labels = categories(if number < 30 { &["large"] } else { &["small"] });
            bank.create(&scope, &NewMemory { categories: labels, ..new_memory("x") }).await.unwrap();
        }
        let numbers = match store.backend() {
            DbBackend::Sqlite => "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000)",
            _ => "WITH n AS (SELECT i FROM generate_series(1, 25000) i)",
        };
        store
            .execute(&format!(
                "INSERT INTO memories (scope_id, id, created_at, updated_at, priority, length, question, categories, \
                 attributes, terms, metadata, content, index_version) {numbers} SELECT m.scope_id, m.id || n.i, \
                 m.created_at - n.i, m.updated_at, m.priority, m.length, m.question, m.categories, m.attributes, m.terms, \
                 m.metadata, m.content, 1 FROM n, (SELECT * FROM memories WHERE categories = '[\"large\"]' LIMIT 1) m"
            ))
            .await;
        store
            .execute(
                "INSERT INTO memory_listings (scope_id, entry, created_at, id, seq) SELECT m.scope_id, l.entry, \
                 m.created_at, m.id, m.seq FROM memories m, (SELECT DISTINCT l.entry FROM memory_listings l, memories o \
                 WHERE o.seq = l.seq AND o.categories = '[\"large\"]') l WHERE m.categories = '[\"large\"]' \
                 AND NOT EXISTS (SELECT 1 FROM memory_listings e WHERE e.seq = m.seq)",
            )
            .await;
        let limited = scope_limited_to(&scope, &["large", "small"]);
        let fastest = async |scope: &MemoryScope, name: &str| {
            let category = Some(categories(&[name]).remove(0));
            let list =
                ListQuery { filter: in_category(category), ..ListQuery::new(Limit::try_from(20).unwrap(), now()) };
            let mut fastest = Duration::MAX;
            for _ in 0..15 {
                let started = std::time::Instant::now();
                let page = bank.list(scope, &list).await.unwrap();
                fastest = fastest.min(started.elapsed());
                assert_eq!(page.memories.len(), 20);
                assert!(page.next.is_some());
            }
            fastest
        };
        for scope in [&scope, &limited] {
            let (small, large) = (fastest(scope, "small").await, fastest(scope, "large").await);
            // A page that reads the whole category takes some thirty times as long.
            assert!(large < small * 10, "{large:?} against {small:?} on {:?}", store.backend());
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
            let new = NewMemory { categories: categories(labels), ..new_memory(&numbers.text(8)) };
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

#[tokio::test]
async fn what_people_write_in_one_way_and_ask_for_in_another_is_found_first() {
    for store in Store::each().await {
        let bank = store.bank();
        let mut wrong = Vec::new();
        for line in include_str!("retrieval/cases.jsonl").lines() {
            let (case, scope): (Value, _) = (serde_json::from_str(line).unwrap(), scope());
            let memories: Vec<&str> =
                case["memories"].as_array().unwrap().iter().map(|m| m.as_str().unwrap()).collect();
            for memory in &memories {
                bank.create(&scope, &new_memory(memory)).await.unwrap();
            }
            let expected = memories[usize::try_from(case["expect_index"].as_u64().unwrap()).unwrap()];
            let found = found(&bank, &scope, case["query"].as_str().unwrap()).await;
            if found.first().map(String::as_str) != Some(expected) {
                wrong.push(format!("{line}\n  found {found:?}"));
            }
        }
        assert!(wrong.is_empty(), "on {:?}:\n{}", store.backend(), wrong.join("\n"));
    }
}

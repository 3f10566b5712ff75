//! Finding memories by what they mean, with a model: over HTTP with tiny models in folders, and in the bank itself with one that
//! is told what means what.

mod embedding;
mod search;
mod service;

use std::sync::{Arc, LazyLock};

use memgate::adapters::database::memories::EmbeddedMemoryBank;
use memgate::adapters::database::{Database, DatabaseOptions};
use memgate::domain::memories::{
    Admitted, Embedder, MemoryBank, MemoryFilter, MemoryQuery, MemoryScope, NewMemory, Relevance,
};
use memgate_domain::testing::{FakeEmbedder, categories, new_memory, scope_limited_to};
use memgate_test_kit::database::TestDatabase;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;

use super::searching::{self, Numbers};

/// SQLite, and PostgreSQL where there is a server.
async fn databases() -> Vec<TestDatabase> {
    let mut databases = vec![TestDatabase::sqlite()];
    databases.extend(TestDatabase::postgres().await);
    databases
}

/// A database opened beside the gate.
struct Beside(Database);

impl Beside {
    async fn new(database: &TestDatabase) -> Self {
        let database = Database::connect(database.url(), DatabaseOptions::default()).await.unwrap();
        database.migrate_up().await.unwrap();
        Self(database)
    }

    async fn number(&self, sql: &str) -> i64 {
        let statement = Statement::from_string(self.0.backend(), sql);
        let row = self.0.reader().query_one_raw(statement).await.unwrap().expect("a row");
        row.try_get_by_index(0).unwrap()
    }

    async fn vectors(&self) -> i64 {
        self.number("SELECT count(*) FROM memory_vectors").await
    }

    fn bank(&self, embedder: Arc<dyn Embedder>) -> EmbeddedMemoryBank {
        let database = &self.0;
        EmbeddedMemoryBank::new(database.reader().clone(), database.searcher().clone(), database.writer())
            .with_embedder(embedder, database.writer())
    }

    /// A bank with this model, with which vectors are made from now on.
    async fn adopted(&self, embedder: Arc<dyn Embedder>) -> EmbeddedMemoryBank {
        let bank = self.bank(embedder);
        bank.adopt_model().await.unwrap();
        bank
    }
}

/// One scope for all tests: each has a database of its own.
fn scope() -> Admitted {
    static SCOPE: LazyLock<Admitted> = LazyLock::new(memgate_domain::testing::scope);
    SCOPE.clone()
}

fn query(text: &str) -> MemoryQuery {
    searching::query(text, 50)
}

async fn found(bank: &EmbeddedMemoryBank, scope: &MemoryScope, text: &str) -> Vec<String> {
    searching::found(bank, scope, &query(text)).await
}

/// Of each hundred words three mean the same.
fn synonyms() -> Arc<FakeEmbedder> {
    let words: Vec<[String; 3]> =
        (0..40).map(|n| [n, n + 100, n + 200].map(|number| format!("word{number}x"))).collect();
    let words: Vec<Vec<&str>> = words.iter().map(|words| words.iter().map(String::as_str).collect()).collect();
    let words: Vec<&[&str]> = words.iter().map(Vec::as_slice).collect();
    Arc::new(FakeEmbedder::new("synonyms", &words))
}

type Answer = (Vec<(String, u64)>, u64);

async fn answers(bank: &EmbeddedMemoryBank, scope: &Admitted) -> Vec<Answer> {
    let (mut numbers, mut answers) = (Numbers(11), Vec::new());
    for number in 0..40_u64 {
        let words = 1 + number % 4;
        let mut query = query(&numbers.even_text(words, 300));
        match number % 5 {
            1 => query.filter.categories = categories(&["b"]),
            2 => {
                let metadata = json!({"n": 1}).as_object().unwrap().clone();
                query.filter.metadata = MemoryFilter::parse_metadata(metadata).unwrap();
            }
            3 => query.threshold = Some(Relevance::clamped(0.2)),
            _ => {}
        }
        let scope = if number % 5 == 4 { scope_limited_to(scope, &["a"]) } else { scope.clone() };
        let results = bank.search(&scope, &query).await.unwrap();
        for hit in &results.hits {
            assert!(query.filter.passes(&hit.memory), "{query:?}");
            assert!(scope.categories().allows(&hit.memory.categories));
        }
        let hits = results.hits.into_iter().map(|hit| (hit.memory.id.to_string(), hit.relevance.get().to_bits()));
        answers.push((hits.collect(), results.total_found));
    }
    answers
}

async fn fill(bank: &EmbeddedMemoryBank, scope: &Admitted, from: u64, to: u64) {
    let mut numbers = Numbers(from + 5);
    let memories = (from..to).map(|number| {
        let words = 2 + numbers.below(8);
        let labels = memgate_domain::testing::metadata(json!({"n": number % 3}));
        let categories = categories([&["a"][..], &["a", "b"], &[]][usize::try_from(number % 3).unwrap()]);
        let id = format!("m{number}").parse().unwrap();
        NewMemory { id, metadata: labels, categories, ..new_memory(&numbers.even_text(words, 300)) }
    });
    let memories: Vec<NewMemory> = memories.collect();
    for part in memories.chunks(200) {
        bank.create_all(scope, part.to_vec()).await.unwrap();
    }
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

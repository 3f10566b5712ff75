//! The embedded memory bank on SQLite and PostgreSQL, beyond what every bank promises (for that see `conformance.rs`).

mod counts;
mod equality;
mod fairness;
mod faults;
mod finding;
mod versions;

use memgate::adapters::database::memories::EmbeddedMemoryBank;
use memgate::adapters::database::{Database, DatabaseOptions};
use memgate::domain::applications::Category;
use memgate::domain::memories::{Limit, ListQuery, MemoryBank, MemoryFilter, MemoryQuery, MemoryScope};
use memgate_domain::testing::{categories, now};
use memgate_test_kit::postgres::PostgresDatabase;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::Value;

use super::searching;

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
    searching::query(text, 100)
}

async fn found(bank: &EmbeddedMemoryBank, scope: &MemoryScope, text: &str) -> Vec<String> {
    searching::found(bank, scope, &query(text)).await
}

fn in_category(category: Option<Category>) -> MemoryFilter {
    MemoryFilter { categories: category.into_iter().collect(), ..MemoryFilter::default() }
}

/// The texts of a list, page by page.
async fn listed(bank: &EmbeddedMemoryBank, scope: &MemoryScope, category: Option<&str>) -> Vec<String> {
    let category = category.map(|category| categories(&[category]).remove(0));
    let mut list = ListQuery { filter: in_category(category), ..ListQuery::new(Limit::try_from(3).unwrap(), now()) };
    let mut texts = Vec::new();
    for number in 0.. {
        assert!(number < 100, "the list does not end");
        let page = bank.list(scope, &list).await.unwrap();
        texts.extend(page.memories.into_iter().map(|memory| memory.content.as_str().to_owned()));
        list.after = page.next;
        if list.after.is_none() {
            break;
        }
    }
    texts
}

fn vectors() -> Value {
    let vectors = include_str!("../../../src/adapters/database/memories/ranking/vectors.json");
    serde_json::from_str(vectors).unwrap()
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

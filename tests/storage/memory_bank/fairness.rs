//! What searches and lists cost, and that nobody else pays for them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use memgate::adapters::database::DatabaseOptions;
use memgate::domain::applications::{CategoryAccess, NewApplication};
use memgate::domain::memories::{DateRange, Limit, ListQuery, MemoryBank, MemoryScope, NewMemory};
use memgate_domain::testing::{categories, new_memory, now, scope, scope_limited_to};
use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::{TestGate, new_application};
use sea_orm::DbBackend;
use serde_json::{Value, json};

use super::{Store, in_category, query};

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

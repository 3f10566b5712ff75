//! Search among 100,000 memories of one space, which were stored over HTTP, and tantivy beside it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;

use super::{Bench, CLIENT_CREDENTIALS, fetch_access_token};
use crate::compare::{Side, alone, beside};
use crate::corpus::Corpus;
use crate::load::{Answer, Client, find, get, post_json, run};
use crate::postgres::Cluster;
use crate::report::{Report, Row};
use crate::servers::{Gate, Server};
use crate::tantivy_index::TantivyIndex;

const MEMORIES: usize = 100_000;
const QUESTIONS: usize = 1_000;
const AIM_CREATED: f64 = 5_000.0;
const AIM_CPU_US: f64 = 1_000.0;
const AIM_P99_MS: f64 = 5.0;
/// How many times what tantivy takes.
const AIM_RATIO: f64 = 5.0;
const AIM_POSTGRES_P50_MS: f64 = 5.0;
const AIM_PAGE_P50_MS: f64 = 10.0;

pub async fn sqlite(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let stored = stored(bench, report, bench.gate("search")?, "SQLite").await?;
    search(bench, report, &stored, "SQLite").await
}

pub async fn postgres(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let Some(cluster) = Cluster::start()? else {
        report.note("search-postgres was SKIPPED: no PostgreSQL server on this machine");
        return Ok(());
    };
    let stored = stored(bench, report, bench.gate_on("search-postgres", cluster.url())?, "PostgreSQL").await?;
    search(bench, report, &stored, "PostgreSQL").await
}

/// A server with memories, a token for them, and their number.
struct Stored {
    server: Server,
    token: String,
    memories: usize,
}

async fn stored(bench: &Bench, report: &mut Report, gate: Gate, database: &str) -> Result<Stored, String> {
    let (server, _) = gate.start().await?;
    let application = gate.create_app("bench", &[CLIENT_CREDENTIALS])?;
    let token = fetch_access_token(&server, &application).await?;
    let memories = bench.plan.size(MEMORIES);
    let source = Arc::new(Mutex::new(Source { corpus: Corpus::new(1), left: memories }));
    let writers = (0..bench.plan.connections)
        .map(|_| Writer { source: Arc::clone(&source), token: token.clone(), current: Vec::new() })
        .collect();
    let (mut written, _) = run(server.address, writers, Duration::from_hours(1)).await?;
    let row = Row {
        per_second: Some(written.per_second()),
        p50_ms: Some(written.latencies.percentile(50)),
        p99_ms: Some(written.latencies.percentile(99)),
        resident_mb: server.resident_mb(),
        ..Row::new(format!("POST /api/v1/memories, {memories} of them: {database}"))
    };
    let met = row.per_second.is_some_and(|rate| rate >= AIM_CREATED);
    report.row(row.aim(format!("≥ {AIM_CREATED}/s"), met));
    Ok(Stored { server, token, memories })
}

async fn search(bench: &Bench, report: &mut Report, stored: &Stored, database: &str) -> Result<(), String> {
    let Stored { server, token, memories } = stored;
    let (questions, requests) = questions(token);
    let mut corpus = Corpus::new(1);
    let mut tantivy = TantivyIndex::of((0..*memories).map(|_| corpus.memory().content))?;
    let mut side = Side::new(server, askers(&requests, 1));
    beside(&bench.plan, &mut side, |duration| tantivy.ask(&questions, duration)).await?;
    let least = tantivy.row(&format!("tantivy, the same {memories} texts and questions, without a server"));
    let row = side.row(&format!("search among {memories}, 1 connection: {database}"));
    let ratio = row.cpu_us.zip(least.cpu_us).map_or(f64::INFINITY, |(ours, least)| ours / least);
    let (text, met) = if database == "SQLite" {
        let met = ratio <= AIM_RATIO
            && row.cpu_us.is_some_and(|cpu| cpu <= AIM_CPU_US)
            && row.p99_ms.is_some_and(|p99| p99 <= AIM_P99_MS);
        (format!("processor ≤ {AIM_CPU_US} µs and ≤ {AIM_RATIO} × tantivy ({ratio:.1}), p99 ≤ {AIM_P99_MS} ms"), met)
    } else {
        let met = row.p50_ms.is_some_and(|p50| p50 <= AIM_POSTGRES_P50_MS);
        (format!("p50 ≤ {AIM_POSTGRES_P50_MS} ms"), met)
    };
    report.row(row.aim(text, met));
    report.row(least);
    // With more callers than cores the time is that of waiting for one another.
    let connections = bench.plan.connections;
    let mut side = Side::new(server, askers(&requests, connections));
    alone(&bench.plan, &mut side).await?;
    report.row(side.row(&format!("search among {memories}, {connections} connections: {database}")));

    let page: Arc<[Vec<u8>]> = Arc::new([get("/api/v1/memories?category=work&limit=50", Some(token))]);
    let mut side = Side::new(server, askers(&page, 1));
    alone(&bench.plan, &mut side).await?;
    let row = side.row(&format!("a page of 50 of a category with an eighth of them: {database}"));
    let met = row.p50_ms.is_some_and(|p50| p50 <= AIM_PAGE_P50_MS);
    report.row(row.aim(format!("p50 ≤ {AIM_PAGE_P50_MS} ms"), met));
    Ok(())
}

/// Questions, and the requests that ask them.
pub fn questions(token: &str) -> (Vec<String>, Arc<[Vec<u8>]>) {
    let mut corpus = Corpus::new(2);
    let questions: Vec<String> = (0..QUESTIONS).map(|_| corpus.question()).collect();
    let requests = questions.iter().map(|question| request(token, question)).collect();
    (questions, requests)
}

/// The request that asks a question.
pub fn request(token: &str, question: &str) -> Vec<u8> {
    post_json("/api/v1/search", token, &json!({ "query": question, "limit": 10 }))
}

/// Clients that ask all questions, each with its own beginning.
pub fn askers(requests: &Arc<[Vec<u8>]>, connections: usize) -> Vec<Asker> {
    let next = |n| n * requests.len() / connections;
    (0..connections).map(|n| Asker { requests: Arc::clone(requests), next: next(n), may_find_nothing: false }).collect()
}

struct Source {
    corpus: Corpus,
    left: usize,
}

/// Stores memories until there are none left.
struct Writer {
    source: Arc<Mutex<Source>>,
    token: String,
    current: Vec<u8>,
}

impl Client for Writer {
    fn request(&mut self) -> Option<&[u8]> {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        source.left = source.left.checked_sub(1)?;
        self.current = post_json("/api/v1/memories", &self.token, &source.corpus.memory().json());
        Some(&self.current)
    }

    fn check(&mut self, answer: &Answer<'_>) -> Result<(), String> {
        if answer.status == 201 { Ok(()) } else { Err(format!("a memory was not stored: {}", answer.describe())) }
    }
}

/// Sends one request after the other, and again from the beginning when there are no more.
pub struct Asker {
    requests: Arc<[Vec<u8>]>,
    next: usize,
    pub may_find_nothing: bool,
}

impl Client for Asker {
    fn request(&mut self) -> Option<&[u8]> {
        let request = &self.requests[self.next];
        self.next = (self.next + 1) % self.requests.len();
        Some(request)
    }

    fn check(&mut self, answer: &Answer<'_>) -> Result<(), String> {
        // Every question holds a word that some of very many memories has.
        if answer.status == 200 && (self.may_find_nothing || find(answer.body, b"\"memory_id\"").is_some()) {
            return Ok(());
        }
        Err(format!("nothing was found: {}", answer.describe()))
    }
}

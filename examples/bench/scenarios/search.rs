//! Search among 100,000 memories of one space, which were stored over HTTP.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;

use super::{Bench, CLIENT_CREDENTIALS, fetch_access_token};
use crate::compare::{Side, alone};
use crate::corpus::Corpus;
use crate::load::{Answer, Client, find, post_json, run};
use crate::postgres::Cluster;
use crate::report::{Report, Row};
use crate::servers::Gate;

const MEMORIES: usize = 100_000;
const QUESTIONS: usize = 1_000;
const AIM_P50_MS: f64 = 10.0;

pub async fn sqlite(bench: &Bench, report: &mut Report) -> Result<(), String> {
    search(bench, report, bench.gate("search")?, "SQLite").await
}

pub async fn postgres(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let Some(cluster) = Cluster::start()? else {
        report.note("search-postgres was SKIPPED: no PostgreSQL server on this machine");
        return Ok(());
    };
    search(bench, report, bench.gate_on("search-postgres", cluster.url())?, "PostgreSQL").await
}

async fn search(bench: &Bench, report: &mut Report, gate: Gate, database: &str) -> Result<(), String> {
    let (server, _) = gate.start().await?;
    let application = gate.create_app("bench", &[CLIENT_CREDENTIALS])?;
    let token = fetch_access_token(&server, &application).await?;

    let memories = bench.plan.size(MEMORIES);
    let source = Arc::new(Mutex::new(Source { corpus: Corpus::new(1), left: memories }));
    let writers = (0..bench.plan.connections)
        .map(|_| Writer { source: Arc::clone(&source), token: token.clone(), current: Vec::new() })
        .collect();
    let (mut written, _) = run(server.address, writers, Duration::from_hours(1)).await?;
    report.row(Row {
        per_second: Some(written.per_second()),
        p50_ms: Some(written.latencies.percentile(50)),
        p99_ms: Some(written.latencies.percentile(99)),
        resident_mb: server.resident_mb(),
        ..Row::new(format!("POST /api/v1/memories, {memories} of them: {database}"))
    });

    let mut corpus = Corpus::new(2);
    let questions: Arc<[Vec<u8>]> = (0..QUESTIONS)
        .map(|_| post_json("/api/v1/search", &token, &json!({ "query": corpus.question(), "limit": 10 })))
        .collect();
    for connections in [1, bench.plan.connections] {
        let askers = (0..connections)
            .map(|n| Asker { questions: Arc::clone(&questions), next: n * QUESTIONS / connections })
            .collect();
        let mut side = Side::new(&server, askers);
        alone(&bench.plan, &mut side).await?;
        let plural = if connections == 1 { "" } else { "s" };
        let row = side.row(&format!("search among {memories}, {connections} connection{plural}: {database}"));
        // With more callers than cores the time is that of waiting for one another.
        let met = row.p50_ms.is_some_and(|p50| p50 < AIM_P50_MS);
        report.row(if connections == 1 { row.aim(format!("p50 < {AIM_P50_MS} ms"), met) } else { row });
    }
    Ok(())
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
        let text = source.corpus.memory();
        let body = json!({ "content": text.content, "categories": [text.category] });
        self.current = post_json("/api/v1/memories", &self.token, &body);
        Some(&self.current)
    }

    fn check(&mut self, answer: &Answer<'_>) -> Result<(), String> {
        if answer.status == 201 { Ok(()) } else { Err(format!("a memory was not stored: {}", answer.describe())) }
    }
}

/// Asks one question after the other, each with its own beginning in the same list.
struct Asker {
    questions: Arc<[Vec<u8>]>,
    next: usize,
}

impl Client for Asker {
    fn request(&mut self) -> Option<&[u8]> {
        let question = &self.questions[self.next];
        self.next = (self.next + 1) % self.questions.len();
        Some(question)
    }

    fn check(&mut self, answer: &Answer<'_>) -> Result<(), String> {
        // Every question holds a word that some memory has.
        if answer.status == 200 && find(answer.body, b"\"memory_id\"").is_some() {
            return Ok(());
        }
        Err(format!("a search found nothing: {}", answer.describe()))
    }
}

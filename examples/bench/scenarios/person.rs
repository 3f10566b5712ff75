//! One person with 200,000 memories: what they wait for on the pages and through an application, and what an export costs. And
//! what it costs that changes in a person's name are counted.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Bench, CLIENT_CREDENTIALS, fetch_access_token, import};
use crate::compare::{Side, alone, ratio, take_turns};
use crate::corpus::Corpus;
use crate::load::{Answer, Client, find, get_with, post_json};
use crate::person::{Person, REDIRECT_URI};
use crate::postgres::Cluster;
use crate::report::{Report, Row, median};
use crate::servers::{Credentials, Gate, Server};

const MEMORIES: usize = 200_000;
const QUESTIONS: usize = 500;
const LOGIN: &str = "marta";
/// How often each export is begun.
const EXPORTS: usize = 5;
const AIM_PAGE_MS: f64 = 100.0;
const AIM_FIRST_BYTE_MS: f64 = 100.0;
const AIM_RESIDENT_MB: f64 = 80.0;
const PAGE: &str = "/account/memories";
const EXPORT_OF_THE_PAGES: &str = "/account/export/memories.jsonl";
const ARCHIVE: &str = "/account/export/memgate.zip";
const EXPORT: &str = "/api/v1/export";

pub async fn sqlite(bench: &Bench, report: &mut Report) -> Result<(), String> {
    person(bench, report, bench.gate("person")?, "SQLite").await
}

pub async fn postgres(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let Some(cluster) = Cluster::start()? else {
        report.note("person-postgres was SKIPPED: no PostgreSQL server on this machine");
        return Ok(());
    };
    person(bench, report, bench.gate_on("person-postgres", cluster.url())?, "PostgreSQL").await
}

async fn person(bench: &Bench, report: &mut Report, gate: Gate, database: &str) -> Result<(), String> {
    let application = application(&gate)?;
    Person::create(&gate, LOGIN)?;
    let memories = bench.plan.size(MEMORIES);
    let path = import::file(bench, memories)?;
    let file = path.to_string_lossy();
    gate.run(&["import", file.as_ref(), "--application", application.client_id.as_str(), "--user", LOGIN])?;

    let (server, _) = gate.start().await?;
    let (person, token) = Person::connect(&server, LOGIN, &application).await?;
    let exports = [(EXPORT_OF_THE_PAGES, None), (ARCHIVE, None), (EXPORT, Some(&*token))];
    for (path, token) in exports {
        export(report, &server, &person, (path, token), memories, &format!("{database}, just started")).await?;
    }

    let cookie = format!("cookie: {}\r\n", person.cookies);
    let bearer = format!("authorization: Bearer {token}\r\n");
    let page = [get_with(PAGE, &cookie)];
    ask(bench, report, &server, &page, b"/account/memories/", "the first page of /account/memories", database).await?;
    let list = [get_with("/api/v1/memories?limit=20", &bearer)];
    ask(bench, report, &server, &list, b"\"memory_id\"", "the first page of GET /api/v1/memories", database).await?;
    let mut corpus = Corpus::new(2);
    let questions: Vec<String> = (0..QUESTIONS).map(|_| corpus.question()).collect();
    let searches: Vec<Vec<u8>> = questions
        .iter()
        .map(|question| post_json("/api/v1/search", &token, &json!({ "query": question, "limit": 10 })))
        .collect();
    ask(bench, report, &server, &searches, b"\"memory_id\"", "POST /api/v1/search", database).await?;
    let searches: Vec<Vec<u8>> =
        questions.iter().map(|question| get_with(&format!("{PAGE}?q={}", escaped(question)), &cookie)).collect();
    ask(bench, report, &server, &searches, b"/account/memories/", "a search on /account/memories", database).await?;

    for (path, token) in exports {
        export(report, &server, &person, (path, token), memories, &format!("{database}, after the searches")).await?;
    }
    Ok(())
}

/// An application with which a person can connect.
fn application(gate: &Gate) -> Result<Credentials, String> {
    gate.create_app_with(&[
        "--grant",
        CLIENT_CREDENTIALS,
        "--grant",
        "authorization_code",
        "--redirect-uri",
        REDIRECT_URI,
        "--pkce",
        "optional",
    ])
}

/// Begins the export some times, reads all of it, and looks at the memory of the server meanwhile.
async fn export(
    report: &mut Report,
    server: &Server,
    person: &Person,
    (path, token): (&str, Option<&str>),
    memories: usize,
    what: &str,
) -> Result<(), String> {
    let (mut first_bytes, mut seconds, mut megabytes) = (Vec::new(), Vec::new(), 0.0);
    server.forget_peak()?;
    for _ in 0..EXPORTS {
        let download = person.download(path, token).await?;
        // An archive has no lines.
        if path != ARCHIVE && download.lines != memories {
            return Err(format!("{path} has {} lines instead of {memories}", download.lines));
        }
        first_bytes.push(download.first_byte.as_secs_f64() * 1e3);
        seconds.push(download.elapsed.as_secs_f64());
        megabytes = f64::from(u32::try_from(download.bytes / 1_000).unwrap_or(u32::MAX)) / 1e3;
    }
    let (first_byte, peak) = (median(&first_bytes), server.peak_mb());
    let slowest = first_bytes.iter().copied().fold(0.0, f64::max);
    let met = first_byte < AIM_FIRST_BYTE_MS && peak.is_some_and(|peak| peak < AIM_RESIDENT_MB);
    let all = median(&seconds);
    let row = Row {
        p50_ms: Some(first_byte),
        p99_ms: Some(slowest),
        resident_mb: peak,
        ..Row::new(format!("{path}, first byte of {megabytes:.1} MB in {all:.1} s: {what}"))
    };
    report.row(row.aim(format!("first byte < {AIM_FIRST_BYTE_MS} ms, resident < {AIM_RESIDENT_MB} MB"), met));
    Ok(())
}

/// Sends the first request alone, and then all of them over and over on one connection.
async fn ask(
    bench: &Bench,
    report: &mut Report,
    server: &Server,
    requests: &[Vec<u8>],
    contains: &'static [u8],
    what: &str,
    database: &str,
) -> Result<(), String> {
    let mut first = Asker::new(&requests[..1], contains);
    first.left = Some(1);
    let (mut outcome, _) = crate::load::run(server.address, vec![first], Duration::from_mins(1)).await?;
    let first = outcome.latencies.percentile(50);
    let mut side = Side::new(server, vec![Asker::new(requests, contains)]);
    alone(&bench.plan, &mut side).await?;
    let row = side.row(&format!("{what} (the very first: {first:.0} ms): {database}"));
    let met = row.p50_ms.is_some_and(|p50| p50 < AIM_PAGE_MS);
    report.row(row.aim(format!("p50 < {AIM_PAGE_MS} ms"), met));
    Ok(())
}

/// Sends its requests one after the other, over and over.
struct Asker {
    requests: Vec<Vec<u8>>,
    contains: &'static [u8],
    next: usize,
    left: Option<usize>,
}

impl Asker {
    fn new(requests: &[Vec<u8>], contains: &'static [u8]) -> Self {
        Self { requests: requests.to_vec(), contains, next: 0, left: None }
    }
}

impl Client for Asker {
    fn request(&mut self) -> Option<&[u8]> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1)?;
        }
        let at = self.next;
        self.next = (at + 1) % self.requests.len();
        Some(&self.requests[at])
    }

    fn check(&mut self, answer: &Answer<'_>) -> Result<(), String> {
        if answer.status == 200 && find(answer.body, self.contains).is_some() {
            return Ok(());
        }
        Err(format!("an answer without memories: {}", answer.describe()))
    }
}

fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Stores memories for a person, which are counted for them, and for the application itself, which are not, in turn.
pub async fn creates(bench: &Bench, report: &mut Report) -> Result<(), String> {
    counted(bench, report, bench.gate("creates")?, "SQLite").await
}

/// The same on PostgreSQL.
pub async fn creates_postgres(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let Some(cluster) = Cluster::start()? else {
        report.note("person-creates-postgres was SKIPPED: no PostgreSQL server on this machine");
        return Ok(());
    };
    counted(bench, report, bench.gate_on("creates-postgres", cluster.url())?, "PostgreSQL").await
}

async fn counted(bench: &Bench, report: &mut Report, gate: Gate, database: &str) -> Result<(), String> {
    let application = application(&gate)?;
    Person::create(&gate, LOGIN)?;
    let (server, _) = gate.start().await?;
    let (_, of_person) = Person::connect(&server, LOGIN, &application).await?;
    let own = fetch_access_token(&server, &application).await?;
    for connections in [1, bench.plan.connections] {
        let sides = [&own, &of_person].map(|token| {
            let writers = (0..connections as u64).map(|seed| Writer::new(token, seed)).collect();
            Side::new(&server, writers)
        });
        let mut sides: Vec<Side<'_, Writer>> = sides.into_iter().collect();
        take_turns(&bench.plan, &mut sides).await?;
        for (side, whose) in sides.iter().zip(["the application itself", "a person, counted"]) {
            let row = side.row(&format!("POST /api/v1/memories for {whose}, {connections} connections: {database}"));
            let ratio = (whose != "the application itself").then(|| ratio(&sides[0], &sides[1]));
            report.row(Row { ratio, ..row });
        }
    }
    Ok(())
}

/// Stores one memory after the other.
struct Writer {
    corpus: Corpus,
    token: String,
    current: Vec<u8>,
}

impl Writer {
    fn new(token: &str, seed: u64) -> Self {
        Self { corpus: Corpus::new(seed), token: token.to_owned(), current: Vec::new() }
    }
}

impl Client for Writer {
    fn request(&mut self) -> Option<&[u8]> {
        let text = self.corpus.memory();
        let body: Value = json!({ "content": text.content, "categories": [text.category] });
        self.current = post_json("/api/v1/memories", &self.token, &body);
        Some(&self.current)
    }

    fn check(&mut self, answer: &Answer<'_>) -> Result<(), String> {
        if answer.status == 201 { Ok(()) } else { Err(format!("a memory was not stored: {}", answer.describe())) }
    }
}

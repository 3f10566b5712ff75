//! Refresh with rotation: every connection holds a chain of its own and uses each token once. Beside it stands what the
//! database can do at most when each request is one guarded insert with a commit of its own.

use std::time::{Duration, Instant};

use memgate_domain::system::Entropy;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, Statement, Value};
use tokio::task::JoinSet;

use super::{Bench, CLIENT_CREDENTIALS, REFRESH_TOKEN, TOKEN, fetch_token};
use crate::compare::{Plan, Side, alone};
use crate::load::{Answer, Client, find, post_form};
use crate::postgres::Cluster;
use crate::random::Random;
use crate::report::{Report, Row};
use crate::servers::{Credentials, Gate};

pub async fn sqlite(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let mut limit = 0.0_f64;
    for (name, synchronous) in [("FULL", SqliteSynchronous::Full), ("NORMAL", SqliteSynchronous::Normal)] {
        let file = bench.dir("refresh-limit")?.join(format!("{name}.db"));
        let mut options = ConnectOptions::new(format!("sqlite://{}?mode=rwc", file.display()));
        options.max_connections(1).sqlx_logging(false);
        options
            .map_sqlx_sqlite_opts(move |options| options.journal_mode(SqliteJournalMode::Wal).synchronous(synchronous));
        let row = raw_inserts(&bench.plan, options, 1, &format!("one insert, one commit: SQLite, synchronous={name}"))
            .await?;
        limit = if name == "FULL" { row.per_second.unwrap_or_default() } else { limit };
        report.row(row);
    }
    rotate(bench, report, bench.gate("refresh-sqlite")?, "refresh with rotation: SQLite", 5_000.0, limit).await
}

pub async fn postgres(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let Some(cluster) = Cluster::start()? else {
        report.note("refresh-postgres was SKIPPED: no PostgreSQL server on this machine");
        return Ok(());
    };
    let connections = u32::try_from(bench.plan.connections).unwrap_or(u32::MAX);
    let mut options = ConnectOptions::new(cluster.url());
    options.max_connections(connections).min_connections(connections).sqlx_logging(false);
    let what = format!("one insert, one commit: PostgreSQL, {connections} connections");
    let limit = raw_inserts(&bench.plan, options, bench.plan.connections, &what).await?;
    let per_second = limit.per_second.unwrap_or_default();
    report.row(limit);
    let gate = bench.gate_on("refresh-postgres", cluster.url())?;
    rotate(bench, report, gate, "refresh with rotation: PostgreSQL", 2_000.0, per_second).await
}

async fn rotate(
    bench: &Bench,
    report: &mut Report,
    gate: Gate,
    what: &str,
    aim: f64,
    limit: f64,
) -> Result<(), String> {
    let (server, _) = gate.start().await?;
    let application = gate.create_app("bench", &[CLIENT_CREDENTIALS, REFRESH_TOKEN])?;
    let mut chains = Vec::new();
    for _ in 0..bench.plan.connections {
        let answer = fetch_token(&server, &application).await?;
        let token = answer["refresh_token"].as_str().ok_or("the answer has no refresh token")?;
        chains.push(Chain::new(application.clone(), token));
    }
    let mut side = Side::new(&server, chains);
    alone(&bench.plan, &mut side).await?;
    let row = side.row(what);
    let met = row.per_second.is_some_and(|rate| rate >= aim || rate >= limit);
    report.row(row.aim(format!("≥ {aim}/s, or the limit above"), met));
    Ok(())
}

/// A client that always uses the refresh token that it got last.
struct Chain {
    application: Credentials,
    request: Vec<u8>,
}

impl Chain {
    fn new(application: Credentials, token: &str) -> Self {
        let request = Self::request_with(&application, token);
        Self { application, request }
    }

    fn request_with(application: &Credentials, token: &str) -> Vec<u8> {
        let Credentials { client_id, client_secret } = application;
        let form = format!(
            "grant_type={REFRESH_TOKEN}&client_id={client_id}&client_secret={client_secret}&refresh_token={token}"
        );
        post_form("/auth/token", &form)
    }
}

impl Client for Chain {
    fn request(&mut self) -> Option<&[u8]> {
        Some(&self.request)
    }

    fn check(&mut self, answer: &Answer<'_>) -> Result<(), String> {
        const NAME: &[u8] = b"\"refresh_token\":\"";
        let token = find(answer.body, NAME).map(|at| &answer.body[at + NAME.len()..]);
        let token = token.and_then(|rest| std::str::from_utf8(rest.split(|byte| *byte == b'"').next()?).ok());
        match token {
            Some(token) if answer.status == 200 && find(answer.body, TOKEN.as_bytes()).is_some() => {
                self.request = Self::request_with(&self.application, token);
                Ok(())
            }
            _ => Err(format!("a refresh was not answered with the next token: {}", answer.describe())),
        }
    }
}

const INSERT: &str = "INSERT INTO bench_uses (token_id, grant_id, successor_id, used_at, keep_until) \
                      VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";

/// How many inserts a second the database takes from so many callers, each with a commit of its own.
async fn raw_inserts(plan: &Plan, options: ConnectOptions, callers: usize, what: &str) -> Result<Row, String> {
    let database = Database::connect(options).await.map_err(|error| error.to_string())?;
    let id = if database.get_database_backend() == sea_orm::DbBackend::Postgres { "uuid" } else { "blob" };
    let table = format!(
        "CREATE TABLE bench_uses (token_id {id} PRIMARY KEY, grant_id {id} NOT NULL, successor_id {id} NOT NULL, \
         used_at bigint NOT NULL, keep_until bigint NOT NULL)"
    );
    database.execute_unprepared(&table).await.map_err(|error| error.to_string())?;
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        tasks.spawn(insert_until(database.clone(), begin + plan.round));
    }
    let mut inserted = 0.0;
    while let Some(done) = tasks.join_next().await {
        inserted += done.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    }
    let elapsed: Duration = begin.elapsed();
    database.close().await.map_err(|error| error.to_string())?;
    Ok(Row { per_second: Some(inserted / elapsed.as_secs_f64()), ..Row::new(what) })
}

async fn insert_until(database: DatabaseConnection, deadline: Instant) -> Result<f64, sea_orm::DbErr> {
    let mut inserted = 0.0;
    while Instant::now() < deadline {
        let id = || Value::from((&Random as &dyn Entropy).uuid());
        let values = [id(), id(), id(), Value::from(1_800_000_000_000_i64), Value::from(1_900_000_000_000_i64)];
        let statement = Statement::from_sql_and_values(database.get_database_backend(), INSERT, values);
        database.execute_raw(statement).await?;
        inserted += 1.0;
    }
    Ok(inserted)
}

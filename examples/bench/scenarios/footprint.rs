//! Memory with 100,000 applications and a million tokens issued, and whether issuing them writes anything.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DbBackend, Statement};

use super::{Bench, CLIENT_CREDENTIALS, TOKEN, fetch_token, token_request};
use crate::load::{Answer, Client, find, run};
use crate::report::{Report, Row};
use crate::servers::{Credentials, Gate};

const APPLICATIONS: usize = 100_000;
const TOKENS: usize = 1_000_000;
/// So many applications ask for the million.
const BUSY: usize = 1_000;
const AIM_MB: f64 = 100.0;
const LONG: Duration = Duration::from_hours(1);

pub async fn footprint(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let dir = bench.dir("footprint")?;
    // The cheapest bcrypt, so that 100,000 first verifications take minutes and not hours. Memory does not depend on it.
    let gate = bench.gate("footprint")?.with("MEMGATE_BCRYPT_COST", "4");
    gate.start().await?.0.stop();
    let applications = bench.plan.size(APPLICATIONS);
    let template = gate.create_app("bench", &[CLIENT_CREDENTIALS])?;
    let database = connect(&gate).await?;
    multiply(&database, &template, applications).await?;

    let (server, ready) = gate.start().await?;
    let resident = |what: String| Row { resident_mb: server.resident_mb(), ..Row::new(what) };
    fetch_token(&server, &template).await?;
    report.row(resident(format!("{applications} applications, just started ({} ms to ready)", ready.as_millis())));

    let sweep = |first: usize, count: usize, rounds: usize| -> Vec<Sweep> {
        (0..bench.plan.connections)
            .map(|lane| Sweep {
                secret: template.client_secret.clone(),
                ids: (first + lane..first + count).step_by(bench.plan.connections).map(nth_id).collect(),
                next: 0,
                left: (count * rounds).div_ceil(bench.plan.connections),
                current: Vec::new(),
            })
            .collect()
    };
    let (each, _) = run(server.address, sweep(1, applications, 1), LONG).await?;
    let row = resident(format!("{applications} applications, each has got a token (bcrypt at cost 4)"));
    let row = Row { per_second: Some(each.per_second()), ..row };
    let met = row.resident_mb.is_some_and(|mb| mb < AIM_MB);
    report.row(row.aim(format!("resident < {AIM_MB} MB"), met));

    let busy = BUSY.min(applications);
    run(server.address, sweep(1, busy, 1), LONG).await?;
    let before = Written::look(&database, &dir).await?;
    let (mut million, _) = run(server.address, sweep(1, busy, bench.plan.size(TOKENS) / busy), LONG).await?;
    let unchanged = Written::look(&database, &dir).await? == before;
    let row = Row {
        per_second: Some(million.per_second()),
        p50_ms: Some(million.latencies.percentile(50)),
        p99_ms: Some(million.latencies.percentile(99)),
        ..resident(format!("{} tokens issued to {busy} of {applications} applications", million.latencies.len()))
    };
    let met = unchanged && row.resident_mb.is_some_and(|mb| mb < AIM_MB);
    report.row(row.aim(format!("resident < {AIM_MB} MB, nothing written"), met));
    report.note(if unchanged {
        "While these tokens were issued nothing was written: SQLite's `data_version` and the sizes of database and WAL are \
         the same as before."
    } else {
        "While these tokens were issued SOMETHING WAS WRITTEN to the database."
    });
    database.close().await.map_err(|error| error.to_string())
}

async fn connect(gate: &Gate) -> Result<DatabaseConnection, String> {
    let mut options = ConnectOptions::new(gate.database_url());
    // `data_version` is about one connection: it changes when another one commits.
    options.max_connections(1).min_connections(1).idle_timeout(LONG).max_lifetime(LONG).sqlx_logging(false);
    Database::connect(options).await.map_err(|error| error.to_string())
}

/// Copies the application and its secret, as `app create` stored them, under new ids.
async fn multiply(database: &DatabaseConnection, template: &Credentials, copies: usize) -> Result<(), String> {
    let numbers = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {copies}) INSERT INTO"
    );
    let text = "printf('%08x-0000-4000-8000-%012x', n, n)";
    let id = format!("unhex({text}, '-')");
    let application: &[(&str, &str)] = &[("id", &id), ("client_id", text), ("space", &format!("'app-' || {text}"))];
    let secret: &[(&str, &str)] = &[("id", &id), ("application_id", &id)];
    let of = &template.client_id;
    for (table, replaced, condition) in [
        ("applications", application, format!("client_id = '{of}'")),
        (
            "application_secrets",
            secret,
            format!("application_id = (SELECT id FROM applications WHERE client_id = '{of}')"),
        ),
    ] {
        let columns = columns(database, table).await?;
        let values: Vec<&str> = columns
            .iter()
            .map(|column| replaced.iter().find(|(name, _)| name == column).map_or(column.as_str(), |(_, value)| value))
            .collect();
        let (columns, values) = (columns.join(", "), values.join(", "));
        let copy = format!(
            "{numbers} {table} ({columns}) SELECT {values} FROM numbers, (SELECT * FROM {table} WHERE {condition})"
        );
        let done = database.execute_unprepared(&copy).await.map_err(|error| format!("{error} in {copy}"))?;
        if done.rows_affected() != copies as u64 {
            return Err(format!("{} rows of {table} instead of {copies}", done.rows_affected()));
        }
    }
    Ok(())
}

async fn columns(database: &DatabaseConnection, table: &str) -> Result<Vec<String>, String> {
    let statement = Statement::from_string(DbBackend::Sqlite, format!("SELECT name FROM pragma_table_info('{table}')"));
    let rows = database.query_all_raw(statement).await.map_err(|error| error.to_string())?;
    rows.iter().map(|row| row.try_get("", "name").map_err(|error| error.to_string())).collect()
}

/// The id that [`multiply`] gives the n-th copy.
fn nth_id(n: usize) -> String {
    format!("{n:08x}-0000-4000-8000-{n:012x}")
}

/// What changes when somebody writes.
#[derive(PartialEq)]
struct Written {
    data_version: i64,
    sizes: Vec<Option<u64>>,
}

impl Written {
    async fn look(database: &DatabaseConnection, dir: &Path) -> Result<Self, String> {
        let statement = Statement::from_string(DbBackend::Sqlite, "PRAGMA data_version");
        let row = database.query_one_raw(statement).await.map_err(|error| error.to_string())?;
        let row = row.ok_or("`PRAGMA data_version` answered nothing")?;
        let file = Gate::database_file(dir);
        let wal = file.with_extension("db-wal");
        let sizes = [file, wal].iter().map(|file| fs::metadata(file).ok().map(|metadata| metadata.len())).collect();
        Ok(Self { data_version: row.try_get_by_index(0).map_err(|error| error.to_string())?, sizes })
    }
}

/// Asks for tokens for one application after the other.
struct Sweep {
    secret: String,
    ids: Vec<String>,
    next: usize,
    left: usize,
    current: Vec<u8>,
}

impl Client for Sweep {
    fn request(&mut self) -> Option<&[u8]> {
        self.left = self.left.checked_sub(1)?;
        let client_id = self.ids[self.next % self.ids.len()].clone();
        self.next += 1;
        self.current = token_request(&Credentials { client_id, client_secret: self.secret.clone() });
        Some(&self.current)
    }

    fn check(&mut self, answer: &Answer<'_>) -> Result<(), String> {
        if answer.status == 200 && find(answer.body, TOKEN.as_bytes()).is_some() {
            return Ok(());
        }
        Err(format!("no token: {}", answer.describe()))
    }
}

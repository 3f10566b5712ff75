//! What is measured, a file a theme.

mod attack;
mod footprint;
mod import;
mod mcp;
mod meaning;
mod person;
mod remote;
mod rotation;
mod scale;
mod search;
mod speed;
mod start;

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use memgate_domain::system::Entropy;
use serde_json::Value;
use tempfile::TempDir;

use crate::compare::Plan;
use crate::load::{Connection, post_form};
use crate::random::Random;
use crate::report::Report;
use crate::servers::{Credentials, Gate, Server};

/// The grant that every application of the benchmark has.
const CLIENT_CREDENTIALS: &str = "client_credentials";
/// The grant with which refresh tokens come.
const REFRESH_TOKEN: &str = "refresh_token";
/// What every answer of the token endpoint holds.
const TOKEN: &str = "\"access_token\":\"ey";

/// A scenario, by the name that `--only` takes.
#[derive(Clone, Copy, ValueEnum)]
pub enum Scenario {
    /// The floor against itself: how far apart equal servers are on this machine
    Noise,
    /// Tokens by `client_credentials`, without a refresh token
    Token,
    /// Tokens by `client_credentials`, with a refresh token
    TokenWithRefresh,
    /// GET /api/v1/me
    Me,
    /// Refresh with rotation, on SQLite
    RefreshSqlite,
    /// Refresh with rotation, on PostgreSQL (skipped where it is not installed)
    RefreshPostgres,
    /// Secrets that are verified for the first time, and what they do to others
    ColdSecrets,
    /// A flood of wrong secrets, and what it does to others
    Flood,
    /// From the start of the process to its being ready
    Start,
    /// Memory with 100,000 applications and a million tokens issued
    Footprint,
    /// Import of 100,000 memories, on SQLite
    ImportSqlite,
    /// The same on PostgreSQL (skipped where it is not installed)
    ImportPostgres,
    /// One person with 200,000 memories: first pages, searches, exports; on SQLite
    PersonSqlite,
    /// The same on PostgreSQL (skipped where it is not installed)
    PersonPostgres,
    /// What it costs that what applications store for people is counted, on SQLite
    PersonCreatesSqlite,
    /// The same on PostgreSQL (skipped where it is not installed)
    PersonCreatesPostgres,
    /// Search among 100,000 memories of one space, on SQLite
    SearchSqlite,
    /// The same on PostgreSQL (skipped where it is not installed)
    SearchPostgres,
    /// Search with an embedding model beside search without one (skipped where `TEST_EMBEDDING_MODELS` is not set)
    SearchMeaning,
    /// Search among a million memories of one space; takes minutes, and runs only when it is named
    SearchMillion,
    /// A million memories in a thousand spaces: what they take of memory; takes minutes, and runs only when it is named
    ManySpaces,
    /// The same searches by MCP and by REST, and what the protocol costs
    Mcp,
    /// The same before a memory bank of its own
    McpRemoteBank,
    /// Search before a memory bank of its own: the bank alone, a bare proxy before it, memgate before it
    RemoteBank,
    /// The same with 2 % of the bank's answers half a second late, without and with hedging
    RemoteBankSlow,
    /// Search while the memory bank is down
    RemoteBankDown,
}

impl Scenario {
    /// Those that run when none is named: all but the largest.
    pub fn usual() -> Vec<Self> {
        let all = Self::value_variants().iter().copied();
        all.filter(|scenario| !matches!(scenario, Self::SearchMillion | Self::ManySpaces)).collect()
    }

    pub fn title(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    pub async fn run(self, bench: &Bench, report: &mut Report) -> Result<(), String> {
        match self {
            Self::Noise => speed::noise(bench, report).await,
            Self::Token => speed::token(bench, report).await,
            Self::TokenWithRefresh => speed::token_with_refresh(bench, report).await,
            Self::Me => speed::me(bench, report).await,
            Self::RefreshSqlite => rotation::sqlite(bench, report).await,
            Self::RefreshPostgres => rotation::postgres(bench, report).await,
            Self::ColdSecrets => attack::cold_secrets(bench, report).await,
            Self::Flood => attack::flood(bench, report).await,
            Self::Start => start::start(bench, report).await,
            Self::Footprint => footprint::footprint(bench, report).await,
            Self::ImportSqlite => import::sqlite(bench, report),
            Self::ImportPostgres => import::postgres(bench, report),
            Self::SearchSqlite => search::sqlite(bench, report).await,
            Self::SearchPostgres => search::postgres(bench, report).await,
            Self::SearchMeaning => meaning::meaning(bench, report).await,
            Self::SearchMillion => scale::one_space(bench, report).await,
            Self::ManySpaces => scale::many_spaces(bench, report).await,
            Self::PersonSqlite => person::sqlite(bench, report).await,
            Self::PersonPostgres => person::postgres(bench, report).await,
            Self::PersonCreatesSqlite => person::creates(bench, report).await,
            Self::PersonCreatesPostgres => person::creates_postgres(bench, report).await,
            Self::Mcp => mcp::embedded(bench, report).await,
            Self::McpRemoteBank => mcp::before_a_bank(bench, report).await,
            Self::RemoteBank => remote::speed(bench, report).await,
            Self::RemoteBankSlow => remote::hedging(bench, report).await,
            Self::RemoteBankDown => remote::down(bench, report).await,
        }
    }
}

/// What the scenarios share.
pub struct Bench {
    pub plan: Plan,
    dir: TempDir,
}

impl Bench {
    pub fn new(plan: Plan) -> Result<Self, String> {
        let dir = TempDir::with_prefix("memgate-bench-").map_err(|error| error.to_string())?;
        Ok(Self { plan, dir })
    }

    /// A new directory.
    pub fn dir(&self, name: &str) -> Result<PathBuf, String> {
        let dir = self.dir.path().join(name);
        fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
        Ok(dir)
    }

    /// A memgate on a new SQLite file.
    pub fn gate(&self, name: &str) -> Result<Gate, String> {
        Ok(unlimited(Gate::sqlite(&self.dir(name)?)))
    }

    /// A memgate on a new PostgreSQL database.
    pub fn gate_on(&self, name: &str, database_url: String) -> Result<Gate, String> {
        let master_key = STANDARD.encode((&Random as &dyn Entropy).bytes::<32>());
        Ok(unlimited(Gate::new(&self.dir(name)?, database_url)).with("MEMGATE_MASTER_KEY", &master_key))
    }
}

/// One application alone makes the whole load, so its rate limit must not be what is measured: this is the most there is, a
/// million at once and as many a minute.
fn unlimited(gate: Gate) -> Gate {
    gate.with("MEMGATE_RATE_LIMIT", "1000000")
}

/// The request for a token by `client_credentials`.
fn token_request(credentials: &Credentials) -> Vec<u8> {
    token_request_for(credentials, &[])
}

/// The same, for these resources.
fn token_request_for(credentials: &Credentials, resources: &[&str]) -> Vec<u8> {
    let Credentials { client_id, client_secret } = credentials;
    let mut form = format!("grant_type={CLIENT_CREDENTIALS}&client_id={client_id}&client_secret={client_secret}");
    for resource in resources {
        form.push_str("&resource=");
        form.push_str(resource);
    }
    post_form("/auth/token", &form)
}

/// A token, as the answer of the token endpoint. From here on the secret is cached.
async fn fetch_token(server: &Server, credentials: &Credentials) -> Result<Value, String> {
    fetch_token_for(server, credentials, &[]).await
}

/// The same, for these resources.
async fn fetch_token_for(server: &Server, credentials: &Credentials, resources: &[&str]) -> Result<Value, String> {
    let mut connection = Connection::open(server.address, None).await.map_err(|error| error.to_string())?;
    let request = token_request_for(credentials, resources);
    let answer = connection.send(&request).await.map_err(|error| error.to_string())?;
    if answer.status != 200 {
        return Err(format!("no token: {}", answer.describe()));
    }
    answer.json()
}

/// An access token.
async fn fetch_access_token(server: &Server, credentials: &Credentials) -> Result<String, String> {
    let answer = fetch_token(server, credentials).await?;
    answer["access_token"].as_str().map(str::to_owned).ok_or_else(|| "an answer without access_token".to_owned())
}

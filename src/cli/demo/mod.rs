//! `memgate demo`: a temporary service with sample memories.

mod http;

use std::net::SocketAddr;
use std::path::Path;

use clap::Args;
use serde::Deserialize;
use serde_json::json;

use self::http::DemoClient;
use super::serve::StopSignals;
use super::{CliError, output};
use crate::app::{Backend, Gate, GateOptions, StartError};
use crate::config::Config;
use crate::domain::applications::{Application, ApplicationName, ClientKind, GrantType, NewApplication};
use crate::domain::memories::{Actor, Import, ImportReader, MemoryScope, Place};

const MEMORIES: &str = include_str!("../../../samples/memories.jsonl");
const QUESTIONS: &str = include_str!("../../../samples/questions.json");
/// Number of sample questions asked.
const ASKED: usize = 4;

/// Try memgate: a temporary database, an application, sample memories, and requests to paste
///
/// Everything is deleted when it stops.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Address and port to serve on [default: the configured one, or a free port if that is in use]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Stop after the last request instead of serving on
    #[arg(long)]
    exit: bool,
}

#[derive(Deserialize)]
struct SampleQuestion {
    question: String,
}

impl Demo {
    pub(super) async fn run(self, config: Config) -> Result<(), CliError> {
        let folder = tempfile::tempdir().map_err(CliError::failed)?;
        let config = temporary(config, folder.path());
        let gate = self.start(config.clone()).await?;
        let shown = show(&config, &gate).await;
        if shown.is_ok() && !self.exit {
            let url = gate.public_url();
            output::line(format!("\n# Swagger UI: {url}/docs (Authorize with the client_id and client_secret above)"))?;
            output::line("# Serving until you press Ctrl-C; the database is temporary and goes with it.")?;
            StopSignals::listen()?.next().await;
        }
        gate.stop().await;
        shown
    }

    async fn start(&self, mut config: Config) -> Result<Gate, CliError> {
        config.listen = self.listen.unwrap_or(config.listen);
        match Gate::start(&config, GateOptions::default()).await {
            Err(StartError::Listen(address, _)) if self.listen.is_none() => {
                output::line(format!("# {address} is taken, so a free port is used."))?;
                config.listen.set_port(0);
                Gate::start(&config, GateOptions::default()).await.map_err(CliError::failed)
            }
            started => started.map_err(CliError::failed),
        }
    }
}

/// The configuration with a temporary database, and without anything of a real installation.
fn temporary(mut config: Config, folder: &Path) -> Config {
    config.database_url = format!("sqlite://{}?mode=rwc", folder.join("demo.db").display()).into();
    config.master_key = None;
    config.public_url = None;
    config.admin_listen = None;
    config
}

async fn show(config: &Config, gate: &Gate) -> Result<(), CliError> {
    let backend = Backend::open(config).await.map_err(CliError::failed)?;
    output::line("# 1. Register an application (as `memgate app create` does).")?;
    let registration = backend.applications().register(demo_application()?).await.map_err(CliError::failed)?;
    let client_id = registration.application.client_id.to_string();
    let secret = registration.secret.ok_or_else(|| CliError::failed("the demo application has no secret"))?;
    output::line(format!("client_id      {client_id}\nclient_secret  {}", secret.expose()))?;

    output::line("\n# 2. Load the sample memories (as `memgate import` does).")?;
    let count = load(&backend, &registration.application).await?;
    output::line(format!("{count} memories"))?;

    let mut client = DemoClient::new(gate.public_url())?;
    output::line("\n# 3. Get a token.")?;
    client.fetch_token(&client_id, secret.expose()).await?;

    output::line("\n# 4. Store a memory.")?;
    let memory = json!({
        "content": "The demo of memgate was watched with interest; the next step is to connect a real GPT.",
        "categories": ["work"],
        "context": { "conversation_id": "demo" },
    });
    client.post("/api/v1/memories", &memory).await?;

    output::line("\n# 5. Find memories again.")?;
    let questions: Vec<SampleQuestion> = serde_json::from_str(QUESTIONS).map_err(CliError::failed)?;
    let asked = questions.into_iter().take(ASKED).map(|question| question.question);
    for question in asked.chain(["What is the next step after the demo?".to_owned()]) {
        client.post("/api/v1/search", &json!({ "query": question, "limit": 1 })).await?;
        output::line("")?;
    }
    Ok(())
}

fn demo_application() -> Result<NewApplication, CliError> {
    let name = "Demo GPT".parse::<ApplicationName>().map_err(CliError::failed)?;
    let grants = [GrantType::ClientCredentials, GrantType::RefreshToken].into();
    Ok(NewApplication::new(name, ClientKind::Confidential, grants))
}

async fn load(backend: &Backend, application: &Application) -> Result<u64, CliError> {
    let scope = MemoryScope::of_application(application);
    let reader = ImportReader::new(scope, backend.now()).by(Actor::Application(application.id));
    let rows = MEMORIES.lines().count() as u64;
    let mut import = Import::new(backend.bank(), backend.tenants(), reader).expecting(rows);
    for (number, line) in (1..).zip(MEMORIES.lines()) {
        import.add(Place::line(number), line).await.map_err(CliError::failed)?;
    }
    let report = import.finish().await.map_err(CliError::failed)?;
    match report.reasons.first() {
        Some(left_out) => Err(CliError::failed(format!("{}: {}", left_out.place, left_out.reason()))),
        None => Ok(report.created),
    }
}

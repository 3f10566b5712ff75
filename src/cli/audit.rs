//! `memgate audit`: security-relevant changes.

use clap::Args;
use serde_json::json;

use super::{CliError, open, output};
use crate::config::Config;

/// Show the newest audit events: changes to applications, secrets, people and keys, sign-ins, revocations, reused tokens
#[derive(Debug, Args)]
pub(super) struct Audit {
    /// Number of events
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

impl Audit {
    pub(super) async fn run(self, config: &Config) -> Result<(), CliError> {
        let backend = open(config).await?;
        let events = backend.audit().recent(self.limit).await.map_err(CliError::failed)?;
        if self.json {
            let values = events.iter().map(|event| {
                json!({
                    "at": event.at.to_string(), "event": event.kind.as_str(),
                    "client_id": event.application_id.map(|id| id.to_string()),
                    "person_id": event.person_id.map(|id| id.to_string()),
                    "grant_id": event.grant_id.map(|id| id.to_string()),
                })
            });
            return output::json(&values.collect::<Vec<_>>());
        }
        let rows = events.iter().map(|event| {
            let application = event.application_id.map_or_else(String::new, |id| id.to_string());
            let person = event.person_id.map_or_else(String::new, |id| id.to_string());
            vec![event.at.to_string(), event.kind.as_str().to_owned(), application, person]
        });
        output::table(&["at", "event", "client_id", "person_id"], &rows.collect::<Vec<_>>())
    }
}

//! `memgate export`: memories as an operator takes them away.

use std::io::{self, BufWriter, Write as _};

use clap::Args;

use super::{CliError, find, open};
use crate::config::Config;
use crate::domain::ids::ApplicationId;
use crate::domain::memories::{Exported, MemoryRecord};
use crate::domain::people::Login;

/// Write memories to standard output, one JSON object per line
///
/// With --application, the memories of the application itself; with --user, those of a person in all applications; with
/// both, those of the person in the space of the application. `memgate import` reads the output. The export is in `memgate
/// audit`, and the person sees it under /account/security.
///
/// Memories may be stored, changed and deleted meanwhile: each one is written whole, none is written twice, and what is there
/// from the beginning to the end is written. What is stored, changed or deleted meanwhile may be among them or not. What is
/// superseded meanwhile is written, or is in the history of the memory that took its place.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Export {
    /// The application (its client_id)
    #[arg(long, value_name = "CLIENT_ID", required_unless_present = "user")]
    application: Option<ApplicationId>,
    /// The person (login)
    #[arg(long, value_name = "LOGIN")]
    user: Option<Login>,
}

impl Export {
    pub(super) async fn run(self, config: &Config) -> Result<(), CliError> {
        let backend = open(config).await?;
        let application = match self.application {
            Some(id) => Some(find::application(&backend, id).await?),
            None => None,
        };
        let person = match &self.user {
            Some(login) => Some(find::person(&backend, login).await?.id),
            None => None,
        };
        let whose = match (person, &application) {
            (Some(person), Some(application)) => Exported::OfPersonIn(person, application),
            (Some(person), None) => Exported::OfPerson(person),
            (None, Some(application)) => Exported::OfApplication(application),
            (None, None) => return Err(CliError::failed("name an application, a person, or both")),
        };
        let mut pages = backend.transfers().export(whose).await.map_err(CliError::failed)?;
        let mut output = BufWriter::new(io::stdout().lock());
        while let Some(page) = pages.next().await.map_err(CliError::failed)? {
            for memory in &page {
                serde_json::to_writer(&mut output, &MemoryRecord::from(memory)).map_err(CliError::failed)?;
                output.write_all(b"\n").map_err(CliError::failed)?;
            }
        }
        output.flush().map_err(CliError::failed)
    }
}

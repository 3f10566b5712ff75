//! `memgate migrate`: the schema of the database.

use clap::Subcommand;

use super::{CliError, output};
use crate::app::Backend;
use crate::config::Config;

/// Change the schema of the database, or look at it.
#[derive(Debug, Subcommand)]
pub(super) enum Migrate {
    /// Apply every migration that is pending
    Up,
    /// Undo the newest migrations; what their tables hold is lost
    Down {
        /// How many to undo
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        steps: u32,
    },
    /// List the migrations and whether they are applied
    Status {
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
}

impl Migrate {
    pub(super) async fn run(self, config: &Config) -> Result<(), CliError> {
        let database = Backend::connect(config).await.map_err(CliError::failed)?;
        match self {
            Self::Up => {
                let applied = database.migrate_up().await.map_err(CliError::failed)?;
                report("Applied", &applied, "The schema is up to date already.")
            }
            Self::Down { steps } => {
                let undone = database.migrate_down(steps).await.map_err(CliError::failed)?;
                report("Undid", &undone, "There was no migration to undo.")
            }
            Self::Status { json } => {
                let status = database.migrations().await.map_err(CliError::failed)?;
                if json {
                    let values = status
                        .iter()
                        .map(|migration| serde_json::json!({ "name": migration.name, "applied": migration.applied }));
                    return output::json(&values.collect::<Vec<_>>());
                }
                let rows = status.iter().map(|migration| {
                    vec![migration.name.clone(), if migration.applied { "applied" } else { "pending" }.to_owned()]
                });
                output::table(&["migration", "state"], &rows.collect::<Vec<_>>())
            }
        }
    }
}

fn report(done: &str, names: &[String], nothing: &str) -> Result<(), CliError> {
    if names.is_empty() {
        return output::line(nothing);
    }
    names.iter().try_for_each(|name| output::line(format!("{done} {name}.")))
}

//! `memgate migrate`: the database schema.

use clap::{Args, Subcommand};

use super::confirm::Confirmation;
use super::{CliError, output};
use crate::adapters::database::{Database, DatabaseError, DownRehearsal, RowLoss, ServiceLock};
use crate::app::Backend;
use crate::config::Config;

/// Migrate the database schema, or show its state
#[derive(Debug, Subcommand)]
pub(super) enum Migrate {
    /// Apply all pending migrations; creates the database file if the URL says so
    Up,
    /// Revert the newest migrations; the contents of their tables are deleted, and named before
    ///
    /// Refused while a service is running, unless --while-serving is given.
    Down(Down),
    /// List the migrations and whether they are applied
    Status {
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct Down {
    /// Number of migrations to revert
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Revert them even under a running service, which will fail without them
    #[arg(long)]
    while_serving: bool,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl Migrate {
    pub(super) async fn run(self, config: &Config) -> Result<(), CliError> {
        let connected = match self {
            Self::Up => Backend::connect(config).await,
            Self::Down(_) | Self::Status { .. } => Backend::connect_existing(config).await,
        };
        let database = connected.map_err(CliError::failed)?;
        output::name_database(database.location());
        match self {
            Self::Up => {
                let applied = database.migrate_up().await.map_err(CliError::failed)?;
                report("Applied", &applied, "The schema is up to date already.")
            }
            Self::Down(down) => down.run(&database).await,
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

impl Down {
    async fn run(self, database: &Database) -> Result<(), CliError> {
        let _lock = if self.while_serving { None } else { Some(lock_out_services(database).await?) };
        let rehearsal = database.rehearse_migrate_down(self.steps).await.map_err(CliError::failed)?;
        if !rehearsal.migrations.is_empty() {
            self.confirmation.ask(&describe(&rehearsal))?;
        }
        let undone = database.migrate_down(self.steps).await.map_err(CliError::failed)?;
        report("Reverted", &undone, "There was no migration to revert.")
    }
}

async fn lock_out_services(database: &Database) -> Result<ServiceLock, CliError> {
    database.lock_out_services().await.map_err(|error| match error {
        DatabaseError::InUse { .. } => {
            CliError::failed(format!("{error}, or revert the migrations under it with --while-serving"))
        }
        other => CliError::failed(other),
    })
}

fn describe(rehearsal: &DownRehearsal) -> String {
    let migrations = rehearsal.migrations.iter().map(|name| format!("  {name}"));
    let mut lines = vec![format!("This reverts {} migrations:", migrations.len())];
    lines.extend(migrations);
    if rehearsal.losses.is_empty() {
        lines.push("No table loses a row.".to_owned());
    } else {
        lines.push("and deletes:".to_owned());
    }
    lines.extend(rehearsal.losses.iter().map(|loss| {
        let RowLoss { table, rows, dropped } = loss;
        if *dropped {
            format!("  the table {table} with {rows} rows")
        } else {
            format!("  {rows} rows of the table {table}")
        }
    }));
    lines.join("\n")
}

fn report(done: &str, names: &[String], nothing: &str) -> Result<(), CliError> {
    if names.is_empty() {
        return output::line(nothing);
    }
    names.iter().try_for_each(|name| output::line(format!("{done} {name}.")))
}

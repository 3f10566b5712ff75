//! `memgate migrate`: the schema of the database.

use clap::{Args, Subcommand};

use super::confirm::Confirmation;
use super::{CliError, output};
use crate::adapters::database::{Database, DatabaseError, DownRehearsal, RowLoss, ServiceLock};
use crate::app::Backend;
use crate::config::Config;

/// Change the schema of the database, or look at it.
#[derive(Debug, Subcommand)]
pub(super) enum Migrate {
    /// Apply every migration that is pending; creates the database file if the URL says so
    Up,
    /// Undo the newest migrations; what their tables hold is lost, and named before
    ///
    /// It is refused while a service runs, unless --while-serving is given.
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
    /// How many to undo
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Undo them also under a service that runs, which fails on what it misses
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
        report("Undid", &undone, "There was no migration to undo.")
    }
}

async fn lock_out_services(database: &Database) -> Result<ServiceLock, CliError> {
    database.lock_out_services().await.map_err(|error| match error {
        DatabaseError::InUse { .. } => {
            CliError::failed(format!("{error}, or undo the migrations under it with --while-serving"))
        }
        other => CliError::failed(other),
    })
}

fn describe(rehearsal: &DownRehearsal) -> String {
    let migrations = rehearsal.migrations.iter().map(|name| format!("  {name}"));
    let mut lines = vec![format!("This undoes {} migrations:", migrations.len())];
    lines.extend(migrations);
    if rehearsal.losses.is_empty() {
        lines.push("No table loses a row by it.".to_owned());
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

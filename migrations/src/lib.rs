//! The schema of memgate's database, one file a change.
//!
//! A migration that was released is frozen: it imports nothing of the program, so that the program can change without
//! changing it. Each one can be undone. Destructive change comes in two releases: first expand, then contract.
//!
//! To add one: copy a file, give it the next name, add it to the end of [`Migrator::migrations`].

mod m20261123_000001_create_applications;
mod m20261123_000002_create_consumed_refresh_tokens;
mod m20261123_000003_create_revocations;
mod m20261123_000004_create_signing_keys;
mod m20261123_000005_create_audit_events;
mod m20261123_000006_create_queued_writes;
mod m20261123_000007_create_memories;
mod m20261123_000011_make_the_queue_durable;
mod m20261125_000012_create_people;
mod m20261125_000013_create_sessions;
mod m20261125_000014_create_authorizations;
mod m20261125_000015_add_pkce_to_applications;
mod m20261125_000016_name_people_in_the_audit_log;
mod m20261126_000017_create_write_probes;
mod m20261126_000020_version_sign_ins;
mod m20261126_000021_create_memory_tenants;
mod m20261126_000022_bound_revocations;
mod m20261126_000030_find_queued_writes_by_memory;
mod m20261126_000040_index_categories;
mod m20261126_000050_name_throttled_callers_in_the_audit_log;
mod m20261126_000060_add_audiences_to_authorizations;
mod m20261126_000061_say_who_registered_applications;
mod m20261126_000070_find_audit_events_by_person;
mod m20261126_000071_say_when_memories_occurred;
mod m20261126_000072_say_who_stored_memories;
mod m20261126_000073_create_memory_history;
mod m20261126_000074_create_passkeys;
mod m20261126_000080_create_password_links;
mod m20261126_000096_number_changes_of_memories;
mod m20261126_000097_create_memory_vectors;
mod m20261127_000100_count_what_applications_do;
mod m20261127_000101_say_what_applications_are_for;
mod m20261128_000110_name_transfers_in_the_audit_log;

use std::collections::BTreeMap;

use sea_orm_migration::migrator::MigrationStatus;
use sea_orm_migration::sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait,
};
use sea_orm_migration::{MigrationTrait, MigratorTrait};

/// Every migration, in the order in which they are applied.
#[derive(Debug)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261123_000001_create_applications::Migration),
            Box::new(m20261123_000002_create_consumed_refresh_tokens::Migration),
            Box::new(m20261123_000003_create_revocations::Migration),
            Box::new(m20261123_000004_create_signing_keys::Migration),
            Box::new(m20261123_000005_create_audit_events::Migration),
            Box::new(m20261123_000006_create_queued_writes::Migration),
            Box::new(m20261123_000007_create_memories::Migration),
            Box::new(m20261123_000011_make_the_queue_durable::Migration),
            Box::new(m20261125_000012_create_people::Migration),
            Box::new(m20261125_000013_create_sessions::Migration),
            Box::new(m20261125_000014_create_authorizations::Migration),
            Box::new(m20261125_000015_add_pkce_to_applications::Migration),
            Box::new(m20261125_000016_name_people_in_the_audit_log::Migration),
            Box::new(m20261126_000017_create_write_probes::Migration),
            Box::new(m20261126_000020_version_sign_ins::Migration),
            Box::new(m20261126_000021_create_memory_tenants::Migration),
            Box::new(m20261126_000022_bound_revocations::Migration),
            Box::new(m20261126_000030_find_queued_writes_by_memory::Migration),
            Box::new(m20261126_000040_index_categories::Migration),
            Box::new(m20261126_000050_name_throttled_callers_in_the_audit_log::Migration),
            Box::new(m20261126_000060_add_audiences_to_authorizations::Migration),
            Box::new(m20261126_000061_say_who_registered_applications::Migration),
            Box::new(m20261126_000070_find_audit_events_by_person::Migration),
            Box::new(m20261126_000071_say_when_memories_occurred::Migration),
            Box::new(m20261126_000072_say_who_stored_memories::Migration),
            Box::new(m20261126_000073_create_memory_history::Migration),
            Box::new(m20261126_000074_create_passkeys::Migration),
            Box::new(m20261126_000080_create_password_links::Migration),
            Box::new(m20261126_000096_number_changes_of_memories::Migration),
            Box::new(m20261126_000097_create_memory_vectors::Migration),
            Box::new(m20261127_000100_count_what_applications_do::Migration),
            Box::new(m20261127_000101_say_what_applications_are_for::Migration),
            Box::new(m20261128_000110_name_transfers_in_the_audit_log::Migration),
        ]
    }
}

/// A migration and whether the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationState {
    /// Its name.
    pub name: String,
    /// Whether it is applied.
    pub applied: bool,
}

/// What every instance of memgate asks PostgreSQL for before it migrates, so that one does it at a time.
const ADVISORY_LOCK: i64 = 0x6d65_6d67_6174_6501;

/// Where sea-orm-migration keeps which migrations are applied.
const MIGRATIONS_TABLE: &str = "seaql_migrations";

/// Every migration with its state. Changes nothing, and needs no right to change anything.
///
/// # Errors
/// The database's, or [`DbErr::Custom`] if it holds a migration that this program does not know.
pub async fn status<C: ConnectionTrait>(connection: &C) -> Result<Vec<MigrationState>, DbErr> {
    let migrations = Migrator::get_migration_with_status_read_only(connection).await?;
    Ok(migrations
        .iter()
        .map(|migration| MigrationState {
            name: migration.name().to_owned(),
            applied: migration.status() == MigrationStatus::Applied,
        })
        .collect())
}

/// Applies every migration that the database has not, all of them or, on an error, none. Any number of processes may do
/// this at the same time: one does it while the others wait. Returns the names of those that were applied.
///
/// # Errors
/// As [`status`].
pub async fn up(connection: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    if status(connection).await?.iter().all(|migration| migration.applied) {
        return Ok(Vec::new());
    }
    let transaction = begin_alone(connection).await?;
    let pending = names_where(&transaction, false).await?;
    Migrator::up(&transaction, None).await?;
    transaction.commit().await?;
    Ok(pending)
}

/// Undoes the newest `steps` migrations, all of them or, on an error, none. What their tables held is lost. Returns the
/// names of those that were undone, newest first.
///
/// # Errors
/// As [`status`].
pub async fn down(connection: &DatabaseConnection, steps: u32) -> Result<Vec<String>, DbErr> {
    let transaction = begin_alone(connection).await?;
    let mut applied = names_where(&transaction, true).await?;
    Migrator::down(&transaction, Some(steps)).await?;
    transaction.commit().await?;
    applied.reverse();
    applied.truncate(usize::try_from(steps).unwrap_or(usize::MAX));
    Ok(applied)
}

/// What undoing migrations takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownRehearsal {
    /// The names of the migrations, newest first.
    pub migrations: Vec<String>,
    /// The tables that would be gone or have fewer rows, in the order of their names.
    pub losses: Vec<RowLoss>,
}

/// What one table would lose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowLoss {
    /// Its name.
    pub table: String,
    /// How many rows would be lost.
    pub rows: u64,
    /// Whether the table would be gone.
    pub dropped: bool,
}

/// What [`down`] would take: it is done, and rolled back.
///
/// # Errors
/// As [`status`].
pub async fn rehearse_down(connection: &DatabaseConnection, steps: u32) -> Result<DownRehearsal, DbErr> {
    let transaction = begin_alone(connection).await?;
    let applied = names_where(&transaction, true).await?;
    let before = rows_by_table(&transaction).await?;
    Migrator::down(&transaction, Some(steps)).await?;
    let (left, after) = (names_where(&transaction, true).await?, rows_by_table(&transaction).await?);
    transaction.rollback().await?;
    let migrations = applied.into_iter().filter(|name| !left.contains(name)).rev().collect();
    let losses = before.into_iter().filter_map(|(table, rows)| {
        let left = after.get(&table);
        let lost = rows.saturating_sub(left.copied().unwrap_or_default());
        (left.is_none() || lost > 0).then_some(RowLoss { table, rows: lost, dropped: left.is_none() })
    });
    Ok(DownRehearsal { migrations, losses: losses.collect() })
}

/// How many rows each table has, those of the migrations themselves and of full-text indexes left out.
async fn rows_by_table(transaction: &DatabaseTransaction) -> Result<BTreeMap<String, u64>, DbErr> {
    let backend = transaction.get_database_backend();
    let tables = match backend {
        // Other programs may have tables in the schema that memgate may not read.
        DbBackend::Postgres => {
            "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = current_schema() \
             AND has_table_privilege(format('%I.%I', schemaname, tablename), 'SELECT')"
        }
        _ => {
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND substr(name, 1, 7) <> 'sqlite_'"
        }
    };
    let mut counts = BTreeMap::new();
    for row in transaction.query_all_raw(Statement::from_string(backend, tables)).await? {
        let table: String = row.try_get("", "name")?;
        if table == MIGRATIONS_TABLE {
            continue;
        }
        let count = format!("SELECT COUNT(*) AS rows FROM \"{}\"", table.replace('"', "\"\""));
        let count = transaction.query_one_raw(Statement::from_string(backend, count)).await?;
        let rows: i64 = count.map(|row| row.try_get("", "rows")).transpose()?.unwrap_or_default();
        counts.insert(table, rows.unsigned_abs());
    }
    Ok(counts)
}

async fn names_where(transaction: &DatabaseTransaction, applied: bool) -> Result<Vec<String>, DbErr> {
    let migrations = status(transaction).await?;
    Ok(migrations
        .into_iter()
        .filter(|migration| migration.applied == applied)
        .map(|migration| migration.name)
        .collect())
}

/// Begins a transaction during which nobody else migrates.
async fn begin_alone(connection: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let backend = connection.get_database_backend();
    let transaction = connection
        .begin_with_options(TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        })
        .await?;
    if backend == DbBackend::Postgres {
        // A migration may take longer than a statement of the service, and so may the wait for another's.
        transaction.execute_unprepared("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s'").await?;
        let lock = Statement::from_sql_and_values(backend, "SELECT pg_advisory_xact_lock($1)", [ADVISORY_LOCK.into()]);
        transaction.execute_raw(lock).await?;
    }
    Ok(transaction)
}

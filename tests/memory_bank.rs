//! The embedded memory bank on SQLite and PostgreSQL.

mod support;

use std::sync::Arc;

use memgate::adapters::memory_bank::embedded::EmbeddedMemoryBank;
use memgate::adapters::persistence::{Database, DatabaseOptions};
use memgate_domain::memories::MemoryBank;
use memgate_domain::testing::conformance::Fixture;
use support::postgres::PostgresDatabase;
use tempfile::TempDir;

fn bank(database: &Database) -> EmbeddedMemoryBank {
    EmbeddedMemoryBank::new(database.reader().clone(), database.writer())
}

async fn migrated(url: &str) -> Database {
    let database = Database::connect(url, DatabaseOptions::default()).await.unwrap();
    database.migrate_up().await.unwrap();
    database
}

/// An SQLite file of its own.
async fn sqlite() -> (TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("memgate.db").display());
    let database = migrated(&url).await;
    (folder, database)
}

/// A PostgreSQL database of its own; `None` where there is no server.
async fn postgres() -> Option<(PostgresDatabase, Database)> {
    let server = PostgresDatabase::create().await?;
    let database = migrated(server.url()).await;
    Some((server, database))
}

/// Two instances, each with connections of its own.
async fn fixture_on_sqlite() -> Fixture<dyn MemoryBank> {
    let (folder, database) = sqlite().await;
    let url = format!("sqlite://{}?mode=rw", folder.path().join("memgate.db").display());
    let other = migrated(&url).await;
    Fixture::<dyn MemoryBank>::new(Arc::new(bank(&database))).with_instance(Arc::new(bank(&other))).holding(folder)
}

async fn fixture_on_postgres() -> Option<Fixture<dyn MemoryBank>> {
    let (server, database) = postgres().await?;
    let other = migrated(server.url()).await;
    let fixture = Fixture::<dyn MemoryBank>::new(Arc::new(bank(&database))).with_instance(Arc::new(bank(&other)));
    Some(fixture.holding(server))
}

mod conformance_on_sqlite {
    memgate_domain::conformance!(memory_bank, super::fixture_on_sqlite().await);
}

mod conformance_on_postgres {
    memgate_domain::conformance!(memory_bank, super::fixture_on_postgres().await);
}

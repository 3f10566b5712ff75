//! A database for one test, gone when the last handle is dropped.

use std::sync::Arc;

use tempfile::TempDir;

use crate::postgres::PostgresDatabase;

/// SQLite in a temporary folder, or a fresh database of a PostgreSQL server.
#[derive(Clone)]
pub struct TestDatabase(Arc<Inner>);

struct Inner {
    url: String,
    kind: Kind,
}

enum Kind {
    Sqlite(TempDir),
    Postgres(#[expect(dead_code, reason = "held to be dropped")] PostgresDatabase),
}

impl TestDatabase {
    /// A new SQLite file.
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("memgate.db").display());
        Self(Arc::new(Inner { url, kind: Kind::Sqlite(folder) }))
    }

    /// A new PostgreSQL database; `None` where there is no server and none is required.
    pub async fn postgres() -> Option<Self> {
        let database = PostgresDatabase::create().await?;
        Some(Self(Arc::new(Inner { url: database.url().to_owned(), kind: Kind::Postgres(database) })))
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// The folder of the SQLite file.
    pub fn folder(&self) -> Option<&std::path::Path> {
        match &self.0.kind {
            Kind::Sqlite(folder) => Some(folder.path()),
            Kind::Postgres(_) => None,
        }
    }
}

//! The connection to the database.

use std::fmt;
use std::time::Duration;

use crate::domain::system::StorageError;
use memgate_migrations::MigrationState;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};

use super::error::{DatabaseError, storage_error};
use super::service_lock::{LockPlace, ServiceLock, Sharing};
use super::{postgres, sqlite};

/// How to use a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseOptions {
    /// How many connections are open at most: to PostgreSQL, or to read from an SQLite file, which has one more to write.
    pub connections: u32,
    /// How many more there are for searches, so that nothing else waits for one.
    pub search_connections: u32,
    /// For how long a call waits: for a free connection, for another's lock, for the answer to one statement.
    pub timeout: Duration,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self { connections: 8, search_connections: 4, timeout: Duration::from_secs(5) }
    }
}

/// A database, SQLite or PostgreSQL. Clones share its connections.
///
/// SQLite has one writer at a time. Here that is one connection, for which callers queue fairly inside the process,
/// while any number of others read. PostgreSQL has one pool for both.
#[derive(Clone)]
pub struct Database {
    reader: DatabaseConnection,
    searcher: DatabaseConnection,
    writer: DatabaseConnection,
    location: String,
    lock: LockPlace,
}

impl Database {
    /// Connects to the database that `url` names: `sqlite://FILE?mode=rwc` or `postgres://USER:PASSWORD@HOST/NAME`.
    ///
    /// # Errors
    /// [`DatabaseError`], which says what to do and never repeats the URL, because there may be a password in it.
    pub async fn connect(url: &str, options: DatabaseOptions) -> Result<Self, DatabaseError> {
        match url.split_once(':') {
            Some(("sqlite", _)) => {
                let file = sqlite::SqliteFile::parse(url)?;
                let (reader, writer) = sqlite::open(&file, options).await?;
                let searcher = sqlite::readers(&file, options, options.search_connections);
                let (location, lock) = (file.path().display().to_string(), LockPlace::beside(file.path()));
                Ok(Self { reader, searcher, writer, location, lock })
            }
            Some(("postgres" | "postgresql", _)) => {
                let (pool, location) = postgres::open(url, options).await?;
                let searcher = postgres::pool(url, options, options.search_connections)?;
                let lock = LockPlace::Server(Box::new(postgres::parse(url)?));
                Ok(Self { reader: pool.clone(), searcher, writer: pool, location, lock })
            }
            _ => Err(DatabaseError::UnknownScheme),
        }
    }

    /// Checks as much of a URL as can be known without a connection.
    ///
    /// # Errors
    /// [`DatabaseError::UnknownScheme`], [`DatabaseError::InvalidUrl`], [`DatabaseError::InMemory`].
    pub fn check_url(url: &str) -> Result<(), DatabaseError> {
        match url.split_once(':') {
            Some(("sqlite", _)) => sqlite::SqliteFile::parse(url).map(drop),
            Some(("postgres" | "postgresql", _)) => postgres::parse(url).map(drop),
            _ => Err(DatabaseError::UnknownScheme),
        }
    }

    /// Says that a service uses the database from now on, until the lock is dropped or the process ends. Any number of
    /// services may use a PostgreSQL database, and one an SQLite file.
    ///
    /// # Errors
    /// [`DatabaseError::InUse`], [`DatabaseError::CannotOpen`], [`DatabaseError::Failed`].
    pub async fn lock_for_service(&self) -> Result<ServiceLock, DatabaseError> {
        ServiceLock::take(&self.lock, Sharing::WithServices, &self.location).await
    }

    /// Keeps services from starting until the lock is dropped or the process ends.
    ///
    /// # Errors
    /// [`DatabaseError::InUse`] if a service uses the database; [`DatabaseError::CannotOpen`], [`DatabaseError::Failed`].
    pub async fn lock_out_services(&self) -> Result<ServiceLock, DatabaseError> {
        ServiceLock::take(&self.lock, Sharing::Alone, &self.location).await
    }

    /// Where the database is, without user and password.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    /// SQLite or PostgreSQL.
    #[must_use]
    pub fn backend(&self) -> DbBackend {
        self.writer.get_database_backend()
    }

    /// For statements that only read, each of which sees everything that was committed before.
    #[must_use]
    pub fn reader(&self) -> &DatabaseConnection {
        &self.reader
    }

    /// For searches: as [`reader`](Self::reader), with connections of their own.
    #[must_use]
    pub fn searcher(&self) -> &DatabaseConnection {
        &self.searcher
    }

    /// For single statements that write. Several that belong together go into [`begin`](Self::begin).
    #[must_use]
    pub fn writer(&self) -> &DatabaseConnection {
        &self.writer
    }

    /// Begins a transaction that writes. It is rolled back if it is dropped.
    ///
    /// # Errors
    /// If no connection is free in time, or another process keeps the file locked.
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        // A transaction that begins as a reader and then writes fails at once if anybody else wrote in between: SQLite
        // does not let it wait. One that is a writer from the start waits for its turn.
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.writer.begin_with_options(options).await
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] with the reason.
    pub async fn ping(&self) -> Result<(), StorageError> {
        self.reader.execute_unprepared("SELECT 1").await.map(drop).map_err(storage_error("(none)"))
    }

    /// Applies every migration that is missing. Any number of processes may do so at the same time. Returns the names of
    /// those that this call applied.
    ///
    /// # Errors
    /// [`DatabaseError::Newer`], [`DatabaseError::Failed`]; nothing has changed then.
    pub async fn migrate_up(&self) -> Result<Vec<String>, DatabaseError> {
        Ok(memgate_migrations::up(&self.writer).await?)
    }

    /// Undoes the newest `steps` migrations, with all that their tables hold. Returns their names, newest first.
    ///
    /// # Errors
    /// [`DatabaseError::Newer`], [`DatabaseError::Failed`]; nothing has changed then.
    pub async fn migrate_down(&self, steps: u32) -> Result<Vec<String>, DatabaseError> {
        Ok(memgate_migrations::down(&self.writer, steps).await?)
    }

    /// Every migration, oldest first, and whether it is applied. Changes nothing.
    ///
    /// # Errors
    /// [`DatabaseError::Newer`], [`DatabaseError::Failed`].
    pub async fn migrations(&self) -> Result<Vec<MigrationState>, DatabaseError> {
        Ok(memgate_migrations::status(&self.reader).await?)
    }

    /// Waits for the statements that are under way and closes every connection. Whoever uses the database after that gets
    /// [`StorageError::Unavailable`].
    ///
    /// # Errors
    /// [`DatabaseError::Failed`].
    pub async fn close(&self) -> Result<(), DatabaseError> {
        // The writer goes last: the last connection to an SQLite file folds the write-ahead log into it.
        self.reader.close_by_ref().await?;
        self.searcher.close_by_ref().await?;
        self.writer.close_by_ref().await?;
        Ok(())
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("location", &self.location).finish_non_exhaustive()
    }
}

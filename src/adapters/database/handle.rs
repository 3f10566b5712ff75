//! The handle to the database.

use std::fmt;

use crate::domain::system::StorageError;
use memgate_migrations::{DownRehearsal, MigrationState};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};

use super::connections::{ConnectionPool, ConnectionTarget, PoolOptions, PooledTransaction, Purpose};
use super::error::{DatabaseError, storage_error};
use super::options::DatabaseOptions;
use super::service_lock::{LockPlace, ServiceLock, Sharing};
use super::{postgres, sqlite};

/// Size of the write probe: about as much as the largest memory with its index.
const PROBE_BYTES: usize = 64 * 1024;

/// A database, SQLite or PostgreSQL. Clones share its connections.
///
/// SQLite has one writer at a time. It is one connection, for which callers of this process queue fairly, while any number
/// of others read. PostgreSQL has one pool for both.
#[derive(Clone)]
pub struct Database {
    reader: ConnectionPool,
    searcher: ConnectionPool,
    writer: ConnectionPool,
    target: ConnectionTarget,
    location: String,
    lock: LockPlace,
}

impl Database {
    /// Connects to the database that `url` names: `sqlite://FILE?mode=rwc` or `postgres://USER:PASSWORD@HOST/NAME`.
    ///
    /// # Errors
    /// [`DatabaseError`], which says what to do and never repeats the URL, which may contain a password.
    pub async fn connect(url: &str, options: DatabaseOptions) -> Result<Self, DatabaseError> {
        match url.split_once(':') {
            Some(("sqlite", _)) => Self::open_file(&sqlite::SqliteFile::parse(url)?, options).await,
            Some(("postgres" | "postgresql", _)) => {
                let (pool, target, location) = postgres::open(url, options).await?;
                let lock = LockPlace::Server(Box::new(postgres::parse(url)?));
                let (size, timeout) = (options.search_connections, options.timeout);
                let searcher = ConnectionPool::new(target.clone(), Purpose::Read, PoolOptions { size, timeout })
                    .sharing_with(&pool);
                Ok(Self { reader: pool.for_purpose(Purpose::Read), searcher, writer: pool, target, location, lock })
            }
            _ => Err(DatabaseError::UnknownScheme),
        }
    }

    /// As [`connect`](Self::connect), but creates no file, whatever the URL says.
    ///
    /// # Errors
    /// [`DatabaseError::NoDatabase`] if the file is missing, and as [`connect`](Self::connect).
    pub async fn connect_existing(url: &str, options: DatabaseOptions) -> Result<Self, DatabaseError> {
        if !matches!(url.split_once(':'), Some(("sqlite", _))) {
            return Self::connect(url, options).await;
        }
        let file = sqlite::SqliteFile::parse(url)?.without_creating();
        match Self::open_file(&file, options).await {
            Err(DatabaseError::MissingFile(_)) => Err(DatabaseError::NoDatabase(file.absolute_path())),
            opened => opened,
        }
    }

    async fn open_file(file: &sqlite::SqliteFile, options: DatabaseOptions) -> Result<Self, DatabaseError> {
        let (reader, writer, target) = sqlite::open(file, options).await?;
        let searcher = sqlite::readers(file, options, options.search_connections);
        let (location, lock) = (file.absolute_path().display().to_string(), LockPlace::beside(file.path()));
        Ok(Self { reader, searcher, writer, target, location, lock })
    }

    /// Validates a URL as far as possible without connecting.
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

    /// Registers a service as a user of the database until the lock is dropped or the process ends. Any number of services may
    /// use a PostgreSQL database, but only one an SQLite file.
    ///
    /// # Errors
    /// [`DatabaseError::InUse`], [`DatabaseError::CannotOpen`], [`DatabaseError::Failed`].
    pub async fn lock_for_service(&self) -> Result<ServiceLock, DatabaseError> {
        ServiceLock::take(&self.lock, Sharing::WithServices, &self.location).await
    }

    /// Prevents services from starting until the lock is dropped or the process ends.
    ///
    /// # Errors
    /// [`DatabaseError::InUse`] if a service uses the database; [`DatabaseError::CannotOpen`], [`DatabaseError::Failed`].
    pub async fn lock_out_services(&self) -> Result<ServiceLock, DatabaseError> {
        ServiceLock::take(&self.lock, Sharing::Alone, &self.location).await
    }

    /// The database's location: the absolute path of a file, or host, port and name, without user and password.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    /// The kind of database.
    #[must_use]
    pub fn backend(&self) -> DbBackend {
        self.writer.get_database_backend()
    }

    /// For read-only statements, each of which sees everything committed before.
    #[must_use]
    pub fn reader(&self) -> &ConnectionPool {
        &self.reader
    }

    /// For searches: as [`reader`](Self::reader), with separate connections.
    #[must_use]
    pub fn searcher(&self) -> &ConnectionPool {
        &self.searcher
    }

    /// For single write statements. Use [`begin`](Self::begin) for several that belong together.
    #[must_use]
    pub fn writer(&self) -> &ConnectionPool {
        &self.writer
    }

    /// Begins a write transaction. It is rolled back if it is dropped.
    ///
    /// # Errors
    /// If no connection is free in time, or another process keeps the file locked.
    pub async fn begin(&self) -> Result<PooledTransaction, DbErr> {
        self.writer.begin().await
    }

    /// Whether the database responds and, if the last write failed, whether it can write again.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] with the reason.
    pub async fn ping(&self) -> Result<(), StorageError> {
        let question = Statement::from_string(self.backend(), "SELECT 1");
        self.reader.query_one_raw(question).await.map_err(storage_error("(none)"))?;
        if self.writer.write_health().failure().is_some() {
            self.probe_writing().await.map_err(storage_error("write_probes"))?;
        }
        Ok(())
    }

    /// Writes a probe row, and waits until it is on disk. It differs each time: SQLite does not write unchanged pages.
    async fn probe_writing(&self) -> Result<(), DbErr> {
        let probe = "INSERT INTO write_probes (id, filler) VALUES (1, $1) \
                     ON CONFLICT (id) DO UPDATE SET filler = excluded.filler";
        #[expect(clippy::disallowed_methods, reason = "the probe writes something that does not compress")]
        let random = getrandom::u64().map_err(|error| DbErr::Custom(format!("no randomness: {error}")))?;
        let filler = format!("{random:016x}").repeat(PROBE_BYTES / 16).into();
        let transaction = self.begin().await?;
        transaction.execute_raw(Statement::from_sql_and_values(self.backend(), probe, [filler])).await?;
        transaction.commit().await
    }

    /// Applies all missing migrations. Safe to call from several processes at the same time. Returns the names of those that
    /// this call applied.
    ///
    /// # Errors
    /// [`DatabaseError::Newer`], [`DatabaseError::Failed`]; nothing has changed then.
    pub async fn migrate_up(&self) -> Result<Vec<String>, DatabaseError> {
        let connection = Box::pin(self.connection_for_migrations()).await?;
        let applied = memgate_migrations::up(&connection).await;
        connection.close().await?;
        Ok(applied?)
    }

    /// Reverts the newest `steps` migrations, including the contents of their tables. Returns their names, newest first.
    ///
    /// # Errors
    /// [`DatabaseError::Newer`], [`DatabaseError::Failed`]; nothing has changed then.
    pub async fn migrate_down(&self, steps: u32) -> Result<Vec<String>, DatabaseError> {
        let connection = Box::pin(self.connection_for_migrations()).await?;
        let undone = memgate_migrations::down(&connection, steps).await;
        connection.close().await?;
        Ok(undone?)
    }

    /// What reverting the newest `steps` migrations would delete, determined by a dry run that is rolled back.
    ///
    /// # Errors
    /// [`DatabaseError::Newer`], [`DatabaseError::Failed`].
    pub async fn rehearse_migrate_down(&self, steps: u32) -> Result<DownRehearsal, DatabaseError> {
        let connection = Box::pin(self.connection_for_migrations()).await?;
        let rehearsed = memgate_migrations::rehearse_down(&connection, steps).await;
        connection.close().await?;
        Ok(rehearsed?)
    }

    /// A separate connection: a migration may take longer than any statement of the service.
    async fn connection_for_migrations(&self) -> Result<DatabaseConnection, DatabaseError> {
        match &self.target {
            ConnectionTarget::Sqlite(options) => Ok(sqlite::connect_alone(options).await?),
            ConnectionTarget::Postgres { connect, .. } => Ok(postgres::connect_alone(connect).await?),
        }
    }

    /// Every migration, oldest first, and whether it is applied. Changes nothing.
    ///
    /// # Errors
    /// [`DatabaseError::Newer`], [`DatabaseError::Failed`].
    pub async fn migrations(&self) -> Result<Vec<MigrationState>, DatabaseError> {
        Ok(memgate_migrations::status(&self.reader).await?)
    }

    /// Waits for statements in progress, for a bounded time, and closes every connection. Later callers get
    /// [`StorageError::Unavailable`].
    pub async fn close(&self) {
        // The writer goes last: the last connection to an SQLite file checkpoints the write-ahead log.
        self.reader.close().await;
        self.searcher.close().await;
        self.writer.close().await;
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("location", &self.location).finish_non_exhaustive()
    }
}

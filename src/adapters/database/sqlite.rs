//! An SQLite file, with one connection for writing and several for reading.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sea_orm::{DatabaseConnection, DbErr, RuntimeErr, SqlxSqliteConnector};
use tokio::time::Instant;

use super::connections::{ConnectionPool, ConnectionTarget, PoolOptions, Purpose};
use super::error::DatabaseError;
use super::options::DatabaseOptions;

/// The write-ahead log is checkpointed at this many pages of 4 KiB: often enough to stay small, and seldom enough that a page
/// that changes with every commit is not written into the file each time.
const PAGES_BETWEEN_CHECKPOINTS: &str = "4000";
/// The writer remembers so many KiB of pages: the counts of the terms of a large scope, and where new entries go.
const WRITER_CACHE: &str = "-8192";
/// Each reader remembers so many KiB: what most queries begin with. All share the page cache of the operating system.
const READER_CACHE: &str = "-256";
/// The write-ahead log is truncated to this size after a checkpoint.
const JOURNAL_SIZE_LIMIT_BYTES: &str = "67108864";
/// Delay before the lock that only opening needs is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

// Primary result codes, https://www.sqlite.org/rescode.html
const SQLITE_BUSY: u32 = 5;
const SQLITE_READONLY: u32 = 8;
const SQLITE_CANTOPEN: u32 = 14;
const SQLITE_NOTADB: u32 = 26;

/// A file that a URL names.
pub(super) struct SqliteFile {
    options: SqliteConnectOptions,
    create: bool,
}

impl SqliteFile {
    /// Parses `sqlite://PATH?mode=rw` or `mode=rwc`.
    pub(super) fn parse(url: &str) -> Result<Self, DatabaseError> {
        let rest = url.trim_start_matches("sqlite:").trim_start_matches("//");
        let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        if path == ":memory:" {
            return Err(DatabaseError::InMemory);
        }
        if path.is_empty() {
            return Err(DatabaseError::InvalidUrl("it names no file; write sqlite://memgate.db?mode=rwc".to_owned()));
        }
        let mut create = false;
        for (name, value) in url::form_urlencoded::parse(parameters.as_bytes()) {
            match (&*name, &*value) {
                ("mode", "rwc") => create = true,
                ("mode", "rw") => create = false,
                ("mode", "memory") => return Err(DatabaseError::InMemory),
                ("mode", _) => {
                    let problem = "`mode` must be rwc (create the file if it is missing) or rw (it must be there)";
                    return Err(DatabaseError::InvalidUrl(problem.to_owned()));
                }
                (name, _) => {
                    return Err(DatabaseError::InvalidUrl(format!(
                        "it has an unknown parameter `{name}`; only `mode` is known"
                    )));
                }
            }
        }
        let options = SqliteConnectOptions::from_str(&format!("sqlite://{path}"))
            .map_err(|error| DatabaseError::InvalidUrl(error.to_string()))?;
        Ok(Self { options, create })
    }

    /// The same file, which is not created if it is missing.
    pub(super) fn without_creating(self) -> Self {
        Self { create: false, ..self }
    }

    /// Its absolute path, or the given one if the working directory is unknown.
    pub(super) fn absolute_path(&self) -> PathBuf {
        std::path::absolute(self.path()).unwrap_or_else(|_| self.path().to_owned())
    }

    pub(super) fn path(&self) -> &Path {
        self.options.get_filename()
    }

    /// Makes sure that the file exists.
    fn prepare(&self) -> Result<(), DatabaseError> {
        let path = self.path();
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !directory.is_dir() {
            return Err(DatabaseError::MissingDirectory(directory.to_owned()));
        }
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                Err(DatabaseError::CannotOpen { path: path.to_owned(), reason: "it is a directory".to_owned() })
            }
            Ok(_) => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(DatabaseError::CannotOpen { path: path.to_owned(), reason: error.to_string() })
            }
            Err(_) if self.create => create_private_file(path)
                .map_err(|source| DatabaseError::CannotCreate { path: path.to_owned(), source }),
            Err(_) => Err(DatabaseError::MissingFile(path.to_owned())),
        }
    }
}

/// Creates an empty file that only its owner can read. SQLite gives its log the same mode.
///
/// The file gets its name only after it was closed: closing a file drops the locks of the whole process on it, including
/// those of a connection that another thread opened a moment ago (<https://www.sqlite.org/howtocorrupt.html>, 2.2).
fn create_private_file(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);

    let mut unnamed = path.as_os_str().to_owned();
    #[expect(clippy::disallowed_methods, reason = "the name of a temporary file, which nothing depends on")]
    let random = getrandom::u64()?;
    unnamed.push(format!(".{random:016x}.new"));
    let unnamed = PathBuf::from(unnamed);
    drop(options.open(&unnamed)?);
    let linked = fs::hard_link(&unnamed, path);
    fs::remove_file(&unnamed)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // Some file systems have no hard links.
        Err(_) => options.open(path).map(drop),
        Ok(()) => Ok(()),
    }
}

/// Opens the file. Returns the connections for reading, the one for writing, and how to open another one for writing.
pub(super) async fn open(
    file: &SqliteFile,
    options: DatabaseOptions,
) -> Result<(ConnectionPool, ConnectionPool, ConnectionTarget), DatabaseError> {
    file.prepare()?;
    let writing = connect_options(file, options).journal_mode(SqliteJournalMode::Wal);
    let target = ConnectionTarget::Sqlite(writing.pragma("cache_size", WRITER_CACHE));
    let timeout = options.timeout;
    let writer = ConnectionPool::new(target.clone(), Purpose::Write, PoolOptions { size: 1, timeout });
    let deadline = Instant::now() + timeout;
    loop {
        match open_writer(&writer).await {
            Ok(()) => break,
            // Two processes that open a new file at once: one sets its journal mode, and SQLite does not let the other wait.
            Err(error) if code_of(&error) == Some(SQLITE_BUSY) && Instant::now() < deadline => {
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
            Err(error) => return Err(explain(file.path(), error)),
        }
    }
    Ok((readers(file, options, options.connections), writer, target))
}

/// At most `size` connections for reading, opened on demand.
pub(super) fn readers(file: &SqliteFile, options: DatabaseOptions, size: u32) -> ConnectionPool {
    let read_only = ConnectionTarget::Sqlite(
        connect_options(file, options).pragma("query_only", "ON").pragma("cache_size", READER_CACHE),
    );
    ConnectionPool::new(read_only, Purpose::Read, PoolOptions { size, timeout: options.timeout })
}

async fn open_writer(writer: &ConnectionPool) -> Result<(), DbErr> {
    writer.open_first().await?;
    // SQLite opens a file that it may not write, and fails only when it is too late.
    writer.begin().await?.rollback().await
}

/// Opens a connection outside the pool.
pub(super) async fn connect_alone(options: &SqliteConnectOptions) -> Result<DatabaseConnection, DbErr> {
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await;
    let pool = pool.map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(error.into())))?;
    Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool))
}

fn connect_options(file: &SqliteFile, options: DatabaseOptions) -> SqliteConnectOptions {
    file.options
        .clone()
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(options.timeout)
        // FULL syncs the write-ahead log at each commit. With NORMAL a commit would survive the end of the process, but
        // not a loss of power, and an acknowledged write must survive both. Group commit amortizes the cost.
        .synchronous(SqliteSynchronous::Full)
        // Deleted rows are overwritten with zeros in pages that are written anyway: a deleted memory is not to be read in the file.
        .pragma("secure_delete", "FAST")
        .pragma("wal_autocheckpoint", PAGES_BETWEEN_CHECKPOINTS)
        .pragma("journal_size_limit", JOURNAL_SIZE_LIMIT_BYTES)
}

fn code_of(error: &DbErr) -> Option<u32> {
    let (DbErr::Conn(error) | DbErr::Exec(error) | DbErr::Query(error)) = error else { return None };
    let RuntimeErr::SqlxError(error) = error else { return None };
    let extended: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

fn explain(path: &Path, error: DbErr) -> DatabaseError {
    let path = path.to_owned();
    match code_of(&error) {
        Some(SQLITE_NOTADB) => DatabaseError::NotADatabase(path),
        Some(SQLITE_CANTOPEN | SQLITE_READONLY | SQLITE_BUSY) => {
            let reason = match error {
                DbErr::Conn(error) | DbErr::Exec(error) | DbErr::Query(error) => error.to_string(),
                error => error.to_string(),
            };
            DatabaseError::CannotOpen { path, reason }
        }
        _ => DatabaseError::Failed(error),
    }
}

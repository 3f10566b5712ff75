//! One driver connection, to SQLite or PostgreSQL, and the classification of its errors.

use std::io;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgSeverity};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sea_orm::sqlx::{self, AssertSqlSafe, Connection as _, Executor as _};
use sea_orm::{DbBackend, ExecResult, QueryResult, Statement, Values};
use sea_query_sqlx::SqlxValues;

/// How to open a connection.
#[derive(Clone)]
pub enum ConnectionTarget {
    /// To an SQLite file.
    Sqlite(SqliteConnectOptions),
    /// To a PostgreSQL server.
    Postgres {
        /// The server.
        connect: PgConnectOptions,
        /// The statement that sets up each connection, with the next field as its argument.
        set_up: &'static str,
        /// The server's statement timeout.
        statement_timeout: Duration,
    },
}

impl ConnectionTarget {
    pub(super) fn backend(&self) -> DbBackend {
        match self {
            Self::Sqlite(_) => DbBackend::Sqlite,
            Self::Postgres { .. } => DbBackend::Postgres,
        }
    }

    pub(super) async fn connect(&self) -> Result<DriverConnection, sqlx::Error> {
        match self {
            Self::Sqlite(options) => SqliteConnection::connect_with(options).await.map(DriverConnection::Sqlite),
            Self::Postgres { connect, set_up, statement_timeout } => {
                let mut connection = PgConnection::connect_with(connect).await?;
                sqlx::query(*set_up).bind(statement_timeout.as_millis().to_string()).execute(&mut connection).await?;
                Ok(DriverConnection::Postgres(connection))
            }
        }
    }
}

/// A driver connection. The driver's own transactions are not used: see `docs/adr/0012`.
pub(super) enum DriverConnection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl DriverConnection {
    pub(super) async fn execute(&mut self, statement: Statement) -> Result<ExecResult, sqlx::Error> {
        let (sql, values) = parts(statement);
        Ok(match self {
            Self::Sqlite(connection) => sqlx::query_with(sql, values).execute(connection).await?.into(),
            Self::Postgres(connection) => sqlx::query_with(sql, values).execute(connection).await?.into(),
        })
    }

    pub(super) async fn execute_unprepared(&mut self, sql: &str) -> Result<ExecResult, sqlx::Error> {
        let sql = AssertSqlSafe(sql.to_owned());
        Ok(match self {
            Self::Sqlite(connection) => connection.execute(sql).await?.into(),
            Self::Postgres(connection) => connection.execute(sql).await?.into(),
        })
    }

    pub(super) async fn query_one(&mut self, statement: Statement) -> Result<Option<QueryResult>, sqlx::Error> {
        let (sql, values) = parts(statement);
        Ok(match self {
            Self::Sqlite(connection) => {
                sqlx::query_with(sql, values).fetch_optional(connection).await?.map(QueryResult::from)
            }
            Self::Postgres(connection) => {
                sqlx::query_with(sql, values).fetch_optional(connection).await?.map(QueryResult::from)
            }
        })
    }

    pub(super) async fn query_all(&mut self, statement: Statement) -> Result<Vec<QueryResult>, sqlx::Error> {
        let (sql, values) = parts(statement);
        Ok(match self {
            Self::Sqlite(connection) => {
                let rows = sqlx::query_with(sql, values).fetch_all(connection).await?;
                rows.into_iter().map(QueryResult::from).collect()
            }
            Self::Postgres(connection) => {
                let rows = sqlx::query_with(sql, values).fetch_all(connection).await?;
                rows.into_iter().map(QueryResult::from).collect()
            }
        })
    }

    /// Whether the server responds and has finished earlier requests.
    pub(super) async fn ping(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => connection.ping().await,
            Self::Postgres(connection) => connection.ping().await,
        }
    }

    /// Fails if a transaction is open: it would absorb the next write, and might never end.
    pub(super) async fn verify_autocommit(&mut self) -> Result<(), sqlx::Error> {
        match self {
            // A transaction that has not read yet touches no file and takes no lock.
            Self::Sqlite(connection) => connection.execute("BEGIN; ROLLBACK").await.map(drop),
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Ends any open transaction. On success the connection is as good as new.
    pub(super) async fn settle(&mut self, in_transaction: bool) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(_) => match self.execute_unprepared("ROLLBACK").await {
                Err(error) if breaks_connection(&error) => Err(error),
                // SQLite reports "no transaction" with its generic error code.
                _ => self.verify_autocommit().await,
            },
            // PostgreSQL warns of a ROLLBACK without a transaction, and of a BEGIN within one.
            Self::Postgres(_) => {
                let end = if in_transaction { "ROLLBACK" } else { "BEGIN; ROLLBACK" };
                self.execute_unprepared(end).await.map(drop)
            }
        }
    }

    /// Closes it gracefully.
    pub(super) async fn close(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::Postgres(connection) => connection.close().await,
        }
    }
}

fn parts(statement: Statement) -> (AssertSqlSafe<String>, SqlxValues) {
    (AssertSqlSafe(statement.sql), SqlxValues(statement.values.unwrap_or_else(|| Values(Vec::new()))))
}

/// Runs `work` for at most `deadline`. The server has its own timeout, but the network may fail.
pub(super) async fn within<T>(
    deadline: Option<Duration>,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match deadline {
        None => work.await,
        Some(deadline) => tokio::time::timeout(deadline, work).await.unwrap_or_else(|_| {
            let problem = format!("no response within {} ms", deadline.as_millis());
            Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, problem)))
        }),
    }
}

// Primary result codes, https://www.sqlite.org/rescode.html
const SQLITE_ERROR: u32 = 1;
const SQLITE_BUSY: u32 = 5;
const SQLITE_LOCKED: u32 = 6;
const SQLITE_SCHEMA: u32 = 17;
const SQLITE_TOOBIG: u32 = 18;
const SQLITE_CONSTRAINT: u32 = 19;
const SQLITE_MISMATCH: u32 = 20;
const SQLITE_RANGE: u32 = 25;

/// Whether the state of the connection is uncertain after this error, so that it must be closed. Unknown errors count as
/// such: a full disk, a failed sync, a lost server, a timeout.
pub(super) fn breaks_connection(error: &sqlx::Error) -> bool {
    use sqlx::Error;
    match error {
        Error::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
            Some(error) => {
                matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic) || is_failure_of_server(error.code())
            }
            None => !matches!(
                sqlite_code(&**error),
                Some(
                    SQLITE_ERROR
                        | SQLITE_BUSY
                        | SQLITE_LOCKED
                        | SQLITE_SCHEMA
                        | SQLITE_TOOBIG
                        | SQLITE_CONSTRAINT
                        | SQLITE_MISMATCH
                        | SQLITE_RANGE
                )
            ),
        },
        Error::RowNotFound
        | Error::TypeNotFound { .. }
        | Error::ColumnIndexOutOfBounds { .. }
        | Error::ColumnNotFound(_)
        | Error::ColumnDecode { .. }
        | Error::Encode(_)
        | Error::Decode(_) => false,
        _ => true,
    }
}

/// Whether the next write would fail for the same reason: the disk is full or broken, commits hang, or the server has
/// become a standby. A lost connection alone says nothing about writes.
pub(super) fn prevents_writing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::TimedOut,
        sqlx::Error::Database(cause) => match cause.try_downcast_ref::<PgDatabaseError>() {
            // read_only_sql_transaction
            Some(cause) => {
                cause.code() == "25006" || ["53", "58", "XX"].iter().any(|class| cause.code().starts_with(class))
            }
            None => breaks_connection(error),
        },
        _ => false,
    }
}

/// Whether this error aborted the transaction, on PostgreSQL.
pub(super) fn aborts_transaction(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.try_downcast_ref::<PgDatabaseError>().is_some())
}

/// Whether another process holds the lock of an SQLite file.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if sqlite_code(&**error) == Some(SQLITE_BUSY))
}

/// Whether connecting may succeed a moment later.
pub(super) fn is_transient_refusal(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => error.is_transient_in_connect_phase(),
        _ => false,
    }
}

/// Whether the server, or the role, has as many connections as it may have (`too_many_connections`).
pub(super) fn server_is_full(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.code().as_deref() == Some("53300"))
}

/// Insufficient resources, operator intervention, system error, internal error:
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn is_failure_of_server(code: &str) -> bool {
    // A statement timeout (query_canceled) says nothing about the connection.
    code != "57014" && ["53", "57", "58", "XX"].iter().any(|class| code.starts_with(class))
}

fn sqlite_code(error: &dyn sqlx::error::DatabaseError) -> Option<u32> {
    let extended: u32 = error.code()?.parse().ok()?;
    Some(extended & 0xff)
}

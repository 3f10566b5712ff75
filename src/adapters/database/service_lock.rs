//! A lock held by the service that uses a database. It is released when the process ends, for whatever reason.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{self, Connection};
use sea_orm::{DbErr, RuntimeErr};
use tokio::task::JoinHandle;

use super::error::DatabaseError;

/// The advisory lock on PostgreSQL: shared to serve, exclusive for what must not be done meanwhile.
const ADVISORY_LOCK: i64 = 0x6d65_6d67_6174_6521;
/// How often the connection that holds the lock on PostgreSQL is used, so that it does not count as idle, and how soon a lost
/// one is replaced.
const PULSE: Duration = Duration::from_secs(5);

/// Where the lock of a database is.
#[derive(Clone)]
pub(super) enum LockPlace {
    /// A file beside the SQLite file.
    File(PathBuf),
    /// The server.
    Server(Box<PgConnectOptions>),
}

impl LockPlace {
    /// The lock file of an existing SQLite file. Different paths of one file have the same lock.
    pub(super) fn beside(database: &Path) -> Self {
        let mut path = database.canonicalize().unwrap_or_else(|_| database.to_owned()).into_os_string();
        path.push(".service-lock");
        Self::File(path.into())
    }
}

/// Held by a service while it serves, or by a command that excludes services. Dropping it releases it.
pub struct ServiceLock(LockHolder);

enum LockHolder {
    File(#[expect(dead_code, reason = "the lock is on the open file")] File),
    Connection(#[expect(dead_code, reason = "held to be dropped")] KeepAlive),
}

/// The task that holds a connection, which ends with this.
struct KeepAlive(JoinHandle<()>);

impl Drop for KeepAlive {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Who may hold the lock at the same time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Other services.
    WithServices,
    /// Nobody.
    Alone,
}

impl ServiceLock {
    /// Whether nobody else can serve while this is held, as on SQLite.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        matches!(self.0, LockHolder::File(_))
    }

    /// Takes the lock, or fails if it is taken.
    pub(super) async fn take(place: &LockPlace, sharing: Sharing, location: &str) -> Result<Self, DatabaseError> {
        let in_use = || DatabaseError::InUse { location: location.to_owned() };
        match place {
            // In any case: an SQLite file is for one service.
            LockPlace::File(path) => {
                let failed = |reason: String| DatabaseError::CannotOpen { path: path.clone(), reason };
                let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
                let file = open.map_err(|error| failed(error.to_string()))?;
                match file.try_lock() {
                    Ok(()) => Ok(Self(LockHolder::File(file))),
                    Err(TryLockError::WouldBlock) => Err(in_use()),
                    Err(TryLockError::Error(error)) => Err(failed(error.to_string())),
                }
            }
            LockPlace::Server(options) => {
                let connection = lock(options, sharing).await.map_err(failed)?.ok_or_else(in_use)?;
                let task = tokio::spawn(keep_alive(connection, (**options).clone(), sharing));
                Ok(Self(LockHolder::Connection(KeepAlive(task))))
            }
        }
    }
}

fn failed(error: sqlx::Error) -> DatabaseError {
    DatabaseError::Failed(DbErr::Conn(RuntimeErr::SqlxError(error.into())))
}

/// A connection that holds the lock; `None` if somebody else has it.
async fn lock(options: &PgConnectOptions, sharing: Sharing) -> Result<Option<PgConnection>, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    let sql = match sharing {
        Sharing::WithServices => "SELECT pg_try_advisory_lock_shared($1)",
        Sharing::Alone => "SELECT pg_try_advisory_lock($1)",
    };
    let taken: bool = sqlx::query_scalar(sql).bind(ADVISORY_LOCK).fetch_one(&mut connection).await?;
    Ok(taken.then_some(connection))
}

/// Holds the lock forever. A connection that is lost, as when the server restarts, loses the lock: it is taken again.
async fn keep_alive(connection: PgConnection, options: PgConnectOptions, sharing: Sharing) {
    let mut held = Some(connection);
    loop {
        tokio::time::sleep(PULSE).await;
        let alive = match &mut held {
            Some(connection) => connection.ping().await.is_ok(),
            None => false,
        };
        if !alive {
            held = lock(&options, sharing).await.ok().flatten();
        }
    }
}

//! Errors of the database, at startup and later.

use std::io;
use std::path::PathBuf;

use crate::domain::system::StorageError;
use sea_orm::{DbErr, RuntimeErr, sqlx};

/// Why a database cannot be used. No text contains a password or repeats the URL.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL is for an unsupported database.
    #[error(
        "the database URL must begin with sqlite:// or postgres://, for example sqlite://memgate.db?mode=rwc or \
         postgres://memgate:password@localhost/memgate"
    )]
    UnknownScheme,
    /// The URL is invalid.
    #[error("the database URL cannot be used: {0}")]
    InvalidUrl(String),
    /// The URL asks for an in-memory database.
    #[error(
        "a database in memory is lost when the program ends, and only one connection would see it; name a file, for \
         example sqlite://memgate.db?mode=rwc, or use `memgate demo` for a trial"
    )]
    InMemory,
    /// The directory of the database file is missing.
    #[error("the directory {} does not exist; create it, or name another place for the database file", .0.display())]
    MissingDirectory(PathBuf),
    /// The database file is missing, and the URL does not allow to create it.
    #[error("there is no database file {}; add ?mode=rwc to the URL to have it created", .0.display())]
    MissingFile(PathBuf),
    /// There is no database, and none may be created.
    #[error(
        "there is no database file {}: if the service has one, run this in its working directory or set MEMGATE_DATABASE_URL to \
         its URL; `memgate serve` and `memgate migrate up` create a new one", .0.display()
    )]
    NoDatabase(PathBuf),
    /// The file exists and cannot be opened.
    #[error("the database file {} cannot be opened for reading and writing by this user: {reason}", .path.display())]
    CannotOpen {
        /// The file.
        path: PathBuf,
        /// The system's error.
        reason: String,
    },
    /// The file is not a database.
    #[error("the file {} is not an SQLite database; name another file", .0.display())]
    NotADatabase(PathBuf),
    /// The database file could not be created.
    #[error("the database file {} could not be created", .path.display())]
    CannotCreate {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The server is unreachable, or refuses the connection.
    #[error("no connection to {location}: {reason}")]
    Unreachable {
        /// The database's location, without user and password.
        location: String,
        /// The error of the server or the system.
        reason: String,
    },
    /// A service is using the database, and must not for this operation.
    #[error(
        "a memgate service is running on {location}: an SQLite file is for one service at a time, and what was asked for must \
         not be done while any service runs; stop it first"
    )]
    InUse {
        /// The database's location, without user and password.
        location: String,
    },
    /// A newer version of memgate migrated the database.
    #[error(
        "the database was migrated by a newer version of memgate; use that version, also to revert its migrations ({0})"
    )]
    Newer(String),
    /// A statement failed.
    #[error("the database failed")]
    Failed(#[source] DbErr),
}

impl From<DbErr> for DatabaseError {
    fn from(error: DbErr) -> Self {
        match error {
            // sea-orm-migration's error when the database contains a migration unknown to the program.
            DbErr::Custom(detail) => Self::Newer(detail),
            error => Self::Failed(error),
        }
    }
}

/// Classifies a failed statement on `table`: a value of the wrong type is an inconsistent row; anything else means that the
/// database is unavailable, full or busy.
pub(super) fn storage_error(table: &'static str) -> impl Fn(DbErr) -> StorageError + Copy {
    move |error| {
        if is_about_a_value(&error) {
            StorageError::InconsistentRow { table, key: "unknown".to_owned(), detail: error.to_string() }
        } else {
            StorageError::Unavailable(Box::new(error))
        }
    }
}

/// Whether a value that was read has the wrong type. That affects its row alone, and a transaction can continue.
pub(super) fn is_about_a_value(error: &DbErr) -> bool {
    match error {
        DbErr::Type(_) | DbErr::Json(_) | DbErr::TryIntoErr { .. } => true,
        _ => matches!(driver_error(error), Some(sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_))),
    }
}

/// Whether PostgreSQL rejected a value that was to be written: it limits the size of indexed text, unlike SQLite.
pub(super) fn rejects_a_value(error: &DbErr) -> bool {
    let code = driver_error(error).and_then(sqlx::Error::as_database_error).and_then(sqlx::error::DatabaseError::code);
    // Data exception, program limit exceeded: https://www.postgresql.org/docs/current/errcodes-appendix.html
    code.is_some_and(|code| code.len() == 5 && (code.starts_with("22") || code.starts_with("54")))
}

fn driver_error(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Query(RuntimeErr::SqlxError(error)) | DbErr::Exec(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

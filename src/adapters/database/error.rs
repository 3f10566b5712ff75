//! What can go wrong with a database, at the start and later.

use std::io;
use std::path::PathBuf;

use crate::domain::system::StorageError;
use sea_orm::{DbErr, RuntimeErr, sqlx};

/// Why a database cannot be used. No text of it holds a password, and none repeats the URL.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL is for a database that memgate does not speak to.
    #[error(
        "the database URL must begin with sqlite:// or postgres://, for example sqlite://memgate.db?mode=rwc or \
         postgres://memgate:password@localhost/memgate"
    )]
    UnknownScheme,
    /// The URL cannot be understood.
    #[error("the database URL cannot be used: {0}")]
    InvalidUrl(String),
    /// The URL asks for a database in memory.
    #[error(
        "a database in memory is lost when the program ends, and only one connection would see it; name a file, for \
         example sqlite://memgate.db?mode=rwc, or use `memgate demo` for a trial"
    )]
    InMemory,
    /// The directory of the database file is missing.
    #[error("the directory {} does not exist; create it, or name another place for the database file", .0.display())]
    MissingDirectory(PathBuf),
    /// The database file is missing, and the URL does not say that it is to be created.
    #[error("there is no database file {}; add ?mode=rwc to the URL to have it created", .0.display())]
    MissingFile(PathBuf),
    /// There is no database, and none is to be created.
    #[error(
        "there is no database file {}: if the service has one, run this in its working directory or set MEMGATE_DATABASE_URL to \
         its URL; `memgate serve` and `memgate migrate up` create a new one", .0.display()
    )]
    NoDatabase(PathBuf),
    /// The file is there and cannot be opened.
    #[error("the database file {} cannot be opened for reading and writing by this user: {reason}", .path.display())]
    CannotOpen {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The file holds something else.
    #[error("the file {} is not an SQLite database; name another file", .0.display())]
    NotADatabase(PathBuf),
    /// The database file could not be made.
    #[error("the database file {} could not be created", .path.display())]
    CannotCreate {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The server cannot be reached, or does not let us in.
    #[error("no connection to {location}: {reason}")]
    Unreachable {
        /// Where the database is, without user and password.
        location: String,
        /// What the server or the system says.
        reason: String,
    },
    /// A service uses the database, and must not for what is to be done.
    #[error(
        "a memgate service is running on {location}: an SQLite file is for one service at a time, and what was asked for must \
         not be done while any service runs; stop it first"
    )]
    InUse {
        /// Where the database is, without user and password.
        location: String,
    },
    /// A newer version of memgate has been here.
    #[error(
        "the database was migrated by a newer version of memgate; use that version, also to undo its migrations ({0})"
    )]
    Newer(String),
    /// A statement failed.
    #[error("the database failed")]
    Failed(#[source] DbErr),
}

impl From<DbErr> for DatabaseError {
    fn from(error: DbErr) -> Self {
        match error {
            // What sea-orm-migration says when the database holds a migration that the program does not.
            DbErr::Custom(detail) => Self::Newer(detail),
            error => Self::Failed(error),
        }
    }
}

/// What a failed statement on `table` means to the domain: a value of the wrong type is a row that cannot be; anything
/// else is a database that is away, full or busy.
pub(super) fn storage_error(table: &'static str) -> impl Fn(DbErr) -> StorageError + Copy {
    move |error| {
        if is_about_a_value(&error) {
            StorageError::InconsistentRow { table, key: "unknown".to_owned(), detail: error.to_string() }
        } else {
            StorageError::Unavailable(Box::new(error))
        }
    }
}

fn is_about_a_value(error: &DbErr) -> bool {
    match error {
        DbErr::Type(_) | DbErr::Json(_) | DbErr::TryIntoErr { .. } => true,
        DbErr::Query(RuntimeErr::SqlxError(error)) | DbErr::Exec(RuntimeErr::SqlxError(error)) => {
            matches!(**error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_))
        }
        _ => false,
    }
}

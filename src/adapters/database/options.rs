//! Options of the database.

use std::time::Duration;

/// Options of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseOptions {
    /// Maximum number of connections: to PostgreSQL, or for reading an SQLite file, which has one more for writing.
    pub connections: u32,
    /// Additional connections for searches, so that nothing else waits for one.
    pub search_connections: u32,
    /// Timeout of a call: for a free connection, a lock, and each statement.
    pub timeout: Duration,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self { connections: 8, search_connections: 4, timeout: Duration::from_secs(5) }
    }
}

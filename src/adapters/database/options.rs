//! How to use a database.

use std::time::Duration;

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

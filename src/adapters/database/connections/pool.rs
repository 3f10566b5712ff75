//! The connection pool of one database.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};

use super::connection::ConnectionTarget;
use super::lease::ConnectionLease;
use super::state::{PoolOptions, PoolState, Purpose};
use super::transaction::PooledTransaction;
use super::writes::WriteHealth;

/// A connection pool. Each statement borrows a connection, each transaction holds one until it ends. Clones share the
/// pool.
#[derive(Clone)]
pub struct ConnectionPool {
    state: Arc<PoolState>,
    purpose: Purpose,
}

impl ConnectionPool {
    /// A pool without connections.
    #[must_use]
    pub fn new(target: ConnectionTarget, purpose: Purpose, options: PoolOptions) -> Self {
        Self { state: Arc::new(PoolState::new(target, options)), purpose }
    }

    /// Shares what the server allows with another pool: if it accepts no more connections, a pool without any gets one of the
    /// other's, so that neither can take them all.
    #[must_use]
    pub fn sharing_with(self, other: &Self) -> Self {
        self.state.share_with(&other.state);
        other.state.share_with(&self.state);
        self
    }

    /// The same connections, for another purpose.
    #[must_use]
    pub fn for_purpose(&self, purpose: Purpose) -> Self {
        Self { state: Arc::clone(&self.state), purpose }
    }

    /// Opens a connection and keeps it.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub async fn open_first(&self) -> Result<(), DbErr> {
        self.state.open_first().await
    }

    /// Begins a transaction: read-only, or a write transaction from the start.
    ///
    /// # Errors
    /// If no connection is free in time, or another process keeps the file locked.
    pub async fn begin(&self) -> Result<PooledTransaction, DbErr> {
        PooledTransaction::begin(self.lease().await?, self.state.backend()).await
    }

    async fn lease(&self) -> Result<ConnectionLease, DbErr> {
        let (connection, permit) = self.state.acquire().await?;
        Ok(ConnectionLease::new(Arc::clone(&self.state), self.purpose, connection, permit))
    }

    /// Number of statements sent, including those that begin and end transactions.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.state.statements()
    }

    /// Whether writes reach the disk.
    #[must_use]
    pub fn write_health(&self) -> &WriteHealth {
        self.state.writes()
    }

    /// Waits for statements in progress and closes every connection, in bounded time. Later callers get an error.
    pub async fn close(&self) {
        self.state.close().await;
    }
}

#[async_trait]
impl ConnectionTrait for ConnectionPool {
    fn get_database_backend(&self) -> DbBackend {
        self.state.backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.lease().await?.execute(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.lease().await?.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.lease().await?.query_one(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.lease().await?.query_all(statement).await
    }
}

impl fmt::Debug for ConnectionPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionPool").field("purpose", &self.purpose).finish_non_exhaustive()
    }
}

//! Transactions.

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use tokio::sync::Mutex;

use super::lease::ConnectionLease;

/// A transaction. It is rolled back if it is dropped.
pub struct PooledTransaction {
    backend: DbBackend,
    lease: Mutex<ConnectionLease>,
}

impl PooledTransaction {
    pub(super) async fn begin(mut lease: ConnectionLease, backend: DbBackend) -> Result<Self, DbErr> {
        lease.begin().await?;
        Ok(Self { backend, lease: Mutex::new(lease) })
    }

    /// Commits it. After an error the outcome is uncertain, and the connection is closed.
    ///
    /// # Errors
    /// The database's, or an error if a statement failed before: PostgreSQL would report "committed" and roll back.
    pub async fn commit(self) -> Result<(), DbErr> {
        self.lease.into_inner().commit().await
    }

    /// Rolls it back.
    ///
    /// # Errors
    /// The database's. It is rolled back in that case too.
    pub async fn rollback(self) -> Result<(), DbErr> {
        self.lease.into_inner().rollback().await
    }
}

#[async_trait]
impl ConnectionTrait for PooledTransaction {
    fn get_database_backend(&self) -> DbBackend {
        self.backend
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.lease.lock().await.execute(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.lease.lock().await.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.lease.lock().await.query_one(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.lease.lock().await.query_all(statement).await
    }
}

//! A connection lent for a statement or a transaction, and its return.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{DbErr, ExecResult, QueryResult, RuntimeErr, Statement, sqlx};
use tokio::sync::OwnedSemaphorePermit;

use super::connection::{DriverConnection, aborts_transaction, breaks_connection, is_busy, within};
use super::state::{PoolState, PooledConnection, Purpose};

/// A lent connection. It is returned to the pool if its state is known to be clean; otherwise it is reset first or closed.
/// Responses after an uncertain error cannot be relied on, and a new connection costs milliseconds.
pub(super) struct ConnectionLease {
    pool: Arc<PoolState>,
    purpose: Purpose,
    /// `None` once the connection was closed.
    connection: Option<PooledConnection>,
    permit: Option<OwnedSemaphorePermit>,
    /// A statement was sent, and its response has not been read completely.
    running: bool,
    /// `BEGIN` was sent, and neither `COMMIT` nor `ROLLBACK` has succeeded.
    in_transaction: bool,
    /// A statement of the transaction failed, and PostgreSQL will not commit it.
    aborted: bool,
}

impl ConnectionLease {
    pub(super) fn new(
        pool: Arc<PoolState>,
        purpose: Purpose,
        connection: PooledConnection,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let connection = Some(connection);
        Self { pool, purpose, connection, permit: Some(permit), running: false, in_transaction: false, aborted: false }
    }

    pub(super) async fn begin(&mut self) -> Result<(), DbErr> {
        // A transaction that begins as a reader and then writes fails at once if anybody else wrote in between: SQLite
        // does not let it wait. One that starts as a writer waits for the lock. Both fail if one is open already.
        let sql = match (self.purpose, self.pool.backend()) {
            (Purpose::Write, sea_orm::DbBackend::Sqlite) => "BEGIN IMMEDIATE",
            _ => "BEGIN",
        };
        self.in_transaction = true;
        let (connection, deadline) = self.start()?;
        let begun = within(deadline, connection.execute_unprepared(sql)).await;
        match &begun {
            // Another process is writing; no transaction was started.
            Err(error) if is_busy(error) => self.in_transaction = false,
            Err(error) => self.discard(error),
            Ok(_) => {}
        }
        self.finish(begun).map(drop).map_err(query_error)
    }

    pub(super) async fn commit(mut self) -> Result<(), DbErr> {
        if self.aborted {
            let problem = "the transaction was rolled back, because one of its statements failed";
            return Err(DbErr::Exec(RuntimeErr::Internal(problem.to_owned())));
        }
        let (connection, deadline) = self.start()?;
        let committed = within(deadline, connection.execute_unprepared("COMMIT")).await;
        match &committed {
            Ok(_) => {
                self.in_transaction = false;
                self.pool.note_write(self.purpose, Ok(()));
            }
            // SQLite may or may not have rolled back, and the driver does not know which.
            Err(error) => self.discard(error),
        }
        self.finish(committed).map(drop).map_err(exec_error)
    }

    pub(super) async fn rollback(mut self) -> Result<(), DbErr> {
        let (connection, deadline) = self.start()?;
        let rolled_back = within(deadline, connection.execute_unprepared("ROLLBACK")).await;
        match &rolled_back {
            Ok(_) => self.in_transaction = false,
            Err(error) => self.discard(error),
        }
        self.finish(rolled_back).map(drop).map_err(exec_error)
    }

    pub(super) async fn execute(&mut self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.verify().await?;
        let (connection, deadline) = self.start()?;
        let done = within(deadline, connection.execute(statement)).await;
        let done = self.finish(done).map_err(exec_error)?;
        if !self.in_transaction && done.rows_affected() > 0 {
            self.pool.note_write(self.purpose, Ok(()));
        }
        Ok(done)
    }

    pub(super) async fn execute_unprepared(&mut self, sql: &str) -> Result<ExecResult, DbErr> {
        let (connection, deadline) = self.start()?;
        let done = within(deadline, connection.execute_unprepared(sql)).await;
        let done = self.finish(done).map_err(exec_error);
        // Its state is unknown.
        self.running = true;
        done
    }

    pub(super) async fn query_one(&mut self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.verify().await?;
        let (connection, deadline) = self.start()?;
        let row = within(deadline, connection.query_one(statement)).await;
        self.finish(row).map_err(query_error)
    }

    pub(super) async fn query_all(&mut self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.verify().await?;
        let (connection, deadline) = self.start()?;
        let rows = within(deadline, connection.query_all(statement)).await;
        self.finish(rows).map_err(query_error)
    }

    /// Makes sure that a single write is committed on its own.
    async fn verify(&mut self) -> Result<(), DbErr> {
        if self.in_transaction || self.purpose == Purpose::Read {
            return Ok(());
        }
        let (connection, deadline) = self.start()?;
        let verified = within(deadline, connection.verify_autocommit()).await;
        if let Err(error) = &verified {
            self.discard(error);
        }
        self.finish(verified).map_err(exec_error)
    }

    fn start(&mut self) -> Result<(&mut DriverConnection, Option<Duration>), DbErr> {
        let Some(connection) = &mut self.connection else {
            let closed = "the connection to the database was closed after an error";
            return Err(DbErr::Conn(RuntimeErr::Internal(closed.to_owned())));
        };
        self.running = true;
        self.pool.count_statement();
        Ok((connection.driver(), self.pool.statement_deadline()))
    }

    /// Must be called with the outcome of each statement.
    fn finish<T>(&mut self, outcome: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        self.running = false;
        if let Err(error) = &outcome {
            self.aborted |= self.in_transaction && aborts_transaction(error);
            self.pool.note_write(self.purpose, Err(error));
            if breaks_connection(error) {
                self.discard(error);
            }
        }
        outcome
    }

    /// Closes the connection without notifying the server.
    fn discard(&mut self, error: &sqlx::Error) {
        self.in_transaction = false;
        if let Some(connection) = self.connection.take() {
            tracing::debug!(error = %error, "a connection to the database is closed after an error");
            drop(connection);
        }
    }
}

impl Drop for ConnectionLease {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let permit = self.permit.take();
        if !self.running && !self.in_transaction {
            self.pool.put_back(connection);
            return;
        }
        // Outside of a runtime the connection is closed, which rolls back its transaction too.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let pool = Arc::clone(&self.pool);
        let in_transaction = self.in_transaction;
        runtime.spawn(async move {
            let settled = within(pool.statement_deadline(), connection.driver().settle(in_transaction)).await;
            match settled {
                Ok(()) => pool.put_back(connection),
                Err(error) => tracing::debug!(error = %error, "a connection to the database could not be reused"),
            }
            drop(permit);
        });
    }
}

fn exec_error(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(error.into()))
}

fn query_error(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

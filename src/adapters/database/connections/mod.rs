//! Connections to memgate's database, SQLite or PostgreSQL.
//!
//! A connection is lent for one statement or transaction, and closed if its state is uncertain afterwards; see
//! `docs/adr/0012`.

mod connection;
mod lease;
mod pool;
mod state;
mod transaction;
mod writes;

pub use connection::ConnectionTarget;
pub use pool::ConnectionPool;
pub use state::{PoolOptions, Purpose};
pub use transaction::PooledTransaction;

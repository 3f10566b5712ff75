//! Connections to memgate's database, SQLite or PostgreSQL: what every adapter that stores something stands on.
//!
//! A connection is lent for a statement or a transaction, and closed if its state may be uncertain after that; see
//! `docs/adr/0012`.

mod connection;
mod lease;
mod pool;
mod transaction;
mod writes;

pub use connection::ConnectionTarget;
pub use pool::{ConnectionPool, PoolOptions, Purpose};
pub use transaction::PooledTransaction;

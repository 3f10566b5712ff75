//! Everything that is stored, in SQLite or PostgreSQL: the same code on both.

mod applications;
mod database;
mod entities;
mod error;
mod grants;
mod group_commit;
mod postgres;
mod row;
mod sqlite;
mod sweep;

pub use applications::SeaOrmApplicationRepository;
pub use database::{Database, DatabaseOptions};
pub use error::DatabaseError;
pub use grants::SeaOrmGrantStore;
pub use memgate_migrations::MigrationState;

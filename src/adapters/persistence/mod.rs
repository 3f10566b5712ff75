//! Everything that is stored, in SQLite or PostgreSQL: the same code on both.

mod applications;
mod audit;
mod authorizations;
mod cached_applications;
mod cached_grants;
mod cached_write_queue;
mod database;
mod entities;
mod error;
mod freshness;
mod grants;
mod group_commit;
mod people;
mod postgres;
mod row;
mod sessions;
mod signing_keys;
mod sqlite;
mod sweep;
mod write_queue;

pub use applications::SeaOrmApplicationRepository;
pub use audit::SeaOrmAuditLog;
pub use authorizations::SeaOrmAuthorizationStore;
pub use cached_applications::CachedApplicationRepository;
pub use cached_grants::CachedGrantStore;
pub use cached_write_queue::CachedWriteQueue;
pub use database::{Database, DatabaseOptions, ServingAlone};
pub use error::DatabaseError;
pub use grants::SeaOrmGrantStore;
pub use memgate_migrations::MigrationState;
pub use people::SeaOrmPersonRepository;
pub use postgres::has_unescaped_credentials;
pub use sessions::SeaOrmSessionStore;
pub use signing_keys::SeaOrmSigningKeyStore;
pub use write_queue::SeaOrmWriteQueue;

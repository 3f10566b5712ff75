//! The database adapter, for SQLite and PostgreSQL: the same code for both.

mod applications;
mod audit;
mod authorizations;
mod batch;
mod connections;
mod entities;
mod error;
mod grants;
mod handle;
pub mod memories;
mod options;
mod passkeys;
mod password_links;
mod people;
#[cfg(test)]
mod plan;
mod postgres;
mod row;
mod service_lock;
mod sessions;
mod signing_keys;
mod sqlite;
mod sweep;
mod tenants;
mod write_queue;

pub use applications::SeaOrmApplicationRepository;
pub use audit::SeaOrmAuditLog;
pub use authorizations::SeaOrmAuthorizationStore;
pub use error::DatabaseError;
pub use grants::SeaOrmGrantStore;
pub use handle::Database;
pub use memgate_migrations::{DownRehearsal, MigrationState, RowLoss};
pub use options::DatabaseOptions;
pub use passkeys::SeaOrmPasskeyRepository;
pub use password_links::SeaOrmPasswordLinkStore;
pub use people::SeaOrmPersonRepository;
pub use postgres::has_unescaped_credentials;
pub use service_lock::ServiceLock;
pub use sessions::SeaOrmSessionStore;
pub use signing_keys::SeaOrmSigningKeyStore;
pub use tenants::SeaOrmTenantRegistry;
pub use write_queue::SeaOrmWriteQueue;

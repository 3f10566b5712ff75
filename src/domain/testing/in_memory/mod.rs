//! In-memory adapters of the ports that keep something: as strict as the real ones, and gone with the test.

mod application_repository;
mod audit_log;
mod authorization_store;
mod grant_store;
mod memory_bank;
mod passkey_repository;
mod password_link_store;
mod person_repository;
mod session_store;
mod signing_key_store;
mod tenant_registry;
mod write_queue;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use application_repository::InMemoryApplicationRepository;
pub use audit_log::InMemoryAuditLog;
pub use authorization_store::InMemoryAuthorizationStore;
pub use grant_store::InMemoryGrantStore;
pub use memory_bank::InMemoryMemoryBank;
pub use passkey_repository::InMemoryPasskeyRepository;
pub use password_link_store::InMemoryPasswordLinkStore;
pub use person_repository::InMemoryPersonRepository;
pub use session_store::InMemorySessionStore;
pub use signing_key_store::InMemorySigningKeyStore;
pub use tenant_registry::InMemoryTenantRegistry;
pub use write_queue::InMemoryWriteQueue;

use crate::system::StorageError;

/// A switch that makes in-memory adapters fail as if their database were unavailable. Its clones are the same switch.
#[derive(Clone, Debug, Default)]
pub struct Outage(Arc<AtomicBool>);

impl Outage {
    /// From now on every call fails.
    pub fn begin(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// From now on calls succeed again.
    pub fn end(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    fn is_on(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    fn check(&self) -> Result<(), StorageError> {
        if self.is_on() { Err(database_unavailable()) } else { Ok(()) }
    }
}

/// The error of a store whose database is unavailable.
#[must_use]
pub fn database_unavailable() -> StorageError {
    StorageError::Unavailable("the database is unavailable, for this test".into())
}

pub(in crate::testing) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many of `limit` there can be at most.
fn at_most(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

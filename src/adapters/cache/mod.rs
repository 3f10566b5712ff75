//! Caches: decorators of ports with short-lived entries.

mod applications;
mod freshness;
mod grants;
mod people;
mod stale_searches;
mod tenants;
mod write_queue;

pub use applications::CachedApplicationRepository;
pub use grants::CachedGrantStore;
pub use people::CachedPersonRepository;
pub use stale_searches::StaleSearchMemoryBank;
pub use tenants::CachedTenantRegistry;
pub use write_queue::CachedWriteQueue;
